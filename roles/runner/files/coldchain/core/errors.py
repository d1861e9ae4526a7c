# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors that users see.  Each class carries its exit code (sysexits.h)."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import NamedTuple


class Problem(NamedTuple):
    """One finding in a document.

    path: JSON path of the place ("$.job_schedule.schedule_minute"); message: what is wrong;
    hint: what to write instead ("" when there is nothing to add).
    """

    path: str
    message: str
    hint: str = ""

    def as_dict(self) -> dict[str, str]:
        """The JSON form."""
        return {"path": self.path, "message": self.message, "hint": self.hint}


class ColdchainError(Exception):
    """An error with a message for people and, mostly, a remedy.

    Only a bug of ours ends in a traceback; everything that a user or a machine can cause is a
    subclass of this.
    """

    exit_code = 70
    hopeless = False
    """Would trying again lead to the same error until somebody has changed something?  Of a single
    error it may be set where it is known better."""

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
    hopeless = True


class DataError(ColdchainError):
    """Input or stored data is not acceptable; ``problems`` names every place."""

    exit_code = 65

    def __init__(self, message: str, hint: str = "", problems: Sequence[Problem] = ()) -> None:
        super().__init__(message, hint)
        self.problems = list(problems)


class UnknownJob(DataError):
    """There is no job of that name."""


class Unavailable(ColdchainError):
    """Something that is needed is not there: a tool, the runner, a remote."""

    exit_code = 69


class NoProgram(Unavailable):
    """A program that is needed is not installed, or not where it is looked for."""

    hopeless = True


class InternalError(ColdchainError):
    """A bug of ours that we could still put into words."""

    exit_code = 70


class CannotWrite(ColdchainError):
    """A file or directory cannot be created or written."""

    exit_code = 73


#: Of what another user's rights are needed for, in every message the same.
AS_OWNER = "run as the user that owns it (sudo; in Ansible become: true)"
#: What else it may be, for whoever has an installation of their own.
OTHER_HOME = "or name another installation (coldchain --home DIR; in Ansible home: DIR)"
#: What disks, networks and limits answer, and the way out: one table for every place.
REMEDIES: dict[int | None, str] = {
    errno.EACCES: f"{AS_OWNER}, {OTHER_HOME}",
    errno.EPERM: f"{AS_OWNER}; chattr -i where lsattr shows the attribute i",
    errno.ENOSPC: "make room on that file system: df tells of space, df -i of files",
    errno.EDQUOT: "raise the quota or make room",
    errno.EROFS: "mount it read-write",
    errno.EFBIG: "the file system or a limit (ulimit -f, LimitFSIZE=) allows no file of that size",
    errno.ENAMETOOLONG: "choose a shorter path: Linux takes 4,095 bytes, of each name 255",
    errno.E2BIG: "give fewer or shorter arguments and variables: Linux takes 128 kB each",
    errno.EXDEV: "the two places lie on different file systems, or bind mounts: choose one",
    errno.ENOLCK: "start the lock daemon of that NFS mount, or mount it with nolock",
    errno.ENOSYS: "this file system lacks what is needed: mount Lustre with -o flock, or choose"
    " another one",
    errno.EOPNOTSUPP: "this file system lacks what is needed: choose another one",
    errno.EIO: "the disk or the server behind it fails: see the system log",
    errno.ESTALE: "the file server has forgotten it: mount it again",
    errno.ENODEV: "the disk or mount is gone: see the system log",
    errno.ENXIO: "the disk or mount is gone: see the system log",
    errno.ENOTCONN: "the mount is dead: mount it again",
    errno.EMFILE: "raise the limit of open files (ulimit -n, LimitNOFILE=)",
    errno.ENFILE: "raise the host's limit of open files (fs.file-max)",
    errno.ENOMEM: "free some memory, or raise the limit (MemoryMax=)",
    errno.EAGAIN: "raise the limit of processes (ulimit -u, TasksMax=)",
    errno.EBUSY: "something uses it: see with fuser or findmnt",
    errno.ETXTBSY: "the program is being replaced just now: run this again",
    errno.EEXIST: "move away what is there",
    errno.EISDIR: "move away what is there",
    errno.ENOTDIR: "move away what is there",
    errno.ELOOP: "it is a symbolic link: put the real file there",
}
_UNKNOWN = "see the system log for the reason"
#: What says more about the place than about the machine: nobody foresaw it, so it may be our bug.
_OF_A_PLACE = (errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ELOOP)


class KnownRemedy(OSError):
    """An error of ours that knows the way out, whatever its number is."""

    hint = ""


def remedy(error: OSError) -> str:
    """What to do about *error*."""
    if isinstance(error, KnownRemedy):
        return error.hint
    return REMEDIES.get(error.errno, _UNKNOWN)


def remedy_of_words(words: str) -> str:
    """What to do about the error that a program has told in the C library's *words*, at their end;
    "" when they are no known ones, or tell of the place alone."""
    for number, hint in REMEDIES.items():
        told = number is not None and words.endswith(os.strerror(number))
        if told and number not in _OF_A_PLACE:
            return hint
    return ""


def from_os_error(error: OSError) -> ColdchainError | None:
    """An error of disk, memory or rights that nobody foresaw where it came up; None when it is
    of another kind, and so probably a bug of ours."""
    if error.errno not in REMEDIES or error.errno in _OF_A_PLACE:
        return None
    place = "standard output or a file" if error.filename is None else os.fsdecode(error.filename)
    return CannotWrite(f"{place}: {error.strerror}", remedy(error))


class TryAgain(ColdchainError):
    """Not now, but probably later: a lock is held, a timeout has passed."""

    exit_code = 75
