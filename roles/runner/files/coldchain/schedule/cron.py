# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse the eight cron-like fields.  Strict: what is not understood completely is refused."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from coldchain.schedule.errors import ScheduleError, quoted

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONTHS = (
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
)  # fmt: skip
ORDINALS = ("1st", "2nd", "3rd", "4th", "5th", "last")
LAST = 5  # ordinal of "last" in ORDINALS
EVERY = -1  # ordinal of a weekday name alone: each such day of the month

FIRST_YEAR, LAST_YEAR = 1970, 2199
# From coarse to fine: the order decides what a field means that is not given.
LIMITS = {
    "year": (FIRST_YEAR, LAST_YEAR),
    "month": (1, 12),
    "day": (1, 31),
    "week": (1, 53),
    "day_of_week": (0, 6),
    "hour": (0, 23),
    "minute": (0, 59),
    "second": (0, 59),
}
FIELDS = tuple(LIMITS)
_NAMES = {"month": (MONTHS, 1), "day_of_week": (WEEKDAYS, 0)}
_ALLOWED = {
    "month": "1-12 or jan-dec",
    "day": "1-31, last, a weekday (mon) or one of the month's weekdays (2nd mon, last fri)",
    "day_of_week": "0-6 or mon-sun; 0 is Monday",
}
_TERM = re.compile(r"(?:(\*)|([a-z0-9]+)(?:-([a-z0-9]+))?)(?:/([0-9]+))?")
_NTH = re.compile(r"([a-z0-9]+)\s+([a-z]+)")
_NUMBER = re.compile(r"[0-9]+")


class CronField(NamedTuple):
    """One parsed field.

    values: the plain numbers, ascending; star: the field contains ``*`` (or ``*/n``) or names its
    whole range; last: the last day of the month; weekdays: pairs (ordinal, weekday) of the field
    ``day``, where ordinal is 0-4, LAST or EVERY.
    """

    values: tuple[int, ...]
    star: bool
    last: bool = False
    weekdays: tuple[tuple[int, int], ...] = ()


def allowed(name: str) -> str:
    """The values of a field, for messages."""
    low, high = LIMITS[name]
    return _ALLOWED.get(name, f"{low}-{high}")


@lru_cache(maxsize=4096)
def parse_field(name: str, text: str) -> CronField:
    """The field *name* (without "schedule_"); ScheduleError names the field and the bad part.

    A list separated by commas of ``*``, ``a``, ``a-b``, each with an optional ``/step``.  Ranges
    may wrap around (fri-mon, 22-2), except for years.
    """
    low, high = LIMITS[name]
    numbers: set[int] = set()
    weekdays: set[tuple[int, int]] = set()
    star = last = False
    for part in text.lower().split(","):
        term = part.strip()
        if not term:
            raise _refused(name, f"{quoted(text)} has an empty part", "remove the extra comma")
        if name == "day":
            if term == "last":
                last = True
                continue
            ordinals = _month_weekdays(name, term)
            if ordinals:
                weekdays.update(ordinals)
                continue
        match = _TERM.fullmatch(term)
        if match is None:
            raise _unreadable(name, term)
        everything, first, final, step = match.groups()
        star = star or bool(everything)
        if everything:
            start, end = low, high
        else:
            start = _number(name, first)
            end = _number(name, final) if final else high if step else start
        numbers.update(_range(name, term, start, end, step))
    whole = len(numbers) == high - low + 1
    return CronField(tuple(sorted(numbers)), star or whole, last, tuple(sorted(weekdays)))


def _range(name: str, term: str, start: int, end: int, step: str | None) -> list[int]:
    low, high = LIMITS[name]
    size = high - low + 1
    if start > end and name == "year":
        raise _refused(
            name, f"the range {quoted(term)} runs backwards", "write the lower year first"
        )
    span = end - start if start <= end else end - start + size
    stride = 1 if step is None else _step(name, term, step, span)
    return [low + (start - low + i) % size for i in range(0, span + 1, stride)]


def _step(name: str, term: str, step: str, span: int) -> int:
    stride = int(step) if len(step) <= 4 else 10_000
    if stride == 0:
        raise _refused(name, f"the step of {quoted(term)} is 0", "a step is at least 1")
    if stride > span:
        raise _refused(
            name,
            f"the step of {quoted(term)} is wider than its range",
            f"write a step of at most {span}, or a single value" if span else "leave the step out",
        )
    return stride


def _number(name: str, word: str) -> int:
    names, base = _NAMES.get(name, ((), 0))
    if word in names:
        return names.index(word) + base
    low, high = LIMITS[name]
    if _NUMBER.fullmatch(word) is None:
        long_name = next((short for short in (*names,) if word.startswith(short)), "")
        hint = f"did you mean {long_name!r}? " if long_name else ""
        raise _refused(name, f"{quoted(word)} is not a value", f"{hint}allowed: {allowed(name)}")
    value = int(word) if len(word) <= 6 else high + 1
    if not low <= value <= high:
        hint = f"allowed: {allowed(name)}"
        if name == "day_of_week" and value == 7:
            hint = "0 is Monday and 6 is Sunday here (cron's Sunday is 0 or 7); or write 'sun'"
        elif name == "month" and value == 0:
            hint = "January is 1; or write 'jan'"
        raise _refused(name, f"{quoted(word)} is out of range", hint)
    return value


def _month_weekdays(name: str, term: str) -> list[tuple[int, int]]:
    """``2nd mon``, ``last fri``, ``mon``, ``mon-fri`` of the field day; [] for anything else."""
    match = _NTH.fullmatch(term)
    if match is not None:
        ordinal, weekday = match.groups()
        if ordinal not in ORDINALS:
            raise _refused(
                name, f"{quoted(ordinal)} is not an ordinal", f"allowed: {', '.join(ORDINALS)}"
            )
        if weekday not in WEEKDAYS:
            raise _refused(
                name, f"{quoted(weekday)} is not a weekday", f"allowed: {', '.join(WEEKDAYS)}"
            )
        return [(ORDINALS.index(ordinal), WEEKDAYS.index(weekday))]
    first, dash, final = term.partition("-")
    if first in WEEKDAYS and (final in WEEKDAYS if dash else not final):
        start = WEEKDAYS.index(first)
        span = (WEEKDAYS.index(final) - start) % 7 if dash else 0
        return [(EVERY, (start + i) % 7) for i in range(span + 1)]
    return []


def _unreadable(name: str, term: str) -> ScheduleError:
    hint = f"allowed: {allowed(name)}; lists (1,3), ranges (1-5), steps (*/2)"
    joined = re.sub(r"\s*([-/])\s*", r"\1", term)
    if joined != term:
        hint = f"write it without blanks: {quoted(joined)}"
    elif " " in term:
        hint = f"separate the values by commas; allowed: {allowed(name)}"
    return _refused(name, f"cannot read {quoted(term)}", hint)


def _refused(name: str, message: str, hint: str) -> ScheduleError:
    return ScheduleError(f"schedule_{name}", message, hint)
