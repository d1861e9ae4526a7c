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
    "calendar": {"before": [], "after": ["2026-11-25 03:30 CET (02:30 UTC)"]},
}
PUBLIC = {name: CREATED[name] for name in ("job_id", "change", "before", "after", "next_runs")}
AFTER = """\
job_id: db
job_actions:
  - freezer_action:
      action: exec
      command:
        - "true"
# next runs:
#   2026-11-25 03:30 CET (02:30 UTC)
"""


def entry(job_id, change, **more):
    return dict(CREATED, job_id=job_id, change=change, **more)


def problem(index, job_id, path, message, hint=""):
    return {"index": index, "job_id": job_id, "path": path, "message": message, "hint": hint}


@pytest.mark.parametrize("check", [False, True])
def test_a_job_is_one_call_and_check_mode_asks_the_same_question(run, host, check):
    host.answers("apply", data={"changed": True, "jobs": [CREATED]})
    result = run(job, check=check, home=host.home, **copy.deepcopy(DOCUMENT))
    assert host.calls == [
        [["--json", "apply", "-"] + ["--check"] * check, {"jobs": [DOCUMENT], "absent": []}]
    ]
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
        "after": AFTER,
    }


def test_an_unchanged_job_is_returned_and_is_no_change(run, host):
    same = entry("db", "unchanged", before=DOCUMENT, calendar={"before": ["x"], "after": ["x"]})
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
    assert host.calls[0][1] == {"jobs": [], "absent": ["db"]}
    assert result["job"]["change"] == "removed"
    assert result["diff"]["after"].startswith("# ") is False


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


def test_a_present_job_needs_actions(run, host):
    result = run(job, home=host.home, job_id="db")
    assert result["failed"]
    assert "job_actions" in result["msg"]
    assert [one["job_id"] for one in result["errors"]] == ["db"]
    assert host.calls == []


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
    assert host.calls[0][1]["jobs"][0]["job_schedule"] == {"schedule_minute": "99"}
    assert result["msg"].splitlines() == [
        "job 'db': job_schedule.schedule_minute: 99 is not in 0-59 (say 0-59)",
        "Nothing was changed on this host.",
    ]
    assert result["errors"] == [
        problem(0, "db", "job_schedule.schedule_minute", "99 is not in 0-59", "say 0-59")
    ]


def test_an_unknown_option_is_refused_with_a_suggestion(run, host):
    result = run(
        job, home=host.home, job_id="db", job_actions=[{"freezer_action": {"containr": "x"}}]
    )
    assert result["msg"].splitlines() == [
        (
            "job 'db': job_actions[0].freezer_action.containr: there is no such option"
            " (did you mean container?)"
        ),
        "Nothing was changed on this host.",
    ]
    assert host.calls == []


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
        ("a", "created", dict(DOCUMENT, job_id="a")),
        ("b", "unchanged", None),
    ]
    assert [one["before_header"] for one in result["diff"]] == ["job a"]
    assert len(result["warnings"]) == 1
    assert "coldchain.freezer.runner" in result["warnings"][0]


def test_without_a_runner_duplicates_are_refused_in_check_mode_too(run, bare_host):
    result = run(jobs, check=True, home=bare_host.home, jobs=[DOCUMENT, DOCUMENT])
    assert "jobs[1] (job_id 'db'): job_id: already used by jobs[0]" in result["msg"]


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
    assert host.calls == [
        [["--json", "apply", "-"], {"jobs": [items[0], items[2]], "absent": ["b"]}]
    ]
    assert result["changed"] is True
    assert [one["job_id"] for one in result["jobs"]] == ["a", "c", "b"]
    assert [one["before_header"] for one in result["diff"]] == ["job a"]


def test_positions_are_those_of_the_task_whatever_was_sent(run, host):
    """Absent items are no documents: the runner's document 1 is the task's jobs[2]."""
    found = [
        problem(1, "c", "$", "no"),
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


def test_duplicates_and_everything_else_that_is_wrong_come_together(run, host):
    host.refuses("apply", code=65, message="1 problem", errors=[problem(1, "c", "$.lock", "no")])
    items = [
        dict(DOCUMENT, job_id="a"),
        {"job_id": "b", "state": "absent"},
        dict(DOCUMENT, job_id="c"),
        {"job_id": "a", "state": "absent"},
    ]
    result = run(jobs, home=host.home, jobs=items)
    assert result["msg"].splitlines() == [
        "jobs[2] (job_id 'c'): lock: no",
        (
            "jobs[3] (job_id 'a'): job_id: already used by jobs[0]"
            " (every job of a host needs its own job_id)"
        ),
        "Nothing was changed on this host.",
    ]
    assert host.calls == [
        [["--json", "apply", "-", "--check"], {"jobs": [items[0], items[2]], "absent": ["b"]}]
    ]


def test_options_that_ansible_refuses_are_all_named_with_their_job(run, host):
    items = [
        DOCUMENT,
        {"job_id": "x"},
        dict(DOCUMENT, job_id="y", job_schedule={"dst": {"gap": "bogus"}, "schedule_minte": 1}),
        {"job_actions": [ACTION]},
    ]
    result = run(jobs, home=host.home, jobs=items)
    assert [(one["index"], one["job_id"], one["path"]) for one in result["errors"]] == [
        (1, "x", ""),
        (2, "y", "job_schedule.dst.gap"),
        (2, "y", "job_schedule.schedule_minte"),
        (3, "?", "job_id"),
    ]
    assert (
        "jobs[2] (job_id 'y'): job_schedule.schedule_minte: there is no such option"
        " (did you mean schedule_minute?)" in result["msg"]
    )
    assert host.calls == []


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
    assert result["diff"][0]["after"] == ""


def test_an_empty_list_without_purge_is_nothing_to_do(run, host):
    host.answers("apply", data={"changed": False, "jobs": []})
    result = run(jobs, home=host.home, jobs=[])
    assert (result["failed"], result["changed"], result["jobs"], result["diff"]) == (
        False,
        False,
        [],
        [],
    )
