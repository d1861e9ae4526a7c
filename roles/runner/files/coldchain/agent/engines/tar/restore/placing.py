# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving a restored tree to its target, or merging it into what is there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shlex
import shutil
import stat
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType

from coldchain.agent.engines.tar.restore.extract_guard import everything
from coldchain.agent.engines.tar.restore.open_tree import OPEN_FOLDER
from coldchain.agent.engines.tar.restore.staging import StagedTree
from coldchain.agent.mounts import mount_points
from coldchain.agent.process.signals import defer_signals
from coldchain.core.errors import CannotWrite, JobFailed
from coldchain.core.trusted_path import Way

_ACLS = frozenset({"system.posix_acl_access", "system.posix_acl_default"})
#: Of directories on the way to the target: no umask, and no default ACL above, lets others write.
_NEW_MODE = 0o755
#: ioctl_iflags(2); the number is that of most machines, and the others refuse it.
_GET_FLAGS, _IMMUTABLE, _APPEND_ONLY = 0x80086601, 0x10, 0x20


def place(
    staged: StagedTree,
    *,
    whole: bool,
    wanted: Callable[[bytes], bool] = everything,
    modes: Mapping[bytes, int] = MappingProxyType({}),
) -> None:
    """Move the tree to its target.

    whole: the tree may become the target itself, where that is new or empty.  Otherwise the entries
    are merged: what the tree holds replaces, what it does not hold stays.  *wanted* tells by
    relative name which directories also pass on their owner, mode and times; modes: of directories
    that have another one for the time being, what ``open_up`` returned.

    Every step is taken from an open directory, so that no link that somebody puts in the way
    meanwhile leads anywhere.  Raises CannotWrite, or JobFailed when something has to stay there.
    """
    try:
        with contextlib.ExitStack() as stack:
            parent, name = _parent(staged.way, stack)
            due = {
                name: mode
                for name, mode in modes.items()
                if _status(name or b".", staged.descriptor) is not None
            }
            if whole and staged.whole and _take_place(staged, parent, name):
                target = staged.descriptor
            else:
                target = _target(staged.way, parent, name, stack)
                due = {
                    name: mode
                    for name, mode in due.items()
                    if wanted(name) or _status(name or b".", target) is None
                }
                # Where it is by now; the names of mounts are only needed to tell them.
                path = os.fsencode(os.readlink(f"/proc/self/fd/{target}"))
                merge = _Merge(wanted, set(mount_points(path)))
                check_mutable(b".", target, os.fstat(target), path)
                merge.check(staged.descriptor, target, path)
                merge.run(staged.descriptor, target, path, b"")
            for path, mode in reversed(due.items()):
                os.chmod(path or b".", mode, dir_fd=target)
    except RecursionError:
        raise
    except OSError as error:
        name = os.fsdecode(error.filename2 or error.filename or staged.way.path)
        raise CannotWrite(
            f"{name}: cannot be put into place: {error.strerror}",
            "what had been moved before stays; run the restore again after mending this",
        ) from None


def _parent(way: Way, stack: contextlib.ExitStack) -> tuple[int | None, str]:
    """The directory that the target lies in, and its name there; missing ones are made."""
    if not way.missing:
        return way.parent, way.name
    parent = way.folder
    for name in way.missing[:-1]:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, _NEW_MODE, dir_fd=parent)
        parent = _enter(name, parent, stack)
    return parent, way.missing[-1]


def _enter(name: str | bytes, folder: int, stack: contextlib.ExitStack) -> int:
    try:
        descriptor = os.open(name, OPEN_FOLDER, dir_fd=folder)
    except PermissionError:
        descriptor = _enter_closed(name, folder)
    stack.callback(os.close, descriptor)
    return descriptor


def _enter_closed(name: str | bytes, folder: int) -> int:
    """Open a directory that only its owner may, if that is us."""
    step = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    path, mode = f"/proc/self/fd/{step}", stat.S_IMODE(os.fstat(step).st_mode)
    try:
        with defer_signals():
            os.chmod(path, mode | 0o700)
            try:
                return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            finally:
                os.chmod(path, mode)
    finally:
        os.close(step)


def _target(way: Way, parent: int | None, name: str, stack: contextlib.ExitStack) -> int:
    """The target, to merge into."""
    if not way.missing:
        return _enter(".", way.folder, stack)
    assert parent is not None
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, _NEW_MODE, dir_fd=parent)
    return _enter(name, parent, stack)


def _take_place(staged: StagedTree, parent: int | None, name: str) -> bool:
    """Let the tree become the target in one step, where the system allows that."""
    if parent is None or staged.inside:
        return False
    try:
        _move(staged.private, b"tree", parent, os.fsencode(name), os.fsencode(staged.way.path))
    except OSError as error:
        if error.errno in (
            errno.EBUSY, errno.EACCES, errno.EPERM, errno.ENOTEMPTY, errno.EINVAL, errno.EXDEV,
        ):  # fmt: skip
            return False
        raise
    return True


class _Merge:
    """Moving the entries of one open directory into another, and so on below."""

    def __init__(self, wanted: Callable[[bytes], bool], mounts: Collection[bytes]) -> None:
        self._wanted, self._mounts = wanted, mounts

    def check(self, source: int, target: int, path: bytes) -> None:
        """Before the first change: nothing that is not in the backup may have to go.

        path: of the target, for messages.
        """
        with _writable(target):
            for name in _entries(source):
                there, entry = _status(name, target), _status(name, source)
                full = os.path.join(path, name)
                if there is None or entry is None:
                    continue
                if full in self._mounts:
                    if _left_alone(name, source, entry, there):
                        continue
                    raise mounted(full)
                check_mutable(name, target, there, full)
                if not stat.S_ISDIR(there.st_mode):
                    continue
                if stat.S_ISDIR(entry.st_mode):
                    with _both(name, source, target, full) as (inner, other):
                        self.check(inner, other, full)
                elif _holds(name, target):
                    raise in_the_way(full)

    def run(self, source: int, target: int, path: bytes, name: bytes) -> None:
        """Move what *source* holds; *name*: of both relative to the tree."""
        status = os.fstat(source)  # its times change as soon as an entry leaves it
        with _writable(target):
            for entry in _entries(source):
                full = os.path.join(path, entry)
                there, here = _status(entry, target), _status(entry, source)
                if there is not None and here is not None:
                    old, new = stat.S_ISDIR(there.st_mode), stat.S_ISDIR(here.st_mode)
                    if old and new:
                        if full not in self._mounts:
                            with _both(entry, source, target, full) as (inner, other):
                                self.run(inner, other, full, os.path.join(name, entry))
                        continue
                    # What is renamed over another thing takes its place, but for directories.
                    if new:
                        os.unlink(entry, dir_fd=target)
                    elif old:
                        os.rmdir(entry, dir_fd=target)
                _move(source, entry, target, entry, full)
        if self._wanted(name):
            _pass_on(source, target, status)


def mounted(path: bytes) -> JobFailed:
    """Something is mounted at *path*, where the backup has something else."""
    return JobFailed(
        f"something is mounted at {os.fsdecode(path)}: nothing was restored",
        "unmount it, or restore into an empty directory and move the files",
    )


def in_the_way(path: bytes) -> JobFailed:
    """The directory *path* holds what is not in the backup, and is none there."""
    return JobFailed(
        f"{os.fsdecode(path)} is a directory with content, in the backup it is none: nothing was"
        " restored",
        "move it away, or restore into an empty directory",
    )


def _pass_on(source: int, target: int, status: os.stat_result) -> None:
    """Owner, mode, attributes and times of an open directory to another one."""
    if os.geteuid() == 0:
        os.chown(target, status.st_uid, status.st_gid)
    for attribute in _ACLS.intersection(os.listxattr(target)).difference(os.listxattr(source)):
        os.removexattr(target, attribute)
    shutil.copystat(f"/proc/self/fd/{source}", f"/proc/self/fd/{target}")
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _entries(folder: int) -> list[bytes]:
    return [os.fsencode(name) for name in os.listdir(folder)]


def _status(name: bytes, folder: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


@contextlib.contextmanager
def _both(name: bytes, source: int, target: int, path: bytes) -> Iterator[tuple[int, int]]:
    """The directory *name* in both, open."""
    with contextlib.ExitStack() as stack:
        try:
            opened = _enter(name, source, stack), _enter(name, target, stack)
        except OSError as error:
            if error.errno == errno.EMFILE:
                raise RecursionError from None
            raise OSError(error.errno, error.strerror, path) from None
        yield opened


def _holds(name: bytes, folder: int) -> bool:
    with contextlib.ExitStack() as stack:
        return bool(os.listdir(_enter(name, folder, stack)))


def check_mutable(name: bytes, folder: int, status: os.stat_result, path: bytes) -> None:
    """JobFailed when chattr keeps *name* in the open *folder* as it is; path: for messages."""
    if _is_immutable(name, folder, status):
        place = os.fsdecode(path)
        raise JobFailed(
            f"{place} must not be changed (chattr +i or +a): nothing was restored",
            f"chattr -i -a {shlex.quote(place)}, or restore into an empty directory",
        )


def _is_immutable(name: bytes, folder: int, status: os.stat_result) -> bool:
    """Whether chattr keeps the file or directory *name* from being changed or replaced."""
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return False
    try:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=folder)
    except OSError:
        return False
    try:
        answer = fcntl.ioctl(descriptor, _GET_FLAGS, bytes(8))
        return bool(int.from_bytes(answer[:4], sys.byteorder) & (_IMMUTABLE | _APPEND_ONLY))
    except OSError:  # a file system without such flags
        return False
    finally:
        os.close(descriptor)


def _left_alone(name: bytes, source: int, entry: os.stat_result, there: os.stat_result) -> bool:
    """Whether this is where a file system was mounted already when it was backed up."""
    mounted = stat.S_ISDIR(there.st_mode) and stat.S_ISDIR(entry.st_mode)
    return mounted and not _holds(name, source)


@contextlib.contextmanager
def _writable(folder: int) -> Iterator[None]:
    """Let the ordinary user who owns *folder* change it within the block."""
    status = os.fstat(folder)
    closed = os.geteuid() == status.st_uid != 0 and status.st_mode & 0o700 != 0o700
    if closed:
        os.chmod(folder, stat.S_IMODE(status.st_mode) | 0o700)
    try:
        yield
    finally:
        if closed:
            os.chmod(folder, stat.S_IMODE(status.st_mode))


def _move(source: int, name: bytes, target: int, new: bytes, path: bytes) -> None:
    """Rename; an ordinary user may rename a directory only while it is writable.

    path: where it goes, for messages.
    """
    try:
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode) and not status.st_mode & stat.S_IWUSR:
            mode = stat.S_IMODE(status.st_mode)
            with contextlib.ExitStack() as stack, defer_signals():
                moved = _enter(name, source, stack)
                os.chmod(moved, mode | stat.S_IWUSR)
                os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)
                os.chmod(moved, mode)
        else:
            os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
