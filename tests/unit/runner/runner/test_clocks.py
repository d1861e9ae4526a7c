# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that slept, and a clock that was set, are told apart (tests/faults sets a real one)."""

from __future__ import annotations

import time
from typing import Any

import pytest

from coldchain.runner.clock_watch import ClockWatch


class Host:
    """Its clocks, in seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.boot, self.awake = 1_800_000_000.0, 500.0, 400.0
        monkeypatch.setattr(time, "time", lambda: self.wall)
        monkeypatch.setattr(time, "monotonic", lambda: self.awake)
        monkeypatch.setattr(time, "clock_gettime", lambda dummy: self.boot)

    def work(self, seconds: float) -> None:
        self.awake += seconds
        self.sleep(seconds)

    def sleep(self, seconds: float) -> None:
        self.boot += seconds
        self.wall += seconds


@pytest.mark.parametrize(
    ("slept", "stepped", "told"),
    [
        (0.0, 0.0, None),
        (0.0, 1.9, None),
        (0.0, -3600.0, "the clock was set by -3600 s"),
        (0.0, 31536000.0, "the clock was set by +31536000 s"),
        (28800.0, 0.0, "the host slept for 28800 s"),
        (28800.0, -60.0, "the host slept for 28800 s and the clock was set by -60 s"),
    ],
)
def test_what_happened_is_told_once(
    monkeypatch: pytest.MonkeyPatch, slept: float, stepped: float, told: Any
) -> None:
    host = Host(monkeypatch)
    clocks = ClockWatch()
    host.work(100.0)
    assert clocks.moved() is None
    host.sleep(slept)
    host.wall += stepped
    host.work(1.0)
    move = clocks.moved()
    assert (None if move is None else str(move)) == told
    host.work(1.0)
    assert clocks.moved() is None


def test_the_clocks_of_this_host_agree_with_themselves() -> None:
    clocks = ClockWatch()
    time.sleep(0.05)
    assert clocks.moved() is None


def test_a_stall_between_two_readings_is_no_move(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch)
    clocks = ClockWatch()
    stalls = [10.0]

    def boot_time_then_a_stall(dummy: int) -> float:
        boot = host.boot
        host.work(sum(stalls))
        stalls.clear()
        return boot

    monkeypatch.setattr(time, "clock_gettime", boot_time_then_a_stall)
    assert clocks.moved() is None and not stalls


def test_many_small_corrections_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch)
    clocks = ClockWatch()
    moves = []
    for dummy in range(30):
        host.work(60.0)
        host.wall += 0.1
        moves.append(clocks.moved())
    assert [round(move.stepped, 1) for move in moves if move] == [2.1]
