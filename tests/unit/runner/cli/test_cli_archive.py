# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a declared backup to restored files, through the command alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_command import Command


def backup_job(source: Path, **options: Any) -> dict[str, Any]:
    action = {
        "action": "backup",
        "path_to_backup": str(source),
        "backup_name": "docs",
        "container": "first",
        **options,
    }
    return {
        "job_id": options.get("backup_name", "docs"),
        "job_actions": [{"freezer_action": action}],
        "job_schedule": {"schedule_hour": 3, "status": "stop"},
    }


@pytest.fixture
def source(command: Command, tmp_path: Path) -> Path:
    """A directory that was backed up twice, as level 0 and 1."""
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "one").write_text("1")
    (source / "two").write_text("2")
    assert command("apply", "-", data=backup_job(source, max_level=5)) == 0
    assert command("run", "docs") == 0
    (source / "two").write_text("22")
    assert command("run", "docs") == 0
    return source


def test_backups_of_all_jobs_of_one_and_of_a_container(command: Command, source: Path) -> None:
    other = backup_job(source, backup_name="other", container="second", hostname="elsewhere")
    assert command("apply", "-", data=other) == 0
    assert command("run", "other") == 0

    def found(*words: str) -> list[tuple[str, int]]:
        backups = command.json("backups", *words)["backups"]
        return [(backup["backup_name"], backup["level"]) for backup in backups]

    docs = [("docs", 0), ("docs", 1)]
    assert found() == [*docs, ("other", 0)]
    assert found("--job", "docs") == docs
    assert found("--job", "other") == [("other", 0)]
    assert found("--container", "second") == [("other", 0)]
    assert found("--container", str(command.home / "backups" / "first")) == docs
    assert found("--backup-name", "other") == [("other", 0)]
    assert found("--hostname", "elsewhere") == [("other", 0)]
    assert found("--hostname", "nobody") == []
    assert found("--container", "none") == []
    assert command.error("backups", "--job", "dox")["code"] == 65
    assert command("backups") == 0
    assert command.out.count("restorable") == 3


def test_backups_where_nothing_is_declared_is_an_empty_list(command: Command) -> None:
    assert command.json("backups")["backups"] == []


def test_restore_brings_the_newest_state_back(
    command: Command, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    words = ["restore", "--container", "first", "--backup-name", "docs"]
    answer = command.json(*words, "--restore-abs-path", str(target))
    assert command.code == 0
    assert answer["action"] == "restore"
    assert (target / "two").read_text() == "22"
    assert (target / "deep" / "one").read_text() == "1"
    # Not over files that are there, unless told so.
    error = command.error(*words, "--restore-abs-path", str(target))
    assert error["code"] != 0
    assert "overwrite" in error["message"] + error["hint"]
    assert command(*words, "--restore-abs-path", str(target), "--overwrite") == 0


def test_restore_of_some_paths_into_a_relative_directory(
    command: Command, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["restore", "--container", "first", "--backup-name", "docs"]
    assert command(*words, "--restore-abs-path", "part", "deep/one") == 0
    assert (tmp_path / "part" / "deep" / "one").read_text() == "1"
    assert not (tmp_path / "part" / "two").exists()


def test_restore_of_what_is_not_there_is_one_error(command: Command, tmp_path: Path) -> None:
    words = ["restore", "--container", "c", "--restore-abs-path", str(tmp_path / "t")]
    error = command.error(*words, "--backup-name", "none")
    assert "none" in error["message"] + error["hint"] or "c" in error["message"]
    assert not (tmp_path / "t" / "x").exists()
    assert command.error(*words)["code"] == 64


def test_agent_performs_one_action(command: Command, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("x")
    config, result = tmp_path / "action.json", tmp_path / "result.json"
    action = {"action": "backup", "path_to_backup": str(tmp_path / "source"), "backup_name": "b"}
    config.write_text(json.dumps({"freezer_action": action}))
    assert command("agent", "--config", str(config), "--result", str(result)) == 0
    assert json.loads(result.read_text())["action"] == "backup"
    assert list((command.home / "backups").iterdir()) != []
    config.write_text("[action]\naction = backup\n")
    assert command("agent", "--config", str(config), "--result", str(result)) == 65
    assert "path_to_backup" in json.loads(result.read_text())["message"]
