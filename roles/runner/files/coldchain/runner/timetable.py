# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When each job is due: triggers on the scheduler, and every slot accounted for."""

from __future__ import annotations

import itertools
import logging
import time
from datetime import datetime
from typing import Any

from coldchain import lifecycle
from coldchain import schedule as calendar
from coldchain.core.instants import from_epoch, iso
from coldchain.core.settings import Settings
from coldchain.execution.members import host_boot
from coldchain.runner.clock_watch import LONG_OFF, shown_before
from coldchain.runner.outlook import ON_TIME, STEP, Declared, Outlook, Recorded, grid, is_late
from coldchain.runner.queues import Queues, set_back
from coldchain.runner.scheduler import TriggerScheduler
from coldchain.runner.states import States
from coldchain.runner.trigger_cache import Triggers
from coldchain.store import JobRecord, Run, Store

BACKLOG = 100
"""Runs that may wait of one job whose missed slots are all made up for."""

log = logging.getLogger(__name__)


class Timetable:
    """When each job is due.

    live: False keeps every schedule off the scheduler (``coldchain run`` runs one job only).
    """

    def __init__(
        self, store: Store, settings: Settings, states: States, queues: Queues, *, live: bool
    ) -> None:
        self._paused = False  # no slot is accounted for: the clock is wrong, or may be
        self._behind = False  # it is known to be behind
        self._declared_behind: set[str] = set()  # jobs that were declared by it
        self._tolerance = ON_TIME
        self.stepped = 0.0
        """Seconds by which the clock was set before the start, until every job was taken in."""
        self.known_until: float | None = None
        """POSIX seconds of the newest entry at a start, until every job was taken in by a clock
        that is believed."""
        self._store, self._settings = store, settings
        self._states, self._queues = states, queues
        self._live = live
        self._scheduler = TriggerScheduler(self._next_at, self.account_slots)
        self._triggers = Triggers(settings)
        self._recorded: dict[str, Recorded] = {}  # jobs whose clock was set back -> runs on record

    def outlook(self, job_id: str) -> Outlook:
        """What becomes of a job that ``take`` was told of, as things are now."""
        return Outlook(
            self._triggers.declared(job_id),
            self._states[job_id],
            self._triggers.get(job_id),
            lambda: self._runs_on_record(job_id),
        )

    def _runs_on_record(self, job_id: str) -> Recorded:
        recorded = self._recorded.get(job_id)
        if recorded is None:
            limit = self._settings.history_runs
            runs = self._store.history(job_id, 2 * limit)
            recorded = self._recorded[job_id] = Recorded.of(runs, limit)
        return recorded

    # -- declarations ----------------------------------------------------------------------------

    def knows(self, job_id: str) -> bool:
        """Has the job's declaration been looked at, whether it can be used or not?"""
        return job_id in self._triggers

    def take(self, record: JobRecord) -> None:
        """A declaration that is new or changed, or whose schedule was not usable: plan its job."""
        job_id = record.job_id
        self._queues.declared(record)
        self._restore_grid(record)
        self._build(record)
        if self._behind and record.anchor <= time.time():
            self._declared_behind.add(job_id)
        self._account_boot(job_id)
        self.account_slots(job_id)

    def _build(self, record: JobRecord) -> None:
        job_id, state = record.job_id, self._states[record.job_id]
        try:
            self._triggers.add(record, grid(Declared.of(record), state))
        except ValueError as error:  # ScheduleError, or a zone that this host does not know
            if state.unusable != str(error):
                log.error("job %s: its schedule cannot be used: %s", job_id, error)
            self._states.change(job_id, unusable=str(error))
        else:
            if state.unusable:
                log.info("job %s: its schedule can be used again", job_id)
                self._states.change(job_id, unusable="")

    def unusable(self) -> list[str]:
        """Jobs whose schedules this host cannot use."""
        return [job_id for job_id in self._triggers if self._states[job_id].unusable]

    def start_again(self, job_id: str, now: float) -> None:
        """Arm a job that was stopped; one whose schedule has no later run is queued at once."""
        trigger = self._triggers.get(job_id)
        if trigger is not None and not self._states[job_id].queue:
            # What passed while it was stopped is not missed.
            self._states.change(job_id, checked_until=now)
            if not self.outlook(job_id).has_more:
                self._queues.add(job_id, slot=now, at=now, cause="event")
        self.account_slots(job_id)

    def pass_over(self, job_id: str, now: float) -> None:
        """What passed while the job was stopped is not missed, up to *now* (POSIX seconds)."""
        trigger = self._triggers.get(job_id)
        if trigger is not None and trigger.kind != "once":
            self._states.change(job_id, checked_until=now)

    def go_on(self, job_id: str, now: float) -> None:
        """A run of the job ended at *now* (POSIX seconds)."""
        trigger = self._triggers.get(job_id)
        if trigger is not None and trigger.kind == "continuous":
            self._states.change(job_id, checked_until=now)
        self._recorded.pop(job_id, None)
        self.account_slots(job_id)

    def forget(self, job_id: str) -> None:
        """Drop all that is known of a job that is gone."""
        self._scheduler.remove(job_id)
        self._triggers.discard(job_id)
        self._recorded.pop(job_id, None)
        self._queues.forget(job_id)

    # -- status ----------------------------------------------------------------------------------

    def settle(self, job_id: str, ahead: calendar.Occurrence | None = None) -> None:
        """Bring everything that is derived from the facts in line with them: status, what stops
        the job, its next run, its place on the scheduler.

        ahead: the job's next occurrence, where it is known already.
        """
        if job_id not in self._triggers:
            return
        outlook = self.outlook(job_id)
        if ahead is not None:
            outlook.knows_due(ahead)
        status, stopped_by = outlook.status()
        if stopped_by is not None and stopped_by["what"] in lifecycle.BY_WILL:
            self._drop_queue(job_id, lifecycle.describe_stop(stopped_by))
            outlook = self.outlook(job_id)
            status, stopped_by = outlook.status()
        state = self._states[job_id]
        due = None
        if stopped_by is not None or not self._live or self._goes_round(outlook):
            self._scheduler.remove(job_id)
        elif self._paused:
            self._scheduler.remove(job_id)  # what is due stays due
            due = None if outlook.due is None else outlook.due.at
        else:
            due = None if outlook.due is None else outlook.due.at
            self._scheduler.put(job_id, from_epoch(outlook.since), due)
        reason = state.reason
        if stopped_by is not None and not state.active:
            reason = self._why(job_id, stopped_by)
        elif state.stopped_by is not None and stopped_by is None:
            reason = ""
        next_run = self._next_text(job_id, due)
        if not self._live and stopped_by is None:
            following = self._next_at(job_id, from_epoch(outlook.since))
            next_run = state.next_run or self._next_text(job_id, following)
        self._states.change(
            job_id, status=status, stopped_by=stopped_by, next_run=next_run, reason=reason
        )

    @staticmethod
    def _goes_round(outlook: Outlook) -> bool:
        """Does the end of a run decide when the next one begins?"""
        trigger, state = outlook.trigger, outlook.state
        continuous = trigger is not None and trigger.kind == "continuous"
        return continuous and bool(state.active or state.queue)

    def _why(self, job_id: str, stopped_by: dict[str, Any]) -> str:
        state = self._states[job_id]
        why = lifecycle.describe_stop(stopped_by, state.unusable)
        if stopped_by["what"] == lifecycle.OVER and state.skipped is not None:
            return f"{why}; the slot {state.skipped['last']} was skipped: {state.skipped['reason']}"
        return why

    def _drop_queue(self, job_id: str, why: str) -> None:
        """Nothing of a stopped job waits, but for what was asked for since."""
        state, trigger = self._states[job_id], self._triggers.get(job_id)
        once = trigger is not None and trigger.kind == "once"
        for entry in state.queue:
            if once and entry["cause"] == "schedule":
                # It has no slot that could pass: it runs when it is not stopped any more.
                self._states.change(job_id, checked_until=None)
            elif not entry.get("asked"):
                self._states.skip(job_id, [entry["slot"]], f"{why} before it began")
        checked = state.checked_until
        if once and checked is not None and self.outlook(job_id).following(checked) is not None:
            self._states.change(job_id, checked_until=None)  # its splay is not over
        self._queues.put(job_id, [entry for entry in state.queue if entry.get("asked")])

    # -- slots -----------------------------------------------------------------------------------

    def account_slots(self, job_id: str) -> None:
        """Account for every slot up to now: queue it, or record why it is skipped."""
        trigger, ahead = self._triggers.get(job_id), None
        if trigger is not None and self._live and not self._paused:
            ahead = self._account(job_id, trigger)
        self.settle(job_id, ahead)

    def _account(self, job_id: str, trigger: calendar.Trigger) -> calendar.Occurrence | None:
        """Returns the next occurrence, where nothing was due and it is known by that."""
        now = time.time()
        outlook = self.outlook(job_id)
        if outlook.unwanted or self._goes_round(outlook):
            return None
        changes = outlook.rejudged(now, shown_before(now, self.stepped))
        if changes:
            self._rejudge(job_id, changes, now)
            outlook = self.outlook(job_id)
            trigger = outlook.trigger or trigger
        if outlook.since >= now:
            return None
        stepped = self.stepped > STEP
        why = f"the clock was set by {self.stepped:+.0f} s, past it" if stepped else "missed"
        caught = outlook.catch_up(now, self._tolerance, why)
        if caught.run or caught.later:
            self._store.jobs()  # needed for them: unreadable now, nothing has changed yet
        for reason, group in itertools.groupby(caught.skipped, key=lambda item: item[1]):
            slots = [occurrence.slot.timestamp() for occurrence, _unused in group]
            if stepped and not reason.startswith(why):
                reason = why
            self._states.skip(job_id, slots, reason)
        busy = self._busy(job_id, trigger) if caught.run else ""
        for occurrence in caught.run:
            late = is_late(occurrence, now, trigger.kind)
            slot, at = occurrence.slot.timestamp(), occurrence.at.timestamp()
            if busy and not late:
                self._states.skip(job_id, [slot], busy)
            else:
                self._queues.add(job_id, slot=slot, at=at, cause="catch-up" if late else "schedule")
        for occurrence in caught.later:
            slot, at = occurrence.slot.timestamp(), occurrence.at.timestamp()
            self._queues.add(job_id, slot=slot, at=at, cause="catch-up")
        seen = self._states[job_id].seen_until
        if seen is not None and seen <= now:
            self._recorded.pop(job_id, None)
            seen = None
        self._states.change(job_id, checked_until=now, seen_until=seen)
        return None if caught.run or caught.later or caught.skipped else outlook.due

    def _account_boot(self, job_id: str) -> None:
        """Queue the run of a boot that the job has not had; one that is stopped passes it over."""
        trigger, state = self._triggers.get(job_id), self._states[job_id]
        boot = host_boot() if isinstance(trigger, calendar.BootTrigger) else ""
        if not self._live or state.boot == boot:
            return
        declared_since = not state.boot
        self._states.change(job_id, boot=boot)
        stopped = lifecycle.status_of(self.outlook(job_id).facts)[1] in lifecycle.BY_WILL
        if isinstance(trigger, calendar.BootTrigger) and not (declared_since or stopped):
            now = time.time()
            at = trigger.after_boot(from_epoch(now)).timestamp()
            self._queues.add(job_id, slot=int(now), at=at, cause="schedule")

    def _busy(self, job_id: str, trigger: calendar.Trigger) -> str:
        """Why a slot that is due now is passed over; "" when it is not."""
        state = self._states[job_id]
        if trigger.kind == "once" and not state.queue:
            return ""  # it has no time that it could miss: it waits for the end of the other run
        made_up_for = [entry for entry in state.queue if entry["cause"] == "catch-up"]
        if trigger.missed.run == "all" and (made_up_for or state.cause == "catch-up"):
            # Every slot gets its run, the youngest ones behind those that were missed.
            return (
                "" if len(state.queue) < BACKLOG else f"{BACKLOG} earlier runs were still waiting"
            )
        if state.active:
            return f"the run {state.run_id} was still going on"
        return "an earlier run was still waiting to begin" if state.queue else ""

    def _rejudge(self, job_id: str, changes: dict[str, Any], now: float) -> None:
        """The clock was ahead when the job was declared, or when it was looked at last."""
        trigger = self._triggers.get(job_id)
        assert trigger is not None
        waiting = self._states[job_id].queue
        queue = [again for entry in waiting if (again := set_back(entry, trigger, now))]
        self._recorded.pop(job_id, None)
        self._states.change(job_id, queue=queue, **changes)
        record = self._store.job(job_id) if "re_anchored" in changes else None
        if record is not None:
            log.info("job %s: counts from now, as it was declared by a wrong clock", job_id)
            self._build(record)

    def _next_at(self, job_id: str, after: datetime) -> datetime | None:
        occurrence = self.outlook(job_id).following(after.timestamp())
        return None if occurrence is None else occurrence.at

    def _next_text(self, job_id: str, due: datetime | None) -> str | None:
        queue = self._states[job_id].queue
        if queue:
            first = from_epoch(min(entry["at"] for entry in queue))
            due = first if due is None else min(first, due)
        return None if due is None else iso(due)

    def make_up_for(self, job_id: str, run: Run, now: float) -> None:
        """Queue the slot of *run* again, whose backup the runner's own end has cut off.

        It begins after the next start.  Not where missed slots are not made up for, nor where
        somebody has stopped the job; and a command is not run a second time unasked.
        """
        cut = any(
            (action["action"], action["result"]) == ("backup", "aborted")
            for action in run["actions"]
        )
        trigger = self._triggers.get(job_id)
        if not cut or trigger is None or trigger.missed.run == "skip":
            return
        if self.outlook(job_id).unwanted or self._states[job_id].queue:
            return
        until = trigger.blackout_until(from_epoch(now))
        slot = datetime.fromisoformat(run["scheduled_for"]).timestamp()
        begin = now if until is None else until.timestamp()
        once = trigger.kind == "once"
        self._queues.add(job_id, slot=slot, at=begin, cause="catch-up", asked=once)
        self.account_slots(job_id)

    # -- time ------------------------------------------------------------------------------------

    def run_pending(self) -> None:
        """Look at every job whose slot has come."""
        self._scheduler.run_pending()

    @property
    def idle_seconds(self) -> float | None:
        """Until the next slot of any job; negative when it has passed."""
        return self._scheduler.idle_seconds

    def pause(self, *, behind: bool) -> None:
        """Account for no slot until ``resume``.  behind: the clock is known to be behind; else it
        may be ahead."""
        self._paused, self._behind = True, behind

    def resume(self, paused_for: float, stepped: float) -> None:
        """The clock is believed again, *paused_for* seconds after ``pause``; look at every job.

        stepped: see recheck_all.
        """
        now, self._paused, self._behind = time.time(), False, False
        for job_id in self._declared_behind & set(self._triggers):
            self._states.change(job_id, re_anchored=now)
        self._declared_behind.clear()
        self._tolerance = ON_TIME + paused_for
        try:
            self.recheck_all(stepped)
        finally:
            self._tolerance = ON_TIME
            self.known_until = None

    def recheck_all(self, stepped: float = 0.0) -> None:
        """The wall clock is not where it was: look at every job.

        stepped: seconds by which somebody has set it, 0 when it only went on meanwhile.
        """
        self.stepped = stepped
        try:
            for job_id in list(self._triggers):
                state = self._states[job_id]
                record = None if state.re_anchored is None else self._store.job(job_id)
                if record is not None and self._restore_grid(record):
                    self._build(record)
                self.account_slots(job_id)
        finally:
            self.stepped = 0.0

    def _restore_grid(self, record: JobRecord) -> bool:
        """When the clock was behind for a while, and is not any more: count from the declaration
        again, as if nothing had been.  False when there is nothing to restore."""
        state, now, known = self._states[record.job_id], time.time(), self.known_until
        declared = Declared.of(record)
        if self._paused or state.re_anchored is None or state.re_anchored > declared.anchor:
            return False
        # A boot sets a clock as well, and nobody has seen by how much.
        if now >= declared.begin:
            if self.stepped <= STEP and (known is None or known >= declared.begin):
                return False
            self._states.change(record.job_id, re_anchored=None)
            return True
        if known is None or now <= known + LONG_OFF:
            return False
        self._states.change(record.job_id, re_anchored=now)  # behind yet, but by less
        return True
