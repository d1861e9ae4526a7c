# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random schedules, and slow but obvious second opinions on when they fire.

Names and ranges stand here once more on purpose: an opinion that took them from the schedule would
share its mistakes.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from functools import cached_property, lru_cache
from itertools import chain
from random import Random

from hypothesis import strategies as st

from coldchain.schedule import Trigger, build

UTC = timezone.utc
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
_OF_A_MINUTE = [number * SECOND for number in range(60)]
CREATED = datetime(2026, 1, 1, tzinfo=UTC)
ZONES = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
RANGES = {
    "year": (2020, 2040),
    "month": (1, 12),
    "day": (1, 31),
    "week": (1, 53),
    "day_of_week": (0, 6),
    "hour": (0, 23),
    "minute": (0, 59),
    "second": (0, 59),
}


def trigger(zone: tzinfo = UTC, key: str = "client/job", **job_schedule: object) -> Trigger:
    """A trigger of a job declared on 2026-01-01."""
    return build(job_schedule, zone=zone, created=CREATED, key=key)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def runs(found: Trigger, after: datetime, until: datetime) -> list[datetime]:
    """The instants of all occurrences in after < at <= until."""
    instants = []
    occurrence = found.next(after)
    while occurrence is not None and occurrence.at <= until:
        instants.append(occurrence.at)
        occurrence = found.next(occurrence.at)
    return instants


# -- random cron-like fields, in the part of the grammar that APScheduler has too --------------


@st.composite
def _term(draw: st.DrawFn, name: str) -> str:
    low, high = RANGES[name]
    if name == "day":
        special = draw(st.integers(0, 5))
        if special == 0:
            return "last"
        if special == 1:
            ordinal = draw(st.sampled_from(("1st", "2nd", "3rd", "4th", "5th", "last")))
            return f"{ordinal} {draw(st.sampled_from(WEEKDAYS))}"
    kind = draw(st.integers(0, 4))
    if kind == 0:
        return "*"
    if kind == 1:
        full = 230 if name == "year" else high - low
        return f"*/{draw(st.integers(1, min(full, 3 * (high - low) // 4)))}"
    first = draw(st.integers(low, high))
    last = draw(st.integers(first, high))
    names = {"month": ("", *MONTHS), "day_of_week": WEEKDAYS}.get(name)
    if kind == 2 or first == last:
        return names[first] if names and draw(st.booleans()) else f"{first:02}"
    if kind == 3:
        if names and draw(st.booleans()):
            return f"{names[first]}-{names[last]}"
        return f"{first}-{last}"
    return f"{first}-{last}/{draw(st.integers(1, last - first))}"


@st.composite
def specs(draw: st.DrawFn) -> dict[str, str]:
    """Cron-like fields without the prefix "schedule_", at least one."""
    names = draw(st.sets(st.sampled_from(list(RANGES)), min_size=1, max_size=5))
    return {
        name: ", ".join(draw(st.lists(_term(name), min_size=1, max_size=3)))
        for name in RANGES
        if name in names
    }


def prefixed(spec: Mapping[str, str]) -> dict[str, str]:
    return {f"schedule_{name}": text for name, text in spec.items()}


# -- a walk over every second around a clock change ---------------------------------------------


@dataclass(frozen=True)
class TimesOfDay:
    """A daily schedule with the times written out; wildcard: hour or minute is "*" or "*/n"."""

    spec: dict[str, str]
    hours: frozenset[int]
    minutes: frozenset[int]
    seconds: frozenset[int]
    weekdays: frozenset[int]
    wildcard: bool

    @classmethod
    def written(cls, hour: str, minute: str, weekdays: str, second: str = "0") -> TimesOfDay:
        """From values, "a-b", "*" and "*/n"."""
        return cls(
            {"hour": hour, "minute": minute, "second": second, "day_of_week": weekdays},
            _listed(hour, 24),
            _listed(minute, 60),
            _listed(second, 60),
            _listed(weekdays, 7),
            "*" in hour + minute,
        )

    def matches(self, reading: datetime) -> bool:
        return (
            reading.second in self.seconds
            and reading.minute in self.minutes
            and reading.hour in self.hours
            and reading.weekday() in self.weekdays
        )


def _listed(text: str, size: int) -> frozenset[int]:
    if text.startswith("*"):
        return frozenset(range(0, size, int(text[2:] or 1)))
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


# Hypothesis repeats itself and prefers the simple; a chance is to be had once in some hundred.
SEEDS = st.integers(0, 2**64 - 1).map(Random)


def times_of_day(chance: Random) -> TimesOfDay:
    """Any daily schedule, with a liking for the hours in which most zones change their clocks."""

    def some(low: int, high: int, most: int) -> str:
        count = chance.randint(1, min(most, high - low + 1))
        return ",".join(map(str, sorted(chance.sample(range(low, high + 1), count))))

    def stepped(size: int) -> str:
        return chance.choice(("*", f"*/{chance.randint(1, size - 1)}"))

    return TimesOfDay.written(
        chance.choice((some(0, 3, 4), some(0, 23, 12), stepped(24))),
        chance.choice((some(0, 59, 1), some(0, 59, 4), stepped(60))),
        chance.choice(("0-6", some(0, 6, 5))),
        chance.choice(("0", "0", some(0, 59, 2))),
    )


@dataclass(frozen=True)
class Walk:
    """Every second around an instant: what the clocks of a zone show.

    shown: (instant, reading, first or only time, last or only time); left_out: (reading that no
    clock shows, instant at which the gap ends, instant of the reading by the old offset).
    """

    begin: datetime
    end: datetime
    shown: list[tuple[datetime, datetime, bool, bool]]
    left_out: list[tuple[datetime, datetime, datetime]]

    @cached_property
    def _by_second(self) -> dict[int, list[tuple[datetime, datetime, bool, bool]]]:
        found: dict[int, list[tuple[datetime, datetime, bool, bool]]] = {}
        for entry in self.shown:
            found.setdefault(entry[1].second, []).append(entry)
        return found

    def of(self, schedule: TimesOfDay) -> Walk:
        """Only the readings that match, in no order."""
        seconds = (self._by_second.get(second, ()) for second in schedule.seconds)
        return Walk(
            self.begin,
            self.end,
            [entry for entry in chain.from_iterable(seconds) if schedule.matches(entry[1])],
            [entry for entry in self.left_out if schedule.matches(entry[0])],
        )

    def fires(self, gap: str, overlap: str) -> list[datetime]:
        found = {
            instant
            for instant, _, first, last in self.shown
            if overlap == "both" or (first if overlap == "first" else last)
        }
        if gap != "skip":
            found |= {end if gap == "next" else shifted for _, end, shifted in self.left_out}
        return sorted(instant for instant in found if self.begin < instant <= self.end)


@lru_cache(maxsize=64)
def walk(name: str, around: datetime) -> Walk:
    """The walk from 4 hours before *around* to 5 hours after it."""
    zone = zoneinfo.ZoneInfo(name)
    begin, end = around - timedelta(hours=4), around + timedelta(hours=5)
    shown, left_out = [], []
    expected: datetime | None = None
    instant = begin
    while instant <= end:
        local = instant.astimezone(zone)
        # To ask a zone for each second takes most of the time; within a minute no clock changes.
        assert (instant + 59 * SECOND).astimezone(zone).utcoffset() == local.utcoffset()
        reading = local.replace(tzinfo=None, fold=0)
        once = local.utcoffset() == local.replace(fold=1 - local.fold).utcoffset()
        first, last = once or local.fold == 0, once or local.fold == 1
        shown += [(instant + second, reading + second, first, last) for second in _OF_A_MINUTE]
        if expected is not None and reading > expected:
            step = reading - expected
            missing = expected
            while missing < reading:
                old = missing - (local.utcoffset() - step)
                left_out.append((missing, instant, old.replace(tzinfo=UTC)))
                missing += SECOND
        expected = reading + MINUTE
        instant += MINUTE
    return Walk(begin, end, shown, left_out)


@lru_cache(maxsize=2048)
def changes(name: str, year: int) -> tuple[datetime, ...]:
    """The clock changes of a zone in a year, to the minute."""
    zone = zoneinfo.ZoneInfo(name)

    def offset(instant: datetime) -> timedelta | None:
        return instant.astimezone(zone).utcoffset()

    found = []
    step = timedelta(minutes=1 << 11)  # a day and a half: no zone has changed back so soon
    instant = datetime(year, 1, 1, tzinfo=UTC)
    before = offset(instant)
    while instant.year == year:
        later = instant + step
        after = offset(later)
        if after != before:
            half, change = step / 2, later
            while half >= MINUTE:  # the first minute of the new offset
                if offset(change - half) != before:
                    change -= half
                half /= 2
            if change.year == year:
                found.append(change)
        instant, before = later, after
    return tuple(found)
