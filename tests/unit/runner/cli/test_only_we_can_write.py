# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents are code run as root: a place that a group or anybody can write is refused."""

from __future__ import annotations

import pytest
from cli_command import Command, exec_job

PLACES = [".", "lib", "log", "etc", "etc/runner.conf"]


@pytest.mark.parametrize("mode", [0o020, 0o002])
@pytest.mark.parametrize("place", PLACES)
def test_reading_writing_and_serving_refuse_it(command: Command, place: str, mode: int) -> None:
    (command.home / "etc").mkdir(mode=0o700)
    (command.home / "etc" / "runner.conf").write_text("[runner]\n")
    (command.home / "etc" / "runner.conf").chmod(0o600)
    assert command("apply", "-", data=exec_job("x")) == 0
    path = command.home / place
    good = path.stat().st_mode & 0o7777
    path.chmod(good | mode)
    for words in (["list"], ["apply", "-"], ["run", "x"], ["serve"]):
        error = command.error(*words, data=exec_job("x", "false"))
        assert error["code"] == 69, words
        assert str(path) in error["message"] and "can be written by others" in error["message"]
        assert error["hint"].startswith("chmod go-w ")
    path.chmod(good)
    assert command.json("list")["jobs"][0]["job_id"] == "x"
