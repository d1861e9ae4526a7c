# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stops a job, and that it ends with its cause: through the command, beside a real runner."""

from __future__ import annotations

import signal
import sys
from typing import Any

import pytest
from cli_command import Command

from coldchain.core.instants import UTC, UnknownZone
from coldchain.store import State

DAILY = {"schedule_interval": "1 days"}


@pytest.fixture
def command(
    host: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    return Command(host.paths.home, capsys, monkeypatch)


def job(line: str = "true", **schedule: Any) -> dict[str, Any]:
    action = {"action": "exec", "command": ["sh", "-c", line]}
    return {
        "job_id": "j",
        "job_actions": [{"freezer_action": action}],
        "job_schedule": schedule,
    }


def apply(command: Command, document: dict[str, Any], *words: str) -> dict[str, Any]:
    answer = command.json("apply", "-", *words, data=document)
    assert command.code == 0, answer
    (entry,) = answer["jobs"]
    assert isinstance(entry, dict)
    return entry


def listed(command: Command) -> dict[str, Any]:
    (entry,) = command.json("list", "j")["jobs"]
    assert isinstance(entry, dict)
    return entry


def test_born_stopped_and_enabled_later_it_is_armed(host: Any, command: Command) -> None:
    host.start()
    apply(command, job(status="stop", schedule_hour=3))
    assert listed(command)["stopped_by"]["what"] == "declaration"
    host.until(lambda: host.state("j").status == "stop")
    foreseen = apply(command, job(schedule_hour=3))["next_runs"]
    host.until(lambda: host.state("j").status == "scheduled")
    assert foreseen[0] == host.state("j").next_run == listed(command)["next_run"]
    assert listed(command)["stopped_by"] is None
    assert command("explain", "j") == 0
    assert "stop" not in command.out.partition("status")[2].splitlines()[0]


def running(host: Any, command: Command) -> Any:
    """Begin a run of the daily job j, which goes on until the gate that is returned opens."""
    gate = host.gate()
    apply(command, job(gate.line, **DAILY))
    host.start()
    host.until(lambda: host.state("j").next_run)
    host.event("j", "start")
    host.until(lambda: host.state("j").status == "running")
    return gate


def test_a_stop_by_declaration_ends_with_it_also_in_the_middle_of_a_run(
    host: Any, command: Command
) -> None:
    gate = running(host, command)
    apply(command, job(gate.line, status="stop", **DAILY))
    host.until(lambda: host.state("j").stopped_by)
    assert listed(command)["stopped_by"]["what"] == "declaration"
    apply(command, job(gate.line, **DAILY))
    host.until(lambda: host.state("j").stopped_by is None)
    gate.open()
    host.runs("j")
    assert host.settled("j", "scheduled").next_run


def test_what_an_event_stopped_stays_stopped_and_everybody_says_so(
    host: Any, command: Command
) -> None:
    apply(command, job(**DAILY))
    host.start()
    host.until(lambda: host.state("j").next_run)
    assert command("event", "j", "stop") == 0
    host.until(lambda: host.state("j").status == "stop")
    for check in (["--check"], []):
        entry = apply(command, job(schedule_interval="2 days"), *check)
        assert entry["next_runs"] == [] and entry["stopped_by"]["what"] == "event"
        assert "declared, but stopped by" in entry["diff"]["after"]
    host.until(lambda: host.state("j").revision == 2)
    stopped_by = listed(command)["stopped_by"]
    assert stopped_by["what"] == "event" and stopped_by["who"] and stopped_by["when"]
    assert listed(command)["next_run"] is None
    assert command.json("show", "j")["stopped_by"] == stopped_by
    assert command.json("explain", "j")["stopped_by"] == stopped_by
    assert command.json("next", "j")["next_runs"] == []
    assert command("apply", "-", data=job(schedule_interval="2 days")) == 0
    assert "declared, but stopped by" in command.err + command.out
    assert "lies in the past" not in command.err
    assert command("event", "j", "start") == 0
    host.until(lambda: host.state("j").next_run)
    assert listed(command)["stopped_by"] is None


def test_a_skipped_slot_does_not_hide_who_stopped_the_job(host: Any, command: Command) -> None:
    gate = host.gate()
    apply(command, job(gate.line, schedule_interval="1 seconds"))
    host.start()
    host.until(lambda: host.state("j").skipped)
    assert command("event", "j", "stop") == 0
    gate.open()
    host.settled("j")
    assert host.state("j").reason.startswith("stopped by ")
    assert listed(command)["reason"].startswith("stopped by ")


def test_a_removed_job_stays_addressable_until_its_run_is_over(host: Any, command: Command) -> None:
    apply(command, job(f"echo at work; {host.gate().line}", **DAILY))
    host.start()
    host.until(lambda: host.state("j").next_run)
    host.event("j", "start")
    host.until(lambda: host.state("j").status == "running")
    command.json("apply", "-", "--purge", "--allow-empty", data=[])
    host.until(lambda: host.state("j").status == "removing")
    assert listed(command)["status"] == "removing"
    assert command.json("list")["jobs"][0]["job_id"] == "j"
    assert command.json("show", "j")["job"]["job_actions"]
    assert command("explain", "j") == 0
    host.until(lambda: "at work" in command.json("log", "j")["text"])
    assert command.error("event", "j", "start")["code"] == 65
    assert command("event", "j", "abort", "--wait") == 0
    (run,) = host.runs("j")
    assert run["result"] == "aborted"
    host.until(lambda: host.store.state("j") is None)
    assert command.json("list")["jobs"] == []


def test_a_job_that_is_declared_again_during_its_last_run_has_one_next_run(
    host: Any, command: Command
) -> None:
    gate = running(host, command)
    command.json("apply", "-", "--purge", "--allow-empty", data=[])
    host.until(lambda: host.state("j").status == "removing")
    facts = {fact["about"]: fact["text"] for fact in command.json("explain", "j")["facts"]}
    assert facts["next run"] == "none: the job is not declared"
    assert command.json("next", "j")["next_runs"] == []
    apply(command, job(**DAILY))
    (upcoming,) = command.json("next", "j", "-n", "1")["next_runs"]
    assert listed(command)["status"] == "running" and listed(command)["next_run"] == upcoming
    assert command("explain", "j") == 0 and "none is planned" not in command.out
    gate.open()
    host.settled("j", "scheduled")
    assert listed(command)["status"] == "scheduled" and listed(command)["next_run"] == upcoming


@pytest.mark.parametrize("taken_in", [True, False])
@pytest.mark.parametrize(
    ("event", "changed", "then", "result"),
    [
        ("start", False, "scheduled", "success"),
        ("stop", True, "stop", "success"),
        ("abort", True, "stop", "aborted"),
        ("remove", True, "removed", "success"),
    ],
)
def test_a_job_that_is_declared_again_during_its_last_run_takes_every_event(
    host: Any,
    command: Command,
    taken_in: bool,
    event: str,
    changed: bool,
    then: str,
    result: str,
) -> None:
    gate = running(host, command)
    assert command("event", "j", "remove") == 0
    host.until(lambda: host.state("j").status == "removing")
    if not taken_in:
        host.stop(signal.SIGUSR2)  # beside the run, which goes on
    apply(command, job(gate.line, **DAILY))
    if taken_in:
        host.until(lambda: host.state("j").status == "running")
    foreseen = command.json("event", "j", event, "--check")
    answer = command.json("event", "j", event)
    assert command.code == 0
    assert (answer["changed"], answer["after"]) == (foreseen["changed"], foreseen["after"])
    assert answer["changed"] is changed, "the new declaration is what is asked for"
    if not taken_in:
        host.start()
    gate.open()
    host.until(lambda: host.runs("j"))
    assert [run["result"] for run in host.runs("j")] == [result], "and the run is its first"
    host.until(lambda: (host.store.state("j") or State(status="removed")).status == then)
    assert [entry["status"] for entry in command.json("list")["jobs"]] == (
        [] if then == "removed" else [then]
    )


def test_what_could_not_be_used_is_looked_at_again_at_every_reload(
    host: Any, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[str] = []

    def zone(name: str) -> Any:
        if name not in known:
            raise UnknownZone(name)
        return UTC

    apply(command, job(schedule_hour=3, schedule_timezone="Europe/Berlin"))
    monkeypatch.setattr(sys.modules["coldchain.schedule.values"], "zone_of", zone)
    host.start()
    host.until(lambda: host.state("j").status == "stop")
    told = listed(command)
    assert told["stopped_by"]["what"] == "unusable" and "Europe/Berlin" in told["reason"]
    known.append("Europe/Berlin")
    host.declare("another", "true")
    host.until(lambda: host.state("j").status == "scheduled")
    assert listed(command)["stopped_by"] is None and listed(command)["next_run"]
