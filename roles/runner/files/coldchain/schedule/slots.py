# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The slots of a schedule: its nominal instants, before splay and blackout.

Instants are whole seconds since 1970 UTC; ``slot(t)`` is the first slot at or after t, or None.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from functools import lru_cache
from typing import NamedTuple, Protocol

from coldchain.core.instants import DAY
from coldchain.schedule.cron import FIELDS, LIMITS, CronField, parse_field
from coldchain.schedule.readings import END_DAY, Readings
from coldchain.schedule.zones import zone_table

# Local readings end with the last year of the calendar; the last offsets of it are not worth a day.
HORIZON = (END_DAY - 1) * DAY
_JUMP = 2 * DAY


class Slots(Protocol):
    """A series of slots."""

    def slot(self, t: int) -> int | None:
        """The first slot at or after *t*; None when there is no more."""


class Dst(NamedTuple):
    """What becomes of a local time on the day of a clock change.

    gap: next (runs when the gap ends), skip, shift (runs as much later as the gap is long);
    overlap: first, second, both.
    """

    gap: str
    overlap: str


FIXED = Dst("next", "first")  # a job at a particular time runs once each day
PACE = Dst("skip", "both")  # a job of every hour or minute keeps its pace in real time


def complete(texts: Mapping[str, str]) -> dict[str, CronField]:
    """All eight fields: fields coarser than the finest given one match always, finer ones at their
    minimum, except week and day_of_week, which then match always too (APScheduler's rule)."""
    fields = dict(_not_given(max(map(FIELDS.index, texts))))
    for name, text in texts.items():
        fields[name] = parse_field(name, text)
    return fields


@lru_cache(maxsize=len(FIELDS))
def _not_given(finest: int) -> Mapping[str, CronField]:
    """What the fields mean that are not given; *finest*: the place of the finest one that is."""
    return {
        name: parse_field(
            name,
            "*" if index < finest or name in ("week", "day_of_week") else str(LIMITS[name][0]),
        )
        for index, name in enumerate(FIELDS)
    }


def is_wildcard(fields: Mapping[str, CronField]) -> bool:
    """Whether the job runs every hour or minute instead of at particular times (Debian's cron)."""
    return fields["hour"].star or fields["minute"].star


class CronSlots:
    """The slots of the cron-like fields in a zone.

    start, end: first and last second that counts (end inclusive); end may be None.
    """

    def __init__(
        self,
        fields: Mapping[str, CronField],
        zone: tzinfo,
        dst: Dst,
        start: int = 0,
        end: int | None = None,
    ) -> None:
        self._next_reading = Readings(fields).next
        self._segment = zone_table(zone).segment
        self._dst = dst
        self._start = max(start, 0)
        self._end = HORIZON if end is None else min(end, HORIZON)

    def slot(self, t: int) -> int | None:
        """The first slot at or after *t*; None when there is no more."""
        t = max(t, self._start)
        while t <= self._end:
            segment = self._segment(t)
            begin, end, offset, before, after = segment
            slot: int | None = None
            if before < offset:
                slot = self._after_gap(t, begin, before, offset)
            low, high = t, end
            if before > offset and self._dst.overlap == "first":
                low = max(t, begin + before - offset)
            elif after < offset and self._dst.overlap == "second":
                high = end - (offset - after)
            reading = self._next_reading(low + offset)
            if reading is not None and reading - offset < high:
                regular = reading - offset
                slot = regular if slot is None else min(slot, regular)
            if slot is not None:
                return slot if slot <= self._end else None
            if end - t < _JUMP:
                t = end
            elif reading is None:
                return None
            else:
                # No reading matches before this one, and no clock is that far from another:
                # go there at once, however many clock changes lie between.
                t = max(end, reading - offset - _JUMP)
        return None

    def _after_gap(self, t: int, begin: int, before: int, offset: int) -> int | None:
        """The slot at or after *t* of the readings that the change at *begin* left out."""
        if self._dst.gap == "next" and t == begin:
            reading = self._next_reading(begin + before)
            if reading is not None and reading < begin + offset:
                return begin
        elif self._dst.gap == "shift" and t < begin + offset - before:
            reading = self._next_reading(t + before)
            if reading is not None and reading < begin + offset:
                return reading - before
        return None


class IntervalSlots:
    """Every *period* seconds of real time, counted from *first*; *end* inclusive."""

    def __init__(self, first: int, period: int, end: int | None = None) -> None:
        self._first = first
        self._period = period
        self._end = HORIZON if end is None else min(end, HORIZON)

    def slot(self, t: int) -> int | None:
        """The first slot at or after *t*; None when there is no more."""
        missing = t - self._first
        slot = self._first if missing <= 0 else t + -missing % self._period
        return slot if slot <= self._end else None
