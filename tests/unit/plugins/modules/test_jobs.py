# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules job and jobs: what is sent and returned, and refusals in the user's own terms."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.coldchain.freezer.plugins.modules import job, jobs

ACTION = {"freezer_action": {"action": "exec", "command": ["true"]}}
DOCUMENT = {"job_id": "db", "job_actions": [ACTION]}
CREATED = {
    "job_id": "db",
    "change": "created",
    "before": None,
    "after": DOCUMENT,
    "next_runs": ["2026-11-25T02:30:00+00:00"],
    "warnings": [],
    "diff": {"before": "", "after": "job_id: db\n"},
}
PUBLIC = {name: CREATED[name] for name in ("job_id", "change", "before", "after", "next_runs")}


def entry(job_id, change, **more):
    return dict(CREATED, job_id=job_id, change=change, **more)


def problem(index, job_id, path, message, hint=""):
    return {"index": index, "job_id": job_id, "path": path, "message": message, "hint": hint}


@pytest.mark.parametrize("check", [False, True])
def test_a_job_is_one_call_and_check_mode_asks_the_same_question(run, host, check):
    host.answers("apply", data={"changed": True, "jobs": [CREATED]})
    result = run(job, check=check, home=host.home, **copy.deepcopy(DOCUMENT))
    assert host.calls == [[["--json", "apply", "-"] + ["--check"] * check, {"jobs": [DOCUMENT]}]]
    assert (result["failed"], result["changed"], result["job"], result["warnings"]) == (
        False,
        True,
        PUBLIC,
        [],
    )
    assert result["diff"] == {
        "before_header": "job db",
        "after_header": "job db",
        "before": "",
        "after": "job_id: db\n",
    }


def test_an_unchanged_job_is_returned_and_is_no_change(run, host):
    same = entry("db", "unchanged", before=DOCUMENT, diff={"before": "x\n", "after": "x\n"})
    host.answers("apply", data={"changed": False, "jobs": [same]})
    result = run(job, home=host.home, **DOCUMENT)
    assert result["changed"] is False
    assert result["job"]["after"] == DOCUMENT
    assert result["diff"]["before"] == result["diff"]["after"] != ""


def test_absent_needs_the_name_only(run, host):
    host.answers(
        "apply",
        data={
            "changed": True,
            "jobs": [entry("db", "removed", before=DOCUMENT, after=None, next_runs=[])],
        },
    )
    result = run(job, home=host.home, job_id="db", state="absent")
    assert host.calls[0][1] == {"jobs": [{"job_id": "db", "state": "absent"}]}
    assert result["job"]["change"] == "removed"


def test_warnings_are_surfaced_with_their_place(run, host):
    warned = dict(
        CREATED,
        warnings=[
            {"path": "$.job_schedule", "message": "two kinds of schedule", "hint": "keep one"}
        ],
    )
    host.answers("apply", data={"changed": True, "jobs": [warned]})
    assert run(job, home=host.home, **DOCUMENT)["warnings"] == [
        "job 'db': job_schedule: two kinds of schedule (keep one)"
    ]


def test_a_refused_job_is_told_in_its_own_words(run, host):
    host.refuses(
        "apply",
        code=65,
        message="1 problem",
        errors=[
            problem(0, "db", "$.job_schedule.schedule_minute", "99 is not in 0-59", "say 0-59")
        ],
    )
    result = run(job, home=host.home, job_schedule={"schedule_minute": 99}, **DOCUMENT)
    assert host.calls[0][1]["jobs"][0]["job_schedule"] == {"schedule_minute": 99}
    assert result["msg"].splitlines() == [
        "job 'db': job_schedule.schedule_minute: 99 is not in 0-59 (say 0-59)",
        "Nothing was changed on this host.",
    ]
    assert result["errors"] == [
        problem(0, "db", "job_schedule.schedule_minute", "99 is not in 0-59", "say 0-59")
    ]


def test_what_ansible_would_refuse_is_judged_by_the_command(run, host):
    """Facts of a run, null and a field that no option has: one judge for all of it."""
    host.answers("apply", data={"changed": True, "jobs": [CREATED]})
    document = dict(
        DOCUMENT, priority=None, job_schedule={"time_created": 1, "event": "", "schedule_hour": 3}
    )
    document["job_actions"] = [dict(ACTION, action_id="a1", timeout=None)]
    result = run(job, home=host.home, **document)
    assert (result["failed"], host.calls[0][1]) == (False, {"jobs": [document]})


def test_a_refusal_without_places_is_the_commands_message(run, host):
    host.refuses("apply", code=75, message="the database is locked", hint="try again")
    assert run(job, home=host.home, **DOCUMENT)["msg"] == "the database is locked (try again)"


# -- a host without a runner


def test_without_a_runner_a_job_cannot_be_declared(run, bare_host):
    result = run(job, home=bare_host.home, **DOCUMENT)
    assert result["failed"]
    assert "Apply the role coldchain.freezer.runner" in result["msg"]


def test_without_a_runner_check_mode_predicts_and_warns_once(run, bare_host):
    items = [dict(DOCUMENT, job_id="a"), {"job_id": "b", "state": "absent"}]
    result = run(jobs, check=True, home=bare_host.home, jobs=items)
    assert (result["failed"], result["changed"]) == (False, True)
    assert [(one["job_id"], one["change"], one["after"]) for one in result["jobs"]] == [
        ("a", "created", None),
        ("b", "unchanged", None),
    ]
    assert [one["before_header"] for one in result["diff"]] == ["job a"]
    assert len(result["warnings"]) == 1
    assert "coldchain.freezer.runner" in result["warnings"][0]


# -- lists


def test_a_list_is_one_call(run, host):
    host.answers(
        "apply",
        data={
            "changed": True,
            "jobs": [
                entry("a", "created"),
                entry("c", "unchanged", before=DOCUMENT),
                entry("b", "unchanged"),
            ],
        },
    )
    items = [
        dict(DOCUMENT, job_id="a"),
        {"job_id": "b", "state": "absent"},
        dict(DOCUMENT, job_id="c"),
    ]
    result = run(jobs, home=host.home, jobs=items)
    assert host.calls == [[["--json", "apply", "-"], {"jobs": items}]]
    assert result["changed"] is True
    assert [one["job_id"] for one in result["jobs"]] == ["a", "c", "b"]
    assert [one["before_header"] for one in result["diff"]] == ["job a"]


def test_every_problem_is_told_with_its_position_in_the_task(run, host):
    found = [
        problem(2, "c", "$", "no"),
        problem(0, "a", "$.job_actions[0].freezer_action.path_to_backup", "is missing", "a path"),
    ]
    host.refuses("apply", code=65, message="2 problems", errors=found)
    items = [
        dict(DOCUMENT, job_id="a"),
        {"job_id": "b", "state": "absent"},
        dict(DOCUMENT, job_id="c"),
    ]
    result = run(jobs, home=host.home, jobs=items)
    assert result["msg"].splitlines() == [
        "jobs[0] (job_id 'a'): job_actions[0].freezer_action.path_to_backup: is missing (a path)",
        "jobs[2] (job_id 'c'): no",
        "Nothing was changed on this host.",
    ]
    assert [(one["index"], one["path"]) for one in result["errors"]] == [
        (0, "job_actions[0].freezer_action.path_to_backup"),
        (2, ""),
    ]


@pytest.mark.parametrize("items", [[], [{"job_id": "a", "state": "absent"}]])
def test_purging_everything_needs_a_second_switch(run, host, items):
    result = run(jobs, home=host.home, jobs=items, purge=True)
    assert result["failed"]
    assert "set allow_empty to true" in result["msg"]
    assert host.calls == []
    host.answers("apply", data={"changed": False, "jobs": []})
    assert run(jobs, home=host.home, jobs=items, purge=True, allow_empty=True)["failed"] is False
    assert host.calls[0][0] == ["--json", "apply", "-", "--purge", "--allow-empty"]


def test_purge_shows_what_goes(run, host):
    host.answers(
        "apply",
        data={"changed": True, "jobs": [entry("old", "removed", before=DOCUMENT, after=None)]},
    )
    result = run(jobs, home=host.home, jobs=[DOCUMENT], purge=True)
    assert host.calls[0][0] == ["--json", "apply", "-", "--purge"]
    assert result["diff"][0]["before_header"] == "job old"
    assert result["diff"][0]["before_header"]


def test_an_empty_list_without_purge_is_nothing_to_do(run, host):
    host.answers("apply", data={"changed": False, "jobs": []})
    result = run(jobs, home=host.home, jobs=[])
    assert (result["failed"], result["changed"], result["jobs"], result["diff"]) == (
        False,
        False,
        [],
        [],
    )


def test_jobs_that_the_list_does_not_name_are_named(run, host):
    host.answers("apply", data={"changed": False, "jobs": [], "undeclared": ["old"]})
    assert run(jobs, home=host.home, jobs=[])["undeclared"] == ["old"]


def test_no_jobs_need_no_runner(run, bare_host):
    result = run(jobs, home=bare_host.home, jobs=[])
    assert (result["failed"], result["changed"], result["jobs"]) == (False, False, [])
