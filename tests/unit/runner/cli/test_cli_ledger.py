# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`coldchain ledger`: whoever acts is in it, and anybody can check it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from cli_command import Command, exec_job


def backup_job(source: Path) -> dict[str, Any]:
    action = {"action": "backup", "path_to_backup": str(source), "container": "c"}
    job = exec_job("b")
    return {**job, "job_actions": [{"freezer_action": {**action, "backup_name": "tree"}}]}


def test_what_is_done_is_in_it_with_who_and_what_it_stored(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("ledger") == 69, "nothing is installed"
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("content")
    monkeypatch.setenv("SUDO_USER", "alice")
    secret = exec_job("secret")
    secret["job_actions"][0]["freezer_action"]["environment"] = {"PASSWORD": "hunter2"}
    assert command("apply", "-", data=[backup_job(source), secret]) == 0
    assert command("apply", "-", data=[backup_job(source)]) == 0, "which changes nothing"
    assert command("apply", "--check", "-", data=exec_job("new")) == 0
    monkeypatch.delenv("SUDO_USER")
    assert command("event", "secret", "start") == 0
    assert command("event", "secret", "start", "--check") == 0
    assert command("run", "b") == 0
    target = ("--restore-abs-path", str(tmp_path / "there"))
    assert command("restore", "--job", "b", *target, "--dry-run") == 0
    assert command("restore", "--job", "b", *target) == 0
    assert command("restore", "--job", "b", *target) == 65, "there are files already"
    assert command("verify") == 0
    action = {"action": "admin", "container": "c", "backup_name": "tree"}
    by_hand = tmp_path / "action.json"
    by_hand.write_text(json.dumps({"freezer_action": {**action, "remove_older_than": "1000"}}))
    assert command("agent", "--config", str(by_hand)) == 0
    by_hand.write_text(json.dumps([{"freezer_action": {"action": "exec", "command": ["true"]}}][0]))
    assert command("run", str(by_hand)) == 0
    assert command("event", "secret", "remove") == 0

    entries = command.json("ledger")["entries"]
    assert [entry["what"] for entry in entries] == [
        *("apply", "event", "run", "restore", "restore", "verify", "agent", "run", "event"),
    ]
    apply, start, run, restored, failed, verified, dropped, loose, removed = entries
    user = {"user": apply["who"]["user"], "uid": os.getuid()}
    assert apply["who"] == {**user, "sudo": "alice"} and start["who"] == user
    assert [(job["job_id"], job["change"], job["before"]) for job in apply["jobs"]] == [
        *(("b", "created", None), ("secret", "created", None)),
    ]
    shown = command.json("apply", "--check", "-", data=backup_job(source))["jobs"][0]["after"]
    canonical = json.dumps(shown, sort_keys=True, separators=(",", ":")).encode()
    assert apply["jobs"][0]["after"] == hashlib.sha256(canonical).hexdigest()
    assert (start["event"], start["job_id"]) == ("start", "secret") and start["request"]
    (stored,) = run["actions"]
    manifest = next((command.home / "backups").rglob("manifest.json"))
    assert stored["manifest_sha256"] == hashlib.sha256(manifest.read_bytes()).hexdigest()
    assert (run["job_id"], run["result"], stored["backup_name"]) == ("b", "success", "tree")
    assert (restored["result"], restored["restore_abs_path"]) == ("success", target[1])
    assert failed["result"] == "fail" and failed["text"]
    assert (verified["result"], verified["checked"]) == ("sound", 1)
    assert (dropped["action"], dropped["result"]) == ("admin", "success")
    assert loose["declared"] is False
    assert (removed["event"], removed["job_id"]) == ("remove", "secret")
    assert "hunter2" not in (command.home / "lib" / "ledger.jsonl").read_text()

    assert command("ledger") == 0
    lines = command.out.splitlines()
    assert len(lines) == 9 and "alice (" in lines[0] and "apply: b created, secret" in lines[0]
    digest = stored["manifest_sha256"][:12]
    assert lines[2].endswith(f" run: b success (stored tree {digest})"), lines[2]
    assert f"restore: tree to {target[1]} success" in lines[3]
    assert command.json("ledger", "--since", "2999-01-01")["entries"] == []
    assert len(command.json("ledger", "--since", "2020-01-01T00:00:00Z")["entries"]) == 9


def test_anybody_can_check_what_is_exported(command: Command) -> None:
    for number in range(3):
        assert command("apply", "-", data=exec_job(f"j{number}")) == 0
    assert command("ledger", "export") == 0
    *lines, last = command.out.splitlines()
    before = "0" * 64
    for number, line in enumerate(lines, 1):
        entry = json.loads(line)
        assert (entry["n"], entry["prev"]) == (number, before)
        before = hashlib.sha256(line.encode()).hexdigest()
    head = json.loads(last)["head"]
    assert (head["entries"], head["digest"]) == (3, before)
    whole = command.json("ledger", "verify")
    assert (command.code, whole) == (
        0,
        {"ok": True, "entries": 3, "head": before, "problems": [], "notes": []},
    )
    assert command("ledger", "verify", "--seen", f"3:{before}") == 0
    assert command.out == f"3 entries, all as they were written\nhead {before}\n"
    assert command("ledger", "verify", "--seen", f"2:{before}") == 1
    file = command.home / "lib" / "ledger.jsonl"
    file.write_bytes(file.read_bytes().replace(b"created", b"removed", 1))
    altered = command.json("ledger", "verify")
    assert (command.code, altered["ok"], len(altered["problems"])) == (1, False, 1)
    assert command("ledger", "verify") == 1
    assert "altered: ledger.jsonl line 2: entry 1 is not the one" in command.out
    file.write_bytes(file.read_bytes() + b"\xff\xfe[]\n")
    assert command("ledger") == 0 and command("ledger", "export") == 0
    assert command("apply", "-", data=exec_job("more")) == 0
    findings = command.json("status")["findings"]
    assert [each["severity"] for each in findings if each["about"] == "ledger"] == ["warning"]


@pytest.mark.parametrize(
    "words",
    [
        ("verify", "--since", "2020-01-01"),
        ("export", "--seen", "1:" + "0" * 64),
        ("verify", "--seen", "1:abc"),
        ("--since", "yesterday"),
        ("verfy",),
    ],
)
def test_what_cannot_be_meant_is_refused(command: Command, words: tuple[str, ...]) -> None:
    assert command("apply", "-", data=exec_job("j")) == 0
    error = command.error("ledger", *words)
    assert error["code"] == 64 and error["hint"]


@pytest.mark.parametrize(
    "time",
    [
        *("2026-01-05T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
        *("never", 5, None),
    ],
)
def test_an_altered_time_hides_no_entry(command: Command, time: object) -> None:
    assert command("apply", "-", data=exec_job("b")) == 0
    with (command.home / "lib" / "ledger.jsonl").open("a") as stream:
        stream.write(json.dumps({"time": time, "what": "ledger", "text": "an odd one"}) + "\n")
    for words in (("ledger",), ("ledger", "--since", "2020-01-01")):
        assert command(*words) == 0, command.err
        first, odd = command.out.splitlines()
        assert "apply: b created" in first and odd == "?  ?  ledger: an odd one"
    assert command("ledger", "verify") == 1


def test_the_report_hears_of_an_entry_that_was_edited_in_the_middle(command: Command) -> None:
    """The playbook report asks with --days; what is asked every minute looks at the ends alone."""

    def told(*words: str) -> list[str]:
        findings = command.json("status", *words)["findings"]
        return [it["text"] for it in findings if it["about"] == "ledger"]

    for name in ("a", "b", "c"):
        assert command("apply", "-", data=exec_job(name)) == 0
    file = command.home / "lib" / "ledger.jsonl"
    assert told("--days", "1") == []
    file.write_bytes(file.read_bytes().replace(b'"job_id":"b"', b'"job_id":"x"'))
    assert told() == []
    [text] = told("--days", "1")
    assert text.startswith("it was altered: ledger.jsonl line 3: entry 2 is not the one ")


@pytest.mark.parametrize("what", ["ledger.[jh]*", "ledger.*"])
@pytest.mark.parametrize("applied", [1, 3])
def test_a_ledger_that_was_removed_is_told_before_any_runner_was_there(
    command: Command, what: str, applied: int
) -> None:
    for number in range(applied):
        assert command("apply", "-", data=exec_job(f"j{number}")) == 0
        assert command("ledger", "verify") == 0
    for path in (command.home / "lib").glob(what):
        path.unlink()
    assert command("ledger", "verify") == 1 and "and was gone" in command.out
    for name in ("status", "doctor"):
        assert "ledger" in {it["about"] for it in command.json(name)["findings"]}
    assert command("event", "j0", "start") == 0
    assert command("ledger", "verify") == 1 and "and was gone" in command.out
    assert command("ledger", "renew") == 0
    assert command("ledger", "verify") == 0


@pytest.mark.parametrize("what", ["ledger.[jh]*", "ledger.*"])
def test_a_ledger_that_was_removed_is_told_until_somebody_begins_a_new_one(
    command: Command, what: str
) -> None:
    def told() -> list[str]:
        words = []
        for name in ("status", "doctor"):
            findings = command.json(name)["findings"]
            words += [it["text"] for it in findings if it["about"] == "ledger"]
        return words

    lib = command.home / "lib"
    assert command("apply", "-", data=exec_job("j")) == 0
    assert told() == [], "a new host has lost nothing"
    assert command("run", "j") == 0
    known = command.json("ledger", "verify")["entries"]
    assert known == 2 and told() == []
    for path in lib.glob(what):
        path.unlink()
    assert told() == [f"it once had {known} entries or more, and was gone"] * 2
    assert command("ledger", "verify") == 1
    assert command.json("status")["ledger"] is None
    assert command("apply", "-", data=exec_job("other")) == 0
    assert len(told()) == 2 and command("ledger", "verify") == 1, "it is not forgotten"
    assert command("run", "j") == 0
    assert len(told()) == 2
    answer = command.json("ledger", "renew")
    assert answer["entries"] == 1 and Path(answer["aside"], "ledger.jsonl").exists()
    assert told() == [] and command("ledger", "verify") == 0
    assert command("run", "j") == 0
    assert told() == [] and command.json("ledger", "verify")["entries"] == 2
    for path in lib.glob(what):
        path.unlink()
    assert len(told()) == 2, "the new one is known as well"


def test_what_is_done_and_cannot_be_put_down_is_told(command: Command) -> None:
    ledger = command.home / "lib" / "ledger.jsonl"
    assert command("apply", "-", data=exec_job("first")) == 0
    ledger.rename(ledger.with_name("kept"))
    ledger.mkdir()
    assert command("apply", "-", data=exec_job("second")) == 0
    assert "warning: this is done, but not in the ledger: " in command.err
    ledger.rmdir()
    assert {job["job_id"] for job in command.json("list")["jobs"]} == {"first", "second"}
