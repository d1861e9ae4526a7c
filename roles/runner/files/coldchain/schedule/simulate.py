# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calendar of a whole inventory on a virtual clock: what would run when, without running it."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from coldchain.instants import iso
from coldchain.schedule.describe import zone_name
from coldchain.schedule.model import SECOND, Trigger, moment, seconds
from coldchain.schedule.readings import DAY
from coldchain.schedule.zones import clock_of

_FINDINGS = 100
_BLACKED_OUT = 10_000  # counted per job
_END, _DUE, _PUT_OFF = range(3)  # what ends at an instant makes room for what is due at it


@dataclass(frozen=True)
class SimulatedJob:
    """A job of the inventory.

    duration: seconds of each of its runs; lock: jobs of one host with the same name exclude each
    other; container: where the runs of the whole fleet meet; priority: who waits less (higher).
    """

    host: str
    job_id: str
    trigger: Trigger
    duration: int
    lock: str = ""
    container: str = ""
    priority: int = 0


@dataclass
class JobCount:
    """What happened to one job.

    overlaps: slots skipped because the run before was not over; blacked_out: slots that a blackout
    cancelled; lock_waits, limit_waits: runs that had to wait for a lock or for the host's
    concurrent_jobs, longest_wait in seconds; late: runs that started after the time until which a
    missed slot is made up for; into_blackout: runs that end inside of a blackout of the job.
    """

    host: str
    job_id: str
    runs: int = 0
    overlaps: int = 0
    blacked_out: int = 0
    lock_waits: int = 0
    limit_waits: int = 0
    longest_wait: int = 0
    late: int = 0
    into_blackout: int = 0

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Peak:
    """The most runs at once, and the first instant of it."""

    runs: int
    at: datetime | None

    def as_dict(self) -> dict[str, object]:
        return {"runs": self.runs, "at": None if self.at is None else iso(self.at)}


@dataclass(frozen=True)
class ClockChange:
    """A clock change within the simulated days; runs: those that start on its local day."""

    zone: str
    at: datetime
    seconds: int
    runs: int

    def as_dict(self) -> dict[str, object]:
        return {"zone": self.zone, "at": iso(self.at), "seconds": self.seconds, "runs": self.runs}


@dataclass(frozen=True)
class Finding:
    """The first time that something noteworthy happened to a job; kind: overlap, lock_wait,
    limit_wait, late, blacked_out or into_blackout."""

    kind: str
    host: str
    job_id: str
    at: datetime

    def as_dict(self) -> dict[str, object]:
        return {"kind": self.kind, "host": self.host, "job_id": self.job_id, "at": iso(self.at)}


@dataclass(frozen=True)
class Simulation:
    """The result, by host and job_id; findings: the first of their kind for each job, in order of
    time, at most 100."""

    start: datetime
    days: int
    jobs: list[JobCount]
    hosts: dict[str, Peak]
    containers: dict[str, Peak]
    fleet: Peak
    clock_changes: list[ClockChange]
    findings: list[Finding]

    def total(self, name: str) -> int:
        """The sum of one count ("runs", "overlaps", ...) over all jobs."""
        return sum(getattr(job, name) for job in self.jobs)

    @property
    def clean(self) -> bool:
        """Whether every slot gets its run in time: no overlap, no late run, none blacked out."""
        return not any(job.overlaps or job.late or job.blacked_out for job in self.jobs)

    def as_dict(self) -> dict[str, object]:
        counts = ("runs", "overlaps", "blacked_out", "lock_waits", "limit_waits", "late")
        return {
            "start": iso(self.start),
            "days": self.days,
            "clean": self.clean,
            **{name: self.total(name) for name in (*counts, "into_blackout")},
            "longest_wait": max((job.longest_wait for job in self.jobs), default=0),
            "fleet": self.fleet.as_dict(),
            "hosts": {name: peak.as_dict() for name, peak in self.hosts.items()},
            "containers": {name: peak.as_dict() for name, peak in self.containers.items()},
            "clock_changes": [change.as_dict() for change in self.clock_changes],
            "findings": [finding.as_dict() for finding in self.findings],
            "jobs": [job.as_dict() for job in self.jobs],
        }


def simulate(
    jobs: Sequence[SimulatedJob], start: datetime, days: int, concurrent_jobs: int
) -> Simulation:
    """Let all runs due in start <= instant < start + days happen on a virtual clock.

    Hosts are independent of each other; each runs up to *concurrent_jobs* at once.  ValueError for
    a negative duration, for days or concurrent_jobs below 1, and for a job given twice.
    """
    if days < 1 or concurrent_jobs < 1:
        raise ValueError("days and concurrent_jobs have to be at least 1")
    hosts: dict[str, list[_Job]] = {}
    known: set[tuple[str, str]] = set()
    for job in jobs:
        if job.duration < 0:
            raise ValueError(f"the duration of {job.job_id} on {job.host} is negative")
        if (job.host, job.job_id) in known:
            raise ValueError(f"the job {job.job_id} is given twice for {job.host}")
        known.add((job.host, job.job_id))
        hosts.setdefault(job.host, []).append(_Job(job))
    for found in hosts.values():
        found.sort(key=lambda one: one.job.job_id)  # of equals the runner takes the first name
    begin = seconds(start)
    end = begin + days * DAY
    uses = {job.container: _Use() for job in jobs}
    nights = _nights(jobs, begin, end)
    peaks = {
        name: _Host(hosts[name], begin, end, concurrent_jobs, uses, nights).run()
        for name in sorted(hosts)
    }
    done = [job for name in sorted(hosts) for job in hosts[name]]
    for one in done:
        one.count_blackout(begin, end)
    findings = sorted(
        (at, one.count.host, one.count.job_id, kind)
        for one in done
        for kind, at in one.first.items()
    )
    return Simulation(
        start=moment(begin),
        days=days,
        jobs=[one.count for one in done],
        hosts=peaks,
        containers={name: use.peak() for name, use in sorted(uses.items()) if name},
        fleet=_Use.together(uses.values()).peak(),
        clock_changes=[change.result() for found in nights.values() for change in found],
        findings=[
            Finding(kind, host, job_id, moment(at))
            for at, host, job_id, kind in findings[:_FINDINGS]
        ],
    )


@dataclass
class _Job:
    """A job in the simulation; active: it runs or waits; behind: runs that a blackout put off and
    that begin when the active one has ended; first: kind of finding to instant."""

    job: SimulatedJob
    active: bool = False
    behind: int = 0
    due: int = 0
    waits_for: str = ""
    first: dict[str, int] = field(default_factory=dict)
    count: JobCount = field(init=False)

    def __post_init__(self) -> None:
        self.count = JobCount(self.job.host, self.job.job_id)

    def found(self, kind: str, at: int) -> None:
        self.first.setdefault(kind, at)

    def count_blackout(self, begin: int, end: int) -> None:
        cancelled = self.job.trigger.blacked_out(
            moment(begin) - SECOND, moment(end) - SECOND, _BLACKED_OUT
        )
        self.count.blacked_out = len(cancelled)
        if cancelled:
            self.found("blacked_out", seconds(cancelled[0][0].at))


@dataclass
class _Use:
    """When runs begin and end, to find their peak; arrays, for there may be a million."""

    begins: array[int] = field(default_factory=lambda: array("q"))
    ends: array[int] = field(default_factory=lambda: array("q"))

    def add(self, begin: int, end: int) -> None:
        self.begins.append(begin)
        self.ends.append(end)

    @classmethod
    def together(cls, uses: Iterable[_Use]) -> _Use:
        whole = cls()
        for use in uses:
            whole.begins.extend(use.begins)
            whole.ends.extend(use.ends)
        return whole

    def peak(self) -> Peak:
        most, at, ended = 0, None, 0
        ends = sorted(self.ends)
        for started, begin in enumerate(sorted(self.begins), 1):
            # A run of no length never meets another one, not even itself.
            while ended < started - 1 and ends[ended] <= begin:
                ended += 1
            if started - ended > most:
                most, at = started - ended, begin
        return Peak(most, None if at is None else moment(at))


@dataclass
class _Night:
    """A clock change and the local day it falls on, begin <= instant < end."""

    zone: str
    at: int
    seconds: int
    begin: int
    end: int
    runs: int = 0

    def result(self) -> ClockChange:
        return ClockChange(self.zone, moment(self.at), self.seconds, self.runs)


def _nights(jobs: Sequence[SimulatedJob], begin: int, end: int) -> dict[str, list[_Night]]:
    nights: dict[str, list[_Night]] = {}
    for zone in {job.trigger.zone for job in jobs}:
        clock = clock_of(zone)
        found = []
        for change in clock.changes(begin, end):
            midnight = (change.begin - 1 + change.before) // DAY * DAY
            found.append(
                _Night(
                    zone_name(zone),
                    change.begin,
                    change.offset - change.before,
                    clock.instant(midnight),
                    clock.instant(midnight + DAY, second=True),
                )
            )
        nights[zone_name(zone)] = found
    return dict(sorted(nights.items()))


class _Host:
    """The virtual clock of one host."""

    def __init__(
        self,
        jobs: list[_Job],
        begin: int,
        end: int,
        limit: int,
        uses: dict[str, _Use],
        nights: dict[str, list[_Night]],
    ) -> None:
        self._end = end
        self._limit = limit
        self._uses = uses
        self._nights = [nights[zone_name(one.job.trigger.zone)] for one in jobs]
        self._jobs = jobs
        self._running = 0
        self._locks: set[str] = set()
        self._waiting: list[tuple[int, int, int]] = []  # (-priority, due, job)
        self._events: list[tuple[int, int, int]] = []  # (instant, _END, _DUE or _PUT_OFF, job)
        self._peak, self._peak_at = 0, begin
        for index in range(len(jobs)):
            self._plan(index, begin - 1)

    def run(self) -> Peak:
        """Work through all events; the peak of the host."""
        while self._events:
            now, what, index = heapq.heappop(self._events)
            one = self._jobs[index]
            if what == _END:
                self._running -= 1
                self._locks.discard(one.job.lock)
                one.active = False
                if one.behind:
                    one.behind -= 1
                    self._wait(index, now)
                if one.job.trigger.kind == "continuous":
                    self._plan(index, now)
            else:
                if one.job.trigger.kind != "continuous":
                    self._plan(index, now)
                if not one.active:
                    self._wait(index, now)
                elif what == _PUT_OFF:
                    one.behind += 1
                else:
                    one.count.overlaps += 1
                    one.found("overlap", now)
            # All that ends or is due now is known before anything starts.
            if not self._events or self._events[0][0] > now:
                self._start(now)
        return Peak(self._peak, moment(self._peak_at) if self._peak else None)

    def _plan(self, index: int, after: int) -> None:
        occurrence = self._jobs[index].job.trigger.next(moment(after))
        if occurrence is None:
            return
        due = seconds(occurrence.at)
        if due < self._end:
            heapq.heappush(self._events, (due, _PUT_OFF if occurrence.put_off else _DUE, index))

    def _wait(self, index: int, now: int) -> None:
        one = self._jobs[index]
        one.active, one.due, one.waits_for = True, now, "limit"
        heapq.heappush(self._waiting, (-one.job.priority, now, index))

    def _start(self, now: int) -> None:
        """Start what waits and may run, in the order of priority, time and name."""
        blocked = []
        while self._waiting and self._running < self._limit:
            entry = heapq.heappop(self._waiting)
            one = self._jobs[entry[2]]
            if one.job.lock and one.job.lock in self._locks:
                one.waits_for = "lock"
                blocked.append(entry)
                continue
            self._begin(entry[2], now)
        for entry in blocked:
            heapq.heappush(self._waiting, entry)

    def _begin(self, index: int, now: int) -> None:
        one = self._jobs[index]
        job, count = one.job, one.count
        end = now + job.duration
        self._running += 1
        if job.lock:
            self._locks.add(job.lock)
        if self._running > self._peak:
            self._peak, self._peak_at = self._running, now
        count.runs += 1
        self._uses[job.container].add(now, end)
        for night in self._nights[index]:
            if night.begin <= now < night.end:
                night.runs += 1
        if now > one.due:
            if one.waits_for == "lock":
                count.lock_waits += 1
            else:
                count.limit_waits += 1
            one.found(f"{one.waits_for}_wait", one.due)
            count.longest_wait = max(count.longest_wait, now - one.due)
            if now > job.trigger.missed.deadline(one.due):
                count.late += 1
                one.found("late", one.due)
        if job.trigger.blackout_until(moment(end)) is not None:
            count.into_blackout += 1
            one.found("into_blackout", now)
        heapq.heappush(self._events, (end, _END, index))
