# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules with the command itself: what one side says, the other one understands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from ansible_collections.coldchain.freezer.plugins.modules import (
    backup_info,
    job,
    job_event,
    job_info,
    jobs,
    restore,
    status_info,
)
from option_words import bare_options
from waiting import LIMIT, at_most, ended, until

ROOT = Path(__file__).resolve().parents[3]
RUNNER = ROOT / "roles" / "runner" / "files"
GUIDES = ("quick-start.md", "jobs.md", "storages.md")
PAGES = [ROOT / "README.md", *(ROOT / "docs/guide" / name for name in GUIDES)]
LAUNCHER = """#!{python} -I
import sys
sys.path.insert(0, {runner!r})
from coldchain.cli import main
main(default_home={home!r})
"""


@pytest.fixture
def home(tmp_path):
    """A single-directory installation of the checkout's own runner."""
    place = tmp_path / "home"
    for name in ("bin", "etc", "lib"):
        (place / name).mkdir(parents=True, mode=0o700)
    text = LAUNCHER.format(python=sys.executable, runner=str(RUNNER), home=str(place))
    (place / "bin" / "coldchain").write_text(text)
    (place / "bin" / "coldchain").chmod(0o755)
    return place


@pytest.fixture
def runner(home):
    """The runner of the installation, at work."""
    process = subprocess.Popen([str(home / "bin" / "coldchain"), "serve"])
    until(lambda: ask(home, "list")["runner_alive"], told=process.poll)
    yield process
    process.terminate()
    ended(process)


def ask(home, *arguments):
    command = [str(home / "bin" / "coldchain"), "--json", *arguments]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def files(place):
    """Every file with its content and time: what a run that writes nothing leaves alone."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(place.rglob("*"))
        if path.is_file()
    }


def nightly(job_id="nightly", hour="3", **more):
    action = {"action": "backup", "path_to_backup": "/etc", "backup_name": "etc", "container": "c"}
    document = {
        "job_id": job_id,
        "job_actions": [{"freezer_action": action}],
        "job_schedule": {"schedule_hour": hour, "schedule_timezone": "Europe/Berlin"},
    }
    return dict(document, **more)


def exec_job(job_id, *command, **schedule):
    action = {"action": "exec", "command": list(command)}
    job_actions = [{"freezer_action": action}]
    schedule = schedule or {"schedule_date": "2100-01-01T00:00:00"}
    return {"job_id": job_id, "job_actions": job_actions, "job_schedule": schedule}


def four_times(run, module, home, **arguments):
    """Check, run, again, check again; the first prediction and what came of it."""
    # A slot that passes in between changes the next runs.
    until(lambda: time.gmtime().tm_min != 59, within=LIMIT, pause=1.0)
    before = files(home / "lib")
    predicted = run(module, check=True, home=str(home), **arguments)
    assert files(home / "lib") == before
    done = run(module, home=str(home), **arguments)
    after = files(home / "lib")
    for check in (False, True):
        again = run(module, check=check, home=str(home), **arguments)
        assert (again["failed"], again["changed"]) == (False, False)
        assert files(home / "lib") == after
    assert done["changed"] == predicted["changed"]
    assert done["diff"] == predicted["diff"]
    assert done["warnings"] == predicted["warnings"]
    return done


def test_a_job_comes_changes_and_goes_as_predicted(run, home):
    created = four_times(run, job, home, **nightly())
    assert created["job"]["change"] == "created"
    assert created["job"]["after"] == nightly()
    assert len(created["job"]["next_runs"]) == 3

    updated = four_times(run, job, home, **nightly(hour="4"))
    assert updated["job"]["change"] == "updated"
    before, after = (updated["diff"][name].splitlines() for name in ("before", "after"))
    assert '  schedule_hour: "3"' in before
    assert '  schedule_hour: "4"' in after
    assert [" 03:00:00 CE" in line for line in before[before.index("# next runs:") + 1 :]] == [
        True
    ] * 5
    assert [" 04:00:00 CE" in line for line in after[after.index("# next runs:") + 1 :]] == [
        True
    ] * 5

    removed = four_times(run, job, home, job_id="nightly", state="absent")
    assert removed["job"] == {
        "job_id": "nightly",
        "change": "removed",
        "before": nightly(hour="4"),
        "after": None,
        "next_runs": [],
    }


def test_options_that_ansible_refuses_are_told_with_what_is_wrong_in_the_documents(run, home):
    before = files(home / "lib")
    bad = [nightly("a", hour=99), nightly("b", containr="x"), nightly("c")]
    told = run(jobs, home=str(home), jobs=bad, purge="perhaps", allow_empty="never")
    *ours, first, second, last = told["msg"].splitlines()
    assert ["'purge'" in "".join(ours), "'allow_empty'" in "".join(ours)] == [True, True]
    assert first.startswith("jobs[0] (job_id 'a')") and second.startswith("jobs[1] (job_id 'b')")
    assert last == "Nothing was changed on this host."
    assert [(error["index"], error["path"]) for error in told["errors"]] == [
        (0, "job_schedule.schedule_hour"),
        (1, "containr"),
    ]
    for wrong in ({"state": "gone"}, {"state": "gone", "show_secrets": "perhaps"}):
        told = run(job, home=str(home), **nightly(hour=99, **wrong))
        assert "gone" in told["msg"] and "hour" in told["msg"] and len(told["errors"]) == 1
    unnamed = {name: value for name, value in nightly(hour=99).items() if name != "job_id"}
    told = run(job, home=str(home), **unnamed)
    assert "job_id" in told["msg"].splitlines()[0]
    assert [error["path"] for error in told["errors"]] == ["job_schedule.schedule_hour"]
    sound = run(job, home=str(home), **nightly(state="gone"))
    assert sound["failed"] and "errors" not in sound
    gone = run(job, home=str(home), job_id="a", state="absent", show_secrets="perhaps")
    assert gone["failed"] and "errors" not in gone
    for other in ("jobs", {"a": 1}):
        assert run(jobs, home=str(home), jobs=other, purge="perhaps")["failed"]
    assert files(home / "lib") == before


def test_numbers_and_switches_as_text_mean_what_they_mean_to_the_command(run, home):
    """Jinja and Freezer's API hand out both as text."""

    def document(**options):
        whole = nightly()
        whole["job_actions"][0]["freezer_action"].update(options)
        return whole

    told = document(
        sync="False", dry_run="0", max_level="5", always_level="False", overwrite="None"
    )
    wanted = document(sync=False, dry_run=False, max_level=5, incremental=True)
    for module, arguments in ((job, told), (jobs, {"jobs": [told]})):
        result = run(module, home=str(home), **arguments)
        entry = result["job"] if module is job else result["jobs"][0]
        assert entry["after"] == wanted, result
    for name, word in (("sync", "5"), ("sync", "maybe"), ("max_level", "True")):
        wrong = document(**{name: word})
        for module, arguments in ((job, wrong), (jobs, {"jobs": [wrong]})):
            result = run(module, home=str(home), **arguments)
            (error,) = result["errors"]
            assert error["path"] == f"job_actions[0].freezer_action.{name}"


def test_a_changed_secret_is_no_secret_in_the_diff(run, home):
    def declare(password):
        action = {"action": "exec", "command": ["true"], "environment": {"PGPASSWORD": password}}
        return run(job, home=str(home), job_id="a", job_actions=[{"freezer_action": action}])

    declare("old")
    changed = declare("new")
    assert changed["changed"] is True
    assert 'PGPASSWORD: "(hidden)"' in changed["diff"]["before"]
    assert 'PGPASSWORD: "(hidden, changed)"' in changed["diff"]["after"]
    assert declare("new")["changed"] is False


def test_a_list_is_declared_and_purged_as_predicted(run, home):
    run(jobs, home=str(home), jobs=[nightly("old"), nightly("kept"), nightly("named")])
    items = [nightly("kept"), nightly("new"), {"job_id": "named", "state": "absent"}]
    done = four_times(run, jobs, home, jobs=items, purge=True)
    changes = {one["job_id"]: one["change"] for one in done["jobs"]}
    removed = {"named": "removed", "old": "removed"}
    assert changes == dict(removed, kept="unchanged", new="created")
    assert sorted(one["before_header"] for one in done["diff"]) == [
        "job named",
        "job new",
        "job old",
    ]
    assert [one["job_id"] for one in run(job_info, home=str(home))["jobs"]] == ["kept", "new"]


def test_every_example_of_the_documentation_is_accepted(run, home):
    for task in yaml.safe_load(job.EXAMPLES):
        result = run(job, home=str(home), **task["coldchain.freezer.job"])
        assert (result["failed"], result["warnings"]) == (False, []), result
    concrete = yaml.safe_load(jobs.EXAMPLES)[1]["coldchain.freezer.jobs"]
    result = run(jobs, home=str(home), **concrete)
    assert (result["failed"], result["warnings"]) == (False, []), result


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_job_of_a_page_is_accepted(run, home, path):
    blocks = re.findall("^```yaml$(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
    for block in map(yaml.safe_load, blocks):
        if isinstance(block, dict):
            for name, listed in block.items():
                if name.startswith("freezer_jobs"):
                    result = run(jobs, home=str(home), jobs=listed)
                    assert (result["failed"], result["warnings"]) == (False, []), result


def test_older_spellings_are_one_job_with_the_modern_ones(run, home):
    action = {"action": "backup", "src_file": "/etc", "backup_name": "etc", "container": "c"}
    run(job, home=str(home), **nightly())
    old = nightly(job_actions=[{"freezer_action": dict(action, hostname=False)}])
    assert run(job, home=str(home), **old)["changed"] is False


@pytest.mark.parametrize(
    ("wrong", "path", "words"),
    [
        ({"job_schedule": {"schedule_minute": 99}}, "job_schedule.schedule_minute", "0-59"),
        (
            {"job_schedule": {"schedule_date": "2026-13-01"}},
            "job_schedule.schedule_date",
            "2026-11-24T02:30:00",
        ),
        ({"job_schedule": {"schedule_interval": "5 fortnights"}}, "schedule_interval", "weeks"),
        ({"job_actions": []}, "job_actions", "at least one action"),
        ({"job_actions": [{"freezer_action": {"action": "backup"}}]}, "path_to_backup", "missing"),
        ({"client_id": "another-host"}, "client_id", "another-host"),
    ],
)
def test_a_refused_job_names_the_place_and_leaves_everything_as_it_is(
    run, home, wrong, path, words
):
    run(jobs, home=str(home), jobs=[nightly()])
    before = files(home / "lib")
    items = [
        nightly(hour="5"),
        {"job_id": "gone", "state": "absent"},
        dict(nightly("bad"), **wrong),
    ]
    for check in (True, False):
        result = run(jobs, check=check, home=str(home), jobs=items)
        assert result["failed"]
        lines = result["msg"].splitlines()
        assert lines[-1] == "Nothing was changed on this host."
        assert lines[0].startswith("jobs[2] (job_id 'bad'): ")
        assert path in lines[0]
        assert words in lines[0]
        assert {(one["index"], one["job_id"]) for one in result["errors"]} == {(2, "bad")}
    assert files(home / "lib") == before


def test_duplicates_are_refused_together_with_the_rest(run, home):
    items = [nightly("a"), nightly("a"), nightly("b", job_schedule={"schedule_minute": "x"})]
    result = run(jobs, home=str(home), jobs=items)
    assert [(one["index"], one["path"]) for one in result["errors"]] == [
        (1, "job_id"),
        (2, "job_schedule.schedule_minute"),
    ]
    assert "already used by document 0" in result["msg"]


def test_a_database_that_others_can_write_is_refused_with_the_remedy(run, home):
    os.chmod(home / "lib", 0o777)
    result = run(job, home=str(home), **nightly())
    assert result["failed"]
    assert f"chmod go-w {home}/lib" in result["msg"]


def test_what_is_not_there_is_an_answer(run, home):
    result = run(job_info, home=str(home), job_id=["nope"])
    assert (result["failed"], result["jobs"], result["unknown"]) == (False, [], ["nope"])
    assert run(backup_info, home=str(home))["backups"] == []


def test_waiting_without_a_runner_fails_at_once_and_says_so(run, home):
    run(job, home=str(home), **nightly())
    result = run(job_event, home=str(home), job_id="nightly", event="start", wait=True)
    assert result["failed"]
    assert "the runner is not running" in result["msg"]
    assert "coldchain serve" in result["msg"]


def test_events_are_predicted_done_and_told(run, home, runner, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("x")
    backup = {
        "path_to_backup": str(source),
        "backup_name": "s",
        "container": "c",
        "action": "backup",
    }
    later = {"schedule_date": "2100-01-01T00:00:00"}
    good = {"job_id": "good", "job_actions": [{"freezer_action": backup}], "job_schedule": later}
    bad = exec_job("bad", "sh", "-c", "echo out of ideas >&2; exit 3")
    run(jobs, home=str(home), jobs=[good, bad])

    def event(name, job_id, **more):
        arguments = dict(more, home=str(home), job_id=job_id, event=name, timeout=LIMIT)
        predicted = run(job_event, check=True, **arguments)
        with at_most():
            done = run(job_event, wait=True, **arguments)
        assert done["changed"] == predicted["changed"]
        return done

    started = event("start", "good")
    assert (started["changed"], started["run"]["result"]) == (True, "success")
    found = run(backup_info, home=str(home), job_id="good")["backups"]
    assert [(one["backup_name"], one["level"], one["restorable"]) for one in found] == [
        ("s", 0, True)
    ]

    failed = event("start", "bad")
    assert (failed["failed"], failed["run"]["result"]) == (True, "fail")
    assert "out of ideas" in failed["msg"]
    assert "out of ideas" in failed["log"]

    status = run(status_info, check=True, home=str(home), days=1)
    assert (status["failed"], status["changed"], status["protected"]) == (False, False, False)
    assert "is not protected: job bad: failed: its last run failed" in status["msg"]
    documented = set(yaml.safe_load(status_info.RETURN))
    beside = {"failed", "changed", "warnings", "invocation"}
    assert documented - {"text"} <= set(status) <= documented - {"text"} | beside
    text = run(status_info, check=True, home=str(home), days=1, as_text=True)
    assert {"text", "msg"} <= set(text) <= {"text", "msg"} | beside
    assert set(json.loads(text["text"])) <= documented

    # And back: as predicted, into a target that holds something, and on record.
    (source / "file").write_text("spoilt")
    (source / "mine").write_text("mine")
    options = {"home": str(home), "job_id": "good", "timeout": LIMIT}
    assert "is not empty" in run(restore, check=True, **options)["msg"]
    predicted = run(restore, check=True, overwrite=True, **options)
    kinds = [predicted[kind]["names"] for kind in ("created", "replaced", "left_alone")]
    assert kinds == [[], ["file"], ["mine"]]
    assert (source / "file").read_text() == "spoilt"
    with at_most():
        restored = run(restore, overwrite=True, _ansible_diff=True, **options)
    assert [(source / name).read_text() for name in ("file", "mine")] == ["x", "mine"]
    assert restored["msg"].startswith("restored s as of ") and restored["changed"]
    assert restored["diff"] == predicted["diff"] and restored["warnings"] == []
    assert ask(home, "history", "restore:good")["runs"] == [restored["run"]]
    with at_most():
        refused = run(restore, **options)
    assert (refused["failed"], refused["run"]["result"]) == (True, "fail")
    assert "is not empty" in refused["msg"]
    assert "writes no backup" in run(restore, check=True, **{**options, "job_id": "bad"})["msg"]

    assert event("stop", "good")["changed"] is True
    assert event("stop", "good")["changed"] is False
    assert event("abort", "good")["changed"] is False
    assert event("abort", "bad")["changed"] is True
    info = run(job_info, home=str(home), job_id=["good"], documents=True, history=5)["jobs"][0]
    assert (info["status"], info["result"], info["next_run"]) == ("stop", "success", None)
    assert info["document"]["job_actions"] == good["job_actions"]
    assert [one["result"] for one in info["runs"]] == ["success"]
    assert event("remove", "good")["changed"] is True
    assert event("remove", "good")["changed"] is False


def test_a_document_of_freezers_api_is_taken_by_both_modules(run, home):
    """Facts of runs, null, and what the API puts into every action."""
    action = {"action": "exec", "command": "true", "mode": None, "timeout": None, "priority": None}
    identity = {"project_id": "p", "user_id": "u", "action_id": "a"}
    document = {
        "job_id": "cached",
        "user_id": "u",
        "session_tag": 0,
        "job_actions": [dict(identity, freezer_action=action, max_retries=5)],
        "job_schedule": {
            "schedule_hour": 3,
            "status": "scheduled",
            "event": "",
            "result": "success",
            "time_created": 1493051865,
            "time_ended": -1,
            "current_pid": 16793,
        },
        "_version": 83,
    }
    assert run(job, home=str(home), **document)["job"]["change"] == "created"
    assert run(jobs, home=str(home), jobs=[document])["changed"] is False


def test_a_start_that_runs_nothing_fails_for_who_waits_for_the_run(run, home, runner):
    """The next task of the play would take the backup for made."""
    run(job, home=str(home), **exec_job("x", "true", schedule_hour="3", status="stop"))
    event = {"home": str(home), "job_id": "x", "event": "start", "wait": True, "timeout": 60}
    told = run(job_event, **event)
    assert told["failed"] and told["changed"], told
    assert "has run nothing" in told["msg"] and "start it once more" in told["msg"]
    assert told["job"]["status"] == "scheduled"
    again = run(job_event, **event)
    assert (again["failed"], again["run"]["result"]) == (False, "success")


def test_no_refusal_names_an_option_that_a_task_does_not_have(run, home, tmp_path):
    """A restore without a runner advised to "leave out --by-runner"."""
    source = tmp_path / "one"
    source.write_text("x")
    two = [
        {"freezer_action": {"action": "backup", "path_to_backup": str(source), "backup_name": name}}
        for name in ("a", "b")
    ]
    documents = [
        {"job_id": "two", "job_actions": two},
        {"job_id": "one", "job_actions": two[:1]},
        exec_job("none", "true"),
    ]
    run(jobs, home=str(home), jobs=documents)
    subprocess.run([str(home / "bin" / "coldchain"), "run", "one"], check=True)
    place = {"restore_abs_path": str(tmp_path / "to")}
    asked = [(job_id, more) for job_id in ("one", "two", "none", "nosuch") for more in ({}, place)]
    asked += [("one", {"restore_from_date": "soon"}), ("two", {"encrypt_scheme": "strong"})]
    told = [
        *(
            run(restore, check=check, home=str(home), job_id=job_id, **more)
            for job_id, more in asked
            for check in (False, True)
        ),
        run(restore, home=str(home), container="c"),
        run(restore, home=str(home), container="/none", backup_name="b", **place),
        run(job_event, home=str(home), job_id="one", event="start", wait=True),
        run(job_event, home=str(home), job_id="nosuch", event="start"),
        run(jobs, home=str(home), jobs=[{"freezer_action": {"action": "info"}}]),
        run(jobs, home=str(home), jobs=[{**exec_job("x", "true", status="removed")}]),
        run(backup_info, home=str(home), container="/none"),
    ]
    (home / "lib").rename(home / "gone")
    told += [run(job_info, home=str(home)), run(status_info, home=str(home))]
    refusals = [result["msg"] for result in told if result["failed"]]
    assert len(refusals) > 20
    for message in refusals:
        assert bare_options(message) == [], message
    assert any("coldchain restore without --by-runner" in message for message in refusals)


WAITS = {
    "job_event": {"job_id": "j", "event": "start", "wait": True},
    "restore": {"container": "c", "backup_name": "b"},
}


@pytest.mark.parametrize(
    ("module", "option"),
    [
        (module, name)
        for module in (backup_info, job_event, job_info, restore, status_info)
        for name, option in yaml.safe_load(module.DOCUMENTATION)["options"].items()
        if option["type"] in ("int", "float")
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__.rpartition(".")[2],
)
def test_a_number_that_cannot_be_used_is_refused_by_the_name_of_its_option(
    run, home, module, option
):
    """job_event spoke of its timeout as "argument --timeout", and took -1 in check mode."""
    run(jobs, home=str(home), jobs=[exec_job("j", "true")])
    others = WAITS.get(module.__name__.rpartition(".")[2], {})
    for check in (False, True):
        for value in (-1, 10**12):
            told = run(module, check=check, home=str(home), **others, **{option: value})
            assert told["failed"] and told["msg"].startswith(f"{option}: "), (check, told)
            assert str(value) in told["msg"] and "--" not in told["msg"], (check, told)


@pytest.mark.parametrize("name", ["-x", "--documents", "--help", "-1", "--home=/", "--"])
def test_a_name_that_looks_like_an_option_is_a_name(run, home, name):
    run(jobs, home=str(home), jobs=[exec_job("j", "true")])
    told = run(job_info, home=str(home), job_id=[name])
    assert (told["failed"], told["jobs"], told["unknown"]) == (False, [], [name])
    gone = run(job_event, home=str(home), job_id=name, event="remove")
    assert (gone["failed"], gone["changed"]) == (False, False)
    refused = run(job_event, home=str(home), job_id=name, event="start")
    assert f"there is no job {name!r}" in refused["msg"]
