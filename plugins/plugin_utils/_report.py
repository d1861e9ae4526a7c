# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""The report of a fleet as JSON, from what its hosts have answered and from the report before.

docs/reference/report.md describes the form. Pure; times are POSIX seconds.
"""

from __future__ import annotations

import typing as t
from collections import Counter
from operator import itemgetter

from ansible_collections.coldchain.freezer.plugins.plugin_utils import _report_before as before
from ansible_collections.coldchain.freezer.plugins.plugin_utils._answer import (
    Answer,
    clean,
    instant,
    whole,
)
from ansible_collections.coldchain.freezer.plugins.plugin_utils._fleet import (
    PROTECTED,
    STATES,
    UNPROTECTED,
    Host,
    host_of,
    summary,
)
from ansible_collections.coldchain.freezer.plugins.plugin_utils._report_runs import Coming, Runs

FORMAT, VERSION = "coldchain-report", 1
HOSTS = (
    *("name", "state", "time", "client_id", "runner", "since", "problems", "notes"),
    *("entries", "head", "altered", "last_known"),
)
JOBS = (
    *("host", "job_id", "state", "reason", "result", "last_success", "expect_success_within"),
    *("next_run", "schedule", "zone", "daily", "recent", "coming", "often"),
)
SERIES = (
    *("host", "job_id", "storage", "container", "backup_name", "hostname", "points", "restorable"),
    *("newest", "oldest", "verified", "bytes", "error"),
)
SESSIONS = ("session_id", "session_tag", "result", "hosts", "runs", "missing", "others")
UNCOVERED = ("kind", "what", "why", "hosts")
REMOTE = ("ssh", "s3", "swift", "ftp", "ftps", "rclone")
MOST_NOTES = 50  # findings of a host, and problems


class Report(t.NamedTuple):
    """What was made. document: the JSON; protected, summary: of the fleet; altered: the critical findings about ledgers."""

    document: dict[str, t.Any]
    protected: bool
    summary: str
    altered: list[str]


def build(
    answers: t.Mapping[str, Answer],
    now: int,
    days: int,
    previous: t.Mapping[str, t.Any] | None = None,
    accepted: t.Collection[str] = (),
) -> Report:
    """The report at *now*.

    answers: the registered result of status_info for each host; days: of runs that are shown; previous: the last report's
    document, as _report_before.read returns it; accepted: hosts whose ledgers may be other ones than they were.
    """
    then = before.Previous(previous or {})
    maker, hosts, altered = _Maker(now, days), [], []
    for name, answer in answers.items():
        host = host_of(name, answer)
        status = host.status or {}
        ledger = then.ledger(clean(name, 255)).followed_by(
            status.get("ledger"), name in accepted, now, "ledger" in status
        )
        if ledger.finding is not None:
            altered.append(f"{clean(name, 255)}: {ledger.finding['text']}")
            state = UNPROTECTED if host.state == PROTECTED else host.state
            host = host._replace(state=state, problems=[ledger.finding, *host.problems])
        maker.add(host, ledger, then)
        # What a host has answered takes a hundred times the room of what is made of it.
        hosts.append(host._replace(status=None))
    order = sorted(range(len(hosts)), key=lambda index: hosts[index].need)
    hosts = [hosts[index] for index in order]
    protected, text = all(host.state == PROTECTED for host in hosts), clean(summary(hosts))
    document = {
        "format": FORMAT,
        "version": VERSION,
        "time": now,
        "days": days,
        "protected": protected,
        "summary": text,
        **maker.tables(hosts, order),
        "not_asked": then.not_asked({clean(name, 255) for name in answers}, now),
    }
    return Report(document, protected, text, altered)


class _Maker:
    """The tables of a report while they are made."""

    def __init__(self, now: int, days: int) -> None:
        self.hosts: list[list[t.Any]] = []
        self.jobs: list[list[t.Any]] = []
        self.series: list[list[t.Any]] = []
        self.uncovered: dict[tuple[str, str], list[t.Any]] = {}
        self.runs, self.coming = Runs(now, days), Coming(now)

    def add(self, host: Host, ledger: before.Ledger, then: before.Previous) -> None:
        """Take in a host. ledger: as it was judged; then: the report before."""
        status: dict[str, t.Any] = host.status or {}
        index, name = len(self.hosts), clean(host.name, 255)
        problems = [_texts(problem, "about", "text", "remedy") for problem in host.problems]
        notes = [
            _texts(finding, "severity", "about", "text", "remedy")
            for finding in status.get("findings", ())
            if finding["severity"] != "critical"
        ]
        if status and "ledger" not in status and ledger.entries is not None:
            text = (
                f"it had a ledger with {ledger.entries} entries, of which its release knows nothing"
            )
            notes.append(["warning", "ledger", text, "coldchain ledger verify tells more"])
        if ledger.unproved:
            remedy = f"on that host: coldchain ledger verify --seen {then.ledger(name).entries}:{then.ledger(name).head}"
            notes.append(["warning", "ledger", ledger.unproved, remedy])
        runner = status.get("runner") or {}
        self.hosts.append(
            [
                *(name, host.state, instant(status.get("time"))),
                clean(status.get("host", ""), 255),
                *(_text(runner.get("version"), 50), instant(runner.get("since"))),
                *(problems[:MOST_NOTES], notes[:MOST_NOTES]),
                *(ledger.entries, ledger.head, ledger.altered),
                None if status else then.last_known(name),
            ]
        )
        self._add_jobs(index, status)
        for thing in status.get("uncovered", ()):
            key = clean(thing["kind"], 20), clean(thing["what"], 500)
            entry = self.uncovered.setdefault(key, [*key, clean(thing["why"], 300), []])
            entry[3].append(index)

    def _add_jobs(self, index: int, status: t.Mapping[str, t.Any]) -> None:
        coming = status.get("coming") or {"jobs": (), "clock_changes": (), "collisions": ()}
        runs = {entry["job_id"]: entry for entry in status.get("runs") or ()}
        comes = {entry["job_id"]: entry for entry in coming["jobs"]}
        places: dict[str, list[tuple[str, str]]] = {}
        for series in status.get("series", ()):
            self.series.append(_series_row(index, series, status.get("host")))
            if series.get("storage") in REMOTE:
                place = clean(series["storage"], 20), clean(series.get("container") or "", 500)
                places.setdefault(series["job_id"], []).append(place)
        for job in status.get("jobs", ()):
            job_id = job["job_id"]
            shown = {"daily": None, "recent": None}
            if job_id in runs:
                shown = self.runs.add(index, clean(job_id, 200), runs[job_id])
            next_ones: dict[str, t.Any] = comes.get(job_id) or {"columns": (), "rows": ()}
            self.jobs.append(
                [
                    *(index, clean(job_id, 200), clean(job["state"], 20)),
                    clean("; ".join(job.get("reasons") or ()), 500),
                    _text(job.get("result"), 20),
                    instant(job.get("last_success")),
                    whole(job.get("expect_success_within")),
                    instant(job.get("next_run")),
                    _text(next_ones.get("schedule"), 200),
                    _text(next_ones.get("zone"), 60),
                    *(shown["daily"], shown["recent"]),
                    self.coming.job(index, next_ones, places.get(job_id, ())),
                    1 if next_ones.get("often") else 0,
                ]
            )
        for change in coming["clock_changes"]:
            at = instant(change["at"])
            if at is not None:
                zone = clean(change["zone"], 60)
                self.coming.change(zone, at, change["seconds"], change["runs"])
        for collision in coming["collisions"]:
            at = instant(collision["at"])
            if at is not None:
                row = [index, clean(collision["job_id"], 200), clean(collision["kind"], 30), at]
                self.coming.collisions.append(row)

    def tables(self, hosts: t.Sequence[Host], order: t.Sequence[int]) -> dict[str, t.Any]:
        """What they have come to. hosts: without their status, worst first; order: their numbers so far."""
        place = {before: after for after, before in enumerate(order)}
        for table in (self.jobs, self.series, self.coming.collisions):
            for row in table:
                row[0] = place[row[0]]
            table.sort(key=itemgetter(0))
        for thing in self.uncovered.values():
            thing[-1] = sorted(place[index] for index in thing[-1])
        states = Counter(host.state for host in hosts)
        jobs = Counter(row[JOBS.index("state")] for row in self.jobs)
        tables = {
            "hosts": (HOSTS, [self.hosts[index] for index in order]),
            "jobs": (JOBS, self.jobs),
            "series": (SERIES, self.series),
            "sessions": (SESSIONS, self.runs.sessions_table(place)),
            "uncovered": (
                UNCOVERED,
                sorted(self.uncovered.values(), key=lambda row: (-len(row[3]), row[1])),
            ),
        }
        return {
            "first_day": self.runs.first,
            "detailed_from": self.runs.detail,
            "fleet": {
                "hosts": {state: states[state] for state in STATES if states[state]},
                "jobs": dict(jobs.most_common()),
                "daily": self.runs.fleet,
                "unread_runs": self.runs.unread,
            },
            **{
                name: {"columns": list(columns), "rows": rows}
                for name, (columns, rows) in tables.items()
            },
            "coming": self.coming.table(),
        }


def _series_row(index: int, series: t.Mapping[str, t.Any], host: t.Any) -> list[t.Any]:
    made_by = series.get("hostname")
    return [
        index,
        clean(series["job_id"], 200),
        _text(series.get("storage"), 20),
        _text(series.get("container"), 500),
        clean(series["backup_name"], 200),
        None if made_by is None or made_by == host else clean(made_by, 255),
        whole(series.get("points")) or 0,
        whole(series.get("restorable")) or 0,
        instant(series.get("newest")),
        instant(series.get("oldest")),
        instant(series.get("verified")),
        whole(series.get("bytes")) or 0,
        _text(series.get("error"), 300),
    ]


def _texts(finding: t.Mapping[str, str], *names: str) -> list[str]:
    return [clean(finding[name], 600) for name in names]


def _text(value: t.Any, limit: int) -> str:
    return "" if value is None else clean(value, limit)
