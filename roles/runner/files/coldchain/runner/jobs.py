# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to a job: declared, changed, removed, asked for, begun, ended.

No processes and no waiting here: the loop (daemon.py) asks what is due and tells what has ended.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from coldchain import lifecycle
from coldchain.core.instants import from_epoch, iso
from coldchain.core.settings import Settings
from coldchain.runner.one_off import OneOffs
from coldchain.runner.outlook import taken_in
from coldchain.runner.queues import Queues
from coldchain.runner.states import States
from coldchain.runner.timetable import Timetable
from coldchain.store import Document, Event, JobRecord, Run, State, Store

_WAITING_PLACE = "waiting for a free place: {0} running (concurrent_jobs)"

log = logging.getLogger(__name__)


class Jobs:
    """All jobs of the host: their ``states``, the ``timetable`` that says when they are due, and
    what waits of them in ``queues``."""

    def __init__(self, store: Store, settings: Settings, *, live: bool = True) -> None:
        self.store = store
        self.states = States(store)
        self.queues = Queues(store, self.states)
        self.timetable = Timetable(store, settings, self.states, self.queues, live=live)
        self.one_offs = OneOffs(store, self.states, self.queues, self.timetable)
        self.on_record: Callable[[JobRecord], None] = lambda record: None
        """Is told of each declaration that is there, whenever one has changed."""
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
        """Take in what was declared, changed and removed since the last time, and look again at
        what this host could not use."""
        self._jobs_written = False
        declared = self.store.jobs()
        self._taken = self.store.jobs_generation
        for job_id in [job_id for job_id in self.states if job_id not in declared]:
            if not self.states[job_id].one_off:
                self._removed(job_id)
        for job_id, record in declared.items():
            self.on_record(record)
            state = self.states.get(job_id)
            if state is not None and state.created not in (None, record.created):
                self._removed(job_id)  # and declared again: a new job
                state = self.states.get(job_id)
            if state is None or not self._is_taken(state, record):
                self.states.add(job_id, taken_in(state, record))
                self.timetable.take(record)
            elif state.unusable or not self.timetable.knows(job_id):
                self.timetable.take(record)
            else:
                self.queues.declared(record)

    @staticmethod
    def _is_taken(state: State, record: JobRecord) -> bool:
        seen = state.created, state.revision, state.armed_anchor
        return seen == (record.created, record.revision, record.anchor)

    def look_at_unusable(self) -> None:
        """What this host could not use it may by now: a package may have brought the zone."""
        for job_id in self.timetable.unusable():
            record = self.store.job(job_id)
            if record is not None:
                self.timetable.take(record)

    def _removed(self, job_id: str) -> None:
        state = self.states[job_id]
        if state.active:
            if state.event != "remove":
                facts = lifecycle.Facts(declared=False, run=lifecycle.RUNNING)
                self.timetable.forget(job_id)
                self.states.change(
                    job_id,
                    status=lifecycle.status_of(facts)[0],
                    event="remove",
                    stopped_by=None,
                    next_run=None,
                    queue=[],
                    reason="removed; its last run goes on",
                )
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
        if request.document is not None:
            self.one_offs.ask(request)
            return lifecycle.NOTHING
        if request.job_id not in self.states:
            log.warning("event %s: there is no job %s", request.event, request.job_id)
            return lifecycle.NOTHING
        log.info("job %s: event %s by %s", request.job_id, request.event, request.by)
        if request.event == lifecycle.RUN and self.states[request.job_id].active:
            return lifecycle.NOTHING
        if self.states[request.job_id].one_off:
            return self.one_offs.event(request)
        return self._event(request.job_id, request.event, request.by)

    def run_once(self, job_id: str, by: str) -> None:
        """Queue one run now, for *by*; afterwards the job is scheduled or stopped as it was."""
        self._event(job_id, lifecycle.RUN, by)

    def _event(self, job_id: str, event: str, by: str) -> str:
        state = self.states[job_id]
        try:
            after = lifecycle.after_event(state.status, event)
        except lifecycle.LifecycleError as error:
            log.error("job %s: %s", job_id, error)
            return lifecycle.NOTHING
        if after.effect in (lifecycle.ARM, lifecycle.RUN_NOW) or event == "start":
            self.store.jobs()  # needed for it: unreadable now, nothing has changed yet
        effect = after.effect
        if effect == lifecycle.TERMINATE and state.aborting:
            effect = lifecycle.KILL
        now = time.time()
        if state.active and event != "remove":  # which _removed notes
            ending = effect in (lifecycle.TERMINATE, lifecycle.KILL)
            self.states.change(
                job_id, event=after.pending, aborting=state.aborting or ending, reason=""
            )
        if event == "remove":
            self.store.remove_declaration(job_id)
            self._jobs_written = True
            self._removed(job_id)
        elif state.status != lifecycle.REMOVING:
            self._decide(job_id, event, by, now)
            if effect == lifecycle.ARM:
                self.timetable.start_again(job_id, now)
            elif effect == lifecycle.RUN_NOW:
                self._run_now(job_id, now, asked=event == lifecycle.RUN)
            self.timetable.settle(job_id)
            if self.states[job_id].status == lifecycle.SCHEDULED:
                self.states.change(job_id, reason=f"started by {by}")
            elif state.active and event in ("stop", "abort"):
                verb = "aborted" if event == "abort" else "stopped"
                self.states.change(
                    job_id,
                    reason=f"{verb} by {by} at {iso(from_epoch(int(now)))}"
                    + ("" if event == "abort" else " (after the present run)"),
                )
        return effect

    def _decide(self, job_id: str, event: str, by: str, now: float) -> None:
        """Note a start, stop or abort that decides whether the job is stopped."""
        state = self.states[job_id]
        stopped_by = state.stopped_by or {"what": ""}
        lifts = event == "start" and stopped_by["what"] in lifecycle.BY_WILL
        if event in ("stop", "abort"):
            if stopped_by["what"] == lifecycle.BY_EVENT and state.newest_event is not None:
                return  # it is, by who stopped it first
            # What was asked for before it is stopped like the rest.
            queue = [{**entry, "asked": False} for entry in state.queue]
            self.states.change(job_id, queue=queue)
        elif not lifts:
            return
        decided = {"event": event, "who": by, "when": now, "revision": state.revision}
        self.states.change(job_id, newest_event=decided)
        if lifts:
            self.timetable.pass_over(job_id, now)

    def _run_now(self, job_id: str, now: float, *, asked: bool) -> None:
        """*asked*: even if the job is stopped, which it stays."""
        if not self.states[job_id].queue:
            self.queues.add(job_id, slot=now, at=now, cause="event", asked=asked)

    # -- runs ----------------------------------------------------------------------------------

    def run_found(self, run: Run) -> None:
        """A run that an earlier runner made is gone on with; its state may not have been committed,
        all the same it began."""
        job_id, request = run["job_id"], run.get("request")
        state = self.states.get(job_id)
        if state is None:
            record = None if request is not None else self.store.job(job_id)
            if request is None and record is None:
                return  # of a job that is not there any more
            state = State() if record is None else taken_in(None, record)
            self.states.add(job_id, state)
        if state.run_id == run["run_id"]:
            return
        if request is not None:
            rest = [entry for entry in state.queue if entry.get("request") != request]
        else:
            slot = run["scheduled_for"]
            rest = [entry for entry in state.queue if iso(from_epoch(entry["slot"])) != slot]
        self.begun(job_id, run, rest)

    def to_run(self, job_id: str) -> Document | None:
        """The document that the first run in the job's queue is of; None when there is none."""
        document: Document | None = self.states[job_id].queue[0].get("document")
        if document is None:
            record = self.store.job(job_id)
            document = None if record is None else record.document
        return document

    def begun(self, job_id: str, run: Run, queue: Sequence[dict[str, Any]]) -> None:
        """A run was made, or found on disk; *queue* is what waits behind it."""
        self.queues.put(job_id, queue)
        self.states.change(
            job_id,
            run_id=run["run_id"],
            cause=run["cause"],
            scheduled_for=run["scheduled_for"],
            request=run.get("request"),
            aborting=False,
            survivors=[],
            event="",
            result="",
            time_started=run["time_started"],
            time_ended=None,
            reason="",
        )
        if self.timetable.knows(job_id):
            self.timetable.settle(job_id)
        else:  # the declarations are taken in after this
            self.states.change(job_id, status=lifecycle.RUNNING)

    def fired(self, job_id: str, run: Run) -> None:
        """A run was made for the first entry of the job's queue."""
        self.states.flush_skipped(job_id)
        self.begun(job_id, run, self.states[job_id].queue[1:])

    def last_run(self, job_id: str) -> Run | None:
        """The RUN that the job has finished last, if any is known."""
        state = self.states.get(job_id)
        return None if state is None else state.last_run

    def ended(self, job_id: str, run: Run) -> None:
        """The run is over and its record is in the history.  Any error leaves all as it was."""
        state = self.states.get(job_id)
        if state is None:  # found on disk, and its job is no longer known
            return
        if state.event == "start":
            self.store.jobs()  # needed to arm it: unreadable now, nothing has changed yet
        self.states.flush_skipped(job_id)
        now = time.time()
        self.states.change(
            job_id,
            event="",
            aborting=False,
            survivors=[],
            result=run["result"],
            time_started=run["time_started"],
            time_ended=run["time_ended"],
            run_id=None,
            cause="",
            scheduled_for="",
            request=None,
            last_run=run,
            reason="",
        )
        if state.request is not None:
            self.one_offs.ended(job_id)
        elif state.event == "remove":
            self.timetable.forget(job_id)
            self.states.remove(job_id)
            self._taken = -1  # it may have been declared again meanwhile: a new job
        elif not self.timetable.knows(job_id):
            self.states.change(job_id, status=lifecycle.SCHEDULED)  # to be looked at after this
        elif state.event == "start":
            self.timetable.start_again(job_id, now)
        else:
            self.timetable.go_on(job_id, now)

    def wait_reason(self, job_id: str, running: int, holder: str | None, lock: str) -> None:
        """Say why a due job does not begin yet."""
        if holder is not None:
            reason = f"waiting for the lock {lock!r}, held by job {holder}"
        else:
            reason = _WAITING_PLACE.format("1 job" if running == 1 else f"{running} jobs")
        self.states.change(job_id, reason=reason)
