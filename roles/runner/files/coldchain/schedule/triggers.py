# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The triggers without a series of slots: once, at a date, continuously, after each boot."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import NamedTuple

from coldchain.schedule.blackout import Blackout
from coldchain.schedule.delay import Delay
from coldchain.schedule.model import CatchUpPolicy, Occurrence, moment, seconds
from coldchain.schedule.slots import HORIZON


class Common(NamedTuple):
    """What any schedule may say, of whatever kind it is.

    zone: where its local times are read; delay: of each run.
    """

    zone: tzinfo
    delay: Delay
    blackout: Blackout | None
    missed: CatchUpPolicy


class BaseTrigger:
    """What all triggers have in common; one without slots as it stands here.

    details: gives the describing text.
    """

    def __init__(self, common: Common, details: Callable[[], str]) -> None:
        self.zone = common.zone
        self.missed = common.missed
        self.blackout = common.blackout
        self._details = details

    def blackout_until(self, instant: datetime) -> datetime | None:
        """The end of the blackout around *instant*; None outside of one."""
        span = None if self.blackout is None else self.blackout.at(seconds(instant))
        return None if span is None else moment(span.end)

    def blacked_out(
        self, after: datetime, until: datetime, limit: int
    ) -> list[tuple[Occurrence, str]]:
        """The slots that a blackout cancels: none of what has no slots."""
        return []

    def describe(self) -> str:
        """The schedule in words."""
        return self._details()


class PointTrigger(BaseTrigger):
    """A trigger that fires once: kind "once" (no schedule) or "date"."""

    def __init__(
        self,
        kind: str,
        instant: datetime,
        common: Common,
        details: Callable[[], str],
    ) -> None:
        super().__init__(common, details)
        self.kind = kind
        delay, missed = common.delay, common.missed
        self._planned = Occurrence(instant + delay.whole, instant)
        self._occurrence: Occurrence | None = self._planned
        until = self.blackout_until(self._planned.at)
        if until is not None:
            late = missed.run == "skip" or (
                missed.deadline(seconds(self._planned.at)) < seconds(until)
            )
            late_start = until + delay.whole
            at = late_start if self.blackout_until(late_start) is None else until
            # "once" has no time of its own to miss: it runs as soon as it may.
            self._occurrence = (
                None if late and kind == "date" else Occurrence(at, instant, deferred=True)
            )

    def next(self, after: datetime) -> Occurrence | None:
        """The one run, if it is later than *after*."""
        seconds(after)  # refuses a naive one
        occurrence = self._occurrence
        return occurrence if occurrence is not None and occurrence.at > after else None

    def blacked_out(
        self, after: datetime, until: datetime, limit: int
    ) -> list[tuple[Occurrence, str]]:
        """The one slot, when a blackout cancels it."""
        planned = self._planned
        if self._occurrence is not None or self.blackout is None:
            return []
        if not after < planned.at <= until:
            return []
        return [(planned, self.blackout.reason(seconds(planned.at)))][:limit]


class ContinuousTrigger(BaseTrigger):
    """Again as soon as a run has ended: the slot is the first whole second later than it.

    start, end: first and last second that counts; no slot is ever missed.
    """

    kind = "continuous"

    def __init__(
        self, start: int, end: int | None, common: Common, details: Callable[[], str]
    ) -> None:
        super().__init__(common, details)
        self._start = start
        self._end = HORIZON if end is None else min(end, HORIZON)

    def next(self, after: datetime) -> Occurrence | None:
        """The first second after *after* outside of a blackout."""
        t = max(seconds(after) + 1, self._start)
        if self.blackout is not None:
            span = self.blackout.at(t)
            t = t if span is None else span.end
        if t > self._end:
            return None
        at = moment(t)
        return Occurrence(at, at)


class BootTrigger(BaseTrigger):
    """Once after each boot of the host, which no clock can foretell: the runner tells of it."""

    kind = "boot"

    def __init__(self, common: Common, details: Callable[[], str]) -> None:
        super().__init__(common, details)
        self._delay = common.delay.whole

    def after_boot(self, instant: datetime) -> datetime:
        """When the run begins of a boot that was noticed at *instant*: after splay and blackout."""
        at = instant + self._delay
        return self.blackout_until(at) or at

    def next(self, after: datetime) -> Occurrence | None:
        """None: boots are not on the calendar."""
        seconds(after)  # refuses a naive one
        return None
