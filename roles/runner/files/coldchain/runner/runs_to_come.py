# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the runner will do with a job: for `apply`, `next`, `explain`, `list`, `status`, `doctor`,
`selftest` and the modules' diff.  The judgement is the runner's own (outlook.py)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from coldchain import lifecycle
from coldchain import schedule as calendar
from coldchain.core.instants import from_epoch
from coldchain.runner.outlook import Outlook, is_late


class Coming(NamedTuple):
    """A run to come: when it begins, if nothing is in its way, and the slot that it is for."""

    at: datetime
    slot: datetime
    cause: str = "schedule"

    @property
    def occurrence(self) -> calendar.Occurrence:
        """The same, as the schedule has it."""
        return calendar.Occurrence(self.at, self.slot)


def runs_to_come(outlook: Outlook, now: float) -> Iterator[Coming]:
    """The runs from *now* on if nothing else happens and a runner is at work from then on, in
    order: what waits, what is made up for, and the slots to come.  What is due begins now, and
    nothing before.  Of a continuous schedule only the first."""
    begin = from_epoch(int(now))
    state, trigger = outlook.state, outlook.trigger
    stops = lifecycle.status_of(outlook.facts)[1]
    for entry in state.queue:
        if not stops or entry.get("asked"):
            slot, at = from_epoch(entry["slot"]), from_epoch(int(entry["at"]))
            yield Coming(max(at, begin), slot, entry["cause"])
    if stops or trigger is None:
        return
    if trigger.kind == "continuous":
        if not state.queue:
            occurrence = outlook.following(max(outlook.since, int(now)))
            if occurrence is not None:
                yield Coming(max(occurrence.at, begin), occurrence.slot)
        return
    caught = outlook.catch_up(now)
    for occurrence in caught.run:
        late = is_late(occurrence, now, trigger.kind)
        yield Coming(begin, occurrence.slot, "catch-up" if late else "schedule")
    waiting = [Coming(entry.at, entry.slot, "catch-up") for entry in caught.later]
    after = max(outlook.since, now)
    while True:
        occurrence = outlook.following(after)
        while waiting and (occurrence is None or waiting[0].at <= occurrence.at):
            yield waiting.pop(0)
        if occurrence is None:
            return
        after = occurrence.at.timestamp()
        late = is_late(occurrence, after, trigger.kind)  # a blackout has put it off
        yield Coming(occurrence.at, occurrence.slot, "catch-up" if late else "schedule")
