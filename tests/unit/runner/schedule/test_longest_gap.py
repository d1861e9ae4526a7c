# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The longest gap of a schedule, against a walk through all of its runs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain.core.instants import UTC, zone
from coldchain.schedule import Trigger, build
from coldchain.schedule.gaps import longest_gap, shortest_gap

NOW = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)
BERLIN = zone("Europe/Berlin")
HOUR, DAY = 3600, 86400


def trigger(**schedule: Any) -> Trigger:
    return build(schedule, zone=BERLIN, created=NOW, key="host/job")


def walked(made: Trigger, days: int) -> int:
    runs, after = [], NOW
    while True:
        run = made.next(after)
        if run is None or run.at > NOW + timedelta(days=days):
            break
        runs.append(run.at)
        after = run.at
    return max(int((b - a).total_seconds()) for a, b in zip(runs, runs[1:]))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"schedule_interval": "7 days"}, 7 * DAY),
        ({"schedule_interval": "5 seconds"}, 5),
        ({"schedule_interval": "continuous"}, 1),
        # One night in October is an hour longer.
        ({"schedule_hour": "2", "schedule_minute": "30"}, 25 * HOUR),
        ({"schedule_minute": "*"}, 60),
        ({"schedule_day": "31"}, 61 * DAY + HOUR),
        ({"schedule_month": "2", "schedule_day": "29"}, 4 * 365 * DAY + DAY),
        ({"schedule_hour": "9-17", "schedule_day_of_week": "mon-fri"}, (24 * 2 + 16 + 1) * HOUR),
        ({"schedule_date": "2026-12-01T00:00:00"}, None),
        ({"schedule_boot": True}, None),
        ({}, None),
        ({"schedule_hour": "2", "schedule_end_date": "2026-11-28T12:00:00"}, None),
    ],
)
def test_the_longest_gap(schedule: dict[str, Any], expected: int | None) -> None:
    assert longest_gap(trigger(**schedule), NOW) == expected


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"schedule_interval": "7 days"}, 7 * DAY),
        # One night in March is an hour shorter.
        ({"schedule_hour": "4"}, 23 * HOUR),
        ({"schedule_hour": "4,9", "schedule_minute": "0"}, 5 * HOUR),
        ({"schedule_minute": "*"}, 60),
        # The next ones are more than 400 days away.
        ({"schedule_month": "2", "schedule_day": "29", "schedule_hour": "1,2"}, None),
        ({"schedule_date": "2026-12-01T00:00:00"}, None),
        ({"schedule_hour": "2", "schedule_end_date": "2026-11-28T12:00:00"}, None),
        # Where a blackout puts them off, each runs all the same, a second after the other.
        (
            {
                "schedule_hour": "4,9",
                "blackout": [{"start": "03:30", "end": "10:00"}],
                "missed": {"run": "all", "max_age": "9 hours"},
            },
            5 * HOUR,
        ),
    ],
)
def test_the_shortest_gap_is_one_between_slots(
    schedule: dict[str, Any], expected: int | None
) -> None:
    assert shortest_gap(trigger(**schedule), NOW) == expected


numbers = st.lists(st.integers(0, 23), min_size=1, max_size=4).map(lambda n: ",".join(map(str, n)))
weekdays = st.lists(st.integers(0, 6), min_size=1, max_size=3).map(lambda n: ",".join(map(str, n)))
schedules = st.fixed_dictionaries(
    {"schedule_hour": numbers},
    optional={
        "schedule_day_of_week": weekdays,
        "schedule_splay": st.just("40 minutes"),
        "blackout": st.just([{"start": "22:00", "end": "05:00", "day_of_week": "sun"}]),
    },
)


@settings(max_examples=12)
@given(schedules)
def test_it_is_that_of_a_walk(schedule: dict[str, Any]) -> None:
    if "blackout" in schedule:  # that leaves no run without it
        schedule["missed"] = {"max_age": "9 hours"}
    made = trigger(**schedule)
    # From the end of November on no clock changes for two months.
    gap = longest_gap(made, NOW)
    assert gap is not None and walked(made, 60) <= gap <= walked(made, 400)
