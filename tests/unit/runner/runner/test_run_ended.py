# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever wants to know of finished runs gets one record each, when it is on disk."""

from __future__ import annotations

import logging
import re
import signal
from typing import Any

import pytest

from coldchain.execution.run import Cause, JobRun
from coldchain.observe.log import to_standard_error
from coldchain.observe.records import RunEnded, publish

RECORD = {
    "job_id": "j",
    "run_id": "20261125-1",
    "cause": "catch-up",
    "scheduled_for": "2026-11-25T02:00:00Z",
    "time_started": 1795658400,
    "time_ended": 1795658460.5,
    "result": "aborted",
    "reason": "max_duration is over",
    "actions": [{"result": "aborted"}],
}


def test_what_a_run_tells_is_what_is_on_record_of_it() -> None:
    ended = RunEnded(RECORD, {})
    assert {name: getattr(ended, name) for name in RECORD} == RECORD
    assert ended.previous is None
    assert RunEnded({**RECORD, "reason": ""}, {}).reason == ""


def test_a_subscriber_without_a_name_is_told_of_by_its_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Ledger:
        def __call__(self, ended: RunEnded) -> None:
            raise OSError("disk full")

    publish(RunEnded(RECORD, {}), [Ledger()])
    assert re.search(r"job j: .*Ledger failed after its run", caplog.text)


@pytest.mark.parametrize("journal", [True, False])
def test_the_log_goes_to_standard_error_for_the_time_of_the_block(
    journal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """journald takes the priority from the front, has a clock of its own, and reads lines."""
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    if journal:
        monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    logger = logging.getLogger("coldchain")
    before = logger.level, list(logger.handlers)
    with to_standard_error():
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            logger.getChild("daemon").log(level, "two\nlines %s", level)
        logger.critical("five")
        logger.log(35, "between")
    logger.error("not told")
    assert (logger.level, logger.handlers) == before
    out, err = capsys.readouterr()
    assert out == "" and "not told" not in err
    if journal:
        told = ["<6>two | lines 20", "<4>two | lines 30", "<3>two | lines 40"]
        assert err.splitlines() == [*told, "<2>five", "<6>between"]
    else:
        stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"
        assert re.match(rf"{stamp} INFO two\nlines 20\n{stamp} WARNING two\nlines 30\n", err)


def test_each_run_is_told_once_after_its_state_is_on_disk(host: Any) -> None:
    heard: list[tuple[RunEnded, Any]] = []
    host.declare("j", "echo hello", "exit 3")
    host.start()
    host.runner.active.subscribers.append(
        lambda ended: heard.append((ended, host.store.state("j").last_run))
    )
    host.runs("j")
    host.settled("j")
    host.event("j", "start")
    host.runs("j", 2)
    host.until(lambda: len(heard) >= 2)
    (second, second_on_disk), (first, on_disk) = heard[-1], heard[-2]
    assert first.record == on_disk and second.record == second_on_disk
    assert (first.job_id, first.result, first.cause) == ("j", "fail", "schedule")
    assert [action["exit_code"] for action in first.actions] == [0, 3]
    assert first.time_started <= first.time_ended and first.reason == ""
    assert first.document["job_id"] == "j"
    assert second.previous == first.record and second.cause == "event"
    assert second.run_id != first.run_id


def test_what_waited_for_a_place_runs_while_the_end_before_it_is_told(host: Any) -> None:
    """With a hundred jobs that are due at once each would begin later by what those before it
    tell, and their ends would not share a commit."""
    beside: list[tuple[str, set[str]]] = []

    def told(ended: RunEnded) -> None:
        runs = host.runner.runs.items()
        beside.append((ended.job_id, {job_id for job_id, run in runs if run.process is not None}))

    for job_id in ("first", "second"):
        host.declare(job_id, "true")
    host.start(concurrent_jobs=1)
    host.runner.active.subscribers.insert(0, told)
    host.until(lambda: len(beside) == 2)
    assert beside == [("first", {"second"}), ("second", set())]


def test_a_subscriber_that_fails_harms_no_run_and_no_other_subscriber(
    host: Any, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    def broken(ended: RunEnded) -> None:
        raise OSError("no route to host")

    host.declare("j", "true")
    host.start()
    host.runner.active.subscribers[:0] = [broken]
    host.runner.active.subscribers.append(lambda ended: heard.append(ended.job_id))
    host.declare("k", "true")
    host.runs("k")
    host.settled("k")
    host.until(lambda: "k" in heard)
    assert "broken failed after its run" in caplog.text and "no route to host" in caplog.text
    host.until(lambda: not list(host.paths.runs.iterdir()))


def test_what_a_crash_kept_from_being_told_is_told_at_the_next_start(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.declare("recorded", "true")
    host.declare("lost", "true", schedule={"schedule_interval": "1 days"})
    host.start()
    (run,) = host.runs("recorded")
    host.settled("recorded")
    host.until(lambda: host.state("lost").next_run)
    host.stop(signal.SIGUSR2)
    # As it was just after the record was written, and before the state and the subscribers knew.
    document = host.store.job("recorded").document
    made = JobRun.create(host.paths, host.settings, "recorded", document, Cause("schedule", "x"))
    made.record["run_id"] = run["run_id"]
    made.directory = made.directory.rename(host.paths.runs / run["run_id"])
    made._save()
    unfinished = host.store.state("recorded")._replace(
        status="running", run_id=run["run_id"], last_run=None
    )
    gone = host.store.state("lost")._replace(
        status="running", run_id="gone", time_started=1.0, cause="event"
    )
    host.store.commit_states({"recorded": unfinished, "lost": gone})
    heard: list[RunEnded] = []
    monkeypatch.setattr("coldchain.runner.daemon.subscribers", lambda *what: [heard.append])
    host.start()
    host.until(lambda: len(heard) == 2)
    told = {ended.job_id: ended for ended in heard}
    assert told["recorded"].record == run
    assert told["lost"].result == "fail" and "went down" in told["lost"].reason
    host.until(lambda: not list(host.paths.runs.iterdir()))
