# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage on the local disk: everything durable before it is seen, one writer a lock."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from coldchain.agent.process.signals import allow_signals, defer_signals
from coldchain.agent.storages.base import (
    LASTING_STEPS,
    PRIVATE,
    NotFollowed,
    only_writer,
    private_folder,
    private_name,
)
from coldchain.agent.storages.held_directory import (
    HeldDirectory,
    check_file,
    entries,
    remove_tree,
    sync_folder,
)
from coldchain.core.changers import changers
from coldchain.core.errors import CannotWrite, DataError, TryAgain, remedy
from coldchain.core.files import write_all
from coldchain.core.locks import NoLocks
from coldchain.core.trusted_path import Lure, open_below

_FILE_MODE = 0o600
#: To make a new file, for writing: nothing may be in its place.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: So many bytes are sent to the disk at once while a part is being written.
_WRITE_BEHIND = 16 << 20
#: Where a container knows a better way out than others.
_REMEDIES = {
    **dict.fromkeys(
        (errno.ENOSPC, errno.EDQUOT),
        "free some space (df, df -i), or remove old backups with the action admin",
    ),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.ELOOP), "make the container writable for this user"
    ),
}
#: Also a name that leads in circles, or is too long to be one, is the name of nothing.
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


class LocalStorage:
    """The container *root*, a directory; it is created by the first lock.

    It is opened once, and what lies in it is reached from there.
    locks: where this host keeps locks for containers whose file system has none.
    """

    def __init__(self, root: Path, locks: Path | None = None) -> None:
        self._root = HeldDirectory(root)
        self._locks = locks

    def names(self, folder: str) -> list[str]:
        """The entries of *folder*, sorted; DataError when it cannot be read."""
        try:
            return sorted(entries(self._root.look(folder).folder))
        except OSError as error:
            if _is_nothing(error):
                return []
            raise self._unreadable(folder, error) from None

    def identity(self, folder: str) -> Hashable:
        """Its device and inode."""
        try:
            status = os.fstat(self._root.look(folder).folder)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def size(self, path: str) -> int | None:
        """Bytes of the file *path*; DataError when that cannot be told, or it must not be read."""
        try:
            folder, name = self._look_above(path)
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            check_file(folder, status)
            return status.st_size if stat.S_ISREG(status.st_mode) else None
        except OSError as error:
            if _is_nothing(error):
                return None
            raise self._unreadable(path, error) from None

    def modified(self, path: str) -> float | None:
        """When *path* was last changed, POSIX seconds."""
        try:
            folder, name = self._look_above(path)
            return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
        except OSError:
            return None

    def open(self, path: str) -> BinaryIO:
        """A stream of the file *path*; DataError when it cannot be read."""
        try:
            folder, name = self._look_above(path)
            # A pipe in its place must not keep us waiting for somebody who writes to it.
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=folder)
            try:
                status = os.fstat(descriptor)
                check_file(folder, status)
                if not stat.S_ISREG(status.st_mode):
                    raise OSError(errno.EINVAL, "is not a file")
            except OSError:
                os.close(descriptor)
                raise
            return os.fdopen(descriptor, "rb")
        except OSError as error:
            raise self._unreadable(path, error) from None

    def fetch(self, paths: Sequence[str], folder: int) -> None:
        """Never: what is here is read where it lies."""

    def is_settled(self, path: str) -> bool:
        """Whether no other user can change the file, or put another one in its place."""
        ours = {0, os.geteuid()}
        try:
            with self._root.parent(path) as (folder, name, way):
                if way.others or way.lure is not None:
                    return False
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                others = {status.st_uid, *changers(folder, status)} - ours
                return not others and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        except OSError:
            return False

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock file of *name*, which lies in the container; CannotWrite, TryAgain.

        Where its file system has no locks, one of this host's stands in: other hosts that write
        there are not kept away.
        """
        what = f"{name} in {self._root.path}"
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(only_writer(_lock_file(self._root, PRIVATE, name), what))
            except NoLocks:
                if self._locks is None:
                    raise
                own = _lock_file(HeldDirectory(self._locks), "", f"{self._root.path}\0{name}")
                held.enter_context(only_writer(own, what))
            self._root.forget()  # another process may have written until now
            yield

    @contextlib.contextmanager
    def draft(self, lock: str, folder: str, marker: str) -> Iterator[LocalDraft]:
        """Write into ``.coldchain``, from where the folder is renamed to its place."""
        self._root.forget()
        for path in (folder, marker.rpartition("/")[0]):
            if self.names(path):
                raise _written_meanwhile(self._root.path / path)
        with defer_signals(), contextlib.ExitStack() as held:
            try:
                draft = LocalDraft(self._root, lock, folder, marker, held)
                with allow_signals():
                    yield draft
            finally:
                self.discard_drafts(lock)

    def discard_drafts(self, lock: str) -> int:
        """Remove what lies in ``.coldchain`` for *lock*: in how many trees there was something."""
        removed = 0
        self._root.forget()
        for top in self.names(""):
            path = private_folder(top, lock)
            with _writing(self._root.path / path):
                try:
                    with self._root.parent(path) as (folder, name, _unused):
                        remove_tree(folder, name)
                except (FileNotFoundError, NotADirectoryError):
                    continue
            removed += 1
        return removed

    def remove(self, lock: str, folder: str) -> None:
        """Rename *folder* out of sight, then remove it."""
        steps = folder.split("/")
        with defer_signals(), _writing(self._root.path / folder):
            with contextlib.ExitStack() as held:
                above, name, _unused = held.enter_context(self._root.parent(folder))
                status = os.stat(name, dir_fd=above, follow_symlinks=False)
                if not stat.S_ISDIR(status.st_mode):
                    raise OSError(errno.ENOTDIR, "is no directory of the container")
                remove_tree(self._aside(held, above, name, private_folder(folder, lock)), name)
            self.discard_drafts(lock)
            for depth in range(len(steps) - 1, LASTING_STEPS, -1):
                with self._root.parent("/".join(steps[:depth])) as (above, name, _unused):
                    try:
                        os.rmdir(name, dir_fd=above)
                    except OSError as error:
                        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                            break
                        raise
            self._root.forget()

    def _aside(self, held: contextlib.ExitStack, folder: int, name: str, private: str) -> int:
        """Where *name* of the open *folder* went: nobody sees it there half removed, and the next
        writer sweeps it."""
        try:
            way = held.enter_context(self._root.made(f"{private}/{secrets.token_hex(8)}"))
            os.rename(name, name, src_dir_fd=folder, dst_dir_fd=way.folder)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            return folder  # no room even for a folder: removing is what helps
        sync_folder(folder)
        return way.folder

    def close(self) -> None:
        """Let its file system be unmounted."""
        self._root.close()

    def _look_above(self, path: str) -> tuple[int, str]:
        """The open folder that *path* lies in, and its name there."""
        above, _unused, name = path.rpartition("/")
        return self._root.look(above).folder, name

    def _unreadable(self, path: str, error: OSError) -> DataError:
        if isinstance(error, Lure):
            return NotFollowed(f"{error.filename}: {error.strerror}", remedy(error))
        return DataError(
            f"{self._root.path / path}: cannot be read: {error.strerror}",
            "the backup is incomplete" if isinstance(error, FileNotFoundError) else "",
        )


class LocalDraft:
    """A folder in ``.coldchain`` until it is renamed to its place.

    held: keeps it open for as long as it is written; folder: where it was made, for people.
    """

    def __init__(
        self, root: HeldDirectory, lock: str, folder: str, marker: str, held: contextlib.ExitStack
    ) -> None:
        self._root, self._place, self._marker = root, folder, marker
        self._private = private_folder(marker, lock)
        self._name = folder.rpartition("/")[2]
        self.folder = root.path / private_folder(folder, lock) / self._name
        with _writing(self.folder):
            root.make()
            # Before anything is written: no link of somebody else leads to either place.
            for path in (folder, marker):
                root.check(path.rpartition("/")[0])
            above = held.enter_context(root.made(private_folder(folder, lock)))
            within = f"{private_folder(folder, lock)}/{self._name}"
            self._above, self._inside = above.folder, held.enter_context(root.made(within)).folder

    @contextlib.contextmanager
    def write(self, name: str) -> Iterator[Callable[[bytes], None]]:
        """A sink for the file *name*, which must not exist; on the disk when the block is left."""
        path = self.folder / name
        with _writing(path):
            descriptor = os.open(name, _NEW, _FILE_MODE, dir_fd=self._inside)

        written = begun = 0

        def sink(data: bytes) -> None:
            """Append *data*; CannotWrite."""
            nonlocal written, begun
            view = memoryview(data)
            with _writing(path):
                while view:
                    count = os.write(descriptor, view)
                    view, written = view[count:], written + count
            if written - begun >= _WRITE_BEHIND:
                # Nothing waits here, and the fsync at the end has little left to wait for.
                with contextlib.suppress(OSError):
                    os.posix_fadvise(descriptor, begun, written - begun, os.POSIX_FADV_DONTNEED)
                begun = written

        try:
            yield sink
            with _writing(path):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def commit(self, content: bytes) -> None:
        """The folder to its place, then the marker's in one rename: never half of it."""
        lasting, _unused, name = self._marker.rpartition("/")
        above, _unused, last = lasting.rpartition("/")
        place = self._root.path / self._place
        with defer_signals(), _writing(place), contextlib.ExitStack() as held:

            def made(folder: str) -> int:
                return held.enter_context(self._root.made(folder)).folder

            sync_folder(self._inside)
            _rename(self._name, self._above, made(self._place.rpartition("/")[0]), place)
            private = f"{self._private}/{above.rpartition('/')[2]}"
            marker = made(f"{private}/{last}")
            descriptor = os.open(name, _NEW, _FILE_MODE, dir_fd=marker)
            try:
                write_all(descriptor, content)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            sync_folder(marker)
            try:
                held.enter_context(self._root.folder(above))
            except FileNotFoundError:
                # Whoever lists the folders, freezer-agent say, need not expect an empty one.
                last, above, private = (
                    above.rpartition("/")[2],
                    *(path.rpartition("/")[0] for path in (above, private)),
                )
                sync_folder(made(f"{private}/{last}"))
            _rename(last, made(private), made(above), self._root.path / above / last)
            self._root.forget()


def _written_meanwhile(place: Path) -> TryAgain:
    return TryAgain(
        f"{place} was written by another program just now",
        "let only one program write there at a time, and run this again",
    )


def _lock_file(root: HeldDirectory, folder: str, name: str) -> int:
    file = f"{private_name(name)}.lock"
    with _writing(root.path / folder / file):
        root.make()
        with root.made(folder) as way:
            return open_below(way, file, os.O_RDWR | os.O_CREAT, _FILE_MODE)


def _is_nothing(error: OSError) -> bool:
    return error.errno in _NOT_THERE and not isinstance(error, Lure)


def _rename(name: str, source: int, target: int, place: Path) -> None:
    try:
        os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise _written_meanwhile(place) from None
        raise
    sync_folder(target)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        lure = isinstance(error, Lure)
        raise CannotWrite(
            f"{error.filename if lure else path}: cannot be written: {error.strerror}",
            (None if lure else _REMEDIES.get(error.errno or 0)) or remedy(error),
        ) from None
