# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a command that has to end is told so: TERM, the grace, KILL, and again; by a clock of ours.

That the signals reach every process is tried with real ones in runner/test_ended_is_ended.py.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from coldchain.execution.attempt_files import file_of
from coldchain.execution.members import Member
from coldchain.execution.plan import ABORTED, FAIL
from coldchain.execution.process import Ending, Process
from coldchain.execution.supervision import Supervised

STILL = Member(7, 1, "still")


class Scripted:
    """A process that writes down what it is told and when, and ends by nothing."""

    pid, pidfd = 6, 5

    def __init__(self, attempt: Path, clock: list[float], age: float = 0.0) -> None:
        self.attempt, self.age, self._clock = attempt, age, clock
        self.heard: list[tuple[float, str]] = []
        self.has_begun = True
        self.left: list[Member] = []
        self.code: int | None = 0

    def send(self, number: signal.Signals) -> list[Member]:
        self.heard.append((round(self._clock[0], 3), number.name))
        return []

    def kill(self) -> None:
        self.send(signal.SIGKILL)

    def begun(self) -> bool:
        return self.has_begun

    def members(self) -> list[Member]:
        return self.left

    def remain(self) -> bool:
        return bool(self.left)

    def finish(self) -> tuple[Ending, list[Member]]:
        return Ending(self.code), self.left


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the monotonic clock shows."""
    shown = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: shown[0])
    return shown


@pytest.fixture
def process(tmp_path: Path, clock: list[float]) -> Scripted:
    return Scripted(tmp_path / "1.1", clock)


@pytest.fixture
def play(clock: list[float]) -> Callable[[Supervised, float], None]:
    """Call enforce() whenever it wants to be called, and a little before, until an instant."""

    def played(present: Supervised, end: float) -> None:
        while (due := present.wake_at) is not None and due <= end:
            clock[0] = due - 0.01
            present.enforce(FAIL)
            clock[0] = due
            present.enforce(FAIL)
        clock[0] = end

    return played


def supervised(process: Scripted, **options: Any) -> Supervised:
    return Supervised(cast("Process", process), grace=10.0, **options)


def test_term_then_kill_after_the_grace_and_again_until_it_is_stuck(
    process: Scripted, play: Any
) -> None:
    present = supervised(process)
    assert present.wake_at is None and not present.reason
    present.end("why", ABORTED)
    process.left = [STILL]
    play(present, 109.9)
    assert process.heard == [(100.0, "SIGTERM")]
    play(present, 112.9)
    kills = [110.0, 111.0, 112.0]
    assert process.heard[1:] == [(at, "SIGKILL") for at in kills] and not present.stuck
    play(present, 125.0)
    kills += [113.0, 118.0, 123.0]
    assert process.heard[1:] == [(at, "SIGKILL") for at in kills]
    assert present.stuck and list(present.survivors) == [STILL] and not present.over
    assert (present.reason, present.result) == ("why", ABORTED)
    told = json.loads(file_of(process.attempt, "told_to_end.json").read_text())
    assert told == {"reason": "why", "result": ABORTED}


def test_an_end_at_once_is_a_kill_without_term(process: Scripted, play: Any) -> None:
    present = supervised(process)
    present.end("why", ABORTED, kill=True)
    assert present.wake_at == 100.0
    play(present, 100.5)
    assert process.heard == [(100.0, "SIGKILL")]


def test_term_is_sent_again_until_there_is_a_command_that_hears_it(
    process: Scripted, play: Any
) -> None:
    present = supervised(process)
    process.has_begun = False
    present.end("why", ABORTED)
    play(present, 100.5)
    process.has_begun = True
    play(present, 109.0)
    assert process.heard == [(at, "SIGTERM") for at in (100.0, 100.2, 100.4, 100.6)]


def test_a_timeout_counts_from_the_beginning_of_the_command(
    process: Scripted, clock: list[float], play: Any
) -> None:
    process.age = 2.0
    present = supervised(process, timeout=5)
    assert present.wake_at == 103.0
    play(present, 103.5)
    assert process.heard == [(103.0, "SIGTERM")]
    assert (present.reason, present.result) == ("timed out after 5 s", FAIL)
    assert present.wake_at == 113.0
    other = Scripted(process.attempt, clock)
    aborted = supervised(other, timeout=5)
    aborted.end("why", ABORTED)
    assert aborted.wake_at == 113.5, "what was told to end has no other limit"
    play(aborted, 113.0)
    assert (aborted.reason, other.heard) == ("why", [(103.5, "SIGTERM")])


@pytest.mark.parametrize(
    ("spares", "code", "left", "over"),
    [
        (True, 0, [], True),
        (True, 1, [STILL], True),
        (False, 0, [], True),
        (False, 0, [STILL], False),
        (True, None, [STILL], False),  # the wrapper was killed: nobody meant that
        (True, None, [], True),
    ],
)
def test_what_an_ended_command_leaves_behind(
    process: Scripted, play: Any, spares: bool, code: int | None, left: list[Member], over: bool
) -> None:
    present = supervised(process, spares=spares, timeout=1)
    process.code, process.left = code, left
    present.command_ended()
    assert (present.over, present.ending) == (over, Ending(code))
    assert present.left_behind == (left if over else [])
    assert not present.stuck and not present.vanished
    if over:
        assert present.wake_at is None and process.heard == []
        return
    assert present.wake_at == 100.1
    play(present, 101.05)
    assert process.heard == [(100.0, "SIGTERM")] and not present.over and not present.reason
    process.left = []
    play(present, 101.2)
    assert present.over and not present.reason, "it was not told to end: only what it has left"


def test_an_order_after_the_end_of_the_command_is_none(process: Scripted) -> None:
    present = supervised(process, spares=False)
    process.left = [STILL]
    present.command_ended()
    present.end("late", ABORTED)
    assert not present.reason and not file_of(process.attempt, "told_to_end.json").exists()


def test_what_was_told_to_end_is_over_when_nothing_of_it_is_left(
    process: Scripted, play: Any
) -> None:
    present = supervised(process)
    present.end("why", ABORTED)
    process.code, process.left = 143, [STILL]
    present.command_ended()
    assert not present.over and present.left_behind == []
    play(present, 104.0)
    process.left = []
    play(present, 104.2)
    assert present.over and process.heard == [(100.0, "SIGTERM")]
    play(present, 120.0)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ('{"reason": "why", "result": "aborted"}', "why"),
        ('{"reason": "why"}', ""),
        ("[]", ""),
        ("{", ""),
        (None, ""),
    ],
)
def test_of_an_earlier_runner_s_command_that_is_gone_its_order_is_known(
    tmp_path: Path, order: str | None, reason: str
) -> None:
    if order is not None:
        file_of(tmp_path / "1.1", "told_to_end.json").write_text(order)
    begun = file_of(tmp_path / "1.1", "pid")
    begun.touch()
    os.utime(begun, (0, 0))  # whose wrapper nobody waits for
    present = Supervised.adopted(tmp_path / "1.1", grace=1.0)
    assert (present.reason, present.result) == (reason, ABORTED if reason else "")
    assert present.over and present.vanished and present.wake_at is None
