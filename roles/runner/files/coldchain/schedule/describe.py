# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schedules in words, for `explain`, `validate` and the calendar of a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple

from coldchain.core.instants import in_largest_unit
from coldchain.schedule.blackout import Blackout
from coldchain.schedule.cron import EVERY, LIMITS, ORDINALS, WEEKDAYS, CronField

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_FEW = 6  # times of day that are listed one by one


class Conditions(NamedTuple):
    """What is said of every kind of schedule; splay and offset in seconds."""

    zone: tzinfo
    start: datetime | None
    end: datetime | None
    splay: int
    offset: int | None
    blackout: Blackout | None

    def of_once(self) -> str:
        """A job without schedule."""
        return f"once, when it is declared{self._tail(bounds=False)}"

    def of_boot(self) -> str:
        """A job with schedule_boot."""
        return f"once after each boot of the host{self._tail(bounds=False)}"

    def of_date(self, date: datetime) -> str:
        """A job with schedule_date."""
        return f"once, on {local(date, self.zone)}{self._tail(bounds=False)}"

    def of_continuous(self) -> str:
        """A job that runs again and again."""
        return f"continuously: again as soon as a run has ended{self._tail()}"

    def of_interval(self, period: int, first: datetime) -> str:
        """A job with schedule_interval; period in seconds, first the slot that it counts from."""
        counted = f"every {duration(period)}, counted from {local(first, self.zone)}"
        until = "" if self.end is None else f", until {local(self.end, self.zone)}"
        return f"{counted}{until}{self._tail(bounds=False)}"

    def of_cron(self, fields: Mapping[str, CronField]) -> str:
        """A job with cron-like fields."""
        time, date = times(fields), dates(fields)
        if _round_the_clock(fields):
            date = date.replace("every day", "").strip()
        text = f"{time} {date}" if date else time
        return f"{text} ({zone_name(self.zone)}){self._tail()}"

    def _tail(self, *, bounds: bool = True) -> str:
        parts = []
        if bounds and self.start is not None:
            parts.append(f"from {local(self.start, self.zone)}")
        if bounds and self.end is not None:
            parts.append(f"until {local(self.end, self.zone)}")
        if self.offset is not None:
            parts.append(f"each run {duration(self.offset)} later, of {duration(self.splay)}")
        elif self.splay:
            parts.append(f"spread over {duration(self.splay)}")
        if self.blackout is not None:
            parts += [f"not {window.text}" for window in self.blackout.windows]
        return "".join(f", {part}" for part in parts)


def local(instant: datetime, zone: tzinfo) -> str:
    """An instant in its zone: 2026-11-25 03:25:00 CET."""
    wall = instant.astimezone(zone)
    return f"{wall:%Y-%m-%d %H:%M:%S} {wall.tzname()}"


def zone_name(zone: tzinfo) -> str:
    """The name of a zone as it is written in a document."""
    return str(getattr(zone, "key", None) or zone)


def duration(seconds: int) -> str:
    """Seconds in the largest unit that divides them: "90 minutes", "1 day"."""
    number, unit = in_largest_unit(seconds)
    return f"{number} {unit[:-1] if number == 1 else unit}"


def window(start: int, end: int, weekdays: frozenset[int] | None, zone: tzinfo | None) -> str:
    """A blackout window: "08:00-18:00 mon-fri"."""
    text = f"{_clock(start)}-{_clock(end)}"
    if weekdays is not None and len(weekdays) < 7:
        text += f" {','.join(_spans(sorted(weekdays), WEEKDAYS))}"
    return text if zone is None else f"{text} ({zone_name(zone)})"


def times(fields: Mapping[str, CronField]) -> str:
    """The time of day: "at 03:25", "every 15 minutes"."""
    hours, minutes, seconds = (fields[name].values for name in ("hour", "minute", "second"))
    if len(hours) * len(minutes) * len(seconds) <= _FEW:
        return "at " + _listed(
            [_clock(h * 3600 + m * 60 + s) for h in hours for m in minutes for s in seconds]
        )
    if minutes == seconds == (0,):
        return _pace("hour", hours)
    if len(hours) == 24 and seconds == (0,):
        pace = _pace("minute", minutes)
        return pace if pace.startswith("every") else f"{pace} of every hour"
    if len(hours) == 24 and len(minutes) == 60:
        pace = _pace("second", seconds)
        return pace if pace.startswith("every") else f"{pace} of every minute"
    parts = []
    if seconds != (0,):
        parts.append(_pace("second", seconds))
    parts.append(_pace("minute", minutes))
    parts.append(_pace("hour", hours) if len(hours) < 24 else "every hour")
    return " of ".join(parts)


def _round_the_clock(fields: Mapping[str, CronField]) -> bool:
    """Whether the time of day says already that it is every day."""
    return len(fields["hour"].values) == 24 or (
        times(fields).startswith("every") and fields["hour"].star
    )


def _pace(unit: str, values: Sequence[int]) -> str:
    """Such as "every minute", "every 15 minutes", "minutes 5, 10 and 20-25"."""
    size = LIMITS[unit][1] + 1
    step = values[1] - values[0] if len(values) > 1 else 0
    if len(values) == size:
        return f"every {unit}"
    if step > 1 and size % step == 0 and list(values) == list(range(values[0], size, step)):
        after = f" from {unit} {values[0]} on" if values[0] else ""
        return f"every {step} {unit}s{after}"
    return f"{unit}{'s' if len(values) > 1 else ''} {_listed(_spans(values))}"


def dates(fields: Mapping[str, CronField]) -> str:
    """The days: "every day", "on Monday in week 5"."""
    parts = []
    day, weekday = fields["day"], fields["day_of_week"]
    in_month = []
    if len(day.values) < 31:
        every = [number for ordinal, number in day.weekdays if ordinal == EVERY]
        if every:
            in_month += _spans(every, _WEEKDAYS)
        if day.values:
            in_month.append(f"day {_listed(_spans(day.values))} of the month")
        if day.last:
            in_month.append("the last day of the month")
        in_month += [
            f"the {ORDINALS[ordinal]} {_WEEKDAYS[number]} of the month"
            for ordinal, number in day.weekdays
            if ordinal != EVERY
        ]
        parts.append(f"on {_listed(in_month)}")
    if len(weekday.values) < 7:
        names = _spans(weekday.values, _WEEKDAYS)
        parts.append(f"if that is {_listed(names, 'or')}" if in_month else f"on {_listed(names)}")
    if len(fields["month"].values) < 12:
        months = _spans([number - 1 for number in fields["month"].values], _MONTHS)
        parts.append(f"in {_listed(months)}")
    if len(fields["week"].values) < 53:
        parts.append(f"in ISO week {_listed(_spans(fields['week'].values))}")
    low, high = LIMITS["year"]
    if len(fields["year"].values) <= high - low:
        parts.append(f"in {_listed(_spans(fields['year'].values))}")
    if len(day.values) == 31 and len(weekday.values) == 7:
        parts.insert(0, "every day")
    return " ".join(parts)


def _listed(words: Sequence[str], link: str = "and") -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {link} {words[-1]}"


def _spans(values: Sequence[int], names: Sequence[str] = ()) -> list[str]:
    """Ascending numbers, three or more in a row drawn together: 1-6, 9."""
    spans: list[str] = []
    index = 0
    while index < len(values):
        end = index
        while end + 1 < len(values) and values[end + 1] == values[end] + 1:
            end += 1
        words = [names[value] if names else str(value) for value in values[index : end + 1]]
        if len(words) > 2:
            words = [f"{words[0]}{' to ' if names and len(names[0]) > 3 else '-'}{words[-1]}"]
        spans += words
        index = end + 1
    return spans


def _clock(time: int) -> str:
    hour, rest = divmod(time, 3600)
    minute, second = divmod(rest, 60)
    text = f"{hour:02}:{minute:02}"
    return f"{text}:{second:02}" if second else text
