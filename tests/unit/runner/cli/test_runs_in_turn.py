# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in the foreground, without a runner: each gets its turn, and none is taken for a runner."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from cli_command import Command, exec_job
from waiting import ended, until

from coldchain.store import Store


def gated(job_id: str, gate: Path) -> dict[str, Any]:
    """A job whose runs begin and then wait for the file *gate*."""
    script = 'touch "$0.begun"; while [ ! -e "$0" ]; do sleep 0.05; done'
    return exec_job(job_id, "sh", "-c", script, str(gate))


def test_many_at_once_run_one_after_the_other(command: Command, tmp_path: Path) -> None:
    gate, saying = tmp_path / "gate", tmp_path / "said"
    jobs = ("a", "b")
    for job_id in jobs:
        assert command("apply", "-", data=gated(job_id, gate)) == 0
    with saying.open("wb") as said:
        started = [command.process("run", job, stdout=said, stderr=said) for job in jobs * 4]
    try:
        until(gate.with_name("gate.begun").exists, told=saying.read_text)
        waits = "waiting for what runs here in the foreground"
        until(lambda: saying.read_text().count(waits) == len(started) - 1, told=saying.read_text)
        assert not command.json("list")["runner_alive"], "it takes no requests"
        assert command("status") == 69 and "no runner is at work" in command.out
        gate.touch()
        assert [ended(process) for process in started] == [0] * len(started), saying.read_text()
    finally:
        for process in started:
            process.kill()
            ended(process)
    for job_id in jobs:
        assert len(command.json("history", job_id)["runs"]) == len(started) / len(jobs)
    assert not (command.home / "lib" / "events.json").exists(), "nothing is left for a runner"


def test_a_runner_that_came_meanwhile_is_asked(
    command: Command, runner: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("apply", "-", data=exec_job("j")) == 0
    answers = iter([False])
    alive = Store.runner_alive
    monkeypatch.setattr(Store, "runner_alive", lambda self: next(answers, None) or alive(self))
    assert command("run", "j") == 0, command.err
    assert next(answers, None) is None
    (run,) = command.json("history", "j")["runs"]
    assert run["cause"] == "event"
