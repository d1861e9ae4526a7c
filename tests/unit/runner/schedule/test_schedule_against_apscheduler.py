# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""In UTC, where APScheduler is right, every schedule fires exactly when Freezer's library says."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from apscheduler.triggers.cron import CronTrigger
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_oracles import SECOND, UTC, prefixed, specs, trigger

from coldchain.schedule import ScheduleError

FIRES = 4
HORIZON = timedelta(days=365 * 25)  # it takes seconds to find out that a schedule never fires


@pytest.mark.long
@given(
    spec=specs(),
    after=st.datetimes(datetime(2019, 12, 25), datetime(2031, 1, 5)).map(
        lambda naive: naive.replace(microsecond=0, tzinfo=UTC)
    ),
)
@settings(max_examples=examples(400, 4000))
def test_next_runs_equal_apschedulers_in_utc(spec: dict[str, str], after: datetime) -> None:
    until = after + HORIZON
    theirs = CronTrigger(timezone=UTC, end_date=until, **spec)
    try:
        ours = trigger(**prefixed(spec))
    except ScheduleError:
        assert theirs.get_next_fire_time(None, after) is None
        return
    for _ in range(FIRES):
        expected = theirs.get_next_fire_time(None, after + SECOND)
        occurrence = ours.next(after)
        if expected is None:
            assert occurrence is None or occurrence.at > until
            return
        assert occurrence is not None
        assert occurrence.at == occurrence.slot == expected
        after = occurrence.at
