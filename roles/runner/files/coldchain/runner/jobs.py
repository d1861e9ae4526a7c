# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner's picture of the jobs: their states, when each is due, and what waits to run.

No processes and no waiting here: the loop (daemon.py) asks what is due and tells what has ended.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import time
from collections.abc import Iterable
from typing import Any

from coldchain import lifecycle
from coldchain import schedule as calendar
from coldchain.errors import CannotWrite
from coldchain.instants import from_epoch, iso
from coldchain.runner.clock import Clock
from coldchain.settings import Settings
from coldchain.store import Event, JobRecord, Run, State, Store

ON_TIME = 10.0
"""Seconds: a run that starts no later than this after its slot is no catch-up."""
_TURNED_BACK = 86400.0
"""Seconds: a clock set back by more than this was wrong before; the schedules start anew."""
_WAITING_PLACE = "waiting for a free place: {0} jobs are running (concurrent_jobs)"

log = logging.getLogger(__name__)


class Jobs:
    """All jobs of the host.  ``dirty`` holds the ids whose state is not committed yet."""

    def __init__(self, store: Store, settings: Settings, *, arm: bool = True) -> None:
        self.store, self.settings = store, settings
        self.clock = Clock()
        self.states: dict[str, State] = dict(store.states())
        self.dirty: set[str] = set()
        self.done_events: list[str] = []
        self.waiting: dict[str, int] = {}  # jobs with a queue -> their priority
        self.taken_up: dict[str, str] = {}  # jobs whose run was found on disk -> its slot
        # Our own writes to the command's files bring in what was written there meanwhile, so that
        # no change is seen afterwards.
        self.jobs_written = self.events_written = False
        self._triggers: dict[str, calendar.Trigger] = {}
        self._unusable: dict[str, int] = {}  # jobs whose schedule cannot be used -> revision
        self._arm_jobs = arm
        for job_id, state in self.states.items():
            if state.queue:
                self.waiting[job_id] = 0

    # -- states ------------------------------------------------------------------------------

    def change(self, job_id: str, **fields: Any) -> None:
        state = self.states[job_id]
        changed = dataclasses.replace(state, **fields)
        if changed != state:
            self.states[job_id] = changed
            self.dirty.add(job_id)

    def commit(self) -> None:
        """Write what changed, in one commit; then drop the requests that are done."""
        if not self.dirty and not self.done_events:
            return
        done = self.done_events
        self.store.commit_states(
            {job_id: self.states.get(job_id) for job_id in self.dirty}, done or None
        )
        self.dirty.clear()
        if done:
            self.store.forget_events(done)
            self.done_events = []
            self.events_written = True

    # -- declarations ------------------------------------------------------------------------

    def reload(self) -> None:
        """Take in what was declared, changed and removed since the last time."""
        self.jobs_written = False
        records = self.store.jobs()
        for job_id in [job_id for job_id in self.states if job_id not in records]:
            self._removed(job_id)
        for job_id, record in records.items():
            state = self.states.get(job_id)
            if state is None:
                self.states[job_id] = dataclasses.replace(State.initial(record), reason="")
                self.dirty.add(job_id)
                self._declared(record, new=True)
            elif state.revision != record.revision:
                self._declared(record, new=False)
            elif job_id not in self._triggers and job_id not in self._unusable:
                self._arm(record)
            if job_id in self.waiting:
                self.waiting[job_id] = record.document.get("priority", 0)

    def _declared(self, record: JobRecord, *, new: bool) -> None:
        job_id, state = record.job_id, self.states[record.job_id]
        was_stopped = state.status == lifecycle.STOP
        fields: dict[str, Any] = {"revision": record.revision}
        rescheduled = record.anchor != state.armed  # it moves with the schedule, and only with it
        if rescheduled:
            fields.update(armed=record.anchor, considered=None)
        self.change(job_id, **fields)
        if new:
            self._arm(record)
        elif record.stopped and not was_stopped:
            self._event(job_id, "stop", "the declaration (status: stop)")
        elif not record.stopped and was_stopped and rescheduled:
            self.change(job_id, status=lifecycle.SCHEDULED, reason="")
            self._arm(record)
        elif not record.stopped and was_stopped and state.reason.startswith("stopped by the decl"):
            self._event(job_id, "start", "the declaration")
        else:
            self._arm(record)

    def _removed(self, job_id: str) -> None:
        state = self.states[job_id]
        if state.status in (lifecycle.RUNNING, lifecycle.ABORTING):
            self.change(job_id, event="remove")
            return
        self._flush_skipped(job_id)
        self._disarm(job_id)
        del self.states[job_id]
        self.dirty.add(job_id)

    # -- when ----------------------------------------------------------------------------------

    def _arm(self, record: JobRecord) -> None:
        """Build the trigger and put the job on the clock from where it was considered."""
        job_id, state = record.job_id, self.states[record.job_id]
        self._unusable.pop(job_id, None)
        try:
            trigger = self._build(record)
        except ValueError as error:  # ScheduleError, or a zone that this host does not know
            self._disarm(job_id)
            self._unusable[job_id] = record.revision
            self.change(
                job_id,
                status=lifecycle.STOP,
                next_run=None,
                reason=f"its schedule cannot be used: {error}",
            )
            log.error("job %s: its schedule cannot be used: %s", job_id, error)
            return
        self._triggers[job_id] = trigger
        if state.status == lifecycle.STOP or state.event in ("stop", "abort", "remove"):
            self.clock.remove(job_id)
            self.change(job_id, next_run=None)
            return
        considered = state.considered
        if considered is None:
            # A date and "once" lie at or before their own declaration; the others begin with it.
            first = trigger.kind in ("date", "once")
            considered = 0.0 if first else record.anchor
            self.change(job_id, considered=considered)
        if not self._arm_jobs:
            return
        self.look(job_id)

    def _set_clock(self, job_id: str) -> None:
        trigger, state = self._triggers[job_id], self.states[job_id]

        def next_at(after: Any) -> Any:
            occurrence = trigger.next(after)
            return None if occurrence is None else occurrence.at

        due = self.clock.put(
            job_id, next_at, from_epoch(state.considered or 0.0), lambda: self.look(job_id)
        )
        self.change(job_id, next_run=self._next_text(job_id, due))

    def _next_text(self, job_id: str, due: Any) -> str | None:
        candidates = [entry["at"] for entry in self.states[job_id].queue]
        if due is not None:
            candidates.append(due.timestamp())
        return iso(from_epoch(min(candidates))) if candidates else None

    def _disarm(self, job_id: str) -> None:
        self.clock.remove(job_id)
        self._triggers.pop(job_id, None)
        self.waiting.pop(job_id, None)

    def look(self, job_id: str) -> None:
        """Account for every slot up to now: queue it, or record why it is skipped."""
        now = time.time()
        state, trigger = self.states[job_id], self._triggers[job_id]
        running = state.status in (lifecycle.RUNNING, lifecycle.ABORTING)
        if trigger.kind == "continuous" and (running or state.queue):
            return  # the next one begins when this one has ended
        considered = state.considered or 0.0
        if considered > now + _TURNED_BACK:
            considered = now
        if considered < now:
            found = calendar.catch_up(
                trigger,
                after=from_epoch(considered),
                now=from_epoch(now),
                policy=trigger.missed,
            )
            for reason, group in itertools.groupby(found.skipped, key=lambda item: item[1]):
                self._skip(job_id, [item.slot.timestamp() for item, dummy in group], reason)
            for occurrence in found.run:
                if self._already_begun(job_id, occurrence):
                    continue
                late = now - occurrence.at.timestamp() > ON_TIME and trigger.kind != "once"
                self._enqueue(
                    job_id, occurrence, "catch-up" if late else "schedule", busy_skips=not late
                )
            for occurrence in found.later:
                self._enqueue(job_id, occurrence, "catch-up", busy_skips=False)
            self.change(job_id, considered=now)
        self._set_clock(job_id)
        self._settle(job_id)

    def _already_begun(self, job_id: str, occurrence: calendar.Occurrence) -> bool:
        """After a crash: the slot's run is on disk, although the state did not say so yet."""
        return self.taken_up.get(job_id) == iso(occurrence.slot)

    def _settle(self, job_id: str) -> None:
        """A scheduled job that will never run again is a stopped one."""
        state = self.states[job_id]
        if state.status == lifecycle.SCHEDULED and not state.queue and state.next_run is None:
            if self._triggers[job_id].kind == "continuous":
                return
            reason = "its schedule has no later run"
            self.change(job_id, status=lifecycle.STOP, reason=state.reason or reason)

    def _enqueue(
        self, job_id: str, occurrence: calendar.Occurrence, cause: str, *, busy_skips: bool
    ) -> None:
        state = self.states[job_id]
        slot, at = occurrence.slot.timestamp(), occurrence.at.timestamp()
        if busy_skips:
            if state.status in (lifecycle.RUNNING, lifecycle.ABORTING):
                self._skip(job_id, [slot], f"the run {state.run_id} was still going on")
                return
            if state.queue:
                self._skip(job_id, [slot], "an earlier run was still waiting to begin")
                return
        self.queue(job_id, slot=slot, at=at, cause=cause)

    def queue(self, job_id: str, *, slot: float, at: float, cause: str) -> None:
        """Let the job run once as soon as a place and its lock are free."""
        entry = {"slot": slot, "at": at, "cause": cause}
        self.change(job_id, queue=[*self.states[job_id].queue, entry])
        record = self.store.job(job_id)
        self.waiting[job_id] = 0 if record is None else record.document.get("priority", 0)

    def turn_clock(self, seconds: float) -> None:
        """The wall clock moved by *seconds* against the monotonic one: look at every job again."""
        log.warning(
            "the clock moved by %+.0f s (a step, or the host slept); looking again", seconds
        )
        for job_id in list(self._triggers):
            if self.states[job_id].status != lifecycle.STOP:
                self.look(job_id)

    # -- skipped slots ---------------------------------------------------------------------------

    def _skip(self, job_id: str, slots: list[float], reason: str) -> None:
        """Put *slots* (POSIX seconds, in order) on record as passed over."""
        first, last = iso(from_epoch(slots[0])), iso(from_epoch(slots[-1]))
        group = self.states[job_id].skipped
        if group is not None and group["reason"] != reason and self._flush_skipped(job_id):
            group = None
        if group is None:
            count = len(slots)
            group = {"skipped": count, "reason": reason, "scheduled_for": first, "last": last}
        else:
            group = {**group, "last": last, "skipped": group["skipped"] + len(slots)}
        self.change(job_id, skipped=group, reason=f"the slot {last} was skipped: {reason}")
        count_text = "slot" if len(slots) == 1 else f"{len(slots)} slots up to"
        log.warning("job %s: %s %s skipped: %s", job_id, count_text, last, reason)

    def _flush_skipped(self, job_id: str) -> bool:
        """Move the group of skipped slots to the history.  False: the disk does not take it now;
        it stays in the state until later."""
        group = self.states[job_id].skipped
        if group is None:
            return True
        entry = {**group, "job_id": job_id, "time_ended": round(time.time(), 3)}
        try:
            self.store.add_history(job_id, entry)
        except CannotWrite as error:
            log.error("%s", error.message)
            return False
        self.change(job_id, skipped=None)
        return True

    # -- requests ----------------------------------------------------------------------------

    def take_events(self) -> list[tuple[str, str, str]]:
        """Act on the pending requests; returns (job_id, effect, by) for what concerns processes."""
        effects = []
        self.events_written = False
        for request in self.store.pending_events():
            if request.id in self.done_events:
                continue
            effect = self._request(request)
            if effect:
                effects.append((request.job_id, effect, request.by))
            self.done_events.append(request.id)
        return effects

    def _request(self, request: Event) -> str:
        if request.job_id not in self.states:
            log.warning("event %s: there is no job %s", request.event, request.job_id)
            return lifecycle.NOTHING
        log.info("job %s: event %s by %s", request.job_id, request.event, request.by)
        active = (lifecycle.RUNNING, lifecycle.ABORTING)
        if request.event == lifecycle.RUN and self.states[request.job_id].status in active:
            return lifecycle.NOTHING
        return self._event(request.job_id, request.event, request.by)

    def _event(self, job_id: str, event: str, by: str) -> str:
        state = self.states[job_id]
        try:
            after = lifecycle.after_event(state.status, event)
        except lifecycle.LifecycleError as error:
            log.error("job %s: %s", job_id, error)
            return lifecycle.NOTHING
        now = time.time()
        self.change(job_id, status=after.status, event=after.pending)
        if after.effect == lifecycle.ARM:
            self._start_again(job_id, by, now)
        elif after.effect == lifecycle.RUN_NOW:
            if not self.states[job_id].queue:
                self.queue(job_id, slot=now, at=now, cause="event")
            self.change(job_id, reason=f"started by {by}")
        elif event in ("stop", "abort"):
            ends = after.status != lifecycle.STOP
            verb = "aborted" if event == "abort" and ends else "stopped"
            when = " (after the present run)" if ends and event == "stop" else ""
            self.change(job_id, reason=f"{verb} by {by} at {iso(from_epoch(int(now)))}{when}")
            if not ends:
                for entry in self.states[job_id].queue:
                    self._skip(job_id, [entry["slot"]], f"{verb} by {by} before it began")
                self.clock.remove(job_id)
                self.waiting.pop(job_id, None)
                self.change(job_id, queue=[], next_run=None)
                self.change(job_id, reason=f"{verb} by {by} at {iso(from_epoch(int(now)))}")
        elif event == "remove":
            self.store.remove_declaration(job_id)
            self.jobs_written = True
            self._removed(job_id) if after.status == lifecycle.REMOVED else None
        return after.effect

    def _start_again(self, job_id: str, by: str, now: float) -> None:
        self.change(job_id, considered=now, result="", reason=f"started by {by}")
        record = self.store.job(job_id)
        if record is None:
            return
        try:
            if self._build(record).next(from_epoch(now)) is None:
                self.queue(job_id, slot=now, at=now, cause="event")
        except ValueError:
            pass  # _arm says why
        self._arm(record)

    def _build(self, record: JobRecord) -> calendar.Trigger:
        return calendar.build(
            record.schedule,
            zone=self.settings.zone,
            created=from_epoch(int(record.anchor)),
            key=f"{self.settings.client_id}/{record.job_id}",
        )

    def run_once(self, job_id: str, by: str) -> None:
        """Queue one run now; afterwards the job is scheduled or stopped as it was."""
        self._event(job_id, lifecycle.RUN, by)

    # -- runs ----------------------------------------------------------------------------------

    def due(self, now: float) -> Iterable[tuple[str, JobRecord]]:
        """Jobs that may begin a run now, in order of priority and then of time."""
        ready = []
        for job_id, priority in self.waiting.items():
            state = self.states[job_id]
            if state.status == lifecycle.SCHEDULED and state.queue and state.queue[0]["at"] <= now:
                ready.append((-priority, state.queue[0]["at"], job_id))
        for job_id in (entry[2] for entry in sorted(ready)):
            record = self.store.job(job_id)
            if record is not None:
                yield job_id, record

    def next_queued(self) -> float | None:
        """POSIX seconds of the earliest queued run that is still to come."""
        times = [
            self.states[job_id].queue[0]["at"]
            for job_id in self.waiting
            if self.states[job_id].queue
        ]
        return min(times) if times else None

    def begun(self, job_id: str, run: Run) -> None:
        """A run was made for the first entry of the job's queue."""
        self._flush_skipped(job_id)
        after = lifecycle.fire(self.states[job_id].status)
        rest = self.states[job_id].queue[1:]
        if not rest:
            self.waiting.pop(job_id, None)
        self.change(
            job_id,
            status=after.status,
            queue=rest,
            run_id=run["run_id"],
            result="",
            time_started=run["time_started"],
            time_ended=None,
            reason="",
        )
        self.change(job_id, next_run=self._next_text(job_id, self.clock.get_next_run(job_id)))

    def ended(self, job_id: str, run: Run) -> None:
        """The run is over and its record is in the history."""
        state = self.states.get(job_id)
        if state is None:  # found on disk, and its job is no longer known
            return
        self._flush_skipped(job_id)
        trigger = self._triggers.get(job_id)
        now = time.time()
        if trigger is not None and trigger.kind == "continuous":
            self.change(job_id, considered=now)
        considered = from_epoch(self.states[job_id].considered or now)
        # Without a trigger yet (a run that a crash ended) the look at start-up decides.
        later = trigger is None or trigger.next(considered) is not None
        status = state.status if state.status == lifecycle.ABORTING else lifecycle.RUNNING
        after = lifecycle.end(status, state.event, more=later or bool(state.queue))
        reason = state.reason if state.event in ("stop", "abort") else ""
        self.change(
            job_id,
            status=after.status,
            event="",
            result=run["result"],
            time_started=run["time_started"],
            time_ended=run["time_ended"],
            run_id=None,
            last_run=run,
            reason=reason or ("" if after.status != lifecycle.STOP else "its last run is over"),
        )
        if after.status == lifecycle.REMOVED:
            self._removed_after_run(job_id)
        elif after.status == lifecycle.STOP:
            for entry in self.states[job_id].queue:
                self._skip(job_id, [entry["slot"]], self.states[job_id].reason)
            self.clock.remove(job_id)
            self.waiting.pop(job_id, None)
            self.change(job_id, queue=[], next_run=None, reason=reason or "its last run is over")
        elif after.effect == lifecycle.ARM:
            self._start_again(job_id, "an event during the last run", now)
        elif self._arm_jobs and trigger is not None:
            self._set_clock(job_id)

    def _removed_after_run(self, job_id: str) -> None:
        self._disarm(job_id)
        del self.states[job_id]
        self.dirty.add(job_id)

    def wait_reason(self, job_id: str, running: int, holder: str | None, lock: str) -> None:
        """Say why a due job does not begin yet."""
        if holder is not None:
            self.change(job_id, reason=f"waiting for the lock {lock!r}, held by job {holder}")
        else:
            self.change(job_id, reason=_WAITING_PLACE.format(running))
