# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`coldchain guard`, and what the runner and `coldchain status` make of a run that is unusual."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cli_command import Command, exec_job
from hypothesis import given, settings
from hypothesis import strategies as st
from job_histories import DAY, Run

from coldchain.core.paths import Paths
from coldchain.observe import guard
from coldchain.runner.guarding import Guarding
from coldchain.store import Store


def past(days: float, seconds: float = 60.0, **report: Any) -> Run:
    """A run that ended so many days ago; with a report it is one of a backup."""
    ended = time.time() - days * DAY
    entry: Run = {"action": "exec", "result": "success", "attempts": 1}
    if report:
        entry = {**entry, "action": "backup", "report": {"backup_name": "tree", **report}}
    return {
        "run_id": f"d{days}",
        "job_id": "j",
        "cause": "schedule",
        "scheduled_for": "2026-01-01T00:00:00+00:00",
        "time_started": ended - seconds,
        "time_ended": ended,
        "result": "success",
        "actions": [entry],
    }


def remember(command: Command, runs: list[Run], job_id: str = "j") -> None:
    """Let the history of the job hold *runs*, oldest first."""
    path = command.home / "log" / job_id / "history.jsonl"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text("".join(json.dumps(run) + "\n" for run in runs))
    path.chmod(0o600)


def full(days: float, entries: int = 1000, lying: int = 10**9, **more: Any) -> Run:
    report = {"entries": entries, "source_bytes": lying, "bytes": lying, "archive_bytes": lying}
    return past(days, **{**report, "level": 0, "size": lying // 3, **more})


def test_a_history_is_told_again_with_its_figures(command: Command) -> None:
    assert command("apply", "-", data=exec_job("j")) == 0
    assert command("guard", "j", "--explain") == 0
    assert "0 runs in the history, nothing unusual" in command.out
    remember(command, [full(days, 1000 + days % 3) for days in range(13, 0, -1)])
    answer = command.json("guard", "j", "--explain")
    assert (command.code, answer["runs"], answer["findings"]) == (0, 13, [])
    texts = {verdict["check"]: verdict["text"] for verdict in answer["verdicts"]}
    assert texts["halved"] == "not enough is known yet: 12 backups before it"
    assert set(texts) == {*answer["checks"]} - {"changed"}

    runs = [full(days, 1000 + days % 3) for days in range(20, 1, -1)]
    remember(command, [*runs, full(1, 400, 2 * 10**8, size=199_000_000)])
    answer = command.json("guard", "j")
    assert command.code == 1 and answer["verdicts"] == []
    found = {finding["check"]: finding for finding in answer["findings"]}
    assert found.keys() == {"shrank", "halved", "incompressible"}
    assert found["halved"]["text"] == (
        "run d1: about half of the source's files are gone, or more: 400 entries; usual is at least"
        " 585 entries: median 1001 entries, MAD a factor of 1.00, of 19 backups"
    )
    assert command("guard", "j", "--explain") == 1
    assert "coldchain backups --job j lists the points from before" in command.out
    assert "short: 1 min; usual is at least" in command.out
    # Told when it comes, not as long as it lasts; an unusual run further back is no exit code.
    remember(command, [*runs, full(1.5, 400), full(0.5, 400)])
    answer = command.json("guard", "j")
    assert command.code == 0 and [one["run_id"] for one in answer["findings"]] == ["d1.5"]


def test_checks_can_be_switched_off_in_the_document(command: Command) -> None:
    runs = [*(full(days) for days in range(20, 1, -1)), full(1, 400, 2 * 10**8)]
    for switches, expected in (
        ({"halved": False}, {"shrank"}),
        ({"enabled": False}, set()),
        ({"enabled": True, "shrank": True}, {"shrank", "halved"}),
    ):
        assert command("apply", "-", data=exec_job("j", guard=switches)) == 0
        remember(command, runs)
        answer = command.json("guard", "j")
        assert {finding["check"] for finding in answer["findings"]} == expected
    assert command("apply", "-", data=exec_job("j", guard={"enabled": False})) == 0
    assert command("guard", "j") == 0 and "switched off" in command.out
    (error,) = command.json("validate", "-", data=exec_job("j", guard={"shrunk": True}))["errors"]
    assert (error["path"], error["hint"]) == ("$.guard.shrunk", "did you mean shrank?")


def test_an_unusual_run_is_recorded_and_told_by_status(command: Command, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("content")
    backup = {"action": "backup", "path_to_backup": str(source), "backup_name": "tree"}
    job = {**exec_job("j"), "job_actions": [{"freezer_action": backup}]}
    assert command("apply", "-", data=job) == 0
    usual = {"source": str(source), "entries": 5000}
    before = [
        {**full(days, **usual), "time_started": time.time() - days * DAY - 2}
        for days in range(20, 0, -1)
    ]
    remember(command, before)
    run = command.json("run", "j")["run"]
    assert {one["check"] for one in run["findings"]} == {"shrank", "halved"}
    shown = [one for one in command.json("status")["findings"] if one["about"] == "job j"]
    assert [one["severity"] for one in shown] == ["warning", "warning"]
    assert all(run["run_id"] in one["text"] and "guard j" in one["remedy"] for one in shown)
    for words in shown[0]["remedy"].split("coldchain ")[1:]:
        assert command(*words.split(" has ")[0].split(" lists ")[0].split()) in (0, 1)
    assert command("status") in (1, 69) and "files are gone" in " ".join(command.out.split())
    # For three days it stays there, whatever comes after it; each thing once.
    line = (command.home / "log" / "j" / "history.jsonl").read_text().splitlines()[-1]
    told = json.loads(line)
    assert told["findings"] == run["findings"]
    for hours, number in ((60, 2), (80, 0)):
        ended = time.time() - hours * 3600
        old = {**told, "time_started": ended - 1, "time_ended": ended}
        many = [full(hours / 24 * part / 30, 1, source="x") for part in range(29, 0, -1)]
        remember(command, [*before[:10], old, old, *many])
        shown = [one for one in command.json("status")["findings"] if one["about"] == "job j"]
        assert len(shown) == number, hours


def test_what_was_there_twice_is_usual(command: Command) -> None:
    """A directory that is cleaned up every tenth day grows to ten times as much, and shrinks."""
    assert command("apply", "-", data=exec_job("j")) == 0

    def lying(day: int) -> Run:
        return full(day, 1000, 10**9 if day % 10 else 10**8)

    for days, expected in ((18, {"shrank"}), (28, set())):
        runs = [lying(day) for day in range(days + 1, 1, -1)]
        remember(command, [*runs, {**full(1, 1000, 10**8), "run_id": "newest"}])
        newest = command.json("guard", "j")["findings"]
        assert {one["check"] for one in newest if one["run_id"] == "newest"} == expected, days


def test_a_run_is_compared_with_others_only_and_a_request_with_none(command: Command) -> None:
    assert command("apply", "-", data=exec_job("j")) == 0
    remember(command, [past(days) for days in range(20, 0, -1)])
    store = Store.open(Paths.under(command.home), create=False)
    unusual = {**past(0, 3600), "run_id": "x"}
    assert [one["check"] for one in Guarding(store).look(unusual, {})] == ["long"]
    assert Guarding(store).look({**unusual, "request": {"id": "1", "by": "root"}}, {}) == []
    # Its record was written, and then the disk was full: it is looked at again.
    twice = Guarding(store)
    assert twice.look(unusual, {}) == twice.look(unusual, {}) != []
    store.close()


@pytest.mark.parametrize("kept", [3, 20, guard.KNOWN])
@pytest.mark.parametrize(("jobs", "turns"), [(100, 1), (150, 2)])
def test_jobs_in_turn_are_read_once_as_long_as_that_does_not_take_much_memory(
    jobs: int, turns: int, kept: int
) -> None:
    read: list[int] = []

    def history(job_id: str, limit: int) -> list[Run]:
        found = [{**past(days), "job_id": job_id} for days in range(1, kept + 1)][:limit]
        read.append(len(found))
        return found

    guarding = Guarding(SimpleNamespace(history=history))
    for turn in range(2):
        for number in range(jobs):
            again = {**past(0), "job_id": f"j{number}", "run_id": f"new{turn}"}
            assert guarding.look(again, {}) == []
    if kept > 3:
        assert len(read) == turns * jobs
    assert max(read) < 10, "those before the newest tell nothing more of a run like them"


@settings(max_examples=60)
@given(
    runs=st.lists(
        st.tuples(
            st.sampled_from(["exec", "full", "increment"]),
            st.sampled_from([1.0, 60.0, 70.0, 7200.0]),
            st.sampled_from([10, 5000, 10**6]),
            st.sampled_from(["success"] * 5 + ["fail"]),
            st.sampled_from(["schedule"] * 5 + ["catch-up"]),
            st.sampled_from([0.01, 1.0, 1.0, 1.0]),
        ),
        max_size=60,
    ),
    begun_anew=st.sets(st.integers(0, 59), max_size=4),
)
def test_what_is_found_does_not_depend_on_how_little_was_read(
    runs: list[tuple[str, float, int, str, str, float]], begun_anew: set[int]
) -> None:
    """The runner remembers the newest runs alone, and looks at the others when those are not like
    the run.  Of all of them the same is said."""
    recorded: list[Run] = []
    store = SimpleNamespace(history=lambda _job_id, limit: recorded[:limit])
    guarding, ended = Guarding(store), time.time() - 400 * DAY
    for number, (kind, seconds, entries, result, cause, days) in enumerate(runs):
        report = {"entries": entries, "source_bytes": 1000 * entries, "level": kind != "full"}
        run = past(0, seconds, **({} if kind == "exec" else report))
        ended += days * DAY
        run = {**run, "run_id": f"r{number}", "result": result, "cause": cause}
        run |= {"time_started": ended - seconds, "time_ended": ended}
        if number in begun_anew:
            guarding = Guarding(store)
        sample, known = guard.sample_of(run), [guard.sample_of(old) for old in recorded]
        wanted = guard.entries("j", f"r{number}", guard.judge(sample, known))
        assert guarding.look(run, {}) == wanted
        recorded.insert(0, run)


def test_a_history_that_makes_no_sense_stops_nothing(command: Command) -> None:
    assert command("apply", "-", data=exec_job("j")) == 0
    odd: list[Any] = [
        {"run_id": None, "time_ended": 5},
        {**full(3), "actions": 7},
        {**full(3), "actions": [None, {"action": "backup", "report": []}]},
        full(2, -1, -5, level="x", changed=True, archive_bytes=0),
        full(2, 10**40, size=10**40),
        {**full(2), "time_started": "now"},
        {**full(1), "time_started": 10**12},
        {**full(1), "findings": [{"severity": "warning"}]},
    ]
    remember(command, [*odd * 20])
    assert command("guard", "j", "--explain") in (0, 1)
    run = command.json("run", "j")["run"]
    assert run["result"] == "success" and "Traceback" not in command.err


def test_a_runner_hands_findings_on(command: Command, runner: subprocess.Popen[str]) -> None:
    assert command("apply", "-", data=exec_job("j")) == 0
    remember(command, [past(days, 3600.0) for days in range(20, 0, -1)])
    assert command("event", "j", "start", "--wait", "--timeout", "60") == 0
    (newest,) = command.json("history", "j", "-n", "1")["runs"]
    assert [one["check"] for one in newest["findings"]] == ["short"]
    assert "coldchain log j" in newest["findings"][0]["remedy"]
    assert command("log", "j", newest["run_id"]) == 0
