# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which readings of a calendar and a clock on the wall match the fields; zones are not known here.

A day is the number of days since 1970-01-01, a reading the seconds since then, both of local time.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from datetime import date
from functools import lru_cache

from coldchain.core.instants import DAY
from coldchain.schedule.cron import EVERY, FIRST_YEAR, LAST, LAST_YEAR, CronField

_EPOCH = date(FIRST_YEAR, 1, 1).toordinal()
_YEARS = range(FIRST_YEAR, LAST_YEAR + 1)
_STARTS = [date(year, 1, 1).toordinal() - _EPOCH for year in (*_YEARS, LAST_YEAR + 1)]
END_DAY = _STARTS[-1]


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


# Month, day, ISO week and weekday of all days of a year follow from three facts; there are no
# more than 28 kinds of years, so the matching days of a schedule are worked out once per kind.
_KINDS = [(date(year, 1, 1).weekday(), _leap(year), _leap(year - 1)) for year in _YEARS]
_EXAMPLE = {kind: year for year, kind in zip(_YEARS, _KINDS)}
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Dates:
    """The dates that match year, month, day, week and day_of_week, all of them at once."""

    def __init__(
        self, year: CronField, month: CronField, day: CronField, week: CronField, weekday: CronField
    ) -> None:
        self._years = None if len(year.values) == len(_YEARS) else frozenset(year.values)
        self._months = month.values
        self._day = day
        self._weeks = None if len(week.values) == 53 else frozenset(week.values)
        self._weekdays = frozenset(weekday.values)
        self._every = (
            self._years is None
            and self._weeks is None
            and (len(month.values), len(day.values), len(weekday.values)) == (12, 31, 7)
        )
        self._patterns: dict[tuple[int, bool, bool], tuple[int, ...]] = {}

    def next(self, day: int) -> int | None:
        """The first matching day from *day* on; None after the last year."""
        if self._every:
            return day if day < END_DAY else None
        index = bisect_right(_STARTS, day) - 1
        offset = day - _STARTS[index]
        while index < len(_KINDS):
            if self._years is None or FIRST_YEAR + index in self._years:
                kind = _KINDS[index]
                pattern = self._patterns.get(kind)
                if pattern is None:
                    pattern = self._patterns[kind] = self._pattern(_EXAMPLE[kind])
                place = bisect_left(pattern, offset)
                if place < len(pattern):
                    return _STARTS[index] + pattern[place]
            index += 1
            offset = 0
        return None

    def _pattern(self, year: int) -> tuple[int, ...]:
        """The matching days of *year*, counted from its first."""
        days = []
        for month in self._months:
            start = date(year, month, 1)
            size = _MONTH_DAYS[month - 1] + (month == 2 and _leap(year))
            base = start.toordinal() - date(year, 1, 1).toordinal()
            first_weekday = start.weekday()
            for day in sorted(self._days(size, first_weekday)):
                if (first_weekday + day - 1) % 7 in self._weekdays and (
                    self._weeks is None or start.replace(day=day).isocalendar()[1] in self._weeks
                ):
                    days.append(base + day - 1)
        return tuple(days)

    def _days(self, size: int, first_weekday: int) -> set[int]:
        """The days of a month of *size* days that the field day names."""
        days = {day for day in self._day.values if day <= size}
        if self._day.last:
            days.add(size)
        for ordinal, weekday in self._day.weekdays:
            first = (weekday - first_weekday) % 7 + 1
            if ordinal == EVERY:
                days.update(range(first, size + 1, 7))
            elif ordinal == LAST:
                days.add(first + (size - first) // 7 * 7)
            elif first + 7 * ordinal <= size:
                days.add(first + 7 * ordinal)
        return days


class Times:
    """The times of day that match hour, minute and second; all in seconds since midnight."""

    def __init__(self, hour: CronField, minute: CronField, second: CronField) -> None:
        self._hours = hour.values
        self._minutes = minute.values
        self._seconds = second.values
        self.first = self._hours[0] * 3600 + self._minutes[0] * 60 + self._seconds[0]
        self._single = len(self._hours) == len(self._minutes) == len(self._seconds) == 1

    def next(self, time: int) -> int | None:
        """The first matching time from *time* on; None when the day has no more."""
        if time <= self.first:
            return self.first
        if self._single:
            return None
        hours, minutes, seconds = self._hours, self._minutes, self._seconds
        hour, rest = divmod(time, 3600)
        minute, second = divmod(rest, 60)
        at = bisect_left(hours, hour)
        if at < len(hours) and hours[at] == hour:
            index = bisect_left(minutes, minute)
            if index < len(minutes) and minutes[index] == minute:
                last = bisect_left(seconds, second)
                if last < len(seconds):
                    return hour * 3600 + minute * 60 + seconds[last]
                index += 1
            if index < len(minutes):
                return hour * 3600 + minutes[index] * 60 + seconds[0]
            at += 1
        if at < len(hours):
            return hours[at] * 3600 + minutes[0] * 60 + seconds[0]
        return None


class Readings:
    """The local readings that match all eight fields."""

    def __init__(self, fields: Mapping[str, CronField]) -> None:
        self._dates = _shared_dates(
            fields["year"], fields["month"], fields["day"], fields["week"], fields["day_of_week"]
        )
        self._times = Times(fields["hour"], fields["minute"], fields["second"])

    def next(self, reading: int) -> int | None:
        """The first matching reading from *reading* on; None after the last year."""
        day, time = divmod(reading, DAY) if reading > 0 else (0, 0)
        date = self._dates.next(day)
        if date == day:
            later = self._times.next(time)
            if later is not None:
                return day * DAY + later
            date = self._dates.next(day + 1)
        return None if date is None else date * DAY + self._times.first


# Thousands of jobs have few different date parts: they share the days worked out.
@lru_cache(maxsize=1024)
def _shared_dates(
    year: CronField, month: CronField, day: CronField, week: CronField, weekday: CronField
) -> Dates:
    return Dates(year, month, day, week, weekday)
