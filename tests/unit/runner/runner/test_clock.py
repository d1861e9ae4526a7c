# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schedule library's Scheduler is the clock: its hooks are called, nothing is scanned."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import schedule

from coldchain.core.instants import UTC, from_epoch
from coldchain.runner.scheduler import TriggerJob, TriggerScheduler

PAST = datetime(2026, 1, 1, tzinfo=UTC)


Work = Callable[[], None]


class Jobs:
    """A clock, the triggers and the work of its jobs."""

    def __init__(self) -> None:
        self.triggers: dict[str, Callable[[datetime], datetime | None]] = {}
        self.work: dict[str, Work] = {}
        self.clock = TriggerScheduler(
            lambda key, after: self.triggers[key](after), lambda key: self.work[key]()
        )

    def put(self, key: str, trigger: Any, after: datetime, work: Work) -> None:
        self.triggers[key], self.work[key] = trigger, work
        self.clock.put(key, after)


def every(seconds: int, count: int = 10**9):
    """A trigger: multiples of *seconds* after PAST, *count* of them."""

    def after(instant: datetime) -> datetime | None:
        number = int((instant - PAST).total_seconds()) // seconds + 1
        return None if number > count else PAST + timedelta(seconds=number * seconds)

    return after


def test_it_is_the_library_s_scheduler_and_its_loop_runs_our_jobs() -> None:
    jobs, ran = Jobs(), []
    clock = jobs.clock
    assert isinstance(clock, schedule.Scheduler)
    jobs.put("a", every(10, 3), PAST, lambda: ran.append("a"))
    clock.run_pending()
    assert ran == ["a", "a", "a"]
    assert clock.idle_seconds is None and clock.get_next_run("a") is None


def test_due_jobs_run_in_order_of_time() -> None:
    jobs, ran = Jobs(), []
    clock = jobs.clock
    jobs.put("late", every(30, 1), PAST, lambda: ran.append("late"))
    jobs.put("early", every(20, 1), PAST, lambda: ran.append("early"))
    clock.run_pending()
    assert ran == ["early", "late"]


def test_a_job_removed_or_replaced_by_an_earlier_one_of_the_same_tick_does_not_run() -> None:
    jobs, ran = Jobs(), []
    clock = jobs.clock

    def first() -> None:
        ran.append("first")
        clock.remove("second")
        jobs.put("third", lambda after: None, PAST, lambda: ran.append("replaced"))

    jobs.put("first", every(10, 1), PAST, first)
    jobs.put("second", every(20, 1), PAST, lambda: ran.append("second"))
    jobs.put("third", every(20, 1), PAST, lambda: ran.append("third"))
    clock.run_pending()
    assert ran == ["first"]


def test_a_job_that_puts_itself_again_is_on_the_clock_once() -> None:
    jobs, ran = Jobs(), []
    clock = jobs.clock

    def again() -> None:
        ran.append(1)
        jobs.put("a", every(3600), from_epoch(time.time()), again)

    jobs.put("a", every(10, 1), PAST, again)
    clock.run_pending()
    assert ran == [1]
    assert clock.idle_seconds is not None and 0 < clock.idle_seconds <= 3600
    assert clock.next_run == clock.get_next_run("a")


def test_the_library_s_hooks_are_the_ones_we_override() -> None:
    for name in ("_schedule_next_run", "should_run", "run"):
        assert name in vars(TriggerJob) and hasattr(schedule.Job, name)
    for name in ("run_pending", "cancel_job", "get_next_run", "idle_seconds"):
        assert name in vars(TriggerScheduler) and hasattr(schedule.Scheduler, name)
    assert "_run_job" in vars(schedule.Scheduler)


def test_an_exception_is_not_swallowed() -> None:
    jobs = Jobs()

    def fails() -> None:
        raise RuntimeError("bug")

    jobs.put("a", every(10, 1), PAST, fails)
    with pytest.raises(RuntimeError):
        jobs.clock.run_pending()
