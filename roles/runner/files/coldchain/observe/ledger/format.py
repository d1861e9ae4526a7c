# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ledger consists of (docs/reference/ledger.md): entries, and the head that counts them.

Each entry holds the SHA-256 of the line before it.  The head, a file of its own, holds the number
and the digest of the last one, and how long the file is that it lies in.  A line is on disk before
the head that counts it: so what is beyond the head is new, or was never acknowledged, and what the
head counts and is not there was taken away (docs/decisions/086-ledger.md).
"""

from __future__ import annotations

import json
import os
import pwd
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from coldchain.core.digest import canonical_json, sha256_hex
from coldchain.core.errors import Unavailable
from coldchain.core.files import cannot_read
from coldchain.core.instants import from_epoch, iso

FILE, HEAD, LOCK = "ledger.jsonl", "ledger.head", "ledger.lock"
HEAD_BYTES = 256
"""The length of the head: less than a sector, which disks write as a whole or not at all."""
NOTHING = "0" * 64
"""What the first entry has in the place of the digest of the one before."""
OWN = "ledger"
"""What entries are called that the ledger writes of itself."""
DAMAGED, TORN, DROPPED, MISSED = "damaged", "torn", "dropped", "missed"
RENEWED = "renewed"
LONGEST = 67_108_864
"""Bytes of a line; one of 10,000 changed jobs has two million."""
_MOSTLY, _END = 4_096, 65_536  # bytes that lines are shorter than
_FACTS = (
    "action",
    "storage",
    "container",
    "hostname",
    "backup_name",
    "chain",
    "level",
    "restore_abs_path",
    "size",
    "manifest_sha256",
    "removed",
)


class Act(NamedTuple):
    """Something that was done.  what: the kind of the entry; fields: its facts, JSON; time: POSIX
    seconds; who: see actor."""

    what: str
    fields: Mapping[str, Any]
    time: float
    who: Mapping[str, Any]


class Head(NamedTuple):
    """What is kept of a ledger beside its entries.

    entries: how many there are; digest: of the last one; first, size: the number of the first
    entry in the file that the last one lies in, and the bytes of that file; damaged: the first
    entry that tells of damage, None without.
    """

    entries: int = 0
    digest: str = NOTHING
    first: int = 1
    size: int = 0
    damaged: int | None = None

    def after(self, line: bytes, *, damage: bool = False) -> Head:
        """The head that counts *line* as well, an entry without its end; damage: of which it
        tells."""
        number, size = self.entries + 1, self.size + len(line) + 1
        first_of_damage = number if damage and self.damaged is None else self.damaged
        return Head(number, sha256_hex(line), self.first, size, first_of_damage)

    def encode(self) -> bytes:
        """The content of the file: always as long, so that it can be written over in place."""
        return canonical_json(self._asdict()).ljust(HEAD_BYTES - 1) + b"\n"

    @classmethod
    def decode(cls, raw: bytes) -> Head:
        """The opposite; ValueError for anything that encode does not write."""
        try:
            head = cls(**json.loads(raw))
        except (TypeError, RecursionError):
            raise ValueError("is no head") from None
        numbers = (head.entries, head.first, head.size, head.damaged or 0)
        whole = all(map(is_count, numbers))
        if not whole or not isinstance(head.digest, str) or head.encode() != raw:
            raise ValueError("is no head")
        return head


def actor() -> dict[str, Any]:
    """Who acts: {"user", "uid"}, and "sudo", the person behind it, where sudo was used."""
    return dict(_actor(os.getuid(), os.environ.get("SUDO_USER", "")))


@lru_cache(maxsize=1)
def _actor(uid: int, behind: str) -> Mapping[str, Any]:
    who: dict[str, Any] = {"user": None, "uid": uid}
    with suppress(KeyError):
        who["user"] = pwd.getpwuid(uid).pw_name
    return {**who, "sudo": behind[:100]} if behind else who


def act(what: str, fields: Mapping[str, Any]) -> Act:
    """Something that this process has just done."""
    return Act(what, fields, time.time(), actor())


def line_of(head: Head, done: Act) -> bytes:
    """The line, without its end, that the act becomes after *head*."""
    own = {
        "n": head.entries + 1,
        "time": iso(from_epoch(int(done.time))),
        "who": dict(done.who),
        "what": done.what,
        "prev": head.digest,
    }
    return canonical_json({**done.fields, **own})


def facts(report: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of the report of an action: what it stored, restored or removed, and where."""
    return {name: report[name] for name in _FACTS if report.get(name) not in (None, "", [])}


def run_fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a finished RUN."""
    reports = [action.get("report") for action in record.get("actions", ())]
    fields = {
        "job_id": record["job_id"],
        "run_id": record["run_id"],
        "cause": record.get("cause"),
        "scheduled_for": record.get("scheduled_for"),
        "began": iso(from_epoch(int(record["time_started"]))),
        "ended": iso(from_epoch(int(record["time_ended"]))),
        "result": record["result"],
        "actions": [facts(report) for report in reports if report],
    }
    by = (record.get("request") or {}).get("by")
    return {**fields, "by": by} if by else fields


def opened(path: Path) -> BinaryIO:
    """The file *path*, open for reading.  Raises FileNotFoundError, and
    Unavailable for what is no file or cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise cannot_read(path, error) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Unavailable(f"{path}: is not a file", "move away what is there")
    return open(descriptor, "rb")


def last_digest(stream: BinaryIO, size: int, *, patient: bool = False) -> str | None:
    """The digest of the line that ends at *size*; None of one that is longer than most.

    patient: of any.
    """
    for most in (_MOSTLY, _END, LONGEST) if patient else (_MOSTLY, _END):
        stream.seek(max(0, size - most))
        end = stream.read(min(size, most))
        _unused, newline, line = end[:-1].rpartition(b"\n")
        if newline or size <= most:
            return sha256_hex(line)
    return None


def aside(first: int) -> str:
    """The name of a file that was put aside, whose first entry has that number."""
    return f"ledger.{first:012d}.jsonl"


def files_aside(lib: Path) -> dict[int, Path]:
    """The files that were put aside, by the number of their first entry, in order."""
    found = {}
    for name in os.listdir(lib):
        middle = name[len("ledger.") : -len(".jsonl")]
        if (
            name.startswith("ledger.")
            and name.endswith(".jsonl")
            and middle.isdigit()
            and middle.isascii()
        ):
            found[int(middle)] = lib / name
    return dict(sorted(found.items()))


def is_count(value: object) -> bool:
    """Whether it is a number of something: whole, and not below 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def number_of(line: bytes) -> int:
    """The number of the entry in *line*; 0 when it is none."""
    try:
        entry = json.loads(line)
        number = entry["n"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0
    return number if is_count(number) else 0


def tells_damage(entry: Mapping[str, Any]) -> bool:
    """Is it an entry that the ledger wrote because something was wrong with it?"""
    return entry.get("what") == OWN and entry.get("did") == DAMAGED


def beyond(head: Head, tail: bytes) -> tuple[Head, bytes]:
    """Count the entries that *tail* begins with, which lies in the file after what *head* counts:
    the head after them, the same where none follows, and the rest of it."""
    while True:
        line, end, rest = tail.partition(b"\n")
        if not end or number_of(line) != head.entries + 1:
            return head, tail
        entry = json.loads(line)
        if entry.get("prev") != head.digest or canonical_json(entry) != line:
            return head, tail
        head, tail = head.after(line, damage=tells_damage(entry)), rest


def is_torn(rest: bytes) -> bool:
    """May *rest*, which is beyond all entries, be what a crash left of some?  A power cut leaves
    zeros where a disk had made room for what it never got."""
    return b"\n" not in rest or b"\0" in rest
