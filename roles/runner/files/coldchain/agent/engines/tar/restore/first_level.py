# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a level 0 in an empty folder, told by its members without extracting it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from coldchain.agent.engines.tar.restore.extract_guard import everything
from coldchain.agent.engines.tar.restore.link_model import above, leads_outside, plain
from coldchain.agent.engines.tar.stored import gnu_tar
from coldchain.core.errors import JobFailed

REFUSALS = ("Member name contains '..'", "Not a directory")
"""The ends of tar's words when it refuses what FirstLevel does."""


class FirstLevel:
    """Reads the members of a level 0 in their order; ``check`` refuses what GNU tar refuses.

    tar leaves out names with dots that lead up.  A link whose own name for its target is absolute
    or leads up it makes at the end, and until then a file stands there, below which there can be
    nothing.  Only that is told here: what tar may take, it is given.  Pure.

    place: what messages call the level; selected: which names are extracted.
    """

    def __init__(self, place: str, selected: Callable[[bytes], bool] = everything) -> None:
        self.links: set[bytes] = set()
        """Every name that is a link after the level."""
        self._place, self._selected = place, selected
        self._delayed: set[bytes] = set()
        self._fault: JobFailed | None = None

    def take(self, listing: bytes) -> None:
        """Read whole lines of tar's listing."""
        self.add(gnu_tar.members(listing))

    def add(self, members: Iterable[gnu_tar.Member]) -> None:
        """Read *members*."""
        for member in members:
            name = plain(member.name)
            if self._fault is None:
                self._look_at(name)
            target = plain(member.target) if member.target else b""
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
