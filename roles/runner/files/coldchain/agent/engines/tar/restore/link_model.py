# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the links of a tree and of the next level do to that level, told before it is extracted.

GNU tar guards one extraction against links that lead out of the folder, but not a second archive
against the links that a first one made, nor against relative links and hard links to links, which
it makes at once; and it follows the renames in a directory's list wherever they point.  So the
level's listing is read in its order: a name that is or becomes a link counts for every member,
directory, source of a hard link, rename and purge of the level, before it and after it.  tar itself
never writes a member below a name that the same level holds as a link.  Pure.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from coldchain.agent.engines.tar.stored import gnu_tar
from coldchain.core.errors import JobFailed
from coldchain.core.text import display_name

#: tar's directory lists name renames with R (from), T (to) and X (a temporary folder in it).
_RENAMES = (b"R ", b"T ", b"X ")
#: More names than this for links that were moved are no backup's.
_MOST_MOVED = 1_000_000
_BY_HAND = "docs/recovery.md shows how to restore it by hand; nothing was changed"
_NOT_OURS = "the archive was not made by a backup; nothing was changed"


class LinkModel:
    """Reads tar's listing of one level (``take``); ``check`` refuses what could leave the tree.

    links: all symbolic links of the tree that the level is extracted over, relative to it; place:
    what messages call the level.  The listing has to show owners as numbers, and the directories'
    lists, unless *renames* has, by directory, the records of these that rename: exactly, as a
    listing cannot show them.  Of files only the directory is remembered: 100,000 of them would cost
    many MB.
    """

    def __init__(
        self,
        links: Iterable[bytes],
        place: str,
        renames: Mapping[bytes, Sequence[bytes]] | None = None,
    ) -> None:
        self._place = place
        self._exact = renames
        #: Directories of *renames* that the listing has not shown yet.
        self._awaited = set(renames or ())
        #: Every name that a link may have by now, and the one that it has in the tree.
        self._links: dict[bytes, bytes] = {name: name for name in links}
        #: What the level itself makes a link, or a hard link to one.
        self._made: set[bytes] = set()
        self._folders: set[bytes] = {b""}
        self._replaced: set[bytes] = set()
        self._moved: set[bytes] = set()
        self._newline: bytes | None = None
        #: Whether a directory's list may go on, and the rename in it that is half read.
        self._listed = False
        self._source: bytes | None = None
        self._strange = False
        self._fault: JobFailed | None = None
        self.renames = False

    def take(self, listing: bytes) -> None:
        """Read whole lines of the listing."""
        for line in listing.split(b"\n"):
            if self._fault is not None:
                self.renames = self.renames or line[:2] in _RENAMES
                continue
            try:
                self._take(line)
            except JobFailed as error:
                self._fault = error

    def add(self, members: Iterable[gnu_tar.Member]) -> None:
        """Read *members* of a list that tells of no renames."""
        for member in members:
            if self._fault is not None:
                return
            try:
                self._member(member)
            except JobFailed as error:
                self._fault = error

    @property
    def doubtful(self) -> bool:
        """Whether the names in directories' lists, which tar prints as they are, could matter."""
        return self.renames or self._fault is not None or bool(self._replaced)

    @property
    def folders(self) -> list[bytes]:
        """What are directories after the level; none where renames could have brought them."""
        return [] if self.renames else sorted(filter(None, self._folders))

    @property
    def links(self) -> set[bytes]:
        """Every name that may be a link after the level, but for those that ``check`` names."""
        return self._made.union(self._links)

    def check(self) -> list[bytes]:
        """The links of the tree to remove before: the level has directories in their place.

        Raises JobFailed, naming the member, when the level could change anything outside.
        """
        if self._source is not None:
            self._strange = True
        if self._fault is None and (self.renames or self._awaited):
            self._fault = self._unclear()
        if self._fault is not None:
            raise self._fault
        return sorted(self._replaced)

    def _take(self, line: bytes) -> None:
        member = gnu_tar.member(line)
        if member is not None:
            self._end_list()
            self._member(member)
        elif self._listed:
            self._list_line(line)
        elif line:
            raise JobFailed(
                f"{self._place}: tar lists {line[:80]!r}, which cannot be understood", _BY_HAND
            )

    def _member(self, member: gnu_tar.Member) -> None:
        name = self._inside(member.name, "names")
        self._enter(name, "writes")
        self._listed = member.kind == "d"
        if member.kind == "d" or (member.name.endswith(b"/") and member.kind not in "lh"):
            self._folder(name)
            self._awaited.discard(name)
            for record in (self._exact or {}).get(name, ()):
                self._list_line(record[:1] + b" " + record[1:])
        elif member.kind == "l":
            self._link(name)
        elif member.kind == "h":
            # tar takes the directory itself where the header names nothing.
            target = self._inside(member.target or b".", "links to")
            self._enter(target, "links to")
            if target not in self._folders and (target in self._links or target in self._made):
                self._link(name)

    def _inside(self, raw: bytes, what: str) -> bytes:
        name = plain(raw)
        if name.startswith(b"/") or b".." in name.split(b"/"):
            raise self._hostile(what, raw)
        if self._newline is None and b"\n" in name:
            self._newline = name
        return name

    def _enter(self, name: bytes, what: str) -> None:
        """Whatever leads to *name* is taken for a directory from now on, and must be no link."""
        if os.path.dirname(name) in self._folders:
            return
        for folder in above(name):
            if folder not in self._folders:
                if folder in self._links or folder in self._made:
                    raise self._hostile(f"{what} through a link:", name)
                self._folders.add(folder)

    def _folder(self, name: bytes) -> None:
        if name in self._made:
            raise self._hostile("has a directory where it has a link:", name)
        if name in self._links and name not in self._folders:
            origin = self._links[name]
            if origin in self._moved and origin == name:
                # The link may have gone with the directory that it lay in, or may not.
                raise JobFailed(
                    f"{self._place} renames a directory, and has a directory where a link was in"
                    f" it: {display_name(name)!r} cannot be followed",
                    _BY_HAND,
                )
            self._replaced.add(origin)
        self._folders.add(name)

    def _link(self, name: bytes) -> None:
        if name in self._folders:
            raise self._hostile("has a link where it has a directory:", name)
        self._made.add(name)

    def _list_line(self, line: bytes) -> None:
        """A line of a directory's list.

        tar prints the names in it as they are, so a file's name with a newline in it can look like
        a rename: what is read here only ever adds suspicions.
        """
        letter, path = line[:2], line[2:]
        if letter in _RENAMES:
            self.renames = True
            if path:
                if path.startswith(b"/") or (b".." in path.split(b"/") and path != b".."):
                    raise self._hostile("renames", path)
                self._pass(plain(path), itself=letter != b"T ")
        if letter == b"T " and self._source is not None:
            self._move(self._source, plain(path) if path else b"\0")
            self._source = None
            return
        # tar writes a T right after each R.
        self._strange = self._strange or self._source is not None or letter == b"T "
        self._source = None
        if letter == b"R ":
            # An empty name is tar's temporary directory.
            self._source = plain(path) if path else b"\0"

    def _end_list(self) -> None:
        self._strange = self._strange or self._source is not None
        self._listed, self._source = False, None

    def _pass(self, path: bytes, *, itself: bool) -> None:
        for way in (*above(path), *([path] if itself else [])):
            if way in self._links or way in self._made:
                raise self._hostile("renames through a link:", path)

    def _move(self, source: bytes, target: bytes) -> None:
        """Add the names that links get when the directory *source* becomes *target*."""
        start = source + b"/"
        names = [name for name in (*self._links, *self._made) if name.startswith(start)]
        for name in names:
            new = target + name[len(source) :]
            origin = self._links.get(name, name)
            self._moved.add(origin)
            self._links.setdefault(new, origin)
            if new in self._folders:
                raise self._hostile("renames a link to a directory:", new)
        if len(self._links) > _MOST_MOVED:
            raise self._hostile("renames too much:", source)

    def _unclear(self) -> JobFailed | None:
        """What hides behind names with newlines, when there are renames at all."""
        if self._exact is not None:
            if not self._awaited and not (self._moved and self._strange):
                return None
            return JobFailed(f"{self._place} renames directories in a way that is none", _NOT_OURS)
        strange = any(b"\n" in name for name in (*self._links, *self._made))
        if self._moved and (self._strange or self._newline is not None):
            strange = True
        if not strange:
            return None
        return JobFailed(
            f"{self._place} renames directories, and there are links and names with a newline:"
            " that it stays inside of the restored tree cannot be told",
            f"root with CAP_SYS_ADMIN can restore it, or {_BY_HAND}",
        )

    def _hostile(self, what: str, name: bytes) -> JobFailed:
        return leads_outside(self._place, what, name)


def leads_outside(place: str, what: str, name: bytes) -> JobFailed:
    """The refusal of a level, called *place*, for *what* it does with the *name* of a member."""
    return JobFailed(
        f"{place} {what} {display_name(name)!r}, which lies outside of the restored tree or may"
        " lead there: refused",
        _NOT_OURS,
    )


def above(name: bytes) -> list[bytes]:
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
