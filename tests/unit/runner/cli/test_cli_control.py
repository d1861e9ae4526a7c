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
from waiting import at_most, output, until

from coldchain.cli import waiting
from coldchain.core.paths import Paths
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


def waited(command: Command, *words: str) -> dict[str, Any]:
    """The answer of an event that is waited for; it has to come soon."""
    with at_most():
        return command.json("event", *words, "--wait", "--timeout", "300")


def test_start_and_wait_brings_the_run(command: Command, runner: subprocess.Popen[str]) -> None:
    assert command("apply", "-", data=[exec_job("good"), exec_job("bad", "false")]) == 0
    answer = waited(command, "good", "start")
    assert command.code == 0
    assert answer["run"]["result"] == "success"
    assert answer["job"]["last_run"]["run_id"] == answer["run"]["run_id"]
    first = answer["run"]["run_id"]
    again = waited(command, "good", "start")
    assert again["run"]["run_id"] != first

    answer = waited(command, "bad", "start")
    assert command.code == 1
    assert answer["run"]["result"] == "fail"
    assert answer["error"]["code"] == 1
    assert "exit code 1" in answer["error"]["message"]
    with at_most():
        assert command("event", "bad", "start", "--wait", "--timeout", "300") == 1
    assert "coldchain log bad" in command.err


def test_a_start_beside_a_damaged_state_runs_and_is_waited_for(
    command: Command, runner: subprocess.Popen[str]
) -> None:
    """By the generation before, the job still ran: a start of it did nothing, and whoever waited
    did so until the runner had another reason to write."""
    assert command("apply", "-", data=timed_job("x", schedule_interval="1 days")) == 0
    first = waited(command, "x", "start")["run"]["run_id"]
    Paths.under(command.home).state.write_bytes(b"garbage")
    again = waited(command, "x", "start")
    assert command.code == 0 and again["changed"]
    assert again["run"]["run_id"] != first and again["run"]["result"] == "success"


@pytest.mark.parametrize("both", [False, True], ids=["one generation", "both generations"])
def test_whoever_reads_a_damaged_state_lets_the_runner_write_it_again(
    command: Command, runner: subprocess.Popen[str], both: bool
) -> None:
    """They ended with 65, or told of the generation before, by which the job still ran."""
    state = Paths.under(command.home).state
    changed = timed_job("x", schedule_interval="2 days")
    assert command("apply", "-", data=timed_job("x", schedule_interval="1 days")) == 0
    run = waited(command, "x", "start")["run"]["run_id"]
    for words in (("list",), ("history", "x"), ("explain", "x"), ("status",), ("apply", "-")):
        for path in (state, state.with_name("state.json.previous"))[: 1 + both]:
            path.write_bytes(b"garbage")
        with at_most():
            answer = command.json(*words, **({"data": changed} if words[0] == "apply" else {}))
        assert command.code == 0, (words, answer)
        if words[0] == "list":
            (job,) = answer["jobs"]
            assert (job["status"], job["last_run"]["run_id"]) == ("scheduled", run)
    assert [job["change"] for job in answer["jobs"]] == ["updated"]


def test_a_clock_that_the_runner_does_not_believe_is_told(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was foretold did not run for two minutes, and no command said why."""
    assert command("apply", "-", data=timed_job("x", schedule_interval="1 days")) == 0
    store = Store.open(Paths.under(command.home), create=True)
    mark = {"time": 0.0, "boot": "", "offset": 0.0}
    monkeypatch.setattr(Store, "runner_alive", lambda store: True)
    for doubt in (True, False):
        store.commit_states({}, None, {**mark, "doubt": doubt})
        for words in (("list",), ("explain", "x"), ("apply", "-")):
            data = timed_job("x", schedule_interval="1 days") if words[0] == "apply" else None
            assert command(*words, data=data) == 0
            assert ("does not believe the clock" in command.out + command.err) is doubt


def test_stop_abort_and_remove_wait_for_the_run(
    command: Command, runner: subprocess.Popen[str]
) -> None:
    assert command("apply", "-", data=exec_job("long", "sleep", "600")) == 0
    assert command("event", "long", "start", "--wait", "--timeout", "1") == 75
    assert "coldchain explain long" in command.err
    assert command("event", "long", "stop", "--wait", "--timeout", "0") == 75
    answer = waited(command, "long", "abort")
    assert command.code == 0
    assert answer["run"]["result"] == "aborted"
    assert answer["job"]["status"] == "stop"
    answer = waited(command, "long", "remove")
    assert command.code == 0
    assert answer["job"] is None


def test_whoever_waits_for_a_start_that_runs_nothing_is_told_so_at_once(
    command: Command, runner: subprocess.Popen[str]
) -> None:
    """It ended with 0 and "start requested", and what came next took the job for done."""
    far = timed_job("far", schedule_date="2199-01-01", status="stop")
    far["job_schedule"]["schedule_date"] = "2198-01-01"
    assert command("apply", "-", data=far) == 0
    answer = waited(command, "far", "start")
    assert command.code == 75
    assert (answer["run"], answer["changed"]) == (None, True)
    assert answer["job"]["status"] == "scheduled"
    assert "has run nothing" in answer["error"]["message"]
    assert "2198-01-01" in answer["error"]["message"]
    assert answer["error"]["hint"].startswith("start it once more")
    assert waited(command, "far", "start")["run"]["result"] == "success"
    assert command.code == 0


@pytest.mark.parametrize(
    "schedule",
    [
        {},
        {"schedule_interval": "continuous"},
        {"schedule_second": "*"},
        {"schedule_date": "2020-01-01"},
    ],
)
def test_the_run_that_follows_a_start_at_once_is_waited_for(
    command: Command, runner: subprocess.Popen[str], schedule: dict[str, str]
) -> None:
    assert command("apply", "-", data=timed_job("x", status="stop", **schedule)) == 0
    answer = waited(command, "x", "start")
    assert command.code == 0, answer
    assert answer["run"]["result"] == "success"


def test_a_runner_that_dies_ends_the_wait(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("apply", "-", data=exec_job("x", "sleep", "600")) == 0
    process = command.process("serve", stderr=subprocess.PIPE)
    until(lambda: command.json("list")["runner_alive"], told=process.poll)
    looks = []

    def kill_once(seconds: float) -> None:
        if not looks:
            process.send_signal(signal.SIGKILL)
            output(process)
        looks.append(seconds)

    monkeypatch.setattr(waiting.time, "sleep", kill_once)
    monkeypatch.setattr(waiting, "ALIVE_EVERY", 0.0)
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
    assert "no file of that name" in command.error("run", "")["message"]


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


def test_simulate_takes_a_run_of_this_host_to_last_as_long_as_its_last_one(
    command: Command,
) -> None:
    often = timed_job("often", schedule_interval="5 minutes")
    assert command("apply", "-", data=[often, exec_job("other")]) == 0
    store = Store.open(Paths.under(command.home), create=False)
    last = {"run_id": "r", "time_started": 1000.0, "time_ended": 1420.0, "result": "success"}
    store.commit_states({"often": State(last_run=last), "other": State()})
    store.close()
    assert simulated(command, "--days", "1", data=often)["overlaps"] > 0
    elsewhere = {**often, "client_id": "another"}
    assert simulated(command, "--days", "1", "--duration", "60", data=elsewhere)["overlaps"] == 0


def test_simulate_knows_that_nothing_before_the_declaration_runs(command: Command) -> None:
    splayed = timed_job("a", schedule_hour="3", schedule_splay="2 hours", schedule_timezone="UTC")

    def from_(at: str) -> dict[str, Any]:
        return simulated(command, "--days", "1", "--start", at, data=splayed)

    first = from_("2026-12-01T03:00:00Z")["fleet"]["at"]
    assert "2026-12-01T03:00:02" < first < "2026-12-01T05:00:00"
    assert from_("2026-12-01T03:00:00Z")["runs"] == 1
    assert from_("2026-12-01T03:00:02Z")["runs"] == 0
    apply = command.json("apply", "--check", "-", data=splayed)["jobs"][0]
    assert apply["next_runs"][0][11:] == first[11:], "it is the splay that apply shows"


def test_simulate_takes_an_inventory_of_hosts(command: Command) -> None:
    jobs = [timed_job("j", schedule_hour=1) | {"client_id": name} for name in ("h1", "h2")]
    answer = simulated(command, "--days", "1", data=jobs)
    assert list(answer["hosts"]) == ["h1", "h2"]
    assert answer["fleet"]["runs"] == 2
    assert command.error("simulate", "-", "--days", "1", data=jobs[:1] * 2)["code"] == 65
    assert command.error("simulate", "-", "--days", "1", "--duration", "x", data=jobs)["code"] == 64
    error = command.error("simulate", "-", "--days", "1", data=[jobs[0], exec_job("a b")])
    assert [each["index"] for each in error["errors"]] == [1]


def slotted(host: str, offset: int, **fields: Any) -> dict[str, Any]:
    """A job of slot "n" on a host, so many minutes into it."""
    times = {"schedule_hour": "2", "schedule_splay": "1 hours", "schedule_timezone": "UTC"}
    job = timed_job("j", **times, schedule_offset=f"{offset} minutes")
    return {**job, "client_id": host, "slot": "n", **fields}


def test_simulate_counts_the_runs_of_a_slot_on_all_hosts(command: Command) -> None:
    words = ("--days", "2", "--start", "2027-01-01T00:00:00Z", "--slot", "n=2")
    jobs = [slotted(f"h{number}", number * 5) for number in range(6)]
    use = simulated(command, *words, data=jobs)["slots"]["n"]
    assert command.code == 0
    assert (use["runs"], use["at_once"], use["crowded"]) == (2, 2, [])
    assert use["at"] == "2027-01-01T02:05:00+00:00"

    use = simulated(command, *words, "--duration", "11 minutes", data=jobs)["slots"]["n"]
    assert command.code == 1
    assert use["runs"] == 3 and "last longer than their places" in use["why"]
    assert use["crowded"][0] == "h0/j 2027-01-01T02:00:00+00:00 to 2027-01-01T02:11:00+00:00"
    assert command("simulate", "-", *words, "--duration", "11 minutes", data=jobs) == 1
    told = command.out.partition("slot n: at most 3 runs of 2 at once, first ")[2].splitlines()
    assert told[1:4] == [f"  {text}" for text in use["crowded"]]
    assert told[4].startswith("  too many: they last longer than their places")
    assert simulated(command, *words[:4], "--duration", "11 minutes", data=jobs)["clean"] is True

    by_hand = [{**jobs[0], "client_id": f"x{number}"} for number in range(2)]
    del by_hand[0]["job_schedule"]
    by_hand[0]["job_schedule"] = {"schedule_hour": "2", "schedule_timezone": "UTC"}
    use = simulated(command, *words[:4], "--slot", "n=1", data=by_hand)["slots"]["n"]
    assert "j on x0 has no place in it" in use["why"]

    before = {**timed_job("a", schedule_hour="2", schedule_timezone="UTC"), "client_id": "h0"}
    waiting = [{**before, "lock": "disk"}, {**jobs[0], "lock": "disk"}, slotted("h2", 10)]
    use = simulated(command, *words[:4], "--slot", "n=1", data=waiting)["slots"]["n"]
    assert "j on h0 had to wait on its host" in use["why"]


def test_simulate_takes_the_measures_of_playbook_status(command: Command, tmp_path: Path) -> None:
    run = {"time_started": 5.0, "time_ended": 605.5}
    status = {"jobs": [{"job_id": "j", "last_run": run}, {"job_id": "x", "last_run": None}]}
    path = tmp_path / "status.json"
    path.write_text(json.dumps({"hosts": [{"host": "h0", "status": status}, {"host": "h1"}]}))
    start = ("--days", "1", "--start", "2027-01-01T00:00:00Z")
    words = (*start, "--slot", "n=1", "--status", str(path))
    jobs = [slotted("h0", 0), slotted("h1", 10)]
    assert simulated(command, *words, data=jobs)["slots"]["n"]["runs"] == 2
    rows = {"job_id": "j", "columns": ["started", "seconds"], "rows": [[1, 590]]}
    path.write_text(json.dumps({"hosts": [{"host": "h0", "status": {"runs": [rows]}}]}))
    assert simulated(command, *words, data=jobs)["slots"]["n"]["runs"] == 1
    recent = [[5], "s", [601], "00"]
    report = {"hosts": {"columns": ["name"], "rows": [["h0"]]}}
    report["jobs"] = {"columns": ["host", "job_id", "recent"], "rows": [[0, "j", recent]]}
    path.write_text(json.dumps(report))
    assert simulated(command, *words, data=jobs)["slots"]["n"]["runs"] == 2
    for text in ("{", "[]", '{"hosts": 1}', '{"hosts": [{"host": "h", "status": {"jobs": [1]}}]}'):
        path.write_text(text)
        assert command.error("simulate", "-", *words, data=jobs)["code"] == 65
    missing = command.error("simulate", "-", *words[:4], "--status", "/nowhere", data=jobs)
    assert missing["code"] == 65 and "/nowhere" in missing["message"]
    for text in ("n", "n=", "n=0", "=1", "n=x"):
        error = command.error("simulate", "-", "--days", "1", "--slot", text, data=jobs)
        assert error["code"] == 64 and "argument --slot: " in error["message"]


def test_explain_tells_the_place_in_a_slot(command: Command) -> None:
    job = slotted("h", 20)
    del job["client_id"]
    command.json("apply", "-", data=job)
    facts = {fact["about"]: fact["text"] for fact in command.json("explain", "j")["facts"]}
    assert facts["slot"] == "n: 20 minutes into its 1 hours"
    assert facts["schedule"].endswith("each run 20 minutes later, of 1 hour")
    by_hand = {**job, "job_schedule": {"schedule_hour": "2"}}
    (entry,) = command.json("apply", "-", data=by_hand)["jobs"]
    assert [warning["path"] for warning in entry["warnings"]] == ["$.slot"]
    facts = {fact["about"]: fact["text"] for fact in command.json("explain", "j")["facts"]}
    assert "without a place in it" in facts["slot"]
