# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people and programs get to see: lines and tables, or one JSON object."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, NamedTuple, TextIO

from coldchain.core.errors import ColdchainError, DataError, Problem, UnknownJob
from coldchain.core.instants import parse_instant
from coldchain.core.text import format_duration, printable

# unit in seconds, its name, and from how many of it on it is used
_AGES = (
    (31_557_600, "years", 2),
    (2_629_800, "months", 2),
    (86_400, "days", 2),
    (3600, "hours", 2),
    (60, "minutes", 2),
)

WIDTH = 80
"""Columns of a terminal that everybody has."""

#: Tone of a line -> how a terminal shows it (SGR).
_TONES = {"good": "32", "bad": "31", "doubtful": "33", "head": "1"}


class Located(NamedTuple):
    """A problem of one of several documents: its position, its job id as far as it is known."""

    position: int
    job_id: str
    problem: Problem

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"index": self.position, "job_id": self.job_id, **self.problem.as_dict()}


class Refused(DataError):
    """Documents are refused.  single: there was only one, its position needs no mention."""

    def __init__(self, message: str, located: Sequence[Located], *, single: bool) -> None:
        super().__init__(message, problems=[place.problem for place in located])
        self.located = list(located)
        self.single = single


class Output:
    """Standard output and error of one command; ``json`` decides between the two forms."""

    def __init__(self, *, json: bool = False) -> None:
        self.json = json

    def answer(self, value: Mapping[str, Any]) -> None:
        """The one JSON object of the command."""
        self.line(json.dumps(value))

    def line(self, text: str = "", tone: str = "") -> None:
        """One line or several, without what would steer a terminal.

        tone: one of good, bad, doubtful, head: its colour where there are colours.
        """
        text = "\n".join(printable(line) for line in text.split("\n"))
        text = _encodable(text, sys.stdout)
        if tone and self.colours:
            text = f"\x1b[{_TONES[tone]}m{text}\x1b[0m"
        sys.stdout.write(text + "\n")

    def paragraph(self, text: str, tone: str = "") -> None:
        """A text in lines of 80 columns; a name or a path that is longer than that, or that has a
        hyphen, stays in one piece: somebody will copy it."""
        from textwrap import wrap

        for part in wrap(
            text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        ):
            self.line(part, tone)

    @property
    def colours(self) -> bool:
        """Whether standard output is a terminal that shows colours to somebody who wants them
        (https://no-color.org)."""
        environment = os.environ
        refused = environment.get("NO_COLOR") or environment.get("TERM", "dumb") == "dumb"
        return not refused and sys.stdout.isatty()

    def text(self, text: str) -> None:
        """As it is, at once, without a line's end of ours."""
        sys.stdout.write(_encodable(text, sys.stdout))
        sys.stdout.flush()

    def table(
        self,
        heads: Sequence[str],
        rows: Sequence[Sequence[object]],
        tones: Sequence[str] = (),
    ) -> None:
        """Columns as wide as they need to be; None and "" are shown as a dash.

        tones: that of each row (see line).
        """
        cells = [list(heads), *([cell(item) for item in row] for row in rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
        shades = ["head", *tones] if tones else [""] * len(cells)
        for row, tone in zip(cells, shades):
            padded = (text.ljust(width) for text, width in zip(row, widths))
            self.line("  ".join(padded).rstrip(), tone)

    def note(self, text: str) -> None:
        """Something beside the answer, for people."""
        self._stderr(f"coldchain: {text}")

    def error(self, error: ColdchainError) -> None:
        """JSON mode: one object on standard output; else lines on standard error."""
        if self.json:
            self.answer({"error": error_object(error)})
            return
        self._stderr(f"coldchain: {error.message}")
        for line in error.hint.splitlines():
            self._stderr(f"  {line}")
        if isinstance(error, Refused):
            self.problems(error.located, single=error.single)
        elif isinstance(error, DataError):
            self.problems([Located(0, "", problem) for problem in error.problems], single=True)

    def problems(self, located: Sequence[Located], *, single: bool) -> None:
        """On standard error: a line for each problem, its remedy below it."""
        for place in located:
            problem = place.problem
            path = problem.path if single else f"document {place.position}: {problem.path}"
            self._stderr(f"coldchain: {path}: {problem.message}")
            if problem.hint:
                self._stderr(f"  {problem.hint}")

    def flush(self) -> None:
        """Write out what standard output still holds."""
        sys.stdout.flush()

    def _stderr(self, text: str) -> None:
        sys.stderr.write(_encodable(printable(text), sys.stderr) + "\n")


def error_object(error: ColdchainError) -> dict[str, Any]:
    """The JSON form of an error.

    "errors" has an element for each problem of the documents; "unknown_job" is there, and true,
    when it is that the job is not declared.
    """
    errors: list[dict[str, Any]] = []
    if isinstance(error, Refused):
        errors = [place.as_dict() for place in error.located]
    elif isinstance(error, DataError):
        errors = [dict(problem.as_dict()) for problem in error.problems]
    return {
        "code": error.exit_code,
        "message": error.message,
        "hint": error.hint,
        "errors": errors,
        **({"unknown_job": True} if isinstance(error, UnknownJob) else {}),
    }


def _encodable(text: str, stream: TextIO) -> str:
    """*text* as the stream's encoding can say it."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def cell(value: object) -> str:
    """A value in a table: a dash for none."""
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
    return "" if seconds is None else format_duration(seconds)
