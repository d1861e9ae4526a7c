# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When each job is due: triggers on the clock, slots accounted for, and the queue to run."""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from datetime import datetime
from typing import NamedTuple

from coldchain import lifecycle
from coldchain import schedule as calendar
from coldchain.instants import from_epoch, iso
from coldchain.runner.clock import Clock
from coldchain.runner.states import States
from coldchain.runner.triggers import Triggers
from coldchain.settings import Settings
from coldchain.store import JobRecord, Store

ON_TIME = 10.0
"""Seconds: a run that starts no later than this after its slot is no catch-up."""
_TURNED_BACK = 86400.0
"""Seconds: a clock set back by more than this was wrong before; the schedules start anew."""

_ACTIVE = (lifecycle.RUNNING, lifecycle.ABORTING)

log = logging.getLogger(__name__)


class Waiting(NamedTuple):
    """What decides when a queued job begins, besides its time.  lock: "" for none."""

    priority: int = 0
    lock: str = ""

    @classmethod
    def of(cls, record: JobRecord) -> Waiting:
        return cls(record.document.get("priority", 0), record.document.get("lock", ""))


class Timetable:
    """live: False keeps every schedule off the clock (``coldchain run`` runs one job only)."""

    def __init__(self, store: Store, settings: Settings, states: States, *, live: bool) -> None:
        self.waiting: dict[str, Waiting] = {}  # jobs with a queue
        self.taken_up: dict[str, str] = {}  # jobs whose run was found on disk -> its slot
        self._store, self._states = store, states
        self._live = live
        self._clock = Clock(self._next_at, self.look)
        self._triggers = Triggers(settings)
        self._unusable: dict[str, int] = {}  # jobs whose schedule cannot be used -> revision
        for job_id, state in states.items():
            if state.queue:
                self.waiting[job_id] = Waiting()

    # -- on and off the clock --------------------------------------------------------------------

    def knows(self, job_id: str) -> bool:
        """Has the job's schedule been looked at, whether it can be used or not?"""
        return job_id in self._triggers or job_id in self._unusable

    def arm(self, record: JobRecord) -> None:
        """Build the trigger and put the job on the clock from where it was considered."""
        job_id, state = record.job_id, self._states[record.job_id]
        self._unusable.pop(job_id, None)
        try:
            trigger = self._triggers.add(record, self._anchor(record))
        except ValueError as error:  # ScheduleError, or a zone that this host does not know
            self.forget(job_id)
            self._unusable[job_id] = record.revision
            reason = f"its schedule cannot be used: {error}"
            self._states.change(job_id, status=lifecycle.STOP, next_run=None, reason=reason)
            log.error("job %s: %s", job_id, reason)
            return
        if state.status == lifecycle.STOP or state.event in ("stop", "abort", "remove"):
            self._clock.remove(job_id)
            self._states.change(job_id, next_run=None)
            return
        if state.considered is None:
            # A date and "once" lie at or before their own declaration; the others begin with it.
            first = trigger.kind in ("date", "once")
            self._states.change(job_id, considered=0.0 if first else self._anchor(record))
        if self._live:
            self.look(job_id)

    def _anchor(self, record: JobRecord) -> float:
        """What an interval counts from; it is declared, unless the clock was ahead then."""
        anew = self._states[record.job_id].anew
        return record.anchor if anew is None else anew

    def start_again(self, record: JobRecord, now: float) -> None:
        """Arm a job that was stopped; one whose schedule has no later run is queued at once."""
        try:
            if self._triggers.build(record).next(from_epoch(now)) is None:
                self.queue(record.job_id, slot=now, at=now, cause="event")
        except ValueError:
            pass  # arm says why
        self.arm(record)

    def disarm(self, job_id: str) -> None:
        """Off the clock, with nothing queued any more; the trigger stays."""
        self._clock.remove(job_id)
        self.waiting.pop(job_id, None)
        self._states.change(job_id, queue=[], next_run=None)

    def forget(self, job_id: str) -> None:
        self._clock.remove(job_id)
        self._triggers.discard(job_id)
        self.waiting.pop(job_id, None)

    # -- slots -----------------------------------------------------------------------------------

    def look(self, job_id: str) -> None:
        """Account for every slot up to now: queue it, or record why it is skipped."""
        now = time.time()
        state, trigger = self._states[job_id], self._triggers[job_id]
        if trigger.kind == "continuous" and (state.status in _ACTIVE or state.queue):
            return  # the next one begins when this one has ended
        considered = state.considered or 0.0
        if max(considered, self._triggers.anchor(job_id)) > now + _TURNED_BACK:
            trigger, considered = self._start_anew(job_id, now), min(considered, now)
        if considered < now:
            found = calendar.catch_up(
                trigger,
                after=from_epoch(considered),
                now=from_epoch(now),
                policy=trigger.missed,
            )
            if found.run or found.later:
                self._store.jobs()  # needed for them: unreadable now, nothing has changed yet
            for reason, group in itertools.groupby(found.skipped, key=lambda item: item[1]):
                slots = [item.slot.timestamp() for item, dummy in group]
                self._states.skip(job_id, slots, reason)
            for occurrence in found.run:
                if self._already_begun(job_id, occurrence):
                    continue
                late = occurrence.put_off or now - occurrence.at.timestamp() > ON_TIME
                late = late and trigger.kind != "once"
                self._enqueue(
                    job_id, occurrence, "catch-up" if late else "schedule", busy_skips=not late
                )
            for occurrence in found.later:
                self._enqueue(job_id, occurrence, "catch-up", busy_skips=False)
            self._states.change(job_id, considered=now)
        self.set_clock(job_id)
        self._settle(job_id)

    def _start_anew(self, job_id: str, now: float) -> calendar.Trigger:
        """The clock was ahead when the job was declared or looked at last."""
        state, record = self._states[job_id], self._store.job(job_id)
        if record is not None:
            with contextlib.suppress(ValueError):  # arm has said why
                self._triggers.add(record, now)
        queue = [{**entry, "at": min(entry["at"], now)} for entry in state.queue]
        considered = min(state.considered or 0.0, now)
        self._states.change(job_id, considered=considered, anew=now, queue=queue)
        return self._triggers[job_id]

    def set_clock(self, job_id: str) -> None:
        """Put an armed job on the clock at its first slot after what was considered."""
        if job_id not in self._triggers or not self._live:
            return
        due = self._clock.put(job_id, from_epoch(self._states[job_id].considered or 0.0))
        self._states.change(job_id, next_run=self._next_text(job_id, due))

    def _next_at(self, job_id: str, after: datetime) -> datetime | None:
        trigger = self._triggers.get(job_id)
        occurrence = None if trigger is None else trigger.next(after)
        return None if occurrence is None else occurrence.at

    def tell_next(self, job_id: str) -> None:
        """Bring the job's next run up to date after a change of its queue."""
        due = self._clock.get_next_run(job_id)
        self._states.change(job_id, next_run=self._next_text(job_id, due))

    def _next_text(self, job_id: str, due: datetime | None) -> str | None:
        candidates = [entry["at"] for entry in self._states[job_id].queue]
        if due is not None:
            candidates.append(due.timestamp())
        return iso(from_epoch(min(candidates))) if candidates else None

    def _already_begun(self, job_id: str, occurrence: calendar.Occurrence) -> bool:
        """After a crash: the slot's run is on disk, although the state did not say so yet."""
        return self.taken_up.get(job_id) == iso(occurrence.slot)

    def _settle(self, job_id: str) -> None:
        """A scheduled job that will never run again is a stopped one."""
        state = self._states[job_id]
        if state.status == lifecycle.SCHEDULED and not state.queue and state.next_run is None:
            if self._triggers[job_id].kind == "continuous":
                return
            reason = "its schedule has no later run"
            self._states.change(job_id, status=lifecycle.STOP, reason=state.reason or reason)

    def more(self, job_id: str, now: float) -> bool:
        """After a run: will there be another one?"""
        trigger = self._triggers.get(job_id)
        if trigger is not None and trigger.kind == "continuous":
            self._states.change(job_id, considered=now)
        state = self._states[job_id]
        if trigger is None:  # a run that a crash ended: the look at start-up decides
            return True
        return bool(state.queue) or trigger.next(from_epoch(state.considered or now)) is not None

    # -- the queue -------------------------------------------------------------------------------

    def _enqueue(
        self, job_id: str, occurrence: calendar.Occurrence, cause: str, *, busy_skips: bool
    ) -> None:
        state = self._states[job_id]
        slot, at = occurrence.slot.timestamp(), occurrence.at.timestamp()
        if busy_skips:
            if state.status in _ACTIVE:
                self._states.skip(job_id, [slot], f"the run {state.run_id} was still going on")
                return
            if state.queue:
                self._states.skip(job_id, [slot], "an earlier run was still waiting to begin")
                return
        self.queue(job_id, slot=slot, at=at, cause=cause)

    def queue(self, job_id: str, *, slot: float, at: float, cause: str) -> None:
        """Let the job run once as soon as a place and its lock are free."""
        record = self._store.job(job_id)
        entry = {"slot": slot, "at": at, "cause": cause}
        self._states.change(job_id, queue=[*self._states[job_id].queue, entry])
        self.waiting[job_id] = Waiting() if record is None else Waiting.of(record)

    def unqueue(self, job_id: str, queue: list[dict[str, object]]) -> None:
        """The first entries became runs; *queue* is what is left."""
        self._states.change(job_id, queue=queue)
        if not queue:
            self.waiting.pop(job_id, None)

    def due(self, now: float) -> list[tuple[str, str]]:
        """Jobs that may begin a run now, and their locks, in order of priority and then of time.

        Their documents are not looked at: a hundred of them may wait for four places.
        """
        ready = []
        for job_id, waiting in self.waiting.items():
            state = self._states[job_id]
            if state.status == lifecycle.SCHEDULED and state.queue and state.queue[0]["at"] <= now:
                ready.append((-waiting.priority, state.queue[0]["at"], job_id, waiting.lock))
        return [(job_id, lock) for dummy, dummy, job_id, lock in sorted(ready)]

    # -- time ------------------------------------------------------------------------------------

    def run_pending(self) -> None:
        """Look at every job whose slot has come."""
        self._clock.run_pending()

    @property
    def idle_seconds(self) -> float | None:
        """Until the next slot of any job; negative when it has passed."""
        return self._clock.idle_seconds

    def next_queued(self) -> float | None:
        """POSIX seconds of the earliest queued run that is still to come."""
        times = [
            self._states[job_id].queue[0]["at"]
            for job_id in self.waiting
            if self._states[job_id].queue
        ]
        return min(times) if times else None

    def look_again(self) -> None:
        """The wall clock is not where it was: look at every job."""
        for job_id in list(self._triggers):
            if self._states[job_id].status != lifecycle.STOP:
                self.look(job_id)
