# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring beside the target and moving into place only when everything is right."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import os
import re
import secrets
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from coldchain.agent.engines.tar.layout import STAGE
from coldchain.agent.mounts import mount_number, mount_points
from coldchain.agent.process.signals import allow_signals, defer_signals
from coldchain.core.errors import CannotWrite, DataError, JobFailed, Unavailable
from coldchain.core.locks import NoLocks, lock_within
from coldchain.core.trusted_path import ANYBODY, Way, user_name, walk

_PREFIX = STAGE
#: What a restore keeps in its folder: the tree, and levels that were fetched.
_OURS = re.compile(r"tree|levels?-[0-9a-f]{8}")
_ACLS = frozenset({"system.posix_acl_access", "system.posix_acl_default"})
#: ioctl_iflags(2); the number is that of most machines, and the others refuse it.
_GET_FLAGS, _IMMUTABLE, _APPEND_ONLY = 0x80086601, 0x10, 0x20
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class StagedTree(NamedTuple):
    """The folder to restore into; it lies in a folder of ours that nobody else can enter.

    tree: a path that leads to it whatever is renamed above it; descriptor: the open folder; path:
    where it was made; private: descriptor of the folder that it lies in, as "tree"; way: to the
    target; inside: it lies in the target itself; whole: the target is new or empty.
    """

    tree: bytes
    descriptor: int
    path: bytes
    private: int
    way: Way
    inside: bool
    whole: bool

    def check_owners(self, owners: Set[int]) -> None:
        """DataError unless who could change the way to the target owns all that is restored.

        owners: the user ids of everything in the tree.
        """
        strangers = set(self.way.others) - owners if len(owners) == 1 else set(self.way.others)
        if strangers and os.geteuid() == 0:
            raise _untrusted(self.way, min(strangers))

    def trusted(self) -> list[str]:
        """What ``trust_target`` took upon itself, as warnings."""
        if os.geteuid():
            return []
        return [
            f"trust_target: {user_name(user)} can rename what lies in {folder}, on the way to"
            f" {self.way.path}"
            for user, folder in sorted(self.way.others.items())
        ]


def check_target(target: Path, *, overwrite: bool, trust: bool = False) -> bool:
    """Whether *target* is new or empty; DataError when it holds something that must stay.

    trust: take the way to it although others could change it.
    """
    with _walking(target) as way:
        return _check(way, target, overwrite=overwrite, trust=trust)


@contextlib.contextmanager
def _walking(target: Path) -> Iterator[Way]:
    with contextlib.ExitStack() as stack:
        try:
            way = stack.enter_context(walk(target))
        except NotADirectoryError as error:
            name = os.fsdecode(error.filename)
            raise DataError(
                f"restore_abs_path {name} is not a directory", "name a directory to restore into"
            ) from None
        except OSError as error:
            raise CannotWrite(f"{target}: {error.strerror}") from None
        yield way


def _check(way: Way, target: Path, *, overwrite: bool, trust: bool) -> bool:
    if os.geteuid() == 0 and not trust:
        # One user may own all that comes back; that is known when it is there.
        if way.lure is not None:
            raise DataError(
                f"{way.lure}, a link on the way to restore_abs_path {target}, is somebody else's:"
                f" it leads to {way.path}",
                f"name {way.path} if that is meant, or trust_target: true",
            )
        if ANYBODY in way.others or len(way.others) > 1:
            raise _untrusted(way, min(way.others))
    if way.missing:
        return True
    try:
        descriptor = os.open(".", _OPEN, dir_fd=way.folder)
        try:
            names = [name for name in os.listdir(descriptor) if not name.startswith(_PREFIX)]
        finally:
            os.close(descriptor)
    except OSError as error:
        raise CannotWrite(f"{target}: {error.strerror}") from None
    if names and not overwrite:
        raise DataError(
            f"restore_abs_path {target} is not empty",
            "choose another directory, or overwrite: true to replace what the backup holds"
            " and keep everything else",
        )
    return not names


def _untrusted(way: Way, user: int) -> DataError:
    why = "" if user == ANYBODY else ", and does not own all that is restored"
    return DataError(
        f"{user_name(user)} can rename what lies in {way.others[user]}, on the way to"
        f" restore_abs_path {way.path}{why}: nothing was restored",
        "restore to a directory that only root can change, and move it; or trust_target: true",
    )


@contextlib.contextmanager
def stage(target: Path, *, overwrite: bool = False, trust: bool = False) -> Iterator[StagedTree]:
    """A private folder on the target's file system; it is gone when the block is left.

    It is reached through /proc, which has to be there.
    Raises DataError as ``check_target`` does, CannotWrite when it cannot be made.
    """
    if not os.path.isdir("/proc/self/fd"):
        raise Unavailable("/proc is not mounted", "mount -t proc proc /proc, and run this again")
    with _walking(target) as way:
        whole = _check(way, target, overwrite=overwrite, trust=trust)
        base, path, inside = _base(way)
        kept = os.fstat(base)
        with defer_signals():
            try:
                _remove_stale(base)
                name, private = _private_folder(base)
            except OSError as error:
                raise CannotWrite(
                    f"{path}: cannot be written: {error.strerror}",
                    "restore as a user that can write there, or somewhere else",
                ) from None
            try:
                with _as_restore_errors(way.path), allow_signals():
                    os.mkdir("tree", 0o755, dir_fd=private)
                    tree = os.open("tree", _OPEN, dir_fd=private)
                    try:
                        yield StagedTree(
                            tree=b"/proc/self/fd/%d" % tree,
                            descriptor=tree,
                            path=os.fsencode(os.path.join(path, name, "tree")),
                            private=private,
                            way=way,
                            inside=inside,
                            whole=whole,
                        )
                        kept = os.fstat(base)
                    finally:
                        os.close(tree)
            finally:
                _remove(base, name, private)
                os.close(private)
                if inside:
                    # The target's own time is what was restored, or what it was.
                    with contextlib.suppress(OSError):
                        times = kept.st_atime_ns, kept.st_mtime_ns
                        os.utime(f"/proc/self/fd/{base}", ns=times)


@contextlib.contextmanager
def _as_restore_errors(target: str) -> Iterator[None]:
    try:
        yield
    except RecursionError:
        raise JobFailed(
            "the backup's directories lie too deep in each other: nothing was restored",
            "docs/recovery.md shows how to restore it by hand; restore_paths may do for a part",
        ) from None
    except OSError as error:
        name = os.fsdecode(error.filename or target)
        raise CannotWrite(f"{name}: {error.strerror}", "nothing was restored") from None


def discard(target: Path) -> int:
    """Remove what killed restores to *target* left; how many folders.

    They may lie in any folder above it: the one that was the nearest when the restore began need
    not be so any more.
    """
    removed = 0
    resolved = Path(os.path.realpath(target))
    for base in (resolved, *resolved.parents):
        with contextlib.suppress(OSError):
            descriptor = os.open(base, _OPEN)
            try:
                removed += _remove_stale(descriptor)
            finally:
                os.close(descriptor)
    return removed


def _private_folder(base: int) -> tuple[str, int]:
    """A new locked folder in *base*; another restore may take it for stale before it is locked."""
    while True:
        name = _PREFIX + secrets.token_hex(4)
        try:
            os.mkdir(name, 0o700, dir_fd=base)
        except FileExistsError:
            continue
        except FileNotFoundError:  # /proc says so, and a directory that was removed meanwhile
            raise DataError(
                "restore_abs_path lies where no directory can be made", "choose another directory"
            ) from None
        try:
            descriptor = os.open(name, _OPEN, dir_fd=base)
        except FileNotFoundError:
            continue
        with contextlib.suppress(NoLocks):  # then nobody takes it for stale, ever
            lock_within(descriptor, math.inf)
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            os.close(descriptor)
            raise OSError(errno.EPERM, "somebody else puts folders in the place of ours", name)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(name, dir_fd=base, follow_symlinks=False), status):
                return name, descriptor
        os.close(descriptor)


def _base(way: Way) -> tuple[int, str, bool]:
    """Beside the target; inside it when only that is the same mount or can be written.

    (descriptor, path, whether it is the target itself)
    """
    if way.missing:
        path = way.path
        for _unused in way.missing:
            path = os.path.dirname(path)
        return way.folder, path, False
    beside = way.parent
    if (
        beside is not None
        and mount_number(beside) == mount_number(way.folder)
        and os.access(".", os.W_OK | os.X_OK, dir_fd=beside)
    ):
        return beside, os.path.dirname(way.path), False
    return way.folder, way.path, True


def _remove_stale(base: int) -> int:
    """What killed restores left: folders of ours that no living process has locked."""
    removed = 0
    try:
        listed = os.open(".", _OPEN, dir_fd=base)
    except PermissionError:
        # Whoever may not look there cannot have left anything to be seen.
        return 0
    try:
        names = [name for name in os.listdir(listed) if name.startswith(_PREFIX)]
    finally:
        os.close(listed)
    for name in names:
        try:
            descriptor = os.open(name, _OPEN, dir_fd=base)
        except OSError:  # gone meanwhile, or nothing that a restore made
            continue
        try:
            # Who may rename in *base* could give the name to a folder of ours with other things.
            status = os.fstat(descriptor)
            private = status.st_uid == os.geteuid() and not status.st_mode & 0o077
            ours = private and all(map(_OURS.fullmatch, os.listdir(descriptor)))
            if ours and lock_within(descriptor):
                _remove(base, name, descriptor)
                removed += 1
        except NoLocks:
            pass  # a restore may be at work in it
        finally:
            os.close(descriptor)
    return removed


def _remove(base: int, name: str, descriptor: int) -> None:
    """Remove the folder *name* in *base*, which is open as *descriptor*, and all that it holds."""
    folder = f"/proc/self/fd/{descriptor}"
    with contextlib.suppress(OSError, RecursionError):
        open_up(descriptor)
    for entry in os.listdir(descriptor):
        path = os.path.join(folder, entry)
        with contextlib.suppress(OSError, RecursionError):
            if stat.S_ISDIR(os.lstat(path).st_mode):
                shutil.rmtree(path)
            else:
                os.unlink(path)
    left = os.listdir(descriptor)
    if left:
        # Deeper than Python can follow; rm can.
        command = ["rm", "-rf", "--one-file-system", "--", *left]
        subprocess.run(command, check=False, cwd=folder)
    with contextlib.suppress(OSError):
        os.rmdir(name, dir_fd=base)


def folders(tree: int) -> Iterator[tuple[bytes, int, Iterator[os.DirEntry[str]]]]:
    """Every directory of the open *tree*: its relative name, a descriptor, and its entries.

    The entries have to be gone through; the directories among them come later.  No path is longer
    than the name in the tree, so that whatever tar can make can be reached.
    """
    waiting = [b""]

    def each(name: bytes, listing: Iterator[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
        for entry in listing:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(os.path.join(name, os.fsencode(entry.name)))
            yield entry

    while waiting:
        name = waiting.pop()
        descriptor = os.open(name or b".", _OPEN, dir_fd=tree)
        try:
            with os.scandir(descriptor) as listing:
                yield name, descriptor, each(name, listing)
        finally:
            os.close(descriptor)


def open_up(tree: int) -> dict[bytes, int]:
    """Let an ordinary user enter and change every directory of the open *tree*.

    Returns the relative names of those that had to be changed, each after those that it lies in,
    with their modes.
    """
    changed: dict[bytes, int] = {}
    waiting = [] if os.geteuid() == 0 else [b""]
    while waiting:
        name = waiting.pop()
        with contextlib.suppress(OSError):
            place = name or b"."
            mode = stat.S_IMODE(os.stat(place, dir_fd=tree, follow_symlinks=False).st_mode)
            if mode & 0o700 != 0o700:
                os.chmod(place, mode | 0o700, dir_fd=tree)
                changed[name] = mode
            descriptor = os.open(place, _OPEN, dir_fd=tree)
            try:
                with os.scandir(descriptor) as entries:
                    waiting += [
                        os.path.join(name, os.fsencode(entry.name))
                        for entry in entries
                        if entry.is_dir(follow_symlinks=False)
                    ]
            finally:
                os.close(descriptor)
    return changed


def everything(dummy: bytes) -> bool:
    """Every name is wanted."""
    return True


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
            os.mkdir(name, dir_fd=parent)
        parent = _enter(name, parent, stack)
    return parent, way.missing[-1]


def _enter(name: str | bytes, folder: int, stack: contextlib.ExitStack) -> int:
    try:
        descriptor = os.open(name, _OPEN, dir_fd=folder)
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
        os.mkdir(name, dir_fd=parent)
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
                    raise JobFailed(
                        f"something is mounted at {os.fsdecode(full)}: nothing was restored",
                        "unmount it, or restore into an empty directory and move the files",
                    )
                if _is_immutable(name, target, there):
                    raise JobFailed(
                        f"{os.fsdecode(full)} must not be changed (chattr +i or +a): nothing was"
                        " restored",
                        f"chattr -i -a {os.fsdecode(full)}, or restore into an empty directory",
                    )
                if not stat.S_ISDIR(there.st_mode):
                    continue
                if stat.S_ISDIR(entry.st_mode):
                    with _both(name, source, target, full) as (inner, other):
                        self.check(inner, other, full)
                elif _holds(name, target):
                    raise JobFailed(
                        f"{os.fsdecode(full)} is a directory with content, in the backup it is"
                        " none: nothing was restored",
                        "move it away, or restore into an empty directory",
                    )

    def run(self, source: int, target: int, path: bytes, name: bytes) -> None:
        """Move what *source* holds; *name*: of both relative to the tree."""
        status = os.fstat(source)  # its times change as soon as an entry leaves it
        with _writable(target):
            for entry in _entries(source):
                full = os.path.join(path, entry)
                there, here = _status(entry, target), _status(entry, source)
                if there is not None and here is not None:
                    if stat.S_ISDIR(here.st_mode):
                        if stat.S_ISDIR(there.st_mode):
                            if full not in self._mounts:
                                with _both(entry, source, target, full) as (inner, other):
                                    self.run(inner, other, full, os.path.join(name, entry))
                            continue
                        os.unlink(entry, dir_fd=target)
                    elif stat.S_ISDIR(there.st_mode):
                        os.rmdir(entry, dir_fd=target)
                _move(source, entry, target, entry, full)
        if self._wanted(name):
            _pass_on(source, target, status)


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
