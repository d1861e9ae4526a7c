# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What crontab can say fires as cronsim says, which follows Debian's cron, clock changes too."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError
from examples import examples
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from schedule_oracles import RANGES, UTC, prefixed, trigger

from coldchain.schedule import ScheduleError

ORDER = ("minute", "hour", "day", "month", "day_of_week")
# Zones whose changes are of whole hours and away from midnight, as cron(8) assumes.
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Sydney")


@st.composite
def crontab(draw: st.DrawFn, name: str) -> str:
    low, high = RANGES[name]
    parts, values = [], set()
    for _ in range(draw(st.integers(1, 3))):
        first = draw(st.integers(low, high))
        last = first if draw(st.booleans()) else draw(st.integers(first, high))
        parts.append(f"{first}-{last}" if first < last else str(first))
        values |= set(range(first, last + 1))
    # For us the whole range is "*", which makes a difference when the clock changes.
    assume(len(values) <= high - low)
    return ",".join(parts)


@st.composite
def crontabs(draw: st.DrawFn) -> dict[str, str]:
    """Five fields.  Crontab takes day OR weekday, so that only one of them is restricted."""
    free = draw(st.sampled_from(("day", "day_of_week")))
    spec = {}
    for name in ORDER:
        low, high = RANGES[name]
        if name == free:
            spec[name] = "*"
        else:
            step = draw(st.integers(1, (high - low) // 2))
            spec[name] = draw(
                st.one_of(crontab(name), st.just("*"), st.just("*" if step == 1 else f"*/{step}"))
            )
    return spec


def in_cron(name: str, text: str) -> str:
    """The field for crontab, where 0 is Sunday."""
    if name != "day_of_week" or text == "*":
        return text
    if text.startswith("*/"):
        return ",".join(str((day + 1) % 7) for day in range(0, 7, int(text[2:])))
    days = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        days |= set(range(int(first), int(last or first) + 1))
    return ",".join(str((day + 1) % 7) for day in sorted(days))


@pytest.mark.long
@given(
    spec=crontabs(),
    zone=st.sampled_from(ZONES),
    after=st.one_of(
        st.datetimes(datetime(2020, 1, 1), datetime(2037, 12, 31)),
        st.builds(
            lambda year, month, day: datetime(year, month, day),
            st.integers(2020, 2037),
            st.sampled_from((3, 4, 10, 11)),
            st.integers(1, 30),
        ),
    ).map(lambda naive: naive.replace(microsecond=0, second=0, tzinfo=UTC)),
)
@settings(max_examples=examples(400, 4000), suppress_health_check=list(HealthCheck))
def test_next_runs_equal_cronsims(spec: dict[str, str], zone: str, after: datetime) -> None:
    local = after.astimezone(ZoneInfo(zone))
    expression = " ".join(in_cron(name, spec[name]) for name in ORDER)
    try:
        theirs = list(islice(CronSim(expression, local), 6))
        ours = trigger(ZoneInfo(zone), **prefixed(spec))
    except (CronSimError, StopIteration):
        assume(False)
        return
    except ScheduleError:
        assert not list(islice(CronSim(expression, local), 1))
        return
    found = []
    while len(found) < len(theirs):
        occurrence = ours.next(after)
        assert occurrence is not None
        after = occurrence.at
        found.append(after)
    assert found == [instant.astimezone(UTC) for instant in theirs]
