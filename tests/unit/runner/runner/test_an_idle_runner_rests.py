# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever has woken it, a runner with nothing to do looks around once a second and no more."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from coldchain.runner.daemon import TICK, Runner


@pytest.mark.parametrize("how", ["wake", "signal", "request", "run"])
def test_after_it_was_woken(host: Any, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    turns: list[float] = []
    tick = Runner.tick

    def counted(runner: Runner) -> None:
        turns.append(time.monotonic())
        tick(runner)

    monkeypatch.setattr(Runner, "tick", counted)
    host.declare("j", "true", schedule={"schedule_interval": "1 days"})
    host.start()
    host.until(lambda: host.state("j").next_run)
    if how == "wake":
        for dummy in range(5):
            host.store.wake()
    elif how == "signal":
        host.send(signal.SIGUSR1)
    elif how == "request":
        host.event("j", "stop")
        host.until(lambda: host.state("j").status == "stop")
    else:
        host.event("j", "start")
        host.runs("j")
        host.settled("j", "scheduled")
    host.until(lambda: turns and time.monotonic() - turns[-1] > 0.2)
    before, began = len(turns), time.monotonic()
    time.sleep(1.5 * TICK)
    assert len(turns) - before <= 2 + (time.monotonic() - began) / TICK
