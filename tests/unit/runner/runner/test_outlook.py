# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the predictor promises of one job at one moment; times are POSIX seconds from NOON on."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldchain.core.host_zone import host_zone
from coldchain.core.instants import from_epoch, iso
from coldchain.core.settings import Settings
from coldchain.runner.outlook import Declared, Outlook, Recorded, grid, is_late, taken_in
from coldchain.runner.requests import asked_for
from coldchain.runner.runs_to_come import runs_to_come
from coldchain.schedule import Occurrence
from coldchain.store import Change, Event, JobRecord, State

NOON = 1_700_049_600.0
"""2023-11-15 12:00 UTC."""
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
SETTINGS = Settings("host", "UTC", Path("/c"), Path("/s"), host_zone({}))
HOURLY = {"schedule_minute": "0"}
KINDS: dict[str, dict[str, Any]] = {
    "once": {},
    "date": {"schedule_date": iso(from_epoch(NOON + HOUR))},
    "interval": {"schedule_interval": "1 hours"},
    "continuous": {"schedule_interval": "continuous"},
    "cron": HOURLY,
    "boot": {"schedule_boot": True},
}


def record(schedule: dict[str, Any] | None = None, anchor: float = NOON) -> JobRecord:
    document = {"job_id": "j", "job_actions": [], "job_schedule": schedule or {}}
    return JobRecord.new(Change("j", document), anchor)


def look(
    declared: JobRecord, now: float, recorded: Recorded | None = None, **facts: Any
) -> Outlook:
    """The outlook of a job that the runner has taken in, with these facts."""
    state = taken_in(None, declared)._replace(**facts)
    return Outlook.of(declared, state, SETTINGS, now, lambda: recorded or Recorded())


def entry(at: float, **fields: Any) -> dict[str, Any]:
    return {"slot": at, "at": at, "cause": "event", **fields}


def starts(outlook: Outlook, now: float, number: int = 3) -> list[tuple[float, str]]:
    """Seconds after NOON and cause of the next runs."""
    return [
        (run.at.timestamp() - NOON, run.cause) for run in islice(runs_to_come(outlook, now), number)
    ]


# -- declarations -----------------------------------------------------------------------------


def test_a_job_begins_with_its_declaration_or_when_it_was_enabled() -> None:
    made = record()
    declared = Declared.of(made)
    assert declared == Declared(NOON, None, NOON, False, 1) and declared.begin == NOON
    assert declared._replace(enabled=NOON + 5).begin == NOON + 5
    assert declared._replace(enabled=NOON - 5).begin == NOON
    assert Declared.of(record({"status": "stop"})).stopped


def test_a_job_that_was_declared_again_is_a_new_one() -> None:
    first, again = record(HOURLY), record(HOURLY, NOON + DAY)
    before = taken_in(None, first)._replace(checked_until=NOON + 9, result="fail")
    assert taken_in(before, first).checked_until == NOON + 9
    fresh = taken_in(before, again)
    assert (fresh.result, fresh.checked_until, fresh.created) == ("", None, NOON + DAY)
    assert fresh.reason == "" and taken_in(None, first).reason == ""
    # From a release that kept no time of the declaration: still the same job.
    old = before._replace(created=None)
    assert taken_in(old, first).result == "fail"


def test_a_changed_schedule_starts_where_it_was_declared_and_nothing_else_does() -> None:
    first = record(HOURLY)
    facts = {"checked_until": NOON + 9, "re_anchored": NOON - 9}
    before = taken_in(None, first)._replace(**facts)
    same = first.replaced({**first.document, "description": "x"}, NOON + HOUR)
    kept = taken_in(before, same)
    assert (kept.revision, kept.armed_anchor) == (2, NOON)
    assert (kept.checked_until, kept.re_anchored) == (NOON + 9, NOON - 9)
    changed = first.replaced({**first.document, "job_schedule": {}}, NOON + HOUR)
    fresh = taken_in(before, changed)
    assert (fresh.revision, fresh.armed_anchor) == (2, NOON + HOUR)
    assert (fresh.checked_until, fresh.re_anchored) == (None, None)


def test_what_passed_while_the_document_stopped_the_job_is_not_missed() -> None:
    stopped = record({**HOURLY, "status": "stop"})
    before = taken_in(None, stopped)._replace(checked_until=NOON + HOUR)
    enabled = stopped.replaced({**stopped.document, "job_schedule": HOURLY}, NOON + DAY)
    after = taken_in(before, enabled)
    assert after.checked_until == NOON + DAY
    assert taken_in(after._replace(checked_until=NOON), enabled).checked_until == NOON
    later = before._replace(checked_until=NOON + 2 * DAY)
    assert taken_in(later, enabled).checked_until == NOON + 2 * DAY
    unchecked = before._replace(checked_until=None)
    assert taken_in(unchecked, enabled).checked_until is None


@pytest.mark.parametrize("event", ["start", "stop", "abort", "remove", "run"])
def test_a_request_counts_before_the_runner_has_seen_it(event: str) -> None:
    made = record(HOURLY)
    told = asked_for(None, made, [Event("1", "j", event, NOON + 7, "root")], SETTINGS, NOON + 9)
    if event in ("remove", "run"):
        assert told is None
    else:
        assert told is not None and told.newest_event == {
            "event": event, "who": "root", "when": NOON + 7, "revision": 1,
        }  # fmt: skip
        newest = asked_for(
            told, made, [Event("2", "j", "start", NOON + 8, "me")], SETTINGS, NOON + 9
        )
        assert newest is not None and newest.newest_event is not None
        assert newest.newest_event["who"] == "me"


def test_an_interval_counts_from_the_earlier_of_declaration_and_set_back_clock() -> None:
    declared = Declared.of(record())
    assert grid(declared, State()) == NOON
    assert grid(declared, State(re_anchored=NOON - 1)) == NOON - 1
    assert grid(declared, State(re_anchored=NOON + 1)) == NOON


# -- status -----------------------------------------------------------------------------------

EVENTS = ("start", "stop", "abort", None)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("declared_stop", [False, True])
@pytest.mark.parametrize("revision", [0, 1, 2])
def test_what_stops_a_job(event: str | None, declared_stop: bool, revision: int) -> None:
    made = record({**HOURLY, "status": "stop"} if declared_stop else HOURLY)
    newest = event and {"event": event, "who": "me", "when": NOON + 7.9, "revision": revision}
    outlook = look(made, NOON, newest_event=newest or None, stopped_by=None)
    by_event = event in ("stop", "abort")
    # Only a start of this very document lifts what it says.
    by_document = declared_stop and not (event == "start" and revision == 1)
    assert outlook.unwanted == (by_event or by_document)
    status, stopped_by = outlook.status()
    if by_event:
        wanted = {"what": "event", "who": "me", "when": iso(from_epoch(NOON + 7))}
    elif by_document:
        wanted = {"what": "declaration", "who": None, "when": iso(from_epoch(NOON))}
    else:
        assert (status, stopped_by) == ("scheduled", None)
        return
    assert (status, stopped_by) == ("stop", wanted)


def test_what_stopped_a_job_first_keeps_its_time() -> None:
    made = record({**HOURLY, "status": "stop"})
    first = {"what": "declaration", "who": None, "when": "earlier"}
    assert look(made, NOON, stopped_by=first).status() == ("stop", first)
    other = {"what": "over", "who": None, "when": "earlier"}
    told = look(made, NOON, stopped_by=other).status()[1]
    assert told is not None and told["when"] == iso(from_epoch(NOON))


@pytest.mark.parametrize(
    ("checked", "ended", "when"),
    [(None, None, 0.0), (DAY, None, DAY), (DAY, 2 * DAY, 2 * DAY), (3 * DAY, 2 * DAY, 3 * DAY)],
)
def test_a_job_is_over_since_its_last_run_or_look(
    checked: float | None, ended: float | None, when: float
) -> None:
    made = record({"schedule_date": iso(from_epoch(NOON - HOUR))})
    outlook = look(
        made,
        NOON + 4 * DAY,
        checked_until=None if checked is None else NOON + checked,
        time_ended=None if ended is None else NOON + ended,
    )
    told = {"what": "over", "who": None, "when": iso(from_epoch(NOON + when))}
    assert outlook.status() == ("stop", told)
    assert not outlook.has_more and outlook.due is None


def test_a_zone_that_the_host_does_not_know_stops_the_job_but_not_what_waits() -> None:
    made = record({**HOURLY, "schedule_timezone": "Mars/Base"})
    outlook = look(made, NOON)
    assert outlook.trigger is None and "Mars/Base" in outlook.state.unusable
    status, stopped_by = outlook.status()
    assert (status, stopped_by and stopped_by["what"]) == ("stop", "unusable")
    assert not outlook.has_more and outlook.due is None and outlook.following(NOON) is None
    assert starts(outlook, NOON) == []
    asked = look(made, NOON, queue=[entry(NOON, asked=True), entry(NOON)])
    assert asked.has_more and asked.status()[0] == "scheduled"
    assert starts(asked, NOON) == [(0.0, "event")]
    assert look(record(HOURLY), NOON, unusable="before").state.unusable == ""


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({"run_id": "r"}, "running"),
        ({"run_id": "r", "aborting": True}, "aborting"),
        ({"aborting": True}, "scheduled"),
    ],
)
def test_a_run_in_progress_is_the_status(facts: dict[str, Any], status: str) -> None:
    assert look(record(HOURLY), NOON, **facts).status() == (status, None)


def test_a_schedule_of_boots_always_has_more() -> None:
    outlook = look(record(KINDS["boot"]), NOON)
    assert outlook.has_more and outlook.due is None and outlook.status() == ("scheduled", None)


# -- slots ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(KINDS))
def test_since_when_a_job_is_looked_at(kind: str) -> None:
    """A date in the second of its declaration is not over; a run at once is at the declaration."""
    at = NOON + 0.75
    early = NOON - 1 if kind in ("once", "date") else at
    made = record(KINDS[kind], at)
    assert look(made, at).since == early
    assert look(made, at + 9, checked_until=NOON + 9).since == NOON + 9
    assert look(made, at, checked_until=NOON - 9).since == early
    assert look(made, at + 9, re_anchored=NOON - HOUR).since == (
        NOON - HOUR - 1 if kind in ("once", "date") else NOON - HOUR
    )


def test_a_job_that_was_stopped_for_long_still_runs_once() -> None:
    made = record()._replace(enabled=NOON + DAY)
    assert look(made, NOON + DAY).since == NOON - 1
    assert starts(look(made, NOON + DAY), NOON + DAY) == [(DAY, "schedule")], "it begins now"
    assert look(record(HOURLY)._replace(enabled=NOON + DAY), NOON + DAY).since == NOON + DAY


@pytest.mark.parametrize("kind", [*KINDS, "second", "week"])
@pytest.mark.parametrize("ahead", [0.0, 2.0, 2.5, HOUR, HOUR + 1, DAY, DAY + 1])
def test_a_clock_that_was_ahead_is_noticed_beyond_a_step(kind: str, ahead: float) -> None:
    """An interval waits on its grid up to a day, and no longer than it lasts if it never ran."""
    schedule = KINDS.get(kind, {"schedule_interval": f"1 {kind}s"})
    made = record(schedule, NOON + ahead)
    state = taken_in(None, made)
    outlook = Outlook.of(made, state, SETTINGS, NOON + ahead)
    counts = ahead > {"interval": HOUR, "week": DAY}.get(kind, 2.0)
    assert outlook.rejudged(NOON) == ({"re_anchored": NOON} if counts else {})
    if counts:
        assert Outlook.of(made, state, SETTINGS, NOON).floor == NOON
    if kind == "interval":
        state = state._replace(last_run={"cause": "event"})
        assert bool(Outlook.of(made, state, SETTINGS, NOON + ahead).rejudged(NOON)) == (ahead > DAY)


@pytest.mark.parametrize("ahead", [2.0, 2.5, HOUR])
def test_slots_looked_at_by_a_clock_that_was_ahead_are_kept_in_mind(ahead: float) -> None:
    made = record(HOURLY)
    outlook = Outlook.of(
        made, taken_in(None, made)._replace(checked_until=NOON + ahead), SETTINGS,
        NOON + ahead,
    )  # fmt: skip
    wanted = {"checked_until": NOON, "seen_until": NOON + ahead} if ahead > 2 else {}
    assert outlook.rejudged(NOON) == wanted
    outlook.state = outlook.state._replace(seen_until=NOON + DAY)
    if ahead > 2:
        assert outlook.rejudged(NOON)["seen_until"] == NOON + DAY


def test_a_job_that_has_had_its_one_run_is_not_judged_anew() -> None:
    made = record()
    outlook = Outlook.of(
        made, taken_in(None, made)._replace(checked_until=NOON + DAY), SETTINGS,
        NOON + DAY,
    )  # fmt: skip
    assert outlook.rejudged(NOON - DAY) == {}


@pytest.mark.parametrize(
    ("facts", "free"),
    [
        ({}, True),
        ({"run_id": "r", "scheduled_for": iso(from_epoch(NOON + HOUR))}, False),
        ({"scheduled_for": iso(from_epoch(NOON + HOUR))}, True),
        ({"run_id": "r", "scheduled_for": iso(from_epoch(NOON))}, True),
        ({"last_run": {"scheduled_for": iso(from_epoch(NOON + HOUR)), "cause": "schedule"}}, False),
        ({"last_run": {"scheduled_for": iso(from_epoch(NOON + HOUR)), "cause": "catch-up"}}, False),
        ({"last_run": {"scheduled_for": iso(from_epoch(NOON + HOUR)), "cause": "event"}}, True),
        ({"last_run": {"scheduled_for": iso(from_epoch(NOON)), "cause": "schedule"}}, True),
        ({"last_run": {"cause": "schedule"}}, True),
        ({"seen_until": NOON + HOUR - 1}, True),
        ({"seen_until": NOON + HOUR}, False),
        ({"seen_until": NOON + DAY}, False),
    ],
)
def test_no_slot_gets_two_runs(facts: dict[str, Any], free: bool) -> None:
    recorded = Recorded(frozenset([NOON + HOUR]))
    outlook = look(record(HOURLY), NOON, recorded, **facts)
    due = outlook.due
    assert due is not None and due.at.timestamp() == NOON + (HOUR if free else 2 * HOUR)


def test_after_the_clock_was_set_back_only_slots_without_a_run_on_record_are_free() -> None:
    made = record(HOURLY)
    known = Recorded(frozenset([NOON + 4 * HOUR]), NOON + 2 * HOUR)
    outlook = look(made, NOON, known, seen_until=NOON + 5 * HOUR, checked_until=NOON)
    wanted = [NOON + hour * HOUR for hour in (3, 5, 6)]  # 1 and 2 may have lost their records
    after, times = NOON, []
    for _ in range(3):
        following = outlook.following(after)
        assert following is not None
        after = following.at.timestamp()
        times.append(after)
    assert times == wanted


RUNS = st.lists(
    st.tuples(st.integers(0, 50), st.sampled_from(["schedule", "catch-up", "event"])), max_size=8
)


@given(RUNS, st.integers(1, 8))
def test_the_record_is_complete_unless_it_is_full(runs: list[tuple[int, str]], limit: int) -> None:
    history = [
        {"scheduled_for": iso(from_epoch(NOON + slot)), "cause": cause} for slot, cause in runs
    ]
    recorded = Recorded.of(history, limit)
    planned = {NOON + slot for slot, cause in runs if cause != "event"}
    assert recorded.slots == planned
    full = len(runs) >= limit and planned
    assert recorded.complete_from == (min(planned) if full else float("-inf"))


def test_a_slot_before_the_declaration_is_none_of_the_job_s() -> None:
    """Its splay would be over after it."""
    made = record({**HOURLY, "schedule_splay": "50 minutes"}, NOON + 1)
    due = look(made, NOON + 1).due
    assert due is not None and due.slot.timestamp() == NOON + HOUR
    at_noon = look(record({**HOURLY, "schedule_splay": "50 minutes"}, NOON + 0.5), NOON + 0.5).due
    assert at_noon is not None and at_noon.slot.timestamp() == NOON


# -- missed and coming runs -------------------------------------------------------------------


@given(
    late=st.integers(-3 * 3600, 3 * 3600),
    policy=st.sampled_from(["once", "skip", "all"]),
    checked=st.none() | st.integers(0, 3 * 3600),
    seen=st.none() | st.integers(-3600, 3 * 3600),
)
def test_every_slot_up_to_now_is_run_or_told_of_and_none_twice(
    late: int, policy: str, checked: int | None, seen: int | None
) -> None:
    now = NOON + late
    made = record({"schedule_minute": "*/20", "missed": {"run": policy, "max_age": "2 hours"}})
    made = made._replace(anchor=NOON - 3 * HOUR, created=NOON - 3 * HOUR)
    state = taken_in(None, made)._replace(
        checked_until=None if checked is None else NOON - checked,
        seen_until=None if seen is None else NOON + seen,
    )
    outlook = Outlook.of(made, state, SETTINGS, now)
    caught = outlook.catch_up(now)
    assert caught.later == []
    after = outlook.since
    judged = outlook.state.seen_until
    if judged is not None:
        after = max(after, judged if judged <= now else after)
    step, begin = 1200, int(NOON - 3 * HOUR)
    slots = [s for s in range(begin, int(now) + 1, step) if after < s <= now]
    told = [o.slot.timestamp() for o in caught.run] + [
        o.slot.timestamp() for o, _ in caught.skipped
    ]
    assert sorted(told) == slots
    if policy == "once":
        assert len(caught.run) <= 1
    if slots and now - slots[-1] <= 10:
        assert caught.run and caught.run[-1].slot.timestamp() == slots[-1]
    elif policy == "skip":
        assert caught.run == []


def test_what_is_a_little_late_is_on_time() -> None:
    slot = from_epoch(NOON)
    on_time = Occurrence(slot, slot)
    assert not is_late(on_time, NOON + 10, "cron") and is_late(on_time, NOON + 10.5, "cron")
    assert is_late(Occurrence(slot, slot, deferred=True), NOON, "cron")
    assert not is_late(Occurrence(slot, slot, deferred=True), NOON + DAY, "once")


def test_what_waits_comes_first_then_what_is_made_up_for_then_the_slots() -> None:
    made = record(HOURLY)
    now = NOON + HOUR + 20 * MINUTE + 0.5
    waits = [entry(NOON + 90.25), entry(NOON + 95, cause="catch-up", asked=True)]
    outlook = look(made, now, queue=waits, checked_until=NOON)
    assert starts(outlook, now, 5) == [
        (HOUR + 20 * MINUTE, "event"),
        (HOUR + 20 * MINUTE, "catch-up"),
        (HOUR + 20 * MINUTE, "catch-up"),
        (2 * HOUR, "schedule"),
        (3 * HOUR, "schedule"),
    ]
    assert starts(look(made, NOON + HOUR + 5, checked_until=NOON), NOON + HOUR + 5, 2) == [
        (HOUR + 5, "schedule"),
        (2 * HOUR, "schedule"),
    ]
    stop = {"event": "stop", "who": "me", "when": NOON, "revision": 1}
    stopped = look(made, now, queue=waits, checked_until=NOON, newest_event=stop)
    assert starts(stopped, now) == [(HOUR + 20 * MINUTE, "catch-up")]


def test_of_a_continuous_schedule_only_the_next_run_is_known() -> None:
    made = record(KINDS["continuous"])
    assert starts(look(made, NOON + 9.5), NOON + 9.5) == [(10.0, "schedule")]
    assert starts(look(made, NOON, checked_until=NOON + 1), NOON) == [(2.0, "schedule")]
    assert starts(look(made, NOON, queue=[entry(NOON)]), NOON) == [(0.0, "event")]


@given(now=st.integers(0, 86400), end=st.integers(1, 86400))
def test_what_comes_is_in_order_and_ends_with_the_schedule(now: int, end: int) -> None:
    made = record({**HOURLY, "schedule_end_date": iso(from_epoch(NOON + end))})
    outlook = look(made, NOON + now, checked_until=NOON + now)
    told = [run.at.timestamp() - NOON for run in runs_to_come(outlook, NOON + now)]
    assert told == [s for s in range(0, end + 1, 3600) if s > now]


def test_what_a_blackout_has_put_off_comes_when_it_ends_and_before_the_next_slot() -> None:
    window = [{"start": "12:30", "end": "14:30"}]
    made = record({**HOURLY, "blackout": window, "missed": {"run": "all", "max_age": "1 days"}})
    now = NOON + 2 * HOUR + 10 * MINUTE
    outlook = look(made, now, checked_until=NOON)
    told = list(islice(runs_to_come(outlook, now), 3))
    assert [run.cause for run in told] == ["catch-up", "catch-up", "schedule"]
    assert [run.slot.timestamp() - NOON for run in told] == [HOUR, 2 * HOUR, 3 * HOUR]
    assert all(run.occurrence == Occurrence(run.at, run.slot) for run in told)
    assert told[0].at == datetime.fromisoformat(iso(from_epoch(NOON + 2.5 * HOUR)))
