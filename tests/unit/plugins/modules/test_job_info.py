# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module job_info: one question, the command's answer."""

from __future__ import annotations

import pytest
from ansible_collections.coldchain.freezer.plugins.modules import job_info

JOB = {
    "job_id": "db",
    "description": "",
    "status": "scheduled",
    "event": "",
    "result": "",
    "next_run": None,
    "last_run": None,
}


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({}, ["list"]),
        ({"job_id": ["a", "b"]}, ["list", "--", "a", "b"]),
        ({"status": "running"}, ["list", "--status", "running"]),
        ({"session_id": "-odd"}, ["list", "--session=-odd"]),
        (
            {"documents": True, "history": 3, "job_id": "a"},
            ["list", "--documents", "--history", "3", "--", "a"],
        ),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_every_option_has_its_argument(run, host, options, arguments, check):
    host.answers("list", data={"jobs": [JOB], "unknown": [], "runner_alive": True})
    result = run(job_info, check=check, home=host.home, **options)
    assert host.calls == [[["--json", *arguments], None]]
    # With a history the last run is the first of runs.
    job = {
        key: value for key, value in JOB.items() if "history" not in options or key != "last_run"
    }
    assert (result["changed"], result["jobs"], result["unknown"]) == (False, [job], [])
    assert result["runner_alive"] is True


def test_what_somebody_should_look_at_is_said_in_a_line(run, host):
    jobs = [
        dict(JOB, job_id="a", result="fail", next_run="2026-11-26T02:30:00+00:00"),
        dict(JOB, job_id="b", status="running", result="aborted"),
        dict(JOB, job_id="c", stopped_by={"what": "event"}, next_run="2026-11-25T02:30:00+00:00"),
        dict(JOB, job_id="d", stopped_by={"what": "over"}),
    ]
    host.answers("list", data={"jobs": jobs, "unknown": ["e"], "runner_alive": False})
    assert run(job_info, home=host.home)["msg"] == (
        "4 jobs; fail: a; aborted: b; running: b; stopped: c; unknown: e;"
        " next is c at 2026-11-25T02:30:00+00:00; the runner is down"
    )


def test_an_unknown_job_is_an_answer(run, host):
    host.answers("list", data={"jobs": [], "unknown": ["nope"], "runner_alive": True})
    result = run(job_info, home=host.home, job_id=["nope"])
    assert (result["failed"], result["jobs"], result["unknown"]) == (False, [], ["nope"])


def test_a_missing_runner_fails_but_lets_check_mode_go_on(run, bare_host):
    assert "coldchain.freezer.runner" in run(job_info, home=bare_host.home)["msg"]
    result = run(job_info, check=True, home=bare_host.home, job_id=["a"])
    assert (result["failed"], result["jobs"], result["unknown"], len(result["warnings"])) == (
        False,
        [],
        ["a"],
        1,
    )
