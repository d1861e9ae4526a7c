# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage on the local disk: everything durable before it is seen, one writer a series."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from coldchain.agent.abort import disturbable, undisturbed
from coldchain.agent.layout import DATA, ENGINE, METADATA, Level, Series
from coldchain.agent.storage import only_writer
from coldchain.errors import CannotWrite, DataError, TryAgain

#: Freezer lists only metadata/tar/HOST_NAME, so a sibling of "tar" is invisible to it.
PRIVATE = ".coldchain"
_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
#: So many bytes are sent to the disk at once while a part is being written.
_WRITE_BEHIND = 16 << 20


class LocalStorage:
    """The container *root*, a directory; it is created by the first lock."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(self._root / folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise _unreadable(self._root / folder, error) from None

    def size(self, path: str) -> int | None:
        try:
            return (self._root / path).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(self._root / path, error) from None

    def modified(self, path: str) -> float | None:
        try:
            return (self._root / path).stat().st_mtime
        except OSError:
            return None

    def open(self, path: str) -> BinaryIO:
        try:
            return (self._root / path).open("rb")
        except OSError as error:
            raise _unreadable(self._root / path, error) from None

    @contextlib.contextmanager
    def lock(self, series: Series) -> Iterator[None]:
        path = self._root / PRIVATE / f"{series_key(series)}.lock"
        with _writing(path):
            path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        with only_writer(descriptor, f"{series.host_name} in {self._root}"):
            yield

    @contextlib.contextmanager
    def draft(self, series: Series, level: Level) -> Iterator[LocalDraft]:
        draft = LocalDraft(self._root, series, level)
        with undisturbed():
            try:
                with disturbable():
                    with _writing(draft.folder):
                        draft.folder.mkdir(mode=_FOLDER_MODE, parents=True)
                    yield draft
            finally:
                self._discard(series)

    def discard_drafts(self, series: Series) -> int:
        return self._discard(series)

    def remove(self, series: Series, folder: str) -> None:
        path = self._root / folder
        tree = self._root / Path(folder).parts[0]
        top = tree / ENGINE
        with undisturbed(), _writing(path):
            shutil.rmtree(_aside(path, tree / PRIVATE / series_key(series)))
            self._discard(series)
            for parent in path.parents:
                if parent == top or top not in parent.parents:
                    break
                try:
                    parent.rmdir()
                except OSError as error:
                    if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                        break
                    raise

    def _discard(self, series: Series) -> int:
        removed = 0
        for tree in (DATA, METADATA):
            folder = self._root / tree / PRIVATE / series_key(series)
            if folder.exists():
                with _writing(folder):
                    shutil.rmtree(folder)
                removed += 1
        return removed


class LocalDraft:
    """A level below data/.coldchain until it is renamed to its place."""

    def __init__(self, root: Path, series: Series, level: Level) -> None:
        self._root, self._series, self._level = root, series, level
        self.folder = root / DATA / PRIVATE / series_key(series) / level.name

    @contextlib.contextmanager
    def write(self, name: str) -> Iterator[Callable[[bytes], None]]:
        path = self.folder / name
        with _writing(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)

        written = begun = 0

        def sink(data: bytes) -> None:
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

    def commit(self, metadata: bytes) -> None:
        """Data to its place, then the metadata's folder in one rename: never half a level."""
        place = self._root / self._series.data_of(self._level)
        marker = self._root / self._series.metadata_of(self._level)
        private = self._root / METADATA / PRIVATE / series_key(self._series) / str(self._level.zero)
        with undisturbed(), _writing(place):
            _sync_folder(self.folder)
            _make_folders(place.parent)
            _rename(self.folder, place)
            (private / self._level.name).mkdir(mode=_FOLDER_MODE, parents=True)
            path = private / self._level.name / METADATA
            with open(path, "xb", opener=_private_file) as stream:
                stream.write(metadata)
                stream.flush()
                os.fsync(stream.fileno())
            _sync_folder(path.parent)
            # Freezer fails on a chain without levels, so a new chain appears together with its 0.
            new_chain = not marker.parent.exists()
            _make_folders(marker.parent.parent if new_chain else marker.parent)
            if new_chain:
                _sync_folder(private)
                _rename(private, marker.parent)
            else:
                _rename(private / self._level.name, marker)


def series_key(series: Series) -> str:
    """A name of constant length for files of ours about *series*."""
    return hashlib.sha256(os.fsencode(series.host_name)).hexdigest()[:32]


def _aside(path: Path, private: Path) -> Path:
    """Where *path* went: nobody sees it there half removed, and the next writer sweeps it."""
    try:
        private.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        aside = path.rename(Path(tempfile.mkdtemp(dir=private), path.name))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return path  # no room even for a folder: removing is what helps
    _sync_folder(path.parent)
    return aside


def _private_file(path: str, flags: int) -> int:
    return os.open(path, flags, _FILE_MODE)


def _make_folders(path: Path) -> None:
    """mkdir -p, each new name made durable in its parent."""
    missing = [path]
    while not missing[-1].exists():
        missing.append(missing[-1].parent)
    for folder in reversed(missing[:-1]):
        folder.mkdir(mode=_FOLDER_MODE)
        _sync_folder(folder.parent)


def _rename(source: Path, place: Path) -> None:
    try:
        source.rename(place)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise TryAgain(
                f"{place} was written by another program in this very second",
                "let only one program write a chain at a time, and run this again",
            ) from None
        raise
    _sync_folder(place.parent)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise CannotWrite(
            f"{path}: cannot be written: {error.strerror}",
            "free some space, or remove old chains with the action admin"
            if full
            else "make the container writable for this user",
        ) from None
