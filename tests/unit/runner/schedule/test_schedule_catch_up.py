# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What passed while the runner was down is made up for as the policy says, and all is on record."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_oracles import SECOND, UTC, runs, trigger, utc

from coldchain.schedule import CatchUp, CatchUpPolicy, Trigger, catch_up
from coldchain.schedule.slot_trigger import CATCH_UP_LIMIT

BEGIN = utc(2026, 5, 4)  # a Monday


def slots(found: CatchUp) -> tuple[list[datetime], list[datetime]]:
    """The slots that run now, and those that do not."""
    return [o.slot for o in found.run], [o.slot for o, _ in found.skipped]


def after_downtime(found: Trigger, hours: float, **policy: object) -> CatchUp:
    return catch_up(
        found,
        after=BEGIN,
        now=BEGIN + timedelta(hours=hours),
        policy=found.missed._replace(**policy),
    )


@given(
    period=st.integers(60, 20_000),
    down=st.integers(0, 100_000),
    run=st.sampled_from(("skip", "once", "all")),
    max_age=st.integers(0, 50_000),
    tolerance=st.integers(0, 59),
)
@settings(max_examples=400)
def test_every_missed_slot_is_decided_upon(
    period: int, down: int, run: str, max_age: int, tolerance: int
) -> None:
    found = trigger(schedule_interval=f"{period} seconds", schedule_start_date="2026-05-01T00:00Z")
    now = BEGIN + down * SECOND
    result = catch_up(
        found,
        after=BEGIN,
        now=now,
        policy=CatchUpPolicy(run=run, max_age=max_age),
        tolerance=tolerance,
    )
    due = runs(found, BEGIN, now)
    ages = {slot: int((now - slot).total_seconds()) for slot in due}
    limit = max(max_age, tolerance) if run != "skip" else tolerance
    fresh = [slot for slot in due if ages[slot] <= limit][-CATCH_UP_LIMIT:]
    now_running, skipped = slots(result)
    assert now_running == (fresh if run == "all" else fresh[-1:])
    assert result.later == []
    decided = sorted(now_running + skipped)
    if len(due) <= CATCH_UP_LIMIT:
        assert decided == due
    else:
        assert decided == [due[0], *due[-CATCH_UP_LIMIT:]]
        assert "like all slots from here to" in result.skipped[0][1]
    assert all(reason for _, reason in result.skipped)


@pytest.mark.parametrize(
    ("hour", "up_again", "expected"),
    [
        ("2", 5.5, True),
        ("2", 6, True),
        ("2", 6.5, False),
        ("6", 6.5, False),
        ("7", 23, True),
        ("23", 24 + 5.5, True),  # the night that ends at 06:00
        ("23", 24 + 6.5, False),
    ],
)
def test_not_after_is_the_latest_start_of_a_late_run(
    hour: str, up_again: float, expected: bool
) -> None:
    found = trigger(schedule_hour=hour, missed={"not_after": "06:00", "max_age": "22 hours"})
    assert bool(after_downtime(found, up_again).run) == expected


def test_not_after_is_local_time() -> None:
    nightly = trigger(
        schedule_hour="3",
        schedule_timezone="Europe/Berlin",
        missed={"not_after": "06:00", "max_age": "12 hours"},
    )
    assert after_downtime(nightly, 4).run  # 06:00 in Berlin
    skipped = after_downtime(nightly, 4.01).skipped
    assert "not_after" in skipped[0][1]


def test_a_late_run_waits_for_the_end_of_a_blackout() -> None:
    window = [{"start": "02:10", "end": "03:00"}]
    nightly = trigger(schedule_hour="2", blackout=window)
    found = after_downtime(nightly, 2.5)
    assert found.run == []
    assert [(o.at, o.slot) for o in found.later] == [
        (BEGIN + timedelta(hours=3), BEGIN + timedelta(hours=2))
    ]
    found = after_downtime(nightly, 2.5, max_age=1800)
    assert found.run == found.later == []
    assert "max_age" in found.skipped[0][1]


def test_slots_that_a_blackout_cancels_are_on_record() -> None:
    hourly = trigger(
        schedule_hour="*", blackout=[{"start": "08:00", "end": "18:00", "day_of_week": "mon-fri"}]
    )
    found = after_downtime(hourly, 24)
    assert len(found.run) == 1
    reasons = {o.slot.hour: reason for o, reason in found.skipped}
    assert sorted(reasons) == list(range(1, 24))
    assert all("in the blackout 08:00-18:00 mon-fri" in reasons[hour] for hour in range(8, 17))
    assert "blackout" not in reasons[18]


def test_continuous_and_single_runs_are_not_missed() -> None:
    continuous = trigger(schedule_interval="continuous")
    found = after_downtime(continuous, 1000)
    assert slots(found) == ([BEGIN + timedelta(hours=1000)], [])
    once = trigger()
    now = utc(2026, 6, 1)
    found = catch_up(once, after=utc(2025, 1, 1), now=now, policy=once.missed)
    assert slots(found) == ([utc(2026, 1, 1)], [])
    ended = trigger(schedule_interval="continuous", schedule_end_date="2026-05-04T01:00Z")
    assert slots(after_downtime(ended, 2)) == ([], [])
    dark = trigger(schedule_interval="continuous", blackout=[{"start": "08:00", "end": "18:00"}])
    assert slots(after_downtime(dark, 9)) == ([], [])


def test_a_year_of_downtime_of_a_job_of_every_second_is_summed_up() -> None:
    found = trigger(schedule_second="*")
    result = after_downtime(found, 24 * 365, run="all")
    assert len(result.run) == CATCH_UP_LIMIT
    assert result.run[-1].slot == BEGIN + timedelta(days=365)
    assert len(result.skipped) == 1


@pytest.mark.parametrize("beyond", [-1, 0, 1, 2, 3])
def test_the_newest_slots_are_decided_upon_one_by_one_and_the_older_ones_summed_up(
    beyond: int,
) -> None:
    found = trigger(schedule_second="*")
    result = after_downtime(found, (CATCH_UP_LIMIT + beyond) / 3600, run="all")
    assert len(result.run) == CATCH_UP_LIMIT + min(beyond, 0)
    assert [slot for slot, _ in result.skipped] == (
        [o for o, _ in result.skipped[:1]] if beyond > 0 else []
    )
    assert result.run[0].slot == BEGIN + (1 + max(beyond, 0)) * SECOND


def test_a_policy_in_the_document_is_the_triggers() -> None:
    found = trigger(
        schedule_hour="1", missed={"run": "all", "max_age": "2 hours", "not_after": "06:00"}
    )
    assert found.missed == CatchUpPolicy("all", 7200, 6 * 3600, UTC)
    assert trigger(schedule_hour="1").missed == CatchUpPolicy("once", 3600, None, UTC)
