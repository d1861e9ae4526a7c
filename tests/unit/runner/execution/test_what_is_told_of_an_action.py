# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of each action while it runs and after it, and whose processes belong to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import until

from coldchain.core.errors import DataError, Unavailable
from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.execution import command, launch, live_progress, members, runfile
from coldchain.execution.attempts import Attempts
from coldchain.execution.members import Mark, Member
from coldchain.execution.outcome import Outcome
from coldchain.execution.plan import ABORTED, FAIL, SUCCESS, ActionSpec, Attempt
from coldchain.execution.run_log import RunLog
from coldchain.execution.runfile import Cause, RunProgress

EXEC = ActionSpec({"action": "exec", "command": ["true"]})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the wall clock shows."""
    shown = [1000.0]
    monkeypatch.setattr(time, "time", lambda: shown[0])
    return shown


def test_the_record_of_an_action_that_is_tried_twice(clock: list[float]) -> None:
    progress = RunProgress([EXEC, ActionSpec({})])
    pending = {
        "action": "exec", "result": "", "attempts": 0, "exit_code": None, "message": "",
        "time_started": None, "time_ended": None, "duration": 0.0,
    }  # fmt: skip
    assert progress.actions == [pending, {**pending, "action": "backup"}]
    progress.attempt_begins(0, 1)
    assert progress.actions[0] == {**pending, "attempts": 1, "time_started": 1000.0}
    clock[0] = 1002.5004
    progress.attempt_ended(0, Outcome(FAIL, 75, "not now"))
    told = {
        **pending, "attempts": 1, "time_started": 1000.0, "result": FAIL, "exit_code": 75,
        "message": "not now", "time_ended": 1002.5, "duration": 2.5, "soft": True,
    }  # fmt: skip
    assert progress.actions[0] == told
    clock[0] = 1010.0
    progress.attempt_begins(0, 2)
    assert progress.actions[0] == {**told, "attempts": 2}, "it has begun with the first"
    clock[0] = 1011.0
    progress.attempt_ended(0, Outcome(ABORTED, None, "told to", {"files": 3}, hopeless=True))
    last = progress.actions[0]
    assert (last["attempts"], last["duration"], last["report"]) == (2, 11.0, {"files": 3})
    assert progress.attempts[0] == [
        Attempt(FAIL, 75, 1002.5004), Attempt(ABORTED, None, 1011.0, hopeless=True),
    ]  # fmt: skip
    assert progress.attempts[1] == [] and progress.actions[1] == {**pending, "action": "backup"}


def test_a_clock_that_is_set_back_makes_no_duration_negative(clock: list[float]) -> None:
    progress = RunProgress([EXEC])
    progress.attempt_begins(0, 1, ago=4.25)
    assert progress.actions[0]["time_started"] == 995.75
    clock[0] = 10.0
    progress.attempt_ended(0, Outcome(SUCCESS, 0, "done"))
    assert progress.actions[0]["duration"] == 0.0
    assert "soft" not in progress.actions[0] and "report" not in progress.actions[0]
    never = RunProgress([EXEC])
    never.attempt_ended(0, Outcome(FAIL, None, "could not be started"))
    assert never.actions[0]["duration"] == 0.0


def test_a_clean_up_is_told_and_that_it_failed_too() -> None:
    progress = RunProgress([EXEC, EXEC])
    progress.uncleaned = (0, 1)
    progress.actions[0]["message"] = "killed"
    progress.clean_up_ended(0, Outcome(SUCCESS, 0, "removed"))
    assert progress.uncleaned is None and progress.actions[0]["message"] == "killed"
    assert progress.actions[0]["clean_up"] == {"result": SUCCESS, "message": "removed"}
    progress.clean_up_ended(0, Outcome(FAIL, 1, "no"))
    assert progress.actions[0]["message"] == "killed; its clean-up failed: no"
    progress.skip(1)
    assert progress.skipped == [False, True]
    assert progress.actions[1]["result"] == "skipped"
    assert progress.actions[1]["message"] == "skipped: an earlier action failed"
    progress.name_processes(0, "left", [Member(1, 2, "a")])
    progress.name_processes(0, "left", [Member(3, 4, "b")])
    assert progress.actions[0]["left"] == [
        {"pid": 1, "command": "a"}, {"pid": 3, "command": "b"},
    ]  # fmt: skip


@given(
    attempts=st.lists(
        st.builds(
            Attempt,
            st.sampled_from([SUCCESS, FAIL]),
            st.none() | st.integers(0, 255),
            st.floats(0, 2e9),
            st.booleans(),
        ),
        max_size=3,
    ),
    aborted=st.sampled_from(["", "because"]),
    killed=st.booleans(),
    uncleaned=st.none() | st.tuples(st.integers(0, 3), st.integers(1, 3)),
)
def test_what_has_happened_is_read_again_with_what_a_later_release_adds(
    attempts: list[Attempt], aborted: str, killed: bool, uncleaned: tuple[int, int] | None
) -> None:
    progress = RunProgress([EXEC])
    progress.attempts[0] = attempts
    progress.aborted, progress.killed, progress.uncleaned = aborted, killed, uncleaned
    kept = json.loads(json.dumps(progress.as_dict()))
    assert vars(RunProgress.from_dict({**kept, "of_a_later_release": 1})) == vars(progress)
    del kept["boot"], kept["killed"], kept["uncleaned"]
    old = RunProgress.from_dict(kept)
    assert (old.boot, old.killed, old.uncleaned, old.age()) == ("", False, None, None)


def test_the_age_of_a_run_is_known_in_its_boot_only() -> None:
    progress = RunProgress([EXEC])
    progress.began -= 50.0
    assert progress.age() == pytest.approx(50.0, abs=5)
    progress.boot = "another"
    assert progress.age() is None


def test_a_new_record_names_its_run_by_the_second(clock: list[float]) -> None:
    clock[0] = 1_700_049_600.98765
    first, second = (runfile.new_record("j", Cause("event", "slot")) for _ in range(2))
    assert first["run_id"].startswith("20231115T120000Z-") and first["run_id"] != second["run_id"]
    del first["run_id"]
    assert first == {
        "job_id": "j", "cause": "event", "scheduled_for": "slot", "time_started": 1700049600.988,
        "time_ended": None, "result": "", "actions": [],
    }  # fmt: skip


# -- how far it is ----------------------------------------------------------------------------

NOTHING = {
    "message": "", "files": 0, "bytes": 0, "total": None, "estimated": False, "rate": 0.0,
    "eta_seconds": None, "time": None,
}  # fmt: skip


def test_what_is_told_is_of_the_newest_attempt_until_it_ends(tmp_path: Path) -> None:
    assert live_progress.read(tmp_path) is None
    assert live_progress.read(tmp_path / "gone") is None
    for name in (
        "1.9.pid",
        "2.10.pid",
        "2.9.pid",
        "2.10.clean-up.pid",
        "3.1.json",
        "run.json",
        "x",
    ):
        (tmp_path / name).touch()
    assert live_progress.read(tmp_path) == {"action": 2, "attempt": 10, **NOTHING}
    report = tmp_path / "2.10.progress.json"
    report.write_text("{")
    assert live_progress.read(tmp_path) == {"action": 2, "attempt": 10, **NOTHING}
    report.write_text('{"files": 3}')
    assert live_progress.read(tmp_path) == {"action": 2, "attempt": 10, **NOTHING, "files": 3}
    (tmp_path / "2.10.exit_code").touch()
    assert live_progress.read(tmp_path) is None


def test_each_attempt_has_files_of_its_own(tmp_path: Path) -> None:
    paths = Paths.under(tmp_path)
    made = Attempts(tmp_path, RunLog(tmp_path / "log"), paths, Settings.load(paths), {})
    assert made.path((0, 1)) == tmp_path / "1.1"
    assert made.path((1, 12)) == tmp_path / "2.12"
    assert made.clean_up_path((1, 12)) == tmp_path / "2.12.clean-up"
    assert made.find(EXEC, (0, 1)) is None and made.find_clean_up((0, 1)) is None


def test_a_command_sees_who_it_is_and_no_secret_of_a_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RCLONE_CONFIG_PASS", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    monkeypatch.setenv("ORDINARY", "1")
    paths = Paths.under(tmp_path)
    names = {"COLDCHAIN_JOB": "j", "MINE": "ours", "OWN": "names"}
    made = Attempts(tmp_path, RunLog(tmp_path / "log"), paths, Settings.load(paths), names)
    script = {"OWN": "job's", "SET": "x"}
    spec = ActionSpec({"action": "exec", "command": ["env"], "environment": script})
    present = made.begin(spec, (1, 3))
    assert present.process.ended(30.0)
    present.command_ended()
    assert present.over and present.ending is not None and present.ending.code == 0
    lines = (tmp_path / "log").read_text().splitlines()
    assert {"ORDINARY=1", "SET=x", "COLDCHAIN_JOB=j", "MINE=ours", "OWN=names"} <= set(lines)
    assert {"COLDCHAIN_ACTION=2", "COLDCHAIN_ATTEMPT_NUMBER=3"} <= set(lines)
    assert not [line for line in lines if "=secret" in line or line.startswith("NOTIFY")]
    again = made.find(spec, (1, 3))
    assert again is not None and again.over and again.ending == present.ending
    agents = launch.executor_of(ActionSpec({})).inherited()
    assert agents["RCLONE_CONFIG_PASS"] == "secret" and "NOTIFY_SOCKET" not in agents


def test_what_keeps_a_command_from_starting(tmp_path: Path) -> None:
    paths = Paths.under(tmp_path)
    settings = Settings.load(paths)
    place = {"action": "exec", "command": ["true"], "working_directory": str(tmp_path / "no")}
    for options, given_settings, error in (
        (EXEC.action, settings._replace(allow_exec=False), DataError),
        (place, settings, Unavailable),
    ):
        spec = ActionSpec(options)
        with pytest.raises(error):
            launch.executor_of(spec).process(spec, paths, given_settings, tmp_path / "1.1")
    assert launch.executor_of(EXEC).spares and not launch.executor_of(ActionSpec({})).spares


@pytest.mark.parametrize("rest", ["", "/below"])
def test_a_directory_in_a_home_is_found_there(monkeypatch: pytest.MonkeyPatch, rest: str) -> None:
    monkeypatch.setenv("HOME", "/of/ours")
    base = {**EXEC.action, "working_directory": f"~{rest}"}
    assert command.command(base).working_directory == f"/of/ours{rest}"
    monkeypatch.setattr(command, "_as_user", lambda user: ([], {}))
    its_own = command.command({**base, "user": "root"}).working_directory
    assert its_own == os.path.expanduser(f"~root{rest}")


@pytest.mark.parametrize("name", ["backup", "restore", "admin", "exec", "info"])
@pytest.mark.parametrize("report", [{}, {"message": "done"}])
def test_who_leaves_something_to_clean_up(name: str, report: dict[str, Any]) -> None:
    wanted = name in ("backup", "restore", "admin") and not report
    assert launch.needs_clean_up(ActionSpec({"action": name}), report) == wanted


# -- processes --------------------------------------------------------------------------------


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that belongs to nobody's attempt."""
    with subprocess.Popen(["sleep", "60"]) as process:
        until(lambda: members.member(process.pid) is not None)
        yield process
        process.kill()


def test_a_number_that_was_given_away_again_is_another_process(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    mark = Mark.of(tmp_path)
    known = members.member(stranger.pid)
    assert known is not None and known.alive()
    other = known._replace(start=known.start - 1)
    assert members.members(mark, None, [known], set()) == [members.member(stranger.pid)]
    assert members.members(mark, None, [other], set()) == []
    assert members.members(mark, known, [], set()) == [], "a wrapper is none of them"
    assert not other.alive()
    other.send(signal.SIGKILL)
    time.sleep(0.05)
    assert stranger.poll() is None and known.alive(), "no signal reaches another process"
    known.send(signal.SIGKILL)
    until(lambda: not known.alive())  # a zombie, as nobody has waited for it yet
    assert members.members(mark, None, [known], set()) == []
    stranger.wait(10)
    known.send(signal.SIGKILL)
    assert members.member(stranger.pid) is None and not known.alive()


def test_the_mark_of_an_attempt_is_its_own_and_is_inherited(tmp_path: Path) -> None:
    marks = []
    for name in ("1.1", "1.2"):
        marks.append(Mark.of(tmp_path / name))
        assert Mark.of(tmp_path / name) == marks[-1] and marks[-1].limit > 1 << 60
    first, second = marks
    assert first.limit != second.limit
    limits = "/proc/self/limits"
    before = Path(limits).read_text()
    with first.inherited(), subprocess.Popen(["sleep", "60"]) as child:
        assert first.on(child.pid) and not second.on(child.pid)
        assert members.members(first, None, [], set()) == [members.member(child.pid)]
        assert members.members(second, None, [], set()) == []
        behind = members.left_behind(first, child.pid - 1, None, 1.0)
        assert behind == [members.member(child.pid)]
        assert members.left_behind(first, child.pid, None, 1.0) == []
        assert members.left_behind(second, child.pid - 1, None, 1.0) == []
        far = members.left_behind(first, child.pid - 1, None, 100.0)
        assert [member.pid for member in far] == [child.pid]
        child.kill()
    assert Path(limits).read_text() == before, "and not by what is started after it"


def test_a_process_that_kept_only_the_environment_belongs_to_the_attempt(tmp_path: Path) -> None:
    mark = Mark.of(tmp_path)
    for text, belongs in ((str(tmp_path), True), (f"{tmp_path}x", False)):
        environment = {**os.environ, "COLDCHAIN_ATTEMPT": text}
        with subprocess.Popen(["sleep", "60"], env=environment) as child:
            # A moment after the start of a program the kernel shows an empty one.
            until(Path(f"/proc/{child.pid}/environ").read_bytes)
            assert mark.in_environment(child.pid) == belongs
            mine = members.members(mark, None, [], set())
            assert [member.pid for member in mine] == ([child.pid] if belongs else [])
            child.kill()
    assert str(Member(7, 1, "sh")) == "7 (sh)"
