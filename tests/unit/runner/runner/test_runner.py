# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The promises of the runner, each on a real one with real processes."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import waiting
from waiting import PATIENCE

from coldchain.core.errors import CannotWrite, TryAgain
from coldchain.execution.run import Cause, JobRun
from coldchain.observe.records import RunEnded
from coldchain.runner import lock
from coldchain.runner.alerts import Alerts
from coldchain.runner.daemon import RESTART_ME, Runner
from coldchain.runner.foreground import AT_ONCE, Follower
from coldchain.runner.jobs import Jobs
from coldchain.runner.signals import Inbox
from coldchain.store import Change, Store, history


def test_a_job_without_schedule_runs_once_and_not_again(host: Any) -> None:
    host.declare("once", "echo hello")
    host.start()
    (run,) = host.runs("once")
    assert (run["result"], run["cause"]) == ("success", "schedule")
    assert "hello" in host.paths.run_log("once", run["run_id"]).read_text()
    state = host.settled("once")
    assert (state.result, state.next_run, state.last_run) == ("success", None, run)
    host.stop()
    host.start()
    host.declare("other", "true")
    host.runs("other")
    assert len(host.store.history("once", 9)) == 1
    host.until(lambda: not list(host.paths.runs.iterdir()))


def test_a_running_one_shot_has_no_next_run_and_a_recurring_job_its_next_one(host: Any) -> None:
    host.declare("once", host.gate().line)
    host.declare("daily", host.gate().line, schedule={"schedule_interval": "1 days"})
    host.start()
    host.until(lambda: host.state("once").status == "running")
    assert host.state("once").next_run is None
    host.until(lambda: host.state("daily").next_run)
    planned = host.state("daily").next_run
    host.event("daily", "start")
    host.until(lambda: host.state("daily").status == "running")
    assert host.state("daily").next_run == planned


def test_a_changed_schedule_runs_a_finished_job_again_but_changed_actions_do_not(host: Any) -> None:
    host.declare("j", "true", schedule={"schedule_date": "2020-01-01T00:00:00"})
    host.start()
    host.until(lambda: host.state("j").status == "stop")
    assert host.state("j").stopped_by["what"] == "over" and not host.store.skipped("j", 9)
    revision, soon = 1, ""
    for ahead in (1, 4, 16, 64):  # where a declaration takes longer than that, it is over, too
        soon = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + ahead))
        host.declare("j", "true", schedule={"schedule_date": soon})
        revision += 1
        host.until(lambda r=revision: host.state("j").revision == r)
        host.settled("j", within=PATIENCE + ahead)
        if host.store.history("j", 9):
            break
    assert len(host.store.history("j", 9)) == 1
    host.declare("j", "false", schedule={"schedule_date": soon})
    host.until(lambda: host.state("j").revision == revision + 1)
    time.sleep(0.3)
    assert len(host.store.history("j", 9)) == 1


def test_declared_as_stopped_is_kept_and_not_run(host: Any) -> None:
    host.declare("j", "true", schedule={"status": "stop", "schedule_interval": "1 seconds"})
    host.start()
    time.sleep(1.3)
    assert host.state("j").status == "stop" and not host.store.history("j", 9)
    host.declare("j", "true", schedule={"schedule_interval": "1 seconds", "schedule_splay": 0})
    host.runs("j", 1)
    host.declare("j", "true", schedule={"status": "stop", "schedule_interval": "1 seconds"})
    host.until(lambda: host.state("j").status == "stop")


def test_an_interval_keeps_its_pace_and_an_overlap_is_on_record(host: Any) -> None:
    gate = host.gate()
    host.declare("j", gate.line, schedule={"schedule_interval": "1 seconds"})
    host.start()
    host.until(
        lambda: "was still going on" in (host.state("j").skipped or {}).get("reason", ""),
        within=PATIENCE + 2,
    )
    gate.open()
    host.runs("j", 2, within=PATIENCE + 1)
    host.event("j", "stop")
    host.settled("j")
    assert any("was still going on" in entry["reason"] for entry in host.store.skipped("j", 99))


def test_continuous_begins_again_when_it_has_ended(host: Any) -> None:
    host.declare("j", "sleep 0.2", schedule={"schedule_interval": "continuous"})
    host.start()
    runs = host.runs("j", 3, within=PATIENCE + 3)
    assert runs[0]["time_started"] >= runs[1]["time_ended"]
    assert not host.store.skipped("j", 9)


def test_events_start_stop_remove(host: Any) -> None:
    host.declare("j", "true", schedule={"schedule_interval": "1 days"})
    host.start()
    host.until(lambda: host.state("j").next_run)
    planned = host.state("j").next_run
    host.event("j", "start")
    (run,) = host.runs("j")
    assert run["cause"] == "event"
    host.settled("j", "scheduled")
    assert host.state("j").next_run == planned
    host.event("j", "stop")
    host.until(lambda: host.state("j").status == "stop")
    assert "a test" in host.state("j").reason and host.state("j").next_run is None
    host.event("j", "start")
    host.until(lambda: host.state("j").status == "scheduled")
    assert len(host.store.history("j", 9)) == 1, "arming a recurring job does not run it"
    host.event("j", "remove")
    host.until(lambda: host.store.state("j") is None)
    assert host.store.job("j") is None
    assert len(host.store.history("j", 9)) == 1
    host.until(lambda: not host.store.pending_events())


def test_start_runs_a_finished_one_shot_again(host: Any) -> None:
    host.declare("j", "true")
    host.start()
    host.runs("j")
    host.settled("j")
    host.event("j", "start")
    runs = host.runs("j", 2)
    assert runs[0]["cause"] == "event"
    assert host.settled("j").result == "success"


def test_an_event_is_kept_while_no_runner_is_there(host: Any) -> None:
    host.declare("j", "true", schedule={"status": "stop"})
    host.event("j", "start")
    assert not host.store.runner_alive()
    host.start()
    host.runs("j")
    assert host.store.runner_alive()


def test_abort_ends_the_group_and_runs_the_clean_up(host: Any) -> None:
    host.declare(
        "j",
        "trap '' TERM; sleep 100 & wait; sleep 100",
        "echo never",
        ("echo cleaned", {"mandatory": True}),
    )
    host.start()
    host.until(lambda: host.state("j").status == "running")
    time.sleep(0.3)
    host.event("j", "abort")
    (run,) = host.runs("j")
    assert run["result"] == "aborted" and "a test" in run["reason"]
    assert [a["result"] for a in run["actions"]] == ["aborted", "skipped", "success"]
    assert host.settled("j").result == "aborted"


def test_a_second_abort_ends_the_clean_up_too(host: Any) -> None:
    host.declare("j", "sleep 100", ("echo cleaning; sleep 100", {"mandatory": True}))
    host.start(grace=30)
    host.until(lambda: host.state("j").status == "running")
    host.event("j", "abort")
    host.until(lambda: "cleaning" in _first_log(host, "j"))
    host.event("j", "abort")
    (run,) = host.runs("j")
    assert [a["result"] for a in run["actions"]] == ["aborted", "aborted"]


def test_remove_waits_for_the_running_job(host: Any) -> None:
    gate = host.gate()
    host.declare("j", gate.line)
    host.start()
    host.until(lambda: host.state("j").status == "running")
    host.event("j", "remove")
    host.until(lambda: host.state("j").event == "remove")
    gate.open()
    (run,) = host.runs("j")
    assert run["result"] == "success"
    host.until(lambda: host.store.state("j") is None)


def test_a_job_declared_again_during_its_last_run_is_a_new_one_after_it(host: Any) -> None:
    flag = host.paths.lib / "flag"
    wait = f"until [ -e {flag} ]; do sleep 0.05; done"
    host.declare("j", wait, schedule={"schedule_interval": "1 days"})
    host.start()
    host.until(lambda: host.state("j").next_run)
    host.event("j", "start")
    host.until(lambda: host.state("j").status == "running")
    host.store.remove_declaration("j")
    host.until(lambda: host.state("j").event == "remove")
    host.declare("j", wait, schedule={"schedule_interval": "1 days"})
    flag.touch()
    host.runs("j")
    host.until(lambda: host.state("j").status == "scheduled" and host.state("j").next_run)


def test_a_job_removed_and_declared_again_between_two_looks_is_a_new_one(host: Any) -> None:
    host.declare("once", "true")
    host.declare("daily", "true", schedule={"schedule_interval": "1 days"})
    host.start()
    host.runs("once")
    host.settled("once")
    host.stop()
    for job_id in ("once", "daily"):
        host.store.remove_declaration(job_id)
    host.declare("once", "true")
    host.declare("daily", "true", schedule={"schedule_interval": "1 seconds"})
    host.start()
    host.runs("once", 2)
    host.runs("daily")


def test_time_limits_of_action_and_job(host: Any) -> None:
    host.declare("action", ("sleep 100", {"timeout": "1 seconds"}), ("true", {"mandatory": True}))
    host.declare("job", "sleep 0.2", "sleep 100", max_duration="1 seconds")
    host.start()
    (run,) = host.runs("action")
    assert run["result"] == "fail" and run["actions"][0]["message"] == "timed out after 1 s"
    assert run["actions"][1]["result"] == "success"
    (run,) = host.runs("job", within=PATIENCE + 1)
    assert run["result"] == "fail" and "max_duration" in run["reason"]


def test_retries_wait_without_holding_a_place(host: Any) -> None:
    host.declare("r", ("false", {"max_retries": 1, "max_retries_interval": 3600}), priority=9)
    host.declare("other", "true")
    host.start(concurrent_jobs=1)
    (other,) = host.runs("other")
    host.event("r", "abort")
    (run,) = host.runs("r", within=PATIENCE + 2)
    assert run["time_started"] < other["time_started"] < other["time_ended"] < run["time_ended"]
    assert run["actions"][0]["attempts"] == 1


def test_a_soft_failure_is_not_retried_and_said_so(host: Any) -> None:
    host.declare("j", ("exit 75", {"max_retries": 5, "max_retries_interval": 60}))
    host.start()
    (run,) = host.runs("j")
    assert run["actions"][0]["soft"] and run["actions"][0]["attempts"] == 1


def test_locks_and_places_and_priority(host: Any) -> None:
    gate = host.gate()
    host.declare("a", gate.line, lock="disk", priority=9)
    host.declare("b", "true", lock="disk")
    host.declare("c", "true")
    host.start(concurrent_jobs=2)
    host.until(lambda: "held by job a" in host.state("b").reason)
    (c,) = host.runs("c")
    gate.open()
    (a,), (b,) = host.runs("a"), host.runs("b")
    assert c["time_ended"] < a["time_ended"] <= b["time_started"]


def test_a_lock_that_is_declared_at_the_last_moment_holds(host: Any) -> None:
    host.declare("a", "true", lock="disk")
    host.declare("b", "true")
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    with reader, writer:
        runner = Runner(host.paths, host.settings, Inbox(reader))
        runner.recover()
        host.declare("b", "true", lock="disk")  # nobody has looked at it yet
        runner.active.start_due()
        assert list(runner.runs) == ["a"]
        runner.close()


def test_one_bad_document_stops_no_other_job(host: Any) -> None:
    host.declare("bad", "true", schedule={"schedule_minute": "99"})
    host.declare("good", "true")
    host.start()
    host.runs("good")
    assert host.state("bad").status == "stop"
    assert "schedule_minute" in host.state("bad").reason


def test_a_job_whose_log_has_no_place_stops_no_other_job(host: Any) -> None:
    place = host.paths.job_log("bad")
    place.write_text("")
    host.declare("bad", "true", priority=9)
    host.start()
    host.until(lambda: host.state("bad").reason.startswith("cannot begin"))
    host.declare("good", "true")
    host.runs("good")
    host.until(lambda: not list(host.paths.runs.iterdir()))
    place.unlink()
    host.runs("bad")


def test_a_removed_log_directory_is_made_again(host: Any) -> None:
    gate, begun = host.gate(), host.paths.home / "begun"
    host.declare("j", f"touch {begun}; {gate.line}")
    host.start()
    host.until(begun.exists)
    shutil.rmtree(host.paths.log)
    gate.open()
    host.runs("j")
    host.declare("k", "true")
    host.runs("k")
    assert host.paths.log.stat().st_mode & 0o777 == 0o700


def test_declarations_that_cannot_be_read_stop_no_time_limit_and_no_abort(
    host: Any, caplog: pytest.LogCaptureFixture
) -> None:
    host.declare("limited", "sleep 3600", max_duration="3 seconds")
    host.declare("j", "sleep 3600")
    host.declare("often", "true", schedule={"schedule_interval": "1 seconds"})
    host.start()
    for job_id in ("limited", "j"):
        host.until(lambda job_id=job_id: host.state(job_id).time_started)
    copy = host.paths.jobs.with_name("copy")
    shutil.copy(host.paths.jobs, copy)
    copy.chmod(0o666)
    copy.replace(host.paths.jobs)
    host.event("j", "abort")
    (run,) = host.runs("limited", within=PATIENCE + 3)
    assert "max_duration" in run["reason"]
    (run,) = host.runs("j")
    assert run["result"] == "aborted"
    tries = [line for line in caplog.messages if "somebody else could have written it" in line]
    assert 0 < len(tries) < 1000, "it looks again now and then, and not as fast as it can"
    host.paths.jobs.chmod(0o600)
    count = len(host.store.history("often", 99))
    host.runs("often", count + 1)


def test_whoever_keeps_the_requests_locked_makes_no_run_wait(host: Any) -> None:
    host.declare("j", "true", schedule={"schedule_interval": "1 days"})
    host.start()
    host.until(lambda: host.state("j").next_run)
    storage = host.store._events.storage
    with storage.transaction():  # a command that was suspended just now
        storage.write({"events": {"1": {"job_id": "j", "event": "start", "time": 1, "by": "me"}}})
        storage._commit()
        host.runs("j")
        host.declare("k", "true")
        host.runs("k")
    host.until(lambda: not host.store.pending_events())
    assert len(host.store.history("j", 9)) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_history_that_cannot_be_read_keeps_only_its_own_job_waiting(host: Any) -> None:
    flag = host.paths.lib / "flag"
    host.declare("bad", f"until [ -e {flag} ]; do sleep 0.05; done")
    host.declare("good", "true")
    host.start()
    host.until(lambda: host.state("bad").status == "running")
    host.runs("good")
    host.stop(signal.SIGUSR2)
    history_file = host.paths.history("bad")
    history_file.mkdir()
    flag.touch()
    host.start()
    host.event("good", "start")
    host.runs("good", 2)
    assert host.state("bad").status == "running"
    history_file.rmdir()
    (run,) = host.runs("bad")
    assert run["result"] == "success"


def test_a_line_of_the_history_that_is_no_entry_is_passed_over(host: Any) -> None:
    history_file = host.paths.history("j")
    history_file.parent.mkdir(mode=0o700)
    history_file.write_bytes(b'{"run_id": "x"}\n[]\n\xff\n{"time_ended": "soon"}\n')
    host.declare("j", "true")
    host.start()
    host.runs("j")
    host.settled("j")
    host.event("j", "start")
    host.runs("j", 2)


def test_what_cannot_be_started_fails_with_the_reason(host: Any) -> None:
    host.declare("j", "true")
    document = host.store.job("j").document
    document["job_actions"][0]["freezer_action"]["working_directory"] = "/no/such/place"
    host.store.apply([Change("j", document)])
    host.start()
    (run,) = host.runs("j")
    assert run["result"] == "fail" and "/no/such/place" in run["actions"][0]["message"]


def test_exec_can_be_switched_off(host: Any) -> None:
    host.declare("j", "true")
    host.start(allow_exec=False)
    (run,) = host.runs("j")
    assert run["result"] == "fail" and "allow_exec" in run["actions"][0]["message"]


# Python complains about a child that is left running, which is the point here.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("leave", [signal.SIGUSR2, signal.SIGHUP])
def test_a_run_goes_on_without_the_runner_and_its_real_result_is_recorded(
    host: Any, leave: signal.Signals
) -> None:
    gates = host.gate(), host.gate()
    host.declare("long", f"{gates[0].line}; exit 3", ("echo mandatory", {"mandatory": True}))
    host.declare("short", gates[1].line)
    host.start()
    host.until(lambda: host.state("long").status == host.state("short").status == "running")
    code = host.stop(leave)
    assert code == (75 if leave == signal.SIGUSR2 else 0)
    gates[1].open()
    host.until(lambda: list(host.paths.runs.glob("*/1.1.exit_code")))
    host.start()
    gates[0].open()
    (short,), (run,) = host.runs("short"), host.runs("long")
    assert short["result"] == "success"
    assert run["actions"][0]["exit_code"] == 3 and run["actions"][1]["result"] == "success"


def test_a_stop_waits_for_what_runs(host: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    gate = host.gate()
    host.declare("j", gate.line)
    host.start(stop_timeout=3600)
    host.until(lambda: host.state("j").status == "running")
    host.send(signal.SIGTERM)
    host.until(lambda: "stopping: 1 runs in progress" in caplog.text)
    gate.open()
    host.until(lambda: host.code == 0)
    assert host.store.history("j", 1)[0]["result"] == "success"


def test_a_stop_aborts_what_takes_longer_than_it_may_wait(host: Any) -> None:
    host.declare("j", "sleep 1000")
    host.start(stop_timeout=2)
    host.until(lambda: host.state("j").status == "running")
    began = time.monotonic()
    assert host.stop(within=PATIENCE + 3) == 0
    assert time.monotonic() - began >= 2
    (run,) = host.store.history("j", 2)
    assert run["result"] == "aborted" and "stopped" in run["reason"]


def test_a_run_that_waits_for_its_retry_survives_a_restart(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = f"test -e {host.paths.home}/flag"
    host.declare("j", (line, {"max_retries": 1, "max_retries_interval": 3600}))
    host.start()
    host.until(lambda: "fail" in _first_log(host, "j"))
    host.stop()
    assert host.store.history("j", 1) == [], "a stop waits for no retry"
    (host.paths.home / "flag").touch()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    host.start()
    (run,) = host.runs("j")
    assert run["result"] == "success" and run["actions"][0]["attempts"] == 2


def test_a_clock_that_is_set_back_makes_no_retry_wait_longer(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, flag = host.gate(), host.paths.home / "flag"
    line = f"test -e {flag} || {{ touch {flag}; exit 1; }}; {gate.line}"
    host.declare("j", (line, {"max_retries": 1, "max_retries_interval": 2}))
    host.start()
    host.until(lambda: "j" in host.runner.runs and host.runner.runs["j"].progress.attempts[0])
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 86400)
    gate.open()
    (run,) = host.runs("j")
    assert run["result"] == "success" and run["actions"][0]["attempts"] == 2
    assert run["actions"][0]["duration"] == 0.0, "it ended before it began"


def _edit(host: Any, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what is kept of the one run in progress, while no runner is there."""
    (path,) = host.paths.runs.glob("*/run.json")
    kept = json.loads(path.read_text())
    change(kept)
    path.write_text(json.dumps(kept))


def _as_a_newer_release_writes_it(kept: dict[str, Any]) -> None:
    kept["progress"]["unheard_of"] = kept["document"]["unheard_of"] = kept["unheard_of"] = 1


def _as_an_older_release_writes_it(kept: dict[str, Any]) -> None:
    del kept["progress"]["boot"], kept["progress"]["began"], kept["progress"]["uncleaned"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("change", [_as_a_newer_release_writes_it, _as_an_older_release_writes_it])
def test_another_release_takes_over_what_runs(
    host: Any, change: Callable[[dict[str, Any]], None]
) -> None:
    gate = host.gate()
    host.declare("j", f"{gate.line}; exit 3", max_duration="1 hours")
    host.start()
    host.until(lambda: host.state("j").status == "running")
    host.stop(signal.SIGUSR2)
    _edit(host, change)
    host.start()
    gate.open()
    (run,) = host.runs("j")
    assert run["actions"][0]["exit_code"] == 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_clock_that_is_set_between_two_runners_ends_nothing(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, begun = host.gate(), host.paths.home / "begun"
    line = f"touch {begun}; {gate.line}"
    host.declare("j", (line, {"timeout": "1 hours"}), max_duration="2 hours")
    host.start()
    host.until(begun.exists)
    host.stop(signal.SIGUSR2)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 30 * 86400)
    host.start()
    host.declare("k", "true")
    host.runs("k")  # so the limits of j were looked at meanwhile
    gate.open()
    (run,) = host.runs("j")
    assert run["result"] == "success", run


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_action_whose_record_is_lost_does_not_run_beside_the_next_one(host: Any) -> None:
    host.declare("j", f"echo $$ >> {host.paths.home}/pids; exec sleep 3600")
    host.start()
    host.until(lambda: (host.paths.home / "pids").exists())
    host.stop(signal.SIGUSR2)
    (path,) = host.paths.runs.glob("*/run.json")
    path.write_bytes(b"garbage")
    host.start()
    (run,) = host.runs("j")
    assert run["result"] == "fail" and run["reason"]
    pid = int((host.paths.home / "pids").read_text())
    host.until(lambda: not Path(f"/proc/{pid}").exists() or _zombie(pid))


def _zombie(pid: int) -> bool:
    return ") Z " in Path(f"/proc/{pid}/stat").read_text()


def _first_log(host: Any, job_id: str) -> str:
    return "".join(p.read_text() for p in host.paths.job_log(job_id).glob("*.log"))


def test_a_slot_missed_while_down_is_made_up_for_once(host: Any) -> None:
    host.declare("j", "true", schedule={"schedule_interval": "10 minutes"})
    host.start()
    host.until(lambda: host.state("j").next_run)
    host.stop()
    _turn_back(host, "j", 3300.0)  # the last slot was five minutes ago
    host.start()
    (run,) = host.runs("j")
    assert run["cause"] == "catch-up"
    assert host.store.skipped("j", 99)
    assert sum(s["skipped"] for s in host.store.skipped("j", 99)) >= 4


def test_too_old_a_slot_is_skipped_with_its_reason(host: Any) -> None:
    schedule = {"schedule_interval": "1 hours", "missed": {"run": "once", "max_age": 60}}
    host.declare("j", "true", schedule=schedule)
    host.start()
    host.until(lambda: host.state("j").next_run)
    host.stop()
    _turn_back(host, "j", 2 * 3600 + 600.0)
    host.start()
    host.until(lambda: host.state("j").skipped or host.store.skipped("j", 9))
    host.event("j", "stop")
    host.until(lambda: host.state("j").status == "stop")
    assert not host.store.history("j", 9)


def _turn_back(host: Any, job_id: str, seconds: float) -> None:
    """As if the host had been off for *seconds*: anchor and last look lie further back."""
    state = host.store.state(job_id)
    host.store.commit_states({job_id: state._replace(checked_until=state.checked_until - seconds)})
    record = host.store.job(job_id)
    with host.store._jobs.storage.transaction():
        row = {**record.as_row(), "anchor": record.anchor - seconds}
        host.store._jobs.table("jobs").put({job_id: row})


def test_the_end_of_a_run_is_told_before_the_next_one_begins(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever counts starts and ends takes an end for that of the last start.  Here the runner
    finds each end at the same time as the next slot."""
    told: list[tuple[str, str]] = []
    real = Runner.wait

    def wait(self: Runner, *words: Any) -> list[int]:
        run = self.runs.get("j")
        if run is not None and run.process is not None:
            pid, second = run.process.pid, int(time.time())
            waiting.until(lambda: waiting.gone(pid) and time.time() > second + 1.02)
        return real(self, *words)

    def began(_alerts: Alerts, run: Any, _document: Any) -> None:
        told.append(("start", run["run_id"]))

    def over(_alerts: Alerts, ended: RunEnded) -> None:
        told.append(("end", ended.run_id))

    monkeypatch.setattr(Runner, "wait", wait)
    monkeypatch.setattr(Alerts, "began", began)
    monkeypatch.setattr(Alerts, "__call__", over)
    host.declare("j", "true", schedule={"schedule_interval": "1 seconds"})
    host.start()
    host.until(lambda: len(told) >= 6)
    assert [what for what, _run in told[:6]] == ["start", "end"] * 3
    assert [run for _what, run in told[:6:2]] == [run for _what, run in told[1:6:2]]


def test_a_full_disk_delays_but_loses_no_record(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real, broken = history.append, [True]

    def append(path: Any, entries: Any) -> Any:
        if broken[0] and "run_id" in entries[0]:
            raise CannotWrite("history.jsonl: No space left on device", "make room")
        return real(path, entries)

    monkeypatch.setattr(history, "append", append)
    host.declare("j", "true")
    host.start()
    host.until(lambda: host.state("j").status == "running")
    time.sleep(0.5)
    assert host.state("j").status == "running" and host.state("j").run_id
    broken[0] = False
    (run,) = host.runs("j", within=PATIENCE + 2)
    assert run["result"] == "success"
    host.settled("j")


def test_a_crash_between_record_and_state_gives_one_result(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.declare("j", "true")
    host.start()
    (run,) = host.runs("j")
    host.settled("j")
    host.stop()
    # Put everything back as it was just after the record was written.
    document = host.store.job("j").document
    made = JobRun.create(host.paths, host.settings, "j", document, Cause("schedule", "x"))
    made.record["run_id"] = run["run_id"]
    made.directory = made.directory.rename(host.paths.runs / run["run_id"])
    made._save()
    state = host.store.state("j")._replace(status="running", run_id=run["run_id"])
    host.store.commit_states({"j": state})
    host.start()
    host.settled("j")
    assert len(host.store.history("j", 9)) == 1
    host.until(lambda: not list(host.paths.runs.iterdir()))


def test_a_run_without_a_trace_is_recorded_as_failed(host: Any) -> None:
    host.declare("j", "true", schedule={"schedule_interval": "1 days"})
    host.start()
    host.until(lambda: host.state("j").next_run)
    host.stop()
    slot = "2026-11-24T02:00:00+00:00"
    lost = {"run_id": "gone", "time_started": 1.0, "cause": "catch-up", "scheduled_for": slot}
    host.store.commit_states({"j": host.store.state("j")._replace(status="running", **lost)})
    (host.paths.runs / "junk").mkdir()
    (host.paths.runs / "junk" / "run.json").write_text("{")
    host.start()
    (run,) = host.runs("j")
    assert (run["run_id"], run["result"]) == ("gone", "fail")
    assert (run["cause"], run["scheduled_for"]) == ("catch-up", slot)
    assert "went down" in run["reason"]
    host.settled("j", "scheduled")
    host.until(lambda: not list(host.paths.runs.iterdir()))


def test_a_clock_that_is_set_back_repeats_nothing(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.declare("j", "true", schedule={"schedule_interval": "1 seconds"})
    host.start()
    host.runs("j", 1)
    real, shift = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + shift[0])
    shift[0] = -3600.0
    time.sleep(2.5)
    slots = [r["scheduled_for"] for r in host.store.history("j", 99)]
    assert len(slots) == len(set(slots))
    shift[0] = 0.0
    before = len(host.store.history("j", 99))
    host.until(lambda: len(host.store.history("j", 99)) > before)


def test_a_clock_that_jumps_a_year_ahead_floods_nothing(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.declare("j", "true", schedule={"schedule_interval": "10 minutes"})
    host.start()
    host.until(lambda: host.state("j").next_run)
    months_ago = time.time() - 300 * 86400
    old = {"run_id": "old", "job_id": "j", "result": "fail", "time_ended": months_ago}
    host.store.add_history("j", old)
    # One that has never run would count from the new time.
    host.event("j", "start")
    host.until(lambda: len(host.store.history("j", 99)) > 1 and not host.runner.runs)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 365 * 86400 + 300)
    host.until(lambda: len(host.store.history("j", 99)) > 2 and not host.runner.runs)
    run, _asked_for, kept = host.store.history("j", 99)
    assert kept == old, "who set the clock wrong has lost no result"
    assert run["cause"] == "catch-up"
    time.sleep(1.2)
    assert len(host.store.history("j", 99)) == 3


@pytest.mark.parametrize("restart", [False, True])
def test_a_clock_that_was_ahead_and_is_set_right_lets_no_job_wait_for_that_time(
    host: Any, monkeypatch: pytest.MonkeyPatch, restart: bool
) -> None:
    real, ahead = time.time, [365 * 86400.0]
    monkeypatch.setattr(time, "time", lambda: real() + sum(ahead))
    host.start()
    host.declare("interval", "true", schedule={"schedule_interval": "1 seconds"})
    host.declare("cron", "true", schedule={"schedule_second": "*"})
    for job_id in ("interval", "cron"):
        host.runs(job_id)
    if restart:
        host.stop()
        host.declare("once", "true")
        ahead.clear()
        host.start()
    else:
        ahead.clear()
    for job_id in ("interval", "cron", *(["once"] if restart else [])):
        host.until(lambda job_id=job_id: min(_times(host, job_id), default=1e12) < real() + 86400)
    host.stop()
    count = len(_times(host, "interval"))
    host.start()
    host.runs("interval", count + 1)


def _times(host: Any, job_id: str) -> list[float]:
    return [run["time_started"] for run in host.store.history(job_id, 999)]


def test_every_run_that_a_blackout_put_off_waits_for_the_one_before(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, begin = time.time, [20_000 * 86400 + 4 * 3600 - 1.0]  # a second before 04:00
    flowing: list[float] = []  # since when, once everything is in place
    monkeypatch.setattr(time, "time", lambda: begin[0] + sum(real() - since for since in flowing))
    schedule = {
        "schedule_minute": "30",
        "schedule_timezone": "UTC",
        "missed": {"run": "all", "max_age": "6 hours"},
        "blackout": [{"start": "04:00", "end": "06:00"}],
    }
    host.declare("j", "sleep 1.5", schedule=schedule)
    host.start()
    host.until(lambda: host.state("j").next_run)
    begin[0] += 2 * 3600
    flowing.append(real())
    runs = host.runs("j", 2, within=PATIENCE + 4)
    assert [run["cause"] for run in runs] == ["catch-up", "catch-up"]
    assert [run["scheduled_for"][11:16] for run in runs] == ["05:30", "04:30"]
    assert runs[0]["time_started"] >= runs[1]["time_ended"]
    assert host.store.skipped("j", 9) == []


def test_a_run_syncs_its_record_and_nothing_else_of_its_own(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Disks take 5 to 20 ms for it, and a hundred runs may be due in one second."""
    host.declare("j", "true", ("true", {"mandatory": True}))
    host.start()
    host.runs("j")
    host.settled("j")
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    host.event("j", "start")
    host.runs("j", 2)
    host.settled("j")
    own = [name for name in synced if "/log/" in name or "/runs/" in name]
    assert [name for name in own if name.endswith("history.jsonl")] == own[-1:]
    assert len(own) == 3, "and between two actions what the first one came to"


@pytest.mark.parametrize(
    ("numbers", "code", "reexec"),
    [
        ([signal.SIGTERM], 0, False),
        ([signal.SIGUSR2], RESTART_ME, False),
        ([signal.SIGHUP], 0, True),
        # Of what comes at once a stop counts, and before a reload that it leaves.
        ([signal.SIGHUP, signal.SIGUSR2], RESTART_ME, False),
        ([signal.SIGUSR2, signal.SIGHUP], RESTART_ME, False),
        ([signal.SIGHUP, signal.SIGTERM], 0, False),
        ([signal.SIGUSR2, signal.SIGTERM, signal.SIGHUP], 0, False),
    ],
)
def test_only_a_reload_lets_the_process_become_another_runner(
    host: Any, numbers: list[signal.Signals], code: int, reexec: bool
) -> None:
    host.start()
    runner = host.runner
    assert host.stop(*numbers) == code
    assert runner.reexec is reexec


def test_only_one_runner(host: Any) -> None:
    host.start()
    with pytest.raises(TryAgain, match="another runner"):
        lock.acquire(host.paths)


def test_whoever_only_asks_for_the_runner_does_not_keep_it_from_starting(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.paths.runner_lock.touch(0o600)
    asking = os.open(host.paths.runner_lock, os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    monkeypatch.setattr(lock, "_PATIENCE", 300.0)
    monkeypatch.setattr(time, "sleep", lambda dummy: os.close(asking))
    os.close(lock.acquire(host.paths))


def test_usr1_prints_the_state(host: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    host.declare("j", host.gate().line)
    host.start()
    host.until(lambda: host.state("j").status == "running")
    host.send(signal.SIGUSR1)
    host.until(lambda: "running: job j" in caplog.text)


def test_history_is_bounded_and_old_logs_go(host: Any) -> None:
    host.declare("j", "true", schedule={"status": "stop"})
    host.start(history_runs=3)
    done = None
    for _ in range(6):
        host.event("j", "start")
        host.until(lambda done=done: host.state("j").last_run not in (None, done))
        done = host.settled("j").last_run
    host.until(lambda: len(host.store.history("j", 99)) == 3)
    host.until(lambda: len(list(host.paths.job_log("j").glob("*.log"))) == 3)


def test_requests_that_arrive_while_others_are_cleared_away_are_seen(host: Any) -> None:
    """The runner's own write to the file of requests takes in what came meanwhile."""
    for number in range(6):
        host.declare(f"j{number}", "true", schedule={"status": "stop"})
    host.start()
    for _ in range(15):
        for number in range(6):
            host.event(f"j{number}", "start")
    host.until(lambda: not host.store.pending_events())
    host.until(lambda: all(host.store.history(f"j{n}", 1) for n in range(6)))


def test_a_crash_before_a_done_request_is_dropped_does_not_repeat_it(host: Any) -> None:
    for job_id in ("acted-on", "other"):
        host.declare(job_id, "true", schedule={"status": "stop"})
    done = host.store.add_event("acted-on", "start", "a test")
    host.store.commit_states({}, [done.id])
    host.event("other", "start")
    host.start()
    host.runs("other")
    host.event("other", "start")
    host.runs("other", 2)
    host.settled("other")
    assert host.store.history("acted-on", 9) == []
    assert not host.store.pending_events() and host.store.event_done(done.id)


def test_run_leaves_a_job_as_it_was(host: Any) -> None:
    daily = {"schedule_interval": "1 days"}
    host.declare("stopped", "true", schedule={**daily, "status": "stop"})
    host.declare("scheduled", "true", schedule=daily)
    host.start()
    host.until(lambda: host.state("scheduled").next_run)
    planned = host.state("scheduled").next_run
    for job_id in ("stopped", "scheduled"):
        host.event(job_id, "run")
        host.runs(job_id, 1)
    host.settled("stopped", "stop")
    assert host.settled("scheduled", "scheduled").next_run == planned


def test_runs_of_one_session_carry_the_tag_of_their_slot(host: Any) -> None:
    schedule = {"schedule_interval": "1 seconds", "schedule_start_date": "2026-01-01T00:00:00"}
    for job_id in ("here", "there"):
        host.declare(job_id, "true", schedule=schedule, session_id="nightly")
    host.start()

    def common() -> list[list[dict[str, Any]]]:
        here, there = (host.store.history(job_id, 99) for job_id in ("here", "there"))
        return [
            [one, other]
            for one, other in itertools.product(here, there)
            if one["session_tag"] == other["session_tag"]
        ]

    for one, other in host.until(common):
        assert one["scheduled_for"] == other["scheduled_for"]
        assert one["session_id"] == "nightly"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("first", ["20000101T000000Z-00000000", "29990101T000000Z-ffffffff"])
def test_a_recorded_run_s_directory_hides_no_run_in_progress(host: Any, first: str) -> None:
    """A crash before the clean-up of one run, while the next one of the job has begun."""
    gate = host.gate()
    host.declare("j", f"{gate.line}; exit 3", schedule={"schedule_interval": "1 days"})
    host.start()
    host.until(lambda: host.state("j").next_run)
    host.event("j", "start")
    host.until(lambda: host.state("j").status == "running")
    host.stop(signal.SIGUSR2)
    document = host.store.job("j").document
    done = JobRun.create(host.paths, host.settings, "j", document, Cause("event", "x"))
    done.record["run_id"] = first
    done.directory = done.directory.rename(host.paths.runs / first)
    done._save()
    record = {**done.record, "result": "success", "time_ended": done.record["time_started"]}
    host.store.add_history("j", record)
    host.start()
    gate.open()
    host.until(lambda: len(host.store.history("j", 9)) == 2)
    assert host.store.history("j", 9)[0]["actions"][0]["exit_code"] == 3
    host.settled("j", "scheduled")
    host.until(lambda: not list(host.paths.runs.iterdir()))


def test_who_follows_a_flood_sees_its_end(tmp_path: Path) -> None:
    log, shown = tmp_path / "log", []
    follow = Follower(shown.append)
    log.write_bytes(b"first\n")
    follow.more(log)
    with log.open("r+b") as stream:  # all of it but the end may be a hole by now
        stream.seek(5_000_000_000)
        stream.write(b"last\n")
    follow.more(log)
    with log.open("ab") as stream:
        stream.write(b"more\n")
    follow.more(log)
    left_out = 5_000_000_000 + len("last\n") - len("first\n") - AT_ONCE
    assert shown == ["first\n", f"\n[... {left_out} bytes left out ...]\n", "last\n", "more\n"]


def test_a_flood_of_output_is_bounded_while_it_flows(host: Any) -> None:
    flood = "echo first; head -c 40000000 /dev/zero | tr '\\0' x; touch {0}/flooded; sleep 60"
    host.declare("j", flood.format(host.paths.home))
    host.start(log_max_bytes=100_000)
    host.until(lambda: (host.paths.home / "flooded").exists())
    (log,) = host.paths.job_log("j").glob("*.log")
    host.until(lambda: log.stat().st_blocks * 512 < 1_000_000)
    assert log.stat().st_size > 40_000_000
    assert host.state("j").status == "running"


def test_a_declaration_that_comes_in_with_another_look_is_not_overlooked(host: Any) -> None:
    host.declare("first", "true", schedule={"schedule_hour": "3"})
    jobs = Jobs(Store.open(host.paths, create=True), host.settings)
    jobs.reload()
    assert not jobs.outdated
    host.declare("second", "true", schedule={"schedule_hour": "4"})
    assert jobs.store.job("second") is not None  # as when a due job is looked up
    assert jobs.outdated
    jobs.reload()
    assert "second" in jobs.states
    assert not jobs.outdated
