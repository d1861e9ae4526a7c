# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a job counts as silent: it should have succeeded, and no run of it just goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.runner.heartbeat import UNNOTICED, Gap, Heartbeat
from coldchain.runner.outlook import Outlook
from coldchain.runner.protection import judge
from coldchain.runner.silence import LATEST, Silence, silence
from coldchain.store import JobRecord, State

NOW = 1_800_000_000.0
HOUR = 3600.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(Paths.under(tmp_path))._replace(timezone="UTC", client_id="h")


def run(ended: float, result: str = "success") -> dict[str, Any]:
    times = {"time_started": NOW - ended - 60, "time_ended": NOW - ended}
    return {"run_id": "r", "cause": "schedule", "result": result, "scheduled_for": "x", **times}


def look(
    settings: Settings,
    schedule: dict[str, Any],
    *runs: dict[str, Any],
    age: float = 100 * HOUR,
    document: dict[str, Any] | None = None,
    **state: Any,
) -> Silence:
    """At a job that was declared *age* seconds ago."""
    since = NOW - age
    fields = {"job_id": "j", "job_actions": [], "job_schedule": schedule, **(document or {})}
    record = JobRecord("j", fields, 1, since, since, since)
    last = runs[0] if runs else None
    known = State(
        created=since,
        revision=1,
        armed_anchor=since,
        checked_until=NOW,
        last_run=last,
        result=last["result"] if last else "",
        **state,
    )
    outlook = Outlook.of(record, known, settings, NOW)
    return silence(judge(record, outlook, list(runs), NOW), outlook, NOW)


DAILY = {"schedule_interval": "1 days"}
ONCE = {"schedule_date": "2027-01-14T00:00:00Z"}  # a day before NOW


def test_a_job_is_silent_when_its_last_success_is_too_old(settings: Settings) -> None:
    fresh = look(settings, DAILY, run(HOUR))
    assert not fresh.why and fresh.again <= NOW + LATEST
    old = look(settings, DAILY, run(25 * HOUR))
    assert "one within 1 d" in old.why
    short = {"expect_success_within": "2 hours"}
    assert look(settings, DAILY, run(3 * HOUR), document=short).why
    soon = look(settings, DAILY, run(1.5 * HOUR), document=short)
    assert not soon.why and soon.again == NOW + 0.5 * HOUR + 1


def test_a_job_that_never_ran_is_silent(settings: Settings) -> None:
    assert "never succeeded" in look(settings, ONCE).why
    assert "never succeeded" in look(settings, DAILY).why
    young = look(settings, DAILY, age=60.0)
    assert not young.why and young.again > NOW
    assert not look(settings, {"schedule_date": "2090-01-01T00:00:00Z"}).why
    assert not look(settings, ONCE, run(HOUR)).why
    assert not look(settings, ONCE, run(HOUR, "fail")).why  # that was told


def test_whoever_was_told_of_a_failure_is_told_of_a_silence_when_no_run_ends(
    settings: Settings,
) -> None:
    nightly = look(settings, DAILY, run(HOUR, "fail"), run(49 * HOUR))
    assert nightly.why and not nightly.news(NOW)
    dead = look(settings, DAILY, run(30 * HOUR, "fail"), run(49 * HOUR))
    assert dead.why and dead.news(NOW)


def test_the_end_of_a_run_that_goes_on_will_tell(settings: Settings) -> None:
    active = {"run_id": "r2", "scheduled_for": "y"}
    going = look(settings, DAILY, run(25 * HOUR), time_started=NOW - HOUR, **active)
    assert not going.why and going.again <= NOW + 60
    hangs = look(settings, DAILY, run(60 * HOUR), time_started=NOW - 50 * HOUR, **active)
    assert hangs.why
    queued = [{"slot": NOW - 30, "at": NOW - 30, "cause": "schedule"}]
    assert not look(settings, DAILY, run(25 * HOUR), queue=queued).why
    late = [{"slot": NOW - HOUR, "at": NOW - HOUR, "cause": "schedule"}]
    assert look(settings, DAILY, run(25 * HOUR), queue=late).why


def test_a_job_that_its_document_stops_is_not_missed_and_one_that_somebody_stopped_is(
    settings: Settings,
) -> None:
    assert not look(settings, {**DAILY, "status": "stop"}, run(100 * HOUR)).why
    stop = {"event": "stop", "who": "bob", "when": NOW - 50 * HOUR, "revision": 1}
    assert look(settings, DAILY, run(60 * HOUR), newest_event=stop).why
    assert not look(settings, DAILY, newest_event=stop).why


def test_a_schedule_that_cannot_be_used_is_told(settings: Settings) -> None:
    zone = {**DAILY, "schedule_timezone": "Mars/Olympus"}
    assert "cannot be used" in look(settings, zone).why


def test_a_runner_that_was_dead_is_told_from_one_that_was_stopped(tmp_path: Path) -> None:
    path = tmp_path / "notify" / "alive"
    path.parent.mkdir()
    assert Heartbeat(path).gap(NOW) is None  # the first one
    first = Heartbeat(path)
    first.beat(NOW)
    assert Heartbeat(path).gap(NOW + 5) == Gap(NOW, stopped=False)
    assert Heartbeat(path).gap(NOW - 5) is None  # somebody set the clock back
    first.step(NOW + 10)
    assert path.stat().st_mtime == NOW
    first.step(NOW + 31)
    assert path.stat().st_mtime == NOW + 31
    first.stop()
    stopped = path.stat().st_mtime
    assert Heartbeat(path).gap(stopped + UNNOTICED) is None
    assert Heartbeat(path).gap(stopped + UNNOTICED + 1) == Gap(stopped, stopped=True)
    Heartbeat(path).beat(stopped + 700)
    assert Heartbeat(path).gap(stopped + 701) == Gap(stopped + 700, stopped=False)
