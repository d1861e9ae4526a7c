# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a job while it waits, runs, is asked for something, and after its run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_host import MONDAY, ImitatedRun, VirtualHost, virtual_host

from coldchain.core.instants import from_epoch, iso
from coldchain.runner.jobs import Jobs
from coldchain.runner.queues import Waiting
from coldchain.store import Change, State

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
HOURLY = {"schedule_minute": "0"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualHost]:
    with virtual_host(tmp_path_factory.mktemp("virtual")) as made:
        yield made


@pytest.fixture
def host(place: VirtualHost) -> VirtualHost:
    """Its runs take ten minutes."""
    place.reset()
    ImitatedRun.seconds = 10 * MINUTE
    return place


def jobs(host: VirtualHost) -> Jobs:
    assert host.runner is not None
    return host.runner.jobs


def seconds(text: str | None) -> float | None:
    """After Monday's midnight."""
    from datetime import datetime

    return None if text is None else datetime.fromisoformat(text).timestamp() - MONDAY


def running(host: VirtualHost, **schedule: Any) -> State:
    """The state of j in the middle of its run of one o'clock."""
    host.declare("j", **(schedule or HOURLY))
    host.start()
    host.pass_time(HOUR)
    state = host.state("j")
    assert state.status == "running"
    return state


def put(host: VirtualHost, job_id: str, **fields: Any) -> None:
    document = {"job_id": job_id, "job_actions": [], "job_schedule": HOURLY, **fields}
    host.awake += 1.0
    host.store.declare(lambda present: [Change(job_id, document)])


# -- a run ------------------------------------------------------------------------------------


def test_a_run_in_progress_and_its_end(host: VirtualHost) -> None:
    before = running(host)
    assert (before.run_id, before.cause, before.scheduled_for) == (
        "run-0", "schedule", iso(from_epoch(MONDAY + HOUR)),
    )  # fmt: skip
    assert (before.event, before.result, before.reason, before.aborting) == ("", "", "", False)
    assert before.time_started == pytest.approx(MONDAY + HOUR, abs=1) and before.time_ended is None
    assert seconds(before.next_run) == 2 * HOUR and before.queue == []
    host.pass_time(11 * MINUTE)
    after = host.state("j")
    (run,) = host.runs("j")
    assert after.last_run == run and after.last_run["run_id"] == "run-0"
    assert (after.status, after.run_id, after.cause, after.scheduled_for) == (
        "scheduled", None, "", "",
    )  # fmt: skip
    assert (after.result, after.event, after.aborting, after.reason) == ("success", "", False, "")
    assert after.time_started == before.time_started
    assert after.time_ended == pytest.approx(MONDAY + HOUR + 10 * MINUTE, abs=1)
    assert jobs(host).last_run("j") == run and jobs(host).last_run("k") is None
    host.pass_time(50 * MINUTE)
    assert host.state("j").result == "" and host.state("j").time_ended is None


def test_the_end_of_a_run_whose_job_is_gone_changes_nothing(host: VirtualHost) -> None:
    host.start()
    jobs(host).ended("gone", {"result": "success"})
    assert dict(host.store.states()) == {}


@pytest.mark.parametrize(
    ("event", "status", "after", "reason"),
    [
        ("stop", "running", "stop", "stopped by somebody at {} (after the present run)"),
        ("abort", "aborting", "stop", "aborted by somebody at {}"),
        ("remove", "removing", None, "removed; its last run goes on"),
        ("start", "running", "scheduled", ""),
    ],
)
def test_a_request_in_the_middle_of_a_run(
    host: VirtualHost, event: str, status: str, after: str | None, reason: str
) -> None:
    running(host)
    # An aborted run takes its time to end.
    assert host.runner is not None
    (run,) = host.runner.runs.values()
    run.end = lambda *words, **more: None
    host.event("j", event)
    state = host.state("j")
    when = iso(from_epoch(int(host.now)))
    assert (state.status, state.reason) == (status, reason.format(when))
    assert state.event == ("" if event == "start" else event)
    assert state.aborting == (event == "abort") and state.run_id == "run-0"
    if event == "remove":
        assert (state.next_run, state.stopped_by, state.queue) == (None, None, [])
        assert host.store.job("j") is None
    host.pass_time(15 * MINUTE)
    ended = host.store.state("j")
    assert (None if ended is None else ended.status) == after
    if ended is not None and event != "start":
        assert ended.reason == f"stopped by somebody at {when}" and ended.event == ""
        assert ended.stopped_by == {"what": "event", "who": "somebody", "when": when}


def test_what_effect_requests_have_on_processes(host: VirtualHost) -> None:
    running(host)
    made = jobs(host)

    def effects(*events: str) -> list[tuple[str, str, str]]:
        for event in events:
            host.store.add_event("j", event, "me")
        return list(made.take_events())

    assert effects("stop", "start", "run") == []
    assert effects("abort", "abort") == [("j", "terminate", "me"), ("j", "kill", "me")]
    assert made.states["j"].aborting and made.states["j"].event == "abort"
    assert effects("start") == [] and made.states["j"].event == "start"
    assert effects("remove") == []
    assert effects("abort") == [("j", "kill", "me")], "it is the second"
    host.store.add_event("nobody", "start", "me")
    assert list(made.take_events()) == [] and list(made.take_events()) == []
    assert "nobody" not in made.states


def test_a_start_during_an_abort_arms_the_job_after_it(host: VirtualHost) -> None:
    running(host)
    assert host.runner is not None
    (run,) = host.runner.runs.values()
    run.end = lambda *words, **more: None
    host.event("j", "abort")
    host.event("j", "start")
    assert host.state("j").event == "start"
    host.pass_time(15 * MINUTE)
    state = host.state("j")
    assert (state.status, state.stopped_by, seconds(state.next_run)) == ("scheduled", None, 7200.0)


# -- requests without a run -------------------------------------------------------------------


def test_a_job_that_is_started_says_by_whom(host: VirtualHost) -> None:
    host.declare("j", **HOURLY)
    host.start()
    host.event("j", "stop")
    stopped = host.state("j")
    assert (stopped.status, stopped.next_run) == ("stop", None)
    first = stopped.stopped_by
    host.pass_time(DAY)
    jobs(host)._event("j", "stop", "another")
    assert jobs(host).states["j"].stopped_by == first, "whoever stopped it first"
    host.event("j", "start")
    started = host.state("j")
    assert (started.status, started.reason) == ("scheduled", "started by somebody")
    assert started.skipped is None and host.skipped("j") == [], "nothing of the day is missed"
    newest = started.newest_event
    assert newest is not None
    assert (newest["event"], newest["who"], newest["revision"]) == ("start", "somebody", 1)
    assert newest["when"] == pytest.approx(host.now, abs=1)
    host.event("j", "start")
    assert host.state("j").status == "running" and host.state("j").cause == "event"
    host.event("j", "start")
    host.pass_time(11 * MINUTE)
    assert len(host.runs("j")) == 1, "a run in progress is the run that was asked for"


def test_a_stopped_job_that_is_run_once_stays_stopped(host: VirtualHost) -> None:
    host.declare("j", **HOURLY, status="stop")
    host.start()
    before = host.state("j").stopped_by
    host.event("j", "run")
    state = host.state("j")
    assert (state.status, state.cause) == ("running", "event")
    host.event("j", "run")
    host.pass_time(11 * MINUTE)
    after = host.state("j")
    assert (after.status, after.stopped_by) == ("stop", before) and len(host.runs("j")) == 1


def test_a_stop_takes_back_what_was_asked_for_before_it(host: VirtualHost) -> None:
    put(host, "a", lock="l")
    put(host, "j", lock="l")
    host.start()
    host.event("a", "start")
    host.event("j", "run")
    waits = host.state("j")
    assert [entry.get("asked") for entry in waits.queue] == [True]
    assert waits.reason == "waiting for the lock 'l', held by job a"
    host.event("j", "run")
    assert len(host.state("j").queue) == 1, "it waits already"
    host.event("j", "stop")
    assert host.state("j").queue == [] and host.state("j").status == "stop"
    host.event("j", "run")
    assert len(host.state("j").queue) == 1, "asked for since"
    host.pass_time(25 * MINUTE)
    assert len(host.runs("j")) == 1 and host.state("j").status == "stop"


def test_why_a_due_job_waits(host: VirtualHost) -> None:
    host.declare("j", **HOURLY)
    host.start()
    made = jobs(host)
    for running, holder, reason in (
        (1, None, "waiting for a free place: 1 job running (concurrent_jobs)"),
        (2, None, "waiting for a free place: 2 jobs running (concurrent_jobs)"),
        (1, "k", "waiting for the lock 'l', held by job k"),
    ):
        made.wait_reason("j", running, holder, "l")
        assert made.states["j"].reason == reason


def test_a_job_removed_while_nothing_runs_is_gone_at_once(host: VirtualHost) -> None:
    for way in (lambda: host.event("j", "remove"), lambda: host.remove("j")):
        host.declare("j", **HOURLY)
        if host.runner is None:
            host.start()
        host.pass_time(MINUTE)
        assert host.store.state("j") is not None
        way()
        host.tick()
        assert host.store.state("j") is None and host.store.job("j") is None
        assert not jobs(host).timetable.knows("j") and "j" not in jobs(host).queues.waiting
        assert jobs(host).timetable.idle_seconds is None


# -- the queue --------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(-2, 2), st.integers(-3, 3), st.sampled_from(["", "l"])), max_size=6
    )
)
def test_what_is_due_is_in_order_of_priority_then_of_time(
    place: VirtualHost, queued: list[tuple[int, int, str]]
) -> None:
    place.reset()
    place.start()
    for number, (priority, _, lock) in enumerate(queued):
        put(place, f"j{number}", priority=priority, lock=lock)
    made = jobs(place)
    made.reload()
    now, queues = place.now, made.queues
    for number, (_, at, _) in enumerate(queued):
        queues.add(f"j{number}", slot=now, at=now + at, cause="event")
        made.timetable.settle(f"j{number}")
    wanted = sorted(
        (-priority, at, f"j{number}", lock)
        for number, (priority, at, lock) in enumerate(queued)
        if at <= 0
    )
    assert queues.due(now) == [(job_id, lock) for _, _, job_id, lock in wanted]
    times = [now + at for _, at, _ in queued]
    assert queues.next_time() == min(times, default=None)
    for number in range(len(queued)):
        job_id = f"j{number}"
        entry = made.states[job_id].queue[0]
        due = seconds(made.states[job_id].next_run)
        assert due is not None and due + MONDAY == pytest.approx(
            min(entry["at"], (now // HOUR + 1) * HOUR), abs=1
        )
        queues.put(job_id, [])
        assert job_id not in queues.waiting
    assert queues.due(now) == [] and queues.next_time() is None


def test_a_changed_priority_and_lock_count_for_what_waits_already(host: VirtualHost) -> None:
    put(host, "j")
    host.start()
    made = jobs(host)
    made.queues.add("j", slot=host.now, at=host.now + DAY, cause="event", asked=True)
    assert made.states["j"].queue == [
        {"slot": host.now, "at": host.now + DAY, "cause": "event", "asked": True}
    ]
    assert made.queues.waiting["j"] == Waiting(0, "")
    put(host, "j", priority=7, lock="l")
    made.reload()
    assert made.queues.waiting["j"] == Waiting(7, "l")


# -- slots that are passed over ---------------------------------------------------------------


def test_slots_passed_over_are_told_with_their_number_and_reason(host: VirtualHost) -> None:
    ImitatedRun.seconds = 3 * HOUR + 5 * MINUTE
    running(host)
    host.pass_time(3 * HOUR)
    group = host.state("j").skipped
    assert group == {
        "skipped": 3,
        "reason": "the run run-0 was still going on",
        "scheduled_for": iso(from_epoch(MONDAY + 2 * HOUR)),
        "last": iso(from_epoch(MONDAY + 4 * HOUR)),
    }
    reason = f"the slot {group['last']} was skipped: {group['reason']}"
    assert host.state("j").reason == reason
    host.pass_time(10 * MINUTE)
    assert host.state("j").skipped is None
    (entry,) = host.skipped("j")
    assert entry.items() >= {**group, "job_id": "j"}.items()
    assert entry["time_ended"] == pytest.approx(MONDAY + 4 * HOUR + 5 * MINUTE, abs=1)


def test_a_run_that_waits_is_why_later_slots_are_passed_over(host: VirtualHost) -> None:
    ImitatedRun.seconds = 2 * HOUR + 30 * MINUTE
    put(host, "a", lock="l", job_schedule={})
    put(host, "j", lock="l")
    host.start()
    host.pass_time(2 * HOUR + MINUTE)
    group = host.state("j").skipped
    assert group is not None and group["reason"] == "an earlier run was still waiting to begin"
    assert (group["skipped"], seconds(group["last"])) == (1, 2 * HOUR)
    (entry,) = host.state("j").queue
    assert (entry["slot"] - MONDAY, entry["cause"]) == (HOUR, "schedule")
    host.event("j", "stop")
    told = [(row["reason"], seconds(row["scheduled_for"])) for row in host.skipped("j")]
    assert told[0] == ("an earlier run was still waiting to begin", 2 * HOUR)
    assert told[1][0].startswith("stopped by somebody at ") and told[1][1] == HOUR
    assert told[1][0].endswith(" before it began")


def test_slots_that_the_clock_was_set_past_are_told_as_such(host: VirtualHost) -> None:
    host.declare("j", **HOURLY, missed={"run": "skip"})
    host.start()
    host.pass_time(30 * MINUTE)
    host.set_clock(2 * HOUR)
    host.tick()
    host.pass_time(130.0)
    told = host.skipped("j")
    assert [row["reason"] for row in told] == ["the clock was set by +7200 s, past it"]
    assert (told[0]["skipped"], seconds(told[0]["last"])) == (2, 2 * HOUR)
    assert jobs(host).timetable.stepped == 0.0


@pytest.mark.parametrize("step", [150, 24 * 365 * 30])
def test_slots_too_many_to_be_counted_are_not_told_as_a_hundred(
    host: VirtualHost, step: int
) -> None:
    """Of 30 years that a clock was set past, 100 slots were on record."""
    host.declare("j", **HOURLY, missed={"run": "skip"})
    host.start()
    host.pass_time(90 * MINUTE)  # one that has never run would count from the new time
    host.set_clock(step * HOUR)
    host.tick()
    host.pass_time(130.0)
    first, others = host.skipped("j")
    why = f"the clock was set by +{step * 3600} s, past it"
    assert first["reason"].startswith(f"{why}, like all slots from here to ")
    assert (first["skipped"], seconds(first["scheduled_for"])) == (1, 2 * HOUR)
    assert (others["skipped"], others["reason"]) == (100, why)
    assert seconds(others["last"]) == (step + 1) * HOUR


def test_all_missed_slots_wait_for_each_other_and_no_more_than_a_hundred(
    host: VirtualHost,
) -> None:
    ImitatedRun.seconds = 50 * HOUR
    host.declare("j", schedule_minute="*/10", missed={"run": "all", "max_age": "30 days"})
    host.start()
    host.pass_time(5 * MINUTE)
    host.stop()
    host.pass_time(2 * DAY)
    host.start()
    assert host.state("j").cause == "catch-up" and len(host.state("j").queue) == 99
    assert [entry["cause"] for entry in host.state("j").queue] == ["catch-up"] * 99
    host.pass_time(HOUR)
    assert len(host.state("j").queue) == 100
    group = host.state("j").skipped
    assert group is not None and group["reason"] == "100 earlier runs were still waiting"


def test_a_job_that_is_over_tells_which_slot_was_its_last_one(host: VirtualHost) -> None:
    missed = {"run": "skip"}
    host.declare("j", schedule_date=iso(from_epoch(MONDAY + HOUR)), missed=missed)
    host.pass_time(2 * HOUR)
    host.start()
    state = host.state("j")
    slot = iso(from_epoch(MONDAY + HOUR))
    assert (state.status, state.stopped_by and state.stopped_by["what"]) == ("stop", "over")
    assert state.reason == (
        f"its schedule has no later run; the slot {slot} was skipped:"
        " missed, and missed slots are not made up for"
    )


def test_after_a_boot_the_job_of_boots_runs_once(host: VirtualHost) -> None:
    ImitatedRun.seconds = MINUTE
    host.declare("j", schedule_boot=True)
    host.start()
    host.pass_time(HOUR)
    assert host.runs("j") == [] and host.state("j").status == "scheduled"
    assert host.state("j").boot and host.state("j").next_run is None


@pytest.mark.parametrize("end", ["stop", "crash"])
def test_what_waits_is_not_forgotten_by_a_restart(host: VirtualHost, end: str) -> None:
    put(host, "a", lock="l")
    put(host, "j", lock="l", priority=3)
    host.start()
    host.event("a", "start")
    host.event("j", "start")
    before = host.state("j").queue
    assert len(before) == 1
    getattr(host, end)()
    host.start()
    assert host.state("j").queue == before
    assert jobs(host).queues.waiting == {"j": Waiting(3, "l")}
    host.pass_time(15 * MINUTE)
    assert [run["cause"] for run in host.runs("a")] == ["event"] and host.state("j").active
    host.pass_time(15 * MINUTE)
    assert len(host.runs("j")) == 1


@pytest.mark.parametrize("splay", [0, 1800])
def test_a_single_run_that_was_stopped_before_its_splay_was_over_is_not_lost(
    host: VirtualHost, splay: int
) -> None:
    ImitatedRun.seconds = 0.0
    host.start()
    host.declare("j", schedule_splay=splay)
    host.pass_time(5.0)
    runs = len(host.runs("j"))
    assert runs == (0 if splay else 1)
    for status in ({"status": "stop"}, {}, {"status": "stop"}, {}):
        host.declare("j", schedule_splay=splay, **status)
        host.pass_time(HOUR)
        assert len(host.runs("j")) == (runs if status and not runs else 1)
        runs = len(host.runs("j"))


def test_a_job_that_is_over_can_still_be_stopped_by_somebody(host: VirtualHost) -> None:
    ImitatedRun.seconds = 0.0
    host.declare("j", schedule_date=iso(from_epoch(MONDAY + HOUR)))
    host.start()
    host.event("j", "stop")
    host.event("j", "start")
    host.pass_time(2 * HOUR)
    over = host.state("j").stopped_by
    assert over is not None and over["what"] == "over" and len(host.runs("j")) == 1
    host.event("j", "stop")
    stopped = host.state("j").stopped_by
    assert stopped is not None and (stopped["what"], stopped["who"]) == ("event", "somebody")
    host.declare("j", schedule_date=iso(from_epoch(MONDAY + 3 * HOUR)))
    host.pass_time(2 * HOUR)
    assert len(host.runs("j")) == 1, "and stays it"


def test_a_job_that_is_being_removed_has_no_more_slots(host: VirtualHost) -> None:
    ImitatedRun.seconds = 3 * HOUR
    running(host)
    host.remove("j")
    host.pass_time(2 * HOUR + 30 * MINUTE)
    state = host.state("j")
    assert (state.status, state.queue, state.skipped, state.next_run) == (
        "removing",
        [],
        None,
        None,
    )
    assert jobs(host).timetable.idle_seconds is None
    host.pass_time(HOUR)
    assert host.store.state("j") is None and host.skipped("j") == []


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("schedule", [{}, {"schedule_interval": "20 minutes"}])
def test_a_job_that_is_declared_again_during_its_run_begins_after_it(
    host: VirtualHost, down: bool, schedule: dict[str, str]
) -> None:
    running(host)
    assert host.runner is not None
    if down:
        host.stop()
    host.remove("j")  # and no runner has looked when it is there again
    host.declare("j", **schedule)
    if down:
        host.start()
    host.tick()
    assert (host.state("j").status, host.state("j").run_id) == ("running", "run-0")
    assert list(host.runner.runs) == ["j"]
    host.pass_time(HOUR)
    first, *others = host.runs("j")
    assert (first["run_id"], first["result"]) == ("run-0", "success")
    assert others and others[0]["time_started"] >= first["time_ended"]
    assert host.state("j").created == getattr(host.store.job("j"), "created", None)


def test_a_job_that_is_to_run_once_from_now_on_waits_for_the_run_in_progress(
    host: VirtualHost,
) -> None:
    ImitatedRun.seconds = 2 * HOUR
    running(host)
    host.declare("j")  # without a schedule: no time that it could miss
    foreseen = [coming.slot for coming in host.foreseen("j", host.now + DAY)]
    host.pass_time(5 * HOUR)
    assert [run["result"] for run in host.runs("j")] == ["success", "success"]
    assert [host.runs("j")[1]["scheduled_for"]] == [iso(slot) for slot in foreseen]
    assert host.skipped("j") == [] and host.state("j").stopped_by["what"] == "over"


def test_a_run_that_was_made_before_a_crash_is_the_one_of_its_job(host: VirtualHost) -> None:
    host.start()
    host.declare("j")
    host.crash_before_commit()
    assert host.store.state("j") is None and len(ImitatedRun.kept) == 1
    host.start()
    assert (host.state("j").status, host.state("j").run_id) == ("running", "run-0")
    host.pass_time(HOUR)
    assert [run["run_id"] for run in host.runs("j")] == ["run-0"]
    assert host.state("j").stopped_by["what"] == "over"


@pytest.mark.parametrize(
    ("schedule", "before", "first"),
    [
        (HOURLY, (), "event"),
        (HOURLY, ("stop",), "schedule"),
        ({**HOURLY, "status": "stop"}, (), "schedule"),
        ({}, (), "event"),  # it has run
        ({}, ("stop",), "event"),
        ({"schedule_date": "2027-01-18T00:30:00"}, (), "event"),  # it is over
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_a_start_is_foreseen_that_no_runner_was_there_to_act_on(
    host: VirtualHost, schedule: dict[str, Any], before: tuple[str, ...], first: str, late: bool
) -> None:
    """late: a slot has passed meanwhile, whose run is the one that was asked for."""
    ImitatedRun.seconds = 0.0
    host.declare("j", **schedule)
    host.start()
    host.pass_time(HOUR + 5 * MINUTE)
    for event in before:
        host.event("j", event)
    host.stop()
    host.pass_time(HOUR if late else MINUTE)
    host.event("j", "start")
    known, until = len(host.runs("j")), host.now + 3 * HOUR
    foreseen = host.foreseen("j", until)
    host.start()
    host.pass_time(until - host.now)
    ran = host.runs("j")[known:]
    assert [(coming.cause, iso(coming.at)) for coming in foreseen] == [
        (run["cause"], iso(from_epoch(int(run["time_started"])))) for run in ran
    ]
    caught_up = late and (schedule, before) == (HOURLY, ())
    assert ran[0]["cause"] == ("catch-up" if caught_up else first)
