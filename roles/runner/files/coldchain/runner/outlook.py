# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a declared job, as far as an instant can tell: the one predictor.

The runner asks it what is due and what stops a job; runs_to_come.py goes on from there for those
who ask what the runner will do.  Nothing here has a clock: time comes in as POSIX seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from coldchain import lifecycle
from coldchain import schedule as calendar
from coldchain.core.instants import DAY, from_epoch, iso
from coldchain.core.settings import Settings
from coldchain.schedule.slot_trigger import CATCH_UP_LIMIT
from coldchain.store import JobRecord, Run, State
from coldchain.store.records import RUN_IN_PROGRESS, stopped

ON_TIME = 10.0
"""Seconds: a run that starts no later than this after its slot is no catch-up."""
STEP = 2.0
"""Seconds: what lies further ahead than this comes from a clock that was ahead."""
TURNED_BACK = DAY
"""Seconds: an interval that was declared further ahead than this counts anew from now.  Up to then
it keeps its grid and waits: the slots before have had their runs.  One that has never run waits no
longer than it is long."""
NO_RUNNER_YET = 1_767_225_600.0  # 2026-01-01
"""POSIX seconds: of what was declared to a runner, nothing is older; a clock without battery is."""
PAUSE, PAUSE_BEFORE_A_DATE = DAY, 365 * DAY
"""Seconds: a clock that is set forward by more was wrong, the host's machine did not stand still
for so long.  Of a date, which has no other slot, that is taken for granted later."""


class Declared(NamedTuple):
    """What of a declaration decides when its job runs (see JobRecord); times in POSIX seconds."""

    anchor: float
    enabled: float | None
    changed: float
    stopped: bool
    revision: int

    @classmethod
    def of(cls, record: JobRecord) -> Declared:
        """That of *record*."""
        return cls(record.anchor, record.enabled, record.changed, record.stopped, record.revision)

    @property
    def begin(self) -> float:
        """POSIX seconds from which the job is there, and not stopped by its document."""
        return max(self.anchor, self.enabled or 0.0)


class Recorded(NamedTuple):
    """Which slots of a job have had their run, as far as the history tells.

    slots: POSIX seconds; complete_from: every slot up to it may have had a run, whose record is no
    longer kept.
    """

    slots: frozenset[float] = frozenset()
    complete_from: float = float("-inf")

    @classmethod
    def of(cls, runs: Sequence[Run], limit: int) -> Recorded:
        """Those of *runs*, of which about *limit* are kept."""
        slots = frozenset(
            datetime.fromisoformat(run["scheduled_for"]).timestamp()
            for run in runs
            if run.get("cause") in ("schedule", "catch-up")
        )
        return cls(slots, min(slots) if len(runs) >= limit and slots else float("-inf"))


def taken_in(state: State | None, record: JobRecord) -> State:
    """The state of a job when the runner has seen *record*; *state*: the one before, if any.

    A job that was removed and declared again is a new one, and a changed schedule starts where it
    was declared.  What an event stopped stays stopped.
    """
    if state is None:
        return State.initial(record)._replace(reason="")
    if state.event == "remove" or state.created not in (None, record.created):
        return _declared_again(state, record)
    changes: dict[str, Any] = {"revision": record.revision, "created": record.created}
    if state.armed_anchor != record.anchor:
        changes.update(armed_anchor=record.anchor, checked_until=None, re_anchored=None)
    elif None not in (record.enabled, state.checked_until) and state.revision != record.revision:
        # The slots that passed while the job was stopped are not missed.
        changes["checked_until"] = max(state.checked_until or 0.0, record.enabled or 0.0)
    return state._replace(**changes)


def _declared_again(state: State, record: JobRecord) -> State:
    """A new job that has nothing of the removed one but its last run, when that goes on: until it
    ends no other begins, and every event means for it what it means for any run."""
    new = State.initial(record)._replace(reason="")
    if not state.active:
        return new
    run = {name: getattr(state, name) for name in RUN_IN_PROGRESS}
    return new._replace(result="", time_ended=None, **run)


def build(record: JobRecord, settings: Settings, grid: float) -> calendar.Trigger:
    """The trigger of a declaration on this host, its intervals counted from *grid* (POSIX seconds).

    Raises ValueError when the host cannot use the schedule.
    """
    return calendar.build(
        record.schedule,
        zone=settings.zone,
        created=from_epoch(int(grid)),
        key=f"{settings.client_id}/{record.job_id}",
    )


def grid(declared: Declared, state: State) -> float:
    """POSIX seconds from which an interval counts: the declaration, unless the clock was ahead."""
    if state.re_anchored is None:
        return declared.anchor
    return min(declared.anchor, state.re_anchored)


class Outlook:
    """One job at one moment.

    state: as ``taken_in`` makes it; trigger: of the declaration, counted from ``grid``; None when
    the host cannot use it; recorded: asked for the runs on record once the clock was set back.
    """

    def __init__(
        self,
        declared: Declared,
        state: State,
        trigger: calendar.Trigger | None,
        recorded: Callable[[], Recorded] = Recorded,
    ) -> None:
        self.declared, self.state, self.trigger = declared, state, trigger
        self._recorded = recorded
        self._since: float | None = None
        self._due: tuple[calendar.Occurrence | None] | None = None

    @classmethod
    def of(
        cls,
        record: JobRecord,
        state: State | None,
        settings: Settings,
        now: float,
        recorded: Callable[[], Recorded] = Recorded,
    ) -> Outlook:
        """That of a declared job at *now* (POSIX seconds), whether or not the runner (*state*: what
        it knows) has seen the declaration yet."""
        state, declared = taken_in(state, record), Declared.of(record)
        try:
            trigger = build(record, settings, grid(declared, state))
            outlook = cls(declared, state._replace(unusable=""), trigger, recorded)
            changes = outlook.rejudged(now)
            if changes:
                state = outlook.state._replace(**changes)
                trigger = build(record, settings, grid(declared, state))
                outlook = cls(declared, state, trigger, recorded)
        except ValueError as error:
            return cls(declared, state._replace(unusable=str(error)), None, recorded)
        return outlook

    # -- status ----------------------------------------------------------------------------------

    @property
    def facts(self) -> lifecycle.Facts:
        """What decides the status."""
        state = self.state
        running = lifecycle.ABORTING if state.aborting else lifecycle.RUNNING
        return lifecycle.Facts(
            declared_stop=self._declared_stop,
            event="" if state.newest_event is None else state.newest_event["event"],
            usable=self.trigger is not None,
            run=running if state.active else "",
            asked=any(entry.get("asked") for entry in state.queue),
            has_more=self.has_more,
        )

    @property
    def _declared_stop(self) -> bool:
        """Does the document stop the job, and no start is newer than it?"""
        newest = self.state.newest_event
        if not self.declared.stopped or newest is None:
            return self.declared.stopped
        return bool(newest["event"] != "start" or newest["revision"] != self.declared.revision)

    @property
    def unwanted(self) -> bool:
        """Has somebody stopped the job, by its document or by an event?"""
        newest = self.state.newest_event
        if newest is not None and newest["event"] in ("stop", "abort"):
            return True
        return self._declared_stop

    @property
    def has_more(self) -> bool:
        """Does a run wait, or has the schedule a later slot?"""
        if self.state.queue or self.trigger is None:
            return bool(self.state.queue)
        return bool(self.trigger.kind == "boot" or self.due is not None)

    # Not cached_property, whose lock (until Python 3.12) costs more than what is kept here.

    @property
    def due(self) -> calendar.Occurrence | None:
        """The first occurrence that nothing has been done about; it may be in the past."""
        if self._due is None:
            self._due = (None if self.trigger is None else self.following(self.since),)
        return self._due[0]

    def knows_due(self, occurrence: calendar.Occurrence) -> None:
        """``due`` is found out already."""
        self._due = (occurrence,)

    def status(self) -> tuple[str, dict[str, Any] | None]:
        """The job's status, and what stops it (see State.stopped_by)."""
        status, what = lifecycle.status_of(self.facts)
        before = self.state.stopped_by
        if not what:
            return status, None
        if what == lifecycle.BY_EVENT:
            newest = self.state.newest_event
            assert newest is not None
            return status, stopped(what, newest["who"], newest["when"])
        if before is not None and before["what"] == what:
            return status, before
        if what == lifecycle.OVER:
            since = max(self.state.checked_until or 0.0, self.state.time_ended or 0.0)
            return status, stopped(what, None, since or self.declared.anchor)
        return status, stopped(what, None, self.declared.changed)

    # -- slots -----------------------------------------------------------------------------------

    @property
    def floor(self) -> float:
        """POSIX seconds: up to here the job was not declared or not enabled."""
        if self.state.re_anchored is not None:
            return self.state.re_anchored
        return self.declared.begin

    @property
    def origin(self) -> float:
        """POSIX seconds: the first slot of the job is the first one later than this."""
        assert self.trigger is not None
        if self.trigger.kind == "once":  # at its own declaration, however long it was stopped
            return int(grid(self.declared, self.state)) - 1.0
        if self.trigger.kind == "date":  # the second of the declaration is not over
            return int(self.floor) - 1.0
        return self.floor

    @property
    def since(self) -> float:
        """POSIX seconds: what is due until then needs nothing any more."""
        if self._since is None:
            checked = self.state.checked_until
            self._since = self.origin if checked is None else max(self.origin, checked)
        return self._since

    def rejudged(self, now: float, shown: tuple[float, float] | None = None) -> dict[str, Any]:
        """What changes in the state when the clock proves to have been wrong before *now*.

        shown: what it showed at the boot of the host and when it was set forward to *now*; None
        where nobody has set it.
        """
        changes: dict[str, Any] = {}
        state, trigger = self.state, self.trigger
        assert trigger is not None
        checked = state.checked_until
        done = trigger.kind == "once" and trigger.next(from_epoch(self.since)) is None
        if checked is not None and checked > now + STEP and not done:
            changes = {"checked_until": now, "seen_until": max(checked, state.seen_until or 0.0)}
        ahead = self.floor - now
        ahead_too_far = ahead > STEP and ahead > self._patience
        if (ahead_too_far or self._was_behind(now, shown)) and not done:
            changes["re_anchored"] = now
        return changes

    def _was_behind(self, now: float, shown: tuple[float, float] | None) -> bool:
        """Was the job declared by a clock that was far behind?  Then it has missed nothing since,
        but what it has run by that clock shows what became of its slots."""
        if self.floor < NO_RUNNER_YET <= now:
            return True
        if shown is None or self.state.last_run is not None or self.state.active:
            return False
        assert self.trigger is not None
        boot, before = shown
        patience = PAUSE_BEFORE_A_DATE if self.trigger.kind == "date" else PAUSE
        return now - before > patience and boot - STEP <= self.floor <= before + STEP

    @property
    def _patience(self) -> float:
        """Seconds that a job waits rather than count anew from another instant."""
        assert self.trigger is not None
        if self.trigger.kind != "interval":
            return 0.0
        if self.state.last_run is not None or self.state.active:
            return TURNED_BACK
        begin = from_epoch(self.floor)
        first = self.trigger.next(begin)
        return (
            TURNED_BACK if first is None else min(TURNED_BACK, (first.at - begin).total_seconds())
        )

    def catch_up(
        self, now: float, tolerance: float = ON_TIME, why: str = "missed"
    ) -> calendar.CatchUp:
        """What is to be done about every slot between ``since`` and *now*.

        tolerance: seconds that a run may be late and still be on time; why: what is told of slots
        that are too many to be told one by one.
        """
        trigger, state = self.trigger, self.state
        assert trigger is not None
        after = self.since
        if state.seen_until is not None and state.seen_until <= now:
            after = max(after, state.seen_until)  # accounted for when the clock was ahead
        if after >= now:
            return calendar.CatchUp([], [], [])
        due = self.due
        if due is None or due.at.timestamp() > now:  # nothing to run, as mostly
            if trigger.blackout is None:
                return calendar.CatchUp([], [], [])
            gone = trigger.blacked_out(from_epoch(after), from_epoch(now), CATCH_UP_LIMIT)
            return calendar.CatchUp([], [], [entry for entry in gone if self._free(entry[0])])
        caught = calendar.catch_up(
            trigger,
            after=from_epoch(after),
            now=from_epoch(now),
            policy=trigger.missed,
            tolerance=int(tolerance),
            why=why,
        )
        return calendar.CatchUp(
            [occurrence for occurrence in caught.run if self._open(occurrence, now)],
            [occurrence for occurrence in caught.later if self._open(occurrence, now)],
            [entry for entry in caught.skipped if self._free(entry[0])],
        )

    def _open(self, occurrence: calendar.Occurrence, now: float) -> bool:
        """Has a slot that is due had no run?  What is late is looked up in the record too: the
        state may be an older one, put in the place of a damaged file."""
        assert self.trigger is not None
        if not self._free(occurrence):
            return False
        late = is_late(occurrence, now, self.trigger.kind)
        return not late or occurrence.slot.timestamp() not in self._recorded().slots

    def following(self, after: float) -> calendar.Occurrence | None:
        """The first occurrence later than *after* (POSIX seconds) that will be run."""
        if self.trigger is None:
            return None
        start = from_epoch(after)
        while True:
            occurrence = self.trigger.next(start)
            if occurrence is None or self._free(occurrence):
                return occurrence
            start = occurrence.at
            if self.state.seen_until is not None:
                gap = self._recorded().complete_from
                if gap > start.timestamp():
                    start = from_epoch(gap)

    def _free(self, occurrence: calendar.Occurrence) -> bool:
        """Whether a run may come of the slot: not if it has had one, or has it now, or lies before
        the declaration."""
        state, slot = self.state, occurrence.slot.timestamp()
        # A slot from before a stop that is over has its run where its splay ends after the stop.
        begin = state.re_anchored if state.re_anchored is not None else self.declared.anchor
        if slot < int(begin) and self.trigger is not None and self.trigger.kind != "once":
            return False
        name = iso(occurrence.slot)
        if state.active and state.scheduled_for == name:
            return False
        last = state.last_run
        if last is not None and last.get("scheduled_for") == name and last["cause"] != "event":
            return False
        if state.seen_until is None or slot > state.seen_until:
            return True
        recorded = self._recorded()
        return slot > recorded.complete_from and slot not in recorded.slots


def is_late(occurrence: calendar.Occurrence, now: float, kind: str) -> bool:
    """Does a run for *occurrence* that begins at *now* make up for a missed one?

    kind: of the trigger; a job without schedule has no time that it could miss.
    """
    if kind == "once":
        return False
    return occurrence.deferred or now - occurrence.at.timestamp() > ON_TIME
