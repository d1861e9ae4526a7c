# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the ledger: its entries, a quick look for ``status``, and whether it is whole."""

from __future__ import annotations

import errno
import io
import json
import os
import shlex
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, BinaryIO, NamedTuple

from coldchain.core.digest import canonical_json, sha256_hex
from coldchain.core.errors import REMEDIES, ColdchainError, Unavailable
from coldchain.core.locks import lock_within
from coldchain.observe.findings import WARNING, Finding
from coldchain.observe.ledger import Ledger
from coldchain.observe.ledger_files import gone
from coldchain.observe.ledger_format import (
    DROPPED,
    FILE,
    HEAD,
    LOCK,
    NOTHING,
    OWN,
    RENEWED,
    Head,
    aside,
    beyond,
    files_aside,
    is_count,
    last_digest,
    number_of,
    opened,
    tells_damage,
)

_REMEDY = "coldchain ledger verify tells more, docs/reference/ledger.md what to do"
MOST = 20
"""So many problems are named; of the others only the number."""
_LINE = 67_108_864  # bytes; a line of 10,000 changed jobs has two million
_TRIES, _PAUSE = 2, 0.01  # looks again before something is told, and seconds between
_PATIENCE = 1.0  # seconds: whoever writes is done in a few milliseconds


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


class Opened(NamedTuple):
    """The files of the ledger at one moment: name, stream, bytes."""

    files: tuple[tuple[str, BinaryIO, int], ...]
    head: Head | None
    problem: str = ""
    strange: tuple[str, ...] = ()
    """What lies in the place of a file and is none."""


@contextmanager
def _quiet(ledger: Ledger) -> Iterator[None]:
    """Nobody writes within the block, where the lock can be had."""
    with ExitStack() as stack:
        with suppress(OSError, ColdchainError):
            lock = os.open(ledger.lib / LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            stack.callback(os.close, lock)
            lock_within(lock, _PATIENCE)
        yield


def _open_all(ledger: Ledger, stack: ExitStack) -> Opened:
    """Open what is there, so that it stays what it is, and read the head that goes with it."""
    files, strange = [], []
    with _quiet(ledger):
        for path in [*files_aside(ledger.lib).values(), ledger.file]:
            with suppress(FileNotFoundError):
                if not stat.S_ISREG(path.lstat().st_mode):
                    strange.append(f"{path.name}: is not a file")
                    continue
                stream = stack.enter_context(opened(path))
                size = os.fstat(stream.fileno()).st_size
                files.append((path.name, stream, size))
        return Opened(tuple(files), *_head(ledger), tuple(strange))


def _head(ledger: Ledger) -> tuple[Head | None, str]:
    """The head, and why there is none."""
    try:
        return ledger.head(), ""
    except (ValueError, ColdchainError) as error:
        return None, f"{HEAD}: {getattr(error, 'message', 'is not what coldchain wrote')}"


def entries(ledger: Ledger) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Every entry that can be read, oldest first: the line and what it says.  Unavailable."""
    with ExitStack() as stack:
        opened = _open_all(ledger, stack)
        if opened.strange:
            raise Unavailable(f"{ledger.lib}/{opened.strange[0]}", "move away what is there")
        for _unused, stream, size in opened.files:
            for line in _lines(stream, size):
                with suppress(ValueError, RecursionError):
                    entry = json.loads(line)
                    if isinstance(entry, dict):
                        yield line.rstrip(b"\n"), entry


def _lines(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """The lines in the first *size* bytes of a file, with their ends."""
    left = size
    while left > 0:
        line = stream.readline(min(_LINE, left))
        if not line:
            return
        left -= len(line)
        yield line


def digest_of(ledger: Ledger, number: int) -> str | None:
    """The digest that entry *number* has now; None where no such entry is there (any more).

    Raises Unavailable for files that cannot be read.
    """
    mark = b'"n":%d,' % number  # in every line of that number: the keys are sorted, without blanks
    after = b'"n":%d,' % (number + 1)
    with ExitStack() as stack:
        for place, (_name, stream, size) in enumerate(_open_all(ledger, stack).files):
            for count, line in enumerate(_lines(stream, size)):
                if mark in line and number_of(line) == number:
                    return sha256_hex(line.rstrip(b"\n"))
                if place == count == 0 and after in line and number_of(line) == number + 1:
                    # It was given up, but the first one that is kept was written after it.
                    return str(json.loads(line).get("prev"))
    return None


def renewed(ledger: Ledger) -> str | None:
    """When the ledger was begun in the place of one that was put aside; None when it was not."""
    _unused, first = next(entries(ledger), (b"", {}))
    own = first.get("what") == OWN and first.get("did") == RENEWED
    return str(first.get("time")) if own else None


def verify(ledger: Ledger, seen: tuple[int, str] | None = None) -> LedgerVerdict:
    """Whether anything was edited, removed, moved or cut off.

    seen: the number and the digest of a head that somebody noted before; it has to be in the
    chain.  Raises Unavailable for files that cannot be read.
    """
    with ExitStack() as stack:
        opened = _open_all(ledger, stack)
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
            self._file(other, _lines(lines, length))
            if self._digest is not None:
                self._digests[self._number] = self._digest
        head = self._opened.head
        if head is None:
            interrupted = self._tail(Head(), stream, size) if not older else False
            self._file(name, _lines(stream, 0 if interrupted else size))
            self._no_head()
            self._check_begin()
            self._check_seen()
            return self._made(self._number, self._digest if self._number else None)
        self._file(name, _lines(stream, min(size, head.size)))
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
        if size > head.size and not self._tail(head, stream, size):
            self._problem(f"{name}: {size - head.size} bytes at its end are not counted by {HEAD}")

    def _tail(self, head: Head, stream: BinaryIO, size: int) -> bool:
        """Whether all that is beyond the head is what an interrupted writer has left."""
        stream.seek(head.size)
        tail = stream.read(min(_LINE, size - head.size))
        stream.seek(0)
        after, rest = beyond(head, tail)
        if after is not None and not rest:
            self._notes.append(f"entry {after.entries} is not counted yet: its writer ended before")
            return True
        if after is None and rest and b"\n" not in rest:
            self._notes.append(f"{len(rest)} bytes of an entry that was never whole are at the end")
            return True
        return False

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


def look(ledger: Ledger) -> tuple[Head | None, list[Finding]]:
    """The head, and what a look at the ends of the files finds; the chain is not gone through."""
    head, findings = _look(ledger)
    for _unused in range(_TRIES):
        if not findings:
            break
        time.sleep(_PAUSE)  # somebody may just have written the one file and not yet the other
        head, findings = _look(ledger)
    return head, findings


def look_through(ledger: Ledger) -> tuple[Head | None, list[Finding]]:
    """The same, but every entry is looked at: 8 s of CPU for a million of them."""
    head, findings = look(ledger)
    if not findings:
        with suppress(ColdchainError):  # what keeps it from being read was looked for
            problems = verify(ledger).problems
            if problems:
                text = f"it was altered: {problems[0]}"
                findings = [Finding(WARNING, "ledger", text, _REMEDY)]
    return head, findings


def _look(ledger: Ledger) -> tuple[Head | None, list[Finding]]:
    try:
        head = ledger.head()
        text, remedy = _out_of_reach(ledger)
        if not text:
            text = _at_the_ends(ledger, head)
    except ColdchainError as error:
        return None, [Finding(WARNING, "ledger", error.message, error.hint)]
    except OSError as error:
        return None, [Finding(WARNING, "ledger", str(error))]
    except ValueError:
        head, text, remedy = None, f"{HEAD} is not what coldchain wrote", ""
    remedy = remedy or _REMEDY
    return head, [Finding(WARNING, "ledger", text, remedy)] if text else []


def _out_of_reach(ledger: Ledger) -> tuple[str, str]:
    """What keeps entries from being written, or others from being kept out; and the remedy."""
    for path in (ledger.head_file, ledger.file, ledger.lib / LOCK):
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(status.st_mode):
            return f"{path} is not a file: what is done is not put down", "move away what is there"
        quoted = shlex.quote(str(path))
        if status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o022:
            mend = f"check it (coldchain ledger verify), then: chown {os.geteuid()} {quoted};"
            return f"others can write {path}", f"{mend} chmod 600 {quoted}"
        if not os.access(path, os.W_OK):
            read_only = os.statvfs(path).f_flag & os.ST_RDONLY
            remedy = REMEDIES[errno.EROFS] if read_only else f"chmod 600 {quoted}"
            return f"{path} cannot be written: what is done is not put down", remedy
    if os.statvfs(ledger.lib).f_bavail == 0:
        text = f"{ledger.lib}: there is no space left, what is done is not put down"
        return text, "make room on that file system"
    return "", ""


def _at_the_ends(ledger: Ledger, head: Head | None) -> str:
    """What shows at once that something was altered."""
    path = ledger.file
    if head is None and path.exists() and path.lstat().st_size:
        return f"{HEAD} is gone"
    if head is None:
        known = ledger.known()
        return gone(known) if known else ""
    if head.damaged is not None:
        return f"it was altered before entry {head.damaged}"
    if not path.exists() and head.size:
        path = ledger.lib / aside(head.first)
    if not path.exists() and head.size:
        return f"{ledger.file} is gone"
    size = path.lstat().st_size if path.exists() else 0
    if size < head.size:
        return f"{path} was cut off: it has {size} bytes of {head.size}"
    if head.size:
        with opened(path) as stream:
            if last_digest(stream, head.size) not in (None, head.digest):
                return f"{path} was altered: its last entry is another one"
    return ""
