# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a storage must be able to do: the one seam for the local disk and for remotes.

Paths are relative to the container, with slashes.  A draft is a level in the making: nobody sees
it before ``commit``, whose very last act is to write the level's metadata.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO, Protocol

from coldchain.agent.layout import Level, Series
from coldchain.errors import TryAgain


class Draft(Protocol):
    """One level being written; leaving its ``with`` block uncommitted discards it."""

    def write(self, name: str) -> AbstractContextManager[Callable[[bytes], None]]:
        """A sink for the bytes of part *name*; durable when the block is left."""

    def commit(self, metadata: bytes) -> None:
        """Let the level appear, complete, with *metadata* as its commit marker."""


class Storage(Protocol):
    def names(self, folder: str) -> list[str]:
        """The entries of *folder*, sorted; none when it does not exist."""

    def size(self, path: str) -> int | None:
        """Bytes of the file *path*, None when there is no such file."""

    def modified(self, path: str) -> float | None:
        """When *path* was last changed, POSIX seconds; None when it does not exist."""

    def open(self, path: str) -> BinaryIO:
        """A stream of the file *path*; DataError when it cannot be read."""

    def lock(self, series: Series) -> AbstractContextManager[None]:
        """Be the only writer of *series*; TryAgain when another one is at work."""

    def draft(self, series: Series, level: Level) -> AbstractContextManager[Draft]:
        """Begin *level*; the caller holds the lock."""

    def discard_drafts(self, series: Series) -> int:
        """Remove what crashed writers left behind (the caller holds the lock): how many."""

    def remove(self, series: Series, folder: str) -> None:
        """Remove *folder* of *series* with all it holds, and parents that become empty below the
        engine; where the storage can move folders it is gone at once (the caller holds the lock).
        """


@contextmanager
def only_writer(descriptor: int, what: str) -> Iterator[None]:
    """Hold the lock of an open file, which is closed in the end; TryAgain when it is taken."""
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TryAgain(
                f"another process is writing {what}", "wait until it is done and run this again"
            ) from None
        yield
    finally:
        os.close(descriptor)
