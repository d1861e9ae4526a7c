# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a schedule is to the rest of the runner."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple, Protocol

from coldchain.core.instants import DAY, EPOCH, UTC
from coldchain.schedule.blackout import Blackout
from coldchain.schedule.zones import zone_table

SECOND = timedelta(seconds=1)


class Occurrence(NamedTuple):
    """One planned run.

    at: when it is to start, after splay and blackout; slot: the nominal instant of the schedule;
    both are aware datetimes in UTC.  deferred: a blackout has moved it, so it makes up for a missed
    slot however punctual it is.
    """

    at: datetime
    slot: datetime
    deferred: bool = False


class CatchUpPolicy(NamedTuple):
    """What becomes of a slot whose time has passed.

    run: skip, once (one run for all of them) or all; max_age: seconds after which it is too late;
    not_after: seconds since midnight in *zone*: a late run starts until then at the latest.
    """

    run: str = "once"
    max_age: int = 3600
    not_after: int | None = None
    zone: tzinfo = UTC

    def deadline(self, at: int) -> int:
        """The last second at which a run that was due at *at* may still start."""
        latest = at + self.max_age
        if self.not_after is None:
            return latest
        clock = zone_table(self.zone)
        reading = at + clock.segment(at).offset
        limit = reading // DAY * DAY + self.not_after
        if limit < reading:
            limit += DAY
        return min(latest, max(at, clock.instant(limit)))


class Trigger(Protocol):
    """When a job runs.

    kind: "once" (no schedule), "date", "interval", "continuous", "cron" or "boot"; zone: where its
    local times are read; missed: the policy for slots that cannot run on time.
    """

    @property
    def kind(self) -> str:
        """once, date, interval, continuous, cron or boot."""

    @property
    def zone(self) -> tzinfo:
        """Where the local times of the schedule are read."""

    @property
    def missed(self) -> CatchUpPolicy:
        """What becomes of slots that could not run on time."""

    @property
    def blackout(self) -> Blackout | None:
        """When no run begins; None for a schedule without such times."""

    def next(self, after: datetime) -> Occurrence | None:
        """The first occurrence with ``at`` strictly later than *after* (aware); None: no more."""

    def blackout_until(self, instant: datetime) -> datetime | None:
        """The end of the blackout in which *instant* lies; None outside of one."""

    def blacked_out(
        self, after: datetime, until: datetime, limit: int
    ) -> list[tuple[Occurrence, str]]:
        """The occurrences in after < at <= until that a blackout cancels for good, oldest first,
        with the reason; no more than *limit*."""

    def describe(self) -> str:
        """The schedule in words."""


def seconds(instant: datetime) -> int:
    """Whole seconds since 1970 of an aware datetime, rounded down; ValueError for a naive one."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant} has no time zone")
    return (instant - EPOCH) // SECOND


def moment(epoch: int) -> datetime:
    """The aware UTC datetime of whole seconds since 1970."""
    return EPOCH + timedelta(seconds=epoch)


def session_tag(slot: datetime) -> int:
    """The number that jobs of one session share for one slot, on every host: its POSIX time."""
    return seconds(slot)
