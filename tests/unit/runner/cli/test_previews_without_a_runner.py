# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Previews of a runner that is down: what one that is started now would do."""

from __future__ import annotations

import signal
import subprocess
import time
from datetime import datetime
from typing import Any

import pytest
from cli_command import Command, exec_job, timed_job
from waiting import ended, until

SCHEDULES: dict[str, dict[str, Any]] = {
    "minutes": {"schedule_minute": "*", "schedule_second": "*/7"},
    "hours": {"schedule_minute": "0", "missed": {"max_age": "2 hours"}},
    "skips": {"schedule_minute": "*/2", "missed": {"run": "skip"}},
    "interval": {"schedule_interval": "90 seconds"},
    "always": {"schedule_interval": "continuous", "status": "stop"},
    "date": {"schedule_date": "2100-01-01T00:00:00Z"},
    "stopped": {"schedule_minute": "*", "status": "stop"},
}
JOBS = [timed_job(name, **schedule) for name, schedule in SCHEDULES.items()] + [exec_job("none")]


def foretold(command: Command, job_id: str) -> dict[str, str | None]:
    runs = command.json("next", job_id)["next_runs"]
    (listed,) = command.json("list", job_id)["jobs"]
    (state,) = (job for job in command.json("status")["jobs"] if job["job_id"] == job_id)
    facts = [fact["text"] for fact in command.json("explain", job_id)["facts"]]
    first = runs[0] if runs else None
    shown = None if first is None else f"{datetime.fromisoformat(first):%M:%S}"
    assert shown is None or any(shown in fact for fact in facts), (first, facts)
    return {"next": first, "list": listed["next_run"], "status": state["next_run"]}


@pytest.mark.long
def test_all_foretell_what_a_runner_would_do_that_is_started_now(
    command: Command, runner: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They listed slots up to ten seconds old, and the next run of a runner long gone."""
    assert command("apply", "-", data=JOBS) == 0
    until(lambda: all("not yet" not in job["reason"] for job in command.json("list")["jobs"]))
    runner.send_signal(signal.SIGTERM)
    ended(runner)
    begin = time.time()
    for ahead in (0.0, 0.9, 3.0, 8.0, 11.0, 59.0, 125.0, 3600.0, 3609.0, 20_000.0, 10**6):
        monkeypatch.setattr("time.time", lambda now=begin + ahead: now)
        for job in JOBS:
            told = foretold(command, job["job_id"])
            assert len(set(told.values())) == 1, (ahead, job, told)
            first = told["next"]
            if job["job_id"] in ("stopped", "none", "always"):
                assert first is None
            else:
                assert first is not None
                assert datetime.fromisoformat(first).timestamp() >= int(begin + ahead), (ahead, job)
