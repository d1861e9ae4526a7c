# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner's lock: whoever holds it is the one process that runs jobs and writes their state."""

from __future__ import annotations

import os

from coldchain.core.errors import TryAgain
from coldchain.core.locks import lock_within, open_lock
from coldchain.core.paths import Paths

_PATIENCE = 0.5
"""Seconds: a command that only asks whether a runner is alive holds the lock for a moment."""
_INHERITED = "COLDCHAIN_RUNNER_LOCK"


def acquire(paths: Paths) -> int:
    """The descriptor of the held lock.  TryAgain when another runner has it.

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
        raise TryAgain(
            f"{paths.runner_lock}: another runner is at work here",
            "stop it first, or leave the job to it: coldchain event JOB start",
        )
    return descriptor


def hand_over(descriptor: int) -> None:
    """Let the lock survive an exec of this process."""
    os.set_inheritable(descriptor, True)
    os.environ[_INHERITED] = str(descriptor)
