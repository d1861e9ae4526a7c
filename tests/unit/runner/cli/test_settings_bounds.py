# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A setting that would keep everything from working is refused; the least that works is taken."""

from __future__ import annotations

import pytest
from cli_command import Command, exec_job

COUNTS = [
    "concurrent_jobs",
    "history_runs",
    "history_days",
    "history_max_bytes",
    "log_max_bytes",
]


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
