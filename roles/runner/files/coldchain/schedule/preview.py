# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The next runs for people: local time and UTC side by side, clock changes marked."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from coldchain.core.instants import DAY, iso
from coldchain.schedule.model import Occurrence, Trigger, moment, seconds
from coldchain.schedule.zones import zone_table

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class Upcoming(NamedTuple):
    """One run to come; local is the time in the job's zone, marks what is special about it."""

    at: datetime
    slot: datetime
    local: str
    marks: tuple[str, ...]

    @property
    def line(self) -> str:
        """Sun 2026-03-29 03:00:00 CEST = 01:00:00 UTC  (clock change: 02:00:00 -> 03:00:00)."""
        utc = _clock(self.at)
        if self.local[4:14] == utc[:10]:
            utc = utc[11:]
        marks = f"  ({'; '.join(self.marks)})" if self.marks else ""
        return f"{self.local} = {utc} UTC{marks}"

    def as_dict(self) -> dict[str, object]:
        """The JSON form, instants as ISO 8601 text."""
        return {
            "at": iso(self.at),
            "slot": iso(self.slot),
            "local": self.local,
            "marks": list(self.marks),
        }


def preview(trigger: Trigger, after: datetime, n: int) -> list[Upcoming]:
    """The first *n* runs later than *after*; fewer when the schedule ends.

    Of a continuous schedule only the first: the others depend on how long the runs take.
    """
    runs: list[Upcoming] = []
    while len(runs) < n:
        occurrence = trigger.next(after)
        if occurrence is None:
            break
        runs.append(upcoming(trigger, occurrence))
        if trigger.kind == "continuous":
            break
        after = occurrence.at
    return runs


def upcoming(trigger: Trigger, occurrence: Occurrence) -> Upcoming:
    """One planned run of *trigger*, for people."""
    wall = occurrence.at.astimezone(trigger.zone)
    marks = [_change_mark(trigger, occurrence.at)]
    if occurrence.slot != occurrence.at:
        planned = occurrence.slot.astimezone(trigger.zone)
        day = "" if planned.date() == wall.date() else f"{planned:%Y-%m-%d} "
        marks.append(f"slot {day}{planned:%H:%M:%S}")
    if trigger.kind == "continuous":
        marks.append("then again whenever a run has ended")
    return Upcoming(
        occurrence.at,
        occurrence.slot,
        f"{_DAYS[wall.weekday()]} {_clock(wall)} {wall.tzname()}",
        tuple(mark for mark in marks if mark),
    )


def _change_mark(trigger: Trigger, at: datetime) -> str:
    """The clock change on the local day of *at*; "" on an ordinary day."""
    clock = zone_table(trigger.zone)
    instant = seconds(at)
    segment = clock.segment(instant)
    midnight = (instant + segment.offset) // DAY * DAY
    if segment.begin < midnight - segment.offset <= segment.end - DAY:
        return ""  # the whole day lies in it
    marks = [
        f"{_reading(change.begin + change.before)} -> {_reading(change.begin + change.offset)}"
        for change in clock.changes(clock.instant(midnight), clock.instant(midnight + DAY))
    ]
    return f"clock change: {', '.join(marks)}" if marks else ""


def _clock(instant: datetime) -> str:
    """2026-03-29 03:00:00 in the zone of *instant*; strftime takes five times as long."""
    return instant.isoformat(" ", "seconds")[:19]


def _reading(local_seconds: int) -> str:
    return f"{moment(local_seconds):%H:%M:%S}"
