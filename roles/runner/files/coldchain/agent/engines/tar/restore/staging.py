# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring beside the target and moving into place only when everything is right."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
import secrets
import shutil
import stat
import subprocess
from collections.abc import Iterator, Set
from pathlib import Path
from typing import NamedTuple

from coldchain.agent.engines.tar.restore.open_tree import OPEN_FOLDER, not_writable, open_up
from coldchain.agent.mounts import mount_number
from coldchain.agent.process.signals import allow_signals, defer_signals
from coldchain.core.changers import ANYBODY, user_name
from coldchain.core.errors import CannotWrite, DataError, JobFailed, Unavailable, remedy
from coldchain.core.fixed_modes import mount_remedy
from coldchain.core.locks import NoLocks, lock_within
from coldchain.core.trusted_path import Way, walk

#: How the name of a restore's folder begins; a user's own may begin so, too.
STAGE = b".coldchain-restore-"
_MOST_BYTES = 4095  # of a path, to Linux
_NAME = re.compile(r"\.coldchain-restore-[0-9a-f]{8}")
#: The first file in a restore's folder and the last to go: nobody else's folder has it.
_MARK = "coldchain-restore"
#: What a restore keeps in its folder beside that: the tree, and levels that were fetched.
_OURS = re.compile(rf"{_MARK}|tree|levels?-[0-9a-f]{{8}}")


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
            if len(os.fsencode(way.path)) > _MOST_BYTES:  # nobody could name what was restored
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        except NotADirectoryError as error:
            name = os.fsdecode(error.filename)
            raise DataError(
                f"restore_abs_path {name} is not a directory", "name a directory to restore into"
            ) from None
        except OSError as error:
            raise CannotWrite(f"{target}: {error.strerror}", remedy(error)) from None
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
        descriptor = os.open(".", OPEN_FOLDER, dir_fd=way.folder)
        try:
            names = [name for name in os.listdir(descriptor) if not _is_ours(descriptor, name)]
        finally:
            os.close(descriptor)
    except OSError as error:
        raise CannotWrite(f"{target}: {error.strerror}", remedy(error)) from None
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
        mount_remedy(way.others[user])
        or "restore to a directory that only root can change, and move it; or trust_target: true",
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
                name, private = _private_folder(base, path)
            except OSError as error:
                raise not_writable(path, error) from None
            try:
                with _as_restore_errors(way.path), allow_signals():
                    os.mkdir("tree", 0o755, dir_fd=private)
                    tree = os.open("tree", OPEN_FOLDER, dir_fd=private)
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
        # What lies in the folder that is open as a descriptor is named by itself.
        name = os.path.join(target, os.fsdecode(error.filename or b""))
        hint = f"nothing was restored; {remedy(error)}"
        raise CannotWrite(f"{name}: {error.strerror}", hint) from None


def discard(target: Path) -> int:
    """Remove what killed restores to *target* left; how many folders.

    They may lie in any folder above it: the one that was the nearest when the restore began need
    not be so any more.
    """
    removed = 0
    resolved = Path(os.path.realpath(target))
    for base in (resolved, *resolved.parents):
        with contextlib.suppress(OSError):
            descriptor = os.open(base, OPEN_FOLDER)
            try:
                removed += _remove_stale(descriptor)
            finally:
                os.close(descriptor)
    return removed


def _private_folder(base: int, path: str) -> tuple[str, int]:
    """A new locked folder in *base*; another restore may take it for stale before it is locked.

    path: of *base*, for messages.
    """
    while True:
        name = os.fsdecode(STAGE) + secrets.token_hex(4)
        try:
            os.mkdir(name, 0o700, dir_fd=base)
        except FileExistsError:
            continue
        except FileNotFoundError:  # /proc says so, and a directory that was removed meanwhile
            raise DataError(
                "restore_abs_path lies where no directory can be made", "choose another directory"
            ) from None
        try:
            descriptor = os.open(name, OPEN_FOLDER, dir_fd=base)
        except FileNotFoundError:
            continue
        with contextlib.suppress(NoLocks):  # then nobody takes it for stale, ever
            lock_within(descriptor, math.inf)
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or status.st_mode & 0o077 or os.listdir(descriptor):
            os.close(descriptor)
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=base)
            raise _not_private(path, status)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(name, dir_fd=base, follow_symlinks=False), status):
                _mark(base, name, descriptor)
                return name, descriptor
        os.close(descriptor)


def _not_private(path: str, status: os.stat_result) -> CannotWrite:
    """A restore would not be alone with what it restores."""
    return CannotWrite(
        f"{path}: a folder that this user makes there belongs to {user_name(status.st_uid)}, with"
        f" mode {stat.S_IMODE(status.st_mode):04o}: others could get at what is being restored",
        f"{mount_remedy(path) or 'somebody else may put folders in the place of ours there'}; or"
        " restore to a file system of this host's own, as ext4 or xfs, and copy the files",
    )


def _mark(base: int, name: str, descriptor: int) -> None:
    """Say of the new folder *name* in *base*, open as *descriptor*, that a restore made it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        os.close(os.open(_MARK, flags, 0o600, dir_fd=descriptor))
    except OSError:
        _remove(base, name, descriptor)
        os.close(descriptor)
        raise


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
        listed = os.open(".", OPEN_FOLDER, dir_fd=base)
    except PermissionError:
        # Whoever may not look there cannot have left anything to be seen.
        return 0
    try:
        names = list(filter(_NAME.fullmatch, os.listdir(listed)))
    finally:
        os.close(listed)
    for name in names:
        try:
            descriptor = os.open(name, OPEN_FOLDER, dir_fd=base)
        except OSError:  # gone meanwhile, or nothing that a restore made
            continue
        try:
            # Who may rename in *base* could give the name to a folder of ours with other things.
            if _is_stale(descriptor) and lock_within(descriptor):
                _remove(base, name, descriptor)
                removed += 1
        except NoLocks:
            pass  # a restore may be at work in it
        finally:
            os.close(descriptor)
    return removed


def is_stage(path: bytes) -> bool:
    """Whether a restore, whoever's, works in the directory *path*, or was killed there."""
    if _NAME.fullmatch(os.fsdecode(os.path.basename(path))) is None:
        return False
    try:
        descriptor = os.open(path, OPEN_FOLDER)
    except OSError:
        return False
    try:
        return _is_marked(descriptor)
    finally:
        os.close(descriptor)


def _is_ours(folder: int, name: str) -> bool:
    """Whether *name* in the open *folder* is what this user's restores make, and remove."""
    if _NAME.fullmatch(name) is None:
        return False
    try:
        descriptor = os.open(name, OPEN_FOLDER, dir_fd=folder)
    except OSError:
        return False
    try:
        return _is_stale(descriptor)
    finally:
        os.close(descriptor)


def _is_stale(descriptor: int) -> bool:
    """Whether a restore of this user made the open folder, unless it is at work in it."""
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        return False
    # One that was killed at once has nothing in its folder yet.
    return _is_marked(descriptor) or not os.listdir(descriptor)


def _is_marked(descriptor: int) -> bool:
    """Whether the open folder is private, has a restore's mark, and holds nothing of others."""
    try:
        folder, held = os.fstat(descriptor), os.listdir(descriptor)
        mark = os.stat(_MARK, dir_fd=descriptor, follow_symlinks=False)
    except OSError:
        return False
    if folder.st_mode & 0o077 or not all(map(_OURS.fullmatch, held)):
        return False
    return stat.S_ISREG(mark.st_mode) and not mark.st_size and mark.st_uid == folder.st_uid


def _remove(base: int, name: str, descriptor: int) -> None:
    """Remove the folder *name* in *base*, which is open as *descriptor*, and all that it holds."""
    folder = f"/proc/self/fd/{descriptor}"
    with contextlib.suppress(OSError, RecursionError):
        open_up(descriptor)
    for entry in _unmarked(descriptor):
        path = os.path.join(folder, entry)
        with contextlib.suppress(OSError, RecursionError):
            if stat.S_ISDIR(os.lstat(path).st_mode):
                shutil.rmtree(path)
            else:
                os.unlink(path)
    left = _unmarked(descriptor)
    if left:
        # Deeper than Python can follow; rm can.
        command = ["rm", "-rf", "--one-file-system", "--", *left]
        subprocess.run(command, check=False, cwd=folder)
    with contextlib.suppress(OSError):
        if not _unmarked(descriptor):  # or the next restore would not know it
            with contextlib.suppress(FileNotFoundError):
                os.unlink(_MARK, dir_fd=descriptor)
            os.rmdir(name, dir_fd=base)


def _unmarked(descriptor: int) -> list[str]:
    return [name for name in os.listdir(descriptor) if name != _MARK]
