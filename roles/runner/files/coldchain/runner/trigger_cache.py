# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the runner keeps in memory of every declaration, and the triggers used last as objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from coldchain import schedule as calendar
from coldchain.core.instants import from_epoch
from coldchain.core.settings import Settings
from coldchain.runner.outlook import Declared, build
from coldchain.store import JobRecord

KEPT = 200
"""A trigger takes 1.5 kB and is built in 0.1 ms: of ten thousand, most are used once a day."""
_encode = json.JSONEncoder(separators=(",", ":")).encode


class _Source(NamedTuple):
    """What the trigger of a job is built of.

    grid: POSIX seconds from which the trigger counts, None when the host cannot use it;
    schedule: the job_schedule as JSON.
    """

    declared: Declared
    grid: float | None
    schedule: str


class Triggers:
    """Declarations and triggers by job: what ``add`` was given, whatever is declared now."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sources: dict[str, _Source] = {}
        self._built: dict[str, calendar.Trigger] = {}  # by ``get``, in the order of their use
        # The one that was added or asked for last: it is asked for several times in a row.
        self._newest: tuple[str, calendar.Trigger] | None = None

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._sources

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def add(self, record: JobRecord, grid: float) -> None:
        """From now on the trigger of *record*, counted from *grid* (POSIX seconds), is the job's.

        Raises ValueError when the host cannot use the schedule; the job is known all the same.
        """
        job_id, declared = record.job_id, Declared.of(record)
        self._built.pop(job_id, None)
        try:
            trigger = build(record, self._settings, grid)
        except ValueError:
            self._newest = None
            self._sources[job_id] = _Source(declared, None, "")
            raise
        self._newest = job_id, trigger
        self._sources[job_id] = _Source(declared, grid, _encode(record.schedule))

    def declared(self, job_id: str) -> Declared:
        """Of the declaration that was added last.  Raises KeyError."""
        return self._sources[job_id].declared

    def get(self, job_id: str) -> calendar.Trigger | None:
        """The job's trigger; None when the host cannot use it, and for a job that is not known."""
        if self._newest is not None and self._newest[0] == job_id:
            return self._newest[1]
        source = self._sources.get(job_id)
        if source is None or source.grid is None:
            return None
        trigger = self._built.pop(job_id, None)
        if trigger is None:
            trigger = calendar.build(
                json.loads(source.schedule),
                zone=self._settings.zone,
                created=from_epoch(int(source.grid)),
                key=f"{self._settings.client_id}/{job_id}",
            )
        self._newest = job_id, trigger
        self._built[job_id] = trigger
        if len(self._built) > KEPT:
            del self._built[next(iter(self._built))]
        return trigger

    def discard(self, job_id: str) -> None:
        """Forget the job."""
        self._sources.pop(job_id, None)
        self._built.pop(job_id, None)
        self._newest = None
