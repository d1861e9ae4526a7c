# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage behind rclone: parts go straight to their place, the commit marker follows when all
of them have arrived.

What tells a half-written level from somebody else's is a note in this host's lock file: it names
the level from its first byte to its commit, and the next run of the chain removes what it names.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from coldchain.agent.abort import disturbable, undisturbed
from coldchain.agent.layout import ENGINE, MANIFEST, METADATA, Level, Series
from coldchain.agent.listing import Entry, Listing, parse
from coldchain.agent.local import PRIVATE, series_key
from coldchain.agent.location import Location
from coldchain.agent.rclone import Rclone
from coldchain.agent.remotes import Remote
from coldchain.agent.storage import only_writer
from coldchain.errors import CannotWrite, ColdchainError, DataError, TryAgain

#: Bytes of small files (metadata, manifests) that are kept, and the largest one of them.
_KEPT, _SMALL = 16 << 20, 1 << 20


class RemoteStorage:
    """A container on a remote.

    locks: the directory of this host's lock files; series: the only one of interest, then
    nothing else is listed.
    """

    def __init__(
        self,
        location: Location,
        rclone: Rclone,
        remote: Remote,
        locks: Path | None,
        series: Series | None = None,
    ) -> None:
        self.location = location
        self.rclone, self.remote = rclone, remote
        self._locks = locks
        self._roots = (series.metadata_folder, series.data_folder) if series else ()
        self._listed: list[str] = []
        self._listing = Listing()
        self._small: dict[str, bytes] = {}
        self._note: int | None = None

    # -- reading

    def names(self, folder: str) -> list[str]:
        self._list_around(folder)
        return self._listing.names(folder)

    def size(self, path: str) -> int | None:
        self._list_around(path)
        entry = self._listing.get(path)
        return entry.size if entry else None

    def modified(self, path: str) -> float | None:
        self._list_around(path)
        entry = self._listing.get(path)
        return entry.modified if entry else None

    def open(self, path: str) -> BinaryIO:
        size = self.size(path)
        if size is None:
            raise DataError(f"{path} is missing in {self.location}", "the backup is incomplete")
        if path.rpartition("/")[2] in (METADATA, MANIFEST) and size <= _SMALL:
            if path not in self._small:
                self._fetch_around(path)
            return io.BytesIO(self._small[path])
        return self.rclone.open(self.remote.path(path), size)

    def refresh(self, folder: str) -> None:
        """List *folder* as it is now."""
        self._listing.discard(folder)
        words = ("lsjson", "--recursive", "--no-mimetype", self.remote.path(folder))
        for path, entry in parse(self.rclone.lines(*words), folder):
            self._listing.add(path, entry)

    def _list_around(self, path: str) -> None:
        """One listing for everything that will be asked about next to *path*."""
        if any(path == root or path.startswith(f"{root}/") for root in self._listed):
            return
        wider = [f"{path.partition('/')[0]}/{ENGINE}", path]
        root = next(r for r in (*self._roots, *wider) if path == r or path.startswith(f"{r}/"))
        self.refresh(root)
        self._listed.append(root)

    def _fetch_around(self, path: str) -> None:
        """Get all small files of one HOST_NAME with one rclone, *path* among them."""
        top = path.split("/")[2:-3]
        folders = [f"{tree}/{ENGINE}/{'/'.join(top)}" for tree in ("metadata", "data")]
        wanted = {path: self.size(path) or 0}
        for folder in folders:
            self._list_around(folder)
            for other, entry in self._listing.below(folder):
                name = other.rpartition("/")[2]
                if name in (METADATA, MANIFEST) and 0 <= (entry.size or 0) <= _SMALL:
                    wanted[other] = entry.size or 0
        if sum(map(len, self._small.values())) > _KEPT:
            self._small.clear()
        wanted = {one: size for one, size in wanted.items() if one not in self._small}
        single = sum(wanted.values()) > _KEPT or any("\n" in one or "\r" in one for one in wanted)
        if single or len(wanted) == 1:
            with self.rclone.open(self.remote.path(path), wanted[path]) as stream:
                self._small[path] = stream.read(_SMALL)
            return
        with _scratch() as folder:
            self.rclone.text(
                *("copy", "--files-from-raw", "-", "--no-traverse", "--transfers", "8"),
                *(self.remote.root, folder),
                feed=b"".join(os.fsencode(one) + b"\n" for one in sorted(wanted)),
            )
            for one in wanted:
                with contextlib.suppress(FileNotFoundError):
                    self._small[one] = (Path(folder) / one).read_bytes()
        if path not in self._small:
            raise DataError(f"{path} has vanished from {self.location}")

    # -- writing

    @contextlib.contextmanager
    def lock(self, series: Series) -> Iterator[None]:
        key = hashlib.sha256(os.fsencode("\0".join((*self.location.server, series.host_name))))
        assert self._locks is not None, "opened to be read only"
        path = self._locks / f"{key.hexdigest()[:32]}.lock"
        try:
            self._locks.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CannotWrite(
                f"{path}: cannot be written: {error.strerror}",
                "run as the user that owns the installation",
            ) from None
        with only_writer(descriptor, f"{series.host_name} in {self.location}"):
            # What was seen before may be another writer's past.
            self._listed.clear()
            self._listing = Listing()
            self._note = descriptor
            try:
                yield
            finally:
                self._note = None

    @contextlib.contextmanager
    def draft(self, series: Series, level: Level) -> Iterator[RemoteDraft]:
        for folder in (series.data_of(level), series.metadata_of(level)):
            if self.names(folder):
                raise TryAgain(
                    f"{folder} in {self.location} was written by another program just now",
                    "let only one program write a chain at a time, and run this again",
                )
        draft = RemoteDraft(self, series, level)
        with undisturbed():
            self._remember(f"{level.zero} {level.number} {level.time}")
            try:
                with disturbable():
                    yield draft
            finally:
                # When the storage is gone too, the next run removes it: the note stays.
                with contextlib.suppress(ColdchainError):
                    if not draft.committed:
                        self._discard(series, level)
                    self._remember("")

    def discard_drafts(self, series: Series) -> int:
        assert self._note is not None
        note = os.pread(self._note, 200, 0).decode("ascii", "replace").split()
        if len(note) != 3 or not all(word.isdigit() for word in note):
            return 0
        level = Level(*map(int, note))
        committed = self.size(f"{series.metadata_of(level)}/{METADATA}") is not None
        if not committed:
            self._discard(series, level)
        self._remember("")
        return 0 if committed else 1

    def remove(self, series: Series, folder: str) -> None:
        self._purge(folder)

    def _purge(self, folder: str) -> None:
        self.rclone.do("purge", self.remote.path(folder))
        self._forget(folder)
        parent = folder.rpartition("/")[0]
        while parent.count("/") > 1 and not self.names(parent):
            if self.remote.folders:
                # Not ours to insist on: another host may write there just now.
                with contextlib.suppress(ColdchainError):
                    self.rclone.do("rmdir", self.remote.path(parent))
            self._forget(parent)
            parent = parent.rpartition("/")[0]

    def added(self, path: str, size: int) -> None:
        """Take note of a file that was written just now."""
        self._listing.add(path, Entry(size, None))

    def _forget(self, folder: str) -> None:
        self._listing.discard(folder)
        self._small = {
            path: data for path, data in self._small.items() if not path.startswith(f"{folder}/")
        }

    def _discard(self, series: Series, level: Level) -> None:
        """Remove what an upload of *level* has left, also what no listing shows."""
        data = series.data_of(level)
        # First what would make it a backup.
        for folder in (series.metadata_of(level), private_folder(series), data):
            parent, dummy, name = folder.rpartition("/")
            self.refresh(parent)
            if name in self._listing.names(parent):
                self._purge(folder)
        if self.location.storage == "s3":
            # Parts of an upload that was never completed; not every service can list them.
            with contextlib.suppress(ColdchainError):
                words = ("backend", "cleanup", "-o", "max-age=0s")
                self.rclone.do(*words, self.remote.path(data))
        if self.location.storage == "swift":
            container, slash, prefix = self.remote.root.partition("/")
            segments = f"{container}_segments/{prefix}{slash}{data}"
            if any(self.rclone.lines("lsf", segments)):
                self.rclone.do("purge", segments)

    def _remember(self, text: str) -> None:
        assert self._note is not None
        try:
            os.ftruncate(self._note, 0)
            os.pwrite(self._note, text.encode("ascii"), 0)
            os.fsync(self._note)
        except OSError as error:
            raise CannotWrite(
                f"{self._locks}: cannot be written: {error.strerror}",
                "free some space: what is being written is noted there",
            ) from None


class RemoteDraft:
    """A level whose parts lie at their place already; without its metadata it is no backup."""

    def __init__(self, storage: RemoteStorage, series: Series, level: Level) -> None:
        self._storage, self._series, self._level = storage, series, level
        self._sizes: dict[str, int] = {}
        self.committed = False

    @contextlib.contextmanager
    def write(self, name: str) -> Iterator[Callable[[bytes], None]]:
        storage = self._storage
        path = f"{self._series.data_of(self._level)}/{name}"
        total = 0
        with storage.rclone.write(storage.remote.path(path)) as feed:

            def sink(data: bytes) -> None:
                nonlocal total
                feed(data)
                total += len(data)

            yield sink
        self._sizes[path] = total

    def commit(self, metadata: bytes) -> None:
        """See that all parts have arrived whole, then write the metadata."""
        storage = self._storage
        storage.refresh(self._series.data_of(self._level))
        for path, size in self._sizes.items():
            found = storage.size(path)
            if found != size:
                what = "nothing" if found is None else f"{found} bytes"
                raise CannotWrite(
                    f"{storage.location}: of {size} bytes of {path} the storage kept {what}",
                    "free some space on the storage, or remove old chains with the action admin",
                )
        marker = self._series.metadata_of(self._level)
        if storage.remote.folders:
            self._move_in(marker, metadata)
        else:
            storage.rclone.do("rcat", storage.remote.path(f"{marker}/{METADATA}"), feed=metadata)
        storage.added(f"{marker}/{METADATA}", len(metadata))
        self.committed = True

    def _move_in(self, marker: str, metadata: bytes) -> None:
        """A folder appears with what is in it: Freezer fails on one without metadata."""
        storage, level = self._storage, self._level
        private = f"{private_folder(self._series)}/{level.zero}"
        chain = marker.rpartition("/")[0]
        path = storage.remote.path
        storage.rclone.do("rcat", path(f"{private}/{level.name}/{METADATA}"), feed=metadata)
        if storage.names(chain):
            storage.rclone.do("moveto", path(f"{private}/{level.name}"), path(marker))
        else:
            storage.rclone.do("moveto", path(private), path(chain))


@contextlib.contextmanager
def _scratch() -> Iterator[str]:
    with undisturbed(), tempfile.TemporaryDirectory(prefix="coldchain-") as folder, disturbable():
        yield folder


def private_folder(series: Series) -> str:
    """Where the metadata of a level waits for its commit; Freezer does not look there."""
    return f"{METADATA}/{PRIVATE}/{series_key(series)}"
