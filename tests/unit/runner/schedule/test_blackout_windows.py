# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows that touch are one blackout, and both ends follow the clock of the window's zone."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, note, settings
from schedule_oracles import SEEDS, UTC, ZONES, trigger, utc

from coldchain.schedule import catch_up

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@given(chance=SEEDS)
@settings(max_examples=150)
def test_wherever_one_looks_in_touching_windows_they_end_together(chance: Random) -> None:
    hours = sorted(chance.sample(range(25), chance.randint(2, 6)))
    pieces = [(a, b) for a, b in zip(hours, hours[1:]) if chance.random() < 0.8]
    chance.shuffle(pieces)
    note(f"{pieces}")
    covered = {hour for begin, end in pieces for hour in range(begin, end)}
    if not pieces or covered == set(range(24)):
        return
    windows = [{"start": f"{a:02}:00", "end": f"{b % 24:02}:00"} for a, b in pieces]
    found = trigger(blackout=windows, schedule_interval="continuous")
    for half in range(48):
        instant = utc(2026, 5, 6) + half * HOUR / 2
        end = instant.replace(minute=0)
        while end.hour in covered:
            end += HOUR
        assert found.blackout_until(instant) == (end if instant.hour in covered else None)


@pytest.mark.parametrize("turned", [False, True])
def test_a_run_missed_in_the_first_of_two_touching_windows_is_made_up_for(turned: bool) -> None:
    windows = [{"start": "10:00", "end": "11:00"}, {"start": "11:00", "end": "12:00"}]
    found = trigger(
        blackout=windows[::-1] if turned else windows,
        schedule_hour="10",
        missed={"max_age": "3 hours"},
    )
    begin, slot = utc(2026, 5, 6, 9), utc(2026, 5, 6, 10)
    for minutes in range(0, 180, 15):  # from wherever one asks
        occurrence = found.next(begin + timedelta(minutes=minutes))
        assert occurrence is not None
        assert (occurrence.at, occurrence.slot) == (utc(2026, 5, 6, 12), slot)
    # The same whenever the runner comes up again.
    for hour, minute in ((10, 30), (11, 0), (11, 30), (12, 1)):
        result = catch_up(
            found, after=begin, now=utc(2026, 5, 6, hour, minute), policy=found.missed
        )
        assert result.skipped == []
        assert [run.slot for run in result.run] == ([slot] if hour == 12 else [])


def gaps(name: str, years: range) -> list[tuple[datetime, datetime]]:
    """(instant, the reading there just before it is turned forward), by plain bisection."""
    zone, found = ZoneInfo(name), []
    instant, end = utc(years.start, 1, 1), utc(years.stop, 1, 1)
    while instant < end:
        low, high = instant, instant + 4 * DAY
        if high.astimezone(zone).utcoffset() > low.astimezone(zone).utcoffset():
            goal = high.astimezone(zone).utcoffset()
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=(high - low) // timedelta(seconds=1) // 2)
                if middle.astimezone(zone).utcoffset() == goal:
                    high = middle
                else:
                    low = middle
            offset = (high - timedelta(seconds=1)).astimezone(zone).utcoffset()
            found.append((high, high.astimezone(timezone(offset)).replace(tzinfo=None)))
        instant += 4 * DAY
    return found


def test_a_window_that_begins_or_ends_where_the_clock_is_turned_forward() -> None:
    seen = set()
    for name in ZONES:
        for change, reading in gaps(name, range(2024, 2026)):
            if reading.second or (change, reading) in seen:
                continue
            seen.add((change, reading))
            earlier, later = reading - 3 * HOUR, reading + 5 * HOUR
            ends = [{"start": f"{earlier:%H:%M}", "end": f"{reading:%H:%M}", "timezone": name}]
            found = trigger(blackout=ends, schedule_interval="continuous")
            assert found.blackout_until(change - HOUR) == change, (name, reading)
            begins = [{"start": f"{reading:%H:%M}", "end": f"{later:%H:%M}", "timezone": name}]
            found = trigger(blackout=begins, schedule_interval="continuous")
            before, inside = change - timedelta(seconds=1), change + timedelta(minutes=1)
            assert found.blackout_until(before) is None, (name, reading)
            assert found.blackout_until(inside) is not None, (name, reading)
    assert len(seen) > 20 and all(change.tzinfo is UTC for change, _ in seen)
