# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What requests will come to that the runner has not acted on yet: it may not be at work."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coldchain import lifecycle
from coldchain.core.settings import Settings
from coldchain.runner.outlook import Outlook, Recorded, taken_in
from coldchain.store import Event, JobRecord, State


def asked_for(
    state: State | None,
    record: JobRecord,
    requests: Sequence[Event],
    settings: Settings,
    now: float,
    recorded: Callable[[], Recorded] = Recorded,
) -> State | None:
    """*state* after *requests* for the job, acted on at *now* (POSIX seconds).

    As far as they decide whether it is stopped, and whether it runs at once; what happens to a run
    in progress is for ``lifecycle.foresee``.  recorded: see Outlook.
    """
    for request in requests:
        if request.event not in ("start", "stop", "abort"):
            continue
        before = taken_in(state, record)
        decided = {
            "event": request.event,
            "who": request.by,
            "when": request.time,
            "revision": record.revision,
        }
        state = before._replace(newest_event=decided)
        if request.event == "start":
            state = _started(before, state, record, settings, now, recorded)
        else:  # what was asked for before it is stopped like the rest
            state = state._replace(queue=[{**entry, "asked": False} for entry in state.queue])
    return state


def _started(
    before: State,
    state: State,
    record: JobRecord,
    settings: Settings,
    now: float,
    recorded: Callable[[], Recorded],
) -> State:
    """*state* with the run of its own that a start brings, where it does; *before*: without it."""
    outlook = Outlook.of(record, before, settings, now, recorded)
    trigger, (status, stopped_by) = outlook.trigger, outlook.status()
    if before.active or before.queue or trigger is None:
        return state
    run = [{"slot": now, "at": now, "cause": "event"}]
    if status == lifecycle.SCHEDULED:
        caught = outlook.catch_up(now)
        return state if caught.run or caught.later else state._replace(queue=run)
    if stopped_by is not None:  # what passed while it was stopped is not missed
        state = state._replace(checked_until=now)
    if Outlook.of(record, state, settings, now, recorded).has_more:
        return state
    return state._replace(queue=run)
