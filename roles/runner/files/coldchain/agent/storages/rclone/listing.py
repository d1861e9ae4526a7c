# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``rclone lsjson --recursive`` says, kept as a tree.  Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from coldchain.core.errors import DataError

_FRACTION = re.compile(r"\.\d+")


class ListedFile(NamedTuple):
    """A file or directory.

    size: bytes, None for a directory; modified: POSIX seconds, None when it is not known.
    """

    size: int | None
    modified: float | None


class Listing:
    """Files and directories by their path below the container."""

    def __init__(self) -> None:
        self._entries: dict[str, ListedFile] = {}
        self._children: dict[str, set[str]] = {}

    def add(self, path: str, entry: ListedFile) -> None:
        """Add *path*, and the directories above it that nothing else names."""
        self._entries[path] = entry
        parent, slash, name = path.rpartition("/")
        while slash and name not in self._children.setdefault(parent, set()):
            self._children[parent].add(name)
            parent, slash, name = parent.rpartition("/")

    def discard(self, folder: str) -> None:
        """Forget *folder* and everything in it."""
        for name in self._children.pop(folder, set()):
            self.discard(f"{folder}/{name}")
        self._entries.pop(folder, None)
        parent, _unused, name = folder.rpartition("/")
        self._children.get(parent, set()).discard(name)

    def names(self, folder: str) -> list[str]:
        """What lies in *folder* itself, sorted."""
        return sorted(self._children.get(folder, ()))

    def get(self, path: str) -> ListedFile | None:
        """What is known of *path*; None when it is not there, or a folder that nothing names."""
        return self._entries.get(path)

    def below(self, folder: str) -> Iterator[tuple[str, ListedFile]]:
        """Every entry in *folder* at any depth."""
        for name in self.names(folder):
            path = f"{folder}/{name}"
            entry = self._entries.get(path)
            if entry is not None:
                yield path, entry
            yield from self.below(path)


def parse(lines: Iterable[bytes], folder: str) -> Iterator[tuple[str, ListedFile]]:
    """(path, entry) of each line of the JSON array that rclone prints about *folder*."""
    for line in lines:
        text = line.strip().rstrip(b",")
        if text in (b"", b"[", b"]"):
            continue
        try:
            value = json.loads(text)
            yield f"{folder}/{value['Path']}", _entry(value)
        except (ValueError, KeyError, TypeError):
            raise DataError(
                f"rclone lists {folder} in a way that cannot be understood: {text[:80]!r}"
            ) from None


def _entry(value: dict[str, Any]) -> ListedFile:
    size = None if value["IsDir"] else int(value["Size"])
    return ListedFile(size, _posix(str(value.get("ModTime", ""))))


def _posix(text: str) -> float | None:
    try:
        plain = _FRACTION.sub("", text).replace("Z", "+00:00")
        return datetime.fromisoformat(plain).timestamp()
    except (ValueError, OverflowError):
        return None
