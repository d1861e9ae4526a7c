# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clock changes of a time zone as whole seconds: the part of zoneinfo that it does not publish."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple

from coldchain.core.instants import DAY, offset_change, utc_offset

# About a year; changes are looked for by sampling.  The closest pair of changes of any zone since
# 1970 is 6 days 23 hours apart (Recife 2000, Gaza 2040), so a sample every four days misses none.
_CHUNK = 1 << 25
_SAMPLE = 4 * DAY
_MARGIN = 2 * DAY  # more than any change moves a clock
_WIDEST = (
    24 * 3600
)  # no offset of a datetime is larger; one of the tz database has 16 hours at most


class Segment(NamedTuple):
    """A stretch of time with one UTC offset: begin <= instant < end.

    before and after are the offsets of the neighbours; equal to offset where the stretch is only
    cut because the table ends there.  All in seconds, instants since 1970 UTC.
    """

    begin: int
    end: int
    offset: int
    before: int
    after: int


class ZoneTable:
    """The clock on the wall in one zone."""

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        self._chunks: dict[int, tuple[Segment, ...]] = {}

    def segment(self, instant: int) -> Segment:
        """The stretch that contains *instant*."""
        chunk = self._chunks.get(instant // _CHUNK)
        if chunk is None:
            chunk = self._chunks[instant // _CHUNK] = self._survey(instant // _CHUNK)
        for segment in chunk:
            if instant < segment.end:
                return segment
        return chunk[-1]

    def changes(self, begin: int, end: int) -> Iterator[Segment]:
        """The stretches that begin with a clock change in begin <= instant < end."""
        instant, seen = begin, begin - 1
        while instant < end:
            segment = self.segment(instant)
            if segment.before != segment.offset and segment.begin > seen:
                seen = segment.begin
                yield segment
            instant = segment.end

    def instant(self, reading: int, *, second: bool = False) -> int:
        """The instant of a local *reading*: the end of the gap when it does not exist, the first
        (or the *second*) one when it exists twice."""
        match: int | None = None
        gap = instant = reading - _WIDEST
        while instant <= reading + _WIDEST:
            segment = self.segment(instant)
            if segment.begin <= reading - segment.offset < segment.end:
                match = reading - segment.offset
                if not second:
                    break
            if segment.begin + segment.before <= reading < segment.begin + segment.offset:
                gap = segment.begin
            instant = segment.end
        return gap if match is None else match

    def _survey(self, number: int) -> tuple[Segment, ...]:
        if isinstance(self.zone, timezone):
            offset = utc_offset(self.zone, 0)
            return (Segment(number * _CHUNK, (number + 1) * _CHUNK, offset, offset, offset),)
        begin, end = number * _CHUNK, (number + 1) * _CHUNK
        changes = []  # (instant, offset from there on)
        low = begin - _MARGIN
        first = before = utc_offset(self.zone, low)
        while low < end + _MARGIN:
            high = low + _SAMPLE
            offset = utc_offset(self.zone, high)
            if offset != before:
                changes.append((offset_change(self.zone, low, high), offset))
            low, before = high, offset
        segments = []
        previous, current, since = first, first, begin - _MARGIN
        for instant, offset in changes:
            segments.append(Segment(since, instant, current, previous, offset))
            previous, current, since = current, offset, instant
        segments.append(Segment(since, low, current, previous, current))
        # Beyond the chunk its neighbour knows more: an artificial end there is not a change.
        return tuple(
            segment
            if segment.end < end + _MARGIN
            else segment._replace(end=end, after=segment.offset)
            for segment in segments
            if segment.end > begin and segment.begin < end
        )


@lru_cache(maxsize=1024)
def zone_table(zone: tzinfo) -> ZoneTable:
    """The one table of a zone, so that all jobs share what was worked out."""
    return ZoneTable(zone)
