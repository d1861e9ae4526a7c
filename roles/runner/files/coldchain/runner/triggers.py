# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The triggers of all jobs that have one, only those used last as objects."""

from __future__ import annotations

import json
from collections.abc import Iterator

from coldchain import schedule as calendar
from coldchain.instants import from_epoch
from coldchain.settings import Settings
from coldchain.store import JobRecord

KEPT = 200
"""A trigger takes 1.5 kB and is built in 0.1 ms: of ten thousand, most are used once a day."""


class Triggers:
    """Triggers by job, built from the schedule that ``add`` was given, whatever is declared now."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sources: dict[str, tuple[float, str]] = {}  # anchor, schedule as JSON
        self._built: dict[str, calendar.Trigger] = {}  # in the order of their use

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._sources

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def build(self, record: JobRecord) -> calendar.Trigger:
        """ValueError when the host cannot use the schedule."""
        return self._build(record.job_id, record.anchor, record.schedule)

    def add(self, record: JobRecord, anchor: float | None = None) -> calendar.Trigger:
        """Like build, or counted from *anchor*; from now on it is the job's trigger."""
        if anchor is None:
            anchor = record.anchor
        trigger = self._build(record.job_id, anchor, record.schedule)
        schedule = json.dumps(record.schedule, separators=(",", ":"))
        self._sources[record.job_id] = anchor, schedule
        self._keep(record.job_id, trigger)
        return trigger

    def anchor(self, job_id: str) -> float:
        """POSIX seconds from which the job's trigger counts; KeyError."""
        return self._sources[job_id][0]

    def get(self, job_id: str) -> calendar.Trigger | None:
        source = self._sources.get(job_id)
        if source is None:
            return None
        trigger = self._built.pop(job_id, None)
        if trigger is None:
            anchor, schedule = source
            trigger = self._build(job_id, anchor, json.loads(schedule))
        self._keep(job_id, trigger)
        return trigger

    def __getitem__(self, job_id: str) -> calendar.Trigger:
        trigger = self.get(job_id)
        if trigger is None:
            raise KeyError(job_id)
        return trigger

    def discard(self, job_id: str) -> None:
        self._sources.pop(job_id, None)
        self._built.pop(job_id, None)

    def _keep(self, job_id: str, trigger: calendar.Trigger) -> None:
        self._built.pop(job_id, None)
        self._built[job_id] = trigger
        if len(self._built) > KEPT:
            del self._built[next(iter(self._built))]

    def _build(self, job_id: str, anchor: float, schedule: dict[str, object]) -> calendar.Trigger:
        return calendar.build(
            schedule,
            zone=self._settings.zone,
            created=from_epoch(int(anchor)),
            key=f"{self._settings.client_id}/{job_id}",
        )
