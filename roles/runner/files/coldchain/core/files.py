# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private files (0600), written as a whole or not at all; links are not followed."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Union

from coldchain.core.errors import AS_OWNER, OTHER_HOME, CannotWrite, Unavailable, remedy
from coldchain.core.trusted_path import (
    TrustedFolder,
    make_missing,
    make_often,
    open_folder,
    walk,
)

StrPath = Union[str, "os.PathLike[str]"]
"""A path that is handed to the system as it is: what each run passes here is text, for to take a
Path apart costs more than the call that it is for."""
TEMPORARY = ".tmp"
"""At the end of a name: a file that is not complete yet.  One name: whoever writes it holds a lock
or is the only writer, and what a crash left is written over."""
#: To write a new file, or over what a crash left of one.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
#: A private directory and the one that it lies in.
_MOST_MADE = 2
#: What file systems answer that cannot sync a directory (CIFS, 9p, some of FUSE): there is nothing
#: else to be done there.
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
_LONGEST_OF_SOCKET = 107  # bytes, as the kernel takes the path of a socket
_AT_ONCE = 1024
"""Pieces that one writev(2) takes: IOV_MAX of Linux."""


def open_new(path: StrPath) -> int:
    """Open for writing, empty."""
    return os.open(path, _NEW, 0o600)


def open_ours(path: Path) -> int:
    """Open for reading; refuse a symbolic link and a file that others own or can write.

    FileNotFoundError, or Unavailable with the reason.
    """
    try:
        # A pipe without a writer must not keep us waiting.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Unavailable(f"{path}: is a symbolic link", "put the real file there") from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise Unavailable(
                f"{path}: cannot be read by this user",
                f"{AS_OWNER}, {OTHER_HOME}",
            ) from None
        if error.errno == errno.ENOENT:
            raise
        raise cannot_read(path, error) from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise Unavailable(f"{path}: is not a file", "move away what is there")
    if status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o022:
        os.close(descriptor)
        quoted = shlex.quote(str(path))
        raise Unavailable(
            f"{path}: belongs to user id {status.st_uid} with mode {status.st_mode & 0o7777:04o};"
            " somebody else could have written it",
            f"check its content, then: chown {os.geteuid()} {quoted}; chmod 600 {quoted}",
        )
    return descriptor


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """A name of *path* that a socket can have, as long as the block lasts."""
    if len(os.fsencode(path)) <= _LONGEST_OF_SOCKET:
        yield os.fspath(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def write_all(descriptor: int, raw: bytes) -> None:
    """os.write may take less than it is given."""
    view = memoryview(raw)
    while view:
        view = view[os.write(descriptor, view) :]


def write_pieces(descriptor: int, pieces: Sequence[bytes]) -> None:
    """All of *pieces*, one behind the other: to make one of them first takes as long again."""
    for start in range(0, len(pieces), _AT_ONCE):
        group = pieces[start : start + _AT_ONCE]
        written = os.writev(descriptor, group)
        if written < sum(map(len, group)):
            write_all(descriptor, b"".join(group)[written:])


def private_directory(path: StrPath) -> None:
    """Make the directory *path* (0700), and the one it lies in, if they are not there."""
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(os.lstat(path).st_mode):  # as mostly
            return
    with walk(path) as way, contextlib.ExitStack() as stack:
        if len(way.missing) > _MOST_MADE:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
        make_missing(way, stack, 0o700, 0o700)


def private_directory_often(path: str) -> None:
    """``private_directory`` for whoever makes many in one directory, the way to which is judged
    once: to go it each time takes a tenth of a job's first run."""
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(os.lstat(path).st_mode):  # as mostly
            return
    try:
        make_often(path)
    except OSError:  # among others where something else is there, or the one it lies in is not
        private_directory(path)


def sync_directory(path: StrPath) -> None:
    """Make renames in *path* durable, as far as its file system can."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_open_directory(descriptor)
    finally:
        os.close(descriptor)


def sync_open_directory(descriptor: int) -> None:
    """``sync_directory`` for one that is open for reading."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def write_new(path: StrPath, raw: bytes) -> None:
    """Make the file *path* (0600), of which nobody knows yet; CannotWrite names it.

    It survives the death of this process; the death of this process before it is written leaves a
    part of it.
    """
    try:
        descriptor = open_new(path)
        try:
            write_all(descriptor, raw)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise cannot_write(path, error) from None


def write_atomically(
    path: StrPath, raw: bytes, *, durable: bool = True, kept: TrustedFolder | None = None
) -> None:
    """Replace *path* as a whole (0600); CannotWrite names it.

    durable: it survives a power cut; otherwise only the death of this process.  kept: its
    directory, of somebody who writes there again and again.
    """
    path = Path(path)
    temporary = path.name + TEMPORARY
    try:
        with open_folder(path.parent) if kept is None else kept.entered() as folder:
            try:
                descriptor = os.open(temporary, _NEW, 0o600, dir_fd=folder)
                try:
                    write_all(descriptor, raw)
                    if durable:
                        os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                os.rename(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise
            if durable:
                sync_directory(Path(f"/proc/self/fd/{folder}"))
    except OSError as error:
        raise cannot_write(path, error) from None


def remove_file(path: Path) -> None:
    """Remove a file, if it is there, from its open directory; root goes no way of others there."""
    with contextlib.suppress(FileNotFoundError), open_folder(path.parent) as folder:
        os.unlink(path.name, dir_fd=folder)


def cannot_read(path: StrPath, error: OSError) -> Unavailable:
    """*error* as one for people, with the way out."""
    return Unavailable(f"{path}: cannot be read: {error.strerror}", remedy(error))


def cannot_write(path: StrPath, error: OSError) -> CannotWrite:
    """*error* as one for people, with the way out."""
    message = f"{path}: cannot be written: {error.strerror}; nothing was changed"
    return CannotWrite(message, remedy(error))


def remove_own(directory: str) -> None:
    """Remove a directory that nobody else may write to, as far as that can be done.

    It takes a third of the time of shutil.rmtree, which trusts nobody.
    """
    with contextlib.suppress(OSError):
        with os.scandir(directory) as entries:
            listed = list(entries)
        for entry in listed:
            if entry.is_dir(follow_symlinks=False):
                remove_own(entry.path)
            else:
                os.unlink(entry.path)
        os.rmdir(directory)
