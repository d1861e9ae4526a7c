# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at an incremental archive before it is extracted over earlier levels.

GNU tar guards one extraction against links that lead out of the folder, but not a second archive
against the links that a first one made, and it follows the renames in a directory's list wherever
they point.  So these are checked here, against the tree as it stands.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from coldchain.agent import tar
from coldchain.agent.report import shown
from coldchain.errors import JobFailed

#: tar's directory lists name renames with R (from), T (to) and X (a temporary name).
_RENAMES = (b"R ", b"T ", b"X ")


@dataclass
class Contents:
    """What a level's listing shows that matters for safety; files are forgotten, or 100,000 of
    them would cost as many MB as the rest of a restore.

    folders: the directories; parents: where members and the targets of hard links lie; renames:
    letter and path of what looks like a rename of directories; outside: the first name that is
    absolute or has dots.
    """

    folders: set[bytes] = field(default_factory=set)
    parents: set[bytes] = field(default_factory=set)
    renames: list[tuple[bytes, bytes]] = field(default_factory=list)
    outside: bytes | None = None

    def take(self, listing: bytes) -> None:
        for line in listing.split(b"\n"):
            self._take(line)

    def _take(self, line: bytes) -> None:
        if line[:2] in _RENAMES:
            self.renames.append((line[:1], line[2:]))
            return
        one = tar.member(line)
        if one is None:
            return
        if one.kind == "d":
            self.folders.add(self._note(one.name))
            return
        self._note(one.name)
        if one.kind == "h" and one.target is not None:
            self._note(one.target)

    def _note(self, member: bytes) -> bytes:
        name = plain(member)
        self.parents.add(os.path.dirname(name))
        if self.outside is None and (name.startswith(b"/") or b".." in name.split(b"/")):
            self.outside = name
        return name


@dataclass
class Names:
    """Everything but directories, as a level's listing shows it to be after that level.

    directory: the listing has the backed up directory itself, not just a file.
    """

    directory: bool = False
    _members: set[bytes] = field(default_factory=set)
    _listed: set[bytes] = field(default_factory=set)
    _folder: bytes | None = None

    def files(self) -> set[bytes]:
        # A directory's list names what was left out because it is unchanged, too.
        return self._listed or self._members

    def take(self, listing: bytes) -> None:
        for line in listing.split(b"\n"):
            if self._folder is not None and line[:2] in (b"Y ", b"N "):
                self._listed.add(os.path.join(self._folder, line[2:]))
                continue
            one = tar.member(line)
            if one is not None and one.kind == "d":
                self._folder = plain(one.name)
                self.directory = self.directory or not self._folder
            elif one is not None:
                self._members.add(plain(one.name))


def make_safe(contents: Contents, tree: bytes, place: str) -> None:
    """Ready *tree* for the level: JobFailed when it would write outside.

    A link that the level replaces by a directory is removed first; any other way through a link
    is refused.
    """
    for dummy, path in contents.renames:
        if path.startswith(b"/") or (b".." in path.split(b"/") and path != b".."):
            raise _hostile(place, "renames", path)
    if contents.outside is not None:
        raise _hostile(place, "names", contents.outside)
    names = {link: link for link in links(tree)}
    if contents.renames:
        _follow(contents.renames, names, place)
    for name in sorted(contents.parents):
        for above in (*_above(name), name):
            if above in names and above not in contents.folders:
                raise _hostile(place, "writes through a link:", name)
    for link in {names[name] for name in names.keys() & contents.folders}:
        os.unlink(os.path.join(tree, link))


def _follow(renames: Sequence[tuple[bytes, bytes]], names: dict[bytes, bytes], place: str) -> None:
    """Add to *names* every name that a link may have on the way; JobFailed for a way through one.

    tar prints names in directories' lists as they are, so a file's name with a newline in it can
    look like a rename: what is read here only ever adds suspicions.
    """
    if any(b"\n" in name for name in names):
        raise JobFailed(
            f"{place} renames directories, and a link has a newline in its name:"
            " that it stays inside of the restored tree cannot be told",
            "docs/recovery.md shows how to restore it by hand; nothing was changed",
        )
    for (letter, path), (then, new) in zip(renames, [*renames[1:], (b"", b"")]):
        if letter == b"R" and then == b"T":
            # An empty name is tar's temporary directory.
            source, target = (plain(name) if name else b"\0" for name in (path, new))
            start = source + b"/"
            moved = [name for name in names if name == source or name.startswith(start)]
            names.update({target + name[len(source) :]: names[name] for name in moved})
    for letter, path in renames:
        ways = _above(plain(path))
        if any(way in names for way in (*ways, plain(path) if letter == b"R" else b"")):
            raise _hostile(place, "renames through a link:", path)


def links(tree: bytes) -> Iterator[bytes]:
    """The names of all symbolic links below *tree*, relative to it."""
    waiting = [b""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(os.path.join(tree, folder)) as entries:
            for entry in entries:
                if entry.is_symlink():
                    yield os.path.join(folder, entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(os.path.join(folder, entry.name))


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


def plain(name: bytes) -> bytes:
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
