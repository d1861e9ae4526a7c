# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""After an abort no further action begins, whoever finds out how the present one has ended."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_action_that_ends_well_between_two_runners_lets_none_begin(host: Any) -> None:
    home, gate = host.paths.home, host.gate()
    first = f"trap 'touch {home}/heard; {gate.line}; exit 0' TERM; touch {home}/begun;"
    first += " while :; do sleep 0.05; done"
    always = (f"touch {home}/always", {"mandatory": True})
    host.declare("j", first, f"touch {home}/second", always)
    host.start(grace=60)
    host.until((home / "begun").exists)
    host.event("j", "abort")
    host.until((home / "heard").exists)
    host.stop(signal.SIGUSR2)
    gate.open()
    (file,) = host.paths.runs.glob("*/1.1.pid")
    pid = int(file.read_text().split()[0])
    os.waitpid(pid, 0)  # as the first process of the host does it for a runner that is gone
    assert file.with_suffix(".exit_code").read_text() == "0\n"
    host.start()
    (run,) = host.runs("j")
    assert run["result"] == "aborted" and "a test" in run["reason"]
    assert [action["result"] for action in run["actions"]] == ["aborted", "skipped", "success"]
    assert (home / "always").exists() and not (home / "second").exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_action_that_does_not_end_is_ended_by_the_next_runner(host: Any) -> None:
    home = host.paths.home
    host.declare(
        "j",
        f"trap '' TERM; echo $$ > {home}/pid; touch {home}/begun; while :; do sleep 0.05; done",
        f"touch {home}/second",
    )
    host.start(grace=3600)
    host.until((home / "begun").exists)
    host.event("j", "abort")
    host.until(lambda: host.state("j").status == "aborting")
    host.stop(signal.SIGUSR2)
    host.start(grace=0)
    (run,) = host.runs("j")
    assert run["result"] == "aborted"
    assert [action["result"] for action in run["actions"]] == ["aborted", "skipped"]
    assert not (home / "second").exists()
    stat = Path("/proc", (home / "pid").read_text().strip(), "stat")
    host.until(lambda: not stat.exists() or ") Z " in stat.read_text())
