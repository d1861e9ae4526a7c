# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a test waits for what has to happen, and for the end of a process or a thread.

A bound of minutes hides that something takes five seconds too long; a tight one fails where the
machine is slow or has other work.  So the bound is tight, and its seconds are those that the
machine had time for us in: an instant counts the less the more processes want each processor,
the longer the kernel says that somebody had to wait for a processor or a disk (PSI), and the
slower this processor is.  A quiet machine notices a delay of PATIENCE; one with ten times the
work that it can do gets ten times as long, but never more than LIMIT seconds of a clock.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

PATIENCE = 4.0
"""Seconds for what should happen at once.  Whoever waits for something that itself takes time says
how long that is: ``within=PATIENCE + 3``."""
LIMIT = 300.0
_QUICK = 0.04
"""Seconds of a processor for a start of Python on the machine that PATIENCE was chosen on."""
_FLOOR = 1 / 60
"""So much of an instant counts at least: the longest wait is PATIENCE for sixty."""
_PRESSURES = ("cpu", "io")

Value = TypeVar("Value")


class Watch:
    """A stop watch.  ``seconds``: those that the machine had time for us in, up to now."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()
        self._seconds = 0.0
        self._stalls = _stalls()

    @property
    def seconds(self) -> float:
        now, stalls = time.monotonic(), _stalls()
        passed = now - self._last
        if passed > 0:
            stalled = max((b - a for a, b in zip(self._stalls, stalls)), default=0.0) / passed
            share = min(1 / _contenders(), 1 - min(stalled, 1.0))
            self._seconds += passed * max(share, _FLOOR) / _slowness()
        self._last, self._stalls = now, stalls
        return self._seconds

    def over(self, within: float) -> bool:
        return self.seconds > within or time.monotonic() - self._began > max(LIMIT, within)


def until(
    condition: Callable[[], Value],
    within: float = PATIENCE,
    *,
    told: Callable[[], object] = lambda: "",
    pause: float = 0.01,
) -> Value:
    """Ask until *condition* holds; its value.  AssertionError with what *told* says when it does
    not hold *within* seconds of a machine with time."""
    watch = Watch()
    while True:
        value = condition()
        if value:
            return value
        if watch.over(within):
            raise AssertionError(f"did not happen within {within:g} s: {told()}")
        time.sleep(pause)


def ended(process: subprocess.Popen[Any], within: float = PATIENCE) -> int:
    """The exit code of *process*, which has to end; else it is killed."""
    return _bounded(process, lambda: process.wait(0.05), within)


def gone(pid: int) -> bool:
    """Whether a process has ended, perhaps as a zombie."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def output(process: subprocess.Popen[Any], within: float = PATIENCE) -> tuple[Any, Any]:
    """What *process*, which has to end, writes to its pipes; else it is killed."""
    return _bounded(process, lambda: process.communicate(timeout=0.05), within)


def joined(thread: threading.Thread, within: float = PATIENCE) -> None:
    """Wait for the end of *thread*."""

    def over() -> bool:
        thread.join(0.01)
        return not thread.is_alive()

    until(over, within, told=lambda: f"{thread.name} goes on", pause=0.0)


@contextmanager
def at_most(within: float = PATIENCE) -> Iterator[None]:
    """The block, in which this thread may wait, has to be over *within* seconds."""
    watch, left = Watch(), threading.Event()

    def look() -> None:
        while not left.wait(0.05):
            _ = watch.seconds

    looking = threading.Thread(target=look, name="at_most")
    looking.start()
    try:
        yield
    finally:
        left.set()
        looking.join()
    took = watch.seconds
    assert took <= within, f"took {took:.1f} s, should take {within:g} at most"


def _bounded(process: subprocess.Popen[Any], wait: Callable[[], Value], within: float) -> Value:
    watch = Watch()
    while True:
        try:
            return wait()
        except subprocess.TimeoutExpired:
            if watch.over(within):
                process.kill()
                process.wait()
                for stream in (process.stdin, process.stdout, process.stderr):
                    if stream is not None:
                        stream.close()  # or another test is blamed for it
                words = process.args
                raise AssertionError(f"did not end within {within:g} s: {words!r}") from None


def _contenders() -> float:
    """How many processes want each processor of ours, one at least."""
    counts = {"procs_running": 0, "procs_blocked": 0}
    for line in Path("/proc/stat").read_text().splitlines():
        name, dummy, number = line.partition(" ")
        if name in counts:
            counts[name] = int(number)
    return max(1.0, sum(counts.values()) / len(os.sched_getaffinity(0)))


def _stalls() -> list[float]:
    """Seconds in which somebody waited for a processor, and for a disk; [] where nobody counts."""
    stalls = []
    for name in _PRESSURES:
        try:
            some = Path("/proc/pressure", name).read_text().splitlines()[0]
            stalls.append(int(some.rpartition("total=")[2]) / 1e6)
        except (OSError, ValueError, IndexError):
            return []
    return stalls


@lru_cache(maxsize=1)
def _slowness() -> float:
    """How much slower than the machine of PATIENCE this one is, one at least."""
    took = []
    for dummy in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return max(1.0, min(took) / _QUICK)


# Now, while no test has a thread: what is started beside a runner in a thread of ours may get the
# mark of the action that this one starts, and is then taken for a process of it.
_slowness()
