# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage behind rclone: files go straight to their place, the marker follows when all of them
have arrived.

What tells a half-written folder from somebody else's is a note in this host's lock file: it names
the folder from its first byte to its commit, and the next holder of the lock removes what it names.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from coldchain.agent.process.signals import allow_signals, defer_signals
from coldchain.agent.storages.base import (
    LASTING_STEPS,
    Access,
    Arrival,
    only_writer,
    private_folder,
)
from coldchain.agent.storages.location import Location
from coldchain.agent.storages.rclone.config import Remote
from coldchain.agent.storages.rclone.listing import Listing, parse
from coldchain.agent.storages.rclone.program import COPYING, Rclone, can_be_listed, file_list
from coldchain.agent.storages.rclone.small_files import TOGETHER, Waiting, scratch
from coldchain.core.errors import AS_OWNER, CannotWrite, ColdchainError, DataError, TryAgain
from coldchain.core.trusted_path import open_file

#: Bytes of small files that are kept in memory, and the largest one of them.
_KEPT, _SMALL = 16 << 20, 1 << 20
#: The longest note: two paths, with everything in them escaped.
_NOTE = 1 << 16
#: From this rclone on a folder of an FTP server need not be there before something is put into it:
#: 1.60 takes the answer 501 for a failure (1.65 is the next one that was tried).
_MAKES_FTP_FOLDERS = (1, 65)


class RemoteStorage:
    """A container on a remote.

    locks: the directory of this host's lock files, needed to write; access: what will be looked at;
    version: of rclone; None: it is asked with the first listing.
    """

    def __init__(
        self,
        location: Location,
        rclone: Rclone,
        remote: Remote,
        locks: Path | None,
        access: Access,
        version: tuple[int, int] | None,
    ) -> None:
        self.location = location
        self.rclone, self.remote = rclone, remote
        self._locks = locks
        self._access = access
        self._listed: list[str] = []
        self._listing = Listing()
        self._small: dict[str, bytes] = {}
        self._note: int | None = None
        ftp = location.storage in ("ftp", "ftps")
        self._version = version
        self._makes_folders = not ftp or (version or (0, 0)) >= _MAKES_FTP_FOLDERS
        self._made: set[str] = set()

    # -- reading

    def names(self, folder: str) -> list[str]:
        """The entries of *folder*, sorted, as they were when it was listed."""
        self._list_around(folder)
        return self._listing.names(folder)

    def identity(self, folder: str) -> Hashable:
        """Its name: what links do there, nobody tells."""
        return folder

    def size(self, path: str) -> int | None:
        """Bytes of the file *path*, as it was listed."""
        self._list_around(path)
        entry = self._listing.get(path)
        return entry.size if entry else None

    def modified(self, path: str) -> float | None:
        """POSIX seconds, where the storage keeps that."""
        self._list_around(path)
        entry = self._listing.get(path)
        return entry.modified if entry else None

    def open(self, path: str) -> BinaryIO:
        """A stream of the file *path*; small ones are fetched with their neighbours, and kept."""
        size = self.size(path)
        if size is None:
            raise DataError(f"{path} is missing in {self.location}", "the backup is incomplete")
        folders, names = self._access.neighbours(path)
        if folders and size <= _SMALL:
            if path not in self._small:
                self._fetch_around(path, folders, names)
            return io.BytesIO(self._small[path])
        return self.rclone.open(self.remote.folder(""), path, size)

    def refresh(self, *folders: str) -> None:
        """List *folders* as they are now, all at once."""
        words = ("lsjson", "--recursive", "--no-mimetype")
        with contextlib.ExitStack() as stack:
            version = None if self._version else stack.enter_context(self.rclone.version())
            answers = [
                stack.enter_context(
                    self.rclone.lines(*words, self.remote.folder(folder), last=b"]")
                )
                for folder in folders
            ]
            if version is not None:
                self._version = version()
            for folder, lines in zip(folders, answers):
                self._listing.discard(folder)
                for path, entry in parse(lines, folder):
                    self._listing.add(path, entry)

    def _list_around(self, path: str) -> None:
        """One listing for everything that will be asked about next to *path*."""
        if any(map(partial(_lies_in, path), self._listed)):
            return
        every = (*self._access.roots, (path,))
        together = next(roots for roots in every if any(map(partial(_lies_in, path), roots)))
        new = [root for root in together if not any(map(partial(_lies_in, root), self._listed))]
        self.refresh(*new)
        self._listed += new

    def _fetch_around(self, path: str, folders: Sequence[str], names: Sequence[str]) -> None:
        """Get the small files of these names in *folders* with one rclone, *path* among them."""
        sizes = {path: self.size(path) or 0}
        for folder in folders:
            self._list_around(folder)
            for other, entry in self._listing.below(folder):
                name = other.rpartition("/")[2]
                if name in names and 0 <= (entry.size or 0) <= _SMALL:
                    sizes[other] = entry.size or 0
        if sum(map(len, self._small.values())) > _KEPT:
            self._small.clear()
        sizes = {name: size for name, size in sizes.items() if name not in self._small}
        if sum(sizes.values()) > _KEPT or not can_be_listed(sizes) or len(sizes) == 1:
            with self.rclone.open(self.remote.folder(""), path, sizes[path]) as stream:
                self._small[path] = stream.read(_SMALL)
            return
        with scratch() as folder:
            words = ("copy", *COPYING, self.remote.folder(""), folder)
            self.rclone.text(*words, feed=file_list(sizes))
            for name in sizes:
                with contextlib.suppress(FileNotFoundError):
                    self._small[name] = (Path(folder) / name).read_bytes()
        if path not in self._small:
            raise DataError(f"{path} has vanished from {self.location}")

    def fetch(
        self, paths: Sequence[str], folder: int
    ) -> contextlib.AbstractContextManager[Arrival] | None:
        """All of them with one rclone."""
        if not can_be_listed(paths):
            return None
        sizes = {path: self.size(path) or 0 for path in paths}
        return self.rclone.copy(self.remote.folder(""), folder, sizes)

    def is_settled(self, path: str) -> bool:
        """Never: the next answer of a server is its own affair."""
        return False

    # -- writing

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Be the only writer on this host; what was listed before is forgotten.  TryAgain."""
        key = hashlib.sha256(os.fsencode("\0".join((*self.location.server, name))))
        assert self._locks is not None, "opened to be read only"
        path = self._locks / f"{key.hexdigest()[:32]}.lock"
        try:
            self._locks.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = open_file(path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise CannotWrite(
                f"{path}: cannot be written: {error.strerror}",
                AS_OWNER,
            ) from None
        with only_writer(descriptor, f"{name} in {self.location}"):
            # What was seen before may be another writer's past.
            self._listed.clear()
            self._listing = Listing()
            self._note = descriptor
            try:
                yield
            finally:
                self._note = None

    def make_folders(self, folder: str) -> None:
        """Have *folder* where rclone itself would not make it: each step by itself."""
        if self._makes_folders:
            return
        name, _colon, root = self.remote.root.partition(":")
        steps = [*root.split("/"), *folder.split("/")]
        for number in range(1, len(steps) + 1):
            path = f"{name}:{'/'.join(steps[:number])}"
            if steps[number - 1] and path not in self._made:
                self.rclone.do("mkdir", path)
                self._made.add(path)

    def forget_folders(self) -> None:
        """Of what ``make_folders`` has made something was moved away or removed."""
        self._made.clear()

    @contextlib.contextmanager
    def draft(self, lock: str, folder: str, marker: str) -> Iterator[RemoteDraft]:
        """Write to the place itself; a note tells the next writer of it if this one is killed."""
        for path in (folder, marker.rpartition("/")[0]):
            if self.names(path):
                raise TryAgain(
                    f"{path} in {self.location} was written by another program just now",
                    "let only one program write there at a time, and run this again",
                )
        draft = RemoteDraft(self, lock, folder, marker)
        with defer_signals():
            self._remember(folder, marker)
            try:
                with allow_signals():
                    yield draft
            finally:
                # When the storage is gone too, the next run removes it: the note stays.
                with contextlib.suppress(ColdchainError):
                    if not draft.committed:
                        self._discard(lock, folder, marker)
                    self._remember()

    def discard_drafts(self, lock: str) -> int:
        """Remove what the note in the lock file names, unless it was committed: 1 or 0."""
        assert self._note is not None
        try:
            folder, marker = map(str, json.loads(os.pread(self._note, _NOTE, 0)))
        except (ValueError, TypeError):
            return 0
        committed = self.size(marker) is not None
        if not committed:
            self._discard(lock, folder, marker)
        self._remember()
        return 0 if committed else 1

    def remove(self, lock: str, folder: str) -> None:
        """Remove *folder*; a storage that needs several steps for it may stop between them."""
        self._purge(folder)

    def close(self) -> None:
        """Let go what is held: nothing."""

    def _purge(self, folder: str) -> None:
        self.rclone.do("purge", self.remote.path(folder))
        self.forget_folders()
        self._forget(folder)
        parent = folder.rpartition("/")[0]
        while parent.count("/") >= LASTING_STEPS and not self.names(parent):
            if self.remote.folders:
                # Not ours to insist on: another host may write there just now.
                with contextlib.suppress(ColdchainError):
                    self.rclone.do("rmdir", self.remote.path(parent))
            self._forget(parent)
            parent = parent.rpartition("/")[0]

    def _forget(self, folder: str) -> None:
        self._listing.discard(folder)
        self._small = {
            path: data for path, data in self._small.items() if not path.startswith(f"{folder}/")
        }

    def _discard(self, lock: str, folder: str, marker: str) -> None:
        """Remove what a draft has left, also what no listing shows."""
        # First what would make it count.
        for path in (marker.rpartition("/")[0], private_folder(marker, lock), folder):
            parent, _slash, name = path.rpartition("/")
            self.refresh(parent)
            if name in self._listing.names(parent):
                self._purge(path)
        if self.location.storage == "s3":
            # Parts of an upload that was never completed; not every service can list them.
            with contextlib.suppress(ColdchainError):
                words = ("backend", "cleanup", "-o", "max-age=0s")
                self.rclone.do(*words, self.remote.path(folder))
        if self.location.storage == "swift":
            container, slash, prefix = self.remote.root.partition("/")
            segments = f"{container}_segments/{prefix}{slash}{folder}"
            with self.rclone.lines("lsf", segments) as lines:
                left = any(lines)
            if left:
                self.rclone.do("purge", segments)

    def _remember(self, *paths: str) -> None:
        """Note the paths of what is being written, none when nothing is."""
        assert self._note is not None
        text = json.dumps(paths) if paths else ""
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
    """A folder whose files lie at their place already; without its marker it does not count."""

    def __init__(self, storage: RemoteStorage, lock: str, folder: str, marker: str) -> None:
        self._storage, self._lock, self._folder, self._marker = storage, lock, folder, marker
        self._sizes: dict[str, int] = {}
        self._waiting = Waiting()
        self.committed = False

    @contextlib.contextmanager
    def write(self, name: str) -> Iterator[Callable[[bytes], None]]:
        """A sink for the file *name*; CannotWrite when it has not arrived.

        A small one goes with the commit: each rclone is a program to start, and a connection.
        """
        storage = self._storage
        path = f"{self._folder}/{name}"
        held, total = bytearray(), 0
        feed: Callable[[bytes], None] | None = None
        storage.make_folders(self._folder)
        with contextlib.ExitStack() as stack:

            def sink(data: bytes) -> None:
                """Send *data*, or hold it as long as little has come."""
                nonlocal feed, total
                total += len(data)
                if feed is None:
                    held.extend(data)
                    if total <= TOGETHER:
                        return
                    feed = stack.enter_context(storage.rclone.write(storage.remote.path(path)))
                    data = bytes(held)
                feed(data)

            yield sink
        if feed is None:
            self._waiting.add(name, bytes(held))
        self._sizes[path] = total

    def commit(self, content: bytes) -> None:
        """See that all files have arrived whole, then write the marker."""
        storage = self._storage
        # The folder is an argument: of what is read from a disk other characters are quoted.
        self._waiting.send(storage.rclone, storage.remote.folder(self._folder))
        storage.refresh(self._folder)
        for path, size in self._sizes.items():
            stored = storage.size(path)
            if stored != size:
                what = "nothing" if stored is None else f"{stored} bytes"
                raise CannotWrite(
                    f"{storage.location}: of {size} bytes of {path} the storage kept {what}",
                    "free some space on the storage, or remove old backups with the action admin",
                )
        if storage.remote.folders:
            self._move_in(content)
        else:
            storage.rclone.do("rcat", storage.remote.path(self._marker), feed=content)
        self.committed = True
        # As it is now, and not as it should be.
        storage.refresh(self._marker.rpartition("/")[0])

    def _move_in(self, content: bytes) -> None:
        """A folder appears with what is in it: freezer-agent fails on an empty one."""
        storage = self._storage
        above, inner, name = self._marker.rsplit("/", 2)
        private = f"{private_folder(self._marker, self._lock)}/{above.rpartition('/')[2]}"
        path = storage.remote.path
        storage.make_folders(f"{private}/{inner}")
        storage.make_folders(above if storage.names(above) else above.rpartition("/")[0])
        storage.rclone.do("rcat", path(f"{private}/{inner}/{name}"), feed=content)
        if storage.names(above):
            storage.rclone.do("moveto", path(f"{private}/{inner}"), path(f"{above}/{inner}"))
        else:
            storage.rclone.do("moveto", path(private), path(above))
        storage.forget_folders()


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
