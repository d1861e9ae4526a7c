# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""GNU tar: its argument vectors, and what it says while it works.  No shell anywhere.

Archives are POSIX (pax): whole nanoseconds, any name and size, ACLs and extended attributes;
freezer-agent's tar reads them like its own.  All names in tar's output are C-quoted, so that no
file name can be taken for anything else.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from coldchain.agent.report import shown
from coldchain.agent.tools import executable

#: tar reads and writes so many blocks of 512 bytes at once (its default of 20 costs time), and
#: tells after so many of these records how far it is.
BLOCKING = 256
RECORD = 512 * BLOCKING
CHECKPOINT = 32
#: So many names of one kind of warning are kept; all are counted.
NAMES_KEPT = 50

_MARK = "coldchain-checkpoint"
_DEREFERENCE = {
    "soft": ["--dereference"],
    "hard": ["--hard-dereference"],
    "all": ["--dereference", "--hard-dereference"],
}
_LISTING = ["--full-time", "--quoting-style=c"]
_READING_ARGS = [f"--blocking-factor={BLOCKING}", "--ignore-zeros"]
_NAME = rb'"((?:[^"\\]|\\.)*)"'
_MEMBER = re.compile(
    rb"([-dlhbcpCDVMS?])\S{9}\S?\s+(\S.*?)\s+(\d+|\d+,\s*\d+)\s+(\S+(?: \S+)?)\s+"
    + _NAME
    + rb"(?: (?:->|link to) "
    + _NAME
    + rb")?"
)
_FILE = re.compile(rb"^(?:[lhbcp]\S{9}\S? |-\S{9}\S? .*? (\d+) -?\d+-\d\d-\d\d )", re.MULTILINE)
_COMPLAINT = re.compile(rb"(?:\S*/)?tar: " + _NAME + rb": (?:Warning: )?(.*)")
#: While extracting: what has to do with the target and not with the archive.
_REFUSAL = re.compile(rb"(?:\S*/)?tar: (.*: (?:Cannot |Wrote only ).*)")
_CHECKPOINT = re.compile(rb"(?:\S*/)?tar: " + _MARK.encode() + rb":(\d+)")
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_SIMPLE = {
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
}


def create(
    folder: str,
    operand: str,
    *,
    snapshot: int,
    index: int,
    exclude: Sequence[str] = (),
    skip: Sequence[str] = (),
    dereference: str | None = None,
) -> list[str]:
    """tar that writes an archive of *operand* in *folder* to stdout.

    snapshot, index: descriptors of the listed-incremental file and of the member listing;
    skip: exact member names ("./a/b") to leave out, whatever characters they hold.
    """
    argv = [
        executable("tar"),
        "--create",
        "--file=-",
        # Else tar reads the backslashes in the names of directory and operand as escapes.
        "--no-unquote",
        f"--blocking-factor={BLOCKING}",
        "--format=posix",
        # Without atime and ctime; and no process id in the names of the extended headers.
        "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
        "--sparse",
        "--acls",
        "--xattrs",
        "--no-check-device",
        "--one-file-system",
        "--ignore-failed-read",
        f"--listed-incremental=/dev/fd/{snapshot}",
        f"--index-file=/dev/fd/{index}",
        "-vv",
        *_LISTING,
        # After -vv, which switches all of these on.
        "--warning=failed-read",
        "--warning=no-new-directory",
        "--warning=no-rename-directory",
        f"--checkpoint={CHECKPOINT}",
        f"--checkpoint-action=echo={_MARK}:%u",
        *(_DEREFERENCE[dereference] if dereference else []),
        f"--directory={folder}",
    ]
    if skip:
        argv += ["--anchored", "--no-wildcards", *(f"--exclude={name}" for name in skip)]
        argv += ["--no-anchored", "--wildcards"]
    argv += [f"--exclude={pattern}" for pattern in exclude]
    return [*argv, f"--add-file={operand}"]


def extract(
    folder: str, *, root: bool, incremental: bool, members: Members | None = None
) -> list[str]:
    """tar that extracts stdin into the private *folder* and lists what it does on stdout.

    incremental replays deletions and renames; for level 0, into an empty folder, it has nothing
    to do and is left out, because an archive could name anything there.
    """
    return [
        executable("tar"),
        "--extract",
        "--file=-",
        "--no-unquote",
        *_READING_ARGS,
        "--preserve-permissions",
        "--delay-directory-restore",
        "--acls",
        "--xattrs",
        f"--xattrs-include={'*' if root else 'user.*'}",
        "--warning=no-timestamp",
        "-vv",
        *_LISTING,
        *(["--incremental"] if incremental else []),
        f"--directory={folder}",
        *(members.argv() if members else []),
    ]


def listing(*, incremental: bool) -> list[str]:
    """tar that lists stdin; incremental shows the directories' contents too."""
    depth = ["-vvv", "--incremental"] if incremental else ["-vv"]
    return [executable("tar"), "--list", "--file=-", *_READING_ARGS, *depth, *_LISTING]


@dataclass(frozen=True)
class Members:
    """A selection: *whole* members with all below them, *alone* just the directories above."""

    whole: tuple[str, ...]
    alone: tuple[str, ...]

    def argv(self) -> list[str]:
        alone = [f"--add-file={name}" for name in self.alone]
        whole = [f"--add-file={name}" for name in self.whole]
        return ["--no-wildcards", "--no-recursion", *alone, "--recursion", *whole]


@dataclass(frozen=True)
class Member:
    """One line of a listing; kind is tar's letter: - d l h (hard link) p c b."""

    kind: str
    owner: str
    size: int
    device: str
    name: bytes
    target: bytes | None


def member(line: bytes) -> Member | None:
    """The member that a line of a listing shows; None for other lines."""
    match = _MEMBER.fullmatch(line)
    if match is None:
        return None
    number = match[3]
    device = b"," in number
    return Member(
        kind=match[1].decode("ascii"),
        owner=match[2].decode("utf-8", "backslashreplace"),
        size=0 if device else int(number),
        device=number.decode("ascii") if device else "",
        name=unquote(match[5]),
        target=unquote(match[6]) if match[6] is not None else None,
    )


def members(listing: bytes) -> Iterator[Member]:
    """The members in the lines of *listing*."""
    return filter(None, map(member, listing.split(b"\n")))


def count_files(listing: bytes) -> tuple[int, int]:
    """How many members in the lines of *listing* are no directories, and the bytes of the files.

    ``member`` takes ten times as long, which counts with many small files.
    """
    sizes = _FILE.findall(listing)
    return len(sizes), sum(int(size) for size in sizes if size)


def unquote(text: bytes) -> bytes:
    """The name behind tar's C-quoted *text* (without the quotation marks)."""
    if b"\\" not in text:
        return text
    return _ESCAPE.sub(_unescape, text)


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match[1]
    return bytes([int(code, 8) & 255]) if len(code) == 3 else _SIMPLE.get(code, code)


def checkpoint(line: bytes) -> int | None:
    """Bytes of archive written, when *line* is one of our checkpoints."""
    match = _CHECKPOINT.fullmatch(line)
    return int(match[1]) * RECORD if match else None


@dataclass
class Complaints:
    """What tar could not do, by kind: counts, the first names, and the folders concerned.

    refused: the first thing of no known kind that the system did not let it do.
    """

    kinds: Sequence[tuple[str, tuple[bytes, ...]]]
    counts: Counter[str] = field(default_factory=Counter)
    names: dict[str, list[bytes]] = field(default_factory=dict)
    folders: dict[str, set[bytes]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    refused: str | None = None

    def take(self, line: bytes) -> None:
        match = _COMPLAINT.fullmatch(line)
        if match is not None:
            for kind, starts in self.kinds:
                if match[2].startswith(starts):
                    self._add(kind, unquote(match[1]))
                    return
        if self.refused is None and (refusal := _REFUSAL.fullmatch(line)):
            self.refused = refusal[1].decode("utf-8", "backslashreplace")
        if not line.endswith((b"Exiting with failure status due to previous errors",)):
            self.others.append(line.decode("utf-8", "backslashreplace"))
            del self.others[:-NAMES_KEPT]

    def _add(self, kind: str, name: bytes) -> None:
        self.counts[kind] += 1
        self.folders.setdefault(kind, set()).add(os.path.dirname(name) or b".")
        kept = self.names.setdefault(kind, [])
        if len(kept) < NAMES_KEPT:
            kept.append(name)

    def known_only(self) -> bool:
        """True when every line was of a known kind, and there was one."""
        return bool(self.counts) and not self.others

    def describe(self, but: Sequence[str] = ()) -> list[str]:
        """One line a kind, with the first names, and then what tar said otherwise."""
        found = []
        for kind, number, names in self.items():
            if kind not in but:
                first = ", ".join(shown(name) for name in names[:3])
                found.append(f"{kind}: {first}" + (f" and {number - 3} more" if number > 3 else ""))
        return found + self.others

    def items(self) -> Iterable[tuple[str, int, list[bytes]]]:
        for kind, number in self.counts.items():
            yield kind, number, self.names[kind]


UNREADABLE = "not readable"
CHANGED = "changed while being read"
#: While creating.  Order matters: the first kind whose text fits is taken.
READING = (
    ("ignored: a socket", (b"socket ignored", b"Unknown file type", b"door ignored")),
    (CHANGED, (b"file changed as we read it", b"File shrank by")),
    (
        "vanished while being read",
        (b"File removed before we read it", b"Cannot stat: No such file", b"Cannot open: No such"),
    ),
    (UNREADABLE, (b"Cannot ", b"Read error")),
    (
        "on another file system",
        (b"file is on a different", b"directory is on a different", b"contents "),
    ),
)
NOT_SELECTED = "not in this level"
#: While extracting: what the system does not let us do, although the content is right.
WRITING = (
    ("device not created", (b"Cannot mknod",)),
    ("owner not restored", (b"Cannot change ownership",)),
    ("mode not restored", (b"Cannot change mode",)),
    (NOT_SELECTED, (b"Not found in archive",)),
    ("attribute not restored", (b"Cannot set ", b"Cannot setxattr", b"setxattrat")),
)
