# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine and a mode that are not shipped, of one file and a row each, through every door."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cli_command import Command

from coldchain.agent.engines.registry import ENGINES, EngineKind
from coldchain.agent.modes.base import STREAM, TREE
from coldchain.agent.modes.registry import MODES, ModeKind
from coldchain.core import own_program

HELPERS = Path(__file__).parents[3] / "helpers"
ROWS = {
    "engines": {"copy": EngineKind("copy_engine", "CopyEngine", (TREE, STREAM))},
    "modes": {"stream": ModeKind("stream_mode", "StreamMode", STREAM)},
}


@pytest.fixture(autouse=True)
def _rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows, here and in the agents that a run starts."""
    monkeypatch.setitem(ENGINES, "copy", ROWS["engines"]["copy"])
    monkeypatch.setitem(MODES, "stream", ROWS["modes"]["stream"])
    start = (
        f"import sys; sys.path.insert(0, sys.argv.pop(1)); sys.path.append({str(HELPERS)!r});"
        "from coldchain.agent.engines.registry import ENGINES, EngineKind;"
        "from coldchain.agent.modes.registry import MODES, ModeKind;"
        f"ENGINES.update({ROWS['engines']!r}); MODES.update({ROWS['modes']!r});"
        "from coldchain.cli import main; main()"
    )
    monkeypatch.setattr(own_program, "START", start)


class Case:
    """A source in one of two modes, a job that backs it up, and what the source holds."""

    def __init__(self, root: Path, mode: str) -> None:
        self.mode, self.source = mode, root / "source"
        self.container = root / "container"
        if mode == "fs":
            (self.source / "inner").mkdir(parents=True)
        self.change("first")

    @property
    def file(self) -> Path:
        return self.source / "inner" / "file" if self.mode == "fs" else self.source

    def change(self, text: str) -> None:
        self.file.write_text(text)

    def action(self, kind: str, **more: Any) -> dict[str, Any]:
        named = {"container": str(self.container), "backup_name": "docs", "hostname": "host"}
        options = {"action": kind, "engine_name": "copy", "mode": self.mode, **named, **more}
        return {"freezer_action": options}

    def backup(self) -> dict[str, Any]:
        return self.action("backup", path_to_backup=str(self.source))

    def job(self) -> dict[str, Any]:
        stopped = {"status": "stop"}
        return {"job_id": "copies", "job_actions": [self.backup()], "job_schedule": stopped}


@pytest.fixture(params=["fs", "stream"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    return Case(tmp_path, request.param)


def test_every_door_leads_to_the_engine_and_the_mode(command: Command, case: Case) -> None:
    assert command("apply", "-", data=case.job()) == 0
    assert command("run", "copies") == 0
    case.change("second")
    assert command("agent", "--config", "-", data=case.backup()) == 0
    backups = command.json("backups", "--job", "copies")["backups"]
    assert [(backup["engine"], backup["size"], backup["files"]) for backup in backups] == [
        ("copy", 5, 1),
        ("copy", 6, 1),
    ]
    assert command.json("verify", "--job", "copies", "--full")["sound"] is True
    info = command.json("agent", "--config", "-", data=case.action("info"))
    assert (len(info["backups"]), info["size"]) == (2, 11)

    case.file.unlink()
    first = backups[0]["time"]
    words = ("restore", "--job", "copies", "--overwrite")
    assert command(*words, "--restore-from-date", first) == 0
    assert case.file.read_text() == "first"
    assert command(*words) == 0
    assert case.file.read_text() == "second"

    removal = case.action("admin", remove_before_date="2100-01-01T00:00:00")
    assert command("agent", "--config", "-", data=removal) == 0
    assert len(command.json("backups", "--job", "copies")["backups"]) == 1
    (part,) = case.container.glob("copies/all/host_docs/*/0")
    part.write_text("altered")
    answer = command.json("verify", "--job", "copies", "--full")
    assert command.code == 1
    assert [flaw["kind"] for flaw in answer["containers"][0]["findings"]] == ["altered"]


def test_a_container_on_this_disk_is_known_without_a_job(command: Command, tmp_path: Path) -> None:
    case = Case(tmp_path, "fs")
    assert command("agent", "--config", "-", data=case.backup()) == 0
    place = ("--container", str(case.container))
    (backup,) = command.json("backups", *place)["backups"]
    assert (backup["engine"], backup["hostname"]) == ("copy", "host")
    assert command("verify", *place) == 0
    target = tmp_path / "target"
    names = ("--backup-name", "docs", "--hostname", "host")
    assert command("restore", *place, *names, "--restore-abs-path", str(target)) == 0
    assert (target / "inner" / "file").read_text() == "first"


def test_what_a_killed_backup_left_is_removed(command: Command, tmp_path: Path) -> None:
    case = Case(tmp_path, "fs")
    assert command("agent", "--config", "-", data=case.backup()) == 0
    remnant = next((case.container / ".coldchain").glob("*.lock")).stem
    (case.container / "copies" / ".coldchain" / remnant / "7").mkdir(parents=True)
    assert command("agent", "--clean-up", "--config", "-", data=case.backup()) == 0
    assert "removed 1 remnant" in command.out
    assert not (case.container / "copies" / ".coldchain" / remnant).exists()


def test_a_source_that_ends_badly_leaves_no_backup(command: Command, tmp_path: Path) -> None:
    case = Case(tmp_path, "stream")
    case.source.unlink()
    assert command("agent", "--config", "-", data=case.backup()) == 1
    assert not list(case.container.glob("copies/all/host_docs/*"))


def test_an_engine_that_keeps_trees_refuses_a_stream(command: Command, tmp_path: Path) -> None:
    job = Case(tmp_path, "stream").job()
    job["job_actions"][0]["freezer_action"]["engine_name"] = "tar"
    for words in (("validate", "-"), ("apply", "-"), ("agent", "--config", "-")):
        assert command(*words, data=job) == 65
        assert "engine_name: tar cannot keep the stream that mode stream gives" in command.err
        assert "choose engine_name copy" in command.err


@pytest.mark.parametrize("field", ["engine_name", "mode"])
def test_a_name_without_a_row_is_refused_with_those_there_are(
    command: Command, tmp_path: Path, field: str
) -> None:
    action = Case(tmp_path, "fs").backup()
    action["freezer_action"][field] = "no-such"
    assert command("agent", "--config", "-", data=action) == 65
    assert ("copy" if field == "engine_name" else "stream") in command.err
