# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a newcomer gets wrong is answered with the place and the way out."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from pathlib import Path

import pytest
from agent_users import as_nobody
from cli_command import Command, exec_job, timed_job

import coldchain.cli
from coldchain.cli import entry

WORDS = [
    (["validat", "x"], "did you mean validate? see coldchain --help"),
    (["validate", "--schmea"], "did you mean --schema? see coldchain validate --help"),
    (["list", "--status", "stopped"], "did you mean stop? see coldchain list --help"),
    (["restore", "--overwrit=yes"], "did you mean --overwrite? see coldchain restore --help"),
    (["event", "x", "zzz"], "see coldchain event --help"),
]


@pytest.mark.parametrize(("words", "hint"), WORDS)
def test_a_wrong_word_gets_the_nearest_one(command: Command, words: list[str], hint: str) -> None:
    error = command.error(*words)
    assert (error["code"], error["hint"]) == (64, hint)


@pytest.mark.parametrize(
    "words",
    [["verify", "--sample"], ["simulate", "x.json", "--days"], ["selftest", "--rounds"]],
)
def test_a_number_that_is_too_small_is_named(command: Command, words: list[str]) -> None:
    assert words[-1] in command.error(*words, "0")["message"]
    assert "from 0 on" in command.error(*words, "-1")["message"]


def test_validate_refuses_what_apply_refuses_of_a_batch(command: Command) -> None:
    batches = (
        [exec_job("a", "true"), exec_job("b", "true"), exec_job("a", "true")],
        {"jobs": [exec_job("a", "true")], "absent": ["a"]},
        [{**exec_job("a", "true"), "client_id": "elsewhere"}, exec_job("a", "true")],
    )
    for batch in batches:
        verdict = command.json("validate", "-", data=batch)
        assert command.code == 65
        assert not verdict["valid"]
        assert verdict["errors"] == command.error("apply", "-", data=batch)["errors"]


def test_a_boot_beside_a_time_is_one_error_and_no_contradiction(command: Command) -> None:
    document = timed_job("a", schedule_boot=True, schedule_hour="3")
    verdict = command.json("validate", "-", data=document)
    assert [error["path"] for error in verdict["errors"]] == ["$.job_schedule.schedule_boot"]
    assert verdict["warnings"] == []


@pytest.mark.parametrize(
    "schedule", [{"schedule_hour": " "}, {"schedule_date": "\t"}, {"schedule_boot": False}]
)
def test_a_time_that_says_nothing_is_a_job_that_runs_once(
    command: Command, schedule: dict[str, object]
) -> None:
    name = next(iter(schedule))
    verdict = command.json("validate", "-", data=timed_job("a", **schedule))
    (warning,) = verdict["warnings"]
    assert warning["path"] == f"$.job_schedule.{name}"
    assert "the job runs once, at once, and never again" in warning["message"]
    assert verdict["document"]["job_schedule"] == {}
    (job,) = command.json("apply", "--check", "-", data=timed_job("a", **schedule))["jobs"]
    assert len(job["next_runs"]) == 1


def test_a_schedule_that_has_ended_names_its_end(command: Command) -> None:
    ended = timed_job("a", schedule_hour="3", schedule_end_date="2020-01-01T00:00:00")
    (warning,) = command.json("validate", "-", data=ended)["warnings"]
    assert warning["path"] == "$.job_schedule.schedule_end_date"
    over = timed_job("a", schedule_year="2020", schedule_end_date="2120-01-01T00:00:00")
    (warning,) = command.json("validate", "-", data=over)["warnings"]
    assert warning["path"] == "$.job_schedule.schedule_year"


@pytest.mark.parametrize(
    ("schedule", "hint"),
    [
        ({"schedule_hour": True}, "write a cron-like field"),
        ({"schedule_date": True}, "write an ISO 8601 date and time"),
        ({"schedule_timezone": True, "schedule_hour": "3"}, "write an IANA time zone"),
        ({"schedule_hour": "03:30"}, 'write schedule_hour: "3" and schedule_minute: "30"'),
    ],
)
def test_a_value_that_is_no_time_is_answered_with_one(
    command: Command, schedule: dict[str, object], hint: str
) -> None:
    verdict = command.json("validate", "-", data=timed_job("a", **schedule))
    (error,) = verdict["errors"]
    assert hint in error["hint"]


def test_a_name_that_yaml_took_for_a_truth_is_put_into_quotes(command: Command) -> None:
    verdict = command.json("validate", "-", data=exec_job("a", "true") | {"job_id": True})
    assert verdict["errors"][0]["hint"] == 'write it in quotes, as "true"'


def test_what_convert_skips_is_named_once_with_the_way_out(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "mine").write_text("5 4 * * * true\n")
    names = [str(tmp_path / name) for name in ("none", "folder", "mine")]
    assert command("convert", *names) == 65
    lines = [line for line in command.err.splitlines() if "skipped: " in line]
    assert [line.count(name) for line, name in zip(lines, names)] == [1, 1, 1]
    assert "name a file" in lines[0]
    assert "holds no file" in lines[1]
    assert "--from crontab" in lines[2]
    assert command("convert", "--from", "crontab", names[2]) == 0


def test_a_missing_field_of_a_storage_is_named_as_its_option(command: Command) -> None:
    target = str(command.home / "out")
    words = ["--storage", "ssh", "--container", "c", "--backup-name", "b"]
    error = command.error("restore", *words, "--restore-abs-path", target)
    assert "--ssh-host: is missing" in error["message"]
    assert "add --ssh-username" in error["hint"]


def test_a_run_in_the_foreground_leaves_the_next_run_known(command: Command) -> None:
    document = {**exec_job("a", "true"), "job_schedule": {"schedule_hour": "3"}}
    assert command("apply", "-", data=document) == 0
    (before,) = command.json("list")["jobs"]
    assert command("run", "a") == 0
    (after,) = command.json("list")["jobs"]
    assert after["next_run"] == before["next_run"] == command.json("next", "a")["next_runs"][0]


def test_days_are_counted_as_days(command: Command) -> None:
    assert command("simulate", "-", "--days", "3", data=timed_job("a", schedule_hour="3")) == 0
    assert "in 3 days\n" in command.out


def test_a_place_where_no_directory_can_be_made_is_an_error_at_once(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "src").mkdir()
    action = {"action": "backup", "path_to_backup": str(tmp_path / "src"), "backup_name": "b"}
    assert command("run", "-", data={"freezer_action": {**action, "container": "c"}}) == 0
    words = ["restore", "--container", "c", "--backup-name", "b"]
    assert command(*words, "--restore-abs-path", "/proc/x") == 65
    assert "--restore-abs-path lies where no directory can be made" in command.err


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("apply", "--any-host", "-"), "--any-host is for --check", "on their own host"),
        (
            ("restore", "--job", "j", "--restore-abs-path", "/x", "--no-wait"),
            "--no-wait is nothing without --by-runner",
            "give both",
        ),
    ],
)
def test_an_option_without_the_other_one_is_refused(
    command: Command, words: tuple[str, ...], message: str, hint: str
) -> None:
    assert command("apply", "-", data=exec_job("j")) == 0
    error = command.error(*words, data=exec_job("k"))
    assert (error["code"], error["message"]) == (64, message) and hint in error["hint"]
    assert [job["job_id"] for job in command.json("list")["jobs"]] == ["j"]


def test_a_place_of_messages_that_is_none_is_named(command: Command) -> None:
    assert command("apply", "-", data=exec_job("j")) == 0
    place = command.home / "lib" / "notify"
    place.touch()
    error = command.error("notify", "--retry")
    assert (error["code"], error["message"]) == (
        73,
        f"{place}: cannot be written: Not a directory; nothing was changed",
    )


# What each command is given besides; others get nothing.  Those without a home ask for no rights.
GIVEN = {name: ["j"] for name in ("show", "history", "log", "next", "guard", "run")}
GIVEN |= {"explain": ["j"], "event": ["j", "start"], "restore": ["--job", "j"], "apply": ["-"]}
HOMELESS = {"validate", "simulate", "convert", "agent", "selftest"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("name", sorted(entry._COMMANDS.keys() - HOMELESS))
def test_without_root_every_command_says_how_to_become_it(
    command: Command, tmp_path: Path, name: str
) -> None:
    assert command("apply", "-", data=[exec_job("j")]) == 0
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == 0 and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)

    def work() -> str:
        sys.stdin = io.StringIO(json.dumps([exec_job("j")]))
        with contextlib.redirect_stdout(io.StringIO()) as out:
            code = coldchain.cli.run(
                ["--home", str(command.home), "--json", name, *GIVEN.get(name, [])]
            )
        error = json.loads(out.getvalue())["error"]
        return f"{code}: {error['message']} ({error['hint']})"

    told = as_nobody(work)
    assert "sudo" in told and "become: true" in told, told
