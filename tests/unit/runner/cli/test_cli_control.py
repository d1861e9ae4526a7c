# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events and runs, with a real runner and without one."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cli_command import Command, exec_job, timed_job

from coldchain.cli import control
from coldchain.paths import Paths
from coldchain.store import State, Store


def pending(command: Command) -> list[tuple[str, str]]:
    store = Store.open(Paths.under(command.home), create=False)
    return [(event.job_id, event.event) for event in store.pending_events()]


def test_without_a_runner_an_event_is_queued(command: Command) -> None:
    assert command("apply", "-", data=exec_job("x")) == 0
    answer = command.json("event", "x", "start")
    assert command.code == 0
    assert (answer["job_id"], answer["event"], answer["changed"]) == ("x", "start", True)
    assert answer["run"] is None
    assert answer["job"]["event"] == "start"
    assert pending(command) == [("x", "start")]
    # Asking twice is asking once.
    assert command.json("event", "x", "start")["changed"] is False
    assert pending(command) == [("x", "start")]


def test_without_a_runner_there_is_nothing_to_wait_for(command: Command) -> None:
    assert command("apply", "-", data=exec_job("x")) == 0
    for event in ("start", "stop", "abort", "remove"):
        error = command.error("event", "x", event, "--wait")
        assert error["code"] == 69
        assert "runner is not running" in error["message"]
        assert "coldchain serve" in error["hint"]
    assert pending(command) == []
    assert command("show", "x") == 0


@pytest.mark.parametrize("event", ["start", "stop", "abort", "remove"])
def test_an_event_for_an_unknown_job_is_refused(command: Command, event: str) -> None:
    assert command("apply", "-", data=exec_job("database")) == 0
    error = command.error("event", "databse", event)
    assert error["code"] == 65
    assert "did you mean database?" in error["hint"]


# status, event, whether it does anything
EFFECTS = [
    ("stop", "start", True),
    ("stop", "stop", False),
    ("stop", "abort", False),
    ("scheduled", "start", True),
    ("scheduled", "stop", True),
    ("running", "start", False),
    ("running", "stop", True),
    ("running", "abort", True),
]


@pytest.mark.parametrize(("status", "event", "changed"), EFFECTS)
def test_an_event_that_does_nothing_is_not_written(
    command: Command, status: str, event: str, changed: bool
) -> None:
    assert command("apply", "-", data=exec_job("x")) == 0
    store = Store.open(Paths.under(command.home), create=True)
    store.commit_states({"x": State(status=status)})
    before = command.files()
    assert command.json("event", "x", event)["changed"] is changed
    assert (command.files() != before) is changed


def test_remove_takes_the_job_out_of_the_declarations(command: Command) -> None:
    assert command("apply", "-", data=exec_job("x")) == 0
    answer = command.json("event", "x", "remove")
    assert (answer["changed"], answer["job"]) == (True, None)
    assert command.json("list")["jobs"] == []


def test_start_and_wait_brings_the_run(command: Command, runner: subprocess.Popen[str]) -> None:
    assert command("apply", "-", data=[exec_job("good"), exec_job("bad", "false")]) == 0
    answer = command.json("event", "good", "start", "--wait", "--timeout", "300")
    assert command.code == 0
    assert answer["run"]["result"] == "success"
    assert answer["job"]["last_run"]["run_id"] == answer["run"]["run_id"]
    first = answer["run"]["run_id"]
    again = command.json("event", "good", "start", "--wait", "--timeout", "300")
    assert again["run"]["run_id"] != first

    answer = command.json("event", "bad", "start", "--wait", "--timeout", "300")
    assert command.code == 1
    assert answer["run"]["result"] == "fail"
    assert answer["error"]["code"] == 1
    assert "exit code 1" in answer["error"]["message"]
    assert command("event", "bad", "start", "--wait", "--timeout", "300") == 1
    assert "coldchain log bad" in command.err


def test_stop_abort_and_remove_wait_for_the_run(
    command: Command, runner: subprocess.Popen[str]
) -> None:
    assert command("apply", "-", data=exec_job("long", "sleep", "600")) == 0
    assert command("event", "long", "start", "--wait", "--timeout", "1") == 75
    assert "coldchain explain long" in command.err
    assert command("event", "long", "stop", "--wait", "--timeout", "0") == 75
    answer = command.json("event", "long", "abort", "--wait", "--timeout", "300")
    assert command.code == 0
    assert answer["run"]["result"] == "aborted"
    assert answer["job"]["status"] == "stop"
    answer = command.json("event", "long", "remove", "--wait", "--timeout", "300")
    assert command.code == 0
    assert answer["job"] is None


def test_starting_a_job_with_a_later_slot_arms_it_without_a_run(
    command: Command, runner: subprocess.Popen[str]
) -> None:
    far = timed_job("far", schedule_date="2199-01-01", status="stop")
    far["job_schedule"]["schedule_date"] = "2198-01-01"
    assert command("apply", "-", data=far) == 0
    answer = command.json("event", "far", "start", "--wait", "--timeout", "300")
    assert command.code == 0
    assert answer["run"] is None
    assert answer["job"]["status"] == "scheduled"


def test_a_runner_that_dies_ends_the_wait(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("apply", "-", data=exec_job("x", "sleep", "600")) == 0
    process = command.process("serve", stderr=subprocess.PIPE)
    while not command.json("list")["runner_alive"]:
        assert process.poll() is None
    looks = []

    def kill_once(seconds: float) -> None:
        if not looks:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        looks.append(seconds)

    monkeypatch.setattr(control.time, "sleep", kill_once)
    monkeypatch.setattr(control, "ALIVE_EVERY", 0.0)
    error = command.error("event", "x", "start", "--wait", "--timeout", "300")
    assert error["code"] == 69
    assert "runner ended" in error["message"]


def test_run_shows_the_log_and_ends_as_the_job_does(command: Command) -> None:
    jobs = [exec_job("good", "echo", "hello"), exec_job("bad", "sh", "-c", "echo no; exit 3")]
    assert command("apply", "-", data=jobs) == 0
    assert command("run", "good") == 0
    assert "hello" in command.out
    assert "good: success after" in command.out
    answer = command.json("run", "bad")
    assert command.code == 1
    assert answer["run"]["result"] == "fail"
    assert answer["run"]["actions"][0]["exit_code"] == 3
    assert answer["error"]["code"] == 1
    assert command.json("history", "bad")["runs"] == [answer["run"]]


def test_run_takes_a_document_that_is_not_declared(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text(json.dumps(exec_job("loose", "echo", "hello")))
    answer = command.json("run", str(path))
    assert command.code == 0
    assert answer["run"]["result"] == "success"
    assert command("run", "-", data=exec_job("loose", "false")) == 1
    error = command.error("run", "-", data=exec_job("a b"))
    assert [each["path"] for each in error["errors"]] == ["$.job_id"]
    assert command.error("run", "-", data=[exec_job("a"), exec_job("b")])["code"] == 65


def test_run_of_nothing_names_what_is_near(command: Command) -> None:
    assert command("apply", "-", data=exec_job("database")) == 0
    error = command.error("run", "databse")
    assert error["code"] == 65
    assert "no file of that name" in error["message"]
    assert "did you mean database?" in error["hint"]


def test_run_is_done_by_the_runner_that_is_at_work(
    command: Command, runner: subprocess.Popen[str]
) -> None:
    jobs = [exec_job("good", "echo", "hello"), exec_job("bad", "false")]
    assert command("apply", "-", data=jobs) == 0
    assert command("run", "good") == 0
    assert "hello" in command.out
    answer = command.json("run", "bad")
    assert command.code == 1
    assert command.json("history", "bad")["runs"] == [answer["run"]]
    assert [job["status"] for job in command.json("list")["jobs"]] == ["stop", "stop"]


def test_a_second_runner_gives_way(command: Command, runner: subprocess.Popen[str]) -> None:
    assert command.error("serve")["code"] == 75


def test_who_asked_is_on_record(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    assert command("apply", "-", data=exec_job("x")) == 0
    assert command("event", "x", "start") == 0
    store = Store.open(Paths.under(command.home), create=False)
    assert [event.by for event in store.pending_events()] == ["alice"]


def simulated(command: Command, *words: str, data: Any) -> dict[str, Any]:
    return command.json("simulate", "-", *words, data=data)


def test_simulate_runs_nothing_and_writes_nothing(command: Command) -> None:
    jobs = [
        timed_job("hourly", schedule_interval="1 hours"),
        timed_job("daily", schedule_hour=2, schedule_minute=30, schedule_timezone="Europe/Berlin"),
    ]
    answer = simulated(command, "--days", "2", "--start", "2027-03-27T00:00:00Z", data=jobs)
    assert command.code == 0
    assert {job["job_id"]: job["runs"] for job in answer["jobs"]} == {"hourly": 47, "daily": 2}
    assert [change["zone"] for change in answer["clock_changes"]] == ["Europe/Berlin"]
    assert list(command.home.iterdir()) == []
    assert command("simulate", "-", "--days", "2", data=jobs) == 0
    assert "every slot gets its run in time" in command.out


def test_simulate_tells_troubles_by_its_exit_code(command: Command) -> None:
    jobs = [timed_job("often", schedule_interval="5 minutes")]
    answer = simulated(command, "--days", "1", "--duration", "7 minutes", data=jobs)
    assert command.code == 1
    assert answer["clean"] is False
    assert answer["overlaps"] > 0
    assert command("simulate", "-", "--days", "1", "--duration", "7 minutes", data=jobs) == 1
    assert "overlap: often on " in command.out


def test_simulate_takes_an_inventory_of_hosts(command: Command) -> None:
    jobs = [timed_job("j", schedule_hour=1) | {"client_id": name} for name in ("h1", "h2")]
    answer = simulated(command, "--days", "1", data=jobs)
    assert list(answer["hosts"]) == ["h1", "h2"]
    assert answer["fleet"]["runs"] == 2
    assert command.error("simulate", "-", "--days", "1", data=jobs[:1] * 2)["code"] == 65
    assert command.error("simulate", "-", "--days", "1", "--duration", "x", data=jobs)["code"] == 64
    error = command.error("simulate", "-", "--days", "1", data=[jobs[0], exec_job("a b")])
    assert [each["index"] for each in error["errors"]] == [1]
