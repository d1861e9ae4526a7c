# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore would do to a directory: which files it would make, replace and leave alone."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from coldchain.core.text import path_text

LISTED = 1000
"""So many names of each kind are listed; all are counted."""
LOOKED_AT = 200_000
"""Files of the target that are looked at: a preview of a restore into / must end."""


class Files:
    """Some files: how many, and the names of the first of them, relative to the target."""

    def __init__(self) -> None:
        self.count = 0
        self.names: list[str] = []

    def add(self, name: bytes) -> None:
        """Count one more, whose name is *name*."""
        self.count += 1
        if len(self.names) < LISTED:
            self.names.append(path_text(name))

    def as_dict(self) -> dict[str, object]:
        """As it stands in a report."""
        return {"count": self.count, "names": sorted(self.names)}


class Preview:
    """What a restore would do to a target.

    complete: False when the target holds more than was looked at; then what is replaced or left
    alone may be more than it says, and what is created less.
    """

    def __init__(self) -> None:
        self.created, self.replaced, self.left_alone = Files(), Files(), Files()
        self.complete = True

    def as_fields(self) -> dict[str, object]:
        """As it stands in a report."""
        return {
            "created": self.created.as_dict(),
            "replaced": self.replaced.as_dict(),
            "left_alone": self.left_alone.as_dict(),
            "complete": self.complete,
        }

    def text(self) -> str:
        """The numbers, for people."""
        more = "" if self.complete else " at least"
        return (
            f"{self.created.count} created, {self.replaced.count} replaced,"
            f"{more} {self.left_alone.count} left alone"
        )


def preview(target: Path, names: Sequence[bytes], wanted: Callable[[bytes], bool]) -> Preview:
    """Compare *target*, which need not be there, with the files that a restore brings.

    names: of the files, relative to the target and in order; wanted: of what else is there, what
    the restore is about at all.  No link is followed, and what cannot be read counts as not there.
    """
    found = Preview()
    replaced = bytearray(len(names))
    for number, name in enumerate(_files(os.path.realpath(target))):
        if number >= LOOKED_AT:
            found.complete = False
            break
        at = bisect_left(names, name)
        if at < len(names) and names[at] == name:
            replaced[at] = 1
            found.replaced.add(name)
        elif wanted(name):
            found.left_alone.add(name)
    for at, name in enumerate(names):
        if not replaced[at]:
            found.created.add(name)
    return found


def _files(top: str) -> Iterator[bytes]:
    """The relative names of everything below *top* but directories."""
    if not os.path.isdir(top):
        return
    prefix = len(os.fsencode(top).rstrip(b"/")) + 1
    for folder, directories, names, _unused in os.fwalk(os.fsencode(top)):
        links = [name for name in directories if os.path.islink(os.path.join(folder, name))]
        for name in sorted([*names, *links]):
            yield os.path.join(folder, name)[prefix:]
        directories.sort()
