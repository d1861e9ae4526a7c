# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the ledger is whole: every line of it against the one before, and against the head."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, BinaryIO, NamedTuple

from coldchain.core.digest import canonical_json, sha256_hex
from coldchain.core.text import pluralize
from coldchain.observe.ledger.files import LedgerFiles, gone
from coldchain.observe.ledger.format import (
    DROPPED,
    FILE,
    HEAD,
    LONGEST,
    NOTHING,
    OWN,
    Head,
    aside,
    beyond,
    is_count,
    is_torn,
    tells_damage,
)
from coldchain.observe.ledger.reading import Opened, lines_of, open_all

MOST = 20
"""So many problems are named; of the others only the number."""


class LedgerVerdict(NamedTuple):
    """What verify has found.  head: the digest that the head holds, or what stands for it, None
    without any entry; problems: what was altered; notes: what was interrupted."""

    entries: int
    head: str | None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Is it whole?"""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        lists = {"problems": list(self.problems), "notes": list(self.notes)}
        return {"ok": self.ok, "entries": self.entries, "head": self.head, **lists}


def verify(ledger: LedgerFiles, seen: tuple[int, str] | None = None) -> LedgerVerdict:
    """Whether anything was edited, removed, moved or cut off.

    seen: the number and the digest of a head that somebody noted before; it has to be in the
    chain.  Raises Unavailable for files that cannot be read.
    """
    with ExitStack() as stack:
        opened = open_all(ledger, stack)
        there = opened.head is not None or any(size for _name, _stream, size in opened.files)
        known = 0 if there or opened.strange else ledger.known()
        if known and not opened.problem:
            return LedgerVerdict(0, None, (gone(known),))
        return _Check(opened, seen).verdict()


class _Check:
    """Goes through all lines once."""

    def __init__(self, opened: Opened, seen: tuple[int, str] | None) -> None:
        self._opened, self._seen = opened, seen
        self._problems = list(opened.strange)
        self._notes: list[str] = []
        self._digest: str | None = NOTHING  # of the line before; None when that is not known
        self._number = 0  # of the line before
        self._first = 0  # of the first line
        self._first_prev = NOTHING
        self._begins: int | None = None  # the number that the newest file begins with
        self._dropped: Mapping[str, Any] = {}  # the newest entry of that kind
        self._digests: dict[int, str] = {}  # of the entries that DROPPED and *seen* may name
        self._damaged: int | None = None

    def verdict(self) -> LedgerVerdict:
        """What was found."""
        *older, (name, stream, size) = self._files()
        for other, lines, length in older:
            self._file(other, lines_of(lines, length))
            if self._digest is not None:
                self._digests[self._number] = self._digest
        head = self._opened.head
        if head is None:
            first = None if older else self._tail(Head(), stream, size)
            interrupted = first is not None and first.entries <= 1
            if not interrupted:
                self._notes.clear()
            self._file(name, lines_of(stream, 0 if interrupted else size))
            self._no_head()
            self._check_begin()
            self._check_seen()
            return self._made(self._number, self._digest if self._number else None)
        self._file(name, lines_of(stream, min(size, head.size)))
        self._end(name, stream, size, head)
        self._check_begin()
        self._check_seen()
        if head.damaged != self._damaged:
            self._problem(f"{HEAD}: names another entry that tells of damage")
        return self._made(head.entries, head.digest if head.entries else None)

    def _files(self) -> list[tuple[str, BinaryIO, int]]:
        """The files in their order, of which the last is the one that the head is of."""
        files, head = list(self._opened.files), self._opened.head
        if files and files[-1][0] == FILE:
            return files
        put_aside = head is not None and head.size and files and files[-1][0] == aside(head.first)
        if put_aside:  # and nothing was written since
            return files
        if head is not None and head.size:
            self._problem(f"{FILE}: is gone")
        return [*files, (FILE, io.BytesIO(), 0)]

    def _made(self, number: int, digest: str | None) -> LedgerVerdict:
        problems = self._problems[:MOST]
        if len(self._problems) > MOST:
            problems.append(f"and {len(self._problems) - MOST} more")
        return LedgerVerdict(number, digest, tuple(problems), tuple(self._notes))

    def _problem(self, text: str) -> None:
        self._problems.append(text)

    def _file(self, name: str, lines: Iterator[bytes]) -> None:
        self._begins = None
        for count, line in enumerate(lines, 1):
            number = self._line(f"{name} line {count}", line)
            if count == 1:
                self._begins = number
        if name != FILE and name != aside(self._begins or 0):
            self._problem(f"{name}: does not begin with the entry in its name")

    def _line(self, where: str, line: bytes) -> int | None:
        """Check a line against the one before; its number."""
        raw = line.rstrip(b"\n")
        digest = sha256_hex(raw)
        try:
            entry = json.loads(raw)
            number, before = int(entry["n"]), entry["prev"]
            whole = line == canonical_json(entry) + b"\n" and number > 0
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            whole = False
        if not whole:
            self._problem(f"{where}: is no entry")
            self._digest, self._number = None, self._number + 1
            return None
        if not self._first:
            self._first, self._first_prev = number, before
        elif number != self._number + 1:
            what = "are missing" if number > self._number else "come again"
            self._problem(f"{where}: entry {number} follows entry {self._number}: entries {what}")
        elif before != self._digest and self._digest is not None:
            self._problem(
                f"{where}: entry {number - 1} is not the one that entry {number} was written after"
            )
        elif self._digest is None:
            self._problem(f"{where}: nothing vouches for what is before entry {number}")
        self._number, self._digest = number, digest
        if self._seen is not None and number == self._seen[0]:
            self._digests[number] = digest
        if entry.get("what") == OWN and entry.get("did") == DROPPED:
            self._dropped = entry
        if tells_damage(entry):
            self._damaged = self._damaged or number
            self._problem(f"{where}: entry {number} of {entry.get('time')}: {entry.get('text')}")
        return number

    def _end(self, name: str, stream: BinaryIO, size: int, head: Head) -> None:
        """The newest file against the head, and what is beyond it."""
        if size < head.size:
            self._problem(f"{name}: has {size} bytes of {head.size}: entries were cut off")
        if (self._begins if head.size else head.entries + 1) != head.first:
            self._problem(f"{HEAD}: says that {name} begins with entry {head.first}")
        if self._number < head.entries:
            first = self._number + 1
            many = f"entries {first} to {head.entries} are gone"
            self._problem(many if first < head.entries else f"entry {first} is gone")
        elif self._number > head.entries:
            self._problem(f"{HEAD}: counts {head.entries} entries of {self._number}")
        elif self._digest != head.digest:
            self._problem(f"entry {head.entries} is not the one that {HEAD} was written for")
        if size > head.size and self._tail(head, stream, size) is None:
            self._problem(f"{name}: {size - head.size} bytes at its end are not counted by {HEAD}")

    def _tail(self, head: Head, stream: BinaryIO, size: int) -> Head | None:
        """The head after what is beyond *head*, if all of that is new or what an interrupted writer
        has left."""
        stream.seek(head.size)
        tail = stream.read(min(LONGEST, size - head.size))
        stream.seek(0)
        after, rest = beyond(head, tail)
        if len(tail) < size - head.size or not is_torn(rest):
            return None
        if after != head:
            count = pluralize(after.entries - head.entries, "entry")
            self._notes.append(f"{count} at the end: not counted yet")
        if rest:
            self._notes.append(f"{len(rest)} bytes of an entry that was never whole are at the end")
        return after

    def _no_head(self) -> None:
        if self._opened.problem:
            self._problem(self._opened.problem)
        elif self._number:
            self._problem(f"{HEAD}: is gone")

    def _check_begin(self) -> None:
        """The first entry is the first ever, or an entry says where those before have gone."""
        if not self._first or (self._first == 1 and self._first_prev == NOTHING):
            return
        newest = self._dropped
        through = newest.get("through")
        if isinstance(through, int) and is_count(through) and self._first <= through:
            known = self._digests.get(through) == newest.get("digest")
        else:
            said = (through, newest.get("digest"))
            known = said == (self._first - 1, self._first_prev)
        if not known:
            self._problem(f"the entries before entry {self._first} are gone")

    def _check_seen(self) -> None:
        if self._seen is None:
            return
        number, digest = self._seen
        if number == 0:
            return
        if number < self._first - 1:
            text = f"entry {number} was given up: whether it was the one that was seen before"
            self._problem(f"{text} cannot be told any more")
            return
        known = self._first_prev if number == self._first - 1 else self._digests.get(number)
        if known != digest:
            self._problem(f"entry {number} is another than the one that was seen before")
