# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to a job: declared, changed, removed, asked for, begun, ended.

No processes and no waiting here: the loop (daemon.py) asks what is due and tells what has ended.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator
from typing import Any

from coldchain import lifecycle
from coldchain.instants import from_epoch, iso
from coldchain.runner.states import States
from coldchain.runner.timetable import Timetable, Waiting
from coldchain.settings import Settings
from coldchain.store import Event, JobRecord, Run, State, Store

_WAITING_PLACE = "waiting for a free place: {0} running (concurrent_jobs)"
_LAST_RUN = "its last run is over"
_ACTIVE = (lifecycle.RUNNING, lifecycle.ABORTING)

log = logging.getLogger(__name__)


class Jobs:
    """All jobs of the host: their ``states``, and the ``timetable`` that says when they are due."""

    def __init__(self, store: Store, settings: Settings, *, live: bool = True) -> None:
        self.store = store
        self.states = States(store)
        self.timetable = Timetable(store, settings, self.states, live=live)
        # Whatever reads the declarations, or writes them, brings in what was written there
        # meanwhile, so that no change of the file is seen afterwards.
        self._taken = -1
        self._jobs_written = False

    # -- declarations ------------------------------------------------------------------------

    @property
    def outdated(self) -> bool:
        """Are there declarations that were not taken in yet?"""
        return self.store.jobs_changed() or self.store.jobs_generation != self._taken

    @property
    def pressing(self) -> bool:
        """Is there something to take in that no change of a file will tell?"""
        return self._jobs_written or self._taken < 0 or self.states.events_written

    def reload(self) -> None:
        """Take in what was declared, changed and removed since the last time."""
        self._jobs_written = False
        declared = self.store.jobs()
        self._taken = self.store.jobs_generation
        for job_id in [job_id for job_id in self.states if job_id not in declared]:
            self._removed(job_id)
        waiting = self.timetable.waiting
        for job_id, record in declared.items():
            state = self.states.get(job_id)
            if state is None:
                self.states.add(job_id, dataclasses.replace(State.initial(record), reason=""))
                self._declared(record, new=True)
            elif (state.revision, state.armed) != (record.revision, record.anchor):
                self._declared(record, new=False)  # changed, or removed and declared again
            elif not self.timetable.knows(job_id):
                self.timetable.arm(record)
            if job_id in waiting:
                waiting[job_id] = Waiting.of(record)

    def _declared(self, record: JobRecord, *, new: bool) -> None:
        job_id, state = record.job_id, self.states[record.job_id]
        was_stopped = state.status == lifecycle.STOP
        fields: dict[str, Any] = {"revision": record.revision}
        rescheduled = record.anchor != state.armed  # it moves with the schedule, and only with it
        if rescheduled:
            fields.update(armed=record.anchor, considered=None, anew=None)
        self.states.change(job_id, **fields)
        if new:
            self.timetable.arm(record)
        elif record.stopped and not was_stopped:
            self._event(job_id, "stop", "the declaration (status: stop)")
        elif not record.stopped and was_stopped and rescheduled:
            self.states.change(job_id, status=lifecycle.SCHEDULED, reason="")
            self.timetable.arm(record)
        elif not record.stopped and was_stopped and state.reason.startswith("stopped by the decl"):
            self._event(job_id, "start", "the declaration")
        else:
            self.timetable.arm(record)

    def _removed(self, job_id: str) -> None:
        if self.states[job_id].status in _ACTIVE:
            self.states.change(job_id, event="remove")
            return
        self.states.flush_skipped(job_id)
        self.timetable.forget(job_id)
        self.states.remove(job_id)

    # -- requests ----------------------------------------------------------------------------

    def take_events(self) -> Iterator[tuple[str, str, str]]:
        """Act on the pending requests; yields (job_id, effect, by) for what concerns processes."""
        if not (self.states.events_written or self.store.events_changed()):
            return
        for request in self.store.pending_events():
            if request.id in self.states.done_events:
                continue
            effect = self._request(request)
            self.states.done_events.append(request.id)
            if effect:
                yield request.job_id, effect, request.by
        self.states.events_written = False

    def _request(self, request: Event) -> str:
        if request.job_id not in self.states:
            log.warning("event %s: there is no job %s", request.event, request.job_id)
            return lifecycle.NOTHING
        log.info("job %s: event %s by %s", request.job_id, request.event, request.by)
        if request.event == lifecycle.RUN and self.states[request.job_id].status in _ACTIVE:
            return lifecycle.NOTHING
        return self._event(request.job_id, request.event, request.by)

    def run_once(self, job_id: str, by: str) -> None:
        """Queue one run now; afterwards the job is scheduled or stopped as it was."""
        self._event(job_id, lifecycle.RUN, by)

    def _event(self, job_id: str, event: str, by: str) -> str:
        try:
            after = lifecycle.after_event(self.states[job_id].status, event)
        except lifecycle.LifecycleError as error:
            log.error("job %s: %s", job_id, error)
            return lifecycle.NOTHING
        if after.effect in (lifecycle.ARM, lifecycle.RUN_NOW):
            self.store.jobs()  # needed for it: unreadable now, nothing has changed yet
        now = time.time()
        self.states.change(job_id, status=after.status, event=after.pending)
        if after.effect == lifecycle.ARM:
            self._start_again(job_id, by, now)
        elif after.effect == lifecycle.RUN_NOW:
            if not self.states[job_id].queue:
                self.timetable.queue(job_id, slot=now, at=now, cause="event")
            self.states.change(job_id, reason=f"started by {by}")
        elif event in ("stop", "abort"):
            idle = after.status == lifecycle.STOP
            verb = "aborted" if event == "abort" and not idle else "stopped"
            when = " (after the present run)" if event == "stop" and not idle else ""
            reason = f"{verb} by {by} at {iso(from_epoch(int(now)))}{when}"
            if idle:
                self._drop_queue(job_id, f"{verb} by {by} before it began")
            self.states.change(job_id, reason=reason)
        elif event == "remove":
            self.store.remove_declaration(job_id)
            self._jobs_written = True
            if after.status == lifecycle.REMOVED:
                self._removed(job_id)
        return after.effect

    def _drop_queue(self, job_id: str, reason: str) -> None:
        for entry in self.states[job_id].queue:
            self.states.skip(job_id, [entry["slot"]], reason)
        self.timetable.disarm(job_id)

    def _start_again(self, job_id: str, by: str, now: float) -> None:
        self.states.change(job_id, considered=now, result="", reason=f"started by {by}")
        record = self.store.job(job_id)
        if record is not None:
            self.timetable.start_again(record, now)

    # -- runs ----------------------------------------------------------------------------------

    def begun(self, job_id: str, run: Run, queue: list[dict[str, Any]]) -> None:
        """A run was made or found; *queue* is what waits behind it."""
        self.timetable.unqueue(job_id, queue)
        self.states.change(
            job_id,
            status=lifecycle.RUNNING,
            run_id=run["run_id"],
            cause=run["cause"],
            scheduled_for=run["scheduled_for"],
            result="",
            time_started=run["time_started"],
            time_ended=None,
        )

    def fired(self, job_id: str, run: Run) -> None:
        """A run was made for the first entry of the job's queue."""
        self.states.flush_skipped(job_id)
        lifecycle.fire(self.states[job_id].status)
        self.begun(job_id, run, self.states[job_id].queue[1:])
        self.states.change(job_id, reason="")
        self.timetable.tell_next(job_id)

    def ended(self, job_id: str, run: Run) -> None:
        """The run is over and its record is in the history.  Any error leaves all as it was."""
        if job_id not in self.states:  # found on disk, and its job is no longer known
            return
        if self.states[job_id].event == "start":
            self.store.jobs()  # needed to arm it: unreadable now, nothing has changed yet
        self.states.flush_skipped(job_id)
        now = time.time()
        more = self.timetable.more(job_id, now)
        state = self.states[job_id]
        status = state.status if state.status == lifecycle.ABORTING else lifecycle.RUNNING
        after = lifecycle.end(status, state.event, more=more)
        asked = state.reason if state.event in ("stop", "abort") else ""
        self.states.change(
            job_id,
            status=after.status,
            event="",
            result=run["result"],
            time_started=run["time_started"],
            time_ended=run["time_ended"],
            run_id=None,
            cause="",
            scheduled_for="",
            last_run=run,
            reason=asked or ("" if after.status != lifecycle.STOP else _LAST_RUN),
        )
        if after.status == lifecycle.REMOVED:
            self.timetable.forget(job_id)
            self.states.remove(job_id)
            self._taken = -1  # it may have been declared again meanwhile: a new job
        elif after.status == lifecycle.STOP:
            self._drop_queue(job_id, asked or _LAST_RUN)
            self.states.change(job_id, reason=asked or _LAST_RUN)
        elif after.effect == lifecycle.ARM:
            self._start_again(job_id, "an event during the last run", now)
        else:
            self.timetable.set_clock(job_id)

    def wait_reason(self, job_id: str, running: int, holder: str | None, lock: str) -> None:
        """Say why a due job does not begin yet."""
        if holder is not None:
            reason = f"waiting for the lock {lock!r}, held by job {holder}"
        else:
            reason = _WAITING_PLACE.format("1 job" if running == 1 else f"{running} jobs")
        self.states.change(job_id, reason=reason)
