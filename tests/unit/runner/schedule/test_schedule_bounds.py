# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a date may lie away, how long an interval may be, and slots denser than their splay."""

from __future__ import annotations

from datetime import timedelta

import pytest
from schedule_oracles import SECOND, UTC, runs, trigger, utc

from coldchain.schedule import ScheduleError
from coldchain.schedule.delay import splay_fraction

CENTURY = 36600


def test_an_interval_may_be_a_century_long_and_no_longer() -> None:
    found = trigger(schedule_interval=f"{CENTURY} days")
    assert runs(found, utc(2026, 1, 1), utc(2130, 1, 1)) == [
        utc(2026, 1, 1) + timedelta(days=CENTURY)
    ]
    with pytest.raises(ScheduleError, match="longer than 100 years"):
        trigger(schedule_interval=f"{CENTURY * 86400 + 1} seconds")
    for text in (f"{CENTURY} days", CENTURY * 86400):
        trigger(schedule_interval="1 days", schedule_splay=text)
    with pytest.raises(ScheduleError):
        trigger(schedule_interval="1 days", schedule_splay=CENTURY * 86400 + 1)


@pytest.mark.parametrize("year", [1971, 2198])
def test_a_date_in_the_first_or_last_year(year: int) -> None:
    found = trigger(schedule_date=f"{year}-06-01T12:00:00")
    assert runs(found, utc(1970, 1, 1), utc(2199, 1, 1)) == [utc(year, 6, 1, 12)]


@pytest.mark.parametrize("year", [1970, 2199])
def test_a_date_beyond_names_the_years_that_can_be_used(year: int) -> None:
    with pytest.raises(ScheduleError, match="too far away") as caught:
        trigger(schedule_date=f"{year}-06-01T12:00:00")
    assert "years 1971-2198 can be used" in str(caught.value.hint)


@pytest.mark.parametrize("key", ["a", "b", "c", "d"])
def test_where_slots_are_dense_the_last_before_a_gap_is_not_lost(key: str) -> None:
    """Every second of five minutes an hour, with a splay of ten minutes."""
    schedule = {"schedule_hour": "*", "schedule_minute": "0-4", "schedule_second": "*"}
    begin, end = utc(2026, 5, 1), utc(2026, 5, 1, 3)
    slots = runs(trigger(UTC, **schedule), begin - SECOND, end + timedelta(hours=2))
    expected = {}
    for slot, following in zip(slots, slots[1:]):
        room = min(601, int((following - slot).total_seconds()))
        expected[slot + int(splay_fraction(key) * room) * SECOND] = slot
    found = trigger(UTC, key, schedule_splay=600, **schedule)
    for moment in range(0, int((end - begin).total_seconds()), 17):
        after = begin + moment * SECOND
        occurrence = found.next(after)
        assert occurrence is not None
        at = min(instant for instant in expected if instant > after)
        assert (occurrence.at, occurrence.slot) == (at, expected[at])


def test_a_job_without_slots_has_nothing_to_spread() -> None:
    with pytest.raises(ScheduleError, match="no slots to spread"):
        trigger(schedule_interval="continuous", schedule_splay=60)
    trigger(schedule_interval="continuous")
    # Where a date says when it runs, the interval does not count.
    found = trigger(
        schedule_date="2026-06-01T00:00:00", schedule_interval="continuous", schedule_splay=60
    )
    (at,) = runs(found, utc(2026, 1, 1), utc(2027, 1, 1))
    assert utc(2026, 6, 1) <= at <= utc(2026, 6, 1, 0, 1)
