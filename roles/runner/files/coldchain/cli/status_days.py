# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What status tells with --days: the runs of the last days, and what the next ones bring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coldchain.cli.context import Call
from coldchain.cli.job_view import length
from coldchain.runner.outlook import Outlook
from coldchain.store import JobRecord, Run

COLUMNS = ("started", "seconds", "result", "bytes", "session_tag", "session_id")
"""Of the rows of "runs"; started in POSIX seconds, bytes as they are stored."""
_ALL = 1 << 30
_DAYS_AHEAD = 7


def runs_since(call: Call, job_id: str, since: float) -> dict[str, Any]:
    """The runs of a job that ended after *since* (POSIX seconds), oldest first."""
    runs = [run for run in call.store.history(job_id, _ALL) if run["time_ended"] >= since]
    rows = [
        [
            int(run["time_started"]),
            round(max(0.0, run["time_ended"] - run["time_started"])),
            run["result"],
            _stored(run),
            run.get("session_tag"),
            run.get("session_id"),
        ]
        for run in reversed(runs)
    ]
    return {"job_id": job_id, "columns": list(COLUMNS), "rows": rows}


def _stored(run: Run) -> int | None:
    """Bytes that the backups of a run have stored; None when it made none."""
    actions = [action for action in run.get("actions", []) if action.get("action") == "backup"]
    sizes = [(action.get("report") or {}).get("size") for action in actions]
    stored = [size for size in sizes if isinstance(size, int)]
    return sum(stored) if stored else None


def coming(
    call: Call, records: Mapping[str, JobRecord], outlooks: Mapping[str, Outlook], now: float
) -> dict[str, Any]:
    """What the next days bring."""
    from coldchain.runner.forecast import ForecastJob, forecast

    jobs = [
        ForecastJob(records[job_id], outlook, length(outlook.state.last_run or {}))
        for job_id, outlook in outlooks.items()
    ]
    return forecast(jobs, now, _DAYS_AHEAD, call.settings.concurrent_jobs)
