# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller says of documents for a host that has no runner, and when it says nothing."""

from __future__ import annotations

import tarfile

from ansible_collections.coldchain.freezer.plugins.plugin_utils import _judge, _runner_code


def job(job_id, **fields):
    action = {"action": "exec", "command": ["true"], "environment": {"PGPASSWORD": "hunter2"}}
    return {"job_id": job_id, "job_actions": [{"freezer_action": action}], **fields}


def test_sound_documents_would_be_created():
    items = [job("a", client_id="elsewhere"), {"job_id": "b", "state": "absent"}]
    result = _judge.completed(_judge.judge(items), listed=True)
    assert result["changed"] is True
    assert [(entry["job_id"], entry["change"]) for entry in result["jobs"]] == [
        ("a", "created"),
        ("b", "unchanged"),
    ]
    assert result["jobs"][0]["next_runs"] == []
    (difference,) = result["diff"]
    assert "job_id: a" in difference["after"]
    assert "next runs" not in difference["after"]
    assert "hunter2" not in str(result)
    assert "hunter2" in str(_judge.judge(items, show_secrets=True))


def test_every_problem_is_told_with_its_place():
    items = [job("a", job_schedule={"schedule_minute": 99}), job("b", containr="x"), "no job"]
    result = _judge.completed(_judge.judge(items), listed=True)
    assert (result["failed"], result["changed"]) == (True, False)
    assert [(problem["index"], problem["path"]) for problem in result["errors"]] == [
        (0, "job_schedule.schedule_minute"),
        (1, "containr"),
        (2, ""),
    ]
    assert result["msg"].splitlines()[-1] == "Nothing was changed on this host."
    single = _judge.completed(_judge.judge(items[1:2]), listed=False)
    assert single["msg"].startswith("job 'b': containr: is unknown")


def test_what_lies_where_the_play_is_called_is_not_ours(monkeypatch, tmp_path):
    for name in ("json", "tinydb", "coldchain"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not ours')\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert _judge.judge([job("a")])["changed"] is True
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    assert _judge.judge([job("a")])["changed"] is True


def test_files_are_those_of_where_the_play_is_called(monkeypatch, tmp_path):
    (tmp_path / "status.json").write_text("[]", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    words = ["simulate", "-", "--days", "1", "--status"]
    _code, there = _runner_code.ask([*words, "status.json"], '{"jobs": []}')
    _code, none = _runner_code.ask([*words, "none.json"], '{"jobs": []}')
    assert "No such file" in str(none) and "status.json is not what playbook status" in str(there)


def test_code_that_cannot_run_here_has_judged_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(_runner_code, "FILES", tmp_path)
    assert _judge.judge([job("a")]) is None


def test_the_bundle_is_used_where_there_is_one(monkeypatch, tmp_path):
    bundle = tmp_path / "coldchain-bundle.tar.gz"
    with tarfile.open(bundle, "w:gz") as archive:
        for path in sorted((_runner_code.FILES / "coldchain").rglob("*")):
            if "__pycache__" not in path.parts:  # others compile meanwhile
                archive.add(path, path.relative_to(_runner_code.FILES), recursive=False)
    monkeypatch.setattr(_runner_code, "BUNDLE", bundle)
    monkeypatch.setattr(_runner_code, "FILES", tmp_path / "none")
    assert _judge.judge([job("a")])["changed"] is True
