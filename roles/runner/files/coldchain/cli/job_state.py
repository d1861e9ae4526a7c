# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a job is: what the runner knows of it, or will make of a declaration that it has not seen."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING

from coldchain.cli.context import Call
from coldchain.core.instants import iso

if TYPE_CHECKING:
    from coldchain.store import JobRecord, State


def state_of(call: Call, record: JobRecord) -> State:
    """What the runner knows of the job; of a declaration that it has not taken in yet, what it will
    make of that."""
    asked = any(event.job_id == record.job_id for event in call.store.pending_events())
    return known_state(call, record, call.store.state(record.job_id), asked=asked)


def known_state(
    call: Call, record: JobRecord, state: State | None, *, asked: bool = False
) -> State:
    """The same where the runner's *state* of the job was read already.

    asked: something was asked for that the runner has not acted on; the next run is what comes of
    that, the rest is as it is until then.
    """
    if state is not None and state.created is None:
        return state
    seen = None if state is None else (state.created, state.revision)
    known = state is not None and seen == (record.created, record.revision)
    if state is not None and state.active and (known or call.store.job(record.job_id) is None):
        return state
    if state is not None and known and not asked and not _stale(call, state):
        return state
    # Most jobs have been seen: listing them must not pay for what foresees.
    from coldchain.cli.preview import coming_runs, outlook_of
    from coldchain.lifecycle import describe_stop

    outlook = outlook_of(record, call.store, call.settings, requests=False)
    runs = coming_runs(outlook_of(record, call.store, call.settings) if asked else outlook, 1)
    next_run = iso(runs[0].at) if runs else None
    if state is not None and known:
        return state._replace(next_run=next_run)
    status, stopped_by = outlook.status()
    if outlook.state.active:  # of which the runner has said it
        reason = outlook.state.reason
    else:
        reason = describe_stop(stopped_by, outlook.state.unusable)
    return outlook.state._replace(
        status=status,
        stopped_by=stopped_by,
        next_run=next_run,
        reason=reason or "not yet seen by the runner",
    )


def _stale(call: Call, state: State) -> bool:
    """Is the job's next run one that no runner was there to begin?"""
    if state.next_run is None or datetime.fromisoformat(state.next_run).timestamp() >= time.time():
        return False
    return not call.store.runner_alive()
