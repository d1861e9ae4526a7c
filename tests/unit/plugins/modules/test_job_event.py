# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module job_event: what was done is told as it was, and check mode says what would be."""

from __future__ import annotations

import pytest
from ansible_collections.coldchain.freezer.plugins.modules import job_event

RUN = {"run_id": "r1", "job_id": "db", "cause": "event", "result": "success", "actions": []}


def listed(status, **more):
    return dict(
        {
            "job_id": "db",
            "description": "",
            "status": status,
            "event": "",
            "result": "",
            "next_run": None,
            "last_run": None,
        },
        **more,
    )


def event(run, host, name, **arguments):
    return run(job_event, home=host.home, job_id="db", event=name, **arguments)


@pytest.mark.parametrize("changed", [True, False])
def test_changed_is_what_the_command_says(run, host, changed):
    host.answers("list", data={"jobs": [listed("scheduled")]})
    host.answers(
        "event",
        data={
            "job_id": "db",
            "event": "stop",
            "changed": changed,
            "run": None,
            "job": listed("stop"),
        },
    )
    result = event(run, host, "stop")
    assert host.calls[-1] == [["--json", "event", "db", "stop"], None]
    assert (result["changed"], result["run"], result["job"]["status"]) == (changed, None, "stop")


def test_waiting_returns_the_run(run, host):
    host.answers("list", data={"jobs": [listed("scheduled")]})
    host.answers(
        "event",
        data={
            "job_id": "db",
            "event": "start",
            "changed": True,
            "run": RUN,
            "job": listed("scheduled", last_run=RUN),
        },
    )
    result = event(run, host, "start", wait=True, timeout=7)
    assert host.calls[-1][0] == ["--json", "event", "db", "start", "--wait", "--timeout", "7"]
    assert result["run"] == RUN


def fails(host):
    """The command's answer when the run has failed: everything, and the error."""
    failed = dict(RUN, result="fail")
    job = listed("scheduled", last_run=failed)
    error = {"code": 1, "message": "job db: fail: /srv is missing", "hint": "", "errors": []}
    answer = {"job_id": "db", "event": "start", "changed": True, "run": failed, "job": job}
    host.answers("list", data={"jobs": [listed("scheduled")]})
    host.answers("event", code=1, data=dict(answer, error=error))
    return failed


def test_a_failed_run_shows_its_record_and_the_end_of_its_log(run, host):
    failed = fails(host)
    text = "".join(f"line {number}\n" for number in range(50))
    host.answers("log", data={"job_id": "db", "run_id": "r1", "path": "/db/r1.log", "text": text})
    result = event(run, host, "start", wait=True)
    assert (result["failed"], result["changed"], result["run"]) == (True, True, failed)
    assert result["log"] == [f"line {number}" for number in range(30, 50)]
    lines = ["job db: fail: /srv is missing", "The end of /db/r1.log:", *result["log"]]
    assert result["msg"].splitlines() == lines
    assert host.calls[-1][0] == ["--json", "log", "db", "r1"]


def test_a_failed_run_is_told_even_when_its_log_is_gone(run, host):
    failed = fails(host)
    host.refuses("log", code=65, message="job db has no log of a run 'r1'")
    result = event(run, host, "start", wait=True)
    assert (result["run"], result["log"]) == (failed, [])
    assert result["msg"] == "job db: fail: /srv is missing\njob db has no log of a run 'r1'"


@pytest.mark.parametrize(
    ("code", "message"), [(69, "the runner is not running"), (75, "not finished after 5 s")]
)
def test_no_run_to_show_is_the_commands_message(run, host, code, message):
    host.answers("list", data={"jobs": [listed("scheduled")]})
    host.refuses("event", code=code, message=message, hint="systemctl start coldchain-runner")
    result = event(run, host, "start", wait=True, timeout=5)
    assert result["msg"] == message + " (systemctl start coldchain-runner)"


def test_who_has_waited_in_vain_is_told_how_far_the_run_is(run, host):
    progress = {"action": 1, "message": "writing level 0", "bytes": 4096}
    job = listed("running", progress=progress)
    error = {"code": 75, "message": "not done after 5 seconds", "hint": "", "errors": []}
    answer = {"job_id": "db", "event": "start", "changed": True, "run": None, "job": job}
    host.answers("list", data={"jobs": [listed("scheduled")]})
    host.answers("event", code=75, data=dict(answer, error=error))
    result = event(run, host, "start", wait=True, timeout=5)
    assert (result["failed"], result["job"]["progress"]) == (True, progress)


def test_removing_what_is_not_there_is_no_change(run, host):
    host.answers("list", data={"jobs": [], "unknown": ["db"]})
    result = event(run, host, "remove")
    assert (result["failed"], result["changed"]) == (False, False)


def test_an_unknown_job_is_refused_by_the_command(run, host):
    host.answers("list", data={"jobs": [], "unknown": ["db"]})
    host.refuses("event", code=65, message="there is no job db", hint="did you mean db1?")
    assert event(run, host, "start")["msg"] == "there is no job db (did you mean db1?)"


@pytest.mark.parametrize(
    ("name", "status", "changed"),
    [
        ("start", "scheduled", True),
        ("start", "stop", True),
        ("start", "running", False),
        ("stop", "scheduled", True),
        ("stop", "running", True),
        ("stop", "stop", False),
        ("abort", "running", True),
        ("abort", "scheduled", True),
        ("abort", "aborting", True),
        ("abort", "stop", False),
        ("remove", "stop", True),
    ],
)
def test_check_mode_predicts_and_sends_nothing(run, host, name, status, changed):
    host.answers("list", data={"jobs": [listed(status)]})
    assert event(run, host, name, check=True)["changed"] is changed
    assert [call[0][1] for call in host.calls] == ["list"]


def test_check_mode_knows_a_request_that_the_runner_has_not_come_to(run, host):
    host.answers("list", data={"jobs": [listed("scheduled", event="stop")]})
    assert event(run, host, "stop", check=True)["changed"] is False
    assert event(run, host, "start", check=True)["changed"] is True


def test_check_mode_knows_that_a_start_takes_a_waiting_stop_back(run, host):
    host.answers("list", data={"jobs": [listed("running", event="stop")]})
    assert event(run, host, "start", check=True)["changed"] is True


def test_check_mode_expects_an_undeclared_job_to_be_declared_by_then(run, host):
    host.answers("list", data={"jobs": [], "unknown": ["db"]})
    result = event(run, host, "start", check=True)
    assert (result["failed"], result["changed"]) == (False, True)
    assert "is not declared on this host" in result["warnings"][0]


def test_a_missing_runner(run, bare_host):
    assert "coldchain.freezer.runner" in event(run, bare_host, "start")["msg"]
    result = event(run, bare_host, "start", check=True)
    assert (result["failed"], result["changed"], len(result["warnings"])) == (False, True, 1)
