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
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from coldchain.agent.process.tools import executable, install_hint
from coldchain.core.errors import Unavailable
from coldchain.core.text import display_name, said

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
    # What tar says of headers of no kind that it knows; it extracts them as files.
    + rb")?(?:--.*| unknown file type .*)?"
)
_FILE = re.compile(rb"^(?:[lhbcp]\S{9}\S? |-\S{9}\S? .*? (\d+) -?\d+-\d\d-\d\d )", re.MULTILINE)
_COMPLAINT = re.compile(rb"(?:\S*/)?tar: " + _NAME + rb": (?:Warning: )?(.*)")
#: While extracting: what has to do with the target and not with the archive.
_REFUSAL = re.compile(rb"(?:\S*/)?tar: (.*: (?:Cannot |Wrote only ).*)")
_CHECKPOINT = re.compile(rb"(?:\S*/)?tar: " + _MARK.encode() + rb":(\d+)")
_TOTAL = re.compile(rb"Total bytes written: (\d{1,20})\b.*")
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


def program() -> str:
    """The absolute path of GNU tar; Unavailable when tar is missing or is another one."""
    path = executable("tar")
    status = os.stat(path)
    if not _is_gnu(path, (status.st_dev, status.st_ino, status.st_mtime_ns)):
        raise Unavailable(
            f"{path} is not GNU tar: it could not keep what an increment needs", install_hint("tar")
        )
    return path


@lru_cache(maxsize=8)
def _is_gnu(path: str, _identity: tuple[int, int, int]) -> bool:
    try:
        answer = subprocess.run(
            [path, "--version"],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=10,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    return b"GNU tar" in answer.partition(b"\n")[0]


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
        program(),
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
        "--totals",
        f"--checkpoint={CHECKPOINT}",
        f"--checkpoint-action=echo={_MARK}:%u",
        *(_DEREFERENCE[dereference] if dereference else []),
        f"--directory={folder}",
    ]
    argv += [f"--exclude={pattern}" for pattern in exclude]
    if skip:
        # Last: after --wildcards tar takes the operand for a pattern, too, and writes an archive
        # without a single directory, on which no increment could be based.
        argv += ["--anchored", "--no-wildcards", *(f"--exclude={name}" for name in skip)]
    return [*argv, f"--add-file={operand}"]


def extract(
    *, root: bool, incremental: bool, members: Members | None = None, numeric: bool = False
) -> list[str]:
    """tar that extracts stdin into the working directory and lists what it does on stdout.

    incremental replays deletions and renames; for level 0, into an empty folder, it has nothing
    to do and is left out, because an archive could name anything there.  numeric: owners are the
    numbers that they were, whatever names this machine has for them.
    """
    return [
        program(),
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
        *(["--numeric-owner"] if numeric else []),
        *(members.argv() if members else []),
    ]


def listing(*, incremental: bool) -> list[str]:
    """tar that lists stdin; incremental shows the directories' contents too.

    Owners are numbers: their names in an archive may hold anything, line ends included.
    """
    depth = ["-vvv", "--incremental"] if incremental else ["-vv"]
    form = ["--numeric-owner", *_LISTING]
    return [program(), "--list", "--file=-", *_READING_ARGS, *depth, *form]


class Members(NamedTuple):
    """A selection: *whole* members with all below them, *alone* just the directories above."""

    whole: tuple[str, ...]
    alone: tuple[str, ...]

    def argv(self) -> list[str]:
        """tar's options for the selection."""
        alone = [f"--add-file={name}" for name in self.alone]
        whole = [f"--add-file={name}" for name in self.whole]
        return ["--no-wildcards", "--no-recursion", *alone, "--recursion", *whole]


class Member(NamedTuple):
    """One line of a listing; kind is tar's letter: - d l h (hard link) p c b."""

    kind: str
    owner: str
    size: int
    device: str
    name: bytes
    target: bytes | None
    time: str = ""


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
        time=match[4].decode("ascii", "replace"),
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


def total(line: bytes) -> int | None:
    """Bytes of archive in all, when *line* is what tar says when it is done with it."""
    match = _TOTAL.fullmatch(line)
    return int(match[1]) if match else None


class Complaints:
    """What tar could not do, by kind: counts and the first names.

    unreadable, vanished: all names of what is not in the archive for it; refused: the first thing
    of no known kind that the system did not let it do.
    """

    def __init__(self, kinds: Sequence[tuple[str, tuple[bytes, ...]]]) -> None:
        self.kinds = kinds
        self.counts: Counter[str] = Counter()
        self.names: dict[str, list[bytes]] = {}
        self.unreadable: set[bytes] = set()
        self.vanished: set[bytes] = set()
        self.others: list[str] = []
        self.refused: str | None = None

    def take(self, line: bytes) -> None:
        """Sort one line of tar's standard error in."""
        match = _COMPLAINT.fullmatch(line)
        if match is not None:
            for kind, starts in self.kinds:
                if match[2].startswith(starts):
                    self.add(kind, unquote(match[1]))
                    return
        if self.refused is None and (refusal := _REFUSAL.fullmatch(line)):
            self.refused = said(refusal[1])
        if not line.endswith((b"Exiting with failure status due to previous errors",)):
            self.others.append(said(line))
            del self.others[:-NAMES_KEPT]

    def add(self, kind: str, name: bytes) -> None:
        """Count one more *name* of *kind*."""
        self.counts[kind] += 1
        if kind == UNREADABLE:
            self.unreadable.add(name)
        elif kind == VANISHED:
            self.vanished.add(name)
        kept = self.names.setdefault(kind, [])
        if len(kept) < NAMES_KEPT:
            kept.append(name)

    def known_only(self) -> bool:
        """True when every line was of a known kind, and there was one."""
        return bool(self.counts) and not self.others

    def describe(self, but: Sequence[str] = ()) -> list[str]:
        """One line a kind, with the first names, and then what tar said otherwise."""
        lines = []
        for kind, number, names in self.items():
            if kind not in but:
                first = ", ".join(display_name(name) for name in names[:3])
                lines.append(f"{kind}: {first}" + (f" and {number - 3} more" if number > 3 else ""))
        return lines + self.others

    def items(self) -> Iterable[tuple[str, int, list[bytes]]]:
        """Kind, how many, and the first names."""
        for kind, number in self.counts.items():
            yield kind, number, self.names[kind]


UNREADABLE = "not readable"
VANISHED = "vanished while being read"
ELSEWHERE = "on another file system"
CHANGED = "changed while being read"
#: While creating.  Order matters: the first kind whose text fits is taken.
READING = (
    ("ignored: a socket", (b"socket ignored", b"Unknown file type", b"door ignored")),
    (CHANGED, (b"file changed as we read it", b"File shrank by")),
    (
        VANISHED,
        (
            b"File removed before we read it",
            b"Cannot stat: No such file",
            b"Cannot open: No such",
            # A link that leads to itself, and is followed: to nowhere.
            b"Cannot stat: Too many levels",
        ),
    ),
    (UNREADABLE, (b"Cannot ", b"Read error")),
    (
        ELSEWHERE,
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
