# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be restored of that which the jobs back up: a row for each series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from coldchain.agent.engines.base import Backup, Query
from coldchain.agent.engines.registry import engine
from coldchain.agent.process.signals import abort_on_signal
from coldchain.agent.receipts import SOUND, Receipts
from coldchain.agent.storages.kinds import LOCAL
from coldchain.agent.storages.location import Location
from coldchain.cli.context import Call
from coldchain.cli.scopes import Scope, exists, scope_of
from coldchain.core.errors import ColdchainError, from_os_error
from coldchain.core.instants import from_epoch, iso
from coldchain.core.text import pluralize
from coldchain.observe.findings import CRITICAL, INFO, WARNING, Finding

if TYPE_CHECKING:
    from coldchain.runner.protection import JobStatus
    from coldchain.store import JobRecord


class JobSeries(NamedTuple):
    """A series that a job writes, and its points in time, oldest first.

    error: why they are not known, None when they are.
    """

    job_id: str
    scope: Scope
    points: Sequence[Backup]
    error: ColdchainError | None = None

    @property
    def restorable(self) -> list[Backup]:
        """The points that can be restored."""
        return [point for point in self.points if point.restorable]

    @property
    def verified(self) -> int | None:
        """When one of them was last found sound; POSIX seconds, None when that never was."""
        receipts = [point.verified for point in self.restorable if point.verified is not None]
        return max((receipt.time for receipt in receipts if receipt.result == SOUND), default=None)

    def as_dict(self) -> dict[str, Any]:
        """JSON, as ``coldchain status`` has it."""
        good, verified = self.restorable, self.verified
        return {
            "job_id": self.job_id,
            **self.scope.location.as_fields(),
            "backup_name": self.scope.backup_name,
            "hostname": self.scope.hostname,
            "points": len(self.points),
            "restorable": len(good),
            "newest": good[-1].time if good else None,
            "oldest": good[0].time if good else None,
            "verified": None if verified is None else iso(from_epoch(verified)),
            "bytes": sum(point.size for point in self.points),
            "error": None if self.error is None else self.error.message,
        }

    def findings(self, job: JobStatus) -> Iterable[Finding]:
        """What is to be said of it, beside what the state of its job says."""
        about = f"backup {self.scope.backup_name}"
        begun = job.successes.last_began
        if self.error is not None:
            severity = WARNING if begun is None else CRITICAL
            text = f"what can be restored is not known: {self.error.message}"
            yield Finding(severity, about, text, self.error.hint)
            return
        good, look = self.restorable, f"coldchain backups --job {self.job_id} lists them"
        bad = [point for point in self.points if not point.restorable]
        again = f"coldchain event {self.job_id} start makes a new one"
        if begun is not None and not good:
            why = bad[-1].reason if bad else f"none lies in {self.scope.location}"
            yield Finding(CRITICAL, about, f"there is nothing to restore: {why}", again)
        elif bad:
            text = f"{_of(len(bad), len(self.points))} cannot be restored: {bad[-1].reason}"
            yield Finding(WARNING, about, text, look)
        if good and begun is not None and good[-1].time_stamp < int(begun):
            text = "the newest point that can be restored is older than the last success"
            yield Finding(WARNING, about, text, again)
        ahead = [point for point in self.points if point.ahead]
        if ahead:
            text = f"{_of(len(ahead), len(self.points))} were made under a clock that was ahead"
            yield Finding(WARNING, about, text, look)
        if good and self.verified is None:
            verify = f"coldchain verify --job {self.job_id} --full reads all of it"
            yield Finding(INFO, about, "it was never verified on this host", verify)


def series_of_jobs(
    call: Call, records: Mapping[str, JobRecord], receipts: Receipts
) -> list[JobSeries]:
    """The series that the backup actions of declared jobs write; each is looked at once."""
    looked: dict[tuple[object, ...], JobSeries] = {}
    rows: list[JobSeries] = []
    for job_id, record in sorted(records.items()):
        own = {}
        for entry in record.document["job_actions"]:
            options = entry["freezer_action"]
            if options["action"] != "backup" or options.get("dry_run"):
                continue
            scope, problem = _scope(call, options)
            key = (scope.location, scope.engine_name, scope.hostname, scope.backup_name)
            if key not in looked:
                looked[key] = _look(call, job_id, scope, receipts, problem)
            seen = looked[key]
            own[key] = JobSeries(job_id, scope, seen.points, seen.error)
        rows += own.values()
    return rows


def _scope(call: Call, options: Mapping[str, Any]) -> tuple[Scope, ColdchainError | None]:
    """What an action writes, and why this host cannot reach it, None when nothing is against it."""
    try:
        return scope_of(call, options), None
    except ColdchainError as error:
        place = Location(options.get("storage", LOCAL), options.get("container", ""))
        plain = {**options, "storage": LOCAL, "container": "/"}
        return scope_of(call, plain)._replace(location=place), error


def _look(
    call: Call,
    job_id: str,
    scope: Scope,
    receipts: Receipts,
    problem: ColdchainError | None,
) -> JobSeries:
    if problem is not None:
        return JobSeries(job_id, scope, (), problem)
    query = Query(scope.location, scope.hostname, scope.backup_name, spool=call.settings.spool_dir)
    try:
        if not exists(scope.location):
            return JobSeries(job_id, scope, ())
        with abort_on_signal():
            points = engine(scope.engine_name).points(query, receipts)
    except ColdchainError as error:
        return JobSeries(job_id, scope, (), error)
    except OSError as error:
        failure = from_os_error(error)
        if failure is None:
            raise
        return JobSeries(job_id, scope, (), failure)
    return JobSeries(job_id, scope, sorted(points, key=lambda point: point.time_stamp))


def _of(number: int, total: int) -> str:
    return f"{number} of {pluralize(total, 'point')}"
