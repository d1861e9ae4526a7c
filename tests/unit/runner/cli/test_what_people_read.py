# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command prints for people, to the letter, over one host with something of everything."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from cli_command import Command, exec_job, timed_job

from coldchain.agent.engines.base import Backup
from coldchain.agent.receipts import Receipt
from coldchain.agent.uncovered import Uncovered
from coldchain.cli import host_status, job_series, ledger, restore
from coldchain.cli.output import Output
from coldchain.core.errors import Unavailable
from coldchain.core.paths import Paths
from coldchain.observe.findings import INFO, WARNING, Finding
from coldchain.observe.outbox import Outbox, WaitingMessage
from coldchain.runner.presence import Presence
from coldchain.store import State, Store

NOW = 1_795_000_000.0  # Wed 2026-11-18 11:06:40 UTC, 12:06:40 in Berlin
HOUR, DAY = 3600.0, 86400.0
NIGHTLY = {"schedule_hour": "3", "schedule_minute": "0", "schedule_timezone": "Europe/Berlin"}
LONG = "a-name-that-is-longer-than-its-column-has-room-for"


def backup_job(job_id: str, **options: Any) -> dict[str, Any]:
    action = {"action": "backup", "path_to_backup": "/srv", "container": job_id}
    action = {**action, "backup_name": job_id, **options}
    return {**timed_job(job_id, **NIGHTLY), "job_actions": [{"freezer_action": action}]}


def run_of(job_id: str, ended: float, took: float, result: str = "success") -> dict[str, Any]:
    action = {"action": "backup", "result": result, "attempts": 1}
    if result == "fail":
        action["message"] = "exit code 3"
    return {
        "run_id": f"{job_id}-run",
        "job_id": job_id,
        "cause": "schedule",
        "time_started": ended - took,
        "time_ended": ended,
        "result": result,
        "actions": [action],
    }


def point(job_id: str, age: float, **fields: Any) -> Backup:
    at = int(NOW - age)
    base: dict[str, Any] = {
        "storage": "local", "container": f"/c/{job_id}", "hostname": "h", "backup_name": job_id,
        "chain": at, "level": 0, "time": f"T{int(age)}", "time_stamp": at, "size": 1500,
        "files": 3, "engine": "tar", "compression": "gzip", "encrypted": False,
        "encrypt_scheme": None, "restorable": True, "reason": "",
    }  # fmt: skip
    return Backup(**{**base, **fields})


SOUND = {"verified": Receipt(int(NOW - 5 * DAY), "full", "sound")}
POINTS = {
    "good": [point("good", 2 * HOUR, level=1), point("good", 2 * DAY, **SOUND)],
    "bad": [point("bad", 3 * DAY, restorable=False, reason="level 0 is missing")],
    LONG: [point(LONG, HOUR, size=0, **SOUND)],
}


@pytest.fixture
def host(command: Command, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What beside the record ``status`` looks at, on a host whose clock stands still."""
    monkeypatch.setattr(time, "time", lambda: NOW)
    found = SimpleNamespace(presence=Presence(True, "9.8.7", NOW - DAY), examined=[], uncovered=[])

    def points(query: Any, _receipts: object) -> list[Backup]:
        if query.backup_name == "far":
            raise Unavailable("no way to it", "find one")
        return POINTS.get(query.backup_name, [])

    def examine(_patient: object, *, cheap: bool) -> list[Finding]:
        assert cheap, "status starts no program"
        return list(found.examined)

    monkeypatch.setattr(job_series, "engine", lambda _name: SimpleNamespace(points=points))
    monkeypatch.setattr(job_series, "exists", lambda _location: True)
    monkeypatch.setattr(host_status, "examine", examine)
    monkeypatch.setattr(host_status, "uncovered", lambda _works, _host: found.uncovered)
    monkeypatch.setattr(host_status.presence, "look", lambda _paths: found.presence)
    settings = command.home / "etc" / "runner.conf"
    settings.parent.mkdir(mode=0o700)
    settings.write_text("[runner]\nclient_id = host1\n")
    settings.chmod(0o600)
    return found


@pytest.fixture
def store(command: Command, host: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Jobs in every state, declared ten days ago."""
    monkeypatch.setattr(time, "time", lambda: NOW - 10 * DAY)
    jobs = [
        backup_job("good"),
        backup_job("bad"),
        backup_job("far"),
        backup_job("none"),
        backup_job(LONG),
        exec_job("off"),
        timed_job("byhand", **NIGHTLY),
        timed_job("busy", **NIGHTLY),
    ]
    assert command("apply", "-", data=jobs) == 0
    monkeypatch.setattr(time, "time", lambda: NOW)
    store = Store.open(Paths.under(command.home), create=True)
    states = {}
    for job_id, record in store.jobs().items():
        seen = {
            "created": record.created,
            "revision": record.revision,
            "armed_anchor": record.anchor,
            "checked_until": NOW,
        }
        states[job_id] = State.initial(record)._replace(**seen)
    runs = {
        "good": run_of("good", NOW - 2 * HOUR, 90),
        "bad": run_of("bad", NOW - 30 * HOUR, 5, "fail"),
        "far": run_of("far", NOW - HOUR, 5),
        LONG: run_of(LONG, NOW - HOUR, 5),
    }
    for job_id, run in runs.items():
        store.add_history(job_id, run)
        ended = {"time_started": run["time_started"], "time_ended": run["time_ended"]}
        states[job_id] = states[job_id]._replace(result=run["result"], last_run=run, **ended)
    event = {"event": "stop", "who": "alice", "when": NOW - DAY, "revision": 1}
    states["byhand"] = states["byhand"]._replace(newest_event=event)
    going = {"status": "running", "run_id": "r9", "cause": "schedule", "time_started": NOW - 200}
    states["busy"] = states["busy"]._replace(**going)
    store.commit_states(states)
    return store


def read(command: Command, *words: str, code: int = 0, err: str = "", **options: Any) -> str:
    """What a command prints."""
    assert command(*words, **options) == code, command.err
    assert command.err == err
    return command.out


JOBS = """\
JOB                               STATE    LAST SUCCESS    NEXT RUN
a-name-that-is-longer-than-it...  ok       60 minutes ago  Thu 2026-11-19 03:00
bad                               failed   never           Thu 2026-11-19 03:00
busy                              never    never           Thu 2026-11-19 03:00
byhand                            stopped  never           -
far                               ok       60 minutes ago  Thu 2026-11-19 03:00
good                              ok       2 hours ago     Thu 2026-11-19 03:00
none                              never    never           Thu 2026-11-19 03:00
off                               stopped  never           -
"""
SERIES = """\
BACKUP                       POINTS     NEWEST          VERIFIED    SIZE
a-name-that-is-longer-th...  1 of 1     60 minutes ago  5 days ago  0 B
bad                          0 of 1     never           never       1.5 kB
far                          not known  never           never       0 B
good                         2 of 2     2 hours ago     5 days ago  3.0 kB
none                         0 of 0     never           never       0 B
"""
FINDINGS = """\
critical: job bad: failed: its last run failed 1 d 6 h ago: exit code 3; it has
  never succeeded
  -> coldchain log bad tells more
critical: job busy: never: it has never succeeded; a run is going on for 3 min
  20 s
  -> coldchain explain busy tells why
critical: job byhand: stopped: stopped by alice at 2026-11-17T11:06:40+00:00; it
  has never succeeded
  -> coldchain event byhand start lets it run again
critical: job none: never: it has never succeeded
  -> coldchain explain none tells why
critical: backup far: what can be restored is not known: no way to it
  -> find one
"""
WARNED = """\
warning: disk: it is full
  -> make room
warning: backup bad: 1 of 1 point cannot be restored: level 0 is missing
  -> coldchain backups --job bad lists them
"""
UNCOVERED = """\
In no backup (uncovered_ignore in the settings silences a line):
/srv/x: no job backs it up
mysql: it runs, and nobody has a copy of it: nobody has a copy of it: nobody has
  a copy of it:
"""
BEGUN = "runner 9.8.7 at work since Tue 2026-11-17 12:06:40 CET\n"


def test_the_status_of_a_host(command: Command, host: SimpleNamespace, store: Store) -> None:
    host.examined += [Finding(INFO, "x", "is for doctor"), Finding(WARNING, "disk", "it is full")]
    host.examined[1] = host.examined[1]._replace(remedy="make room")
    host.uncovered += [
        Uncovered("path", "/srv/x", "no job backs it up"),
        Uncovered("service", "mysql", "it runs, and" + " nobody has a copy of it:" * 3),
    ]
    parts = [
        "host1 is NOT protected: 4 of 8 jobs need somebody\n" + BEGUN,
        JOBS,
        SERIES,
        FINDINGS + WARNED,
        UNCOVERED,
    ]
    assert read(command, "status", code=1) == "\n".join(parts)
    host.examined.clear()
    host.uncovered.clear()
    host.presence = Presence(True)
    seen = read(command, "status", code=1)
    assert seen.startswith("host1 is NOT protected: 4 of 8 jobs need somebody\nrunner at work\n\n")
    assert seen.endswith("  -> coldchain backups --job bad lists them\n")
    host.presence = Presence(False)
    lines = read(command, "status", code=69).splitlines()
    assert lines[:3] == [
        "host1 is NOT protected: 4 of 8 jobs need somebody",
        "no runner is at work",
        "",
    ]
    start = lines.index("critical: runner: no runner is at work here: nothing will start")
    assert lines[start - 1 : start + 2 : 2] == ["", f"  -> {command.home}/bin/coldchain serve"]


def test_a_host_that_is_well_or_nearly_so(
    command: Command, host: SimpleNamespace, store: Store
) -> None:
    def become(**runs: Any) -> None:
        """Only these jobs are left, their last runs successes."""
        states = store.states()
        store.commit_states(
            {
                name: states[name]._replace(result="success", last_run=run_of(name, ended, 3))
                for name, ended in runs.items()
            }
        )
        for name in store.jobs().keys() - runs.keys():
            assert command("event", name, "remove") == 0

    become(good=NOW - 2 * HOUR, byhand=NOW - 3 * DAY)
    told = read(command, "status", code=1)
    assert told.startswith("host1 is NOT protected: 1 of 2 jobs needs somebody\n")
    become(good=NOW - 2 * HOUR)
    answer = "host1 is protected\n" + BEGUN
    jobs = "JOB   STATE  LAST SUCCESS  NEXT RUN\ngood  ok     2 hours ago   Thu 2026-11-19 03:00\n"
    series = (
        "BACKUP  POINTS  NEWEST       VERIFIED    SIZE\n"
        "good    2 of 2  2 hours ago  5 days ago  3.0 kB\n"
    )
    assert read(command, "status") == "\n".join([answer, jobs, series])
    become()
    nothing = (
        "warning: jobs: no job is declared on this host\n"
        "  -> coldchain apply, or the role coldchain.freezer.jobs\n"
    )
    assert read(command, "status") == "\n".join([answer, nothing])


def test_the_status_of_a_host_in_colours(
    command: Command, host: SimpleNamespace, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Green is what is well, yellow what its declaration stops, red what needs somebody: each job
    that is red has a finding that is."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(Output, "colours", property(lambda _output: True))
    host.uncovered.append(Uncovered("path", "/srv/x", "no job backs it up"))
    assert command("status") == 1
    colours = {"32": "green", "31": "red", "33": "yellow", "1": "bold"}
    shown = {}
    for line in command.out.splitlines():
        code, _m, text = line.partition("m") if line.startswith("\x1b[") else ("", "", line)
        assert line == text or text.endswith("\x1b[0m")
        words = text.removesuffix("\x1b[0m").split("  ")[0].partition(":")[0]
        shown.setdefault(words, colours.get(code.removeprefix("\x1b["), ""))
    assert shown == {
        "host1 is NOT protected": "red",
        BEGUN.partition(":")[0]: "",
        "": "",
        "JOB": "bold",
        "a-name-that-is-longer-than-it...": "green",
        "bad": "red",
        "busy": "red",
        "byhand": "red",
        "far": "green",
        "good": "green",
        "none": "red",
        "off": "yellow",
        "BACKUP": "bold",
        "a-name-that-is-longer-th...": "",
        "critical": "red",
        "warning": "yellow",
        "In no backup (uncovered_ignore in the settings silences a line)": "bold",
        "/srv/x": "",
    }
    findings = command.json("status")["findings"]
    critical = {it["about"] for it in findings if it["severity"] == "critical"}
    named = {f"job {name}" for name in ("bad", "busy", "byhand", "none")}
    assert {about for about in critical if about.startswith("job ")} == named
    assert command("status") == 1
    poor = [line for line in command.out.splitlines() if line.startswith("\x1b[31mfar ")]
    assert poor == [
        "\x1b[31mfar                          not known  never           never       0 B\x1b[0m"
    ]


def test_what_programs_read_of_a_host(
    command: Command, host: SimpleNamespace, store: Store
) -> None:
    answer = command.json("status", "--days", "1")
    assert command.code == 1
    place = command.home / "backups"
    assert [list(row.values()) for row in answer["series"]] == [
        [LONG, "local", f"{place}/{LONG}", LONG, "host1", 1, 1, "T3600", "T3600",
         "2026-11-13T11:06:40+00:00", 0, None],
        ["bad", "local", f"{place}/bad", "bad", "host1", 1, 0, None, None, None, 1500, None],
        ["far", "local", f"{place}/far", "far", "host1", 0, 0, None, None, None, 0, "no way to it"],
        ["good", "local", f"{place}/good", "good", "host1", 2, 2, "T7200", "T172800",
         "2026-11-13T11:06:40+00:00", 3000, None],
        ["none", "local", f"{place}/none", "none", "host1", 0, 0, None, None, None, 0, None],
    ]  # fmt: skip
    # The runs of a day: that of bad ended before.
    runs = {entry["job_id"]: entry["rows"] for entry in answer["runs"]}
    ended = int(NOW - HOUR)
    assert runs == {
        LONG: [[ended - 5, 5, "success", None, None, None]],
        "bad": [],
        "busy": [],
        "byhand": [],
        "far": [[ended - 5, 5, "success", None, None, None]],
        "good": [[int(NOW - 2 * HOUR) - 90, 90, "success", None, None, None]],
        "none": [],
        "off": [],
    }
    assert answer["coming"]["days"] == 7
    coming = {job["job_id"]: (job["seconds"], len(job["rows"])) for job in answer["coming"]["jobs"]}
    assert coming == {
        LONG: (5, 7), "bad": (5, 7), "busy": (None, 7), "byhand": (None, 0), "far": (5, 7),
        "good": (90, 7), "none": (None, 7), "off": (None, 0),
    }  # fmt: skip


def test_which_runs_are_those_of_the_last_days(command: Command, store: Store) -> None:
    """Those that ended within them, to the second, the oldest first; with what they stored."""
    stored = [{"action": "backup", "report": {"size": size}} for size in (30, 12, None)]
    other = [{"action": "admin", "report": {"size": 5}}, {"action": "backup", "report": None}]
    run = run_of("none", NOW - DAY, 60) | {"session_id": "s", "session_tag": 7}
    store.add_history("none", run_of("none", NOW - DAY - 0.5, 60))
    store.add_history("none", run | {"actions": [*stored, *other]})
    store.add_history("none", run_of("none", NOW - 60, -5) | {"actions": other[:1]})
    rows = {
        entry["job_id"]: entry["rows"] for entry in command.json("status", "--days", "1")["runs"]
    }
    day = int(NOW - DAY) - 60
    assert rows["none"] == [
        [day, 60, "success", 42, 7, "s"],
        [int(NOW) - 55, 0, "success", None, None, None],
    ]


def test_the_calendar_of_a_simulation(command: Command) -> None:
    night = {"schedule_hour": "2", "schedule_minute": "30", "schedule_timezone": "Europe/Berlin"}
    jobs = [
        backup_job("a", container="/c") | {"job_schedule": night, "client_id": "h1"},
        backup_job("b", container="/c") | {"job_schedule": night, "client_id": "h2"},
        timed_job("c", **night) | {"client_id": "h2", "lock": "disk"},
        timed_job("d", **night) | {"client_id": "h2", "lock": "disk"},
        exec_job("off") | {"client_id": "h2"},
    ]
    words = ("simulate", "-", "--days", "1", "--start", "2027-03-28T00:00:00")
    heads = "HOST  JOB  RUNS  OVERLAPS  LATE  BLACKED OUT  WAITS  LONGEST WAIT\n"
    change = "clock change in Europe/Berlin, Sun 2027-03-28 03:00:00 CEST: "
    assert read(command, *words, data=jobs) == (
        f"{heads}"
        "h1    a    1     0         0     0            0      -\n"
        "h2    b    1     0         0     0            0      -\n"
        "h2    c    1     0         0     0            0      -\n"
        "h2    d    1     0         0     0            1      10 min\n"
        "\n"
        "4 runs of 4 jobs in 1 day\n"
        "container /c: at most 2 runs at once, first Sun 2027-03-28 03:00:00 CEST\n"
        f"{change}4 runs on that day\n"
        "lock wait: d on h2, first Sun 2027-03-28 03:00:00 CEST\n"
        "every slot gets its run in time\n"
    )
    often = {"schedule_interval": "5 minutes", "schedule_end_date": "2027-03-28T00:10:00"}
    job = timed_job("o", **often) | {"client_id": "h1"}
    assert read(command, *words, "--duration", "7 minutes", data=job, code=1) == (
        f"{heads}"
        "h1    o    1     1         0     0            0      -\n"
        "\n"
        "1 run of 1 job in 1 day\n"
        f"{change}1 run on that day\n"
        "overlap: o on h1, first Sun 2027-03-28 00:10:00 CET\n"
    )
    assert read(command, *words, data=exec_job("off")) == (
        f"{heads}\n0 runs of 0 jobs in 1 day\nevery slot gets its run in time\n"
    )


MAIL = {"type": "mail", "to": ["root", "ops@example.org"], "tell": ["failure", "recovery"]}


def test_who_is_told_and_what_is_on_its_way(command: Command, host: SimpleNamespace) -> None:
    jobs = [exec_job("a", notify=[MAIL]), exec_job("b")]
    assert command("apply", "-", data=jobs) == 0
    targets = (
        "JOB  TARGET                      TOLD OF\n"
        "a    mail root, ops@example.org  failure, recovery\n"
    )
    assert read(command, "notify") == targets + "\n0 messages on the way\n"
    nobody = "nobody is told of anything: declare notify, of a job or of the host\n"
    assert read(command, "notify", "b") == nobody + "\n0 messages on the way\n"

    outbox = Outbox(command.home / "lib" / "notify")
    for number, job_id in enumerate("ab"):
        message = {"kind": "failure", "job_id": job_id, "run_id": f"r{number}"}
        entry = {"target": MAIL, "message": message, "attempts": number, "detail": "x" * 80}
        waiting = WaitingMessage(int(NOW - 60 * number) * 1_000_000, int(NOW) + 9, f"m{number}")
        outbox.put(entry, waiting, durable=False)
    for number in range(22):
        line = {
            "id": f"d{number}",
            "time": NOW - number + 0.9,
            "target": "mail root",
            "job_id": "a",
        }
        outbox.record({**line, "kind": "failure", "result": "sent", "detail": "y" * number * 4})
    outbox.record({"id": "z", "result": "dropped", "detail": "its file was damaged"})
    answer = command.json("notify")
    assert [row["id"] for row in answer["deliveries"]] == ["z", *(f"d{21 - n}" for n in range(19))]
    assert answer["deliveries"][0]["time"] is None
    assert answer["deliveries"][1]["time"] == "2026-11-18T11:06:19+00:00"
    assert answer["queue"][1] == {
        "id": "m0",
        "target": "mail root, ops@example.org",
        "kind": "failure",
        "job_id": "a",
        "run_id": "r0",
        "since": "2026-11-18T11:06:40+00:00",
        "attempts": 0,
        "next_attempt": "2026-11-18T11:06:49+00:00",
        "detail": "x" * 80,
    }
    when = "Wed 2026-11-18 12:06:"
    shown_lines = read(command, "notify", "a").splitlines()
    assert shown_lines[:9] == [
        *targets.splitlines(),
        "",
        "1 message on the way",
        "TARGET                      KIND     JOB  SINCE                        ATTEMPTS  WHY",
        f"mail root, ops@example.org  failure  a    {when}40 CET  0         {'x' * 57}...",
        "",
        "WHEN                         TARGET     KIND     JOB  RESULT  ANSWER",
        f"{when}19 CET  mail root  failure  a    sent    {'y' * 57}...",
    ]
    assert shown_lines[-1] == f"{when}38 CET  mail root  failure  a    sent    yyyyyyyy"
    lines = read(command, "notify").splitlines()
    assert lines[3] == "2 messages on the way" and len(lines) == 3 + 1 + 3 + 1 + 1 + 20
    assert lines[-20].split() == ["-", "-", "-", "-", "dropped", "its", "file", "was", "damaged"]


def test_several_jobs_in_one_list(command: Command, store: Store) -> None:
    tag = int(NOW - HOUR)
    for number, name in enumerate(("good", "far")):
        run = run_of(name, NOW - HOUR * number, 61) | {"session_id": "s", "session_tag": tag}
        store.add_history(name, run)
    heads = "RUN       STARTED                      TOOK       CAUSE     RESULT   MESSAGE\n"
    good = "good-run  Wed 2026-11-18 12:05:39 CET  1 min 1 s  schedule  success  -\n"
    far = "far-run   Wed 2026-11-18 11:05:39 CET  1 min 1 s  schedule  success  -\n"
    both = f"JOB   {heads}good  {good}far   {far}"
    assert read(command, "history", "--session", "s") == both
    assert read(command, "history", "--session", "s", "-n", "1") == heads + good
    assert read(command, "history", "good", "--session", "s") == heads + good


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"what": "apply"}, "apply: "),
        (
            {"what": "apply", "jobs": [{"job_id": "a", "change": "created"}, 5, {"job_id": "b"}]},
            "apply: a created, b None",
        ),
        ({"what": "apply", "jobs": "a"}, "apply: "),
        ({"what": "event", "event": "start", "job_id": "a"}, "event: start a"),
        ({"what": "run", "job_id": "a", "result": "fail"}, "run: a fail"),
        (
            {
                "what": "run",
                "job_id": "a",
                "result": "success",
                "actions": [
                    {"backup_name": "t", "manifest_sha256": "0123456789abcdef"},
                    "x",
                    {"backup_name": "none"},
                    {"backup_name": "u", "manifest_sha256": "fedcba9876543210"},
                ],
            },
            "run: a success (stored t 0123456789ab, stored u fedcba987654)",
        ),
        ({"what": "run", "job_id": "a", "result": "success", "actions": "x"}, "run: a success"),
        ({"what": "verify", "result": "sound"}, "verify: sound"),
        ({"what": "restore", "backup_name": "t", "result": "fail"}, "restore: t fail"),
        (
            {"what": "restore", "container": "c", "restore_abs_path": "/x", "result": "success"},
            "restore: c to /x success",
        ),
        ({"what": "agent", "action": "admin", "job_id": "a"}, "agent: admin: a"),
        (
            {"what": "agent", "action": "info", "backup_name": "t", "container": "c"},
            "agent: info: t",
        ),
        ({"what": "ledger", "text": "begun"}, "ledger: begun"),
        ({"what": "ledger", "did": "renew"}, "ledger: renew"),
        ({}, "None: "),
    ],
)
def test_an_entry_of_the_ledger_in_a_line(entry: dict[str, Any], text: str) -> None:
    assert ledger.describe(entry) == text


@pytest.mark.parametrize(
    ("job_id", "event", "changed", "after"),
    [
        ("good", "start", True, {"status": "scheduled", "event": ""}),
        ("good", "stop", True, {"status": "stop", "event": ""}),
        ("good", "abort", True, {"status": "stop", "event": ""}),
        ("good", "remove", True, None),
        ("busy", "stop", True, {"status": "running", "event": "stop"}),
        ("busy", "abort", True, {"status": "aborting", "event": "abort"}),
        ("busy", "remove", True, {"status": "removing", "event": "remove"}),
        ("off", "start", True, {"status": "scheduled", "event": ""}),
        ("off", "stop", False, {"status": "stop", "event": ""}),
        ("off", "abort", False, {"status": "stop", "event": ""}),
        ("off", "remove", True, None),
    ],
)
def test_what_an_event_would_change(
    command: Command, store: Store, job_id: str, event: str, changed: bool, after: Any
) -> None:
    answer = command.json("event", job_id, event, "--check")
    assert (command.code, answer["changed"], answer["after"]) == (0, changed, after)
    assert (answer["event"], answer["run"], answer["job"]["job_id"]) == (event, None, job_id)


def test_an_earlier_restore_that_had_success_is_hinted_at(command: Command, store: Store) -> None:
    """Of a play that had lost the connection: the run before, if that was to the same place."""
    call = SimpleNamespace(store=store)
    now = {"run_id": "second", "job_id": "restore:x"}

    def run(run_id: str, message: str, result: str = "success") -> dict[str, Any]:
        made = run_of("restore:x", NOW, 5, result) | {"run_id": run_id}
        made["actions"][0]["message"] = message
        return made

    assert restore._done_before(call, now, "/t") == ""
    store.add_history("restore:x", run("first", "restored 3 files to /t"))
    store.add_history("restore:x", run("second", "/t is not empty: nothing was restored to /t"))
    told = "the run before it, first, had success: restored 3 files to /t"
    assert restore._done_before(call, now, "/t") == told
    assert restore._done_before(call, now, "/elsewhere") == ""


def test_what_the_runner_has_seen_is_told_as_it_is_and_else_foreseen(
    command: Command, store: Store
) -> None:
    def listed() -> tuple[str, str]:
        (job,) = command.json("list", "good")["jobs"]
        return job["next_run"], job["reason"]

    planned = {"next_run": "2036-11-26T03:00:00+00:00", "reason": "as it was planned"}
    store.commit_states({"good": store.states()["good"]._replace(**planned)})
    assert listed() == tuple(planned.values())
    later = backup_job("good") | {"job_schedule": {**NIGHTLY, "schedule_hour": "5"}}
    assert command("apply", "-", data=later) == 0
    assert listed() == ("2026-11-19T04:00:00+00:00", "not yet seen by the runner")


def test_a_log_that_cannot_be_read_is_not_taken_for_none(command: Command, store: Store) -> None:
    path = store.paths.run_log("good", "good-run")
    path.mkdir(parents=True)
    error = command.error("log", "good", "good-run")
    assert (error["code"], error["message"]) == (69, f"{path}: cannot be read: Is a directory")
