# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring beside the target and moving into place only when everything is right."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from coldchain.agent.abort import disturbable, undisturbed
from coldchain.agent.mounts import mount_points
from coldchain.errors import CannotWrite, DataError, JobFailed

_PREFIX = ".coldchain-restore-"
_ACLS = frozenset({"system.posix_acl_access", "system.posix_acl_default"})


@dataclass(frozen=True)
class Stage:
    """*tree*: the folder to restore into; it lies in a folder of ours that nobody else can enter.

    target: the place it is meant for, links resolved.
    """

    tree: bytes
    target: bytes


def check_target(target: Path, *, overwrite: bool) -> bool:
    """Whether *target* is new or empty; DataError when it holds something that must stay."""
    if not os.path.lexists(target):
        return True
    if not target.is_dir():
        raise DataError(
            f"restore_abs_path {target} is not a directory", "name a directory to restore into"
        )
    try:
        names = [name for name in os.listdir(target) if not name.startswith(_PREFIX)]
    except OSError as error:
        raise CannotWrite(f"{target}: {error.strerror}") from None
    if names and not overwrite:
        raise DataError(
            f"restore_abs_path {target} is not empty",
            "choose another directory, or overwrite: true to replace what the backup holds"
            " and keep everything else",
        )
    return not names


@contextlib.contextmanager
def stage(target: Path) -> Iterator[Stage]:
    """A private folder on the target's file system; it is gone when the block is left."""
    resolved = Path(os.path.realpath(target))
    base = resolved
    with undisturbed():
        try:
            base = _base(resolved)
            _remove_stale(base)
            private, descriptor = _private_folder(base)
        except OSError as error:
            raise CannotWrite(
                f"{base}: cannot be written: {error.strerror}",
                "restore as a user that can write there, or somewhere else",
            ) from None
        try:
            with _as_restore_errors(resolved), disturbable():
                tree = private / "tree"
                tree.mkdir()
                yield Stage(os.fsencode(tree), os.fsencode(resolved))
        finally:
            _remove_tree(private)
            os.close(descriptor)


@contextlib.contextmanager
def _as_restore_errors(target: Path) -> Iterator[None]:
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
    resolved = Path(os.path.realpath(target))
    return sum(_remove_stale(base) for base in (resolved, *resolved.parents) if os.path.isdir(base))


def _private_folder(base: Path) -> tuple[Path, int]:
    """A new locked folder; another restore may take it for stale before it is locked."""
    while True:
        private = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        try:
            descriptor = os.open(private, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if private.is_dir():
            return private, descriptor
        os.close(descriptor)


def _base(target: Path) -> Path:
    """Beside the target; inside it when only that is the same file system or can be written."""
    if not target.exists():
        folder = target.parent
        while not folder.exists():
            folder = folder.parent
        return folder
    same = target.stat().st_dev == target.parent.stat().st_dev
    return target.parent if same and os.access(target.parent, os.W_OK | os.X_OK) else target


def _remove_stale(base: Path) -> int:
    """What killed restores left: folders of ours that no living process has locked."""
    removed = 0
    for path in base.glob(f"{_PREFIX}*"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:  # gone meanwhile, or nothing that a restore made
            continue
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove_tree(path)
                removed += 1
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
    return removed


def _remove_tree(path: Path) -> None:
    with contextlib.suppress(OSError, RecursionError):
        open_up(os.fsencode(path))
        shutil.rmtree(path)
    if path.exists():
        # Deeper than Python can follow; rm can.
        subprocess.run(["rm", "-rf", "--one-file-system", "--", path], check=False)


def open_up(tree: bytes) -> dict[bytes, int]:
    """Let an ordinary user enter and change every directory of *tree*.

    Returns the relative names of those that had to be changed, each after those that it lies in,
    with their modes.
    """
    changed: dict[bytes, int] = {}
    waiting = [] if os.geteuid() == 0 else [b""]
    while waiting:
        name = waiting.pop()
        path = os.path.join(tree, name)
        with contextlib.suppress(OSError):
            mode = stat.S_IMODE(os.lstat(path).st_mode)
            if mode & 0o700 != 0o700:
                os.chmod(path, mode | 0o700)
                changed[name] = mode
            with os.scandir(path) as entries:
                waiting += [
                    os.path.join(name, entry.name)
                    for entry in entries
                    if entry.is_dir(follow_symlinks=False)
                ]
    return changed


def everything(dummy: bytes) -> bool:
    return True


def place(
    staged: Stage,
    *,
    whole: bool,
    wanted: Callable[[bytes], bool] = everything,
    modes: Mapping[bytes, int] = MappingProxyType({}),
) -> None:
    """Move the tree to its target.

    whole: the target is new or empty and may become the tree itself.  Otherwise the entries are
    merged: what the tree holds replaces, what it does not hold stays.  *wanted* tells by relative
    name which directories also pass on their owner, mode and times; modes: of directories that
    have another one for the time being, what ``open_up`` returned.
    """
    target = staged.target
    try:
        due = {
            os.path.join(target, name) if name else target: mode
            for name, mode in modes.items()
            if os.path.lexists(os.path.join(staged.tree, name))
            and (wanted(name) or not os.path.lexists(os.path.join(target, name)))
        }
        if not whole or not _take_place(staged):
            os.makedirs(target, exist_ok=True)
            mounts = set(mount_points(target))
            _check_conflicts(staged.tree, target, mounts)
            _merge(staged.tree, target, b"", wanted, mounts)
        for path, mode in reversed(due.items()):
            os.chmod(path, mode)
    except OSError as error:
        name = os.fsdecode(error.filename2 or error.filename or target)
        raise CannotWrite(
            f"{name}: cannot be put into place: {error.strerror}",
            "what had been moved before stays; run the restore again after mending this",
        ) from None


def _take_place(staged: Stage) -> bool:
    """Let the tree become the target in one step, where the system allows that."""
    os.makedirs(os.path.dirname(staged.target), exist_ok=True)
    try:
        _move(staged.tree, staged.target)
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.EACCES, errno.EPERM, errno.ENOTEMPTY, errno.EINVAL):
            return False
        raise
    return True


def _check_conflicts(source: bytes, target: bytes, mounts: Collection[bytes]) -> None:
    """Before the first change: nothing that is not in the backup may have to go."""
    with _writable(target):
        for entry in list(os.scandir(source)):
            path = os.path.join(target, entry.name)
            try:
                there = os.lstat(path)
            except FileNotFoundError:
                continue
            if path in mounts:
                if _left_alone(entry, there):
                    continue
                raise JobFailed(
                    f"something is mounted at {os.fsdecode(path)}: nothing was restored",
                    "unmount it, or restore into an empty directory and move the files",
                )
            if not stat.S_ISDIR(there.st_mode):
                continue
            if entry.is_dir(follow_symlinks=False):
                _check_conflicts(entry.path, path, mounts)
            elif os.listdir(path):
                raise JobFailed(
                    f"{os.fsdecode(path)} is a directory with content, in the backup it is none:"
                    " nothing was restored",
                    "move it away, or restore into an empty directory",
                )


def _left_alone(entry: os.DirEntry[bytes], there: os.stat_result) -> bool:
    """Whether this is where a file system was mounted already when it was backed up."""
    mounted = stat.S_ISDIR(there.st_mode) and entry.is_dir(follow_symlinks=False)
    return mounted and not os.listdir(entry.path)


def _merge(
    source: bytes,
    target: bytes,
    name: bytes,
    wanted: Callable[[bytes], bool],
    mounts: Collection[bytes],
) -> None:
    status = os.lstat(source)  # its times change as soon as an entry leaves it
    with _writable(target):
        for entry in list(os.scandir(source)):
            path = os.path.join(target, entry.name)
            inner = os.path.join(name, entry.name)
            try:
                there = os.lstat(path)
            except FileNotFoundError:
                _move(entry.path, path)
                continue
            if entry.is_dir(follow_symlinks=False):
                if stat.S_ISDIR(there.st_mode):
                    if path not in mounts:
                        _merge(entry.path, path, inner, wanted, mounts)
                    continue
                os.unlink(path)
            elif stat.S_ISDIR(there.st_mode):
                os.rmdir(path)
            _move(entry.path, path)
    if wanted(name):
        if os.geteuid() == 0:
            os.chown(target, status.st_uid, status.st_gid)
        for attribute in _ACLS.intersection(os.listxattr(target)).difference(os.listxattr(source)):
            os.removexattr(target, attribute)
        shutil.copystat(source, target)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


@contextlib.contextmanager
def _writable(folder: bytes) -> Iterator[None]:
    """Let the ordinary user who owns *folder* change it within the block."""
    status = os.stat(folder)
    closed = os.geteuid() == status.st_uid != 0 and status.st_mode & 0o700 != 0o700
    if closed:
        os.chmod(folder, stat.S_IMODE(status.st_mode) | 0o700)
    try:
        yield
    finally:
        if closed:
            os.chmod(folder, stat.S_IMODE(status.st_mode))


def _move(source: bytes, target: bytes) -> None:
    """Rename; an ordinary user may rename a directory only while it is writable."""
    status = os.lstat(source)
    if stat.S_ISDIR(status.st_mode) and not status.st_mode & stat.S_IWUSR:
        mode = stat.S_IMODE(status.st_mode)
        with undisturbed():
            os.chmod(source, mode | stat.S_IWUSR)
            os.rename(source, target)
            os.chmod(target, mode)
    else:
        os.rename(source, target)
