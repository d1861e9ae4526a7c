# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner in a control group that is delegated to it, as systemd delegates its unit's."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from control_groups import mounted
from homes import Home, document, needs_root
from sleepers import Sleeper
from waiting import ended, until

pytestmark = needs_root


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Path]:
    """The group of the unit, with the mark that systemd sets for Delegate=yes."""
    with mounted(tmp_path / "cgroup", "version 2") as base:
        group = base / "coldchain-runner.service"
        group.mkdir()
        os.setxattr(group, "trusted.delegate", b"1")
        yield group
        until(lambda: not list(group.glob("coldchain-*")), told=lambda: "a group was left")
        group.rmdir()


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    made = Sleeper()
    yield made
    made.kill()


def start(home: Home, unit: Path) -> None:
    """As systemd does it: the process of the service is put into the unit's own group."""
    home.log_file.write_text("")
    home.start("sh", "-c", f'echo $$ >{unit}/cgroup.procs; exec "$@"', "sh")


def stop(home: Home) -> None:
    """TERM, and wait for the end: what runs is aborted after stop_timeout."""
    assert home.runner is not None
    home.runner.terminate()
    ended(home.runner, within=20)
    home.runner = None


def inside(unit: Path, pid: int) -> bool:
    """Is the process in the group of an attempt?"""
    return any(
        str(pid) in (group / "cgroup.procs").read_text().split()
        for group in unit.glob("coldchain-*")
    )


def test_a_live_run_in_its_group_outlives_kill_restart_and_reload(
    home: Home, unit: Path, sleeper: Sleeper, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    line = f"setsid -f {sleeper.line}; until test -e {gate}; do sleep 0.05; done; exit 7"
    start(home, unit)
    assert home.run("apply", "-", given=document("j", line))[0] == 0
    (pid,) = home.until(sleeper.pids)
    assert inside(unit, pid) and home.runner is not None
    assert str(home.runner.pid) in (unit / "cgroup.procs").read_text().split()
    home.runner.kill()
    ended(home.runner)
    assert (unit / "cgroup.subtree_control").read_text().strip() == ""
    start(home, unit)  # into the unit's group, although a group below it has a process
    home.log_file.write_text("")
    home.runner.send_signal(signal.SIGHUP)
    home.until(lambda: "runner ready" in home.log())
    assert home.runs("j") == [] and sleeper.pids() == [pid] and inside(unit, pid)
    gate.touch()
    (run,) = home.until(lambda: home.runs("j"))
    (action,) = run["actions"]
    assert action["exit_code"] == 7
    assert run["time_started"] - 1 < action["time_started"] < action["time_ended"]
    assert [item["pid"] for item in action["left_behind"]] == [pid] == sleeper.pids()
    sleeper.kill()
    home.until(lambda: not sleeper.pids())
    stop(home)
    start(home, unit)  # which removes the groups that have become empty
    stop(home)


def test_an_abort_after_a_kill_ends_what_another_runner_began(
    home: Home, unit: Path, sleeper: Sleeper
) -> None:
    start(home, unit)
    line = f"env -i setsid -f {sleeper.line}; exec sleep 3600"
    assert home.run("apply", "-", given=document("j", line))[0] == 0
    home.until(sleeper.pids)
    assert home.runner is not None
    home.runner.kill()
    ended(home.runner)
    start(home, unit)
    assert home.run("event", "j", "abort", "--wait")[0] == 0
    (run,) = home.runs("j")
    assert run["result"] == "aborted" and sleeper.pids() == []
    stop(home)


def test_a_stop_leaves_no_process_and_no_group(home: Home, unit: Path, sleeper: Sleeper) -> None:
    settings = home.path / "etc" / "runner.conf"
    settings.parent.mkdir()
    settings.write_text("[runner]\nstop_timeout = 0\ngrace = 1\n")
    start(home, unit)
    line = f"trap '' TERM; setsid -f {sleeper.line}; sleep 3600"
    assert home.run("apply", "-", given=document("j", line))[0] == 0
    home.until(sleeper.pids)
    stop(home)
    assert sleeper.pids() == []
