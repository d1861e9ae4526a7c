# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a job doing what it is there for?  Pure: the one judgement of ``coldchain status``.

Nothing here has a clock: time comes in as POSIX seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from coldchain import lifecycle
from coldchain.core.instants import from_epoch, iso, parse_duration
from coldchain.core.text import format_duration
from coldchain.observe.findings import CRITICAL, Finding
from coldchain.runner.outlook import Outlook
from coldchain.runner.runs_to_come import runs_to_come
from coldchain.schedule import Trigger
from coldchain.schedule.gaps import longest_gap
from coldchain.store import JobRecord, Run
from coldchain.store.records import run_message

OK, RUNNING, LATE, STALE, FAILED, NEVER, STOPPED, UNUSABLE = STATES = (
    "ok",
    "running",
    "late",
    "stale",
    "failed",
    "never",
    "stopped",
    "unusable",
)
DELAY = 600.0
"""Seconds that a run may begin after its slot before its job is late."""
REPEATING = ("interval", "continuous", "cron")
"""The kinds of schedules that name another run after every run."""
_SUCCESS = "success"

LongestGap = Callable[[Trigger, float], "int | None"]


class Successes(NamedTuple):
    """What the finished runs of a job tell.

    last: when its last success ended; last_began: when that run had begun; longest: how long the
    longest of the successes took.  All in POSIX seconds, None without one.
    """

    last: float | None = None
    last_began: float | None = None
    longest: float | None = None

    @classmethod
    def of(cls, runs: Iterable[Run]) -> Successes:
        """Those among *runs*, newest first."""
        good = [run for run in runs if run.get("result") == _SUCCESS]
        if not good:
            return cls()
        took = max(run["time_ended"] - run["time_started"] for run in good)
        return cls(good[0]["time_ended"], good[0]["time_started"], max(0.0, took))


class JobStatus(NamedTuple):
    """How a job is.

    state: one of STATES; reasons: what holds of it, the decisive one first; within: seconds that
    its last success may be old, None when nothing is expected; next_run: an ISO instant;
    successes: of its kept runs; stopped_by, result, last_run: see State; holds: all of STATES that
    hold of it, the decisive one first.
    """

    job_id: str
    state: str
    reasons: tuple[str, ...]
    within: float | None
    next_run: str | None
    successes: Successes
    stopped_by: Mapping[str, Any] | None
    result: str
    last_run: Run | None
    holds: tuple[str, ...] = ()

    @property
    def needs_somebody(self) -> bool:
        """Has somebody to do something about it?"""
        by = None if self.stopped_by is None else self.stopped_by["what"]
        wanted = self.state == STOPPED and by == lifecycle.BY_DECLARATION
        return not wanted and self.state not in (OK, RUNNING)

    @property
    def remedy(self) -> str:
        """What to do about it."""
        if self.state == UNUSABLE:
            return "correct job_schedule and apply the document again"
        if self.state == STOPPED:
            return f"coldchain event {self.job_id} start lets it run again"
        if self.state == FAILED:
            return f"coldchain log {self.job_id} tells more"
        return f"coldchain explain {self.job_id} tells why"

    def finding(self) -> Finding | None:
        """What is to be said of it; None when it needs nobody."""
        if not self.needs_somebody:
            return None
        text = f"{self.state}: {'; '.join(self.reasons)}"
        return Finding(CRITICAL, f"job {self.job_id}", text, self.remedy)

    def as_dict(self, now: float) -> dict[str, Any]:
        """JSON, as ``coldchain status`` has it; now: POSIX seconds."""
        last = self.successes.last
        return {
            "job_id": self.job_id,
            "state": self.state,
            "reasons": list(self.reasons),
            "stopped_by": self.stopped_by,
            "result": self.result,
            "last_success": None if last is None else iso(from_epoch(int(last))),
            "age_seconds": None if last is None else round(max(0.0, now - last)),
            "expect_success_within": None if self.within is None else round(self.within),
            "next_run": self.next_run,
            "last_run": self.last_run,
        }


def gap_of(trigger: Trigger, now: float) -> int | None:
    """Seconds of the longest gap of a schedule that goes on after *now*; None for any other."""
    return longest_gap(trigger, from_epoch(int(now))) if trigger.kind in REPEATING else None


def judge(
    record: JobRecord, outlook: Outlook, runs: Sequence[Run], now: float, gap: LongestGap = gap_of
) -> JobStatus:
    """The state of a declared job at *now*.

    runs: its finished runs, newest first; the longest of them counts for what is expected, and the
    last success has to be among them if there ever was one.
    """
    state, successes = outlook.state, _successes(outlook, runs)
    stopped_by = outlook.status()[1]
    within = _within(record, outlook, successes, now, gap)
    holds: dict[str, str] = {}
    if outlook.trigger is None:
        holds[UNUSABLE] = f"its schedule cannot be used: {state.unusable}"
    if stopped_by is not None and stopped_by["what"] in lifecycle.BY_WILL:
        holds[STOPPED] = lifecycle.describe_stop(stopped_by)
    if state.result in ("fail", "aborted"):
        holds[FAILED] = _failure(state.last_run, state.result, now)
    if within is not None and successes.last is not None and now - successes.last > within:
        age, allowed = format_duration(now - successes.last), format_duration(within)
        holds[STALE] = f"its last success is {age} old, one within {allowed} is expected"
    waiting = None if STOPPED in holds else waiting_since(outlook, now)
    if waiting is not None and now - waiting > DELAY:
        holds[LATE] = f"a run is due for {format_duration(now - waiting)} and has not begun"
    if successes.last is None and _first_slot_is_past(outlook, now):
        holds[NEVER] = "it has never succeeded"
    if state.active:
        began = now - (state.time_started or now)
        holds[RUNNING] = f"a run is going on for {format_duration(max(0.0, began))}"
    coming = next(runs_to_come(outlook, now), None)
    return JobStatus(
        record.job_id,
        next(iter(holds), OK),
        tuple(holds.values()),
        within,
        None if coming is None else iso(coming.at),
        successes,
        stopped_by,
        state.result,
        state.last_run,
        tuple(holds),
    )


def _successes(outlook: Outlook, runs: Sequence[Run]) -> Successes:
    """With the newest run, which may be older than what is kept, and what an import has brought."""
    state, successes = outlook.state, Successes.of(runs)
    if successes.last is None and state.last_run is not None:
        successes = Successes.of([state.last_run])
    if successes.last is None and state.last_run is None and state.result == _SUCCESS:
        successes = Successes(state.time_ended, state.time_started)
    return successes


def _within(
    record: JobRecord, outlook: Outlook, successes: Successes, now: float, gap: LongestGap
) -> float | None:
    declared = record.document.get("expect_success_within")
    if declared is not None:
        return float(parse_duration(declared))
    longest = None if outlook.trigger is None else gap(outlook.trigger, now)
    return None if longest is None else longest + (successes.longest or 0.0) + DELAY


def waiting_since(outlook: Outlook, now: float) -> float | None:
    """POSIX seconds since when a run is due that has not begun; None when none is."""
    state, trigger = outlook.state, outlook.trigger
    due = [float(entry["at"]) for entry in state.queue]
    busy = bool(state.active or state.queue)
    # Again as soon as a run has ended: until then nothing is due.
    goes_round = trigger is not None and trigger.kind == "continuous" and busy
    if outlook.due is not None and not goes_round:
        due.append(outlook.due.at.timestamp())
    since = min(due, default=None)
    return since if since is not None and since <= now else None


def _first_slot_is_past(outlook: Outlook, now: float) -> bool:
    first = first_slot(outlook)
    return first is not None and first <= now


def first_slot(outlook: Outlook) -> float | None:
    """POSIX seconds of the first slot that the job ever had; None when it has none."""
    if outlook.trigger is None:
        return None
    first = outlook.trigger.next(from_epoch(outlook.origin))
    return None if first is None else first.at.timestamp()


def _failure(run: Run | None, result: str, now: float) -> str:
    """Why the last run was none that succeeded."""
    ended = "was aborted" if result == "aborted" else "failed"
    if run is None:
        return f"its last run {ended}"
    why = run_message(run)
    ago = format_duration(max(0.0, now - run["time_ended"]))
    return f"its last run {ended} {ago} ago" + (f": {why}" if why else "")
