# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a storage must be able to do: the one seam for the local disk and for remotes.

A storage keeps bytes in places and knows nothing of what they mean.  Paths are relative to the
container, with slashes; those that are written have at least three steps (``data/x/y``).  What
lies in ``.coldchain``, or in a folder of this name one step below the top, is the storage's own.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO, NamedTuple, Protocol

from coldchain.core.errors import DataError, TryAgain
from coldchain.core.locks import lock_within

#: Where a storage keeps what is not complete yet, and its locks.
PRIVATE = ".coldchain"
#: A folder of so few steps stays when the last thing in it is removed.
LASTING_STEPS = 2

#: Waits until everything has been copied, and tells every now and then how many bytes more there
#: are; a ColdchainError when it cannot be.
Arrival = Callable[[Callable[[int], None]], None]


class NotFollowed(DataError):
    """A folder is a link that somebody else made, or lies behind one: root does not follow it."""


class Draft(Protocol):
    """A folder being written; leaving its ``with`` block uncommitted discards it."""

    def write(self, name: str) -> AbstractContextManager[Callable[[bytes], None]]:
        """A sink for the bytes of the file *name*; what is written is durable with the commit."""

    def commit(self, content: bytes) -> None:
        """Let the folder appear, complete, and as the very last act the marker with *content*."""


class Storage(Protocol):
    """Bytes in places.  Reading needs no lock; what writes says which lock the caller holds."""

    def names(self, folder: str) -> list[str]:
        """The entries of *folder*, sorted; none when it does not exist."""

    def identity(self, folder: str) -> Hashable:
        """What is the same for two names of one folder, as links make them; None without one."""

    def size(self, path: str) -> int | None:
        """Bytes of the file *path*, None when there is no such file."""

    def modified(self, path: str) -> float | None:
        """When *path* was last changed, POSIX seconds; None when it does not exist."""

    def open(self, path: str) -> BinaryIO:
        """A stream of the file *path*; DataError when it cannot be read."""

    def fetch(self, paths: Sequence[str], folder: int) -> AbstractContextManager[Arrival] | None:
        """Begin to copy the files *paths* into the open *folder*, which is private and empty.

        Each lies there under its path in the end; a file that has vanished is left out.  Leaving
        the block ends what is not done.  None where ``open`` is to be used.
        """

    def is_settled(self, path: str) -> bool:
        """Whether the file *path* stays what it is: nobody but root and this user can change it.

        What is read twice may be two things otherwise.
        """

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Be the only writer of what *name* stands for; TryAgain when another one is at work."""

    def draft(self, lock: str, folder: str, marker: str) -> AbstractContextManager[Draft]:
        """Begin *folder*, whose files count when the file *marker*, elsewhere, is there.

        Where the storage can do that, nobody sees a part of the folder, and the marker appears
        together with the folder it lies in, and the one above.  TryAgain when there is something.
        """

    def discard_drafts(self, lock: str) -> int:
        """Remove what writers that were killed have left under this lock: how many things."""

    def remove(self, lock: str, folder: str) -> None:
        """Remove *folder* with all it holds, and those above that become empty, but for the two
        topmost; where the storage can move folders it is gone at once."""

    def close(self) -> None:
        """Let go of what is held open for the next use."""


class PassedOn:
    """A storage that lets *storage* do everything; what derives from it does something itself."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def names(self, folder: str) -> list[str]:
        """As the storage says."""
        return self._storage.names(folder)

    def identity(self, folder: str) -> Hashable:
        """As the storage says."""
        return self._storage.identity(folder)

    def size(self, path: str) -> int | None:
        """As the storage says."""
        return self._storage.size(path)

    def modified(self, path: str) -> float | None:
        """As the storage says."""
        return self._storage.modified(path)

    def open(self, path: str) -> BinaryIO:
        """The storage's stream."""
        return self._storage.open(path)

    def fetch(self, paths: Sequence[str], folder: int) -> AbstractContextManager[Arrival] | None:
        """As the storage does it."""
        return self._storage.fetch(paths, folder)

    def is_settled(self, path: str) -> bool:
        """As the storage says."""
        return self._storage.is_settled(path)

    def lock(self, name: str) -> AbstractContextManager[None]:
        """The storage's own lock."""
        return self._storage.lock(name)

    def draft(self, lock: str, folder: str, marker: str) -> AbstractContextManager[Draft]:
        """The storage's draft."""
        return self._storage.draft(lock, folder, marker)

    def discard_drafts(self, lock: str) -> int:
        """As the storage does it."""
        return self._storage.discard_drafts(lock)

    def remove(self, lock: str, folder: str) -> None:
        """As the storage does it."""
        self._storage.remove(lock, folder)

    def close(self) -> None:
        """As the storage does it."""
        self._storage.close()


class Access(NamedTuple):
    """What is known beforehand of how a container will be used: a remote storage needs fewer calls.

    roots: folders that are best listed whole, and together, the narrow ones first; neighbours: of
    the path of a small file, the folders whose small files will be wanted, too, and their names;
    expected: the most bytes that one file may have, 0 when that cannot be told.
    """

    roots: Sequence[Sequence[str]] = ()
    neighbours: Callable[[str], tuple[Sequence[str], Sequence[str]]] = lambda path: ((), ())
    expected: int = 0


def private_name(lock: str) -> str:
    """A name of constant length for files of ours about what *lock* stands for."""
    return hashlib.sha256(os.fsencode(lock)).hexdigest()[:32]


def private_folder(path: str, lock: str) -> str:
    """Where that part of a draft which belongs to *path* waits for its commit."""
    return f"{path.partition('/')[0]}/{PRIVATE}/{private_name(lock)}"


@contextmanager
def only_writer(descriptor: int, what: str) -> Iterator[None]:
    """Hold the lock of an open file, which is closed in the end; TryAgain when it is taken."""
    try:
        if not lock_within(descriptor):
            raise TryAgain(
                f"another process is writing {what}", "wait until it is done and run this again"
            )
        yield
    finally:
        os.close(descriptor)
