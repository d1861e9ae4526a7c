# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action fleet_report: two files on the controller, whole or not at all."""

from __future__ import annotations

import json
from types import SimpleNamespace

import fleet_answers
import pytest
import yaml
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible_collections.coldchain.freezer.plugins.action import fleet_report
from ansible_collections.coldchain.freezer.plugins.modules import fleet_report as documented

ANSWERS = fleet_answers.answers(5, 2, 9)


def written(check_mode=False, **args):
    args.setdefault("answers", ANSWERS)
    task = SimpleNamespace(
        args=args, check_mode=check_mode, async_val=0, action="x", collections=[], environment=None
    )
    action = fleet_report.ActionModule.__new__(fleet_report.ActionModule)
    action._task, action._connection = task, None
    action._play_context = action._loader = action._templar = None
    return action.run(task_vars={})


@pytest.fixture(autouse=True)
def plain_base(monkeypatch):
    monkeypatch.setattr(fleet_report.ActionBase, "run", lambda self, tmp, task_vars: {})


def test_both_files_are_for_their_owner_alone(tmp_path):
    path = tmp_path / "backups.html"
    result = written(path=str(path), days=9)
    document = json.loads((tmp_path / "backups.json").read_text())
    assert result["json"] == str(tmp_path / "backups.json") and result["msg"] == document["summary"]
    assert path.read_text().startswith("<!doctype html>")
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    assert len(list(tmp_path.iterdir())) == 2
    assert (result["protected"], result["altered"]) == (False, [])


def test_check_mode_writes_nothing(tmp_path):
    result = written(check_mode=True, path=str(tmp_path / "x.html"))
    assert result["changed"] and list(tmp_path.iterdir()) == []


def test_the_next_report_compares_with_this_one(tmp_path):
    path = str(tmp_path / "x.html")
    written(path=path)
    name = next(iter(ANSWERS))
    less = json.loads(ANSWERS[name]["text"])
    less["ledger"]["entries"] -= 1
    now = {name: {"text": json.dumps(less)}}
    assert written(path=path, answers=now, previous="")["altered"] == []
    written(path=path)
    (line,) = written(path=path, answers=now)["altered"]
    assert line.startswith(f"{name}: its ledger had ")
    assert written(path=path, answers=now, accept=[name])["altered"] == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"days": 0}, "days: 0 is out of range: write 1 to"),
        ({"path": "{}/x.json"}, "end it with .html"),
        ({"path": "/"}, "path: / is no file"),
        ({"path": "{}"}, "Is a directory: name a directory that is there"),
        ({"path": "{}/none/x.html"}, "No such file or directory: name a directory that is there"),
        (
            {"json": "{}/foreign.json"},
            "foreign.json is not the JSON file of a report: it is no report",
        ),
        ({"json": "{}/binary.json"}, "it is no text"),
        ({"json": "{}"}, "the report before cannot be read"),
        ({"previous": "{}/none.json"}, "none.json is not there"),
    ],
)
def test_a_refusal_names_the_place_and_writes_nothing(tmp_path, options, words):
    (tmp_path / "foreign.json").write_text('{"mine": 1}')
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    before = sorted(tmp_path.iterdir())
    options = {
        key: value.format(tmp_path) if isinstance(value, str) else value
        for key, value in options.items()
    }
    with pytest.raises(AnsibleActionFail) as refused:
        written(**{"path": str(tmp_path / "x.html"), **options})
    assert words in str(refused.value)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "foreign.json").read_text() == '{"mine": 1}'


def test_a_missing_option_is_refused():
    with pytest.raises(AnsibleError):
        written()


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "x.html"
    path.write_text("old")

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fleet_report.os, "fsync", full)
    with pytest.raises(AnsibleActionFail, match="No space left on device"):
        written(path=str(path))
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("x.html", "old")]


def test_the_options_are_those_of_the_documentation():
    told = yaml.safe_load(documented.DOCUMENTATION)["options"]
    for about in told.values():
        del about["description"]
    assert told == fleet_report.SPEC
    returned = yaml.safe_load(documented.RETURN)
    result = written(check_mode=True, path="/x.html", previous="")
    assert returned.keys() == result.keys() - {"changed"}
