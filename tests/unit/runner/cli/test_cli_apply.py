# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""validate and apply: all or nothing, the truth about what changes, nothing written for nothing."""

from __future__ import annotations

import copy
import json
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

import pytest
from cli_command import Command, exec_job, timed_job
from hypothesis import given
from hypothesis import strategies as st

from coldchain.cli.apply_plan import Accepted, plan
from coldchain.document import canonical
from coldchain.runner.outlook import taken_in
from coldchain.store import JobRecord, Store

SEED = Path(__file__).parents[3] / "fixtures" / "seed"


def changes(answer: dict[str, Any]) -> dict[str, str]:
    return {job["job_id"]: job["change"] for job in answer["jobs"]}


def declared(command: Command) -> dict[str, Any]:
    jobs = command.json("list", "--documents", "--show-secrets")["jobs"]
    return {job["job_id"]: job["document"] for job in jobs}


def test_a_valid_document_is_shown_in_its_canonical_form(command: Command) -> None:
    answer = command.json("validate", "-", data={"job": exec_job("x")})
    assert command.code == 0
    assert answer["valid"] is True
    assert answer["errors"] == []
    assert answer["document"] == canonical(exec_job("x"))
    assert [warning["path"] for warning in answer["warnings"]] == ["$"]
    assert list(command.home.iterdir()) == []


def test_an_invalid_document_is_exit_code_65_with_every_error(command: Command) -> None:
    raw = {**exec_job("a b"), "job_schedule": {"schedule_minute": 99}}
    answer = command.json("validate", "-", data=raw)
    assert command.code == 65
    assert answer["valid"] is False
    assert answer["document"] is None
    assert [error["path"] for error in answer["errors"]] == [
        "$.job_id",
        "$.job_schedule.schedule_minute",
    ]
    assert command("validate", "-", data=raw) == 65
    assert "coldchain: $.job_schedule.schedule_minute: " in command.err


def test_a_list_is_validated_with_the_place_of_each_error(command: Command) -> None:
    answer = command.json("validate", "-", data=[exec_job("a"), exec_job("b c")])
    assert command.code == 65
    (error,) = answer["errors"]
    assert (error["index"], error["job_id"], error["path"]) == (1, "b c", "$.job_id")
    assert answer["documents"] == [canonical(exec_job("a")), None]


def test_the_schema_is_printed(command: Command) -> None:
    from coldchain.cli.vocabulary import vocabulary
    from coldchain.document.schema import schema

    ours = json.loads(json.dumps(schema(vocabulary())))

    assert command.json("validate", "--schema") == ours
    assert command("validate", "--schema") == 0
    assert json.loads(command.out) == ours


def test_created_then_unchanged_then_updated_then_removed(command: Command) -> None:
    job = exec_job("x", description="one")
    answer = command.json("apply", "-", data=job)
    assert answer["changed"] is True
    (entry,) = answer["jobs"]
    assert (entry["change"], entry["before"], entry["after"]) == ("created", None, canonical(job))

    answer = command.json("apply", "-", data=job)
    assert answer["changed"] is False
    assert changes(answer) == {"x": "unchanged"}

    job["description"] = "two"
    (entry,) = command.json("apply", "-", data=job)["jobs"]
    assert entry["change"] == "updated"
    assert (entry["before"]["description"], entry["after"]["description"]) == ("one", "two")

    answer = command.json("apply", "-", data={"jobs": [], "absent": ["x", "y"]})
    assert answer["changed"] is True
    assert changes(answer) == {"x": "removed", "y": "unchanged"}
    assert declared(command) == {}


def test_an_unchanged_apply_writes_no_file(command: Command) -> None:
    jobs = [exec_job("a"), timed_job("b", schedule_hour=3), timed_job("once")]
    assert command("apply", "-", data=jobs) == 0
    before = command.files()
    assert command("apply", "-", data={"jobs": jobs, "absent": ["c"]}) == 0
    assert command("apply", "-", "--purge", data=jobs) == 0
    assert command.files() == before


def test_other_spellings_of_what_is_declared_are_unchanged(command: Command) -> None:
    job = {
        "job_id": "x",
        "job_actions": [
            {
                "freezer_action": {"path_to_backup": "/srv", "backup_name": "b", "max_level": 3},
                "max_retries_interval": 5,
            }
        ],
        "job_schedule": {"schedule_hour": "3", "schedule_month": "1-6,9"},
    }
    other = {
        "job": {
            "job_schedule": {"schedule-month": "1-6, 09", "schedule_hour": 3},
            "job_action": {
                "max_retry_interval": "5",
                "freezer_action": {
                    "src_file": "/srv",
                    "action": "backup",
                    "max_backup_level": "3",
                    "backup_name": "b",
                    "no_incremental": "false",
                    "hostname": False,
                },
            },
            "job_id": "x",
        }
    }
    assert command("apply", "-", data=job) == 0
    assert changes(command.json("apply", "-", data=other)) == {"x": "unchanged"}


def test_check_tells_the_same_and_writes_nothing(command: Command) -> None:
    # A slot that seldom comes: the next runs are those of a moment later.
    jobs = [exec_job("a"), timed_job("b", schedule_month=2, schedule_day=29)]
    before = command.files()
    predicted = command.json("apply", "--check", "-", data=jobs)
    assert command.files() == before
    done = command.json("apply", "-", data=jobs)
    assert predicted == done

    jobs[0]["description"] = "new"
    before = command.files()
    predicted = command.json("apply", "--check", "--purge", "-", data=jobs[:1])
    assert changes(predicted) == {"a": "updated", "b": "removed"}
    assert command.files() == before
    assert command.json("apply", "--purge", "-", data=jobs[:1]) == predicted


def test_one_refused_document_refuses_all(command: Command) -> None:
    jobs = [exec_job("a"), {**exec_job("b"), "job_actions": []}, exec_job("c", lok="x")]
    before = command.files()
    error = command.error("apply", "-", data=jobs)
    assert error["code"] == 65
    assert [(each["index"], each["job_id"], each["path"]) for each in error["errors"]] == [
        (1, "b", "$.job_actions"),
        (2, "c", "$.lok"),
    ]
    assert command.files() == before
    assert command("apply", "-", data=jobs) == 65
    assert "document 2: $.lok" in command.err
    assert "did you mean lock?" in command.err


def test_two_documents_with_one_job_id_are_refused_with_both_positions(command: Command) -> None:
    jobs = [exec_job("a"), exec_job("b"), {"job": exec_job("a")}]
    (error,) = command.error("apply", "-", data=jobs)["errors"]
    assert error["index"] == 2
    assert error["message"] == '"a" is already used by document 0'


def test_declared_and_absent_at_once_is_refused(command: Command) -> None:
    (error,) = command.error("apply", "-", data={"jobs": [exec_job("a")], "absent": ["a"]})[
        "errors"
    ]
    assert "absent" in error["message"]


def test_purge_removes_what_is_not_given_and_only_that(command: Command) -> None:
    assert command("apply", "-", data=[exec_job("a"), exec_job("b"), exec_job("c")]) == 0
    kept = command.json("apply", "--check", "-", data={"jobs": [exec_job("b")], "absent": ["c"]})
    assert kept["undeclared"] == ["a"]
    answer = command.json("apply", "--purge", "-", data={"jobs": [exec_job("b")], "absent": ["c"]})
    assert changes(answer) == {"b": "unchanged", "c": "removed", "a": "removed"}
    assert list(declared(command)) == ["b"]


@pytest.mark.parametrize("data", [[], {"jobs": []}, {"absent": ["a"]}])
def test_purge_of_everything_needs_a_second_switch(command: Command, data: Any) -> None:
    assert command("apply", "-", data=[exec_job("a"), exec_job("b")]) == 0
    error = command.error("apply", "--purge", "-", data=data)
    assert error["code"] == 64
    assert "--allow-empty" in error["hint"]
    assert list(declared(command)) == ["a", "b"]
    assert command("apply", "--purge", "--allow-empty", "-", data=data) == 0
    assert declared(command) == {}


def test_a_document_for_another_client_is_refused(command: Command) -> None:
    error = command.error("apply", "-", data=exec_job("x", client_id="someone.else"))
    assert [each["path"] for each in error["errors"]] == ["$.client_id"]


def test_exec_is_refused_where_it_is_switched_off(command: Command) -> None:
    settings_file = command.home / "etc" / "runner.conf"
    settings_file.parent.mkdir()
    settings_file.write_text("[runner]\nallow_exec = no\n")
    (error,) = command.error("apply", "-", data=exec_job("x"))["errors"]
    assert "switched off" in error["message"]


def test_the_calendar_shows_local_time_utc_and_jobs_in_the_way(command: Command) -> None:
    berlin = {"schedule_timezone": "Europe/Berlin", "schedule_hour": 3}
    other = {**timed_job("other", **berlin), "lock": "disk"}
    assert command("apply", "-", data=other) == 0
    job = {**timed_job("x", **berlin, schedule_minute=30), "lock": "disk"}
    assert command("apply", "-", data=job) == 0
    job["job_schedule"]["schedule_minute"] = 0
    (entry,) = command.json("apply", "-", data=job)["jobs"]
    before, after = entry["calendar"]["before"], entry["calendar"]["after"]
    assert len(entry["next_runs"]) == 3
    assert len(before) == len(after) == 5
    assert all(" 03:30:00 CE" in line and "= 0" in line and " UTC" in line for line in before)
    assert all(" 03:00:00 CE" in line for line in after)
    assert all("lock disk: also due: other" in line for line in after)
    assert not any("also due" in line for line in before)


def test_a_stopped_job_and_one_in_the_past_have_no_runs(command: Command) -> None:
    jobs = [exec_job("stopped"), timed_job("past", schedule_date="2015-06-02T16:20:00")]
    answer = command.json("apply", "-", data=jobs)
    assert [job["next_runs"] for job in answer["jobs"]] == [[], []]
    assert [job["calendar"]["after"] for job in answer["jobs"]] == [
        ["stopped: no run is scheduled"],
        ["no run is scheduled"],
    ]
    assert [warning["path"] for warning in answer["jobs"][1]["warnings"]] == [
        "$.job_schedule.schedule_date"
    ]


def test_a_job_without_schedule_is_due_at_once(command: Command) -> None:
    (entry,) = command.json("apply", "-", data=timed_job("once"))["jobs"]
    assert len(entry["next_runs"]) == 1


def test_what_apply_foretells_does_not_hang_on_how_fast_the_runner_is(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_at_once(store: Store) -> None:
        """What a runner has written once the jobs without schedule have run."""
        ran = {
            job_id: taken_in(store.state(job_id), record)._replace(
                checked_until=record.changed + 60
            )
            for job_id, record in store.jobs().items()
        }
        store.commit_states(ran)

    monkeypatch.setattr(Store, "wake", run_at_once)
    over = timed_job("a", schedule_date="2020-01-01T00:00:00")
    for document in (timed_job("a"), over, timed_job("a")):
        foretold = command.json("apply", "--check", "-", data=document)["jobs"][0]
        (told,) = command.json("apply", "-", data=document)["jobs"]
        assert len(told["next_runs"]) == len(foretold["next_runs"]) == (document is not over)
        assert told["calendar"]["before"] == foretold["calendar"]["before"]
    assert command.json("next", "a")["next_runs"] == []


def test_people_see_what_changes_line_by_line(command: Command) -> None:
    job = exec_job("x", description="one")
    assert command("apply", "-", data=job) == 0
    assert "+ x: created" in command.out
    job["description"] = "two"
    job["lock"] = "disk"
    assert command("apply", "-", data=job) == 0
    assert '    description: "one" -> "two"' in command.out
    assert '    lock: (not set) -> "disk"' in command.out
    assert command.out.endswith("1 updated\n")


def test_people_see_what_becomes_of_each_job(command: Command) -> None:
    far = timed_job("far", schedule_date="2198-01-01T00:00:00Z")
    assert command("apply", "-", data=[far, exec_job("x")]) == 0
    runs = "      Mon 2198-01-01 01:00:00 CET = 00:00:00 UTC\n"
    stopped = "      stopped: no run is scheduled\n"
    created = f"+ far: created\n    next runs:\n{runs}+ x: created\n    next runs:\n{stopped}"
    assert command.out == f"{created}2 created\n"
    assert command("apply", "-", "--check", data={"jobs": [], "absent": ["y", "y"]}) == 0
    assert command.out == "  y: unchanged\n1 unchanged (checked only)\n"
    assert command("apply", "-", data=[]) == 0
    assert command.out == "no jobs given\n"
    later = timed_job("far", schedule_date="2198-01-02T00:00:00Z")
    assert command("apply", "-", "--purge", data=[later]) == 0
    place = "    job_schedule.schedule_date"
    assert command.out == (
        "~ far: updated\n"
        f'{place}: "2198-01-01T00:00:00+00:00" -> "2198-01-02T00:00:00+00:00"\n'
        f"    next runs so far:\n{runs}"
        "    next runs:\n      Tue 2198-01-02 01:00:00 CET = 00:00:00 UTC\n"
        f"- x: removed\n    next runs so far:\n{stopped}"
        "1 updated, 1 removed\n"
    )


def test_values_of_the_environment_are_hidden_and_their_change_is_told(command: Command) -> None:
    job = exec_job("x")
    options = job["job_actions"][0]["freezer_action"]
    options["environment"] = {"KEPT": "secret 1", "PGOPTIONS": "secret 2"}
    assert command("apply", "-", data=job) == 0
    assert "secret" not in command.out + command.err
    options["environment"] = {"KEPT": "secret 1", "PGOPTIONS": "secret 3", "NEW": "secret 4"}
    assert command("apply", "-", data=job) == 0
    place = "    job_actions[0].freezer_action.environment"
    assert command.out.splitlines()[:3] == [
        "~ x: updated",
        f'{place}.PGOPTIONS: "(hidden)" -> "(hidden, changed)"',
        f'{place}.NEW: (not set) -> "(hidden)"',
    ]
    assert declared(command)["x"]["job_actions"][0]["freezer_action"]["environment"] == dict(
        options["environment"]
    )


def test_an_imported_job_keeps_the_result_of_its_last_run(command: Command) -> None:
    raw = json.loads((SEED / "09-finished.json").read_text(encoding="utf-8"))
    del raw["job"]["client_id"]
    assert command("apply", "-", data=raw) == 0
    (job,) = command.json("list")["jobs"]
    assert (job["status"], job["result"]) == ("stop", "success")
    assert (job["time_started"], job["time_ended"]) == (1234, 4321)
    assert changes(command.json("apply", "-", data=raw)) == {"blabla": "unchanged"}


documents = st.fixed_dictionaries({"description": st.sampled_from(["one", "two"])})
hosts = st.dictionaries(st.sampled_from("abcdef"), documents, max_size=6)


@given(hosts, hosts, st.lists(st.sampled_from("abcdefg"), max_size=4), st.booleans())
def test_a_plan_leads_from_what_is_there_to_what_is_wanted(
    there: dict[str, Any], wanted: dict[str, Any], absent: list[str], purge: bool
) -> None:
    absent = [job_id for job_id in absent if job_id not in wanted]
    present = {
        job_id: JobRecord(job_id, {"job_id": job_id, **document}, 1, 0, 0, 0)
        for job_id, document in there.items()
    }
    documents = [Accepted({"job_id": job_id, **document}) for job_id, document in wanted.items()]
    entries = plan(documents, absent, copy.deepcopy(present), purge=purge)
    result = {job_id: record.document for job_id, record in present.items()}
    for entry in entries:
        assert (entry.job_id in there) == (entry.before is not None)
        if entry.change == "removed":
            del result[entry.job_id]
        elif entry.change in ("created", "updated"):
            assert entry.after is not None
            assert result.get(entry.job_id) != entry.after.document
            result[entry.job_id] = entry.after.document
    expected = {one.job_id: one.document for one in documents}
    if not purge:
        kept = {
            job_id: record.document
            for job_id, record in present.items()
            if job_id not in wanted and job_id not in absent
        }
        expected.update(kept)
    assert result == expected
    assert len({entry.job_id for entry in entries}) == len(entries)


def test_a_session_s_jobs_are_listed_by_it(command: Command) -> None:
    jobs = [exec_job("in", "true"), exec_job("out", "true")]
    jobs[0]["session_id"] = "nightly"
    assert command("apply", "-", data=jobs) == 0
    listed = command.json("list", "--session", "nightly")["jobs"]
    assert [(job["job_id"], job["session_id"]) for job in listed] == [("in", "nightly")]
    assert [job["session_id"] for job in command.json("list")["jobs"]] == ["nightly", None]


@pytest.mark.long
def test_what_was_accepted_is_accepted_again_at_any_time(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A play that runs every hour declares unchanged jobs from inside of their blackouts, too."""
    present = datetime.now(timezone.utc)
    ends = [{}, {"schedule_end_date": (present + timedelta(hours=30)).isoformat()}]
    times = [
        {},
        {"schedule_interval": "1 days", "missed": {"run": "skip"}},
        {"schedule_interval": "8 hours"},
        {"schedule_hour": "*/8", "missed": {"max_age": 0}},
        {"schedule_date": "2020-01-01T00:00:00"},
    ]
    jobs = [
        timed_job(
            f"{hour}-{length}-{number}", blackout=[window], schedule_timezone="UTC", **schedule
        )
        for hour in range(0, 24, 4)
        for length in (3, 12, 23)
        for window in [{"start": f"{hour:02}:00", "end": f"{(hour + length) % 24:02}:00"}]
        for number, schedule in enumerate({**time, **end} for time in times for end in ends)
    ]
    refused = {error["index"] for error in command.json("validate", "-", data=jobs)["errors"]}
    jobs = [job for index, job in enumerate(jobs) if index not in refused]
    assert len(jobs) > len(refused) > 0
    assert command("apply", "-", data=jobs) == 0

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return present + timedelta(hours=hours)

    monkeypatch.setattr("coldchain.cli.checking.datetime", Later)
    monkeypatch.setattr("time.time", lambda: Later.now().timestamp())
    for hours in range(1, 50, 7):
        answer = command.json("apply", "-", data=jobs)
        assert command.code == 0, (hours, answer)
        assert answer["changed"] is False
