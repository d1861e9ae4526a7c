# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at jobs that might have fallen silent, one at a time, when that may be so."""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from coldchain.core.errors import ColdchainError
from coldchain.core.log_limit import LimitedLog
from coldchain.runner.jobs import Jobs
from coldchain.runner.judging import Gaps, judge_by, runs_to_judge
from coldchain.runner.silence import silence
from coldchain.store import JobRecord, Store

_AT_ONCE = 5  # jobs that are judged in one tick
_SCHEDULES = 200  # whose longest gap is kept
_LATER = 600.0  # seconds after which a job is looked at again that could not be judged

log = logging.getLogger(__name__)


class Tell(Protocol):
    """Told of a silent job, at each look: it knows who was told before."""

    def __call__(self, job_id: str, document: Mapping[str, Any], why: str, *, news: bool) -> None:
        """See Alerts."""


class SilenceWatch:
    """``step`` judges one job whose time has come.

    wanted(document): is anybody to be told when the job is silent?  tell: is told of each that is;
    maintenance: POSIX seconds up to which it drops that, so that what is silent is looked at then.
    """

    def __init__(
        self,
        store: Store,
        jobs: Jobs,
        wanted: Callable[[Mapping[str, Any]], bool],
        tell: Tell,
        maintenance: float = 0,
    ) -> None:
        self._maintenance = maintenance
        self._store, self._jobs, self._wanted, self._tell = store, jobs, wanted, tell
        self._due: list[tuple[float, str]] = []  # (monotonic seconds, job), a heap
        self._seen: dict[str, tuple[Any, ...]] = {}  # job -> the declaration that was looked at
        self._gaps = Gaps(_SCHEDULES)
        self._troubles = LimitedLog(log)

    def take(self, record: JobRecord) -> None:
        """Look soon at a job whose declaration is new."""
        if not self._wanted(record.document):
            self._seen.pop(record.job_id, None)
            return
        declaration = (record.created, record.revision)
        if self._seen.get(record.job_id) != declaration:
            self._seen[record.job_id] = declaration
            heapq.heappush(self._due, (time.monotonic(), record.job_id))

    def step(self, now: float) -> None:
        """Judge some of the jobs whose time has come."""
        for _turn in range(_AT_ONCE):
            if not self._due or self._due[0][0] > time.monotonic():
                return
            self._judge(heapq.heappop(self._due)[1], now)

    def _judge(self, job_id: str, now: float) -> None:
        if job_id not in self._seen or self._store.job(job_id) is None:
            self._seen.pop(job_id, None)
            return
        try:
            again = self._look(job_id, now)
        except (ColdchainError, OSError) as error:
            self._troubles.say(job_id, f"job {job_id}: cannot be judged: {error}")
            again = now + _LATER
        else:
            self._troubles.over(job_id, f"job {job_id}: can be judged again")
        heapq.heappush(self._due, (time.monotonic() + max(0.0, again - now), job_id))

    def _look(self, job_id: str, now: float) -> float:
        """POSIX seconds at which to look again."""
        record = self._store.job(job_id)
        known = job_id in self._jobs.states and self._jobs.timetable.knows(job_id)
        if record is None or not known:
            return now + _LATER
        outlook = self._jobs.timetable.outlook(job_id)
        runs = runs_to_judge(self._store, job_id)
        status = judge_by(record, outlook, runs, now, self._gaps)
        found = silence(status, outlook, now)
        if found.why:
            self._tell(job_id, record.document, found.why, news=found.news(now))
            if now < self._maintenance:
                return min(found.again, self._maintenance)
        return found.again
