# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The oracle of the selftest sees what a crash must not do, and takes nothing else for that."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from virtual_host import VirtualHost, virtual_host

from coldchain.core.instants import from_epoch
from coldchain.selftest import oracle
from coldchain.selftest.worker import document
from coldchain.store import Change


@pytest.fixture
def host(tmp_path: Path) -> Iterator[VirtualHost]:
    with virtual_host(tmp_path) as made:
        yield made


@pytest.fixture
def ticking(host: VirtualHost) -> list[dict[str, Any]]:
    """The history of a job "tick" that has run each second: what is changed there has happened."""
    host.start()
    host.declare("tick", schedule_interval="1 seconds")
    for _second in range(8):
        host.pass_time(1)
    runs = host.records[host.paths.history("tick")]
    assert len(runs) >= 7 and of_history(host) == []
    return runs


def of_history(host: VirtualHost) -> list[str]:
    return [
        fault
        for look in (oracle.one_result, oracle.records_readable, oracle.slots)
        for fault in look(host.store, ["tick", "unknown"])
    ]


def faults(host: VirtualHost) -> list[str]:
    return oracle.armed(host.store, host.settings(), host.now)


def test_a_declaration_that_is_lost_is_found(host: VirtualHost) -> None:
    host.store.apply([Change(job_id, document(job_id, 3)) for job_id in ("one", "two")])
    assert oracle.declarations(host.store, {"one": {3}, "two": {2, 3}}) == []
    assert oracle.declarations(host.store, {"one": {4}, "two": {3}, "gone": {0}}) == [
        "job one: serial 3, acknowledged was one of [4]",
        "job gone: is gone, acknowledged was one of [0]",
    ]


def test_an_event_that_is_lost_is_found(
    host: VirtualHost, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The store forgets what was acted on, so it cannot tell that from what was lost."""
    caplog.set_level("INFO")
    host.start()
    host.declare("one")
    for number in (1, 11):
        host.store.add_event("one", "stop", f"selftest-{number}")
        host.tick()
    host.store.add_event("one", "start", "selftest-12")
    log = tmp_path / "runner.log"
    log.write_text("".join(f"2027-01-18 INFO {line}\n" for line in caplog.messages))
    promised = [f"selftest-{number}" for number in (1, 11, 12)]
    assert oracle.events(host.store, promised, log) == [], "two were acted on, the third waits"
    host.disk.pop(host.paths.events)
    assert oracle.events(host.store, promised, log) == [
        "event by selftest-12: neither pending nor acted on"
    ]


def test_two_results_of_one_run_are_found(host: VirtualHost, ticking: list[Any]) -> None:
    twice = ticking[3]
    ticking.append(twice)
    assert of_history(host) == [
        f"job tick: run {twice['run_id']} has two results",
        f"job tick: slot {twice['scheduled_for']} ran twice",
    ]


def test_two_runs_of_one_slot_are_found(host: VirtualHost, ticking: list[Any]) -> None:
    ticking.append({**ticking[3], "run_id": "another"})
    assert of_history(host) == [f"job tick: slot {ticking[3]['scheduled_for']} ran twice"]
    ticking[-1]["cause"] = "event"
    assert of_history(host) == [], "whoever asks for a run asks for no slot"


def test_a_slot_without_a_record_is_found(host: VirtualHost, ticking: list[Any]) -> None:
    lost = ticking.pop(3)
    (fault,) = of_history(host)
    moment = datetime.fromisoformat(lost["scheduled_for"]).timestamp()
    assert fault == f"job tick: the slot at {moment:.0f} has no record"
    skipped = {"kind": "skipped", "scheduled_for": lost["scheduled_for"]}
    ticking.append({**skipped, "last": lost["scheduled_for"], "count": 1, "reason": "missed"})
    assert of_history(host) == [], "a skip on record is a record"


def test_slots_that_wait_or_are_about_to_be_skipped_are_no_fault(
    host: VirtualHost, ticking: list[Any]
) -> None:
    ends = [datetime.fromisoformat(run["scheduled_for"]).timestamp() for run in ticking[-3:]]
    del ticking[-3:]
    assert len(of_history(host)) == 1
    state = host.state("tick")
    group = {
        "scheduled_for": from_epoch(ends[0]).isoformat(),
        "last": from_epoch(ends[2]).isoformat(),
    }
    for told in ({"skipped": group}, {"queue": [{"slot": end} for end in ends]}):
        host.store.commit_states({"tick": state._replace(**told)})
        assert of_history(host) == []
    host.store.commit_states({"tick": state._replace(queue=[{"slot": ends[1]}])})
    assert len(of_history(host)) == 1, "the one before it has no record"


@pytest.mark.parametrize("name", ["job_id", "time_started", "time_ended", "actions"])
def test_a_record_that_lacks_something_is_found(
    host: VirtualHost, ticking: list[Any], name: str
) -> None:
    del ticking[2][name]
    (fault,) = oracle.records_readable(host.store, ["tick"])
    assert fault.endswith(f"lacks ['{name}']")


def test_a_result_that_is_none_is_found(host: VirtualHost, ticking: list[Any]) -> None:
    ticking[2]["result"] = "running"
    assert len(oracle.records_readable(host.store, ["tick"])) == 1


def test_a_job_that_nobody_armed_is_found(host: VirtualHost) -> None:
    host.declare("never-seen", schedule_hour="3")
    assert ["never-seen" in fault for fault in faults(host)] == [True]
    host.start()
    host.declare("stopped", schedule_hour="3", status="stop")
    host.declare("over", schedule_date="2020-01-01T00:00:00")
    host.declare("by-event", schedule_hour="3")
    host.event("by-event", "stop")
    host.tick()
    assert faults(host) == []
    host.stop()
    state = host.state("never-seen")
    host.store.commit_states({"never-seen": state._replace(next_run=None, status="stop")})
    assert len(faults(host)) == 1
    by_event = host.state("by-event")
    host.store.commit_states({"by-event": by_event._replace(stopped_by=None)})
    assert len(faults(host)) == 2, "a stop that nobody is named for is none"
