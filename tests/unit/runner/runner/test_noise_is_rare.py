# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A trouble that lasts for hours is not the log of the host: it is said, and its end is."""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from coldchain.core.settings import Settings
from coldchain.runner import lock
from coldchain.runner.daemon import Runner
from coldchain.runner.signals import Inbox

TICKS = 200
PACE = 60.0  # seconds of a tick, of the clock that is moved on by hand


class Clock:
    """All clocks of the host, moved on together."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        for name in ("time", "monotonic", "clock_gettime"):
            patch.setattr(time, name, self._shifted(getattr(time, name)))

    def _shifted(self, real: Callable[..., float]) -> Callable[..., float]:
        return lambda *which: real(*which) + self.ahead


class Disk:
    """What is below *place* takes nothing while ``fault`` is an error number."""

    def __init__(self, place: str, patch: pytest.MonkeyPatch) -> None:
        self.fault = 0
        self._place = place
        writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT
        opened, made = os.open, os.mkdir

        def open_(path: Any, flags: int, *more: Any, dir_fd: int | None = None) -> int:
            lock_file = str(path).endswith(".lock")  # is there, and takes no room
            if flags & writes and not lock_file and dir_fd is None:
                self._check(path)
            return opened(path, flags, *more, dir_fd=dir_fd)

        def mkdir(path: Any, *more: Any, **named: Any) -> None:
            if not os.path.isdir(path):
                self._check(path)
            made(path, *more, **named)

        patch.setattr(os, "open", open_)
        patch.setattr(os, "mkdir", mkdir)

    def _check(self, path: Any) -> None:
        if self.fault and os.fspath(path).startswith(self._place):
            raise OSError(self.fault, os.strerror(self.fault), path)


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("when", ["idle", "busy"])
def test_a_disk_that_takes_nothing_for_hours(
    host: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: int,
    when: str,
) -> None:
    caplog.set_level(logging.INFO)
    home = host.paths.home
    assert home is not None
    tell = [{"type": "command", "command": ["true"], "on": ["start", "success", "failure"]}]
    (home / "etc").mkdir(mode=0o700, exist_ok=True)
    conf = f"[runner]\ntimezone = UTC\nmetrics_file = {home}/lib/x.prom\n"
    host.paths.settings.write_text(f"{conf}notify = {json.dumps(tell)}\n")
    for number in range(3):
        host.declare(f"j{number}", "true", schedule={"schedule_interval": "180 seconds"})
    clock, disk = Clock(monkeypatch), Disk(str(home), monkeypatch)
    held = lock.acquire(host.paths)
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    runner = Runner(host.paths, Settings.load(host.paths), Inbox(reader))

    def ticks(number: int, pace: float) -> None:
        for _turn in range(number):
            clock.ahead += pace
            runner.wait(0.0)
            runner.tick()

    def said() -> list[str]:
        found = [it.getMessage() for it in caplog.records if it.levelno >= logging.WARNING]
        caplog.clear()
        return found

    def rest() -> None:
        while runner.runs:
            runner.wait(0.05)
            runner.tick()

    try:
        runner.recover()
        ticks(1, 0)
        if when == "busy":  # the disk fills while runs go on
            ticks(10, PACE)
        else:
            rest()
        said()
        disk.fault = fault
        ticks(TICKS // 2, PACE)
        first = said()
        ticks(TICKS // 2, PACE)
        second = said()
        assert first, "somebody is told"
        assert len(first) + len(second) <= 45, (first, second)
        assert len(second) <= 12, second
        disk.fault = 0
        ticks(3, PACE)
        rest()
        over = said()
        assert over
        ends = [line for line in over if ", after " in line]
        assert len(ends) == len({line.partition(", after ")[0] for line in ends})
        ticks(5, 0)
        rest()
    finally:
        disk.fault = 0
        runner.close()
        os.close(held)
        reader.close()
        writer.close()
