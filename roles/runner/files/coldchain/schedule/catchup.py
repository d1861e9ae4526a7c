# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do about the slots that passed while nobody looked: the runner was down, or busy."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from coldchain.schedule.model import CatchUpPolicy, Occurrence, Trigger, moment, seconds
from coldchain.schedule.slot_trigger import CATCH_UP_LIMIT, bisect_first


class CatchUp(NamedTuple):
    """What becomes of missed slots.

    run: start now, in this order; later: start at their ``at`` (a blackout ends then);
    skipped: do not run, with the reason, for the record.
    """

    run: list[Occurrence]
    later: list[Occurrence]
    skipped: list[tuple[Occurrence, str]]


def catch_up(
    trigger: Trigger,
    *,
    after: datetime,
    now: datetime,
    policy: CatchUpPolicy,
    tolerance: int = 10,
    why: str = "missed",
) -> CatchUp:
    """Decide on every occurrence with after < at <= now.

    One that is at most *tolerance* seconds late is on time and runs whatever the policy says.  No
    more than CATCH_UP_LIMIT occurrences are looked at one by one, the newest ones; the first of the
    others stands for all of them in ``skipped``, because of *why*.
    """
    if trigger.kind == "continuous":
        # Of all the seconds that passed only the present one counts.
        present = trigger.next(max(after, moment(seconds(now) - 1)))
        return CatchUp([] if present is None or present.at > now else [present], [], [])
    due, unlisted = _newest(trigger, after, now)
    skipped = trigger.blacked_out(after, now, CATCH_UP_LIMIT)
    if unlisted is not None:
        skipped.append(
            (unlisted, f"{why}, like all slots from here to {due[0].slot:%Y-%m-%d %H:%M:%S} UTC")
        )
    until = trigger.blackout_until(now)
    begin = seconds(now if until is None else until)
    runs: list[Occurrence] = []
    for occurrence in due:
        on_time = (now - occurrence.at).total_seconds() <= tolerance
        if on_time or trigger.kind == "once":
            runs.append(occurrence)
        elif policy.run == "skip":
            skipped.append((occurrence, "missed, and missed slots are not made up for"))
        elif policy.deadline(seconds(occurrence.at)) < begin:
            skipped.append((occurrence, _too_late(policy, occurrence, begin)))
        else:
            runs.append(occurrence)
    if policy.run != "all" and len(runs) > 1:
        skipped += [(occurrence, "missed; one later run covers it") for occurrence in runs[:-1]]
        runs = runs[-1:]
    if until is None:
        return CatchUp(runs, [], _in_order(skipped))
    return CatchUp(
        [o for o in runs if (now - o.at).total_seconds() <= tolerance],
        [
            Occurrence(moment(begin + index), o.slot, deferred=True)
            for index, o in enumerate(runs)
            if (now - o.at).total_seconds() > tolerance
        ],
        _in_order(skipped),
    )


def _newest(
    trigger: Trigger, after: datetime, now: datetime
) -> tuple[list[Occurrence], Occurrence | None]:
    """The occurrences in after < at <= now, the oldest only when they are not too many."""
    due = _walk(trigger, after, now)
    if len(due) <= CATCH_UP_LIMIT:
        return due, None
    oldest = due[0]
    start = bisect_first(
        lambda t: len(_walk(trigger, moment(t), now)) <= CATCH_UP_LIMIT,
        seconds(after) + 1,
        seconds(now),
    )
    return _walk(trigger, moment(start), now), oldest


def _walk(trigger: Trigger, after: datetime, now: datetime) -> list[Occurrence]:
    occurrences: list[Occurrence] = []
    while len(occurrences) <= CATCH_UP_LIMIT:
        occurrence = trigger.next(after)
        if occurrence is None or occurrence.at > now:
            break
        occurrences.append(occurrence)
        after = occurrence.at
    return occurrences


def _too_late(policy: CatchUpPolicy, occurrence: Occurrence, begin: int) -> str:
    if begin - seconds(occurrence.at) > policy.max_age:
        return f"missed by more than max_age ({policy.max_age} seconds)"
    return "missed, and it is later than not_after"


def _in_order(skipped: list[tuple[Occurrence, str]]) -> list[tuple[Occurrence, str]]:
    return sorted(skipped, key=lambda entry: entry[0].slot)
