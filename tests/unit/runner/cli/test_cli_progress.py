# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far long work is: on a terminal, in the log, and in the record while it runs."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cli_command import PACKAGE, Command, exec_job
from waiting import at_most, ended, until

from coldchain.agent.progress import Progress
from coldchain.cli.progress_bar import Bar
from coldchain.cli.run_job import _Screen


def on_a_terminal(command: Command, *words: str) -> tuple[int, str]:
    """The command with a terminal of its own: exit code and all that was drawn on it."""
    ours, theirs = pty.openpty()
    process = command.process(
        *words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    drawn = b""
    try:
        while chunk := os.read(ours, 65536):
            drawn += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    return ended(process), drawn.decode()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    (source / "noise").write_bytes(os.urandom(12_000_000))
    return source


def job(source: Path, **options: Any) -> dict[str, Any]:
    action = {
        "action": "backup",
        "path_to_backup": str(source),
        "backup_name": "b",
        "container": "c",
        **options,
    }
    steps = [{"action": "exec", "command": ["true"]}, action]
    actions = [{"freezer_action": step} for step in steps]
    return {"job_id": "j", "job_actions": actions, "job_schedule": {"status": "stop"}}


def test_a_terminal_shows_what_is_done_and_is_left_clean(
    command: Command, source: Path, tmp_path: Path
) -> None:
    assert command("apply", "-", data=job(source, upload_limit="1M")) == 0
    code, drawn = on_a_terminal(command, "run", "j")
    assert code == 0
    assert "writing level 0: " in drawn
    assert "1 file]" in drawn
    assert "progress:" not in drawn  # the log's own lines are for those who cannot see this
    words = ("--container", "c", "--backup-name", "b")
    target = str(tmp_path / "target")
    for arguments, phase, last in (
        (("restore", *words, "--restore-abs-path", target), "restoring:   0%", "restored b"),
        (("verify", "--full"), "reading:   0%", "1 level checked"),
    ):
        code, drawn = on_a_terminal(command, *arguments)
        assert code == 0
        assert phase in drawn
        shown = drawn.removesuffix("\r\n").rpartition("\r")[2]
        assert "%" not in shown, "the bar was taken away"
        assert shown.startswith(last)


def test_nothing_is_drawn_and_tqdm_not_imported_without_a_terminal(
    command: Command, source: Path, tmp_path: Path
) -> None:
    assert command("apply", "-", data=job(source)) == 0
    assert command("run", "j") == 0
    assert "\r" not in command.out + command.err
    code = (
        "import sys; from coldchain.cli import run; code = run(sys.argv[1:]);"
        "sys.exit(code or 'tqdm' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--home", str(command.home), "verify", "--full"],
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_action_s_process_carries_no_store_and_no_tqdm(command: Command, source: Path) -> None:
    config = command.home / "action.json"
    config.write_text(json.dumps(job(source)["job_actions"][1]))
    code = (
        "import sys; from coldchain.cli import run; code = run(sys.argv[1:]);"
        "sys.exit(code or ' '.join({'tqdm', 'tinydb', 'jsonschema'} & set(sys.modules)))"
    )
    words = ["--home", str(command.home), "agent", "--canonical", "--config", str(config)]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
        check=False,
    )
    # Where the machine is slow, the plain line of progress; what else would be there is an error.
    lines = [line for line in done.stderr.splitlines() if line]
    assert [line for line in lines if not line.startswith("progress: ")] == []
    assert done.stdout.startswith("level 0 of b: 1 file, 12.0 MB read")


@pytest.mark.usefixtures("runner")
def test_the_record_tells_while_it_runs(command: Command, source: Path) -> None:
    assert command("apply", "-", data=job(source, upload_limit="1M")) == 0
    assert command("event", "j", "start") == 0

    def written() -> Any:
        progress = command.json("list", "j")["jobs"][0].get("progress")
        return progress if progress and progress.get("bytes") else None

    progress = until(written)
    assert (progress["action"], progress["attempt"]) == (2, 1)
    assert progress["message"] == "writing level 0"
    assert progress["rate"] > 0
    assert progress["total"] is progress["eta_seconds"] is None
    assert command.json("show", "j")["progress"]["run_id"] == progress["run_id"]
    assert command("validate", "-", data=command.json("show", "j")) == 0
    assert command("list") == 0
    assert "j: action 2: writing level 0: " in command.out
    assert command("explain", "j") == 0
    assert "writing level 0: " in command.out
    # Who has waited in vain is told how far it is.
    answer = command.json("event", "j", "start", "--wait", "--timeout", "0")
    assert command.code == answer["error"]["code"] == 75
    assert "writing level 0: " in answer["error"]["message"]
    assert answer["job"]["progress"]["action"] == 2
    with at_most():
        assert command("event", "j", "abort", "--wait") == 0
    assert command.json("list", "j")["jobs"][0]["progress"] is None
    assert "progress" not in command.json("show", "j")


@pytest.mark.usefixtures("runner")
def test_an_exec_action_is_named(command: Command) -> None:
    assert command("apply", "-", data=exec_job("x", "sleep", "60")) == 0
    assert command("event", "x", "start") == 0
    progress = None
    until = time.monotonic() + 300
    while progress is None:
        assert time.monotonic() < until
        progress = command.json("list", "x")["jobs"][0]["progress"]
    assert (progress["action"], progress["message"], progress["bytes"]) == (1, "exec", 0)
    assert command("list") == 0
    assert "x: action 1: exec\n" in command.out
    assert command("event", "x", "abort", "--wait") == 0


@pytest.mark.parametrize("drawn", [True, False])
def test_the_bar_stands_for_the_log_s_own_lines_of_progress(drawn: bool) -> None:
    cleared, shown = [], []
    bar: Any = SimpleNamespace(drawn=drawn, clear=lambda: cleared.append(len(shown)))
    screen = _Screen(shown.append, bar)
    screen("one\r\n")
    screen("progress: 10 %\ntwo\nprogress: 20 %\nthree")
    screen("progress: 30 %\n")
    beside = ["one\r\n", "two\nthree"]
    alone = ["one\r\n", "progress: 10 %\ntwo\nprogress: 20 %\nthree", "progress: 30 %\n"]
    assert shown == (beside if drawn else alone)
    assert cleared == list(range(len(shown))), "before each, and for nothing else"


def test_a_bar_has_no_thread_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with open(theirs, "w", encoding="utf-8") as screen:
        monkeypatch.setattr(sys, "stderr", screen)
        before = threading.active_count()
        with Bar() as bar:
            bar.tell(Progress("writing", 1, 7, 20, 1.0, time.time()))
            assert threading.active_count() == before
    drawn = os.read(ours, 65536).decode()
    os.close(ours)
    assert "writing" in drawn
