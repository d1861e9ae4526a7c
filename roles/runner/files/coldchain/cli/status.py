# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command status: is this host protected?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from coldchain.agent.uncovered import Uncovered
from coldchain.cli.arguments import positive_number
from coldchain.cli.context import Call
from coldchain.cli.findings import show_findings
from coldchain.cli.host_status import HostStatus, judge_host
from coldchain.cli.job_series import JobSeries
from coldchain.cli.output import age, instant
from coldchain.cli.status_days import coming, runs_since
from coldchain.core.errors import Unavailable
from coldchain.core.instants import DAY, from_epoch
from coldchain.core.text import format_bytes, pluralize, shorten
from coldchain.runner.protection import JobStatus

_TONE = {"ok": "good", "running": "good", "stopped": "doubtful"}


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument(
        "--days",
        metavar="N",
        type=positive_number,
        help="in JSON with the runs of the last N days, and with those of the next 7",
    )
    command.add_argument(
        "--ledger-entry",
        metavar="N",
        type=positive_number,
        help="in JSON with the digest that entry N of the ledger has now, for whoever noted it",
    )


def run(call: Call) -> int:
    """How the host's jobs and backups are: 0 protected, 1 not, 69 no runner is at work."""
    arguments = call.arguments
    thorough, entry = arguments.days is not None, arguments.ledger_entry
    status = judge_host(call, thorough=thorough, ledger_entry=entry)
    if call.output.json:
        call.output.answer({**status.as_dict(), **_days(call, status)})
    else:
        _show(call, status)
    if not status.runner.alive:
        return Unavailable.exit_code
    return 0 if status.protected else 1


def _days(call: Call, status: HostStatus) -> dict[str, Any]:
    """What --days asks for."""
    if call.arguments.days is None:
        return {}
    since = status.now - call.arguments.days * DAY
    return {
        "runs": [runs_since(call, job.job_id, since) for job in status.jobs],
        "coming": coming(call, status.records, status.outlooks, status.now),
    }


def _show(call: Call, status: HostStatus) -> None:
    """80 columns: the answer first, then each job, what can be restored, and what to do."""
    line, now = call.output.line, status.now
    _show_answer(call, status)
    if status.jobs:
        line()
        _show_jobs(call, status.jobs, now)
    if status.series:
        line()
        call.output.table(
            ("BACKUP", "POINTS", "NEWEST", "VERIFIED", "SIZE"),
            [_series_row(row, now) for row in status.series],
            ["bad" if not row.restorable else "" for row in status.series],
        )
    if status.findings:
        line()
    show_findings(call.output, status.findings)
    _show_uncovered(call, status.uncovered)


def _show_answer(call: Call, status: HostStatus) -> None:
    line, jobs = call.output.line, status.jobs
    needing = sum(job.needs_somebody for job in jobs)
    if status.protected:
        line(f"{status.host} is protected", "good")
    else:
        verb = "needs" if needing == 1 else "need"
        why = f": {needing} of {pluralize(len(jobs), 'job')} {verb} somebody" if needing else ""
        line(f"{status.host} is NOT protected{why}", "bad")
    runner = status.runner
    if runner.alive:
        since = runner.since and instant(from_epoch(int(runner.since)), call.settings.zone)
        version = f" {runner.version}" if runner.version else ""
        line(f"runner{version} at work" + (f" since {since}" if since else ""))
    else:
        line("no runner is at work", "bad")


def _show_jobs(call: Call, jobs: Sequence[JobStatus], now: float) -> None:
    zone = call.settings.zone
    rows = [
        (
            shorten(job.job_id, 32),
            job.state,
            _ago(job.successes.last, now),
            job.next_run and _short_instant(job.next_run, zone),
        )
        for job in jobs
    ]
    tones = ["bad" if job.needs_somebody else _TONE.get(job.state, "") for job in jobs]
    call.output.table(("JOB", "STATE", "LAST SUCCESS", "NEXT RUN"), rows, tones)


def _series_row(row: JobSeries, now: float) -> tuple[object, ...]:
    good = row.restorable
    number = f"{len(good)} of {len(row.points)}" if row.error is None else "not known"
    return (
        shorten(str(row.scope.backup_name), 27),
        number,
        _ago(good[-1].time_stamp if good else None, now),
        _ago(row.verified, now),
        format_bytes(sum(point.size for point in row.points)),
    )


def _show_uncovered(call: Call, things: Sequence[Uncovered]) -> None:
    if things:
        call.output.line()
        call.output.line("In no backup (uncovered_ignore in the settings silences a line):", "head")
    for thing in things:
        call.output.paragraph(f"{thing.what}: {thing.why}")


def _ago(seconds: float | None, now: float) -> str:
    return "never" if seconds is None else f"{age(max(0.0, now - seconds))} ago"


def _short_instant(text: str, zone: Any) -> str:
    return f"{datetime.fromisoformat(text).astimezone(zone):%a %Y-%m-%d %H:%M}"
