# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A trigger that was put away and built again is the one that it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from coldchain.core.host_zone import host_zone
from coldchain.core.instants import from_epoch
from coldchain.core.settings import Settings
from coldchain.runner import trigger_cache
from coldchain.runner.outlook import build
from coldchain.runner.trigger_cache import Triggers
from coldchain.schedule import ScheduleError
from coldchain.store import JobRecord

NOW = 1_795_000_000.75
SCHEDULES = [
    {"schedule_hour": "3", "schedule_splay": "2 hours", "schedule_timezone": "Europe/Berlin"},
    {"schedule_interval": "7 minutes"},
    {"schedule_interval": "continuous"},
    {"schedule_date": "2026-12-24T18:00:00"},
    {"schedule_minute": "*/5", "blackout": [{"start": "08:00", "end": "18:00"}]},
    {},
]


SETTINGS = Settings("host", "America/New_York", Path("/backups"), Path("/spool"), host_zone({}))


def record(number: int) -> JobRecord:
    schedule = SCHEDULES[number % len(SCHEDULES)]
    document = {"job_id": f"j{number}", "job_actions": [], "job_schedule": schedule}
    return JobRecord(f"j{number}", document, 1, NOW, NOW, NOW - 86400 * number)


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> Triggers:
    monkeypatch.setattr(trigger_cache, "KEPT", 3)
    found = Triggers(SETTINGS)
    for number in range(20):
        found.add(record(number), record(number).anchor)
    return found


def test_all_are_there_and_few_are_kept(several: Triggers) -> None:
    assert list(several) == [f"j{number}" for number in range(20)]
    for number in (0, 7, 19, 0):
        trigger = several.get(f"j{number}")
        same = build(record(number), SETTINGS, record(number).anchor)
        assert trigger is not None
        assert trigger is several.get(f"j{number}")  # used last, so it is kept
        assert (trigger.kind, trigger.missed) == (same.kind, same.missed)
        assert trigger.describe() == same.describe()
        for after in (0.0, NOW, NOW + 86400 * 200):
            assert trigger.next(from_epoch(after)) == same.next(from_epoch(after))
    assert len(several._built) == 3


def kind_of(several: Triggers) -> str:
    trigger = several.get("j1")
    return "" if trigger is None else trigger.kind


def test_what_is_declared_since_does_not_count_until_it_is_added(several: Triggers) -> None:
    changed = JobRecord("j1", {"job_schedule": {"schedule_hour": "4"}}, 2, NOW, NOW, NOW)
    assert kind_of(several) == "interval"
    several.add(changed, NOW)
    assert kind_of(several) == "cron"
    unusable = JobRecord("j1", {"job_schedule": {"schedule_hour": "25"}}, 3, NOW, NOW, NOW)
    with pytest.raises(ScheduleError):
        several.add(unusable, NOW)
    assert "j1" in several and several.get("j1") is None
    several.discard("j1")
    assert "j1" not in several
    assert several.get("j1") is None
