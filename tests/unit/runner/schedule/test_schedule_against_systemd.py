# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What OnCalendar= can say fires as systemd says.

Unlike crontab it has years, seconds, the last day of a month, and takes weekday AND day as Freezer
does.  Left out: local days with a clock change, on which systemd loses what lies in the gap
(decision 011); what it cannot say (weeks); what it gives up on after 1,000 steps.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_oracles import RANGES, UTC, WEEKDAYS, prefixed, trigger

from coldchain.schedule import ScheduleError

ITERATIONS = 6
ZONES = ("UTC", "Europe/Berlin", "America/New_York")
_INSTANT = re.compile(r"(?:Next elapse|Iter\. #\d+): \w{3} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")
_NTH = ("1st", "2nd", "3rd", "4th")


class Said(NamedTuple):
    """The same in both languages: our fields, systemd's expression without its zone."""

    fields: dict[str, str]
    calendar: str


@st.composite
def numbers(draw: st.DrawFn, low: int, high: int) -> tuple[str, str]:
    """A field of numbers, as we and as systemd write it."""
    kind = draw(st.sampled_from(("every", "one", "step", "list")))
    if kind == "every":
        return "*", "*"
    if kind == "step":
        step = draw(st.integers(1, high - low))
        # Not "low/step": at the turn of a month systemd 252 takes the 5th for the next of *-*-1/4.
        return f"*/{step}", ",".join(str(number) for number in range(low, high + 1, step))
    parts, values = [], set()
    for dummy in range(1 if kind == "one" else draw(st.integers(2, 3))):
        first, last = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
        if kind == "one" or first == last:
            parts.append(str(first))
            values.add(first)
        else:
            step = draw(st.integers(1, last - first))
            parts.append(f"{first}-{last}/{step}")
            values |= set(range(first, last + 1, step))
    return ",".join(parts), ",".join(map(str, sorted(values)))


@st.composite
def days(draw: st.DrawFn) -> tuple[str, str, str]:
    """Day of the month: ours, systemd's with its separator, and the weekdays that go with it."""
    kind = draw(st.sampled_from(("numbers", "numbers", "last", "nth")))
    if kind == "last":
        return "last", "~01", ""
    if kind == "nth":
        name, number = draw(st.sampled_from(WEEKDAYS)), draw(st.integers(0, 4))
        if number == 4:
            return f"last {name}", "~07/1", name
        return f"{_NTH[number]} {name}", f"-{7 * number + 1}..{7 * number + 7}", name
    ours, theirs = draw(numbers(1, 31))
    return ours, f"-{theirs}", ""


@st.composite
def said(draw: st.DrawFn) -> Said:
    fields, theirs = {}, {}
    for name in ("month", "hour", "minute", "second"):
        low, high = RANGES[name]
        fields[name], theirs[name] = draw(numbers(low, high))
    fields["day"], day, weekdays = draw(days())
    if not weekdays and draw(st.booleans()):
        chosen = draw(st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=4, unique=True))
        fields["day_of_week"] = weekdays = ",".join(chosen)
    fields["year"], theirs["year"] = draw(
        st.sampled_from((("*", "*"), ("*", "*"), ("2027-2032", "2027..2032"), ("2028", "2028")))
    )
    calendar = "{year}-{month}{day} {hour}:{minute}:{second}".format(day=day, **theirs)
    return Said(fields, f"{weekdays} {calendar}".strip())


def systemd(calendars: list[str], zone: str, after: datetime) -> list[list[datetime]]:
    """The next instants of each expression, all from one process."""
    done = subprocess.run(
        [
            "systemd-analyze",
            "calendar",
            f"--iterations={ITERATIONS}",
            f"--base-time={after:%Y-%m-%d %H:%M:%S} UTC",
            *(f"{calendar} {zone}" for calendar in calendars),
        ],
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C", "SYSTEMD_COLORS": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    blocks = done.stdout.strip().split("\n\n")
    assert len(blocks) == len(calendars), done.stdout
    return [
        [datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) for text in found]
        for found in map(_INSTANT.findall, blocks)
    ]


def changing(instant: datetime, zone: ZoneInfo) -> bool:
    """Whether the clock changes within a day of *instant*."""
    around = {
        (instant + timedelta(hours=hours)).astimezone(zone).utcoffset() for hours in (-24, 24)
    }
    return len(around) > 1


@pytest.mark.long
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@given(
    spoken=st.lists(said(), min_size=1, max_size=40),
    zone=st.sampled_from(ZONES),
    after=st.datetimes(datetime(2026, 1, 1), datetime(2029, 12, 31)),
)
@settings(max_examples=examples(100, 1000))
def test_next_runs_equal_systemds(spoken: list[Said], zone: str, after: datetime) -> None:
    after = after.replace(microsecond=0, tzinfo=UTC)
    local = ZoneInfo(zone)
    for one, theirs in zip(spoken, systemd([s.calendar for s in spoken], zone, after)):
        try:
            ours = trigger(local, **prefixed(one.fields))
        except ScheduleError:
            assert theirs == [], one
            continue
        found = []
        occurrence = ours.next(after)
        while theirs and occurrence is not None and occurrence.at <= theirs[-1]:
            found.append(occurrence.at)
            occurrence = ours.next(occurrence.at)
        quiet = [instant for instant in theirs if not changing(instant, local)]
        assert [instant for instant in found if not changing(instant, local)] == quiet, one
        assert len(theirs) == ITERATIONS or occurrence is None, one
