# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module restore: what is asked for is handed on, what comes of it is told in one line."""

from __future__ import annotations

import pytest
from ansible_collections.coldchain.freezer.plugins.modules import restore

ASK = ["--json", "restore", "--options", "-"]
WAIT = ["--timeout", "3600"]
ACTION = {"action": "restore", "result": "success", "message": "restored www as of T: 3 files"}
RUN = {"run_id": "r1", "job_id": "restore:www", "result": "success", "actions": [ACTION]}
LOOKED = {
    "message": "dry run: would restore 2 files to /t: 1 created; nothing was written",
    "warnings": ["it does not fit"],
    "refused": "",
    "restore_abs_path": "/t",
    "time": "T",
    **{name: name for name in ("source", "chain", "level", "time_stamp")},
    "created": {"count": 1, "names": ["new"]},
    "replaced": {"count": 1, "names": ["old"]},
    "left_alone": {"count": 1, "names": ["mine"]},
}


def answered(run):
    return {"job_id": "restore:www", "request": "q", "joined": False, "run": run}


def test_what_is_given_is_handed_on_by_standard_input_and_nothing_else_is(run, host):
    report = {"warnings": ["device node not restored"]}
    host.answers("restore", data=answered(dict(RUN, actions=[dict(ACTION, report=report)])))
    result = run(restore, home=host.home, job_id="www", overwrite=True, restore_paths=["-a"])
    fields = {"job_id": "www", "overwrite": True, "restore_paths": ["-a"]}
    assert host.calls == [[[*ASK, "--by-runner", *WAIT], fields]]
    assert (result["changed"], result["msg"], result["run"]["run_id"], result["job_id"]) == (
        True,
        ACTION["message"],
        "r1",
        "restore:www",
    )
    assert result["warnings"] == report["warnings"] and "diff" not in result


def test_without_waiting_there_is_no_run_yet(run, host):
    host.answers("restore", data=answered(None))
    result = run(restore, home=host.home, container="c", backup_name="b", wait=False)
    assert host.calls[-1] == [
        [*ASK, "--by-runner", "--no-wait"],
        {"container": "c", "backup_name": "b"},
    ]
    assert (result["changed"], result["run"]) == (True, None)
    assert "restore:www" in result["msg"]


def test_check_mode_tells_what_becomes_of_each_file(run, host):
    host.answers("restore", data=LOOKED)
    result = run(restore, check=True, home=host.home, job_id="www")
    assert host.calls == [[[*ASK, "--dry-run", "--by-runner", *WAIT], {"job_id": "www"}]]
    assert (result["changed"], result["warnings"]) == (True, ["it does not fit"])
    assert result["msg"] == "would restore 2 files to /t: 1 created"
    assert result["left_alone"] == LOOKED["left_alone"]
    assert result["diff"]["before"] == "mine\nold\n"
    assert result["diff"]["after"] == "mine\nnew  # as of T\nold  # as of T\n"


def test_diff_mode_looks_before_it_restores(run, host):
    host.answers(*ASK[1:], "--dry-run", data=LOOKED)
    host.answers("restore", data=answered(RUN))
    result = run(restore, home=host.home, job_id="www", _ansible_diff=True)
    assert [call[0][4] for call in host.calls] == ["--dry-run", "--by-runner"]
    assert (result["msg"], result["created"]["count"]) == (ACTION["message"], 1)
    assert result["warnings"] == []


def test_what_would_be_refused_fails_in_check_mode_too(run, host):
    host.answers("restore", data=dict(LOOKED, refused="/t is not empty"))
    result = run(restore, check=True, home=host.home, job_id="www")
    assert (result["failed"], result["msg"]) == (
        True,
        "The restore would be refused: /t is not empty",
    )


def test_a_failed_restore_shows_its_record_and_the_end_of_its_log(run, host):
    failed = dict(RUN, result="fail")
    error = {"code": 1, "message": "job restore:www: fail: no space", "hint": "", "errors": []}
    host.answers("restore", code=1, data=dict(answered(failed), error=error))
    host.answers(
        "log", data={"job_id": "restore:www", "run_id": "r1", "path": "/l", "text": "a\nb\n"}
    )
    result = run(restore, home=host.home, job_id="www")
    assert (result["failed"], result["run"], result["log"]) == (True, failed, ["a", "b"])
    assert result["msg"].splitlines() == [error["message"], "The end of /l:", "a", "b"]


@pytest.mark.parametrize("code", [65, 69, 75])
def test_what_the_command_says_is_the_message(run, host, code):
    host.refuses("restore", code=code, message="it cannot be", hint="do this")
    for check in (False, True):
        assert run(restore, check=check, home=host.home)["msg"] == "it cannot be (do this)"


def test_check_mode_goes_on_without_a_runner_or_the_job(run, host, bare_host, tmp_path):
    assert "coldchain.freezer.runner" in run(restore, home=str(tmp_path / "none"))["msg"]
    result = run(restore, check=True, home=str(tmp_path / "none"))
    assert (result["failed"], result["changed"], len(result["warnings"])) == (False, True, 1)
    error = {"code": 65, "message": "there is no job www", "hint": "", "errors": []}
    host.answers("restore", code=65, data={"error": dict(error, unknown_job=True)})
    result = run(restore, check=True, home=host.home, job_id="www")
    assert (result["failed"], result["changed"], len(result["warnings"])) == (False, True, 1)
    assert run(restore, home=host.home, job_id="www")["failed"]
