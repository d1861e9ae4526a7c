# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a loop has to say of a trouble: at once, when it is news, when it is over, else rarely."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldchain.core import log_limit
from coldchain.core.log_limit import (
    CAUSES,
    FIRST_PAUSE,
    LONGEST_OF_OTHERS,
    LONGEST_PAUSE,
    TROUBLES,
    LimitedLog,
)

DAY = 86400


class Lines(logging.Handler):
    """A log that remembers its lines, on a clock that is set by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.now = 1000.0
        self.log = logging.Logger("test")
        self.log.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    made = Lines()
    monkeypatch.setattr(log_limit, "time", _clock(lambda: made.now))
    return made


def _clock(monotonic: Callable[[], float]) -> object:
    return type("Clock", (), {"monotonic": staticmethod(monotonic)})


def test_a_trouble_is_said_at_once_then_with_growing_pauses_and_its_end_once(lines: Lines) -> None:
    limited, began = LimitedLog(lines.log), lines.now
    moments = []
    while lines.now < began + DAY:
        before = len(lines.texts)
        limited.say("write", "no room")
        if len(lines.texts) > before:
            moments.append(lines.now - began)
        lines.now += 2
    pauses = [later - earlier for earlier, later in zip(moments, moments[1:])]
    assert moments[0] == 0 and pauses[0] == FIRST_PAUSE and len(moments) == 9
    assert pauses == sorted(pauses) and pauses[-1] == LONGEST_PAUSE
    assert lines.texts[0] == "no room"
    assert lines.texts[1] == "no room (for 1 min, 29 times unsaid)"
    lines.texts.clear()
    limited.over("write", "there is room again")
    limited.over("write", "there is room again")
    assert lines.texts == ["there is room again, after 1 d"]
    limited.say("write", "no room")
    assert lines.texts[1:] == ["no room"], "it is news again"


def test_another_cause_is_news_and_the_same_in_other_words_is_not(lines: Lines) -> None:
    limited = LimitedLog(lines.log)
    for number in range(5):
        limited.say("begin", f"run {number}: no room", cause="no room")
    limited.say("begin", "run 5: read-only", cause="read-only")
    limited.say("end", "no room")
    assert lines.texts == ["run 0: no room", "run 5: read-only", "no room"]
    limited.forget("begin")
    limited.over("begin", "it begins")
    assert len(lines.texts) == 3


def test_what_rests_for_long_is_news_again(lines: Lines) -> None:
    limited = LimitedLog(lines.log)
    for pause in (0, 299, 301, 10):
        lines.now += pause
        limited.say("clock", f"set after {pause} s", cause="", rest=300)
    assert lines.texts == [
        "set after 0 s",
        "set after 299 s (for 4 min 59 s, 0 times unsaid)",
        "set after 301 s",
    ]


@pytest.mark.parametrize("others", [1, 201, 10_000, TROUBLES, TROUBLES + 5])
def test_no_trouble_hides_another(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    limited = LimitedLog(lines.log)
    for number in range(others):
        limited.say(f"job {number}", f"job {number}: no room", cause="no room")
        limited.say(f"job {number}", f"job {number}: no room", cause="no room")
    assert len(lines.texts) == others, "each once"
    lines.texts.clear()
    limited.say("new", "it is new", cause="no room")
    limited.over("new", "it is over")
    assert lines.texts == ["it is new", "it is over, after 0.0 s"]
    assert len(limited._troubles) <= TROUBLES


def test_a_cause_that_is_new_is_not_hidden_for_long_by_those_that_turn(lines: Lines) -> None:
    limited, began = LimitedLog(lines.log), lines.now
    while lines.now < began + DAY:
        limited.say("send", f"port {lines.now} is closed")
        lines.now += 2
    assert len(lines.texts) < CAUSES + DAY / LONGEST_OF_OTHERS + 5
    lines.texts.clear()
    while lines.now < began + DAY + LONGEST_OF_OTHERS + 2:
        limited.say("send", "the disk is full")
        lines.now += 2
    assert [text.partition(" (")[0] for text in lines.texts] == ["the disk is full"]


@given(
    st.lists(st.integers(0, 3 * CAUSES), min_size=1, max_size=20),
    st.integers(1, 400),
)
def test_no_order_of_causes_and_troubles_makes_noise(causes: list[int], troubles: int) -> None:
    lines = Lines()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_limit, "time", _clock(lambda: lines.now))
        limited = LimitedLog(lines.log)
        for turn in range(2000):
            cause = causes[turn % len(causes)]
            limited.say(f"job {turn % troubles}", f"{cause}", cause=str(cause))
            lines.now += 0.01
        # 20 seconds: nothing is said twice of a cause that is told apart, and few are.
        assert len(lines.texts) <= (CAUSES + 1) * troubles
        assert len(lines.texts) >= min(len(set(causes)), CAUSES + 1) if troubles == 1 else True


def test_a_bug_is_told_with_its_place(lines: Lines, caplog: pytest.LogCaptureFixture) -> None:
    records: list[logging.LogRecord] = []
    lines.emit = records.append
    try:
        raise RuntimeError("ours")
    except RuntimeError:
        LimitedLog(lines.log).exception("step", "the step failed")
    assert records[0].exc_info is not None and records[0].levelno == logging.ERROR
