# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is run once, on request, without being declared: a restore that outlives who asked for it.

A request with a document goes into the queue of a state that has no declaration (State.one_off);
when its run is over only the history keeps it.  Request and queue change in one commit, and run and
record bear the request's id: a crash at any moment neither loses a request nor acts on it twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from coldchain import lifecycle
from coldchain.core.instants import from_epoch, iso
from coldchain.execution.runfile import Cause, new_record
from coldchain.runner.queues import Queues
from coldchain.runner.states import States
from coldchain.runner.timetable import Timetable
from coldchain.store import Event, State, Store

LATE = 3600.0
"""Seconds: what a runner finds at its start, or in a request, is not begun later than that.  Nobody
wants last week's restore over this week's files."""
_LATE = "it was asked for more than an hour before the runner could begin; ask again"

log = logging.getLogger(__name__)


class OneOffs:
    """The queues of what is not declared, beside those of the jobs."""

    def __init__(self, store: Store, states: States, queues: Queues, timetable: Timetable) -> None:
        self._store, self._states = store, states
        self._queues, self._timetable = queues, timetable

    def ask(self, request: Event) -> None:
        """Queue the run that *request* asks for, unless it was taken in before a crash."""
        job_id, state = request.job_id, self._states.get(request.job_id)
        if state is not None and not state.one_off:  # no declared job can have such a name
            log.error("job %s: is declared, and not run on request", job_id)
        elif self._known(job_id, state, request.id):
            return
        elif request.time < time.time() - LATE:
            self._not_run(job_id, entry_of(request), "fail", _LATE)
        else:
            log.info("job %s: asked for by %s", job_id, request.by)
            if state is None:
                self._states.add(job_id, State())
            self._queues.add_one_off(job_id, entry_of(request))

    def _known(self, job_id: str, state: State | None, request_id: str) -> bool:
        if state is not None and state.asked(request_id):
            return True
        return self._store.run_of_request(job_id, request_id) is not None

    def drop_late(self) -> None:
        """After a start: put on record as failed what should have begun long ago."""
        oldest = time.time() - LATE
        for job_id, state in list(self._states.items()):
            if state.one_off:
                late = [entry for entry in state.queue if entry["slot"] < oldest]
                self._give_up(job_id, late, "fail", _LATE)

    def event(self, request: Event) -> str:
        """What an event means for processes (see lifecycle).  Only an abort means anything: what
        waits never begins, what runs is ended; after that it is gone in any case."""
        job_id, state = request.job_id, self._states[request.job_id]
        if request.event != "abort":
            return lifecycle.NOTHING
        reason = f"aborted by {request.by}"
        self._give_up(job_id, state.queue, "aborted", f"{reason} before it began")
        if not state.active:
            return lifecycle.NOTHING
        self._states.change(
            job_id, status=lifecycle.ABORTING, event="abort", aborting=True, reason=reason
        )
        return lifecycle.KILL if state.aborting else lifecycle.TERMINATE

    def ended(self, job_id: str) -> None:
        """Its run is over and on record: forget it, unless another one waits."""
        if self._states[job_id].queue:
            self._states.change(job_id, status=lifecycle.SCHEDULED)
        else:
            self._timetable.forget(job_id)
            self._states.remove(job_id)

    def _give_up(
        self, job_id: str, entries: Sequence[dict[str, Any]], result: str, reason: str
    ) -> None:
        """Put *entries* of the queue on record with this result; they do not run."""
        for entry in list(entries):
            if self._store.run_of_request(job_id, entry["request"]["id"]) is None:
                self._not_run(job_id, entry, result, reason)
            rest = [other for other in self._states[job_id].queue if other is not entry]
            self._queues.put(job_id, rest)
        if entries and not self._states[job_id].active:
            self.ended(job_id)

    def _not_run(self, job_id: str, entry: dict[str, Any], result: str, reason: str) -> None:
        cause = Cause(entry["cause"], iso(from_epoch(int(entry["slot"]))), entry["request"])
        record = new_record(job_id, cause)
        record.update(result=result, time_ended=record["time_started"], reason=reason)
        self._store.add_history(job_id, record)
        log.error("job %s: %s", job_id, reason)


def entry_of(request: Event) -> dict[str, Any]:
    """What waits for its run in State.queue, of a request with a document."""
    return {
        "slot": request.time,
        "at": 0.0,  # at once, wherever the clock is set to meanwhile
        "cause": "event",
        "document": request.document,
        "request": {"id": request.id, "by": request.by},
    }
