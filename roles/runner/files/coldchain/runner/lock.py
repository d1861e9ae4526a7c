# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner's lock: whoever holds it is the one process that runs jobs and writes their state."""

from __future__ import annotations

import os

from coldchain.errors import TryAgain
from coldchain.paths import Paths
from coldchain.store.files import cannot_write, lock_within

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
    try:
        descriptor = os.open(
            paths.runner_lock, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
    except OSError as error:
        raise cannot_write(paths.runner_lock, error) from None
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
