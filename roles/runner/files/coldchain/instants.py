# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instants and durations as text: one parser and one printer for the whole runner.

Everything inside is an aware datetime in UTC; a naive text belongs to the zone given with it.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UTC = timezone.utc
UNITS = {"weeks": 604800, "days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}

_ISO = re.compile(
    r"(\d{4}-\d{2}-\d{2})"
    r"(?:[T ](\d{2}:\d{2})(:\d{2})?(?:[.,](\d{1,9}))?)?"
    r"\s?(Z|z|[+-]\d{2}:?\d{2})?"
)
_DURATION = re.compile(r"(\d+)(?:\s+([a-z]+))?", re.IGNORECASE)


def zone(name: str) -> tzinfo:
    """The IANA time zone *name*; ValueError with a remedy when the host does not know it."""
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{name!r} is not a time zone of this host (write it like Europe/Berlin)"
        ) from None


def parse_instant(text: str, local: tzinfo) -> datetime:
    """An ISO 8601 instant as an aware datetime in UTC.

    A text without offset is wall time in *local*: the first of two equal readings, and the end of
    the gap for a reading that a clock change leaves out.  ValueError when it is not a date.
    """
    match = _ISO.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a date like 2026-11-24T02:30:00")
    date, clock, seconds, fraction, offset = match.groups()
    try:
        naive = datetime.fromisoformat(f"{date}T{clock or '00:00'}{seconds or ':00'}")
    except ValueError as error:
        raise ValueError(f"{text!r} is not a date: {error}") from None
    naive += timedelta(microseconds=int(((fraction or "") + "000000")[:6]))
    try:
        if offset is not None:
            return naive.replace(tzinfo=_offset(offset)).astimezone(UTC)
        return _from_wall(naive, local)
    except (OverflowError, ValueError):
        raise ValueError(f"{text!r} is outside the years that can be computed with") from None


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
    low, high = second, first
    goal = high.astimezone(local).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if middle <= low:
            break
        if middle.astimezone(local).utcoffset() == goal:
            high = middle
        else:
            low = middle
    return high.replace(microsecond=0)


def iso(instant: datetime) -> str:
    """UTC text of an aware datetime: 2026-11-25T02:30:00+00:00."""
    return instant.astimezone(UTC).isoformat()


def from_epoch(seconds: float) -> datetime:
    """The aware UTC datetime of POSIX *seconds*."""
    return datetime.fromtimestamp(seconds, UTC)


def lasting(seconds: float) -> str:
    """A duration for people, two units at most: 3 min 20 s."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    left = round(seconds)
    parts = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


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
    raise ValueError(f"{value!r} is not a duration like '30 minutes' ({', '.join(UNITS)})")
