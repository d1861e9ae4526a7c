# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of each job of a host, one after the other: what protection.py judges, looked up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import inf

from coldchain.core.instants import DAY
from coldchain.core.settings import Settings
from coldchain.runner.outlook import Outlook, Recorded
from coldchain.runner.protection import JobStatus, LongestGap, gap_of, judge
from coldchain.schedule import Trigger
from coldchain.store import JobRecord, Run, State, Store
from coldchain.store.records import timing

_JUDGED = 20  # runs of a job that are read for its longest one
_ALL = 1 << 30


def runs_to_judge(store: Store, job_id: str, back_to: float = inf) -> list[Run]:
    """The newest runs of a job, and all of them where none of these has succeeded, or one that
    ended later than *back_to* (POSIX seconds) may lie further back."""
    runs = store.history(job_id, _JUDGED)
    recent = runs and runs[-1]["time_ended"] >= back_to
    if len(runs) == _JUDGED and (recent or not _good(runs)):
        return store.history(job_id, _ALL)
    return runs


def _good(runs: Sequence[Run]) -> bool:
    """Is there a success among them?"""
    return any(run.get("result") == "success" for run in runs)


class Gaps:
    """The longest gaps of schedules, which many jobs share: found once a day.

    most: how many schedules are kept.
    """

    def __init__(self, most: float = inf) -> None:
        self._most = most
        self._kept: dict[str, int | None] = {}
        self._until = -inf  # POSIX seconds

    def of(self, record: JobRecord) -> LongestGap:
        """What tells the longest gap of the job's schedule."""

        def gap(trigger: Trigger, now: float) -> int | None:
            # What is not on the calendar counts from an instant of the job's own.
            anchor = None if trigger.kind == "cron" else record.anchor
            key = json.dumps([timing(record.schedule), anchor])
            if now >= self._until:
                self._kept, self._until = {}, now + DAY
            if key not in self._kept:
                if len(self._kept) >= self._most:
                    self._kept.clear()
                self._kept[key] = gap_of(trigger, now)
            return self._kept[key]

        return gap


def judge_by(
    record: JobRecord, outlook: Outlook, runs: Sequence[Run], now: float, gaps: Gaps
) -> JobStatus:
    """How a job is at *now* (POSIX seconds).  runs: as runs_to_judge gives them."""
    newest = runs[:_JUDGED]
    return judge(record, outlook, newest if _good(newest) else runs, now, gaps.of(record))


class Judging:
    """Judges jobs at one moment.

    now: POSIX seconds; gaps: what was found for these schedules before.
    """

    def __init__(
        self, store: Store, settings: Settings, now: float, gaps: Gaps | None = None
    ) -> None:
        self._store, self._settings, self._now = store, settings, now
        self._gaps = Gaps() if gaps is None else gaps

    def outlook(self, record: JobRecord, state: State | None) -> Outlook:
        """What becomes of the job."""

        def recorded() -> Recorded:
            limit = self._settings.history_runs
            return Recorded.of(self._store.history(record.job_id, 2 * limit), limit)

        return Outlook.of(record, state, self._settings, self._now, recorded)

    def judge(self, record: JobRecord, outlook: Outlook, runs: Sequence[Run]) -> JobStatus:
        """How it is.  runs: as runs_to_judge gives them."""
        return judge_by(record, outlook, runs, self._now, self._gaps)
