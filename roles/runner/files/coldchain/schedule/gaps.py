# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a schedule may be silent, and how close its slots may be.

A schedule of every minute has half a million runs a year, so they are not walked through: a gap
that is longer than some distance holds one of the points that lie that distance apart.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from coldchain.core.instants import DAY
from coldchain.schedule.model import Trigger, moment, seconds
from coldchain.schedule.slot_trigger import bisect_first

_HOUR = 3600
_YEAR_AND_MORE = timedelta(days=400)  # with both clock changes
_SLOTS = 1500
_SCALES = (
    (100 * DAY, 3000 * DAY),
    (10 * DAY, 800 * DAY),
    (DAY, 400 * DAY),
    (_HOUR, 15 * DAY),
    (300, 25 * _HOUR),
    (10, _HOUR),
)
"""Distance of two probes and how far they go, in seconds.  Each stretch lies within the one before,
so a gap that is found ends the search."""


def longest_gap(trigger: Trigger, around: datetime) -> int | None:
    """Seconds of the longest gap between two runs that the schedule will have after *around*.

    What comes seldom is looked for farther ahead: gaps of months within eight years, of days within
    400 days, of hours within two weeks, shorter ones within a day.  None when the schedule has not
    two runs there.
    """
    first = _next(trigger, seconds(around))
    second = None if first is None else _next(trigger, first)
    if first is None or second is None:
        return None
    longest = second - first
    for distance, stretch in _SCALES:
        probe = first + distance
        while probe < first + stretch:
            end = _next(trigger, probe)
            if end is None:
                break
            if _next(trigger, end - longest - 1) == end:
                longest = _gap_before(trigger, end, longest, first)
            probe = max(end, probe) + distance
        if longest > distance:
            break
    return longest


def shortest_gap(trigger: Trigger, around: datetime) -> int | None:
    """Seconds of the shortest gap among the slots of the 400 days after *around*, of which no more
    than 1500 are looked at; None when there are not two of them."""
    shortest: int | None = None
    before, last = trigger.next(around), around + _YEAR_AND_MORE
    for _step in range(_SLOTS):
        following = None if before is None else trigger.next(before.at)
        if before is None or following is None or before.at > last:
            break
        gap = seconds(following.slot) - seconds(before.slot)
        if gap > 0:  # of slots that a blackout has put off each runs again
            shortest = gap if shortest is None else min(shortest, gap)
        before = following
    return shortest


def _gap_before(trigger: Trigger, end: int, at_least: int, first: int) -> int:
    """Seconds of the gap that ends with the run at *end*, known to be longer than *at_least*."""

    def inside(instant: int) -> bool:
        return _next(trigger, instant) == end

    return end - bisect_first(inside, first, end - at_least - 1)


def _next(trigger: Trigger, after: int) -> int | None:
    """The first run after an instant; both in seconds since 1970 UTC."""
    occurrence = trigger.next(moment(after))
    return None if occurrence is None else seconds(occurrence.at)
