# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands share and what needs no installation: words, tables, waiting, sessions."""

from __future__ import annotations

import argparse
import itertools
import time
from contextlib import redirect_stdout
from datetime import datetime, timedelta, timezone
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldchain.agent.engines.base import Backup, Flaw, Verification
from coldchain.agent.receipts import Receipt
from coldchain.agent.storages.location import Location
from coldchain.cli import arguments, backups, restore_points, verify, waiting
from coldchain.cli.collisions import Locks
from coldchain.cli.context import Call
from coldchain.cli.findings import show_findings
from coldchain.cli.job_series import JobSeries
from coldchain.cli.output import Output, age, cell, copyable, instant
from coldchain.cli.scopes import Scope, exists
from coldchain.cli.sessions import point_key, summary, written_points
from coldchain.cli.waiting import Wait, failure_of, wait_for, who_asks
from coldchain.cli.yaml_text import to_yaml
from coldchain.core.errors import TryAgain, Unavailable
from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.observe.findings import Finding
from coldchain.store import State, Store

BERLIN = ZoneInfo("Europe/Berlin")


def test_yaml_is_written_as_people_write_it() -> None:
    value = {"a": {"b": [], "c": ["x", {"d": 1, "e": "two words"}], "f": {}}, "yes": "no"}
    assert to_yaml(value) == (
        'a:\n  b: []\n  c:\n    - x\n    - d: 1\n      e: two words\n  f: {}\n"yes": "no"\n'
    )
    assert to_yaml([]) == "[]\n" and to_yaml({}) == "{}\n" and to_yaml(None) == "null\n"
    for plain in ("/srv/x y-z (1)", "yesterday", "nano", "a.b+c@d"):
        assert to_yaml(plain) == f"{plain}\n"
    for quoted in ("yes", "No", "NULL", "1a", "a: b", "a #b", " a", "a ", "~", "", "ü"):
        assert to_yaml(quoted) == f'"{quoted}"\n'
    assert to_yaml('a\nb"\\') == '"a\\U0000000ab\\"\\\\"\n'
    assert to_yaml([1.5, True, "x"]) == "- 1.5\n- true\n- x\n"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "a moment"),
        (119, "a moment"),
        (120, "2 minutes"),
        (7199, "119 minutes"),
        (7200, "2 hours"),
        (2 * 86400 - 1, "47 hours"),
        (2 * 86400, "2 days"),
        (2 * 2_629_800 - 1, "60 days"),
        (2 * 2_629_800, "2 months"),
        (2 * 31_557_600 - 1, "23 months"),
        (2 * 31_557_600, "2 years"),
    ],
)
def test_an_age_is_in_one_unit(seconds: float, words: str) -> None:
    assert age(seconds) == words


def test_a_wall_time_can_be_given_back() -> None:
    summer = datetime(2026, 10, 25, 0, 30, 0, 999, tzinfo=timezone.utc)
    assert copyable(summer, BERLIN) == "2026-10-25T02:30:00+02:00"  # there are two of them
    assert copyable(summer + timedelta(hours=1), BERLIN) == "2026-10-25T02:30:00+01:00"
    assert copyable(summer - timedelta(hours=3), BERLIN) == "2026-10-24T23:30:00"
    assert instant(summer, BERLIN) == "Sun 2026-10-25 02:30:00 CEST" and instant(None, BERLIN) == ""


def test_a_table_is_as_wide_as_it_has_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table(("A", "LONG"), [("x", None), ("three", ""), (0, "a\x1bb")], ["good", "", "bad"])
    assert capsys.readouterr().out == "A      LONG\nx      -\nthree  -\n0      a\\x1bb\n"
    assert [cell(value) for value in (None, "", 0, False)] == ["-", "-", "0", "False"]


@given(st.lists(st.text(st.sampled_from("ab-/._ "), max_size=120), max_size=8))
def test_no_name_in_a_finding_is_broken_in_two(words: list[str]) -> None:
    text = " ".join(words)
    with redirect_stdout(StringIO()) as shown:
        show_findings(Output(), [Finding("warning", "job nightly-www", text, "do it")])
    *lines, remedy = shown.getvalue().splitlines()
    assert " ".join(lines).split() == f"warning: job nightly-www: {text}".split()
    assert remedy == "  -> do it"
    for line in lines:
        assert len(line) <= 80 or " " not in line.strip()


@pytest.mark.parametrize(
    ("terminal", "variables", "coloured"),
    [
        (True, {"TERM": "xterm"}, True),
        (False, {"TERM": "xterm"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {}, False),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, True),
    ],
)
def test_colours_are_for_terminals_of_people_who_want_them(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
    variables: dict[str, str],
    coloured: bool,
) -> None:
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    Output().line("well", "good")
    Output().line("plain")
    well = "\x1b[32mwell\x1b[0m" if coloured else "well"
    assert capsys.readouterr().out == f"{well}\nplain\n"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("whole_number", ["0", "7", "999999999"], ["", "-1", "1.5", "1000000000", "²", "a"]),
        ("positive_number", ["1", "999999999"], ["0", "-1", "00"]),
        ("port", ["1", "22", "65535"], ["0", "65536", "ssh"]),
        ("_tag", ["0", "999999999999"], ["-1", "1000000000000", "x", "²"]),
    ],
)
def test_numbers_of_a_command_line(kind: str, good: list[str], bad: list[str]) -> None:
    read = getattr(arguments, kind)
    assert [read(text) for text in good] == [int(text) for text in good]
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError):
            read(text)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (arguments.number_up_to(5), {"1": 1, "5": 5}, ["0", "6", "x"]),
        (
            arguments.instant_text,
            {text: text for text in ("1970-01-01", "2026-11-24T02:30:00+01:00", "9998-12-31")},
            ["1969-12-31", "9999-01-01", "tomorrow"],
        ),
        (
            arguments.duration_seconds,
            {"90": 90, "2 hours": 7200},
            ["", "2 moons", "9999999999999999 days"],
        ),
    ],
)
def test_times_of_a_command_line(kind: Any, good: dict[str, Any], bad: list[str]) -> None:
    assert {text: kind(text) for text in good} == good
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError):
            kind(text)


# -- waiting -------------------------------------------------------------------------------------


class Asked:
    """A store that answers what it was told to."""

    def __init__(self, state: State | None, *, done: bool = True, alive: bool = True) -> None:
        self._state, self._done, self._alive = state, done, alive
        self.looks = 0

    def state(self, job_id: str) -> State | None:
        assert job_id == "j"
        return self._state

    def event_done(self, request: str) -> bool:
        assert request == "r1"
        return self._done

    def runner_alive(self) -> bool:
        self.looks += 1
        return self._alive


def wait(state: State | None, event: str = "start", request: str = "r1", **asked: Any) -> Wait:
    return Wait(cast("Store", Asked(state, **asked)), "j", event, request, "before")


NOW = time.time()
DUE, LATER = [{"at": NOW - 9}], [{"at": NOW + 9999}, {"at": NOW + 99999}]


@pytest.mark.parametrize(
    ("event", "state", "over"),
    [
        ("start", None, True),
        ("start", State(status="running"), False),
        ("start", State(status="scheduled"), True),
        ("start", State(status="scheduled", queue=[*LATER, *DUE]), False),
        ("start", State(status="scheduled", queue=LATER), True),
        ("start", State(status="stop", queue=DUE), True),
        ("stop", State(status="scheduled", queue=DUE), True),
        ("abort", State(status="aborting"), False),
        ("stop", State(status="stop"), True),
        ("remove", State(status="stop"), False),
        ("remove", None, True),
    ],
)
def test_when_a_request_is_done(event: str, state: State | None, over: bool) -> None:
    assert wait(state, event).over() is over
    assert wait(state, event, request="").over() is over
    assert wait(state, event, done=False).over() is False
    assert wait(state, event, request="", done=False).over() is over


def test_the_run_of_a_request_is_one_that_ended_after_it() -> None:
    assert wait(None).run() is None and wait(State()).run() is None
    assert wait(State(last_run={"run_id": "before"})).run() is None
    run = {"run_id": "after"}
    assert wait(State(last_run=run)).run() == run == wait_for(wait(State(last_run=run)), 0)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses of whoever waits; the clock moves by nothing else."""
    pauses: list[float] = []
    monkeypatch.setattr(waiting.time, "monotonic", lambda: 50.0 + sum(pauses))
    monkeypatch.setattr(waiting.time, "sleep", pauses.append)
    return pauses


def test_a_wait_ends_at_its_time_and_looks_at_the_runner_now_and_then(slept: list[float]) -> None:
    watched = itertools.count()
    waited = wait(State(status="running"))
    with pytest.raises(TryAgain, match="start of job j is not done after 10 seconds") as late:
        wait_for(waited, 10, lambda: cast("None", next(watched)))
    assert "coldchain explain j" in late.value.hint
    assert sum(slept) == pytest.approx(10)
    assert slept[:3] == pytest.approx([0.02, 0.03, 0.045]) and max(slept) == 0.5
    assert next(watched) == len(slept) + 1
    assert 3 <= cast("Asked", waited.store).looks <= 5, "every two seconds"


def test_a_wait_ends_with_its_runner(slept: list[float]) -> None:
    with pytest.raises(Unavailable, match="the runner ended") as ended:
        wait_for(wait(State(status="running"), alive=False), 100)
    assert "coldchain list j" in ended.value.hint and 2.0 <= sum(slept) < 3.0


def test_what_of_a_run_is_a_failure() -> None:
    assert failure_of("j", None) is None and failure_of("j", {"result": "success"}) is None
    bad = {"result": "fail", "run_id": "r", "log": "/x", "actions": [], "reason": "why"}
    failure = failure_of("j", bad)
    assert failure is not None and failure.message == "job j: fail: why"
    assert failure.hint == "coldchain log j r shows its log"
    failure = failure_of("j", {"result": "", "run_id": "r", "actions": []})
    assert failure is not None and (failure.message, failure.hint) == ("job j: no result", "")


def test_who_asks_is_a_person_as_far_as_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "a" * 200)
    assert who_asks() == "a" * 100
    monkeypatch.setenv("SUDO_USER", "")
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "b" * 200)
    assert who_asks() == "b" * 100

    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(waiting.getpass, "getuser", nobody)
    monkeypatch.setattr(waiting.os, "getuid", lambda: 4711)
    assert who_asks() == "user id 4711"


# -- sessions and locks ----------------------------------------------------------------------------


def member(job_id: str, tag: int | None, result: str = "success", status: str = "scheduled") -> Any:
    run = None if tag is None else {"session_id": "s", "session_tag": tag, "result": result}
    return {"job_id": job_id, "status": status, "last_run": run}


@pytest.mark.parametrize(
    ("jobs", "tag", "result", "results"),
    [
        ([], None, "", {}),
        ([member("a", None)], None, "", {"a": ""}),
        ([member("a", 5), member("b", 5)], 5, "success", {"a": "success", "b": "success"}),
        ([member("a", 5), member("b", 4)], 5, "", {"a": "success", "b": ""}),
        ([member("a", 5), member("b", 5, "aborted")], 5, "fail", {"a": "success", "b": "aborted"}),
        ([member("a", 5, "fail"), member("b", None)], 5, "fail", {"a": "fail", "b": ""}),
        ([member("a", 5), member("b", 4, "fail")], 5, "", {"a": "success", "b": ""}),
        ([member("a", 5, status="running")], 5, "running", {"a": "success"}),
        ([member("a", 5, "fail", "aborting")], 5, "running", {"a": "fail"}),
    ],
)
def test_how_the_newest_run_of_a_session_went(
    jobs: list[Any], tag: int | None, result: str, results: dict[str, str]
) -> None:
    whole = {"session_id": "s", "session_tag": tag, "result": result, "jobs": results}
    assert summary(jobs, "s") == whole
    other = member("z", 9)
    other["last_run"]["session_id"] = "other"
    foreign = summary([*jobs, other], "s")
    assert foreign["session_tag"] == tag and foreign["jobs"] == {**results, "z": ""}


def test_points_are_those_of_reports_that_tell_a_time() -> None:
    report = {"time_stamp": 7, "chain": 1, "level": 0, "files": 3}
    runs = [
        {"actions": [{"report": report}, {"report": {"files": 1}}, {"report": None}, {}]},
        {},
    ]
    assert written_points(runs) == [report]
    assert point_key(report) == (None, None, None, None, 1, 0, 7)


def test_jobs_of_one_lock_are_told_of_each_other(tmp_path: Any) -> None:
    anchor = datetime(2026, 5, 1, tzinfo=timezone.utc)
    hours = {"a": "2", "b": "2", "c": "3", "stopped": "2", "lost": "2"}
    documents: dict[str, Any] = {
        job_id: {"job_id": job_id, "lock": "disk", "job_schedule": {"schedule_hour": hour,
                 "schedule_minute": "0", "schedule_timezone": "UTC"}}
        for job_id, hour in hours.items()
    }  # fmt: skip
    documents["stopped"]["job_schedule"]["status"] = "stop"
    documents["lost"]["job_schedule"]["schedule_timezone"] = "Mars/Base"
    documents["free"] = {**documents["a"], "job_id": "free"}
    del documents["free"]["lock"]
    documents["elsewhere"] = {**documents["a"], "job_id": "elsewhere", "lock": "other"}
    took: dict[str, float] = {}
    with_anchor = {job_id: (document, anchor) for job_id, document in documents.items()}
    settings = Settings.load(Paths.under(tmp_path))

    def mark(job_id: str, hour: int, minute: int = 0) -> str:
        locks = Locks(settings, with_anchor, took.get)
        return locks.mark(
            documents[job_id], datetime(2026, 6, 1, hour, minute, tzinfo=timezone.utc)
        )

    assert mark("a", 2) == "  (lock disk: also due: b)"
    assert mark("c", 3) == mark("free", 2) == mark("elsewhere", 2) == ""
    took["b"] = 1800.0
    assert mark("a", 2, 30) == "  (lock disk: also due: b)" and mark("a", 2, 31) == ""
    took["a"] = 3600.0
    assert mark("a", 2) == "  (lock disk: also due: b, c)"
    assert mark("c", 3) == "  (lock disk: also due: a)"


# -- backups ---------------------------------------------------------------------------------------

MOMENT = 1_795_000_000  # Wed 2026-11-18 11:06:40 UTC
SEALED = {"encrypted": True, "encrypt_scheme": "strong"}


def point(level: int = 0, **fields: Any) -> Backup:
    base: dict[str, Any] = {
        "storage": "local", "container": "/c", "hostname": "h", "backup_name": "docs",
        "chain": MOMENT, "level": level, "time": "", "time_stamp": MOMENT + level * 3600,
        "size": 1000, "files": 3, "engine": "tar", "compression": "gzip", "encrypted": False,
        "encrypt_scheme": None, "restorable": True, "reason": "",
    }  # fmt: skip
    return Backup(**{**base, **fields})


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Of a command at a host in UTC, three days after the moment."""
    monkeypatch.setattr(time, "time", lambda: MOMENT + 3.0 * 86400)
    paths = Paths.under(tmp_path)
    made = Call(argparse.Namespace(), paths, Output())
    vars(made)["settings"] = Settings.load(paths)._replace(timezone="UTC")
    return made


def test_points_in_time_as_people_see_them(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    full, quick = Receipt(MOMENT, "full", "sound"), Receipt(MOMENT + 86400, "quick", "damaged")
    restore_points.show(
        call,
        [
            point(1, restorable=False, reason="level 0 is missing", verified=quick),
            point(0, verified=full, size=2_500_000),
            point(0, backup_name="db", storage="s3", container="b/c", **SEALED),
            point(0, backup_name="etc", **SEALED),
            point(1, backup_name="etc"),
        ],
    )
    out = capsys.readouterr().out
    assert out == (
        "docs of h, in /c\n"
        "TIME (UTC)           AGE     LEVEL  SIZE    VERIFIED             RESTORABLE\n"
        "2026-11-18T11:06:40  3 days  0      2.5 MB  full, 3 days ago     yes\n"
        "2026-11-18T12:06:40  2 days  1      1.0 kB  damaged, 2 days ago  no: level 0 is missing\n"
        "\n"
        "etc of h, in /c\n"
        "TIME (UTC)           AGE     LEVEL  SIZE    VERIFIED  RESTORABLE\n"
        "2026-11-18T11:06:40  3 days  0      1.0 kB  never     yes, encrypted\n"
        "2026-11-18T12:06:40  2 days  1      1.0 kB  never     yes\n"
        "\n"
        "db of h, in b/c on s3 (encrypted)\n"
        "TIME (UTC)           AGE     LEVEL  SIZE    VERIFIED  RESTORABLE\n"
        "2026-11-18T11:06:40  3 days  0      1.0 kB  never     yes\n"
    )


def test_what_a_verification_says(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    flaw = Flaw("h", "docs", MOMENT, 1, "truncated", "data: 5 bytes of 9")
    spare = Flaw("h", "docs", MOMENT, 2, "orphaned", "1_5 belongs to no backup")
    well = Verification("full", (spare,), (point(0),), (), 2, 1, ("slow",))
    bad = Verification("full", (flaw,), (), (point(1),), 1, 1, ())
    assert (well.sound, bad.sound) == (True, False)
    verify._report(call, [well])
    told = capsys.readouterr()
    assert told.err == "coldchain: slow\n"
    assert told.out == (
        "orphaned: 1_5 belongs to no backup\n"
        "2 levels checked, 1 of them read to their last byte:"
        " 1 point in time can be restored, 0 lost\n"
    )
    verify._report(call, [well, bad])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == ["truncated: data: 5 bytes of 9", "lost:"]
    assert lines[3:5] == ["docs of h, in /c", lines[9]] and lines[8] == "docs of h, in /c"
    assert lines[6:8] == ["", "can still be restored:"] and lines[11] == ""
    assert lines[12].startswith("3 levels checked, 2 of them read")
    assert lines[12].endswith(" 1 point in time can be restored, 1 lost")
    assert bad.as_dict()["lost"] == [point(1).as_dict()]


@pytest.mark.parametrize(
    ("scheme", "fields", "reason"),
    [
        (None, {}, ""),
        (None, SEALED, ""),
        ("strong", SEALED, ""),
        ("freezer", SEALED, "encrypt_scheme strong, freezer was asked for"),
        ("strong", {}, "not encrypted, strong was asked for"),
        ("strong", {"restorable": False, "reason": "lost"}, "lost"),
    ],
)
def test_a_point_of_another_encryption_is_none_to_restore(
    scheme: str | None, fields: dict[str, Any], reason: str
) -> None:
    wanted = backups._wanted(point(**fields), scheme)
    assert (wanted.restorable, wanted.reason) == (not reason, reason)


def test_why_there_is_nothing_to_show(call: Call, tmp_path: Path) -> None:
    own = call.settings.containers_dir
    here, gone, far = (
        Location.local(tmp_path), Location.local(tmp_path / "gone"), Location("s3", "b"),
    )  # fmt: skip

    def why(*places: Location) -> str:
        return backups.nothing_found(call, [Scope(place, "tar") for place in places])

    assert why() == (
        f"no job writes a backup and none lies in {own}; coldchain backups --container C looks in"
        " another place"
    )
    assert why(gone, gone) == f"no backup: there is no {tmp_path}/gone yet"
    assert why(gone, here) == f"no such backup in {tmp_path}"
    assert why(far, here) == f"no such backup in b on s3, {tmp_path}"
    assert [exists(place) for place in (here, gone, far)] == [True, False, True]
    (tmp_path / "file").touch()
    assert not exists(Location.local(tmp_path / "file"))
    assert not exists(Location.local(tmp_path / "file" / "below"))


HERE = Scope(Location("local", "/c"), "tar", "h", "docs")
BAD = {"restorable": False, "reason": "it is damaged"}
SOUND = Receipt(MOMENT, "full", "sound")


@pytest.mark.parametrize(
    ("points", "begun", "severities", "text"),
    [
        ([], None, [], ""),
        ([], MOMENT, ["critical"], "nothing to restore: none lies in "),
        ([point(**BAD)], MOMENT, ["critical"], "nothing to restore: it is damaged"),
        (
            [point(), point(1, **BAD)],
            MOMENT,
            ["warning", "info"],
            "1 of 2 points cannot",
        ),
        ([point(**BAD)], None, ["warning"], "1 of 1 point cannot be restored: it is damaged"),
        ([point()], MOMENT, ["info"], "it was never verified on this host"),
        ([point(verified=SOUND)], MOMENT, [], ""),
        ([point(verified=SOUND)], MOMENT + 0.9, [], ""),
        ([point(verified=SOUND)], MOMENT + 1, ["warning"], "older than the last success"),
        (
            [point(verified=SOUND), point(1, ahead=True)],
            None,
            ["warning"],
            "1 of 2 points were",
        ),
    ],
)
def test_what_is_to_be_said_of_the_points_of_a_job(
    points: list[Backup], begun: float | None, severities: list[str], text: str
) -> None:
    job: Any = SimpleNamespace(successes=SimpleNamespace(last_began=begun))
    found = list(JobSeries("j", HERE, points).findings(job))
    assert [one.severity for one in found] == severities
    assert {one.about for one in found} <= {"backup docs"}
    assert text in (found[0].text if found else ""), found


@pytest.mark.parametrize(("begun", "severity"), [(None, "warning"), (MOMENT, "critical")])
def test_points_that_are_not_known_are_worse_where_there_should_be_some(
    begun: float | None, severity: str
) -> None:
    job: Any = SimpleNamespace(successes=SimpleNamespace(last_began=begun))
    error = Unavailable("no way to it", "find one")
    (one,) = JobSeries("j", HERE, [], error).findings(job)
    assert (one.severity, one.remedy) == (severity, "find one")
    assert one.text == "what can be restored is not known: no way to it"
