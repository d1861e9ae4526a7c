# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job's status is, and what an event does to it.  Pure.

A status is never remembered for its own sake: ``status_of`` derives it from the document in force,
the newest event, whether the schedule can be used, and whether a run is going on.  ``after_event``
is Freezer's table (status, event) -> (status, pending event, effect); where Freezer differs is said
in docs/reference/lifecycle.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

STOP, SCHEDULED, RUNNING, ABORTING, REMOVING, REMOVED = (
    "stop",
    "scheduled",
    "running",
    "aborting",
    "removing",
    "removed",
)
STATUSES = (STOP, SCHEDULED, RUNNING, ABORTING, REMOVING, REMOVED)
ACTIVE = (RUNNING, ABORTING, REMOVING)
"""The statuses with a run in progress."""
EVENTS = ("start", "stop", "abort", "remove")
RUN = "run"
"""Run once and be as before: what `coldchain run` asks for.  Not an event of Freezer's."""

BY_DECLARATION, BY_EVENT, OVER, UNUSABLE = "declaration", "event", "over", "unusable"
CAUSES = (BY_DECLARATION, BY_EVENT, OVER, UNUSABLE)
"""What stops a job: its document, somebody's event, a schedule without a later run, or a schedule
that this host cannot use."""
BY_WILL = (BY_DECLARATION, BY_EVENT)
"""Those that somebody wanted: until it ends, no slot of the job is accounted for."""

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


class Facts(NamedTuple):
    """What decides the status of a job.

    declared: there is a document; declared_stop: it says ``status: stop``, and no start is newer
    than it; event: the newest of start, stop and abort that somebody sent, "" for none; usable: the
    host can use the schedule; run: RUNNING or ABORTING while a run goes on, else ""; asked: a run
    was asked for that leaves the job as it is, and has not begun; has_more: a run waits, or the
    schedule has a later one.
    """

    declared: bool = True
    declared_stop: bool = False
    event: str = ""
    usable: bool = True
    run: str = ""
    asked: bool = False
    has_more: bool = True


def status_of(facts: Facts) -> tuple[str, str]:
    """(status, what stops the job).

    The second is one of CAUSES, or "" for a job whose schedule is in force; beside a run in
    progress it tells what comes after that run.
    """
    if not facts.declared:
        return (REMOVING if facts.run else REMOVED), ""
    if facts.event in ("stop", "abort"):
        what = BY_EVENT
    elif facts.declared_stop:
        what = BY_DECLARATION
    elif not facts.usable:
        what = UNUSABLE
    elif not facts.has_more and not facts.run:
        what = OVER
    else:
        what = ""
    if facts.run:
        return facts.run, what
    return (STOP if what and not facts.asked else SCHEDULED), what


class Transition(NamedTuple):
    """What comes of an event.

    status: the new status; pending: the event that waits for the end of the run ("" for none);
    effect: what the runner has to do (one of the constants above).
    """

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
    (RUNNING, "remove"): Transition(REMOVING, "remove"),
    # A stopped job is stopped again after it; a run in progress is the run that was asked for.
    (STOP, RUN): Transition(SCHEDULED, effect=RUN_NOW),
    (SCHEDULED, RUN): Transition(SCHEDULED, effect=RUN_NOW),
    (ABORTING, "start"): Transition(ABORTING, "start"),
    (ABORTING, "stop"): Transition(ABORTING, "stop"),
    (ABORTING, "abort"): Transition(ABORTING, "abort", KILL),
    (ABORTING, "remove"): Transition(REMOVING, "remove"),
    # Its document is gone: nothing but its last run can be told anything.
    (REMOVING, "abort"): Transition(REMOVING, "remove", TERMINATE),
    (REMOVING, "remove"): Transition(REMOVING, "remove"),
}


def after_event(status: str, event: str) -> Transition:
    """What *event* does to a job in *status*.  Raises LifecycleError for an unknown combination."""
    try:
        return _TABLE[status, event]
    except KeyError:
        raise LifecycleError(
            f"event {event!r} means nothing to a job with status {status!r};"
            f" events are {', '.join(EVENTS)}"
        ) from None


def foresee(
    status: str, pending: str, what: str, earlier: Sequence[str], event: str
) -> tuple[bool, Transition]:
    """Whether *event* does anything to a job, and what it does.

    status, pending: of the job, with the event that waits for the end of its run; what: what stops
    it (see CAUSES); earlier: requests that the runner has not acted on yet, oldest first.
    Raises LifecycleError for an event that the job cannot take.
    """
    for request in earlier:
        if request == event:
            return False, Transition(status, event)
        if request in EVENTS:
            before = after_event(status, request)
            status, pending, what = before.status, before.pending, _cause(request, what)
    after = after_event(status, event)
    differs = (after.status, after.pending) != (status, pending) or after.effect != NOTHING
    return differs or (event == "start" and what in BY_WILL), after


def _cause(event: str, what: str) -> str:
    """What stops a job after *event*, if *what* did before."""
    if event in ("stop", "abort"):
        return BY_EVENT
    return "" if event == "start" else what


def describe_stop(stopped_by: dict[str, Any] | None, problem: str = "") -> str:
    """In words, what stops a job; "" for one that is not stopped.

    stopped_by: {"what", "who", "when"} as `coldchain list` has it; problem: why the schedule cannot
    be used.
    """
    if stopped_by is None:
        return ""
    what, who, when = stopped_by["what"], stopped_by["who"], stopped_by["when"]
    if what == BY_DECLARATION:
        return "declared with status stop"
    if what == BY_EVENT:
        return f"stopped by {who} at {when}"
    if what == UNUSABLE:
        return f"its schedule cannot be used: {problem}" if problem else "its schedule is unusable"
    return "its schedule has no later run"
