# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `schedule` library's Scheduler as the runner's clock, driven by our triggers.

The library's own jobs know neither dates nor start nor end nor a zone's clock changes, and its
list is scanned at every tick.  Its one hook for "when next" (Job._schedule_next_run) is where a
trigger plugs in; a heap replaces the scan, so that a tick does not depend on the number of jobs.
These names are private to the library: its version is pinned and a test guards the hooks.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Any

import schedule

NextRun = Callable[[str, datetime], "datetime | None"]

_NO_TAGS: set[Hashable] = set()
"""Of all jobs: an empty set of its own takes 216 bytes."""


class TriggerJob(schedule.Job):
    """A job of the library that asks the clock's trigger when to run.

    due: POSIX seconds of the next run; checked_until: the instant that it lies after.
    """

    def __init__(
        self, key: str, after: datetime, clock: TriggerScheduler, first: datetime | None
    ) -> None:
        super().__init__(1, clock)
        self.key, self.clock = key, clock
        self.due: float | None = None
        self.checked_until = after
        self.tags = _NO_TAGS
        if first is None:
            self._schedule_next_run()
        else:
            self.next_run, self.due = first, first.timestamp()

    def _schedule_next_run(self) -> None:
        self.next_run = self.clock.next_at(self.key, self.checked_until)
        self.due = None if self.next_run is None else self.next_run.timestamp()

    @property
    def should_run(self) -> bool:
        """Has its time come?"""
        return self.due is not None and time.time() >= self.due

    def run(self) -> Any:
        """Tell that the job is due.  What is told only notes what is to be done: the library runs
        jobs one after another."""
        assert self.next_run is not None
        self.last_run = self.checked_until = self.next_run
        self.clock.tell(self.key)
        if self.clock.is_current(self):  # else its successor knows when it is due
            self._schedule_next_run()
        return schedule.CancelJob if self.due is None else None


class TriggerScheduler(schedule.Scheduler):
    """A Scheduler whose jobs lie in a heap: replacing and removing one does not scan the others.

    next_at: key and aware instant -> the job's next aware instant or None; tell: is called with the
    key of a job that is due.
    """

    def __init__(self, next_at: NextRun, tell: Callable[[str], None]) -> None:
        super().__init__()
        self.next_at, self.tell = next_at, tell
        self._by_key: dict[str, TriggerJob] = {}
        self._heap: list[tuple[float, int, TriggerJob]] = []
        self._sequence = itertools.count()

    def put(self, key: str, after: datetime, first: datetime | None = None) -> datetime | None:
        """Add the job *key* or replace it; the first run is the first one after *after*.

        first: that run where it is known already.  Returns it; None when there is none.
        """
        job = self._by_key.get(key)
        if job is not None and first is not None and job.next_run == first:
            job.checked_until = after
            return first
        job = self._by_key[key] = TriggerJob(key, after, self, first)
        self._push(job)
        return job.next_run

    def is_current(self, job: TriggerJob) -> bool:
        """Has the job been neither replaced nor removed?"""
        return self._by_key.get(job.key) is job

    def remove(self, key: str) -> None:
        """Take the job *key* off, if it is there."""
        self._by_key.pop(key, None)

    def cancel_job(self, job: schedule.Job) -> None:
        """The library's way of remove."""
        if isinstance(job, TriggerJob) and self._by_key.get(job.key) is job:
            del self._by_key[job.key]

    def _push(self, job: TriggerJob) -> None:
        if job.due is not None:
            heapq.heappush(self._heap, (job.due, next(self._sequence), job))

    def _first(self) -> TriggerJob | None:
        while self._heap:
            due, _unused, job = self._heap[0]
            if self._by_key.get(job.key) is job and job.due == due:
                return job
            heapq.heappop(self._heap)  # removed, replaced or scheduled anew
        return None

    def run_pending(self) -> None:
        """Run what is due; a job that an earlier one removed is not run."""
        while True:
            job = self._first()
            if job is None or not job.should_run:
                return
            heapq.heappop(self._heap)
            self._run_job(job)
            if self._by_key.get(job.key) is job:
                self._push(job)

    def get_next_run(self, tag: Hashable | None = None) -> datetime | None:
        """When the job *tag* runs next, or the first of all jobs (tag None); None: never."""
        job = self._first() if tag is None else self._by_key.get(str(tag))
        return None if job is None else job.next_run

    next_run = property(get_next_run)

    @property
    def idle_seconds(self) -> float | None:
        """Until the first job is due, negative when it was; None when there is none."""
        job = self._first()
        return None if job is None or job.due is None else job.due - time.time()
