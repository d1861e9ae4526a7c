# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instants and durations as text: one parser and one printer for the whole runner.

Everything inside is an aware datetime in UTC; a naive text belongs to the zone given with it.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UTC = timezone.utc
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
DAY = 86_400  # seconds
UNITS = {"weeks": 7 * DAY, "days": DAY, "hours": 3600, "minutes": 60, "seconds": 1}

_ISO = re.compile(
    r"(\d{4}-\d{2}-\d{2})"
    r"(?:[T ](\d{2}:\d{2})(:\d{2})?(?:[.,](\d{1,9}))?)?"
    r"\s?(Z|z|[+-]\d{2}:?\d{2})?",
    re.ASCII,
)
_DURATION = re.compile(r"(\d{1,18})(?:\s+([a-z]+))?", re.ASCII | re.IGNORECASE)


class UnknownZone(ValueError):
    """A name that is no time zone of this host; hint: the way out."""

    def __init__(self, name: str) -> None:
        self.message = f"{name[:80]!r} is not a time zone of this host"
        self.hint = (
            "write it like Europe/Berlin"
            if _known("Europe/Berlin")
            else "it has no time zones at all but UTC: install its package tzdata"
        )
        super().__init__(f"{self.message} ({self.hint})")


def zone(name: str) -> tzinfo:
    """The IANA time zone *name*.  Raises UnknownZone when the host has none of that name."""
    if name.upper() == "UTC":
        return UTC
    found = _known(name)
    if found is None:
        raise UnknownZone(name)
    return found


def _known(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def parse_instant(text: str, local: tzinfo) -> datetime:
    """An ISO 8601 instant as an aware datetime in UTC.

    A text without offset is wall time in *local*: the first of two equal readings, and the end of
    the gap for a reading that a clock change leaves out.  ValueError when it is not a date.
    """
    match = _ISO.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text[:100]!r} is not a date like 2026-11-24T02:30:00")
    date, clock, seconds, fraction, offset = match.groups()
    try:
        naive = datetime.fromisoformat(f"{date}T{clock or '00:00'}{seconds or ':00'}")
    except ValueError as error:
        raise ValueError(f"{text[:100]!r} is not a date: {error}") from None
    try:
        if fraction is not None:
            naive += timedelta(microseconds=int(f"{fraction}000000"[:6]))
        if offset is not None:
            return naive.replace(tzinfo=_offset(offset)).astimezone(UTC)
        return _from_wall(naive, local)
    except (OverflowError, ValueError):
        raise ValueError(f"{text[:100]!r} is outside the years that can be computed with") from None


@lru_cache(maxsize=64)
def _offset(text: str) -> tzinfo:
    if text in "Zz":
        return UTC
    sign = -1 if text[0] == "-" else 1
    digits = text[1:].replace(":", "")
    return timezone(sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:])))


def _from_wall(naive: datetime, local: tzinfo) -> datetime:
    first, second = (naive.replace(tzinfo=local, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        return first
    # In a gap: fold=1 maps before the change and fold=0 after it; the change lies between.
    low, high = ((instant - EPOCH) // _SECOND for instant in (second, first))
    return EPOCH + timedelta(seconds=offset_change(local, low, high))


def utc_offset(zone: tzinfo, instant: int) -> int:
    """Seconds by which the clocks of *zone* are ahead of UTC at *instant* (seconds since 1970)."""
    offset = (EPOCH + timedelta(seconds=instant)).astimezone(zone).utcoffset()
    assert offset is not None  # an aware datetime has one
    return int(offset.total_seconds())


def offset_change(zone: tzinfo, low: int, high: int) -> int:
    """The first second after *low* with the offset of *high*, between which *zone* has one change;
    all in seconds since 1970 UTC."""
    goal = utc_offset(zone, high)
    while high - low > 1:
        middle = (low + high) // 2
        if utc_offset(zone, middle) == goal:
            high = middle
        else:
            low = middle
    return high


def in_largest_unit(seconds: int) -> tuple[int, str]:
    """Number and unit of a duration in the largest unit that divides it: (90, "minutes")."""
    for unit, size in UNITS.items():
        if seconds and seconds % size == 0:
            return seconds // size, unit
    return seconds, "seconds"


def iso(instant: datetime) -> str:
    """UTC text of an aware datetime: 2026-11-25T02:30:00+00:00."""
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    return instant.isoformat()


def from_epoch(seconds: float) -> datetime:
    """The aware UTC datetime of POSIX *seconds*."""
    try:
        # fromtimestamp asks the C library, which counts leap seconds under a TZ like right/UTC.
        return EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return datetime.fromtimestamp(seconds, UTC)  # its errors are those that callers know


def parse_duration(value: str | int) -> int:
    """Seconds of "30 minutes", "1 hour", "90" or 90; ValueError names what is accepted."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is not None:
        number, unit = int(match[1]), (match[2] or "seconds").lower()
        unit = unit if unit.endswith("s") else unit + "s"
        if unit in UNITS:
            return number * UNITS[unit]
    shown = value[:100] if isinstance(value, str) else value
    raise ValueError(f"{shown!r} is not a duration like '30 minutes' ({', '.join(UNITS)})")
