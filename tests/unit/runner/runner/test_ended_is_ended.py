# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that was ended has no process left, whatever its command has done to get away; what a
command that ended by itself leaves behind is left alone."""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_users import NOBODY, as_nobody
from cli_command import Command
from control_groups import mounted
from sleepers import ESCAPES, Sleeper, nested
from waiting import ended, until

from coldchain.execution import cgroup, members, orphans, supervision
from coldchain.execution.members import Member

_ROOT = os.geteuid() == 0


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    made = Sleeper()
    yield made
    made.kill()


@pytest.fixture(params=["no group", "version 2", "version 1"])
def groups(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Attempts with a control group of each version, and without one."""
    if request.param == "no group":
        monkeypatch.setattr(cgroup, "delegated", lambda: None)
        yield request.param
        return
    if not _ROOT:
        pytest.skip("only root mounts control groups")
    with mounted(tmp_path / "cgroup", request.param) as base:
        monkeypatch.setattr(cgroup, "delegated", lambda: base)
        yield request.param
        # What was killed a moment ago may still be on its way out: the next end removes its group.
        until(lambda: cgroup.sweep() or not list(base.glob("coldchain-*")))


def record(host: Any, job_id: str = "j", count: int = 1) -> dict[str, Any]:
    run: dict[str, Any] = host.runs(job_id, count)[0]
    return run


@pytest.mark.parametrize("escape", ESCAPES)
def test_an_aborted_run_has_no_process_left(
    host: Any, groups: str, sleeper: Sleeper, escape: str
) -> None:
    host.declare("j", ESCAPES[escape].format(sleeper.line))
    host.start()
    until(sleeper.pids)
    if escape == "double fork":
        time.sleep(0.2)  # until its parents are gone
    host.event("j", "abort")
    run = record(host)
    assert sleeper.pids() == [], groups
    assert run["result"] == "aborted" and run["actions"][0]["result"] == "aborted"
    assert "left_behind" not in run["actions"][0] and "survivors" not in run["actions"][0]


def test_of_many_runs_exactly_the_aborted_ones_are_ended(host: Any, groups: str) -> None:
    """Whatever ways of leaving their commands have combined."""
    chance = random.Random(f"{groups} 1")
    aborted, kept = [Sleeper() for _ in range(16)], [Sleeper() for _ in range(4)]
    try:
        for number, sleeper in enumerate((*aborted, *kept)):
            host.declare(f"j{number}", nested(sleeper.line, chance))
        host.start(concurrent_jobs=20)
        until(lambda: all(sleeper.pids() for sleeper in (*aborted, *kept)), within=20)
        for number in range(len(aborted)):
            host.event(f"j{number}", "abort")
        for number, sleeper in enumerate(aborted):
            run = record(host, f"j{number}")
            assert run["result"] == "aborted"
            assert sleeper.pids() == [], host.store.job(f"j{number}").document["job_actions"]
        assert all(sleeper.pids() for sleeper in kept)
        for number in range(16, 20):
            host.event(f"j{number}", "abort")
            record(host, f"j{number}")
        assert not any(sleeper.pids() for sleeper in kept)
    finally:
        for sleeper in (*aborted, *kept):
            sleeper.kill()


@pytest.mark.parametrize("escape", ["timeout", "deaf daemon", "daemon without a sign"])
def test_a_retry_never_runs_beside_an_attempt_that_was_ended(
    host: Any, sleeper: Sleeper, escape: str
) -> None:
    place = host.paths.home
    look = f"pgrep -fx '{sleeper.line}' >>{place}/beside; echo >>{place}/attempts; "
    entry = {"timeout": 1, "max_retries": 2, "max_retries_interval": 0}
    host.declare("j", (look + ESCAPES[escape].format(sleeper.line), entry))
    host.start()
    # Three attempts of a second each, and up to a second of grace after each.
    run = host.runs("j", within=15)[0]
    assert (run["result"], run["actions"][0]["attempts"]) == ("fail", 3)
    assert "timed out" in run["actions"][0]["message"]
    # On a slow machine one may be over before its shell has come so far.
    assert "\n" in (place / "attempts").read_text()
    assert (place / "beside").read_text() == "" and sleeper.pids() == []


@pytest.mark.parametrize("how", ["stop", "max_duration"])
def test_stop_and_max_duration_end_everything(host: Any, sleeper: Sleeper, how: str) -> None:
    more = {"max_duration": 1} if how == "max_duration" else {}
    host.declare("j", ESCAPES["daemon"].format(sleeper.line), **more)
    host.start(stop_timeout=0)
    until(lambda: sleeper.pids() or host.store.history("j", 1))  # the time may be over already
    if how == "stop":
        assert host.stop() == 0
    assert record(host)["result"] in ("aborted", "fail")
    assert sleeper.pids() == []


def test_what_a_command_leaves_behind_is_left_alone_and_named(
    host: Any, groups: str, sleeper: Sleeper
) -> None:
    entry = {"max_retries": 1, "max_retries_interval": 0}
    host.declare("j", (f"setsid -f {sleeper.line}; exit 3", entry))
    host.start()
    run = record(host)
    left = sleeper.pids()
    named = run["actions"][0]["left_behind"]
    assert len(left) == 2 and run["result"] == "fail"
    assert sorted(item["pid"] for item in named) == sorted(left)
    assert {item["command"] for item in named} <= {"sleep", "setsid"}  # as which it began
    for pid in left:
        os.kill(pid, signal.SIGKILL)


_THREADS = """
import os, pathlib, threading, time
for _ in range(3):
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
place = pathlib.Path({place!r})
place.with_suffix(".new").write_text(str(os.getpid()))
place.with_suffix(".new").replace(place)
time.sleep(3600)
"""


@pytest.mark.parametrize("how", ["setsid -f", "&"])
def test_of_what_is_left_behind_no_thread_is_named(
    host: Any, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Threads have numbers of their own, between those of processes."""
    monkeypatch.setattr(members, "_FEW", 1 << 22)  # however much else begins meanwhile
    place = host.paths.home / "threads"
    program = [sys.executable, "-I", "-c", _THREADS.format(place=str(place))]
    line = f"setsid -f {shlex.join(program)}" if how == "setsid -f" else f"{shlex.join(program)} &"
    host.declare("j", f"{line}\nuntil test -e {place}; do sleep 0.01; done")
    host.start()
    named = [item["pid"] for item in record(host)["actions"][0]["left_behind"]]
    try:
        assert named == [int(place.read_text())]
    finally:
        os.kill(int(place.read_text()), signal.SIGKILL)


def test_an_abort_ends_its_action_and_not_what_an_earlier_one_left(
    host: Any, sleeper: Sleeper
) -> None:
    other = Sleeper()
    try:
        host.declare("j", f"setsid -f {sleeper.line}", f"setsid -f {other.line}; sleep 3600")
        host.start()
        until(other.pids)
        host.event("j", "abort")
        run = record(host)
        assert len(sleeper.pids()) == 1 and other.pids() == []
        assert [item["pid"] for item in run["actions"][0]["left_behind"]] == sleeper.pids()
    finally:
        other.kill()


def test_a_survivor_keeps_run_and_lock_and_is_named(
    host: Any,
    sleeper: Sleeper,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As a process that waits for a dead NFS server: KILL changes nothing."""
    monkeypatch.setattr(supervision, "_STUCK_AFTER", 0.5)
    monkeypatch.setattr(supervision, "_KILL_STUCK", 0.5)
    command = Command(host.paths.home, capsys, monkeypatch)
    real = Member.send

    def send(member: Member, number: signal.Signals) -> None:
        if member.pid not in sleeper.pids():
            real(member, number)

    with monkeypatch.context() as patch:
        patch.setattr(Member, "send", send)
        host.declare("j", f"setsid -f {sleeper.line}; exec sleep 3600", lock="disk")
        host.start(grace=0)
        (pid,) = until(sleeper.pids)
        host.event("j", "abort")
        host.declare("k", "true", lock="disk")
        host.until(lambda: host.state("j").survivors)
        assert host.store.history("j", 9) == [] and host.store.history("k", 9) == []
        assert host.state("j").status == "aborting"
        assert "disk" in host.state("k").reason
        waits = f"waits for what cannot be ended: {pid} (sleep)"
        for event, reason in (("abort", "aborted by"), ("remove", "removed;")):
            host.event("j", event)
            host.until(lambda told=reason: host.state("j").reason.startswith(told))
            (job,) = command.json("list", "j")["jobs"]
            assert job["survivors"] == [{"pid": pid, "command": "sleep"}]
            assert job["reason"].startswith(waits)
        assert command("list") == 0 and f"j: {waits}" in command.out
        facts = {fact["about"]: fact["text"] for fact in command.json("explain", "k")["facts"]}
        assert facts["lock"] == "disk: held by j"
        message = command.error("event", "j", "abort", "--wait", "--timeout", "0")["message"]
        assert message.endswith(f"{waits}; removed; its last run goes on")
    run = record(host)
    assert run["result"] == "aborted"
    assert run["actions"][0]["survivors"] == [{"pid": pid, "command": "sleep"}]
    assert record(host, "k")["result"] == "success" and sleeper.pids() == []


def test_a_killed_wrapper_takes_its_processes_along(host: Any, sleeper: Sleeper) -> None:
    entry = {"max_retries": 1, "max_retries_interval": 0}
    look = f"pgrep -fx '{sleeper.line}' >>{host.paths.home}/beside; test -e {host.paths.home}/once"
    again = f"{look} && exit 0; touch {host.paths.home}/once; setsid -f {sleeper.line}; sleep 3600"
    host.declare("j", (again, entry))
    host.start()
    until(sleeper.pids)
    os.kill(host.runner.runs["j"].process.pid, signal.SIGKILL)
    run = record(host)
    assert run["result"] == "success" and run["actions"][0]["attempts"] == 2
    assert (host.paths.home / "beside").read_text() == "" and sleeper.pids() == []


@pytest.mark.parametrize("wrapper", ["lives", "is killed"])
def test_what_was_told_to_end_is_ended_by_the_next_runner(
    host: Any, groups: str, sleeper: Sleeper, wrapper: str
) -> None:
    host.declare("j", f"trap '' TERM; setsid -f {sleeper.line}; sleep 3600")
    host.start(grace=60)
    until(sleeper.pids)
    host.event("j", "abort")
    host.until(lambda: host.state("j").status == "aborting")
    host.stop(signal.SIGUSR2)
    if wrapper == "is killed":
        (file,) = host.paths.runs.glob("*/1.1.pid")
        pid = int(file.read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)  # as the first process of the host does it for a runner that is gone
    assert sleeper.pids(), "a restart alone ends nothing"
    host.start(grace=0)
    run = record(host)
    assert run["result"] == "aborted" and sleeper.pids() == []


def test_a_live_run_in_a_group_outlives_its_runner(
    host: Any, groups: str, sleeper: Sleeper
) -> None:
    gate = host.gate()
    host.declare("j", f"{gate.line}; exit 7")
    host.start()
    host.until(lambda: host.runner.runs and next(iter(host.runner.runs.values())).process)
    host.stop(signal.SIGUSR2)
    base = cgroup.delegated()
    if base is not None:
        assert until(lambda: [g for g in base.glob("coldchain-*") if cgroup.processes(g)])
        assert not (base / "cgroup.subtree_control").exists() or not (
            (base / "cgroup.subtree_control").read_text().strip()
        )
    host.start()
    gate.open()
    assert record(host)["actions"][0]["exit_code"] == 7


@pytest.mark.skipif(not _ROOT, reason="root becomes an ordinary user here")
@pytest.mark.parametrize("escape", ["timeout", "deaf daemon", "daemon without a sign"])
def test_an_ordinary_user_s_run_has_no_process_left(
    host: Any, sleeper: Sleeper, escape: str
) -> None:
    with tempfile.TemporaryDirectory() as place:
        home = Path(place, "home")
        home.mkdir()
        for path in (place, home):
            os.chown(path, NOBODY, NOBODY)

        def work() -> str:
            own = type(host)(home)
            own.declare("j", ESCAPES[escape].format(sleeper.line))
            own.start()
            own.until(sleeper.pids)
            own.event("j", "abort")
            run = record(own)
            own.stop()
            return f"{run['result']} {sleeper.pids()}"

        assert as_nobody(work) == "aborted []"


@pytest.mark.skipif(not _ROOT, reason="only root mounts control groups")
def test_a_daemon_of_a_login_is_ended_by_the_login_s_group(
    host: Any, sleeper: Sleeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As su with PAM: pam_systemd moves it into a group of logind's, pam_limits sets the limits."""
    sessions = tmp_path / "sessions"
    sessions.mkdir()
    os.mkfifo(sessions / "c9.ref")
    monkeypatch.setattr(cgroup, "_SESSIONS", str(sessions))
    monkeypatch.setattr(cgroup, "delegated", lambda: None)
    with mounted(tmp_path / "cgroup", "version 2") as base:
        scope = base / "session-c9.scope"
        scope.mkdir()
        login = f"echo $$ >{scope}/cgroup.procs; prlimit --pid $$ --rttime=unlimited:unlimited"
        told = f"printf 'LEADER=%s\\nSCOPE={scope.name}\\n' $$ >{sessions}/c9"
        host.declare(
            "j", f"{login}; {told}; {ESCAPES['daemon without a sign']}".format(sleeper.line)
        )
        host.start()
        until(sleeper.pids)
        host.event("j", "abort")
        run = record(host)
        assert run["result"] == "aborted" and sleeper.pids() == []
        until(lambda: cgroup.processes(scope) == [])
        scope.rmdir()


#: What PAM does to the command of a login (su, sudo), which then leaves something behind.
_SHED = "prlimit --pid $$ --rttime=unlimited:unlimited; env -i setsid -f {}; exec sleep 3600"
_SILENT = " </dev/null >/dev/null 2>&1"


@pytest.fixture
def adopting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "delegated", lambda: None)


def test_an_orphan_without_a_sign_is_ended_with_the_only_run_that_it_can_be_of(
    host: Any, sleeper: Sleeper, adopting: None
) -> None:
    with orphans.adopted():
        host.declare("j", _SHED.format(sleeper.line) + _SILENT)
        host.start()
        (pid,) = until(sleeper.pids)
        until(lambda: list(host.paths.runs.glob("*/1.1.orphans")))
        host.stop(signal.SIGUSR2)
    with orphans.adopted():  # as another process, which finds out nothing by itself
        host.declare("later", "sleep 3600")
        host.start()
        until(lambda: "later" in host.runner.runs)
        host.event("j", "abort")
        assert record(host)["result"] == "aborted" and sleeper.pids() == []
        host.event("later", "abort")
        assert "survivors" not in record(host, "later")["actions"][0]
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # nobody stays behind as a zombie


def test_of_two_runs_its_output_tells_whose_an_orphan_is_and_else_it_is_named(
    host: Any, adopting: None
) -> None:
    told, silent, other = (Sleeper() for _ in range(3))
    with orphans.adopted():
        host.declare("k", _SHED.format(other.line) + _SILENT)
        host.start()
        until(other.pids)  # what begins before it is not of it
        host.declare("j", _SHED.format(f"{told.line}; env -i setsid -f {silent.line}{_SILENT}"))
        until(lambda: told.pids() and silent.pids())
        # With its parent it would be known as a process of j.
        until(lambda: members.stat_of(silent.pids()[0]).parent == os.getpid())
        host.event("j", "abort")
        named = {one["pid"] for one in record(host)["actions"][0]["survivors"]}
        assert told.pids() == [] and {*silent.pids(), *other.pids()} >= named
        assert silent.pids()[0] in named and other.pids(), "it may be of the other run"
        host.event("k", "abort")
        assert "survivors" not in record(host, "k")["actions"][0]
        assert silent.pids() == other.pids() == [], "both runs that it can be of were ended"


def test_an_orphan_of_a_command_that_has_ended_is_left_alone_and_named(
    host: Any, sleeper: Sleeper, adopting: None
) -> None:
    with orphans.adopted():
        host.declare("j", _SHED.format(sleeper.line).replace("exec sleep 3600", "sleep 0.2"))
        host.start()
        left = [one["pid"] for one in record(host)["actions"][0]["left_behind"]]
        assert left == sleeper.pids() != []
        host.declare("k", "sleep 3600")
        host.until(lambda: "k" in host.runner.runs)
        host.event("k", "abort")
        record(host, "k")
        assert left == sleeper.pids()


def test_what_is_left_is_looked_for_only_where_something_can_be(
    host: Any, sleeper: Sleeper, adopting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also beside what an earlier run has left."""
    asked, left_behind = [], members.left_behind

    def look(mark: members.Mark, *rest: Any) -> list[Member]:
        asked.append((mark.attempt.parent.name, mark.attempt.name))
        return left_behind(mark, *rest)

    monkeypatch.setattr(members, "left_behind", look)
    with orphans.adopted():
        host.declare("j", f"setsid -f {sleeper.line}")
        host.start()
        run = record(host)
        assert [one["pid"] for one in run["actions"][0]["left_behind"]] == sleeper.pids()
        assert asked == [(run["run_id"], "1.1")]
        host.declare("k", "sleep 0.1", "true")  # begins a tick of the kernel later, or more
        later = record(host, "k")
        assert later["result"] == "success" and (later["run_id"], "2.1") not in asked
        assert len(sleeper.pids()) == 1


@pytest.mark.skipif(not _ROOT, reason="only root mounts control groups")
def test_without_cgroup_kill_a_group_is_frozen_and_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before Linux 5.14: also what forks all the time is ended."""
    monkeypatch.setattr(cgroup, "_KILL", "no.such.file")
    bomb = (
        "import os, time\nfor _ in range(400):\n    time.sleep(0.02)\n    os.fork() and os._exit(0)"
    )
    with mounted(tmp_path / "cgroup", "version 2") as base:
        group = base / "g"
        group.mkdir()
        procs = group / "cgroup.procs"
        line = f"echo $$ >{procs}; exec {sys.executable} -c '{bomb}'"
        process = subprocess.Popen(["sh", "-c", line])
        until(lambda: cgroup.processes(group))
        time.sleep(0.2)
        until(lambda: cgroup.kill(group) or not cgroup.processes(group))
        ended(process)
        until(lambda: "populated 0" in (group / "cgroup.events").read_text())
        assert (group / "cgroup.freeze").read_text() == "0\n"
        cgroup.remove(group)


_ASK = "from coldchain.execution import cgroup; print(cgroup.delegated())"


@pytest.mark.skipif(not _ROOT, reason="only root mounts control groups")
@pytest.mark.parametrize(("mark", "yes"), [("1", True), ("0", False), (None, False)])
def test_only_a_group_that_systemd_delegates_is_used(
    tmp_path: Path, mark: str | None, yes: bool
) -> None:
    with mounted(tmp_path / "cgroup", "version 2") as base:
        unit = base / "coldchain-runner.service"
        unit.mkdir()
        if mark is not None:
            os.setxattr(unit, "trusted.delegate", mark.encode())
        line = f'echo $$ >{unit}/cgroup.procs; exec {sys.executable} -c "{_ASK}"'
        path = os.pathsep.join(sys.path)
        told = subprocess.run(
            ["sh", "-c", line],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout.strip()
        # The machine may have mounted the hierarchy elsewhere, too.
        assert (told != "None") == yes
        assert not yes or Path(told).samefile(unit)
        unit.rmdir()
