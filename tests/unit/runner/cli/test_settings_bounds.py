# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A setting that would keep everything from working is refused; the least that works is taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_command import Command, exec_job

COUNTS = [
    "concurrent_jobs",
    "history_runs",
    "history_days",
    "history_max_bytes",
    "log_max_bytes",
]


MISTAKES = {
    "[runner": "line 1: is in no section: [runner] has to come first",
    "\n\nuser = root\n": "line 3: is in no section: [runner] has to come first",
    "[runner]\ngrace = 1\n\ngrace = 2\n": "line 4: grace is there twice",
    "[runner]\n[runner]\n": "line 2: section [runner] is there twice",
    "[runner]\n  x\ny\n": "line 2: is neither NAME = VALUE nor a comment",
    "[runner]\nclient_id = \udcff\n": "line 2: is not UTF-8",
    "[other]\na = 1\n": "unknown section [other]",
    "[runner]\ngrce = 1\n": "unknown setting 'grce'",
    "[runner]\ngrace = long\n": "grace: 'long' is not a duration",
    "[runner]\nallow_exec = perhaps\n": "allow_exec = 'perhaps' is neither yes nor no",
    '[runner]\nnotify = [{"type": "mial"}]\n': "notify: [0]: type: one of ",
    "[runner]\nnotify = [{]\n": "notify: is no JSON",
    "[runner]\nmetrics_file = x.prom\n": "metrics_file: 'x.prom' is not an absolute path",
}
DOORS = ("serve", "status", "doctor", "metrics", "notify", "list", "apply -", "serve --check FILE")


@pytest.mark.parametrize("text", MISTAKES)
@pytest.mark.parametrize("door", DOORS)
def test_a_mistake_is_told_in_one_line_at_every_door(
    command: Command, door: str, text: str
) -> None:
    assert command("apply", "-", data=exec_job("x")) == 0
    settings = command.home / "etc" / "runner.conf"
    settings.parent.mkdir(mode=0o755, exist_ok=True)
    settings.write_bytes(text.encode("utf-8", "surrogateescape"))
    command(*door.replace("FILE", str(settings)).split(), data=exec_job("x"))
    if door == "doctor":
        assert command.code == 1
        assert MISTAKES[text] in " ".join(command.out.split())
        assert command.out.startswith("critical: settings:") and "\n  -> " in command.out
        return
    assert (command.code, command.out) == (65, "")
    first, _newline, hint = command.err.rstrip("\n").partition("\n")
    assert first.startswith(f"coldchain: {settings}: {MISTAKES[text]}")
    assert first.count(str(settings)) == 1 and "\n" not in hint


def test_settings_can_be_judged_before_they_lie_where_they_count(
    command: Command, tmp_path: Path
) -> None:
    file = tmp_path / "next.conf"
    assert command.error("serve", "--check", str(file))["code"] == 69
    file.write_text('[runner]\nnotify = [{"type": "mail", "to": "root"}]\n')
    tmp_path.chmod(0o777)
    assert command.json("serve", "--check", str(file)) == {"settings": str(file)}
    assert command("serve", "--check", str(file)) == 0
    assert command.out == f"{file} can be the settings\n" and not list(command.home.iterdir())


@pytest.mark.parametrize("name", COUNTS)
def test_a_count_is_one_or_more(command: Command, name: str) -> None:
    settings = command.home / "etc" / "runner.conf"
    settings.parent.mkdir(mode=0o755)
    for value in (-1, 0):
        settings.write_text(f"[runner]\n{name} = {value}\n")
        error = command.error("apply", "-", data=exec_job("x"))
        assert error["code"] == 65
        assert str(settings) in error["message"] and f"{name}: {value} is" in error["message"]
    assert not (command.home / "lib" / "jobs.json").exists()
    settings.write_text(f"[runner]\n{name} = 1\n")
    assert command("apply", "-", data=exec_job("x")) == 0


def test_what_needs_no_job_is_a_path_or_a_service(command: Command) -> None:
    assert command("apply", "-", data=exec_job("x")) == 0
    settings = command.home / "etc" / "runner.conf"
    settings.parent.mkdir(mode=0o755, exist_ok=True)
    settings.write_text("[runner]\nuncovered_ignore = srv/cache\n")
    assert "'srv/cache' is neither an absolute path" in command.error("status")["message"]
    settings.write_text("[runner]\nuncovered_ignore = /, postgresql,\n  /home/*\n")
    assert not [it for it in command.json("status")["uncovered"] if it["kind"] == "path"]
