# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Freezer's API, its scheduler's cache and Horizon hand out goes in by every door."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_command import Command
from freezer_tables import api_action, api_job, horizon_actions

SCHEDULE = {"schedule_interval": "50 minutes"}


def documents(host: str, place: Path) -> dict[str, Any]:
    """Name -> a document of one action that can be performed at once."""
    action = {"action": "backup", "path_to_backup": str(place), "backup_name": "b"}
    action |= {"container": str(place / "c"), "storage": "local", "snapshot": False}
    form = {**next(horizon_actions())["freezer_action"], **action}
    return {
        "job": api_job([action], SCHEDULE, host),
        "wrapped": {"job": api_job([action], SCHEDULE, host)},
        "dump": {"jobs": [api_job([action], SCHEDULE, host)]},
        "list": [api_job([action], SCHEDULE, host)],
        "action": {**api_action(action), "job_id": "x"},
        "horizon": api_job([form], {}, host),
        "null": api_job([{**action, "mysql_conf": None, "proxy": ""}], {"event": ""}, host),
    }


@pytest.mark.parametrize("form", ["job", "wrapped", "dump", "list", "action", "horizon", "null"])
def test_every_door_takes_it(command: Command, tmp_path: Path, form: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("x")
    host = command.json("validate", "-", data={"job_id": "x", "freezer_action": {"action": "info"}})
    assert host["valid"]
    (command.home / "etc").mkdir(exist_ok=True)
    (command.home / "etc" / "runner.conf").write_text("[runner]\nclient_id = web1\n")
    document = documents("web1", source)[form]
    cache = tmp_path / "job_0ae284d514eb47dd84154748b5056749.conf"
    cache.write_text(json.dumps(document))
    name = str(cache)
    for words in (
        ["validate", name],
        ["apply", "--check", name],
        ["simulate", name, "--days", "1"],
        ["convert", name],
        ["run", name],
    ):
        assert command(*words) == 0, (words, command.err)
    if form not in ("dump", "list"):
        assert command("agent", "--config", name) == 0, command.err
    assert command("apply", name) == 0
    (entry,) = command.json("apply", name)["jobs"]
    assert entry["change"] == "unchanged"


def test_what_we_lack_is_refused_by_every_door_in_the_same_words(
    command: Command, tmp_path: Path
) -> None:
    action = {"action": "backup", "path_to_backup": "/srv", "backup_name": "b"}
    raw = api_job([{**action, "mysql_conf": "/etc/my.cnf"}], SCHEDULE, "web1")
    del raw["client_id"]
    name = str(tmp_path / "job.conf")
    Path(name).write_text(json.dumps(raw))
    told = set()
    for words in (["validate", name], ["apply", name], ["run", name], ["agent", "--config", name]):
        assert command(*words) == 65
        lines = command.err.splitlines()
        words_of = [line for line in lines if "refused" not in line and "warning" not in line]
        told.add("\n".join(words_of))
    assert len(told) == 1, told
    (text,) = told
    assert "freezer_action.mysql_conf: is not supported" in text
    assert "dump the database in an exec action" in text


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"session_id": "n", "jobs": {"a": {"client_id": "x"}}, "schedule": {}}, "session"),
        ({"session_id": "n", "session_tag": 3, "schedule": {"schedule_hour": "3"}}, "session"),
        ({"client": {"client_id": "x", "hostname": "h"}, "user_id": "u", "uuid": "z"}, "client"),
        ({"client_id": "x", "hostname": "h", "description": "d", "uuid": "z"}, "client"),
    ],
)
def test_what_convert_alone_reads_is_told_by_every_other_door(
    command: Command, document: Any, kind: str
) -> None:
    for words in (["validate"], ["apply"], ["run"], ["agent", "--config"]):
        error = command("--json", *words, "-", data=document)
        assert error == 65, words
        assert f"is a {kind} of Freezer" in command.out + command.err, words
        assert "coldchain convert" in command.out + command.err, words
