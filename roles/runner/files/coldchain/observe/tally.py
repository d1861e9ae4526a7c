# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is counted of a job's runs: ``metrics.json``, written by the process that runs jobs.

    {"format": 1, "jobs": {JOB_ID: {field of Tally: value}}}

The history cannot be counted instead: it is bounded, and a counter must not fall.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from coldchain.core.errors import ColdchainError
from coldchain.core.files import open_ours, write_atomically

FILE = "metrics.json"
FORMAT = 1
RESULTS = ("success", "fail", "aborted")


class Tally(NamedTuple):
    """What is counted of one job, and what its last runs told.

    success, fail, aborted: how many runs ended so; retries: attempts beyond the first of an action;
    ended, seconds, result: of the last run, POSIX seconds and how long it took; good: when the last
    success ended; read, files, stored: what the actions of the last success told, bytes and
    numbers, None of what told none; series: the place and the name of each backup that it wrote;
    free: the containers that it wrote to, and the bytes that were free there then.
    """

    success: int = 0
    fail: int = 0
    aborted: int = 0
    retries: int = 0
    ended: float | None = None
    seconds: float | None = None
    result: str = ""
    good: float | None = None
    read: int | None = None
    files: int | None = None
    stored: int | None = None
    series: tuple[tuple[str, str], ...] = ()
    free: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, runs: Iterable[Mapping[str, Any]]) -> Tally:
        """That of *runs*, newest first."""
        tally = cls()
        for run in reversed(list(runs)):
            tally = tally.after(run)
        return tally

    def through(self, runs: Sequence[Mapping[str, Any]]) -> Tally:
        """The tally once those of *runs*, newest first, are counted that came after the last one
        that is; the newest alone, where that one is not among them any more."""
        newer = list(takewhile(lambda run: run["time_ended"] != self.ended, runs))
        if len(newer) == len(runs) and self.ended is not None:
            newer = newer[:1]
        tally = self
        for run in reversed(newer):
            if run["time_ended"] != tally.ended:  # else a crash has let it be recorded twice
                tally = tally.after(run)
        return tally

    def after(self, run: Mapping[str, Any]) -> Tally:
        """The tally once the RUN is counted."""
        actions = run.get("actions", ())
        result, began, ended = str(run["result"]), run["time_started"], run["time_ended"]
        seconds = max(0.0, ended - began)
        reports = [action["report"] for action in actions if action.get("report")]
        changes: dict[str, Any] = {
            "retries": self.retries + sum([max(0, _whole(a.get("attempts")) - 1) for a in actions]),
            "ended": ended,
            "seconds": seconds,
            "result": result,
        }
        if reports:  # not of a command
            changes["free"] = _free(reports) or self.free
        if result in RESULTS:
            changes[result] = getattr(self, result) + 1
        if result == RESULTS[0]:
            backups = [report for report in reports if report.get("action") == "backup"]
            changes.update(
                good=ended,
                read=_sum(reports, "bytes"),
                files=_sum(reports, "files"),
                stored=_sum(backups, "size"),
                series=_series(backups),
            )
        return self._replace(**changes)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _sum(reports: Iterable[Mapping[str, Any]], name: str) -> int | None:
    """The sum of a number of all reports; None where none has it."""
    numbers = [report[name] for report in reports if isinstance(report.get(name), int)]
    return sum(numbers) if numbers else None


def _series(backups: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """As the receipts of verifications name them (see Location.key)."""
    found = {
        (
            f"{report.get('storage')} {report.get('container')}",
            f"{report.get('hostname')}_{report.get('backup_name')}",
        ): None
        for report in backups
    }
    return tuple(found)


def _free(reports: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, int], ...]:
    return tuple(
        {
            str(report["container"]): report["free_bytes"]
            for report in reports
            if isinstance(report.get("free_bytes"), int) and "container" in report
        }.items()
    )


def save(lib: Path, tallies: Mapping[str, Tally]) -> None:
    """Write the file; CannotWrite.  It survives the death of this process, and need not more."""
    blank = Tally()._asdict()
    jobs = {
        job_id: {k: v for k, v in tally._asdict().items() if v != blank[k]}
        for job_id, tally in tallies.items()
    }
    content = {"format": FORMAT, "jobs": jobs}
    raw = json.dumps(content, separators=(",", ":")).encode("ascii") + b"\n"
    write_atomically(lib / FILE, raw, durable=False)


def load(lib: Path) -> dict[str, Tally]:
    """The tallies of the file; without a file, or with one that cannot be used, none: they are made
    again from the history."""
    try:
        with open(open_ours(lib / FILE), "rb") as stream:
            content = json.loads(stream.read())
        if content["format"] != FORMAT:
            return {}
        return {job_id: _tally(row) for job_id, row in content["jobs"].items()}
    except (OSError, ColdchainError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _tally(row: Mapping[str, Any]) -> Tally:
    """The opposite of what save writes; of another release there may be other fields."""
    fields = {name: value for name, value in row.items() if name in Tally._fields}
    pairs = {
        name: tuple((key, value) for key, value in fields.get(name, ()))
        for name in ("series", "free")
    }
    tally = Tally(**{**fields, **pairs})
    numbers = [value for value in tally[:6] + tally[7:11] if value is not None]
    if not all(isinstance(number, (int, float)) for number in numbers):
        raise ValueError("is no tally")
    return tally
