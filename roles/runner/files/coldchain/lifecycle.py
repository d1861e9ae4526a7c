# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an event does to a job: the table (status, event) -> (status, pending event, effect).

Freezer's statuses and events, plus the two things that happen by themselves: a run begins ("fire")
and a run ends ("end").  Where Freezer differs is said in docs/reference/lifecycle.md.  Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

STOP, SCHEDULED, RUNNING, ABORTING, REMOVED = (
    "stop",
    "scheduled",
    "running",
    "aborting",
    "removed",
)
STATUSES = (STOP, SCHEDULED, RUNNING, ABORTING, REMOVED)
EVENTS = ("start", "stop", "abort", "remove")
RUN = "run"
"""Run once and be as before: what `coldchain run` asks for.  Not an event of Freezer's."""

ARM = "arm"
"""Compute the next run; a job that has none of its own any more runs at once."""
DISARM = "disarm"
"""Forget the next run."""
RUN_NOW = "run now"
"""Run once, besides the schedule."""
TERMINATE = "terminate"
"""TERM to the running action; it gets its grace."""
KILL = "kill"
"""KILL to the running action, and none of the actions after it runs."""
NOTHING = ""


class LifecycleError(ValueError):
    """No such status or event, or an event that a removed job cannot take."""


@dataclass(frozen=True)
class Transition:
    """status: the new status; pending: the event that waits for the end of the run ("" for none);
    effect: what the runner has to do (one of the constants above)."""

    status: str
    pending: str = ""
    effect: str = NOTHING


_TABLE: dict[tuple[str, str], Transition] = {
    (STOP, "start"): Transition(SCHEDULED, effect=ARM),
    (STOP, "stop"): Transition(STOP),
    (STOP, "abort"): Transition(STOP),
    (STOP, "remove"): Transition(REMOVED),
    (SCHEDULED, "start"): Transition(SCHEDULED, effect=RUN_NOW),
    (SCHEDULED, "stop"): Transition(STOP, effect=DISARM),
    (SCHEDULED, "abort"): Transition(STOP, effect=DISARM),
    (SCHEDULED, "remove"): Transition(REMOVED, effect=DISARM),
    (RUNNING, "start"): Transition(RUNNING),
    (RUNNING, "stop"): Transition(RUNNING, "stop"),
    (RUNNING, "abort"): Transition(ABORTING, "abort", TERMINATE),
    (RUNNING, "remove"): Transition(RUNNING, "remove"),
    # A stopped job is stopped again after it; a run in progress is the run that was asked for.
    (STOP, RUN): Transition(SCHEDULED, "stop", RUN_NOW),
    (SCHEDULED, RUN): Transition(SCHEDULED, effect=RUN_NOW),
    (ABORTING, "start"): Transition(ABORTING, "start"),
    (ABORTING, "stop"): Transition(ABORTING, "stop"),
    (ABORTING, "abort"): Transition(ABORTING, "abort", KILL),
    (ABORTING, "remove"): Transition(ABORTING, "remove"),
}
_AFTER_RUN = {"stop": STOP, "abort": STOP, "remove": REMOVED}


def after_event(status: str, event: str) -> Transition:
    """What *event* does to a job in *status*; LifecycleError for an unknown combination."""
    try:
        return _TABLE[status, event]
    except KeyError:
        raise LifecycleError(
            f"event {event!r} means nothing to a job with status {status!r};"
            f" events are {', '.join(EVENTS)}"
        ) from None


def fire(status: str) -> Transition:
    """A run begins: only a scheduled job runs."""
    if status != SCHEDULED:
        raise LifecycleError(f"a job with status {status!r} does not begin a run")
    return Transition(RUNNING)


def end(status: str, pending: str, *, more: bool) -> Transition:
    """A run ended: *pending* is the event that waited for it, *more* whether a later run is due."""
    if status not in (RUNNING, ABORTING):
        raise LifecycleError(f"a job with status {status!r} has no run that could end")
    if pending in _AFTER_RUN:
        after = _AFTER_RUN[pending]
        return Transition(after, effect=DISARM)
    if more or pending == "start":
        return Transition(SCHEDULED, effect=ARM if pending == "start" else NOTHING)
    return Transition(STOP)
