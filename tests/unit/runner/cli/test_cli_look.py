# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record as people and programs see it: list, show, history, log, next, explain."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any

import pytest
from cli_command import Command, exec_job, timed_job

from coldchain.cli.vocabulary import vocabulary
from coldchain.core.paths import Paths
from coldchain.document import check
from coldchain.document.context import Context
from coldchain.store import State, Store

STARTED = 1_795_000_000.0
RUN = {
    "run_id": "20261118T111320Z-0a",
    "job_id": "b",
    "cause": "schedule",
    "scheduled_for": "2026-11-18T11:13:20+00:00",
    "time_started": STARTED,
    "time_ended": STARTED + 200,
    "result": "fail",
    "actions": [{"action": "exec", "result": "fail", "attempts": 1, "message": "exit code 3"}],
}


@pytest.fixture
def store(command: Command) -> Store:
    """Three jobs: a has not run, b has failed once, c runs."""
    jobs = [
        exec_job("a"),
        {**timed_job("b", schedule_hour=3, schedule_timezone="UTC"), "lock": "disk"},
        {**timed_job("c", schedule_interval="1 days"), "lock": "disk"},
    ]
    assert command("apply", "-", data=jobs) == 0
    store = Store.open(Paths.under(command.home), create=True)
    store.commit_states(
        {
            "b": State(
                result="fail",
                time_started=STARTED,
                time_ended=STARTED + 200,
                next_run="2036-11-26T03:00:00+00:00",
                last_run=RUN,
                reason="waiting for the lock 'disk', held by job c",
            ),
            "c": State(status="running", time_started=STARTED, run_id="r2"),
        }
    )
    store.add_history("b", RUN)
    log = store.paths.run_log("b", str(RUN["run_id"]))
    log.write_bytes(b"line one\n\xff\n")
    return store


def test_a_list_shows_every_job_in_order(command: Command, store: Store) -> None:
    answer = command.json("list")
    jobs = {job["job_id"]: job for job in answer["jobs"]}
    assert list(jobs) == ["a", "b", "c"]
    assert answer["unknown"] == []
    assert answer["runner_alive"] is False
    assert [jobs[name]["status"] for name in "abc"] == ["stop", "scheduled", "running"]
    assert jobs["b"]["last_run"] == RUN
    assert jobs["b"]["next_run"] == "2036-11-26T03:00:00+00:00"
    assert command("list") == 0
    assert "no runner is at work" in command.err


def test_a_list_of_some_jobs_names_the_unknown_ones(command: Command, store: Store) -> None:
    answer = command.json("list", "c", "x", "a", "c")
    assert command.code == 0
    assert [job["job_id"] for job in answer["jobs"]] == ["c", "a"]
    assert answer["unknown"] == ["x"]


def test_a_list_can_be_narrowed_and_widened(command: Command, store: Store) -> None:
    assert [job["job_id"] for job in command.json("list", "--status", "running")["jobs"]] == ["c"]
    (job,) = command.json("list", "b", "--documents", "--history", "5")["jobs"]
    assert job["document"]["lock"] == "disk"
    assert job["runs"] == [RUN]
    assert command("list", "b", "--documents", "--history", "5") == 0
    assert "exit code 3" in command.out


def test_a_pending_request_is_shown_with_its_job(command: Command, store: Store) -> None:
    assert command("event", "a", "start") == 0
    jobs = {job["job_id"]: job["event"] for job in command.json("list")["jobs"]}
    assert jobs == {"a": "start", "b": "", "c": ""}


def test_show_is_freezers_document_with_the_state_in_it(command: Command, store: Store) -> None:
    job = command.json("show", "b")["job"]
    schedule = job["job_schedule"]
    assert schedule["status"] == "scheduled"
    assert schedule["result"] == "fail"
    assert schedule["time_started"] == int(STARTED)
    assert schedule["time_ended"] == int(STARTED) + 200
    assert schedule["schedule_time"] == RUN["scheduled_for"]
    assert job["job_actions"][0]["exit_status"] == "fail"


@pytest.mark.parametrize("name", ["a", "b"])
def test_what_show_prints_can_be_applied_again(command: Command, store: Store, name: str) -> None:
    shown = command.json("show", name)
    checked = check(shown, Context(None, timezone.utc, datetime.now(timezone.utc), vocabulary()))
    assert checked.errors == []
    assert command.json("apply", "-", data=shown)["changed"] is False


@pytest.mark.parametrize("name", ["show", "history", "log", "next", "explain"])
def test_an_unknown_job_is_exit_code_65_with_near_ones(
    command: Command, store: Store, name: str
) -> None:
    assert command("apply", "-", data=exec_job("database")) == 0
    error = command.error(name, "databse")
    assert error["code"] == 65
    assert "'databse'" in error["message"]
    assert error["hint"] == "did you mean database?"


def test_history_has_runs_and_skipped_slots_the_newest_first(
    command: Command, store: Store
) -> None:
    second = {**RUN, "run_id": "second", "result": "success"}
    skipped = {
        "job_id": "b",
        "skipped": 3,
        "reason": "an earlier run was still waiting",
        "scheduled_for": "2026-11-20T03:00:00+00:00",
        "time_ended": STARTED,
    }
    store.add_history("b", skipped)
    store.add_history("b", second)
    answer = command.json("history", "b")
    assert answer["runs"] == [second, RUN]
    assert answer["skipped"] == [skipped]
    assert command.json("history", "b", "-n", "1")["runs"] == [second]
    assert command("history", "b") == 0
    assert "3 min 20 s" in command.out
    assert "and 2 more: an earlier run was still waiting" in command.out


def test_the_history_of_a_removed_job_stays_readable(command: Command, store: Store) -> None:
    assert command("event", "b", "remove") == 0
    assert command.json("history", "b")["runs"] == [RUN]
    assert command("log", "b") == 0


def test_the_log_of_the_last_run_or_of_a_named_one(command: Command, store: Store) -> None:
    answer = command.json("log", "b")
    assert answer["run_id"] == RUN["run_id"]
    assert answer["text"] == "line one\n\\xff\n"
    assert answer == command.json("log", "b", RUN["run_id"])
    assert command("log", "b") == 0
    assert command.out == "line one\n\\xff\n"


def test_a_run_that_has_said_nothing_yet_has_an_empty_log(command: Command, store: Store) -> None:
    assert command("log", "c") == 0 and command.out == ""
    assert command.json("log", "c", "r2")["text"] == ""
    assert command.error("log", "c", "r1")["code"] == 65
    assert command.error("log", "b", "r2")["code"] == 65


@pytest.mark.parametrize("run_id", ["none", "../b/x", "../../lib/jobs", "a\0b", "x" * 5000])
def test_a_log_that_is_not_there(command: Command, store: Store, run_id: str) -> None:
    error = command.error("log", "b", run_id)
    assert error["code"] == 65
    assert "coldchain history b" in error["hint"]


@pytest.mark.parametrize("job_id", ["../b", "..", "a\0b", ""])
def test_a_job_id_is_no_path(command: Command, store: Store, job_id: str) -> None:
    for name in ("history", "log", "show"):
        assert command.error(name, job_id)["code"] == 65


def test_a_job_that_has_not_run_has_no_log(command: Command, store: Store) -> None:
    error = command.error("log", "a")
    assert error["code"] == 65
    assert "has not run yet" in error["message"]


def test_next_runs_after_an_instant(command: Command, store: Store) -> None:
    answer = command.json("next", "b", "-n", "2", "--after", "2027-03-27T03:00:00Z")
    assert answer["next_runs"] == ["2027-03-28T03:00:00+00:00", "2027-03-29T03:00:00+00:00"]
    assert command("next", "b", "-n", "2", "--after", "2027-03-27T03:00:00Z") == 0
    assert len(command.out.splitlines()) == 2
    assert command.error("next", "b", "--after", "soon")["code"] == 64


def test_a_stopped_job_has_no_next_run_unless_asked_for_its_calendar(
    command: Command, store: Store
) -> None:
    job = timed_job("d", schedule_interval="1 hours", status="stop")
    assert command("apply", "-", data=job) == 0
    assert command.json("next", "d")["next_runs"] == []
    assert len(command.json("next", "d", "--after", "2037-01-01")["next_runs"]) == 5
    assert command("next", "d") == 0
    assert "stopped" in command.err


def explained(command: Command, job_id: str) -> dict[str, str]:
    facts: list[dict[str, Any]] = command.json("explain", job_id)["facts"]
    return {fact["about"]: fact["text"] for fact in facts}


def test_explain_answers_why_from_the_record(command: Command, store: Store) -> None:
    facts = explained(command, "b")
    assert "03:00" in facts["schedule"]
    assert facts["status"] == "scheduled: waiting for the lock 'disk', held by job c"
    assert facts["lock"] == "disk: held by c"
    assert facts["last run"].startswith("fail, ")
    assert facts["last run"].endswith("took 3 min 20 s: exit code 3")
    assert facts["next run"] == "Wed 2036-11-26 04:00:00 CET"
    assert "nothing will start" in facts["runner"]
    facts = explained(command, "c")
    assert facts["running"].endswith("(r2)")
    assert facts["lock"] == "disk: held by c"
    assert command("event", "a", "start") == 0
    facts = explained(command, "a")
    assert facts["status"] == "stop: declared with status stop"
    assert facts["last run"] == "none"
    assert facts["request"].startswith("start, by ")


def test_explain_tells_what_was_skipped_and_what_waits(command: Command, store: Store) -> None:
    group = {
        "skipped": 2,
        "reason": "in a blackout",
        "scheduled_for": "2026-11-20T03:00:00+00:00",
        "last": "2026-11-21T03:00:00+00:00",
    }
    entry = {"slot": STARTED, "at": STARTED, "cause": "catch-up"}
    store.commit_states({"b": State(skipped=group, queue=[entry])})
    facts = explained(command, "b")
    assert facts["skipped"] == "Fri 2026-11-20 04:00:00 CET and 1 more: in a blackout"
    assert "is due and waits (catch-up)" in facts["waiting"]


# -- what people read, to the letter ---------------------------------------------------------------

NOTHING_STARTS = (
    "coldchain: no runner is at work here: nothing will start (service coldchain-runner,"
    " or coldchain serve)\n"
)


def read(command: Command, *words: str, code: int = 0, err: str = "", **options: Any) -> str:
    """What a command prints."""
    assert command(*words, **options) == code
    assert command.err == err
    return command.out


def test_a_table_of_jobs(command: Command, store: Store) -> None:
    assert read(command, "list", err=NOTHING_STARTS) == (
        "JOB  STATUS              RESULT  LAST RUN                     NEXT RUN             "
        "        DESCRIPTION\n"
        "a    stop (declaration)  -       -                            -                    "
        "        -\n"
        "b    scheduled           fail    Wed 2026-11-18 12:06:40 CET  Wed 2036-11-26 04:00:"
        "00 CET  -\n"
        "c    running             -       Wed 2026-11-18 12:06:40 CET  -                    "
        "        -\n"
    )
    assert command("event", "a", "start") == 0
    waits = read(command, "list", "a", err=NOTHING_STARTS)
    assert "\na    stop (declaration, start)  -  " in waits
    assert read(command, "list", "--session", "s", err=NOTHING_STARTS).count("\n") == 1
    assert command("event", "b", "stop") == command("event", "c", "remove") == 0
    unknown = f"coldchain: there is no job 'x'\n{NOTHING_STARTS}"
    told = read(command, "list", "b", "x", "--documents", "--history", "5", err=unknown)
    document, _end, runs = told.partition("{\n")[2].partition("\n}\n")
    assert document.startswith('  "job_id": "b",\n  "job_actions": [\n')
    assert runs == "\n" + HISTORY


HISTORY = (
    "RUN                  STARTED                      TOOK        CAUSE     RESULT  MESSAGE\n"
    "20261118T111320Z-0a  Wed 2026-11-18 12:06:40 CET  3 min 20 s  schedule  fail    exit code 3\n"
)
SKIPPED = {
    "job_id": "b",
    "skipped": 3,
    "reason": "in a blackout",
    "scheduled_for": "2026-11-20T03:00:00+00:00",
    "time_ended": STARTED,
}
SKIPPED_LINES = [
    "Fri 2026-11-20 04:00:00 CET: in a blackout",
    "Fri 2026-11-20 04:00:00 CET and 2 more: in a blackout",
]


def test_a_history_and_a_calendar(command: Command, store: Store) -> None:
    assert read(command, "history", "b") == HISTORY
    store.add_history("b", SKIPPED)
    store.add_history("b", {**SKIPPED, "skipped": 1})
    assert read(command, "history", "b") == HISTORY + "".join(
        f"skipped: {line}\n" for line in SKIPPED_LINES
    )
    none = "coldchain: the history of which job?\n  name it, or --session ID\n"
    assert read(command, "history", code=64, err=none) == ""
    assert read(command, "next", "b", "-n", "2", "--after", "2027-03-27T03:00:00Z") == (
        "Sun 2027-03-28 03:00:00 UTC = 03:00:00 UTC\nMon 2027-03-29 03:00:00 UTC = 03:00:00 UTC\n"
    )
    assert command("next", "a") == 0
    assert command.err.startswith("coldchain: the job is stopped (declared with status stop);")
    done = timed_job("once", schedule_date="2020-01-01")
    assert command("apply", "-", data=done) == 0
    assert command("next", "once") == 0 and command.out == ""
    assert "(its schedule has no later run)" in command.err
    assert command("next", "once", "--after", "2021-01-01") == 0 and command.out == ""
    assert command.err == "coldchain: no further run is scheduled\n"


def test_an_explanation(command: Command, store: Store) -> None:
    runner = NOTHING_STARTS.removeprefix("coldchain: ")
    assert read(command, "explain", "a") == (
        "job       a: no description\n"
        "schedule  once, when it is declared\n"
        "status    stop: declared with status stop\n"
        "next run  none: stopped; coldchain event a start lets it run again\n"
        "last run  none\n"
        f"runner    {runner}"
    )
    store.add_history("b", SKIPPED)
    store.add_history("b", {**SKIPPED, "skipped": 1})
    last = "fail, started Wed 2026-11-18 12:06:40 CET, took 3 min 20 s: exit code 3"
    assert read(command, "explain", "b") == (
        "job       b: no description\n"
        "schedule  at 03:00 every day (UTC)\n"
        "status    scheduled: waiting for the lock 'disk', held by job c\n"
        "next run  Wed 2036-11-26 04:00:00 CET\n"
        "lock      disk: held by c\n"
        f"last run  {last}\n"
        "          coldchain log b 20261118T111320Z-0a shows its log\n"
        f"skipped   {SKIPPED_LINES[0]}\n"
        f"skipped   {SKIPPED_LINES[1]}\n"
        f"runner    {runner}"
    )
    lines = read(command, "explain", "c").splitlines()
    assert lines[2:6] == [
        "status    running",
        "running   since Wed 2026-11-18 12:06:40 CET (r2)",
        "next run  none is planned yet",
        "lock      disk: held by c",
    ]
    assert lines[6] == "last run  none"
    store.commit_states({"c": State(result="success")})
    facts = explained(command, "c")
    assert facts["lock"] == "disk: free" and "running" not in facts
    assert facts["last run"] == "success (elsewhere, as the imported document says)"


def test_what_is_said_of_a_request(command: Command, store: Store) -> None:
    for job, event, err, text in (
        ("a", "start --check", "", "start would change it to scheduled (checked only)"),
        ("b", "start --check", "", "start would run it now (checked only)"),
        ("a", "start", NOTHING_STARTS, "start requested"),
        ("a", "start", "", "start changes nothing"),
        ("a", "stop --check", "", "stop would change it to stop (checked only)"),
        ("a", "remove --check", "", "remove would change it to removed (checked only)"),
        ("a", "remove", "", "removed; its history and its backups are kept"),
        ("c", "stop --check", "", "stop would wait for its run (checked only)"),
        ("c", "stop", NOTHING_STARTS, "stop requested"),
        ("c", "remove --check", "", "remove would change it to removing (checked only)"),
    ):
        assert read(command, "event", job, *event.split(), err=err) == f"{job}: {text}\n"


def backup_job(job_id: str, **fields: Any) -> dict[str, Any]:
    options = {"action": "backup", "path_to_backup": "/srv", "container": "/c"}
    schedule = {"schedule_hour": 2, "schedule_minute": 30, "schedule_timezone": "UTC"}
    actions = [{"freezer_action": options}]
    return {"job_id": job_id, "job_actions": actions, "job_schedule": schedule, **fields}


def test_a_simulation(command: Command) -> None:
    often = {**timed_job("often", schedule_interval="5 minutes"), "client_id": "h1"}
    window = [{"start": "02:00", "end": "04:00"}]
    daily = timed_job("daily", schedule_hour=2, schedule_timezone="Europe/Berlin", blackout=window)
    stopped = timed_job("stopped", schedule_interval="1 hours", status="stop")
    jobs = [
        often,
        {**daily, "client_id": "h2"},
        backup_job("bk", client_id="h1", lock="l"),
        backup_job("bk2", client_id="h1", lock="l"),
        backup_job("bk3", client_id="h2"),
        {**stopped, "client_id": "h1"},
    ]
    words = ("--days", "2", "--start", "2027-03-27T00:00:00Z", "--duration", "7 minutes")
    assert read(command, "simulate", "-", *words, code=1, data=jobs) == (
        "HOST  JOB    RUNS  OVERLAPS  LATE  BLACKED OUT  WAITS  LONGEST WAIT\n"
        "h1    bk     2     0         0     0            0      -\n"
        "h1    bk2    2     0         0     0            2      7 min\n"
        "h1    often  288   287       0     0            0      -\n"
        "h2    bk3    2     0         0     0            0      -\n"
        "h2    daily  1     0         0     1            0      -\n"
        "\n"
        "295 runs of 5 jobs in 2 days\n"
        "container /c: at most 2 runs at once, first Sat 2027-03-27 03:30:00 CET\n"
        "clock change in Europe/Berlin, Sun 2027-03-28 03:00:00 CEST: 139 runs on that day\n"
        "overlap: often on h1, first Sat 2027-03-27 01:10:00 CET\n"
        "blacked out: daily on h2, first Sat 2027-03-27 02:00:00 CET\n"
        "lock wait: bk2 on h1, first Sat 2027-03-27 03:30:00 CET\n"
    )


def test_a_simulation_has_the_splay_that_the_job_has_on_its_host(command: Command) -> None:
    spread = {"schedule_hour": 23, "schedule_splay": "90 minutes", "schedule_timezone": "UTC"}
    window = [{"start": "23:30", "end": "01:00"}]  # in which two of three splays would end
    client = os.uname().nodename
    codes = set()
    for number in range(6):
        late = timed_job(f"j{number}", **spread, blackout=window)
        code = command("apply", "--check", "-", data=late)
        refused = command("simulate", "-", "--days", "2", data=late) == 65
        assert refused == (code == 65)
        codes.add(code)
        job = timed_job(f"j{number}", **spread)
        assert command("apply", "-", data=job) == 0
        (first,) = command.json("next", f"j{number}", "-n", "1")["next_runs"]
        for document in (job, {**job, "client_id": f"{'0' * 32}_{client}"}):
            hosts = command.json("simulate", "-", "--days", "2", data=document)["hosts"]
            assert {host: use["at"] for host, use in hosts.items()} == {client: first}
    assert codes == {0, 65}
