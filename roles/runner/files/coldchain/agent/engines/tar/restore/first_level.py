# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a level 0 in an empty folder, told by its members without extracting it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from coldchain.agent.engines.tar.restore.extract_guard import everything
from coldchain.agent.engines.tar.restore.link_model import above, leads_outside, plain
from coldchain.agent.engines.tar.stored import gnu_tar
from coldchain.core.errors import JobFailed
from coldchain.core.text import display_name

REFUSALS = (
    "Member name contains '..'",
    "Not a directory",
    "No such file or directory",
    "File exists",
    "Operation not permitted",
)
"""The ends of tar's words when it refuses what FirstLevel does."""
_BITS = 1 << 25
"""Of the memory for names, one for each: with a million there, one in thirty seems to be there that
is not, and is not told."""


class FirstLevel:
    """Reads the members of a level 0 in their order; ``check`` refuses what GNU tar refuses.

    tar leaves out names with dots that lead up.  A link whose own name for its target is absolute
    or leads up it makes at the end, and until then a file stands there, below which there can be
    nothing; nor can there be below any other file.  It puts nothing into the place of a directory
    that holds something, and links to no file that it has not extracted before.  Only that is told
    here: what tar may take, it is given.  Pure.

    place: what messages call the level; selected: which names are extracted; doubts: of an earlier
    reader of the same members.
    """

    def __init__(
        self,
        place: str,
        selected: Callable[[bytes], bool] = everything,
        doubts: Collection[bytes] | None = None,
    ) -> None:
        self.links: set[bytes] = set()
        """Every name that is a link after the level."""
        self.doubts: set[bytes] = set()
        """Names that may be files below which the level has something."""
        self._place, self._selected = place, selected
        self._delayed: set[bytes] = set()
        #: Of files only those in doubt are remembered: a million of them would cost 100 MB.
        self._exact = None if doubts is None else frozenset(doubts)
        self._files: set[bytes] = set()
        self._seen = bytearray(_BITS >> 3)
        self._folders: set[bytes] = {b""}
        self._filled: set[bytes] = set()
        #: Whether every name so far is that of its place.
        self._straight = True
        self._fault: JobFailed | None = None

    def take(self, listing: bytes) -> None:
        """Read whole lines of tar's listing."""
        self.add(gnu_tar.members(listing))

    def add(self, members: Iterable[gnu_tar.Member]) -> None:
        """Read *members*."""
        for member in members:
            name = plain(member.name)
            target = plain(member.target) if member.target else b""
            if self._fault is None:
                self._look_at(name)
            if self._fault is None and self._straight:
                self._put(member, name, target)
            if member.kind == "l":
                self.links.add(name)
                if target.startswith(b"/") or b".." in target.split(b"/"):
                    self._delayed.add(name)
            elif member.kind == "h" and target in self.links:
                self.links.add(name)
            elif member.kind != "d":
                self.links.discard(name)
                self._delayed.discard(name)

    def check(self) -> None:
        """Raise JobFailed, naming the member, when tar refuses the level."""
        if self._fault is not None:
            raise self._fault

    def _look_at(self, name: bytes) -> None:
        if b".." in name and b".." in name.split(b"/") and self._selected is everything:
            self._fault = leads_outside(self._place, "names", name)
        elif self._delayed and self._selected(name) and not self._delayed.isdisjoint(above(name)):
            self._fault = leads_outside(self._place, "writes through a link:", name)

    def _put(self, member: gnu_tar.Member, name: bytes, target: bytes) -> None:
        """Put the member into the tree that is imagined."""
        kind, folder = member.kind, name.rpartition(b"/")[0]
        if folder not in self._folders or name[-2:] == b"..":
            folders = above(name)
            if self._elsewhere(name, folders):
                self._straight = False  # what is where cannot be told any more
                return
            if self._selected(name):
                self._fault = self._below_a_file(folders)
            self._folders.update(folders)
            self._filled.update(folders[:-1])
        if kind == "h" and target == name and name in self._folders:
            return  # it is there already
        is_folder = kind == "d" or (kind not in "lh" and member.name[-1:] == b"/")
        if is_folder:
            self._folders.add(name)
            self._files.discard(name)
        else:
            if (name in self._filled or kind == "h") and self._selected(name):
                self._fault = self._fault or self._cannot_be(name, kind, target)
            self._folders.discard(name)
            number = hash(name) & (_BITS - 1)
            self._seen[number >> 3] |= 1 << (number & 7)
            if self._exact is not None and name in self._exact:
                self._files.add(name)
        if name:
            self._filled.add(folder)

    def _elsewhere(self, name: bytes, folders: Iterable[bytes]) -> bool:
        """Whether tar comes to another place than *name* says, by links or of its own accord."""
        if name.startswith(b"/") or (b".." in name and b".." in name.split(b"/")):
            return True
        return not self.links.isdisjoint(folders)

    def _below_a_file(self, folders: list[bytes]) -> JobFailed | None:
        for folder in reversed(folders):
            if folder in self._folders:
                break
            if self._is_file(folder):
                return self._refused("has a file where it has a directory:", folder)
        return None

    def _cannot_be(self, name: bytes, kind: str, target: bytes) -> JobFailed | None:
        if name in self._filled and kind in "-lh":
            return self._refused("has a directory with content where it has a file:", name)
        if kind != "h" or self._elsewhere(target, above(target)):
            return None
        if target in self._folders or not self._may_be_there(target):
            return self._refused(f"does not hold what {display_name(name)!r} is a link to:", target)
        return None

    def _is_file(self, name: bytes) -> bool:
        if self._exact is not None:
            return name in self._files
        if self._may_be_there(name):
            self.doubts.add(name)
        return False

    def _may_be_there(self, name: bytes) -> bool:
        number = hash(name) & (_BITS - 1)
        return bool(self._seen[number >> 3] & (1 << (number & 7)))

    def _refused(self, what: str, name: bytes) -> JobFailed:
        return JobFailed(
            f"{self._place} {what} {display_name(name)!r}, which cannot be restored: refused",
            "docs/recovery.md shows how to restore it by hand; restore_paths may do for a part",
        )


def read_first(
    read: Callable[[FirstLevel], object],
    place: str,
    selected: Callable[[bytes], bool] = everything,
) -> FirstLevel:
    """What has read a level 0 by *read*, which hands over all of its members, twice if need be."""
    first = FirstLevel(place, selected)
    read(first)
    if first.doubts:
        first = FirstLevel(place, selected, first.doubts)
        read(first)
    return first
