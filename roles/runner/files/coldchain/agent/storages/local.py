# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage on the local disk: everything durable before it is seen, one writer a lock."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from coldchain.agent.process.signals import allow_signals, defer_signals
from coldchain.agent.storages.base import (
    LASTING_STEPS,
    PRIVATE,
    only_writer,
    private_folder,
    private_name,
)
from coldchain.core.errors import CannotWrite, DataError, TryAgain, remedy
from coldchain.core.files import sync_directory, write_all
from coldchain.core.locks import NoLocks
from coldchain.core.trusted_path import open_file, refuse_lure, walk, writers

_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
#: So many bytes are sent to the disk at once while a part is being written.
_WRITE_BEHIND = 16 << 20
#: Where a container knows a better way out than others.
_REMEDIES = {
    **dict.fromkeys(
        (errno.ENOSPC, errno.EDQUOT), "free some space, or remove old backups with the action admin"
    ),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.ELOOP), "make the container writable for this user"
    ),
}
#: Also a name that leads in circles, or is too long to be one, is the name of nothing.
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


class LocalStorage:
    """The container *root*, a directory; it is created by the first lock.

    locks: where this host keeps locks for containers whose file system has none.
    """

    def __init__(self, root: Path, locks: Path | None = None) -> None:
        self._root = root
        self._locks = locks

    def names(self, folder: str) -> list[str]:
        """The entries of *folder*, sorted; DataError when it cannot be read."""
        try:
            return sorted(os.listdir(self._root / folder))
        except OSError as error:
            if error.errno in _NOT_THERE:
                return []
            raise _unreadable(self._root / folder, error) from None

    def identity(self, folder: str) -> Hashable:
        """Its device and inode."""
        try:
            status = os.stat(f"{self._root}/{folder}")
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def size(self, path: str) -> int | None:
        """Bytes of the file *path*; DataError when that cannot be told."""
        try:
            status = (self._root / path).stat()
            return status.st_size if stat.S_ISREG(status.st_mode) else None
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise _unreadable(self._root / path, error) from None

    def modified(self, path: str) -> float | None:
        """When *path* was last changed, POSIX seconds."""
        try:
            return (self._root / path).stat().st_mtime
        except OSError:
            return None

    def open(self, path: str) -> BinaryIO:
        """A stream of the file *path*; DataError when it cannot be read."""
        whole = self._root / path
        try:
            # A pipe in its place must not keep us waiting for somebody who writes to it.
            descriptor = os.open(whole, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise OSError(errno.EINVAL, "is not a file")
            return os.fdopen(descriptor, "rb")
        except OSError as error:
            raise _unreadable(whole, error) from None

    def fetch(self, paths: Sequence[str], folder: int) -> None:
        """Never: what is here is read where it lies."""

    def is_settled(self, path: str) -> bool:
        """Whether no other user can change the file, or put another one in its place."""
        ours = {0, os.geteuid()}
        whole = self._root / path
        try:
            with walk(whole.parent) as way:
                if way.missing or way.others or way.lure is not None:
                    return False
                status = os.stat(whole.name, dir_fd=way.folder, follow_symlinks=False)
                others = {status.st_uid, *writers(os.fstat(way.folder), status)} - ours
                return not others and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        except OSError:
            return False

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock file of *name*, which lies in the container; CannotWrite, TryAgain.

        Where its file system has no locks, one of this host's stands in: other hosts that write
        there are not kept away.
        """
        what = f"{name} in {self._root}"
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(only_writer(self._lock_file(self._root / PRIVATE, name), what))
            except NoLocks:
                if self._locks is None:
                    raise
                own = self._lock_file(self._locks, f"{self._root}\0{name}")
                held.enter_context(only_writer(own, what))
            yield

    def _lock_file(self, folder: Path, name: str) -> int:
        path = folder / f"{private_name(name)}.lock"
        with _writing(path):
            _check_way(folder)
            _make_folders(folder)
            return open_file(path, os.O_RDWR | os.O_CREAT, _FILE_MODE)

    @contextlib.contextmanager
    def draft(self, lock: str, folder: str, marker: str) -> Iterator[LocalDraft]:
        """Write into ``.coldchain``, from where the folder is renamed to its place."""
        for path in (folder, marker.rpartition("/")[0]):
            if self.names(path):
                raise _written_meanwhile(self._root / path)
        draft = LocalDraft(self._root, lock, folder, marker)
        with defer_signals():
            try:
                with allow_signals():
                    with _writing(draft.folder):
                        for made in (draft.folder, self._root / folder, self._root / marker):
                            _check_way(made.parent)
                        _make_folders(draft.folder)
                    yield draft
            finally:
                self.discard_drafts(lock)

    def discard_drafts(self, lock: str) -> int:
        """Remove what lies in ``.coldchain`` for *lock*: in how many trees there was something."""
        removed = 0
        for top in self.names(""):
            folder = self._root / private_folder(top, lock)
            if os.path.isdir(folder):
                with _writing(folder):
                    _check_way(folder)
                    shutil.rmtree(folder)
                removed += 1
        return removed

    def remove(self, lock: str, folder: str) -> None:
        """Rename *folder* out of sight, then remove it."""
        path = self._root / folder
        private = self._root / private_folder(folder, lock)
        with defer_signals(), _writing(path):
            for way in (path, private):
                _check_way(way)
            shutil.rmtree(_aside(path, private))
            self.discard_drafts(lock)
            for parent in path.relative_to(self._root).parents:
                if len(parent.parts) <= LASTING_STEPS:
                    break
                try:
                    (self._root / parent).rmdir()
                except OSError as error:
                    if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                        break
                    raise


class LocalDraft:
    """A folder in ``.coldchain`` until it is renamed to its place."""

    def __init__(self, root: Path, lock: str, folder: str, marker: str) -> None:
        self._place, self._marker = root / folder, root / marker
        self.folder = root / private_folder(folder, lock) / self._place.name
        self._private = root / private_folder(marker, lock)

    @contextlib.contextmanager
    def write(self, name: str) -> Iterator[Callable[[bytes], None]]:
        """A sink for the file *name*, which must not exist; on the disk when the block is left."""
        path = self.folder / name
        with _writing(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)

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
        place, lasting = self._place, self._marker.parent
        private = self._private / lasting.parent.name
        with defer_signals(), _writing(place):
            sync_directory(self.folder)
            _make_folders(place.parent)
            _rename(self.folder, place)
            _make_folders(private / lasting.name)
            path = private / lasting.name / self._marker.name
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
            try:
                write_all(descriptor, content)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            sync_directory(path.parent)
            # Whoever lists the folders, freezer-agent say, need not expect an empty one.
            new = not lasting.parent.exists()
            _make_folders(lasting.parent.parent if new else lasting.parent)
            if new:
                sync_directory(private)
                _rename(private, lasting.parent)
            else:
                _rename(private / lasting.name, lasting)


def _check_way(path: Path) -> None:
    """OSError when root would change something behind a link that somebody else made."""
    with walk(path) as way:
        refuse_lure(way)


def _aside(path: Path, private: Path) -> Path:
    """Where *path* went: nobody sees it there half removed, and the next writer sweeps it."""
    try:
        _make_folders(private)
        aside = path.rename(Path(tempfile.mkdtemp(dir=private), path.name))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return path  # no room even for a folder: removing is what helps
    sync_directory(path.parent)
    return aside


def _make_folders(path: Path) -> None:
    """mkdir -p, each new folder private, whatever the umask is, and durable in its parent."""
    missing = [path]
    while not missing[-1].exists():
        missing.append(missing[-1].parent)
    for folder in reversed(missing[:-1]):
        with contextlib.suppress(FileExistsError):  # another writer was as quick
            folder.mkdir(mode=_FOLDER_MODE)
        sync_directory(folder.parent)


def _rename(source: Path, place: Path) -> None:
    try:
        source.rename(place)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise _written_meanwhile(place) from None
        raise
    sync_directory(place.parent)


def _written_meanwhile(place: Path) -> TryAgain:
    return TryAgain(
        f"{place} was written by another program just now",
        "let only one program write there at a time, and run this again",
    )


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{path}: cannot be read: {error.strerror}",
        "the backup is incomplete" if isinstance(error, FileNotFoundError) else "",
    )


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        name = error.filename if error.errno == errno.ELOOP else path
        raise CannotWrite(
            f"{name}: cannot be written: {error.strerror}",
            _REMEDIES.get(error.errno or 0) or remedy(error),
        ) from None
