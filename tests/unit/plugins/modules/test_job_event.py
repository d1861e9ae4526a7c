# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module job_event: what was done is told as it was, and check mode says what would be."""

from __future__ import annotations

import pytest
from ansible_collections.coldchain.freezer.plugins.modules import job_event

RUN = {
    "run_id": "r1",
    "job_id": "db",
    "cause": "event",
    "result": "success",
    "actions": [{"message": "level 2 of pg"}, {"message": ""}],
}


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


def event(run, host, name, job="db", **arguments):
    return run(job_event, home=host.home, job_id=job, event=name, **arguments)


@pytest.mark.parametrize("changed", [True, False])
def test_changed_is_what_the_command_says(run, host, changed):
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
    assert host.calls[-1] == [["--json", "event", "--", "db", "stop"], None]
    assert (result["changed"], result["run"], result["job"]["status"]) == (changed, None, "stop")
    assert result["msg"] == ("db: stop is asked for" if changed else "db: stop changes nothing")


def test_waiting_returns_the_run(run, host):
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
    assert result["msg"] == "db: success; level 2 of pg"
    assert "last_run" not in result["job"], "each record once"
    assert host.calls[-1][0] == ["--json", "event", "--wait", "--timeout", "7", "--", "db", "start"]
    assert result["run"] == RUN


def fails(host):
    """The command's answer when the run has failed: everything, and the error."""
    failed = dict(RUN, result="fail")
    job = listed("scheduled", last_run=failed)
    error = {"code": 1, "message": "job db: fail: /srv is missing", "hint": "", "errors": []}
    answer = {"job_id": "db", "event": "start", "changed": True, "run": failed, "job": job}
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
    host.refuses("event", code=code, message=message, hint="systemctl start coldchain-runner")
    result = event(run, host, "start", wait=True, timeout=5)
    assert result["msg"] == message + " (systemctl start coldchain-runner)"


def test_who_has_waited_in_vain_is_told_how_far_the_run_is(run, host):
    progress = {"action": 1, "message": "writing level 0", "bytes": 4096}
    job = listed("running", progress=progress)
    error = {"code": 75, "message": "not done after 5 seconds", "hint": "", "errors": []}
    answer = {"job_id": "db", "event": "start", "changed": True, "run": None, "job": job}
    host.answers("event", code=75, data=dict(answer, error=error))
    result = event(run, host, "start", wait=True, timeout=5)
    assert (result["failed"], result["job"]["progress"]) == (True, progress)


def unknown(host):
    error = {"code": 65, "message": "there is no job db", "hint": "did you mean db1?"}
    host.answers("event", code=65, data={"error": dict(error, errors=[], unknown_job=True)})


@pytest.mark.parametrize("check", [False, True])
def test_removing_what_is_not_there_is_no_change(run, host, check):
    unknown(host)
    result = event(run, host, "remove", check=check)
    assert (result["failed"], result["changed"], result["warnings"]) == (False, False, [])


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("job", ["", " "])
@pytest.mark.parametrize("name", ["remove", "stop"])
def test_no_name_is_no_job(run, host, check, job, name):
    unknown(host)
    result = event(run, host, name, job=job, check=check)
    assert (result["failed"], result["msg"]) == (True, "job_id is empty, it has to name a job")


def test_an_unknown_job_is_refused_by_the_command(run, host):
    unknown(host)
    assert event(run, host, "start")["msg"] == "there is no job db (did you mean db1?)"


@pytest.mark.parametrize("changed", [False, True])
def test_check_mode_is_the_commands_own_answer(run, host, changed):
    answer = {
        "job_id": "db",
        "event": "stop",
        "changed": changed,
        "run": None,
        "job": listed("stop"),
    }
    host.answers("event", data=answer)
    result = event(run, host, "stop", check=True, wait=True)
    assert (result["changed"], result["job"]) == (changed, listed("stop"))
    words = ["--json", "event", "--check", "--wait", "--timeout", "3600", "--", "db", "stop"]
    assert host.calls == [[words, None]]


def test_check_mode_expects_an_undeclared_job_to_be_declared_by_then(run, host):
    unknown(host)
    result = event(run, host, "start", check=True)
    assert (result["failed"], result["changed"]) == (False, True)
    assert "is not declared on this host" in result["warnings"][0]


def test_a_missing_runner(run, bare_host):
    assert "coldchain.freezer.runner" in event(run, bare_host, "start")["msg"]
    result = event(run, bare_host, "start", check=True)
    assert (result["failed"], result["changed"], len(result["warnings"])) == (False, True, 1)
