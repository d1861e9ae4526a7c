# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cause of a run and the reasons of skipped slots, as the history tells them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from coldchain.runner.states import States


def declared_earlier(host: Any, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """What is declared now was declared so long ago, and no runner has been there since."""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - seconds)


@pytest.mark.parametrize(
    ("schedule", "cause"),
    [
        ({}, "schedule"),  # a run without a schedule has no slot that it could be late for
        ({"schedule_interval": "20 minutes"}, "catch-up"),
    ],
)
def test_after_a_time_without_a_runner(
    host: Any, monkeypatch: pytest.MonkeyPatch, schedule: dict[str, str], cause: str
) -> None:
    with monkeypatch.context() as patch:
        declared_earlier(host, patch, 3000)
        host.declare("j", "true", schedule=schedule)
    host.start()
    (run,) = host.runs("j")
    assert (run["cause"], run["result"]) == (cause, "success")


def test_a_slot_that_is_on_time_is_no_catch_up(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        declared_earlier(host, patch, 1199)
        host.declare("j", "true", schedule={"schedule_interval": "20 minutes"})
    host.start()
    (run,) = host.runs("j")
    assert run["cause"] == "schedule"


def test_slots_skipped_for_different_reasons_are_told_apart(host: Any) -> None:
    host.declare("j", "true", schedule={"schedule_interval": "1 days"})
    host.start()
    host.until(lambda: host.state("j").next_run)
    host.stop()
    states = States(host.store)
    slots = [1_800_000_000.0 + 60 * number for number in range(7)]
    states.skip("j", slots[:2], "first")
    states.skip("j", slots[2:3], "first")
    states.skip("j", slots[3:4], "second")
    states.skip("j", slots[4:7], "third")
    states.flush_skipped("j")
    groups = host.store.skipped("j", 9)[::-1]
    assert [(group["reason"], group["skipped"]) for group in groups] == [
        ("first", 3),
        ("second", 1),
        ("third", 3),
    ]
    assert [group["scheduled_for"][11:16] for group in groups] == ["08:00", "08:03", "08:04"]
    assert [group["last"][11:16] for group in groups] == ["08:02", "08:03", "08:06"]


def reasons(host: Any, job_id: str) -> list[str]:
    groups = [*host.store.skipped(job_id, 9), host.state(job_id).skipped or {}]
    return [group.get("reason", "") for group in groups]


def test_a_run_that_waits_when_its_job_is_stopped_is_on_record_as_skipped(host: Any) -> None:
    gate = host.gate()
    host.declare("busy", gate.line)
    host.declare("j", "true", schedule={"schedule_interval": "1 seconds"})
    host.declare("once", "true")
    host.start(concurrent_jobs=1)
    host.until(lambda: host.state("j").queue and host.state("once").queue)
    host.event("j", "stop")
    host.event("once", "stop")
    for job_id in ("j", "once"):
        host.settled(job_id)
        assert host.state(job_id).queue == []
    assert any("before it began" in reason for reason in reasons(host, "j"))
    assert not any("before it began" in reason for reason in reasons(host, "once")), (
        "it has no slot"
    )
    host.event("once", "start")
    gate.open()
    (run,) = host.runs("once")
    assert run["result"] == "success"
    assert host.store.history("j", 9) == []
