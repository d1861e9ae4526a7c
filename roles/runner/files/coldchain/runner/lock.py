# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner's lock: whoever holds it is the one process that runs jobs and writes their state.

A command that runs a job in the foreground holds it, too, and another one before it: so everybody
else knows that no requests are taken there, and others like it wait for their turn.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from coldchain.core.errors import TryAgain
from coldchain.core.locks import is_locked, lock_within, open_lock
from coldchain.core.paths import Paths

_PATIENCE = 0.5
"""Seconds: a command that only asks whether a runner is alive holds the lock for a moment."""
_INHERITED = "COLDCHAIN_RUNNER_LOCK"


_TURN = 0.1
"""Seconds between two looks whether it is the turn of this process, for as long as it takes."""


class RunnerAtWork(TryAgain):
    """Another process holds the lock."""

    def __init__(self, paths: Paths) -> None:
        super().__init__(
            f"{paths.runner_lock}: another runner is at work here",
            "stop it first, or leave the job to it: coldchain event JOB start",
        )


@contextmanager
def turn(paths: Paths, wait: Callable[[], object]) -> Iterator[None]:
    """No other command runs a job in the foreground within the block; *wait* is called once when
    one has to be waited for.  RunnerAtWork at once: who asks meanwhile would believe that no
    requests are taken here."""
    descriptor = open_lock(paths.foreground_lock, writable=False)
    try:
        if not lock_within(descriptor, _PATIENCE):
            wait()
            while not lock_within(descriptor):
                time.sleep(_TURN)
        if is_locked(paths.runner_lock):
            raise RunnerAtWork(paths)
        yield
    finally:
        os.close(descriptor)


def acquire(paths: Paths) -> int:
    """The descriptor of the held lock.  RunnerAtWork when another runner has it.

    After a re-exec the lock comes from the program before, so that it was never free in between.
    """
    inherited = os.environ.pop(_INHERITED, "")
    if inherited.isdigit():
        descriptor = int(inherited)
        try:
            same = os.path.samestat(os.fstat(descriptor), paths.runner_lock.stat())
        except OSError:
            same = False
        if same:
            os.set_inheritable(descriptor, False)
            return descriptor
    descriptor = open_lock(paths.runner_lock, writable=False)
    if not lock_within(descriptor, _PATIENCE):
        os.close(descriptor)
        raise RunnerAtWork(paths)
    return descriptor


def hand_over(descriptor: int) -> None:
    """Let the lock survive an exec of this process."""
    os.set_inheritable(descriptor, True)
    os.environ[_INHERITED] = str(descriptor)
