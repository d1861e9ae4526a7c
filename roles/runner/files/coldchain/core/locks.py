# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks between processes (flock): each is waited for within a limit, and gone with its process."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

from coldchain.core.errors import Unavailable, remedy
from coldchain.core.files import cannot_write
from coldchain.core.trusted_path import TrustedFolder, open_file

#: NFS without its lock daemon; Lustre without -o flock; some of FUSE.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_POLL = 0.005  # seconds between two tries to take a lock


def open_lock(path: Path, *, writable: bool = True, folder: TrustedFolder | None = None) -> int:
    """The descriptor of the lock file *path*, made when it is not there; nothing is locked yet.

    folder: where it lies, of somebody who opens locks there again and again.

    writable: NFS locks no file that is open for reading only; one that is held for long must not
    be open for writing, or its file system could not be mounted read-only meanwhile.

    Raises CannotWrite, also for a link or anything else that is no file in its place.
    """
    try:
        flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CREAT
        return open_file(path, flags) if folder is None else folder.open_file(path.name, flags)
    except OSError as error:
        raise cannot_write(path, error) from None


class NoLocks(Unavailable):
    """A file lies on a file system that knows no locks."""

    def __init__(self, descriptor: int, error: OSError) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        super().__init__(f"{path}: cannot be locked: {error.strerror}", remedy(error))


def lock_within(descriptor: int, seconds: float = 0.0) -> bool:
    """Whether the lock of an open file could be taken within *seconds*; without, at once.

    Raises NoLocks where the file system has none.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(_POLL)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            raise NoLocks(descriptor, error) from None


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of the file *path*; False when there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared: two that ask at the same time do not take each other for a holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
