# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""schedule_boot: once after each boot, and never because of anything else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from cli_command import Command, timed_job

from coldchain.execution.members import host_boot
from coldchain.runner import timetable

BOOT = {"schedule_boot": True}


@pytest.fixture
def boot(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """The host seems to have booted: the kernel's boot id is another one."""

    def booted(name: str) -> None:
        monkeypatch.setattr(timetable, "host_boot", lambda: name)

    booted("first")
    return booted


def test_each_boot_brings_one_run(host: Any, boot: Callable[[str], None]) -> None:
    host.declare("j", "echo up", schedule=BOOT)
    host.start()
    state = host.until(lambda: host.state("j").boot and host.state("j"))
    assert (state.status, state.next_run, state.stopped_by) == ("scheduled", None, None)
    for name in ("second", "third"):
        host.stop()
        host.start()  # the same boot: a restart of the runner
        host.stop()
        count = len(host.store.history("j", 9))
        boot(name)
        host.start()
        (run, *_) = host.runs("j", count + 1)
        assert (run["cause"], run["result"]) == ("schedule", "success")
        host.settled("j", "scheduled")
    host.stop()
    host.start()
    host.declare("other", "true")
    host.runs("other")
    assert len(host.store.history("j", 9)) == 2


def test_a_boot_at_which_the_job_was_stopped_is_passed_over(
    host: Any, boot: Callable[[str], None]
) -> None:
    host.declare("j", "true", schedule=BOOT)
    host.start()
    host.until(lambda: host.state("j").boot)
    host.event("j", "stop")
    host.settled("j")
    host.stop()
    boot("second")
    host.start()
    host.until(lambda: host.state("j").boot == "second")
    host.event("j", "start")
    host.settled("j", "scheduled")
    host.declare("other", "true")
    host.runs("other")
    assert host.store.history("j", 9) == []


def test_a_schedule_that_becomes_one_of_boots_waits_for_the_next(
    host: Any, boot: Callable[[str], None]
) -> None:
    host.declare("j", "true", schedule=BOOT)
    host.start()
    host.until(lambda: host.state("j").boot == "first")
    host.declare("j", "true", schedule={"schedule_hour": "3"})
    host.until(lambda: host.state("j").next_run)
    host.stop()
    boot("second")
    host.declare("j", "true", schedule=BOOT)
    host.start()
    host.until(lambda: host.state("j").boot == "second")
    host.declare("other", "true")
    host.runs("other")
    assert host.store.history("j", 9) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts a first process")
def test_the_start_of_a_container_is_a_boot() -> None:
    ask = "from coldchain.execution.members import host_boot; print(host_boot())"
    line = f"{sys.executable} -c '{ask}'; {sys.executable} -c '{ask}'"
    told = []
    for _start in range(2):
        done = subprocess.run(
            ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", line],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        first, again = done.stdout.splitlines()
        assert first == again
        told.append(first)
    assert len({*told, host_boot()}) == 3


def test_commands_tell_when_it_runs(command: Command) -> None:
    assert command("apply", "-", data=timed_job("j", schedule_boot=True)) == 0
    assert "once after each boot of the host" in command.out
    assert command.json("next", "j")["next_runs"] == []
    assert "once after each boot" in command.json("next", "j")["schedule"]
    assert "warning" not in command.err


@pytest.mark.parametrize(
    "schedule",
    [
        {"schedule_boot": True, "schedule_hour": "3"},
        {"schedule_boot": True, "schedule_interval": "1 hours"},
        {"schedule_boot": True, "schedule_date": "2100-01-01T00:00:00"},
        {"schedule_boot": "maybe"},
    ],
)
def test_what_cannot_be_one_schedule_is_refused(command: Command, schedule: Any) -> None:
    error = command.error("apply", "-", data=timed_job("j", **schedule))
    assert error["code"] == 65
    assert [problem["path"] for problem in error["errors"]] == ["$.job_schedule.schedule_boot"]
