# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people and programs get to see: lines and tables, or one JSON object."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, TextIO

from coldchain.errors import ColdchainError, DataError, Problem
from coldchain.instants import lasting, parse_instant

# unit in seconds, its name, and from how many of it on it is used
_AGES = (
    (31_557_600, "years", 2),
    (2_629_800, "months", 2),
    (86_400, "days", 2),
    (3600, "hours", 2),
    (60, "minutes", 2),
)


@dataclass(frozen=True)
class Located:
    """A problem of one of several documents: its position, its job id as far as it is known."""

    index: int
    job_id: str
    problem: Problem

    def as_dict(self) -> dict[str, Any]:
        return {"index": self.index, "job_id": self.job_id, **self.problem.as_dict()}


class Refused(DataError):
    """Documents are refused.  single: there was only one, its position needs no mention."""

    def __init__(self, message: str, located: Sequence[Located], *, single: bool) -> None:
        super().__init__(message, problems=[each.problem for each in located])
        self.located = list(located)
        self.single = single


class Output:
    """Standard output and error of one command; ``json`` decides between the two forms."""

    def __init__(self, *, json: bool = False) -> None:
        self.json = json

    def answer(self, value: Mapping[str, Any]) -> None:
        """The one JSON object of the command."""
        self.line(json.dumps(value))

    def line(self, text: str = "") -> None:
        """One line or several, without what would steer a terminal."""
        text = "\n".join(printable(line) for line in text.split("\n"))
        sys.stdout.write(_encodable(text, sys.stdout) + "\n")

    def text(self, text: str) -> None:
        """As it is, at once, without a line's end of ours."""
        sys.stdout.write(_encodable(text, sys.stdout))
        sys.stdout.flush()

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Columns as wide as they need to be; None and "" are shown as a dash."""
        cells = [list(heads), *([cell(item) for item in row] for row in rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
        for row in cells:
            padded = (text.ljust(width) for text, width in zip(row, widths))
            self.line("  ".join(padded).rstrip())

    def note(self, text: str) -> None:
        """Something beside the answer, for people."""
        self._stderr(f"coldchain: {text}")

    def error(self, error: ColdchainError) -> None:
        """JSON mode: one object on standard output; else lines on standard error."""
        if self.json:
            self.answer({"error": error_object(error)})
            return
        self._stderr(f"coldchain: {error.message}")
        if error.hint:
            self._stderr(f"  {error.hint}")
        if isinstance(error, Refused):
            self.problems(error.located, single=error.single)
        elif isinstance(error, DataError):
            self.problems([Located(0, "", problem) for problem in error.problems], single=True)

    def problems(self, located: Sequence[Located], *, single: bool) -> None:
        """On standard error: a line for each problem, its remedy below it."""
        for each in located:
            path = each.problem.path if single else f"document {each.index}: {each.problem.path}"
            self._stderr(f"coldchain: {path}: {each.problem.message}")
            if each.problem.hint:
                self._stderr(f"  {each.problem.hint}")

    def flush(self) -> None:
        sys.stdout.flush()

    def _stderr(self, text: str) -> None:
        sys.stderr.write(_encodable(printable(text), sys.stderr) + "\n")


def error_object(error: ColdchainError) -> dict[str, Any]:
    """The JSON form of an error; "errors" has an element for each problem of the documents."""
    errors: list[dict[str, Any]] = []
    if isinstance(error, Refused):
        errors = [each.as_dict() for each in error.located]
    elif isinstance(error, DataError):
        errors = [dict(problem.as_dict()) for problem in error.problems]
    return {
        "code": error.exit_code,
        "message": error.message,
        "hint": error.hint,
        "errors": errors,
    }


def _encodable(text: str, stream: TextIO) -> str:
    """*text* as the stream's encoding can say it."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def printable(text: str) -> str:
    """*text* without what would steer a terminal."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def cell(value: object) -> str:
    return "-" if value is None or value == "" else printable(str(value))


def instant(moment: datetime | None, zone: tzinfo) -> str:
    """Wall time for people: Wed 2026-11-25 03:25:00 CET."""
    return "" if moment is None else f"{moment.astimezone(zone):%a %Y-%m-%d %H:%M:%S %Z}"


def copyable(moment: datetime, zone: tzinfo) -> str:
    """Wall time that can be given back as a date; with its offset where it would be ambiguous."""
    local = moment.astimezone(zone).replace(microsecond=0)
    text = local.replace(tzinfo=None).isoformat()
    return text if parse_instant(text, zone) == local else local.isoformat()


def age(seconds: float) -> str:
    """How long ago, in one unit: 3 hours."""
    for size, unit, fewest in _AGES:
        if seconds >= size * fewest:
            return f"{int(seconds // size)} {unit}"
    return "a moment"


def duration(seconds: float | None) -> str:
    """Two units at most: 3 min 20 s."""
    return "" if seconds is None else lasting(seconds)
