# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at an incremental archive before it is extracted over earlier levels.

GNU tar guards one extraction against links that lead out of the folder, but not a second archive
against the links that a first one made, and it follows the renames in a directory's list wherever
they point.  So these are checked here, against the tree as it stands.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from coldchain.agent import tar
from coldchain.agent.report import shown
from coldchain.errors import JobFailed

#: tar's directory lists name renames with R (from), T (to) and X (a temporary name).
_RENAMES = (b"R ", b"T ", b"X ")


@dataclass
class Contents:
    """What a level's listing shows that matters: members, and whether it renames directories.

    complete: keep what the directories' lists name too.
    """

    complete: bool = False
    folders: set[bytes] = field(default_factory=set)
    others: set[bytes] = field(default_factory=set)
    renames: list[bytes] = field(default_factory=list)
    _listed: set[bytes] = field(default_factory=set)
    _folder: bytes | None = None

    def files(self) -> set[bytes]:
        """Everything but directories, as the level leaves it."""
        return self._listed or self.others

    def take(self, listing: bytes) -> None:
        for line in listing.split(b"\n"):
            self._take(line)

    def _take(self, line: bytes) -> None:
        if line[:2] in _RENAMES:
            self.renames.append(line[2:])
            return
        if self.complete and self._folder is not None and line[:2] in (b"Y ", b"N "):
            self._listed.add(os.path.join(self._folder, line[2:]))
            return
        one = tar.member(line)
        if one is None:
            return
        if one.kind == "d":
            self._folder = _plain(one.name)
            self.folders.add(self._folder)
        else:
            self.others.add(_plain(one.name))
            if one.kind == "h" and one.target is not None:
                self.others.add(_plain(one.target))


def make_safe(contents: Contents, tree: bytes, place: str) -> None:
    """Ready *tree* for the level: JobFailed when it would write outside.

    A link that the level replaces by a directory is removed first; any other way through a link
    is refused.
    """
    for path in contents.renames:
        if path.startswith(b"/") or (b".." in path.split(b"/") and path != b".."):
            raise _hostile(place, "renames", path)
    for name in sorted(contents.folders | contents.others):
        if name.startswith(b"/") or b".." in name.split(b"/"):
            raise _hostile(place, "names", name)
    found = set(links(tree))
    for name in sorted(contents.folders | contents.others):
        for above in _above(name):
            if above in found and above not in contents.folders:
                raise _hostile(place, "writes through a link:", name)
    for link in found & contents.folders:
        os.unlink(os.path.join(tree, link))


def links(tree: bytes) -> Iterator[bytes]:
    """The names of all symbolic links below *tree*, relative to it."""
    for folder, folders, files in os.walk(tree):
        for name in folders + files:
            path = os.path.join(folder, name)
            if stat.S_ISLNK(os.lstat(path).st_mode):
                yield os.path.relpath(path, tree)


def selection(paths: Iterable[bytes]) -> tar.Members:
    """tar's members for the wanted *paths*, with the directories above for their own sake."""
    paths = list(paths)
    whole = [b"./" + path for path in paths]
    above = {b"./", *(b"./" + folder for path in paths for folder in _above(path))}
    return tar.Members(
        tuple(os.fsdecode(name) for name in whole),
        tuple(os.fsdecode(name) for name in sorted(above)),
    )


def _above(name: bytes) -> list[bytes]:
    """The directories that *name* lies in: a, a/b for a/b/c."""
    steps = name.split(b"/")
    return [b"/".join(steps[:number]) for number in range(1, len(steps))]


def _plain(name: bytes) -> bytes:
    """./a/b/ as a/b, the root as nothing; absolute and dotted names stay what they are."""
    trimmed = name.rstrip(b"/")
    if trimmed in (b"", b"."):
        return b"/" if name.startswith(b"/") else b""
    parts = [part for part in trimmed.split(b"/") if part not in (b"", b".")]
    return (b"/" if name.startswith(b"/") else b"") + b"/".join(parts)


def _hostile(place: str, what: str, name: bytes) -> JobFailed:
    return JobFailed(
        f"{place} {what} {shown(name)!r}, which lies outside of the restored tree: refused",
        "the archive was not made by a backup; nothing was changed",
    )
