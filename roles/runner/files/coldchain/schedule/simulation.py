# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a simulation is asked for, and what it tells of jobs, hosts, containers and slots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import NamedTuple

from coldchain.core.instants import iso
from coldchain.schedule.model import Occurrence, Trigger


class SimulatedJob(NamedTuple):
    """A job of the inventory.

    duration: seconds of each of its runs; lock: jobs of one host with the same name exclude each
    other; container: where the runs of the whole fleet meet; priority: who waits less (higher);
    slot: the window that it shares with jobs of other hosts; placed: it has its place in that;
    following: the first occurrence later than an instant that the runner will run; None: every
    occurrence of the trigger.
    """

    host: str
    job_id: str
    trigger: Trigger
    duration: int
    lock: str = ""
    container: str = ""
    priority: int = 0
    following: Callable[[datetime], Occurrence | None] | None = None
    slot: str = ""
    placed: bool = True


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
        """The JSON form."""
        return asdict(self)


class Peak(NamedTuple):
    """The most runs at once, and the first instant of it."""

    runs: int
    at: datetime | None

    def as_dict(self) -> dict[str, object]:
        """The JSON form, instants as ISO 8601 text."""
        return {"runs": self.runs, "at": None if self.at is None else iso(self.at)}


class SlotUse(NamedTuple):
    """The most runs of a slot at once, and the first instant of it.

    at_once: how many there may be, None where nobody has said so; crowded: those at that instant,
    "host/job_id begin-end", if they are too many, and why they are.
    """

    runs: int
    at: datetime | None
    at_once: int | None
    crowded: list[str]
    why: str

    def as_dict(self) -> dict[str, object]:
        """The JSON form, instants as ISO 8601 text."""
        return {**self._asdict(), "at": None if self.at is None else iso(self.at)}


class ClockChange(NamedTuple):
    """A clock change within the simulated days; runs: those that start on its local day."""

    zone: str
    at: datetime
    seconds: int
    runs: int

    def as_dict(self) -> dict[str, object]:
        """The JSON form, instants as ISO 8601 text."""
        return {"zone": self.zone, "at": iso(self.at), "seconds": self.seconds, "runs": self.runs}


class Incident(NamedTuple):
    """The first time that something noteworthy happened to a job; kind: overlap, lock_wait,
    limit_wait, late, blacked_out or into_blackout."""

    kind: str
    host: str
    job_id: str
    at: datetime

    def as_dict(self) -> dict[str, object]:
        """The JSON form, instants as ISO 8601 text."""
        return {"kind": self.kind, "host": self.host, "job_id": self.job_id, "at": iso(self.at)}


class Simulation(NamedTuple):
    """The result, by host and job_id; findings: the first of their kind for each job, in order of
    time, at most 100."""

    start: datetime
    days: int
    jobs: list[JobCount]
    hosts: dict[str, Peak]
    containers: dict[str, Peak]
    slots: dict[str, SlotUse]
    fleet: Peak
    clock_changes: list[ClockChange]
    findings: list[Incident]

    def total(self, name: str) -> int:
        """The sum of one count ("runs", "overlaps", ...) over all jobs."""
        return sum(getattr(job, name) for job in self.jobs)

    @property
    def clean(self) -> bool:
        """Whether every run comes in time, no overlap, no late run, none blacked out, and no shared
        slot has more of them at once than it may."""
        crowded = any(use.crowded for use in self.slots.values())
        return not crowded and not any(
            job.overlaps or job.late or job.blacked_out for job in self.jobs
        )

    def as_dict(self) -> dict[str, object]:
        """The JSON form, with the sums over all jobs; instants as ISO 8601 text."""
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
            "slots": {name: use.as_dict() for name, use in self.slots.items()},
            "clock_changes": [change.as_dict() for change in self.clock_changes],
            "findings": [finding.as_dict() for finding in self.findings],
            "jobs": [job.as_dict() for job in self.jobs],
        }
