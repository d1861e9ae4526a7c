# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The triggers with a series of slots, interval and cron: with splay and blackout, occurrences."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from coldchain.core.instants import DAY, EPOCH
from coldchain.schedule.blackout import Span
from coldchain.schedule.model import Occurrence, moment, seconds
from coldchain.schedule.slots import HORIZON, Slots
from coldchain.schedule.triggers import BaseTrigger, Common

# "all" runs at most that many missed slots: a job of every second does not run 86,400 times.
CATCH_UP_LIMIT = 100
# Blackouts passed in the search for one run: 11 years of days.  Beyond it a job counts as never.
_BLACKOUTS = 4000
_WALK = 4


class Planned(NamedTuple):
    """An occurrence in whole seconds since 1970 UTC."""

    at: int
    slot: int
    deferred: bool = False

    def occurrence(self) -> Occurrence:
        """The same as aware datetimes."""
        return Occurrence(moment(self.at), moment(self.slot), self.deferred)


class SlotTrigger(BaseTrigger):
    """A trigger with a series of slots: kind "interval" or "cron"."""

    def __init__(self, kind: str, slots: Slots, common: Common, details: Callable[[], str]) -> None:
        super().__init__(common, details)
        self.kind = kind
        self._slot = slots.slot
        self._delay = common.delay
        self._splay = common.delay.splay
        self._plain = common.delay.splay == 0 and common.blackout is None
        self._told: tuple[datetime, Occurrence] | None = None  # the last answer, and to what

    def next(self, after: datetime) -> Occurrence | None:
        """The first run after *after*, moved by splay and blackout."""
        if self._plain:
            if self._told is not None and self._told[0] <= after < self._told[1].at:
                return self._told[1]  # a run asks several times
            slot = self._slot(seconds(after) + 1)
            if slot is None:
                return None
            at = EPOCH + timedelta(seconds=slot)
            self._told = after, Occurrence(at, at)
            return self._told[1]
        planned = self._due(seconds(after) + 1)
        return None if planned is None else planned.occurrence()

    def blacked_out(
        self, after: datetime, until: datetime, limit: int
    ) -> list[tuple[Occurrence, str]]:
        """The slots that a blackout cancels, or a later run makes up for."""
        cancelled: list[tuple[Occurrence, str]] = []
        t, last = max(seconds(after) + 1, 0), min(seconds(until), HORIZON)
        while self.blackout is not None and len(cancelled) < limit:
            span = self.blackout.first(t, last + 1)
            if span is None:
                break
            deferred = {planned.slot for planned in self._deferred(span)}
            planned = self._splayed(max(t, span.begin))
            while planned is not None and planned.at < min(span.end, last + 1):
                if planned.slot not in deferred and len(cancelled) < limit:
                    cancelled.append((planned.occurrence(), self._reason(planned, span)))
                if len(cancelled) == limit:
                    break
                planned = self._splayed(planned.at + 1)
            t = span.end
            if t > last or planned is None:
                break
        return cancelled

    def _reason(self, planned: Planned, span: Span) -> str:
        assert self.blackout is not None  # its callers come from a span in it
        where = self.blackout.reason(planned.at)
        if self.missed.run == "skip":
            return where
        if self.missed.deadline(planned.at) < span.end:
            return f"{where}, whose end is too late for a late run"
        return f"{where}; a later run covers it"

    def _due(self, t: int) -> Planned | None:
        """The first occurrence at or after *t*."""
        t = max(t, 0)
        if t > HORIZON:
            return None
        if self.blackout is None:
            return self._splayed(t)
        # A run put off starts up to a splay (and one second for each before it) after its blackout,
        # so the blackouts that ended shortly before t come first, and the one around t.
        start = t - self._splay - (CATCH_UP_LIMIT if self.missed.run == "all" else 0)
        span = self.blackout.first(start, t + 1)
        for _step in range(_BLACKOUTS):
            if span is None:
                planned = self._splayed(max(start, t))
                if planned is None:
                    return None
                span = self.blackout.at(planned.at)
                if span is None:
                    return planned
            for deferred in self._deferred(span):
                if deferred.at >= t:
                    return deferred
            start = span.end
            span = self.blackout.first(start, t + 1) if start <= t else None
        return None

    def _deferred(self, span: Span) -> list[Planned]:
        """The occurrences within a blackout that run after its end instead."""
        if self.missed.run == "skip":
            return []
        limit = CATCH_UP_LIMIT if self.missed.run == "all" else 1
        # deadline() never falls, so those that are not too late are the last ones of the blackout.
        oldest = bisect_first(
            lambda at: self.missed.deadline(at) >= span.end, max(span.begin, 0), span.end
        )
        inside = self._newest(oldest, span.end, limit)
        if not inside:
            return []
        following = self._splayed(span.end)
        room = DAY * 366 if following is None else following.at - span.end
        delay = self._delay.within(room)
        assert self.blackout is not None  # its callers come from a span in it
        if self.blackout.at(span.end + delay) is not None:
            delay = 0
        # A regular run at the very end of the blackout stands for the missed ones as well.
        deferred = [
            Planned(span.end + delay + index, planned.slot, deferred=True)
            for index, planned in enumerate(inside)
        ]
        return [planned for planned in deferred if planned.at < span.end + room]

    def _newest(self, begin: int, end: int, limit: int) -> list[Planned]:
        """The last *limit* occurrences in begin <= at < end, oldest first, blackout ignored."""
        newest: list[Planned] = []
        while len(newest) < limit:
            planned = self._latest(begin, end)
            if planned is None:
                break
            newest.append(planned)
            end = planned.at
        return newest[::-1]

    def _latest(self, begin: int, end: int) -> Planned | None:
        latest = self._splayed(begin)
        if latest is None or latest.at >= end:
            return None
        high = end
        while high - latest.at > 1:
            middle = (latest.at + high) // 2
            planned = self._splayed(middle)
            if planned is None or planned.at >= end:
                high = middle
            else:
                latest = planned
        return latest

    def _splayed(self, t: int) -> Planned | None:
        """The first occurrence at or after *t*, blackout ignored."""
        slot = self._slot(t - self._splay if self._splay else t)
        for _step in range(_WALK):
            if slot is None:
                return None
            if self._splay == 0:
                return Planned(slot, slot)
            planned, following = self._delayed(slot)
            if planned.at >= t:
                return planned
            slot = following
        # Many slots lie within one splay: the last one before t, or the first one from t on.
        begin = bisect_first(lambda s: not self._has_slot(s, t), t - self._splay, t)
        latest = self._slot(begin - 1)
        if latest is not None and latest < t:
            planned = self._delayed(latest)[0]
            if planned.at >= t:
                return planned
        slot = self._slot(t)
        return None if slot is None else self._delayed(slot)[0]

    def _has_slot(self, begin: int, end: int) -> bool:
        slot = self._slot(begin)
        return slot is not None and slot < end

    def _delayed(self, slot: int) -> tuple[Planned, int | None]:
        following = self._slot(slot + 1)
        room = self._splay + 1 if following is None else following - slot
        return Planned(slot + self._delay.within(room), slot), following


def bisect_first(test: Callable[[int], bool], low: int, high: int) -> int:
    """The first integer in low <= n < high from which *test* holds; *high* when it never does."""
    while low < high:
        middle = (low + high) // 2
        if test(middle):
            high = middle
        else:
            low = middle + 1
    return low
