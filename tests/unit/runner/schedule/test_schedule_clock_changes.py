# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Around clock changes every zone's schedules fire as a walk over every second says."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from functools import cache
from random import Random
from zoneinfo import ZoneInfo

import pytest
from examples import examples
from hypothesis import assume, given, note, settings
from hypothesis import strategies as st
from schedule_oracles import (
    SEEDS,
    UTC,
    ZONES,
    TimesOfDay,
    changes,
    prefixed,
    runs,
    times_of_day,
    trigger,
    utc,
    walk,
)

from coldchain.core.instants import parse_instant
from coldchain.schedule.zones import zone_table


@cache
def changing() -> list[str]:
    """The zones whose clocks change; not at import, which each collection of tests would pay."""
    return [name for name in ZONES if changes(name, 2026)]


HOUR = timedelta(hours=1)
POLICIES = [
    (gap, overlap)
    for gap in (None, "next", "skip", "shift")
    for overlap in (None, "first", "second", "both")
]


def check(name: str, around: datetime, schedule: TimesOfDay) -> None:
    """All policies of one schedule around one instant."""
    seconds = walk(name, around).of(schedule)
    for gap, overlap in POLICIES:
        ours = trigger(
            ZoneInfo(name), dst={"gap": gap, "overlap": overlap}, **prefixed(schedule.spec)
        )
        expected = seconds.fires(
            gap or ("skip" if schedule.wildcard else "next"),
            overlap or ("both" if schedule.wildcard else "first"),
        )
        assert runs(ours, seconds.begin, seconds.end) == expected


@pytest.mark.parametrize("weekdays", ["0-6", "6", "5,6"])
@pytest.mark.parametrize("minute", ["0", "30", "59", "10,45", "*", "*/15"])
@pytest.mark.parametrize("hour", ["0", "1", "2", "3", "0-3", "*", "*/2"])
@pytest.mark.parametrize(
    "name",
    [
        "America/New_York",
        "Europe/Berlin",
        "Australia/Lord_Howe",  # half an hour
        "America/Santiago",  # at midnight
        "Antarctica/Troll",  # two hours
    ],
)
def test_each_policy_for_the_times_around_a_change(
    name: str, hour: str, minute: str, weekdays: str
) -> None:
    schedule = TimesOfDay.written(hour, minute, weekdays)
    for change in changes(name, 2026):
        check(name, change, schedule)


@pytest.mark.long
@given(chance=SEEDS)
@settings(max_examples=examples(20, 200))
def test_every_second_around_a_change(chance: Random) -> None:
    name, year = chance.choice(changing()), chance.randint(2020, 2037)
    around = chance.choice(changes(name, year) or (datetime(year, 3, 29, 1, tzinfo=UTC),))
    for _ in range(3):
        schedule = times_of_day(chance)
        note(f"{name} {around} {schedule.spec}")
        check(name, around, schedule)


@pytest.mark.long
@given(chance=SEEDS)
@settings(max_examples=examples(10, 100))
def test_every_second_in_a_zone_with_or_without_changes(chance: Random) -> None:
    name, year = chance.choice(ZONES), chance.randint(2020, 2037)
    schedule = times_of_day(chance)
    note(f"{name} {year} {schedule.spec}")
    for around in changes(name, year) or (datetime(year, 3, 29, 1, tzinfo=UTC),):
        check(name, around, schedule)


@given(
    name=st.sampled_from(ZONES),
    instant=st.datetimes(datetime(1971, 1, 1), datetime(2198, 12, 31)).map(
        lambda naive: naive.replace(tzinfo=UTC)
    ),
)
@settings(max_examples=500)
def test_the_clock_shows_what_zoneinfo_says(name: str, instant: datetime) -> None:
    zone = ZoneInfo(name)
    epoch = int(instant.timestamp())
    segment = zone_table(zone).segment(epoch)
    assert segment.begin <= epoch < segment.end
    for second in (segment.begin, epoch, segment.end - 1):
        local = datetime.fromtimestamp(second, UTC).astimezone(zone)
        assert local.utcoffset() == timedelta(seconds=segment.offset)
    outside = datetime.fromtimestamp(segment.end, UTC).astimezone(zone)
    assert outside.utcoffset() == timedelta(seconds=segment.after)


@given(
    name=st.deferred(lambda: st.sampled_from(changing())),
    year=st.integers(2020, 2037),
    pick=st.integers(0, 9),
    minutes=st.integers(-300, 300),
)
@settings(max_examples=300)
def test_a_reading_is_the_same_instant_as_in_a_date(
    name: str, year: int, pick: int, minutes: int
) -> None:
    found = changes(name, year)
    assume(found)
    zone = ZoneInfo(name)
    change = found[pick % len(found)].astimezone(zone).replace(tzinfo=None, fold=0)
    reading = change + timedelta(minutes=minutes)
    instant = zone_table(zone).instant(int(reading.replace(tzinfo=UTC).timestamp()))
    assert instant == parse_instant(reading.isoformat(), zone).timestamp()


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/New_York", "Africa/Cairo"])
@pytest.mark.parametrize(
    ("spec", "days"),
    [
        ({"hour": "0"}, 365),
        ({"hour": "0", "minute": "30"}, 365),
        ({"hour": "2", "minute": "30"}, 365),
        ({"day": "1"}, 12),
        ({"day_of_week": "mon"}, 52),
    ],
)
def test_no_day_of_the_year_is_lost_or_doubled(name: str, spec: dict[str, str], days: int) -> None:
    """APScheduler 3.11.3 loses the run after the spring change, all of 1 April even."""
    zone = ZoneInfo(name)
    begin = datetime(2026, 1, 1, tzinfo=zone) - timedelta(seconds=1)
    end = datetime(2027, 1, 1, tzinfo=zone) - timedelta(seconds=1)
    found = runs(trigger(zone, **prefixed(spec)), begin, end)
    assert len(found) == days
    assert len({instant.astimezone(zone).date() for instant in found}) == days


def test_a_day_that_a_zone_leaves_out_runs_when_the_next_one_begins() -> None:
    """Samoa had no 30 December 2011."""
    zone = ZoneInfo("Pacific/Apia")
    daily = trigger(zone, schedule_hour="2")
    found = [
        instant.astimezone(zone).strftime("%d %H")
        for instant in runs(daily, utc(2011, 12, 29, 0), utc(2012, 1, 1, 0))
    ]
    assert found == ["29 02", "31 00", "31 02", "01 02"]


def test_an_hourly_interval_stays_hourly() -> None:
    zone = ZoneInfo("America/New_York")
    hourly = trigger(zone, schedule_interval="1 hours", schedule_start_date="2026-03-08T00:00:00")
    found = runs(hourly, utc(2026, 3, 8, 4), utc(2026, 3, 8, 9))
    assert [instant.astimezone(zone).hour for instant in found] == [0, 1, 3, 4, 5]
    assert all(b - a == timedelta(hours=1) for a, b in zip(found, found[1:]))


class OneChange(tzinfo):
    """An hour back, at an instant of one's choice."""

    def __init__(self, change: datetime) -> None:
        self.change = change.replace(tzinfo=None)

    def fromutc(self, utc_reading: datetime) -> datetime:
        after = utc_reading.replace(tzinfo=None) >= self.change
        return (utc_reading + timedelta(hours=0 if after else 1)).replace(fold=int(after))

    def utcoffset(self, reading: datetime | None) -> timedelta:
        assert reading is not None
        naive = reading.replace(tzinfo=None, fold=0)
        before = naive < self.change or (naive < self.change + HOUR and not reading.fold)
        return timedelta(hours=1 if before else 0)

    def dst(self, reading: datetime | None) -> timedelta | None:
        return None


@pytest.mark.long
@given(chance=SEEDS)
@settings(max_examples=200)
def test_no_instant_is_a_bad_one_for_a_change(chance: Random) -> None:
    """Also where one part of the table of changes ends and the next begins."""
    edge = 55 << 25
    change = datetime.fromtimestamp(edge + chance.randint(-90, 90) * 60, UTC)
    schedule = {"schedule_minute": str(chance.randint(0, 59)), "schedule_second": "0"}
    expected = {"first": 4, "second": 4, "both": 5}
    for overlap, count in expected.items():
        found = trigger(OneChange(change), dst={"overlap": overlap}, **schedule)
        assert len(runs(found, change - 2 * HOUR, change + 3 * HOUR)) == count


@pytest.mark.parametrize(("begin", "end", "found"), [(0, 1, 1), (-1, 0, 0), (-1, 1, 1), (1, 2, 0)])
def test_a_change_belongs_to_the_stretch_that_begins_with_it(
    begin: int, end: int, found: int
) -> None:
    change = int(datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp())
    changes = zone_table(ZoneInfo("Europe/Berlin")).changes(change + begin, change + end)
    assert [one.begin - change for one in changes] == [0] * found
