# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors that users see.  Each class carries its exit code (sysexits.h)."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One finding in a document.

    path: JSON path of the place ("$.job_schedule.schedule_minute"); message: what is wrong;
    hint: what to write instead ("" when there is nothing to add).
    """

    path: str
    message: str
    hint: str = ""

    def as_dict(self) -> dict[str, str]:
        return {"path": self.path, "message": self.message, "hint": self.hint}


class ColdchainError(Exception):
    """An error with a message for people and, mostly, a remedy.

    Only a bug of ours ends in a traceback; everything that a user or a machine can cause is a
    subclass of this.
    """

    exit_code = 70

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class JobFailed(ColdchainError):
    """The job (or the single action) ran and failed."""

    exit_code = 1


class UsageError(ColdchainError):
    """The command line is wrong."""

    exit_code = 64


class DataError(ColdchainError):
    """Input or stored data is not acceptable; ``problems`` names every place."""

    exit_code = 65

    def __init__(self, message: str, hint: str = "", problems: Sequence[Problem] = ()) -> None:
        super().__init__(message, hint)
        self.problems = list(problems)


class Unavailable(ColdchainError):
    """Something that is needed is not there: a tool, the runner, a remote."""

    exit_code = 69


class InternalError(ColdchainError):
    """A bug of ours that we could still put into words."""

    exit_code = 70


class CannotWrite(ColdchainError):
    """A file or directory cannot be created or written."""

    exit_code = 73


_OF_THE_MACHINE = (
    *(errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE),
    *(errno.ENOMEM, errno.EAGAIN, errno.EACCES, errno.EPERM, errno.ESTALE, errno.ENODEV),
)


def of_the_machine(error: OSError) -> ColdchainError | None:
    """An error of disk, memory or rights that nobody foresaw where it came up; None when it is
    of another kind, and so probably a bug of ours."""
    if error.errno not in _OF_THE_MACHINE:
        return None
    place = "standard output or a file" if error.filename is None else os.fsdecode(error.filename)
    return CannotWrite(f"{place}: {error.strerror}", "see the system log for the reason")


class TryAgain(ColdchainError):
    """Not now, but probably later: a lock is held, a timeout has passed."""

    exit_code = 75
