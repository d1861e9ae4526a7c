# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `coldchain status` makes of a job; times are POSIX seconds from NOON on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coldchain.core.host_zone import host_zone
from coldchain.core.instants import from_epoch, iso
from coldchain.core.settings import Settings
from coldchain.runner.outlook import Outlook, taken_in
from coldchain.runner.protection import DELAY, JobStatus, judge
from coldchain.store import Change, JobRecord, Run

NOON = 1_700_049_600.0
"""2023-11-15 12:00 UTC."""
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
SETTINGS = Settings("host", "UTC", Path("/c"), Path("/s"), host_zone({}))
HOURLY = {"schedule_minute": "0"}


def finished(ended: float, result: str = "success", took: float = MINUTE) -> Run:
    at = {"time_started": ended - took, "time_ended": ended}
    slot = iso(from_epoch(ended - took))
    return {"run_id": "r", "cause": "schedule", "scheduled_for": slot, "result": result, **at}


def status(
    schedule: dict[str, Any],
    now: float,
    *runs: Run,
    within: str | None = None,
    unseen: float = 0.0,
    **facts: Any,
) -> JobStatus:
    """That of a job declared at NOON, whose slots are accounted for but in the last *unseen*
    seconds; runs: oldest first."""
    document: dict[str, Any] = {"job_id": "j", "job_actions": [], "job_schedule": schedule}
    if within is not None:
        document["expect_success_within"] = within
    declared = JobRecord.new(Change("j", document), NOON)
    if runs:
        last = runs[-1]
        facts = {"last_run": last, "result": last["result"], **facts}
    facts.setdefault("checked_until", now - unseen if now > NOON + unseen else None)
    state = taken_in(None, declared)._replace(**facts)
    outlook = Outlook.of(declared, state, SETTINGS, now)
    return judge(declared, outlook, runs[::-1], now)


GOOD = finished(NOON + HOUR)
BAD = finished(NOON + 2 * HOUR, "fail")
WAITING = {"slot": NOON, "at": NOON, "cause": "schedule"}
STOPPING = {"event": "stop", "who": "root", "when": NOON, "revision": 1}
ACTIVE = {"run_id": "x", "time_started": NOON + HOUR, "scheduled_for": iso(from_epoch(NOON + HOUR))}


@pytest.mark.parametrize(
    ("expected", "judged"),
    [
        # The first slot is still to come; it is past; its run goes on; it was good.
        ("ok", status(HOURLY, NOON + MINUTE)),
        ("never", status(HOURLY, NOON + HOUR + MINUTE)),
        ("never", status(HOURLY, NOON + HOUR + MINUTE, **ACTIVE)),
        ("ok", status(HOURLY, NOON + HOUR + MINUTE, GOOD)),
        ("running", status(HOURLY, NOON + HOUR + MINUTE, GOOD, **ACTIVE)),
        # A bad run counts until the next one has ended, whatever goes on.
        ("failed", status(HOURLY, NOON + 2 * HOUR, GOOD, BAD)),
        ("failed", status(HOURLY, NOON + 2 * HOUR, GOOD, finished(NOON, "aborted"), **ACTIVE)),
        ("failed", status(HOURLY, NOON + 9 * HOUR, GOOD, BAD)),
        # Silence: an hour, the longest run, ten minutes.
        ("ok", status(HOURLY, NOON + 2 * HOUR + MINUTE + DELAY, GOOD)),
        ("stale", status(HOURLY, NOON + 2 * HOUR + MINUTE + DELAY + 1, GOOD)),
        ("stale", status(HOURLY, NOON + HOUR + 31, GOOD, within="30 seconds")),
        ("ok", status(HOURLY, NOON + 20 * HOUR, GOOD, within="1 days")),
        # A slot that nobody has begun.
        ("ok", status(HOURLY, NOON + 2 * HOUR + DELAY, GOOD, unseen=HOUR)),
        ("late", status(HOURLY, NOON + 2 * HOUR + DELAY + 1, GOOD, unseen=HOUR)),
        (
            "late",
            status(HOURLY, NOON + HOUR + 2 * DELAY, GOOD, queue=[WAITING]),
        ),
        # Nothing is due of what follows its own end.
        (
            "running",
            status({"schedule_interval": "continuous"}, NOON + HOUR + DELAY, GOOD, **ACTIVE),
        ),
        # Jobs that run once expect nothing but that one success.
        ("never", status({}, NOON + 1)),
        ("late", status({}, NOON + DELAY + 1, checked_until=None)),
        ("ok", status({}, NOON + 90 * DAY, GOOD, checked_until=NOON + HOUR)),
        ("stale", status({}, NOON + 90 * DAY, GOOD, checked_until=NOON, within="60 days")),
        ("ok", status({"schedule_boot": True}, NOON + 90 * DAY)),
        # Whoever stops a job silences the rest.
        ("stopped", status({**HOURLY, "status": "stop"}, NOON + 9 * HOUR, BAD)),
        ("stopped", status(HOURLY, NOON + 9 * HOUR, BAD, newest_event=STOPPING, unseen=HOUR)),
        ("unusable", status({**HOURLY, "schedule_timezone": "Mars/Base"}, NOON, BAD)),
    ],
)
def test_the_first_state_that_holds(expected: str, judged: JobStatus) -> None:
    assert judged.state == expected, judged.reasons


def test_only_a_declared_stop_needs_nobody() -> None:
    declared = status({**HOURLY, "status": "stop"}, NOON + 9 * HOUR)
    assert (declared.needs_somebody, declared.finding()) == (False, None)
    sent = status(HOURLY, NOON + 9 * HOUR, newest_event=STOPPING)
    assert sent.needs_somebody and sent.finding() is not None
    assert "event j start" in sent.remedy and "stopped by root" in sent.reasons[0]


def test_every_reason_is_told_and_the_decisive_one_first() -> None:
    judged = status(HOURLY, NOON + 9 * HOUR, GOOD, BAD, unseen=2 * HOUR)
    words = ["failed", "old, one within", "due for"]
    assert [word in reason for word, reason in zip(words, judged.reasons)] == [True] * 3


@pytest.mark.parametrize(("ago", "words"), [(0.0, "0.0 s"), (-HOUR, "0.0 s"), (90.0, "1 min 30 s")])
def test_a_failure_tells_when_that_was_and_of_a_clock_that_was_set_back_nothing(
    ago: float, words: str
) -> None:
    judged = status(HOURLY, NOON + 2 * HOUR + ago, GOOD, BAD)
    assert judged.reasons[0] == f"its last run failed {words} ago"


@pytest.mark.parametrize(
    ("since", "words"), [(NOON + HOUR, "1 min"), (NOON + 2 * HOUR, "0.0 s"), (None, "0.0 s")]
)
def test_a_run_that_goes_on_tells_since_when(since: float | None, words: str) -> None:
    judged = status(HOURLY, NOON + HOUR + MINUTE, GOOD, **{**ACTIVE, "time_started": since})
    assert judged.reasons == (f"a run is going on for {words}",)


def test_what_is_told_in_json() -> None:
    now = NOON + 3 * HOUR
    told = status(HOURLY, now, finished(NOON + HOUR, took=5 * MINUTE), GOOD).as_dict(now)
    assert told["last_success"] == iso(from_epoch(NOON + HOUR))
    assert told["age_seconds"] == 2 * HOUR
    assert told["expect_success_within"] == HOUR + 5 * MINUTE + 10 * MINUTE
    assert told["next_run"] == iso(from_epoch(NOON + 4 * HOUR))
    assert status({}, now, GOOD).as_dict(now)["expect_success_within"] is None


def test_what_was_imported_counts_until_the_first_run() -> None:
    imported = {"result": "success", "time_ended": NOON + HOUR, "time_started": NOON}
    assert status(HOURLY, NOON + HOUR + MINUTE, **imported).state == "ok"
    assert status(HOURLY, NOON + 9 * HOUR, **imported).state == "stale"
