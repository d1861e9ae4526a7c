# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blackout: daily windows of local time in which a job does not start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from functools import lru_cache
from typing import NamedTuple

from coldchain.core.instants import DAY
from coldchain.schedule.zones import zone_table

_TURNS = 64  # windows that follow each other without a pause; more of them never end
_WEEKDAY_OF_DAY_0 = 3  # 1970-01-01 was a Thursday


class Span(NamedTuple):
    """begin <= instant < end, in seconds since 1970 UTC."""

    begin: int
    end: int


class Window(NamedTuple):
    """One window a day: start and end in seconds since local midnight (end may be past 24:00),
    on the weekdays (0 is Monday) on which it starts; text as people wrote it."""

    start: int
    end: int
    weekdays: frozenset[int]
    zone: tzinfo
    text: str

    def span(self, day: int) -> Span | None:
        """The window that starts on the local *day* (days since 1970-01-01)."""
        if (day + _WEEKDAY_OF_DAY_0) % 7 not in self.weekdays:
            return None
        return _span(self.start, self.end, self.zone, day)

    def spans(self, begin: int, end: int) -> Iterator[Span]:
        """The windows that touch begin <= instant < end, in order."""
        clock = zone_table(self.zone)
        first = (begin + clock.segment(begin).offset) // DAY - 2
        last = (end + clock.segment(end).offset) // DAY + 1
        for day in range(first, last + 1):
            span = self.span(day)
            if span is not None and span.begin < end and span.end > begin:
                yield span


# Both ends are local times: in a gap the change itself, twice: the longer blackout.
@lru_cache(maxsize=8192)
def _span(start: int, end: int, zone: tzinfo, day: int) -> Span | None:
    clock = zone_table(zone)
    span = Span(clock.instant(day * DAY + start), clock.instant(day * DAY + end, second=True))
    return span if span.begin < span.end else None


class Blackout:
    """All windows of a job."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self.windows = tuple(windows)

    def at(self, instant: int) -> Span | None:
        """The blackout in which *instant* lies: windows that touch or overlap are one."""
        begin, end = instant, instant
        for _turn in range(_TURNS):
            spans = [s for w in self.windows for s in w.spans(begin - 1, end + 1)]
            earliest = min((s.begin for s in spans if s.end >= begin), default=begin)
            latest = max((s.end for s in spans if s.begin <= end), default=end)
            if (min(begin, earliest), max(end, latest)) == (begin, end):
                break
            begin, end = min(begin, earliest), max(end, latest)
        return Span(begin, end) if begin <= instant < end else None

    def first(self, begin: int, end: int) -> Span | None:
        """The first blackout that touches begin <= instant < end."""
        around = self.at(begin)
        if around is not None:
            return around
        nearest = min(
            (span for w in self.windows for span in _leading(w.spans(begin, end))), default=None
        )
        return None if nearest is None else self.at(nearest.begin)

    def endless(self, instant: int) -> bool:
        """Whether the windows around *instant* leave no time at all."""
        span = self.at(instant)
        return span is not None and span.end - span.begin > 8 * DAY

    def reason(self, instant: int) -> str:
        """The windows in which *instant* lies, in words."""
        names = [w.text for w in self.windows if any(w.spans(instant, instant + 1))]
        return f"in the blackout {' and '.join(names)}"


def _leading(spans: Iterator[Span]) -> list[Span]:
    first = next(spans, None)
    return [] if first is None else [first]
