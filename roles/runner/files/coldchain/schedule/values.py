# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of a job_schedule, each from its text: what is not acceptable raises NotAcceptable."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo

from coldchain.core.instants import DAY, UNITS, UnknownZone, parse_duration, parse_instant
from coldchain.core.instants import zone as zone_of
from coldchain.schedule.cron import FIRST_YEAR, LAST_YEAR, parse_field
from coldchain.schedule.errors import quoted
from coldchain.schedule.field_reader import NotAcceptable

_LONGEST = 100 * 366 * DAY  # of an interval, a splay or an age, in seconds
_LENGTH = 60  # of the text of a date or duration
_INTERVAL = re.compile(r"([0-9]{1,12})\s+([a-z]+)")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")


def cron_field(name: str, value: object) -> str:
    """The text of a cron-like field, also of a number; name: without "schedule_"."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise NotAcceptable(f"{quoted(value)} is neither text nor a whole number")
    text = str(value) if isinstance(value, str) or abs(value) < 10**9 else "1000000000"
    parse_field(name, text)
    return text


def zone(value: object) -> tzinfo:
    """A time zone of this host by its name."""
    if not isinstance(value, str):
        raise NotAcceptable(f"{quoted(value)} is not the name of a time zone", "like Europe/Berlin")
    try:
        return zone_of(value)
    except UnknownZone as error:
        raise NotAcceptable(error.message, error.hint) from None


def instant(value: object, local: tzinfo) -> datetime:
    """An aware instant; local: of a text without an offset."""
    hint = "write it like 2026-11-24T02:30:00, with Z or +01:00 where it is not the job's own zone"
    if not isinstance(value, str) or len(value) > _LENGTH:
        raise NotAcceptable(f"{quoted(value)} is not a date", hint)
    try:
        parsed = parse_instant(value, local)
    except (ValueError, OverflowError) as error:
        raise NotAcceptable(str(error), hint) from None
    if not FIRST_YEAR < parsed.year < LAST_YEAR:
        raise NotAcceptable(
            f"{quoted(value)} is too far away",
            f"years {FIRST_YEAR + 1}-{LAST_YEAR - 1} can be used",
        )
    return parsed


def interval(value: object) -> int:
    """Seconds of "N unit"; 0 for "continuous"."""
    hint = f"'continuous' or a number and a unit, as in '5 minutes' ({', '.join(UNITS)})"
    text = value.strip().lower() if isinstance(value, str) else ""
    if text == "continuous":
        return 0
    match = _INTERVAL.fullmatch(text)
    number, unit = match.groups() if match is not None else ("", "")
    unit = unit if unit.endswith("s") else f"{unit}s"
    if unit not in UNITS:
        raise NotAcceptable(f"{quoted(value)} is not an interval", hint)
    period = int(number) * UNITS[unit]
    if period == 0:
        raise NotAcceptable(
            "an interval of 0 never passes", "'continuous' runs again as soon as a run has ended"
        )
    if period > _LONGEST:
        raise NotAcceptable(f"{quoted(value)} is longer than 100 years", hint)
    return period


def duration(value: object) -> int:
    """The seconds of a duration, as in '30 minutes'.  Raises NotAcceptable."""
    hint = f"write it like '30 minutes' ({', '.join(UNITS)}) or as a number of seconds"
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise NotAcceptable(f"{quoted(value)} is not a duration", hint)
    if isinstance(value, str) and len(value) > _LENGTH:
        raise NotAcceptable(f"{quoted(value)} is not a duration", hint)
    try:
        seconds = parse_duration(value)
    except ValueError:
        raise NotAcceptable(f"{quoted(value)} is not a duration", hint) from None
    if seconds > _LONGEST:
        raise NotAcceptable(f"{quoted(value)} is longer than 100 years", hint)
    return seconds


def time_of_day(value: object) -> int:
    """Seconds since midnight of "06:00"; "24:00" is the end of the day."""
    match = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is not None:
        hour, minute, second = (int(part or 0) for part in match.groups())
        time = hour * 3600 + minute * 60 + second
        if minute < 60 and second < 60 and time <= DAY:
            return time
    raise NotAcceptable(f"{quoted(value)} is not a time of day", "write it quoted, like '06:00'")


def switch(value: object) -> bool:
    """The value of a field that is true or false.  Raises NotAcceptable."""
    if not isinstance(value, bool):
        raise NotAcceptable(
            f"{quoted(value)} is neither true nor false", "write true, or leave it out"
        )
    return value


def choice(choices: Sequence[str]) -> Callable[[object], str]:
    """A parser of a field that is one of *choices*; it raises NotAcceptable."""

    def parse(value: object) -> str:
        if value not in choices:
            raise NotAcceptable(f"{quoted(value)} is not a choice", f"one of {', '.join(choices)}")
        return str(value)

    return parse


def weekdays(value: object) -> frozenset[int]:
    """The days from Monday, 0, on."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise NotAcceptable(f"{quoted(value)} is not a weekday", "write it like mon-fri")
    return frozenset(parse_field("day_of_week", str(value)[:1000]).values)
