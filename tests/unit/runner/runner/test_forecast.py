# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the coming days bring: runs, waits and clock changes."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from coldchain.core.host_zone import host_zone
from coldchain.core.settings import Settings
from coldchain.runner.forecast import ForecastJob, forecast
from coldchain.runner.outlook import Outlook
from coldchain.store import Change, JobRecord

# On 1 November 2026 the clocks of New York go back at 02:00.
NOW = datetime.fromisoformat("2026-10-30T12:00:00+00:00").timestamp()
SETTINGS = Settings("host", "UTC", Path("/c"), Path("/s"), host_zone({}))
NIGHTLY = {"schedule_hour": "1", "schedule_minute": "30", "schedule_timezone": "America/New_York"}


def job(job_id: str, seconds: float | None = None, **document: Any) -> ForecastJob:
    document = {"job_id": job_id, "job_actions": [], "job_schedule": NIGHTLY, **document}
    record = JobRecord.new(Change(job_id, document), NOW - 86400)
    return ForecastJob(record, Outlook.of(record, None, SETTINGS, NOW), seconds)


def told(*jobs: ForecastJob, concurrent_jobs: int = 4) -> dict[str, Any]:
    made = forecast(jobs, NOW, 7, concurrent_jobs)
    again: dict[str, Any] = json.loads(json.dumps(made))
    assert again == made
    return made


def test_the_runs_of_a_week_with_the_night_of_the_clock_change() -> None:
    made = told(job("etc", 61.4))
    (etc,) = made["jobs"]
    assert (made["days"], etc["zone"], etc["seconds"], etc["often"]) == (
        *(7, "America/New_York", 61, False),
    )
    assert "01:30" in etc["schedule"] and etc["columns"] == ["at", "slot"]
    gaps = [later[0] - row[0] for row, later in zip(etc["rows"], etc["rows"][1:])]
    assert len(etc["rows"]) == 7 and gaps == [86400, 90000, *[86400] * 4]
    (change,) = made["clock_changes"]
    assert (change["zone"], change["seconds"], change["runs"]) == ("America/New_York", -3600, 1)
    assert made["collisions"] == []


def test_what_has_to_wait_is_named() -> None:
    made = told(job("a", 900, lock="disk"), job("b", 900, lock="disk"))
    assert [(one["kind"], one["job_id"]) for one in made["collisions"]] == [("lock_wait", "b")]
    assert made["collisions"][0]["at"] == "2026-10-31T05:30:00+00:00"
    made = told(job("a"), job("b"), concurrent_jobs=1)
    assert [(one["kind"], one["job_id"]) for one in made["collisions"]] == [("limit_wait", "b")]


def test_jobs_without_a_list_of_runs() -> None:
    often = {"job_schedule": {"schedule_interval": "5 seconds"}}
    always = {"job_schedule": {"schedule_interval": "continuous"}}
    stopped = {"job_schedule": {**NIGHTLY, "status": "stop"}}
    unusable = {"job_schedule": {**NIGHTLY, "schedule_timezone": "Nowhere/Land"}}
    made = told(
        *(job("often", **often), job("always", **always)),
        *(job("stopped", **stopped), job("unusable", **unusable)),
    )
    assert {one["job_id"]: (one["often"], one["rows"]) for one in made["jobs"]} == {
        "often": (True, []),
        "always": (True, []),
        "stopped": (False, []),
        "unusable": (False, []),
    }
    assert made["clock_changes"] == [] and made["collisions"] == []


@pytest.mark.parametrize(("interval", "often"), [("10 minutes", False), ("599 seconds", True)])
def test_more_than_144_runs_a_day_are_not_listed(interval: str, often: bool) -> None:
    (one,) = told(job("j", job_schedule={"schedule_interval": interval}))["jobs"]
    assert (one["often"], len(one["rows"])) == (often, 0 if often else 7 * 144)
