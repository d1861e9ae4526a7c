# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulation against a plain walk from minute to minute, and its clock changes."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schedule_oracles import SECOND, UTC, runs, trigger, utc

from coldchain.schedule.simulate import simulate
from coldchain.schedule.simulation import SimulatedJob

START = utc(2026, 5, 4)
MINUTE = timedelta(minutes=1)


@st.composite
def simulated(draw: st.DrawFn) -> SimulatedJob:
    period = draw(st.integers(10, 400))
    first = draw(st.integers(0, 120))
    schedule = draw(
        st.one_of(
            st.just({"schedule_interval": f"{period} minutes"}),
            st.just({"schedule_interval": f"{period} minutes"}),
            st.just({"schedule_interval": "continuous"}),
        )
    )
    return SimulatedJob(
        host=draw(st.sampled_from(("a", "b"))),
        job_id=draw(st.text("xyz", min_size=1, max_size=3)),
        trigger=trigger(
            schedule_start_date=(START + first * MINUTE).isoformat(),
            **schedule,
        ),
        duration=draw(st.integers(1, 200)) * 60 - ("conti" in str(schedule)),
        lock=draw(st.sampled_from(("", "disk"))),
        container=draw(st.sampled_from(("", "one", "two"))),
        priority=draw(st.integers(-1, 1)),
    )


class Walk:
    """One host, minute by minute.  A continuous job starts a second after its last run has ended,
    which the durations above make a whole minute again, one second in."""

    def __init__(self, jobs: list[SimulatedJob], limit: int) -> None:
        self.jobs = sorted(jobs, key=lambda job: job.job_id)
        self.limit = limit
        self.counts: Counter[tuple[str, str]] = Counter()
        self.spans: list[tuple[str, datetime, datetime]] = []

    def go(self) -> None:
        end = START + timedelta(days=1)
        due = {
            job.job_id: set(runs(job.trigger, START - SECOND, end - SECOND))
            for job in self.jobs
            if job.trigger.kind != "continuous"
        }
        running: dict[str, datetime] = {}
        waiting: dict[str, datetime] = {}
        wake = {
            job.job_id: job.trigger.next(START - SECOND).at
            for job in self.jobs
            if job.trigger.kind == "continuous"
        }
        by_name = {job.job_id: job for job in self.jobs}
        now, last = START, end + timedelta(days=30)
        while now < last:
            for name in [name for name, until in running.items() if until <= now]:
                if by_name[name].trigger.kind == "continuous":
                    wake[name] = running[name] + SECOND
                del running[name]
            for job in self.jobs:
                name = job.job_id
                called = now < end and (now in due.get(name, ()) or wake.get(name) == now)
                if called and (name in running or name in waiting):
                    self.counts[name, "overlaps"] += 1
                elif called:
                    waiting[name] = now
            for name in sorted(waiting, key=lambda n: (-by_name[n].priority, waiting[n], n)):
                job = by_name[name]
                locks = {by_name[other].lock for other in running} - {""}
                if len(running) < self.limit and job.lock not in locks:
                    running[name] = now + timedelta(seconds=job.duration)
                    self.spans.append((job.container, now, running[name]))
                    self.counts[name, "runs"] += 1
                    self.counts[name, "waits"] += waiting.pop(name) < now
            if now >= end and not running and not waiting:
                return
            now += self.step(wake, running, now)

    @staticmethod
    def step(wake: dict[str, datetime], running: dict[str, datetime], now: datetime) -> timedelta:
        soon = [instant for instant in (*wake.values(), *running.values()) if instant > now]
        return min((*soon, now - now.second * SECOND + MINUTE)) - now


def most_at_once(spans: list[tuple[datetime, datetime]]) -> int:
    return max((sum(b <= begin < e for b, e in spans) for begin, _ in spans), default=0)


@given(
    jobs=st.lists(
        simulated(), min_size=1, max_size=6, unique_by=lambda job: (job.host, job.job_id)
    ),
    limit=st.integers(1, 3),
)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_it_counts_what_a_walk_counts(jobs: list[SimulatedJob], limit: int) -> None:
    result = simulate(jobs, START, 1, limit)
    spans: list[tuple[str, datetime, datetime]] = []
    for host in {job.host for job in jobs}:
        walk = Walk([job for job in jobs if job.host == host], limit)
        walk.go()
        spans += walk.spans
        assert result.hosts[host].runs == most_at_once([span[1:] for span in walk.spans])
        for count in result.jobs:
            if count.host == host:
                name = count.job_id
                assert count.runs == walk.counts[name, "runs"]
                assert count.overlaps == walk.counts[name, "overlaps"]
                assert count.lock_waits + count.limit_waits == walk.counts[name, "waits"]
    assert result.fleet.runs == most_at_once([span[1:] for span in spans])
    for container, peak in result.containers.items():
        assert peak.runs == most_at_once([s[1:] for s in spans if s[0] == container])
    assert json.loads(json.dumps(result.as_dict()))["runs"] == len(spans)


def test_a_lock_and_the_limit_make_runs_wait_and_an_overlap_skips_one() -> None:
    def job(name: str, minutes: int, **options: object) -> SimulatedJob:
        found = trigger(schedule_interval="60 minutes", schedule_start_date="2026-05-04T01:00Z")
        return SimulatedJob("host", name, found, minutes * 60, **options)

    result = simulate([job("a", 20, lock="disk"), job("b", 20, lock="disk")], START, 1, 4)
    assert [count.lock_waits for count in result.jobs] == [0, 23]
    assert result.jobs[1].longest_wait == result.as_dict()["longest_wait"] == 1200
    assert result.clean

    result = simulate([job("a", 20), job("b", 20)], START, 1, 1)
    assert [count.limit_waits for count in result.jobs] == [0, 23]

    result = simulate([job("a", 20, priority=0), job("b", 20, priority=1)], START, 1, 1)
    assert [count.limit_waits for count in result.jobs] == [23, 0]

    result = simulate([job("a", 90)], START, 1, 4)
    assert (result.total("runs"), result.total("overlaps")) == (12, 11)
    assert not result.clean
    assert (result.findings[0].kind, result.findings[0].at) == ("overlap", utc(2026, 5, 4, 2))


def test_clock_changes_and_blackouts_are_told() -> None:
    zone = ZoneInfo("America/New_York")
    hourly = trigger(zone, schedule_hour="*", blackout=[{"start": "08:00", "end": "18:00"}])
    result = simulate([SimulatedJob("host", "job", hourly, 600)], utc(2026, 3, 7), 3, 4)
    (change,) = result.clock_changes
    assert (change.zone, change.at, change.seconds) == (
        "America/New_York",
        utc(2026, 3, 8, 7),
        3600,
    )
    assert change.runs == 24 - 1 - 10
    assert result.total("blacked_out") == 30
    assert result.findings[0].kind == "blacked_out"
    assert result.total("into_blackout") == 0
    early = trigger(zone, schedule_hour=7, blackout=[{"start": "08:00", "end": "18:00"}])
    result = simulate([SimulatedJob("host", "job", early, 3900)], utc(2026, 3, 7), 3, 4)
    assert result.total("into_blackout") == 3
    assert [(one.kind, one.at) for one in result.findings] == [
        ("into_blackout", utc(2026, 3, 7, 12))
    ]


def test_runs_put_off_by_a_blackout_wait_for_each_other() -> None:
    found = trigger(
        schedule_minute="30",
        blackout=[{"start": "02:00", "end": "06:00"}],
        missed={"run": "all", "max_age": "6 hours"},
    )
    result = simulate([SimulatedJob("host", "job", found, 300)], START, 1, 4)
    assert (result.total("runs"), result.total("overlaps")) == (24, 0)
    # Longer ones are still at it when the next regular slot comes, and that one is skipped.
    result = simulate([SimulatedJob("host", "job", found, 600)], START, 1, 4)
    assert (result.total("runs"), result.total("overlaps")) == (23, 1)


def test_where_nothing_is_declared_nothing_happens() -> None:
    told = simulate([], START, 1, 1).as_dict()
    assert told.pop("clean") is True and told.pop("fleet") == {"runs": 0, "at": None}
    assert (told.pop("start"), told.pop("days")) == ("2026-05-04T00:00:00+00:00", 1)
    assert not any(told.values()), told


@pytest.mark.parametrize(
    ("durations", "days", "limit"), [([-1], 1, 1), ([1, 1], 1, 1), ([1], 0, 1), ([1], 1, 0)]
)
def test_impossible_questions_are_refused(durations: list[int], days: int, limit: int) -> None:
    jobs = [SimulatedJob("h", "j", trigger(UTC), seconds) for seconds in durations]
    with pytest.raises(ValueError, match=r"negative|twice|at least 1"):
        simulate(jobs, START, days, limit)


def in_slot(host: str, at: str, minutes: int, **options: object) -> SimulatedJob:
    found = trigger(schedule_hour=1, schedule_minute=at)
    return SimulatedJob(host, "job", found, minutes * 60, slot="night", **options)


@pytest.mark.parametrize(
    ("jobs", "why"),
    [
        ([in_slot("a", "0", 5), in_slot("b", "5", 5)], ""),
        ([in_slot("a", "0", 0), in_slot("b", "0", 0)], ""),
        ([in_slot("a", "0", 6), in_slot("b", "5", 6)], "they last longer than their places"),
        ([in_slot("a", "5", 6), in_slot("b", "5", 6, placed=False)], "job on b has no place in it"),
    ],
)
def test_a_slot_with_too_many_runs_at_once_names_them_and_why(
    jobs: list[SimulatedJob], why: str
) -> None:
    others = [in_slot("c", "55", 1), in_slot("d", "5", 0)]  # apart, and over at once
    result = simulate([*jobs, *others], START, 1, 4, {"night": 1})
    use = result.slots["night"]
    assert result.clean is not bool(why)
    assert (use.runs, use.at_once) == (1 + bool(why), 1)
    assert use.why.startswith(why) and bool(use.why) is bool(why)
    assert [text.partition(" ")[0] for text in use.crowded] == (["a/job", "b/job"] if why else [])
    if why:
        assert use.at == utc(2026, 5, 4, 1, 5)
    unbounded = simulate(jobs, START, 1, 4).slots["night"]
    assert (unbounded.runs, unbounded.crowded, unbounded.why) == (use.runs, [], "")


def test_a_run_that_waits_on_its_host_may_leave_its_place_in_the_slot() -> None:
    before = SimulatedJob("a", "before", trigger(schedule_hour=1), 360)
    result = simulate(
        [before, in_slot("a", "0", 5), in_slot("b", "10", 5)], START, 1, 1, {"night": 1}
    )
    use = result.slots["night"]
    assert use.crowded == [
        "a/job 2026-05-04T01:06:00+00:00 to 2026-05-04T01:11:00+00:00",
        "b/job 2026-05-04T01:10:00+00:00 to 2026-05-04T01:15:00+00:00",
    ]
    assert use.why.startswith("job on a had to wait on its host")


def test_a_run_that_waits_longer_than_a_missed_slot_is_made_up_for_is_late() -> None:
    found = trigger(schedule_hour=1, missed={"max_age": "10 minutes"})
    for minutes, late in ((10, 0), (11, 1)):
        jobs = [SimulatedJob("h", name, found, minutes * 60, lock="disk") for name in "ab"]
        result = simulate(jobs, START, 1, 4)
        assert [count.late for count in result.jobs] == [0, late]
        assert [finding.kind for finding in result.findings] == ["late"] * late + ["lock_wait"]
        assert result.clean is not bool(late)
