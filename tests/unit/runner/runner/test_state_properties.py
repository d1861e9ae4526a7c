# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever people, crashes and clocks do: a job is what its document says, and the record is true.

Thousands of random sequences on a virtual clock; the runner's loop is the real one.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_host import ImitatedRun, VirtualHost, virtual_host

from coldchain import lifecycle
from coldchain.core.instants import from_epoch, iso
from coldchain.runner.outlook import build
from coldchain.schedule import Trigger

HOUR, DAY = 3600.0, 86400.0
JOBS = ("a", "b")
EVENTS = ("start", "stop", "abort", "run")
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualHost]:
    with virtual_host(tmp_path_factory.mktemp("virtual")) as made:
        yield made


def schedule(chance: random.Random, now: float) -> dict[str, Any]:
    """A job_schedule as an inventory may have it."""
    kind = chance.randrange(13)

    def then(*seconds: float) -> str:
        return iso(from_epoch(int(now + chance.choice(seconds))))

    if kind == 0:
        chosen: dict[str, Any] = {}
    elif kind == 1:
        chosen = {"schedule_date": then(-2 * DAY, -3601, -600, 0, 1, 600, 5 * HOUR, 3 * DAY)}
        if chance.random() < 0.5:
            chosen["schedule_splay"] = "20 minutes"
    elif kind in (2, 3):
        # The first is shorter than the longest run.
        chosen = {"schedule_interval": chance.choice(("40 minutes", "2 hours", "1 days"))}
    elif kind == 4:
        chosen = {"schedule_interval": "2 hours", "schedule_timezone": "Mars/Base"}
    elif kind == 5:
        chosen = {"schedule_hour": "*/2", "schedule_splay": "10 minutes"}
    elif kind == 6:
        begin = then(-30 * DAY, -100, 5000, 2 * DAY)
        chosen = {"schedule_interval": "90 minutes", "schedule_start_date": begin}
    elif kind == 7:
        chosen = {"schedule_minute": "30", "schedule_end_date": then(100, 4000, 2 * DAY)}
    elif kind == 8:
        chosen = {"schedule_minute": "45", "blackout": [{"start": "06:00", "end": "13:00"}]}
    elif kind == 9:
        chosen = {"schedule_boot": True}
    elif kind == 10:  # in the hour that is left out, or exists twice
        chosen = {"schedule_hour": "2", "schedule_minute": "30"}
        chosen["schedule_timezone"] = "Europe/Berlin"
    else:
        chosen = {"schedule_hour": str(chance.randrange(24)), "schedule_minute": "30"}
    if chance.random() < 0.2 and chosen and "schedule_boot" not in chosen:
        chosen["missed"] = {"run": chance.choice(("skip", "all")), "max_age": "3 hours"}
    if chance.random() < 0.3:
        chosen["status"] = "stop"
    return chosen


class History:
    """A sequence of what happens to a host, and what must hold in between."""

    def __init__(self, host: VirtualHost, seed: int, steps: float) -> None:
        self.host, self.chance = host, random.Random(seed)
        self.steps = steps  # how probable it is that somebody sets the clock
        self.said: list[str] = []
        self.stopped: dict[str, str] = {}  # job -> the newest start, stop or abort
        self.clock_was_set = False
        self.earlier: set[Any] = set()  # slots that jobs had missed when they were removed
        host.reset()
        if self.chance.random() < 0.3:  # days before clocks change in Berlin
            host.offset += DAY * self.chance.choice((67, 68, 69, 284, 285, 286))
        ImitatedRun.seconds = self.chance.choice((0.0, 0.0, 90.0, 3000.0))

    def go(self, length: int) -> None:
        host, chance = self.host, self.chance
        host.start()
        for dummy in range(length):
            touched = self._one_thing()
            if host.runner is None and chance.random() < 0.7:
                self.said.append("start the runner")
                host.start()
            self.check(touched)
        if host.runner is None:
            host.start()
        self.check(*JOBS)

    def _one_thing(self) -> str:
        """Returns the job that it concerns most; at the end all of them are looked at."""
        host, chance = self.host, self.chance
        job_id = chance.choice(JOBS)
        what = chance.random()
        if what < 0.34:
            record = host.store.job(job_id)
            wanted = schedule(chance, host.now)
            if record is not None and chance.random() < 0.4:  # only stopped, or not any more
                wanted = {k: v for k, v in record.schedule.items() if k != "status"}
                if not record.stopped:
                    wanted["status"] = "stop"
            self.said.append(f"{job_id}: {wanted}")
            host.declare(job_id, **wanted)
            if host.runner is not None and chance.random() < 0.1:
                self.said.append("killed before it is on disk")
                host.crash_before_commit()
            elif host.runner is not None and chance.random() < 0.8:
                host.tick()
        elif what < 0.55:
            event = chance.choice(EVENTS)
            self.said.append(f"{job_id}: {event}")
            if host.store.job(job_id) is not None:
                host.event(job_id, event)
        elif what < 0.59:
            self.said.append(f"{job_id}: removed")
            if host.store.job(job_id) is not None:
                self.earlier.add((host.state(job_id).skipped or {}).get("scheduled_for"))
                host.remove(job_id)
                if chance.random() < 0.5:  # before any runner has looked
                    wanted = schedule(chance, host.now)
                    self.said.append(f"{job_id}: {wanted}")
                    host.declare(job_id, **wanted)
        elif what < 0.66:
            if host.runner is not None:
                self.said.append("restart")
                chance.choice((host.stop, host.crash, host.crash_before_commit))()
        elif what < 0.69:
            wrong = chance.choice((30.0, HOUR, DAY, 9 * DAY)) * chance.choice((-1, 1))
            wrong *= chance.random() < 2 * self.steps
            self.clock_was_set = self.clock_was_set or bool(wrong)
            self.said.append(f"boot, its clock {wrong:+} s off")
            host.reboot(chance.choice((60.0, 5 * HOUR, 30 * HOUR)), wrong)
        elif what < 0.72:
            host.stop()
            host.zone = chance.choice(ZONES)
            self.said.append(f"zone {host.zone}")
        elif what < 0.72 + self.steps:
            step = chance.choice((-1, 1)) * chance.choice((30.0, HOUR, DAY, 700 * DAY))
            self.said.append(f"clock {step:+}")
            self.clock_was_set = True
            host.set_clock(step)
        else:
            seconds = chance.choice((30.0, 600.0, HOUR, 7 * HOUR, 30 * HOUR))
            self.said.append(f"{seconds} s")
            host.pass_time(seconds)
        return job_id

    def check(self, *jobs: str) -> None:
        host = self.host
        if host.runner is None:
            return
        host.tick()
        if host.runner._trust.doubted:
            host.pass_time(130.0)
        going_on = [run.job_id for run in ImitatedRun.kept.values() if run.directory.is_dir()]
        assert sorted(going_on) == sorted(host.runner.runs), (self.said, going_on)
        for job_id in jobs:
            self._check_job(job_id)

    def _check_job(self, job_id: str) -> None:
        host = self.host
        record, state = host.store.job(job_id), host.store.state(job_id)
        if record is None:
            assert state is None or state.status == "removing", self.said
            return
        assert state is not None, self.said
        told = (self.said, job_id, record.schedule, state.as_row())
        outlook = host.outlook(job_id)
        assert (state.status, state.stopped_by) == outlook.status(), told
        armed = bool(state.next_run or state.queue or state.active)
        what = state.stopped_by["what"] if state.stopped_by else ""
        assert (state.status == "stop") == (bool(what) and not state.active and not state.queue)
        if not record.stopped and self._later_slot(record, host.now):
            assert (armed and not what) or what == "event", told
        if record.stopped:
            assert what in ("declaration", "event") or self._started(state), told
        if what == "event":
            assert state.newest_event["event"] in ("stop", "abort"), told
            assert state.stopped_by["who"] == "somebody", told
        if what == "unusable":
            assert record.schedule.get("schedule_timezone") == "Mars/Base", told
        self._check_runs(job_id, record, told)

    def _started(self, state: Any) -> bool:
        newest = state.newest_event
        return newest is not None and newest["event"] == "start"

    def _later_slot(self, record: Any, now: float) -> bool:
        try:
            trigger = self.trigger(record)
        except ValueError:
            return False
        if trigger.kind == "once":
            return False
        ran = {run["scheduled_for"] for run in self.host.runs(record.job_id)}
        # A declaration by a clock that was ahead has lost no slot that is to come.
        begin = int(min(record.anchor, now))
        occurrence = trigger.next(from_epoch(now))
        while occurrence is not None:
            if occurrence.slot.timestamp() >= begin and iso(occurrence.slot) not in ran:
                return True
            occurrence = trigger.next(occurrence.at)
        return False

    def trigger(self, record: Any) -> Trigger:
        assert self.host.runner is not None
        return build(record, self.host.runner.settings, record.anchor)

    def _check_runs(self, job_id: str, record: Any, told: Any) -> None:
        runs = self.host.runs(job_id)
        planned = [run for run in runs if run["cause"] in ("schedule", "catch-up")]
        slots = Counter(run["scheduled_for"] for run in planned)
        assert max(slots.values(), default=0) <= 1, (told, slots)
        if not self.clock_was_set:
            for run in planned:
                slot = datetime.fromisoformat(run["scheduled_for"]).timestamp()
                if run["time_started"] >= record.anchor:
                    assert slot >= int(record.anchor), (told, run)
            for group in self.host.skipped(job_id):
                first = datetime.fromisoformat(group["scheduled_for"]).timestamp()
                if group.get("time_ended", record.anchor) < record.anchor:
                    continue
                if group["scheduled_for"] in self.earlier:
                    continue
                assert first >= int(record.created), (told, group)


# In blocks of other seeds each: a test that takes seconds is left out where only fast ones count.
# Together they are 3,200 sequences, and 500 forecasts: docs/decisions/064-derived-status.md.
@pytest.mark.long
@pytest.mark.parametrize("block", range(5))
@settings(max_examples=examples(400, 1000))
@given(seed=st.integers(0, 10**9))
def test_a_job_whose_document_says_scheduled_is_armed_or_stopped_by_an_event(
    host: VirtualHost, block: int, seed: int
) -> None:
    History(host, block * 10**10 + seed, steps=0.0).go(10)


@pytest.mark.long
@pytest.mark.parametrize("block", range(3))
@settings(max_examples=examples(400, 1000))
@given(seed=st.integers(0, 10**9))
def test_so_it_is_whatever_is_done_to_the_clock(host: VirtualHost, block: int, seed: int) -> None:
    History(host, block * 10**10 + seed, steps=0.12).go(10)


@pytest.mark.long
@settings(max_examples=examples(500, 2000))
@given(seed=st.integers(0, 10**9), hours=st.integers(1, 60), steps=st.sampled_from([0.0, 0.1]))
def test_what_was_foreseen_is_what_happens(
    host: VirtualHost, seed: int, hours: int, steps: float
) -> None:
    past = History(host, seed, steps)
    ImitatedRun.seconds, host.history_runs = 0.0, 10**6
    past.go(past.chance.randrange(1, 8))
    if past.chance.random() < 0.3:  # it has to foresee what a runner makes up for, too
        host.stop()
        host.pass_time(past.chance.choice((60.0, HOUR, 9 * HOUR)))
        for dummy in range(past.chance.choice((0, 0, 1, 2, 3))):  # and what was asked for meanwhile
            job_id, event = past.chance.choice(JOBS), past.chance.choice(("start", "stop", "abort"))
            if host.store.job(job_id) is not None:
                past.said.append(f"{job_id}: {event}, and nobody is there")
                host.event(job_id, event)
    until = int(host.now) + hours * HOUR + 0.5
    declared = [job_id for job_id in JOBS if host.store.job(job_id) is not None]
    # What is on record may grow too old meanwhile.
    before = {run["run_id"] for job_id in declared for run in host.runs(job_id)}
    foreseen = {job_id: host.foreseen(job_id, until) for job_id in declared}
    for coming in (one for runs in foreseen.values() for one in runs):
        assert coming.at.timestamp() >= int(host.now), (past.said, coming)
    if host.runner is None:
        host.start()
    host.pass_time(until - host.now)
    for job_id in declared:
        ran = [run for run in host.runs(job_id) if run["run_id"] not in before]
        assert [iso(coming.slot.replace(microsecond=0)) for coming in foreseen[job_id]] == [
            run["scheduled_for"][:19] + run["scheduled_for"][-6:] for run in ran
        ], (past.said, job_id, host.state(job_id).as_row())
        for coming, run in zip(foreseen[job_id], ran):
            assert abs(coming.at.timestamp() - run["time_started"]) <= 1.0, (
                past.said,
                coming,
                run,
            )
            assert coming.cause == run["cause"], (past.said, coming, run)


def test_every_stop_has_a_cause_that_people_know() -> None:
    assert set(lifecycle.CAUSES) == {"declaration", "event", "over", "unusable"}
