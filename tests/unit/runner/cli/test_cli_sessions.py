# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of one session are found together, by their session's id and the tag of a slot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cli_command import Command, exec_job

SESSION = "night"


def backup_job(place: Path, job_id: str) -> dict[str, Any]:
    action = {
        "action": "backup",
        "path_to_backup": str(place / "source"),
        "backup_name": job_id,
        "container": str(place / "container"),
        "sync": False,
    }
    return {
        "job_id": job_id,
        "session_id": SESSION,
        "job_actions": [{"freezer_action": action}],
        "job_schedule": {"status": "stop"},
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("session")


@pytest.fixture
def ran(
    place: Path,
    command: Command,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Command:
    """Two jobs of a session that have run, one of them twice, and one of no session.  Run for the
    first test that asks: none declares or runs anything in that home."""
    again = (place / "home").exists()
    (place / "home").mkdir(mode=0o700, exist_ok=True)
    command = Command(place / "home", capsys, monkeypatch)
    if again:
        return command
    (place / "source").mkdir()
    (place / "source" / "f").write_text("first")
    jobs = [backup_job(place, "a"), backup_job(place, "b"), exec_job("alone")]
    assert command("apply", "-", data={"jobs": jobs}) == 0
    for job_id in ("a", "b", "alone", "a"):
        assert command("run", job_id) == 0, command.err
        (place / "source" / "f").write_text(f"after {job_id}")
    return command


def test_the_history_of_a_session_is_that_of_its_jobs(ran: Command) -> None:
    runs = ran.json("history", "--session", SESSION)["runs"]
    assert [run["job_id"] for run in runs] == ["a", "b", "a"]
    tag = runs[1]["session_tag"]
    tagged = ran.json("history", "--session", SESSION, "--tag", str(tag))["runs"]
    assert {run["session_tag"] for run in tagged} == {tag}
    assert "b" in {run["job_id"] for run in tagged}
    of_job = ran.json("history", "a", "--session", SESSION)["runs"]
    assert [run["job_id"] for run in of_job] == ["a", "a"]


def test_the_backups_of_a_session_are_those_that_its_runs_wrote(ran: Command, place: Path) -> None:
    container = ("--container", str(place / "container"))
    assert len(ran.json("backups", *container)["backups"]) == 3
    run = ran.json("history", "b", "--session", SESSION)["runs"][0]
    tag = str(run["session_tag"])
    names = {
        backup["backup_name"]
        for backup in ran.json("backups", "--session", SESSION, "--tag", tag)["backups"]
    }
    assert "b" in names


def test_a_restore_takes_the_point_of_the_session(ran: Command, tmp_path: Path) -> None:
    newest, oldest = ran.json("history", "a", "--session", SESSION)["runs"]
    for run, content in ((oldest, "first"), (newest, "after alone")):
        target = tmp_path / content
        code = ran(
            *("restore", "--job", "a", "--session", SESSION, "--tag", str(run["session_tag"])),
            *("--restore-abs-path", str(target)),
        )
        assert code == 0, ran.err
        if oldest["session_tag"] != newest["session_tag"]:
            assert (target / "f").read_text() == content


def test_a_list_tells_how_the_session_went(ran: Command) -> None:
    session = ran.json("list", "--session", SESSION)["session"]
    tag = ran.json("history", "a")["runs"][0]["session_tag"]
    assert session["session_tag"] == tag
    assert set(session["jobs"]) == {"a", "b"}
    assert session["jobs"]["a"] == "success"
    assert session["result"] in ("success", ""), "b may have run for an earlier slot"
    assert "session" not in ran.json("list")
    assert ran("list", "--session", SESSION) == 0
    *_jobs, last = [line for line in ran.out.splitlines() if line]
    result = session["result"] or "not all jobs have run"
    assert last.startswith(f"session {SESSION}, tag {tag} (") and last.endswith(f"): {result}")


def test_people_see_how_many_points_there_are_of_each_job(ran: Command) -> None:
    ran("status")
    lines = [line.split() for line in ran.out.splitlines()]
    at = next(number for number, words in enumerate(lines) if words[:1] == ["BACKUP"])
    assert lines[at] == ["BACKUP", "POINTS", "NEWEST", "VERIFIED", "SIZE"]
    assert [words[:2] for words in lines[at + 1 : at + 3]] == [["a", "2"], ["b", "1"]]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("history",), 64, "which job"),
        (("history", "--tag", "1"), 64, "which session"),
        (("history", "--session", "day"), 65, "no run on this host belongs to session 'day'"),
        (("history", "--session", SESSION, "--tag", "1"), 65, "with tag 1"),
        (
            ("history", "alone", "--session", SESSION),
            65,
            f"no run of job alone belongs to session '{SESSION}'",
        ),
        (("history", "--session", SESSION, "--tag", "x"), 64, "'x' is no tag"),
        (("restore", "--session", SESSION, "--restore-abs-path", "/x"), 64, "choose one"),
        (
            ("restore", "--job", "a", "--session", SESSION, "--restore-from-date", "2026-01-01"),
            64,
            "exclude each other",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(
    ran: Command, words: tuple[str, ...], code: int, message: str
) -> None:
    error = ran.error(*words)
    assert error["code"] == code
    assert message in f"{error['message']} {error['hint']}"


def test_a_declared_tag_is_told_to_be_left_out(command: Command) -> None:
    answer = command.json("validate", "-", data={**exec_job("j"), "session_tag": 7})
    assert "$.session_tag" in [warning["path"] for warning in answer["warnings"]]
    assert "session_tag" not in answer["document"]
