# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weeks are those of ISO 8601: the first days of a year may belong to the last week before it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from schedule_oracles import runs, trigger, utc

FIRST, LAST = date(1996, 1, 1), date(2109, 12, 31)  # with 2000, a leap year, and 2100, none


@pytest.mark.parametrize("week", [1, 2, 5, 9, 26, 52, 53])
def test_every_day_of_a_week_and_no_other(week: int) -> None:
    days = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
    found = runs(
        trigger(schedule_week=str(week), schedule_hour="0"),
        utc(FIRST.year - 1, 12, 31, 23),
        utc(LAST.year, 12, 31, 23),
    )
    assert [run.date() for run in found] == [day for day in days if day.isocalendar()[1] == week]
