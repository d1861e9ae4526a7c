# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command status: is this host protected?"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from coldchain.agent.coverage import work_of
from coldchain.agent.receipts import Receipts
from coldchain.agent.uncovered import Host, Uncovered, uncovered
from coldchain.cli.arguments import positive_number
from coldchain.cli.context import Call
from coldchain.cli.findings import show_findings
from coldchain.cli.health import examine
from coldchain.cli.health_patient import Patient
from coldchain.cli.job_series import JobSeries, series_of_jobs
from coldchain.cli.job_view import length
from coldchain.cli.output import age, instant
from coldchain.core.errors import Unavailable
from coldchain.core.instants import from_epoch, iso
from coldchain.core.text import format_bytes, format_duration, pluralize, shorten
from coldchain.observe import guard
from coldchain.observe.findings import CRITICAL, INFO, SEVERITIES, WARNING, Finding
from coldchain.observe.ledger import Ledger
from coldchain.observe.ledger_check import look
from coldchain.runner import presence
from coldchain.runner.judging import Judging, runs_to_judge
from coldchain.runner.outlook import Outlook, asked_for
from coldchain.runner.protection import JobStatus
from coldchain.store import Event, JobRecord, Run

PROGRAM = Path("/opt/coldchain")
"""Where role runner puts the releases."""
_ALL = 1 << 30
_WIDTH = 80
_DAY = 86400
_DAYS_AHEAD = 7
_METRICS_AGE = 900.0  # seconds; as the alert ColdchainSilent
COLUMNS = ("started", "seconds", "result", "bytes", "session_tag", "session_id")
"""Of the rows of "runs"; started in POSIX seconds, bytes as they are stored."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument(
        "--days",
        metavar="N",
        type=positive_number,
        help="in JSON with the runs of the last N days, and with those of the next 7",
    )


def run(call: Call) -> int:
    """How the host's jobs and backups are: 0 protected, 1 not, 69 no runner is at work."""
    now, store = time.time(), call.store
    runner = presence.look(call.paths)
    records = dict(store.jobs().items())
    receipts = Receipts(call.paths.lib)
    outlooks: dict[str, Outlook] = {}
    jobs_and_runs = list(judged(call, records, now, outlooks))
    jobs = {job.job_id: job for job, _runs in jobs_and_runs}
    series = series_of_jobs(call, records, receipts)
    findings = [*_of_the_host(call, runner.alive, bool(records), receipts.problem)]
    findings += [finding for job in jobs.values() if (finding := job.finding()) is not None]
    findings += [finding for _job, runs in jobs_and_runs for finding in guard.recent(runs, now)]
    known = {job.job_id: runs for job, runs in jobs_and_runs}
    examined = examine(Patient(call, known), cheap=True)
    findings += [finding for finding in examined if finding.severity != INFO]
    findings += [finding for row in series for finding in row.findings(jobs[row.job_id])]
    head, damage = look(Ledger(call.paths.lib))
    findings += damage
    ledger = None if head is None else {"head": head.digest, "entries": head.entries}
    findings.sort(key=lambda finding: -SEVERITIES.index(finding.severity))
    protected = not any(finding.severity == CRITICAL for finding in findings)
    answer: dict[str, Any] = {
        "host": call.settings.client_id,
        "time": iso(from_epoch(int(now))),
        "protected": protected,
        "runner": runner.as_dict(),
        "jobs": [job.as_dict(now) for job in jobs.values()],
        "series": [row.as_dict() for row in series],
        "uncovered": [thing.as_dict() for thing in _uncovered(call, records, series)],
        "findings": [finding.as_dict() for finding in findings],
        "ledger": ledger,
    }
    if call.arguments.days is not None:
        since = now - call.arguments.days * _DAY
        answer["runs"] = [_runs_since(call, job_id, since) for job_id in jobs]
        answer["coming"] = _coming(call, records, outlooks, now)
    if call.output.json:
        call.output.answer(answer)
    else:
        _show(call, answer, list(jobs.values()), series, findings, now)
    if not runner.alive:
        return Unavailable.exit_code
    return 0 if protected else 1


def judged(
    call: Call, records: Mapping[str, JobRecord], now: float, outlooks: dict[str, Outlook]
) -> Iterator[tuple[JobStatus, list[Run]]]:
    """How each declared job is, and the runs that say it, in the order of their names; outlooks:
    gets that of each."""
    store, settings = call.store, call.settings
    states = dict(store.states().items())
    requests: dict[str, list[Event]] = {}
    for request in store.pending_events():
        requests.setdefault(request.job_id, []).append(request)
    judging = Judging(store, settings, now)
    for job_id, record in sorted(records.items()):
        state = asked_for(states.get(job_id), record, requests.get(job_id, ()))
        outlook = outlooks[job_id] = judging.outlook(record, state)
        runs = runs_to_judge(store, job_id, now - guard.RECENT)
        yield judging.judge(record, outlook, runs), runs


def _of_the_host(call: Call, alive: bool, jobs: bool, unread: str) -> Iterator[Finding]:
    """What is to be said beside the jobs; unread: why the receipts could not be read."""
    if not alive:
        home = call.paths.home
        start = (
            "systemctl start coldchain-runner" if home is None else f"{home}/bin/coldchain serve"
        )
        text = "no runner is at work here: nothing will start"
        yield Finding(CRITICAL, "runner", text, start)
    if not jobs:
        declare = "coldchain apply, or the role coldchain.freezer.jobs"
        yield Finding(WARNING, "jobs", "no job is declared on this host", declare)
    if call.settings.zone_problem:
        text = f"schedules are read in UTC: {call.settings.zone_problem}"
        yield Finding(WARNING, "time zone", text, "set timezone in the settings")
    if unread:
        yield Finding(WARNING, "verifications", unread)
    if alive and call.settings.metrics_file:
        yield from _of_metrics(Path(call.settings.metrics_file))
    if call.paths.notify.is_dir():
        from coldchain.observe import delivery_findings
        from coldchain.observe.outbox import Outbox

        yield from delivery_findings.findings(Outbox(call.paths.notify), time.time())


def _of_metrics(path: Path) -> Iterator[Finding]:
    """That the runner does not renew the file for Prometheus."""
    try:
        age_of_it = time.time() - path.stat().st_mtime
    except OSError as error:
        age_of_it, why = float("inf"), f"{path}: {error.strerror}"
    else:
        why = f"{path} was not renewed for {format_duration(max(0.0, age_of_it))}"
    if age_of_it > _METRICS_AGE:
        remedy = "make its directory writable for the runner, whose log tells more"
        yield Finding(WARNING, "metrics", f"Prometheus is told nothing: {why}", remedy)


def _uncovered(
    call: Call, records: Mapping[str, JobRecord], series: Sequence[JobSeries]
) -> list[Uncovered]:
    """What no job backs up, of which one that is declared with status stop is none."""
    paths, settings = call.paths, call.settings
    works = [
        work_of(job_id, [entry["freezer_action"] for entry in record.document["job_actions"]])
        for job_id, record in sorted(records.items())
        if not record.stopped
    ]
    own = [settings.containers_dir, settings.spool_dir, paths.lib, paths.log, PROGRAM]
    own += [paths.home] if paths.home is not None else []
    own += [folder for row in series if (folder := row.scope.location.folder) is not None]
    host = Host(own=tuple(map(str, own)), ignore=settings.uncovered_ignore)
    return uncovered(works, host)


def _runs_since(call: Call, job_id: str, since: float) -> dict[str, Any]:
    """The runs of a job that ended after *since* (POSIX seconds), oldest first."""
    runs = [run for run in call.store.history(job_id, _ALL) if run["time_ended"] >= since]
    rows = [
        [
            int(run["time_started"]),
            round(max(0.0, run["time_ended"] - run["time_started"])),
            run["result"],
            _stored(run),
            run.get("session_tag"),
            run.get("session_id"),
        ]
        for run in reversed(runs)
    ]
    return {"job_id": job_id, "columns": list(COLUMNS), "rows": rows}


def _coming(
    call: Call, records: Mapping[str, JobRecord], outlooks: Mapping[str, Outlook], now: float
) -> dict[str, Any]:
    """What the next days bring."""
    from coldchain.runner.forecast import ForecastJob, forecast

    jobs = [
        ForecastJob(records[job_id], outlook, length(outlook.state.last_run or {}))
        for job_id, outlook in outlooks.items()
    ]
    return forecast(jobs, now, _DAYS_AHEAD, call.settings.concurrent_jobs)


def _stored(run: Run) -> int | None:
    """Bytes that the backups of a run have stored; None when it made none."""
    actions = [action for action in run.get("actions", []) if action.get("action") == "backup"]
    sizes = [(action.get("report") or {}).get("size") for action in actions]
    stored = [size for size in sizes if isinstance(size, int)]
    return sum(stored) if stored else None


# -- for people -----------------------------------------------------------------------------------

_TONE = {"ok": "good", "running": "good", "stopped": "doubtful"}


def _show(
    call: Call,
    answer: Mapping[str, Any],
    jobs: Sequence[JobStatus],
    series: Sequence[JobSeries],
    findings: Sequence[Finding],
    now: float,
) -> None:
    """80 columns: the answer first, then each job, what can be restored, and what to do."""
    line, zone = call.output.line, call.settings.zone
    needing = sum(job.needs_somebody for job in jobs)
    if answer["protected"]:
        line(f"{answer['host']} is protected", "good")
    else:
        verb = "needs" if needing == 1 else "need"
        why = f": {needing} of {pluralize(len(jobs), 'job')} {verb} somebody" if needing else ""
        line(f"{answer['host']} is NOT protected{why}", "bad")
    runner = answer["runner"]
    if runner["alive"]:
        since = runner["since"] and instant(datetime.fromisoformat(runner["since"]), zone)
        version = f" {runner['version']}" if runner["version"] else ""
        line(f"runner{version} at work" + (f" since {since}" if since else ""))
    else:
        line("no runner is at work", "bad")
    if jobs:
        line()
        rows = [
            (
                shorten(job.job_id, 32),
                job.state,
                _ago(job.successes.last, now),
                job.next_run and _short_instant(job.next_run, zone),
            )
            for job in jobs
        ]
        tones = [_TONE.get(job.state, "bad" if job.needs_somebody else "") for job in jobs]
        call.output.table(("JOB", "STATE", "LAST SUCCESS", "NEXT RUN"), rows, tones)
    if series:
        line()
        call.output.table(
            ("BACKUP", "POINTS", "NEWEST", "VERIFIED", "SIZE"),
            [_series_row(row, now) for row in series],
            ["bad" if not row.restorable else "" for row in series],
        )
    if findings:
        line()
    show_findings(call.output, findings)
    _show_uncovered(call, answer["uncovered"])


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


def _show_uncovered(call: Call, things: Sequence[Mapping[str, str]]) -> None:
    from textwrap import wrap

    if things:
        call.output.line()
        call.output.line("In no backup (uncovered_ignore in the settings silences a line):", "head")
    for thing in things:
        for part in wrap(f"{thing['what']}: {thing['why']}", _WIDTH, subsequent_indent="  "):
            call.output.line(part)


def _ago(seconds: float | None, now: float) -> str:
    return "never" if seconds is None else f"{age(max(0.0, now - seconds))} ago"


def _short_instant(text: str, zone: Any) -> str:
    return f"{datetime.fromisoformat(text).astimezone(zone):%a %Y-%m-%d %H:%M}"
