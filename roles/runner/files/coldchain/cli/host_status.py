# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is this host protected?  All that ``coldchain status`` knows, and what follows from it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from coldchain.agent.coverage import work_of
from coldchain.agent.receipts import Receipts
from coldchain.agent.uncovered import Host, Uncovered, uncovered
from coldchain.cli.context import Call
from coldchain.cli.health import examine
from coldchain.cli.health_patient import Patient
from coldchain.cli.job_series import JobSeries, series_of_jobs
from coldchain.core.errors import ColdchainError
from coldchain.core.instants import from_epoch, iso
from coldchain.observe import guard
from coldchain.observe.findings import CRITICAL, INFO, SEVERITIES, WARNING, Finding
from coldchain.observe.ledger.format import Head
from coldchain.observe.ledger.look import look, look_through
from coldchain.observe.ledger.reading import digest_of, renewed
from coldchain.observe.ledger.writer import Ledger
from coldchain.runner import presence
from coldchain.runner.judging import Judging, runs_to_judge
from coldchain.runner.outlook import Outlook
from coldchain.runner.protection import JobStatus
from coldchain.runner.requests import asked_for
from coldchain.store import Event, JobRecord, Run

PROGRAM = Path("/opt/coldchain")
"""Where role runner puts the releases."""


class HostStatus(NamedTuple):
    """How the jobs and backups of a host are.

    now: POSIX seconds; jobs, series: in the order of the jobs' names; findings: the worst first;
    ledger: the digest of its head and the number of entries, None when there is none yet, and what
    is told of the entry that was asked for; records, outlooks: of the declared jobs by their names.
    """

    host: str
    now: float
    runner: presence.Presence
    jobs: Sequence[JobStatus]
    series: Sequence[JobSeries]
    uncovered: Sequence[Uncovered]
    findings: Sequence[Finding]
    ledger: Mapping[str, Any] | None
    records: Mapping[str, JobRecord]
    outlooks: Mapping[str, Outlook]

    @property
    def protected(self) -> bool:
        """Whether nothing is critical."""
        return not any(finding.severity == CRITICAL for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """JSON, as ``coldchain status`` has it."""
        return {
            "host": self.host,
            "time": iso(from_epoch(int(self.now))),
            "protected": self.protected,
            "runner": self.runner.as_dict(),
            "jobs": [job.as_dict(self.now) for job in self.jobs],
            "series": [row.as_dict() for row in self.series],
            "uncovered": [thing.as_dict() for thing in self.uncovered],
            "findings": [finding.as_dict() for finding in self.findings],
            "ledger": self.ledger,
        }


def judge_host(
    call: Call, *, thorough: bool = False, ledger_entry: int | None = None
) -> HostStatus:
    """How the host is now; thorough: with each entry of its ledger; ledger_entry: the number of
    one whose digest is to be told."""
    now, store = time.time(), call.store
    runner = presence.look(call.paths)
    records = dict(store.jobs().items())
    receipts = Receipts(call.paths.lib)
    judgements = list(judged(call, records, now))
    jobs = {judgement.job.job_id: judgement.job for judgement in judgements}
    series = series_of_jobs(call, records, receipts)
    findings = [*_of_the_host(call, runner.alive, bool(records), receipts.problem)]
    findings += [finding for job in jobs.values() if (finding := job.finding()) is not None]
    findings += [
        finding for judgement in judgements for finding in guard.recent(judgement.runs, now)
    ]
    known = {judgement.job.job_id: judgement.runs for judgement in judgements}
    examined = examine(Patient(call, known), cheap=True)
    findings += [finding for finding in examined if finding.severity != INFO]
    findings += [finding for row in series for finding in row.findings(jobs[row.job_id])]
    look_at = look_through if thorough else look
    ledger = Ledger(call.paths.lib, call.store.ledger_entries)
    head, damage = look_at(ledger)
    findings += damage
    return HostStatus(
        host=call.settings.client_id,
        now=now,
        runner=runner,
        jobs=list(jobs.values()),
        series=series,
        uncovered=_uncovered(call, records, series),
        findings=sorted(findings, key=lambda finding: -SEVERITIES.index(finding.severity)),
        ledger=None if head is None else _of_ledger(ledger, head, ledger_entry),
        records=records,
        outlooks={judgement.job.job_id: judgement.outlook for judgement in judgements},
    )


def _of_ledger(ledger: Ledger, head: Head, number: int | None) -> dict[str, Any]:
    """What is told of it; number: of the entry that was asked for.

    That entry's digest is not among what was asked: whoever has written another history would only
    have to agree.
    """
    told: dict[str, Any] = {"head": head.digest, "entries": head.entries}
    if number is not None:
        with suppress(ColdchainError, OSError):  # the findings tell what keeps it from being read
            told["entry"] = {"number": number, "digest": digest_of(ledger, number)}
            told["renewed"] = renewed(ledger)
    return told


class Judgement(NamedTuple):
    """How a job is, what becomes of it, and the runs that say it."""

    job: JobStatus
    outlook: Outlook
    runs: list[Run]


def judged(call: Call, records: Mapping[str, JobRecord], now: float) -> Iterator[Judgement]:
    """How each declared job is, in the order of their names; now: POSIX seconds."""
    store, settings = call.store, call.settings
    states = dict(store.states().items())
    requests: dict[str, list[Event]] = {}
    for request in store.pending_events():
        requests.setdefault(request.job_id, []).append(request)
    judging = Judging(store, settings, now)
    for job_id, record in sorted(records.items()):
        pending = requests.get(job_id, ())
        state = asked_for(states.get(job_id), record, pending, settings, now)
        outlook = judging.outlook(record, state)
        runs = runs_to_judge(store, job_id, now - guard.RECENT)
        yield Judgement(judging.judge(record, outlook, runs), outlook, runs)


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
