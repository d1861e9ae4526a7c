# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`coldchain status`: is this host protected?"""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from cli_command import PACKAGE, Command, exec_job, timed_job

import coldchain

NEVER_NOW = {"schedule_interval": "10 days"}


def backup_job(job_id: str, source: Path, **schedule: Any) -> dict[str, Any]:
    action = {"action": "backup", "path_to_backup": str(source), "container": "all"}
    return {
        "job_id": job_id,
        "job_actions": [{"freezer_action": {**action, "backup_name": f"{job_id}-tree"}}],
        "job_schedule": schedule or NEVER_NOW,
    }


def start(command: Command, job_id: str) -> None:
    command("event", job_id, "start", "--wait", "--timeout", "60")


def findings(answer: dict[str, Any], severity: str) -> dict[str, dict[str, str]]:
    return {f["about"]: f for f in answer["findings"] if f["severity"] == severity}


def test_a_host_from_its_first_job_to_a_broken_archive(
    command: Command, runner: subprocess.Popen[str], tmp_path: Path
) -> None:
    empty = command.json("status")
    assert (command.code, empty["protected"], empty["jobs"], empty["series"]) == (0, True, [], [])
    assert findings(empty, "warning").keys() == {"jobs"}
    assert empty["runner"]["alive"] is True
    assert empty["runner"]["version"] == coldchain.__version__
    assert abs(datetime.fromisoformat(empty["runner"]["since"]).timestamp() - time.time()) < 300

    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("content")
    jobs = [backup_job("good", source), backup_job("bad", tmp_path / "nowhere"), exec_job("off")]
    assert command("apply", "-", data=jobs) == 0
    declared = command.json("status")
    assert (command.code, declared["protected"]) == (0, True)  # their first slots are to come
    assert {job["job_id"]: job["state"] for job in declared["jobs"]} == {
        "bad": "ok",
        "good": "ok",
        "off": "stopped",
    }

    start(command, "good")
    start(command, "bad")
    begun = time.time()
    seen = command.json("status", "--days", "1")
    assert (command.code, seen["protected"]) == (1, False)
    critical = findings(seen, "critical")
    assert (
        critical.keys() == {"job bad"} and "nowhere does not exist" in critical["job bad"]["text"]
    )
    assert "coldchain log bad" in critical["job bad"]["remedy"]
    assert findings(seen, "info").keys() == {"backup good-tree"}  # never verified
    bad, good, off = seen["jobs"]
    assert (bad["state"], bad["result"], bad["last_success"]) == ("failed", "fail", None)
    assert (good["state"], good["result"]) == ("ok", "success")
    assert (
        0
        <= good["age_seconds"]
        < begun - datetime.fromisoformat(good["last_success"]).timestamp() + 60
    )
    assert good["expect_success_within"] >= 10 * 86400
    assert good["last_run"]["result"] == "success" and good["next_run"] is not None
    assert off["stopped_by"]["what"] == "declaration"
    none, one = seen["series"]
    assert (none["points"], none["newest"], none["verified"]) == (0, None, None)
    assert (one["job_id"], one["backup_name"], one["points"], one["restorable"]) == (
        *("good", "good-tree", 1, 1),
    )
    assert one["newest"] == one["oldest"] and one["bytes"] > 0 and one["verified"] is None
    runs = {entry["job_id"]: entry for entry in seen["runs"]}
    columns = ["started", "seconds", "result", "bytes", "session_tag", "session_id"]
    assert runs["good"]["columns"] == columns
    ((started, seconds, result, stored, tag, session),) = runs["good"]["rows"]
    assert (result, tag, session) == ("success", None, None) and stored > 0 and seconds < 60
    assert abs(started - begun) < 60
    assert runs["bad"]["rows"][0][2:4] == ["fail", None] and runs["off"]["rows"] == []
    (_bad, coming, off) = seen["coming"]["jobs"]
    assert coming["rows"] == [] and off["rows"] == []  # in ten days
    assert seen["uncovered"] is not None
    verified = command.json("ledger", "verify")
    assert verified["ok"] and seen["ledger"] == {
        "head": verified["head"],
        "entries": verified["entries"],
    }

    (tmp_path / "nowhere").mkdir()
    start(command, "bad")
    assert command("verify", "--full") == 0
    whole = command.json("status")
    assert (command.code, whole["protected"], findings(whole, "info")) == (0, True, {})
    assert all(row["verified"] for row in whole["series"])

    shutil.rmtree(command.home / "backups" / "all" / "data")
    lost = command.json("status")
    assert (command.code, lost["protected"]) == (1, False)
    assert {job["state"] for job in lost["jobs"]} == {"ok", "stopped"}
    assert "nothing to restore" in findings(lost, "critical")["backup good-tree"]["text"]
    assert lost["series"][1]["restorable"] == 0


def test_without_a_runner_the_answer_is_there_all_the_same(command: Command) -> None:
    job = timed_job("a-job-whose-name-is-much-longer-than-a-column-has-room-for-it", **NEVER_NOW)
    job["expect_success_within"] = "1 hours"
    assert command("apply", "-", data=job) == 0
    assert command("run", job["job_id"]) == 0
    answer = command.json("status")
    assert (command.code, answer["protected"]) == (69, False)
    assert answer["runner"] == {"alive": False, "version": None, "since": None}
    assert answer["jobs"][0]["expect_success_within"] == 3600
    assert findings(answer, "critical").keys() == {"runner"}
    assert "runs" not in answer and "coming" not in answer

    assert command("status") == 69
    lines = command.out.splitlines()
    assert "is NOT protected" in lines[0]
    remedies = [line for line in lines if line.startswith("  -> ")]
    assert len(remedies) == 1 and "serve" in remedies[0]
    assert max(len(line) for line in lines if line not in remedies) <= 80
    assert "\x1b" not in command.out


def test_an_unreachable_storage_is_told_and_hides_nothing(command: Command, tmp_path: Path) -> None:
    far = backup_job("far", tmp_path)
    options = far["job_actions"][0]["freezer_action"]
    options.update(storage="ftp", container="/x", ftp_host="127.0.0.1", ftp_port=9)
    options["credentials_file"] = str(tmp_path / "none")
    lost = backup_job("lost", tmp_path)
    server = {"storage": "ssh", "container": "/x", "ssh_host": "127.0.0.1", "ssh_username": "u"}
    gone = {"ssh_key": "~nobody-of-this-name/key"}  # whose home was that?
    lost["job_actions"][0]["freezer_action"].update(server, **gone)
    assert command("apply", "-", data=[far, backup_job("near", tmp_path), lost]) == 0
    answer = command.json("status")
    assert [job["job_id"] for job in answer["jobs"]] == ["far", "lost", "near"]
    warnings = findings(answer, "warning")
    assert {"backup far-tree", "backup lost-tree"} <= warnings.keys()
    assert all(
        "is not known" in warnings[f"backup {name}-tree"]["text"] for name in ("far", "lost")
    )
    assert [row["error"] is None for row in answer["series"]] == [False, False, True]


def test_colours_are_for_terminals_that_want_them(command: Command) -> None:
    assert command("apply", "-", data=timed_job("x", **NEVER_NOW)) == 0

    def shown(**variables: str) -> bytes:
        ours, theirs = pty.openpty()
        environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        words = [sys.executable, "-m", "coldchain", "--home", str(command.home), "status"]
        more = {"PYTHONPATH": str(PACKAGE), "TERM": "xterm", **variables}
        subprocess.run(words, env={**environment, **more}, stdout=theirs, check=False)
        os.close(theirs)
        with open(ours, "rb", closefd=True) as stream:
            return os.read(stream.fileno(), 65536)

    assert b"\x1b[31m" in shown()
    assert b"NOT protected" in shown(NO_COLOR="1") and b"\x1b" not in shown(NO_COLOR="1")
