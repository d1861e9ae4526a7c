# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mode must be able to do: say what is backed up, and where that goes back.

A mode gives its content in one of two forms, and an engine says which of them it keeps: a tree of
files at a path, or a stream of bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol, Union

if TYPE_CHECKING:
    from coldchain.agent.fields import Fields

TREE, STREAM = "tree", "stream"


class Tree(NamedTuple):
    """A directory, or a single file, on this host's disk."""

    path: Path


class Stream(NamedTuple):
    """Bytes on a pipe: a backup reads them, a restore writes them.

    finish: to be called after the last byte, before the backup is committed or the restore counts
    as done; JobFailed when the other end says that these were not all.
    """

    file: IO[bytes]
    finish: Callable[[], None]


Content = Union[Tree, Stream]


class Source(Protocol):
    """What a backup reads."""

    @property
    def identity(self) -> str:
        """What makes it the same thing the next time: levels of different ones never mix."""

    @property
    def restore_to(self) -> Mapping[str, object]:
        """The fields of a restore that bring it back to its place."""

    def open(self) -> AbstractContextManager[Content]:
        """The content, for as long as the block lasts; JobFailed when it cannot be read."""


class Target(Protocol):
    """Where a restore goes."""

    @property
    def path(self) -> Path | None:
        """The place on this host's disk that a tree is restored to; None for a stream."""

    def open(self) -> AbstractContextManager[Content]:
        """Where the content goes; a block left by an exception leaves as little as it can."""


class Mode(Protocol):
    """One way to read something and to bring it back, chosen by a freezer_action's mode."""

    def source(self, fields: Fields) -> Source:
        """The source that a backup names."""

    def target(self, fields: Fields) -> Target:
        """The target that a restore names."""
