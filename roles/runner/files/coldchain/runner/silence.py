# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a job keep quiet that should have been heard of?  Pure: time comes in as POSIX seconds."""

from __future__ import annotations

from typing import NamedTuple

from coldchain import lifecycle
from coldchain.runner.outlook import Outlook
from coldchain.runner.protection import (
    DELAY,
    FAILED,
    LATE,
    NEVER,
    RUNNING,
    STALE,
    UNUSABLE,
    JobStatus,
    first_slot,
    waiting_since,
)

SOON = 30.0
LATEST = 6 * 3600.0
"""Seconds between two looks at a job: while something may change at once, and at most."""


class Silence(NamedTuple):
    """Whether a job is silent.

    why: "" when the job is not silent; ended: when its last run was over, None for never;
    within: the seconds in which something should have been heard; again: when to look again.
    """

    why: str
    ended: float | None
    within: float
    again: float

    def news(self, now: float) -> bool:
        """Is it silent for somebody, too, who was told that its last run has failed?"""
        return self.ended is None or now - self.ended > self.within


def silence(status: JobStatus, outlook: Outlook, now: float) -> Silence:
    """How it is at *now*."""
    ended = None if status.last_run is None else float(status.last_run["time_ended"])
    within = status.within or DELAY
    why, again = "", now + LATEST
    by = status.stopped_by["what"] if status.stopped_by is not None else ""
    if by == lifecycle.BY_DECLARATION:
        return Silence("", ended, within, again)
    if UNUSABLE in status.holds or STALE in status.holds:
        why = _reason(status, UNUSABLE if UNUSABLE in status.holds else STALE)
    elif NEVER in status.holds and FAILED not in status.holds and by != lifecycle.BY_EVENT:
        first = first_slot(outlook)
        if first is not None and now - first > DELAY:
            why = _reason(status, NEVER)
        else:
            again = min(again, (first or now) + DELAY + 1)
    if why and _is_about_to_end(status, outlook, now, within):
        return Silence("", ended, within, now + SOON)
    if status.within is not None and status.successes.last is not None and not why:
        again = min(again, max(now + 1, status.successes.last + status.within + 1))
    if not why and status.within is not None:  # a success meanwhile may be too old by then
        again = min(again, now + max(1.0, status.within))
    if not why and status.successes.last is None:
        first = first_slot(outlook)
        if first is not None:
            again = min(again, max(now + SOON, first + DELAY + 1))
    return Silence(why, ended, within, again)


def _reason(status: JobStatus, state: str) -> str:
    return status.reasons[status.holds.index(state)]


def _is_about_to_end(status: JobStatus, outlook: Outlook, now: float, within: float) -> bool:
    """Does a run go on, or begin, whose end will tell?  One that hangs tells nothing."""
    if RUNNING in status.holds:
        return now - (outlook.state.time_started or now) < max(within, DELAY)
    waiting = waiting_since(outlook, now)
    return waiting is not None and LATE not in status.holds
