# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore that the runner does goes on without whoever has asked for it, and is on record."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cli_command import Command
from waiting import ended, until

DOCS = "restore:docs"


@pytest.fixture
def source(command: Command, tmp_path: Path) -> Path:
    """A directory with a backup of a declared job."""
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "one").write_text("1")
    (source / "two").write_text("2")
    options = {"path_to_backup": str(source), "backup_name": "docs", "container": "c"}
    action = {"freezer_action": {"action": "backup", **options}}
    later = {"schedule_date": "2100-01-01T00:00:00"}
    job = {"job_id": "docs", "job_actions": [action], "job_schedule": later}
    assert command("apply", "-", data=job) == 0
    refused = command.error("restore", "--job", "docs", "--restore-abs-path", str(tmp_path / "t"))
    assert refused["hint"].startswith("job docs has not run yet; ")
    assert command("run", "docs") == 0
    return source


def by_runner(command: Command, *words: str, **options: Any) -> dict[str, Any]:
    data = {"job_id": "docs", **options}
    return command.json("restore", "--by-runner", "--options", "-", *words, data=data)


def test_what_the_runner_restores_is_told_and_on_record_and_else_there_is_no_trace(
    command: Command, source: Path, runner: Any, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    answer = by_runner(command, restore_abs_path=str(target), restore_paths=["deep"])
    assert [str(path.relative_to(target)) for path in target.rglob("*")] == ["deep", "deep/one"]
    run = answer["run"]
    (action,) = run["actions"]
    assert (run["result"], run["cause"], answer["joined"]) == ("success", "event", False)
    assert run["request"]["id"] == answer["request"] and run["request"]["by"]
    assert action["message"].startswith("restored docs as of ") and str(target) in action["message"]
    assert command.json("history", DOCS)["runs"] == [run]
    assert command("log", DOCS) == 0 and "action 1 of 1 (restore)" in command.out
    assert [job["job_id"] for job in command.json("list")["jobs"]] == ["docs"]
    error = by_runner(command, restore_abs_path=str(target))["error"]
    assert command.code == 1 and "is not empty" in error["message"]
    assert f"{run['run_id']}, had success: {action['message']}" in error["hint"]
    assert len(command.json("history", DOCS)["runs"]) == 2
    # For people, by the series.
    words = ["--container", "c", "--backup-name", "docs", "--restore-abs-path", str(target)]
    assert command("restore", *words, "--by-runner", "--overwrite") == 0
    assert command.out.startswith("restored docs as of ")
    assert (target / "two").read_text() == "2"


def test_who_has_asked_may_go_and_come_back_and_anybody_may_abort(
    command: Command, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tar waits at a gate, so that there is something to be cut off from."""
    gate, shim = tmp_path / "gate", tmp_path / "bin" / "tar"
    shim.parent.mkdir()
    shim.write_text(
        f'#!/bin/sh\ncase "$*" in *--extract*) until test -e {gate}; do sleep 0.05; done;; esac\n'
        'exec /bin/tar "$@"\n'
    )
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    serve = command.process("serve", stderr=subprocess.DEVNULL)
    until(lambda: command.json("list")["runner_alive"], told=serve.poll)
    target = tmp_path / "target"
    words = ("restore", "--job", "docs", "--restore-abs-path", str(target), "--by-runner")
    first = command.process("--json", *words, stdout=subprocess.DEVNULL)
    until(lambda: (command.json("list", DOCS)["jobs"] or [{}])[0].get("status") == "running")
    first.send_signal(signal.SIGKILL)
    ended(first)
    late = command.error(*words, "--timeout", "0")
    assert late["code"] == 75 and f"coldchain list {DOCS}" in late["hint"]
    answer = command.json(*words, "--no-wait")
    assert (answer["joined"], answer["run"]) == (True, None)
    for words_of_job in (["explain", DOCS], ["show", DOCS], ["log", DOCS]):
        assert command(*words_of_job) == 0, command.err
    assert "can only be aborted" in command.error("event", DOCS, "stop")["message"]
    purged = command.json("apply", "-", "--purge", "--check", "--allow-empty", data=[])["jobs"]
    assert [job["job_id"] for job in purged] == ["docs"]
    gate.touch()
    joined = command.json(*words)
    assert joined["run"] is None or joined["run"]["result"] == "success"
    assert (target / "two").read_text() == "2"
    (run,) = command.json("history", DOCS)["runs"][-1:]
    assert run["request"]["id"] == answer["request"]

    gate.unlink()
    other = (*words[:3], "--restore-abs-path", str(tmp_path / "other"), "--by-runner")
    request = command.json(*other, "--no-wait")["request"]
    until(lambda: (command.json("list", DOCS)["jobs"] or [{}])[0].get("status") == "running")
    assert command.json("event", DOCS, "abort", "--check")["after"]["status"] == "aborting"
    assert command("event", DOCS, "abort", "--wait") == 0, command.err
    (aborted,) = command.json("history", DOCS, "-n", "1")["runs"]
    assert (aborted["result"], aborted["request"]["id"]) == ("aborted", request)
    assert not (tmp_path / "other").exists()
    serve.send_signal(signal.SIGTERM)
    ended(serve)


def test_without_a_runner_nothing_is_asked_for(
    command: Command, source: Path, tmp_path: Path
) -> None:
    for more in ([], ["--no-wait"]):
        error = by_runner(command, *more, restore_abs_path=str(tmp_path / "t"))["error"]
        assert (command.code, "nothing was asked for" in error["message"]) == (69, True)
    assert command.error("event", DOCS, "abort")["code"] == 65
    assert not (tmp_path / "t").exists()


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"restore_abs_path": "t"}, 65, "restore_abs_path"),
    ({"restore_abspath": "/t"}, 65, "did you mean"),
    ({"overwrite": "perhaps"}, 65, "overwrite"),
    ({"job_id": "dosc"}, 65, "did you mean docs?"),
    ({"job_id": 7}, 65, "job_id"),
    ({"job_id": None}, 64, "container, backup_name, restore_abs_path: missing"),
    ({"action": "backup"}, 65, "it can only be restore"),
    ({"restore_from_date": "yesterday"}, 65, "restore_from_date"),
    ({"restore_paths": ["../etc"]}, 1, "lies outside"),
]


def test_wrong_options_are_named_as_they_were_written(command: Command, source: Path) -> None:
    for options, code, words in WRONG:
        data = {"job_id": "docs", **options}
        error = command.error("restore", "--options", "-", "--dry-run", data=data)
        assert (error["code"], "--restore" in error["message"]) == (code, False), error
        assert words in error["message"] + error["hint"], error
    for words_beside in (["--overwrite"], ["deep"], ["--container", "c"], ["--session", "s"]):
        error = command.error("restore", "--options", "-", *words_beside, data={})
        assert (error["code"], "exclude each other" in error["message"]) == (64, True), error


def test_a_dry_run_tells_what_becomes_of_each_file(
    command: Command, source: Path, tmp_path: Path
) -> None:
    (source / "mine").write_text("x")
    (source / "deep" / "one").unlink()
    (source / "linked").symlink_to("deep")

    def look(**options: Any) -> dict[str, Any]:
        data = {"job_id": "docs", **options}
        return command.json("restore", "--options", "-", "--dry-run", data=data)

    kinds = ("created", "replaced", "left_alone")
    there = look(overwrite=True)
    assert [there[kind]["names"] for kind in kinds] == [["deep/one"], ["two"], ["linked", "mine"]]
    assert "1 created, 1 replaced, 2 left alone" in there["message"]
    assert (there["refused"], there["complete"]) == ("", True)
    again = command.json("backups", "--job", "docs")["backups"][0]
    source_of = {name: again[name] for name in ("container", "hostname", "backup_name")}
    assert there["source"] == {**there["source"], **source_of} and there["time"] == again["time"]
    part = look(overwrite=True, restore_paths=["deep"])
    assert [part[kind]["count"] for kind in kinds] == [1, 0, 0]
    assert "is not empty" in look()["refused"]
    new = look(restore_abs_path=str(tmp_path / "new"))
    assert [new[kind]["count"] for kind in kinds] == [2, 0, 0]
