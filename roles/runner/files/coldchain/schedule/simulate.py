# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calendar of a whole inventory on a virtual clock: what would run when, without running it."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from coldchain.core.instants import DAY, iso
from coldchain.schedule.describe import zone_name
from coldchain.schedule.model import SECOND, moment, seconds
from coldchain.schedule.simulation import (
    ClockChange,
    Incident,
    JobCount,
    Peak,
    SimulatedJob,
    Simulation,
    SlotUse,
)
from coldchain.schedule.zones import zone_table

_FINDINGS = 100
_BLACKED_OUT = 10_000  # counted per job
_END, _DUE, _DEFERRED = range(3)  # what ends at an instant makes room for what is due at it


def simulate(
    jobs: Sequence[SimulatedJob],
    start: datetime,
    days: int,
    concurrent_jobs: int,
    at_once: Mapping[str, int] | None = None,
) -> Simulation:
    """Let all runs due in start <= instant < start + days happen on a virtual clock.

    at_once: how many runs of a slot there may be at the same time, by its name.  Hosts are
    independent of each other; each runs up to *concurrent_jobs* at once.  ValueError for a negative
    duration, for days or concurrent_jobs below 1, and for a job given twice.
    """
    if days < 1 or concurrent_jobs < 1:
        raise ValueError("days and concurrent_jobs have to be at least 1")
    hosts: dict[str, list[_JobState]] = {}
    seen: set[tuple[str, str]] = set()
    for job in jobs:
        if job.duration < 0:
            raise ValueError(f"the duration of {job.job_id} on {job.host} is negative")
        if (job.host, job.job_id) in seen:
            raise ValueError(f"the job {job.job_id} is given twice for {job.host}")
        seen.add((job.host, job.job_id))
        hosts.setdefault(job.host, []).append(_JobState(job))
    for states in hosts.values():
        states.sort(key=lambda state: state.job.job_id)  # of equals the runner takes the first name
    begin = seconds(start)
    end = begin + days * DAY
    uses = {job.container: _Use() for job in jobs}
    nights = _nights(jobs, begin, end)
    shared: dict[str, list[_SlotRun]] = {job.slot: [] for job in jobs if job.slot}
    peaks = {
        name: _Host(hosts[name], begin, end, concurrent_jobs, uses, nights, shared).run()
        for name in sorted(hosts)
    }
    done = [job for name in sorted(hosts) for job in hosts[name]]
    for state in done:
        state.count_blackout(begin, end)
    findings = sorted(
        (at, state.count.host, state.count.job_id, kind)
        for state in done
        for kind, at in state.first.items()
    )
    return Simulation(
        start=moment(begin),
        days=days,
        jobs=[state.count for state in done],
        hosts=peaks,
        containers={name: use.peak() for name, use in sorted(uses.items()) if name},
        slots={
            name: _slot_use(runs, (at_once or {}).get(name))
            for name, runs in sorted(shared.items())
        },
        fleet=_Use.together(uses.values()).peak(),
        clock_changes=[change.result() for changes in nights.values() for change in changes],
        findings=[
            Incident(kind, host, job_id, moment(at))
            for at, host, job_id, kind in findings[:_FINDINGS]
        ],
    )


@dataclass
class _JobState:
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

    def note(self, kind: str, at: int) -> None:
        """Remember when a kind of finding came up first."""
        self.first.setdefault(kind, at)

    def count_blackout(self, begin: int, end: int) -> None:
        """Count the slots in begin <= instant < end that a blackout cancels."""
        cancelled = self.job.trigger.blacked_out(
            moment(begin) - SECOND, moment(end) - SECOND, _BLACKED_OUT
        )
        self.count.blacked_out = len(cancelled)
        if cancelled:
            self.note("blacked_out", seconds(cancelled[0][0].at))


@dataclass
class _Use:
    """When runs begin and end, to find their peak; arrays, for there may be a million."""

    begins: array[int] = field(default_factory=lambda: array("q"))
    ends: array[int] = field(default_factory=lambda: array("q"))

    def add(self, begin: int, end: int) -> None:
        """One run, begin <= instant < end."""
        self.begins.append(begin)
        self.ends.append(end)

    @classmethod
    def together(cls, uses: Iterable[_Use]) -> _Use:
        """All runs of *uses*."""
        whole = cls()
        for use in uses:
            whole.begins.extend(use.begins)
            whole.ends.extend(use.ends)
        return whole

    def peak(self) -> Peak:
        """The most runs at once; runs that only touch do not meet."""
        most, at, ended = 0, None, 0
        ends = sorted(self.ends)
        for started, begin in enumerate(sorted(self.begins), 1):
            # A run of no length never meets another one, not even itself.
            while ended < started - 1 and ends[ended] <= begin:
                ended += 1
            if started - ended > most:
                most, at = started - ended, begin
        return Peak(most, None if at is None else moment(at))


class _SlotRun(NamedTuple):
    """A run of a job with a slot, begin <= instant < end; waited: it could not begin when due."""

    begin: int
    end: int
    job: SimulatedJob
    waited: bool


def _slot_use(runs: Sequence[_SlotRun], at_once: int | None) -> SlotUse:
    use = _Use()
    for run in runs:
        use.add(run.begin, run.end)
    peak = use.peak()
    if at_once is None or peak.runs <= at_once or peak.at is None:
        return SlotUse(peak.runs, peak.at, at_once, [], "")
    at = seconds(peak.at)
    crowd = sorted(run for run in runs if run.begin <= at < run.end)
    names = [
        f"{run.job.host}/{run.job.job_id} {iso(moment(run.begin))} to {iso(moment(run.end))}"
        for run in crowd
    ]
    homeless = [run.job for run in crowd if not run.job.placed]
    waited = [run.job for run in crowd if run.waited]
    if homeless:
        names_of = f"{homeless[0].job_id} on {homeless[0].host}"
        why = f"{names_of} has no place in it (schedule_offset): apply it by the role"
    elif waited:
        names_of = f"{waited[0].job_id} on {waited[0].host}"
        why = f"{names_of} had to wait on its host: look at its lock and at concurrent_jobs"
    else:
        why = "they last longer than their places: give the slot longer ones (lasts), or measures"
    return SlotUse(peak.runs, peak.at, at_once, names, why)


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
        """The clock change for people."""
        return ClockChange(self.zone, moment(self.at), self.seconds, self.runs)


def _nights(jobs: Sequence[SimulatedJob], begin: int, end: int) -> dict[str, list[_Night]]:
    nights: dict[str, list[_Night]] = {}
    for zone in {job.trigger.zone for job in jobs}:
        clock = zone_table(zone)
        changes = []
        for change in clock.changes(begin, end):
            midnight = (change.begin - 1 + change.before) // DAY * DAY
            changes.append(
                _Night(
                    zone_name(zone),
                    change.begin,
                    change.offset - change.before,
                    clock.instant(midnight),
                    clock.instant(midnight + DAY, second=True),
                )
            )
        nights[zone_name(zone)] = changes
    return dict(sorted(nights.items()))


class _Host:
    """The virtual clock of one host."""

    def __init__(
        self,
        jobs: list[_JobState],
        begin: int,
        end: int,
        limit: int,
        uses: dict[str, _Use],
        nights: dict[str, list[_Night]],
        shared: dict[str, list[_SlotRun]],
    ) -> None:
        self._end = end
        self._limit = limit
        self._uses = uses
        self._shared = shared
        self._nights = [nights[zone_name(state.job.trigger.zone)] for state in jobs]
        self._jobs = jobs
        self._running = 0
        self._locks: set[str] = set()
        self._waiting: list[tuple[int, int, int]] = []  # (-priority, due, job)
        self._events: list[tuple[int, int, int]] = []  # (instant, _END, _DUE or _DEFERRED, job)
        self._peak, self._peak_at = 0, begin
        for index in range(len(jobs)):
            self._plan(index, begin - 1)

    def run(self) -> Peak:
        """Work through all events; the peak of the host."""
        while self._events:
            now, what, index = heapq.heappop(self._events)
            state = self._jobs[index]
            if what == _END:
                self._running -= 1
                self._locks.discard(state.job.lock)
                state.active = False
                if state.behind:
                    state.behind -= 1
                    self._wait(index, now)
                if state.job.trigger.kind == "continuous":
                    self._plan(index, now)
            else:
                if state.job.trigger.kind != "continuous":
                    self._plan(index, now)
                if not state.active:
                    self._wait(index, now)
                elif what == _DEFERRED:
                    state.behind += 1
                else:
                    state.count.overlaps += 1
                    state.note("overlap", now)
            # All that ends or is due now is known before anything starts.
            if not self._events or self._events[0][0] > now:
                self._start(now)
        return Peak(self._peak, moment(self._peak_at) if self._peak else None)

    def _plan(self, index: int, after: int) -> None:
        job = self._jobs[index].job
        occurrence = (job.following or job.trigger.next)(moment(after))
        if occurrence is None:
            return
        due = seconds(occurrence.at)
        if due < self._end:
            heapq.heappush(self._events, (due, _DEFERRED if occurrence.deferred else _DUE, index))

    def _wait(self, index: int, now: int) -> None:
        state = self._jobs[index]
        state.active, state.due, state.waits_for = True, now, "limit"
        heapq.heappush(self._waiting, (-state.job.priority, now, index))

    def _start(self, now: int) -> None:
        """Start what waits and may run, in the order of priority, time and name."""
        blocked = []
        while self._waiting and self._running < self._limit:
            entry = heapq.heappop(self._waiting)
            state = self._jobs[entry[2]]
            if state.job.lock and state.job.lock in self._locks:
                state.waits_for = "lock"
                blocked.append(entry)
                continue
            self._begin(entry[2], now)
        for entry in blocked:
            heapq.heappush(self._waiting, entry)

    def _begin(self, index: int, now: int) -> None:
        state = self._jobs[index]
        job, count = state.job, state.count
        end = now + job.duration
        self._running += 1
        if job.lock:
            self._locks.add(job.lock)
        if self._running > self._peak:
            self._peak, self._peak_at = self._running, now
        count.runs += 1
        self._uses[job.container].add(now, end)
        if job.slot:
            self._shared[job.slot].append(_SlotRun(now, end, job, now > state.due))
        for night in self._nights[index]:
            if night.begin <= now < night.end:
                night.runs += 1
        if now > state.due:
            if state.waits_for == "lock":
                count.lock_waits += 1
            else:
                count.limit_waits += 1
            state.note(f"{state.waits_for}_wait", state.due)
            count.longest_wait = max(count.longest_wait, now - state.due)
            if now > job.trigger.missed.deadline(state.due):
                count.late += 1
                state.note("late", state.due)
        if job.trigger.blackout_until(moment(end)) is not None:
            count.into_blackout += 1
            state.note("into_blackout", now)
        heapq.heappush(self._events, (end, _END, index))
