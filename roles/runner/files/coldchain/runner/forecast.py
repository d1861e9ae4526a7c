# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The coming days of a host: what runs, what would have to wait, and where clocks change.

Nothing here has a clock: time comes in as POSIX seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from coldchain.core.instants import DAY, from_epoch
from coldchain.runner.outlook import Outlook
from coldchain.runner.runs_to_come import runs_to_come
from coldchain.schedule import Trigger
from coldchain.schedule.describe import zone_name
from coldchain.schedule.simulate import simulate
from coldchain.schedule.simulation import SimulatedJob
from coldchain.store import JobRecord

COLUMNS = ("at", "slot")
"""Of the rows of a job, in POSIX seconds: they differ where something moves a run."""
UNKNOWN_DURATION = 600
"""Seconds: what a run is taken to last of which there is no record."""
_MOST_RUNS = 144  # a day; of what runs more often nobody wants to read each run


class ForecastJob(NamedTuple):
    """A declared job.  seconds: how long its last run took, None when there was none."""

    record: JobRecord
    outlook: Outlook
    seconds: float | None


def forecast(
    jobs: Iterable[ForecastJob], now: float, days: int, concurrent_jobs: int
) -> dict[str, Any]:
    """What *days* from *now* on bring, in JSON as ``coldchain status --days`` has it.

    Jobs that run more than 144 times a day, or without a pause, are named as ``often``: their runs
    are not listed and nothing is said of what they wait for.
    """
    end = now + days * DAY
    described, simulated = [], []
    for job in jobs:
        trigger = job.outlook.trigger
        rows = _rows(job.outlook, now, end, days * _MOST_RUNS)
        described.append(
            {
                "job_id": job.record.job_id,
                "schedule": "" if trigger is None else trigger.describe(),
                "zone": "" if trigger is None else zone_name(trigger.zone),
                "seconds": None if job.seconds is None else round(job.seconds),
                "often": rows is None,
                "columns": list(COLUMNS),
                "rows": rows or [],
            }
        )
        if rows and trigger is not None:
            simulated.append(_simulated(job, trigger))
    result = simulate(simulated, from_epoch(int(now)), days, concurrent_jobs)
    return {
        "days": days,
        "jobs": described,
        "clock_changes": [change.as_dict() for change in result.clock_changes if change.runs],
        "collisions": [
            {key: value for key, value in finding.as_dict().items() if key != "host"}
            for finding in result.findings
        ],
    }


def _rows(outlook: Outlook, now: float, end: float, most: int) -> list[list[int]] | None:
    """The runs of a job before *end*; None when there are more than *most*."""
    if outlook.trigger is not None and outlook.trigger.kind == "continuous":
        return None if next(runs_to_come(outlook, now), None) is not None else []
    rows: list[list[int]] = []
    for run in islice(runs_to_come(outlook, now), most + 1):
        if run.at.timestamp() >= end:
            return rows
        rows.append([int(run.at.timestamp()), int(run.slot.timestamp())])
    return rows if len(rows) <= most else None


def _simulated(job: ForecastJob, trigger: Trigger) -> SimulatedJob:
    document, outlook = job.record.document, job.outlook

    def following(outlook: Outlook, after: Any) -> Any:
        return outlook.following(max(after.timestamp(), outlook.since))

    return SimulatedJob(
        host="",
        job_id=job.record.job_id,
        trigger=trigger,
        duration=UNKNOWN_DURATION if job.seconds is None else round(job.seconds),
        lock=document.get("lock", ""),
        priority=document.get("priority", 0),
        following=partial(following, outlook),
    )
