# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes: real exit codes, certain ends, adoption by a later runner."""

from __future__ import annotations

import errno
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from waiting import PATIENCE, Watch, gone, joined, output, until

from coldchain.core.errors import CannotWrite, Unavailable
from coldchain.execution import cgroup, run_log
from coldchain.execution.attempt_files import exit_code, file_of
from coldchain.execution.process import Ending, Process, check_support
from coldchain.execution.run_log import RunLog
from coldchain.execution.supervision import Supervised

PACKAGE = Path(__file__).resolve().parents[4] / "roles" / "runner" / "files"


def start(tmp_path: Path, program: str, *arguments: str) -> Process:
    return Process.start(
        tmp_path / "attempt",
        [shutil.which(program) or program, *arguments],
        environment=dict(os.environ),
        working_directory=None,
        log=RunLog(tmp_path / "log"),
    )


def said(tmp_path: Path) -> str:
    """What the command has written so far."""
    return (tmp_path / "log").read_text()


def ended(process: Process, seconds: float) -> bool:
    poll = select.poll()
    poll.register(process.pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def wait(process: Process) -> int | None:
    until(lambda: ended(process, 0.02))
    return process.finish()[0].code


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 3"], 3),
        (["/no/such/command"], 127),
        (["sh", "-c", "kill -9 $$"], 137),
        (["sh", "-c", "kill -PIPE $$; exit 3"], 141),  # which the interpreter ignores
        (["printf", "%s", "a b'c\"d$e"], 0),
    ],
)
def test_exit_codes(tmp_path: Path, argv: list[str], code: int) -> None:
    assert wait(start(tmp_path, *argv)) == code
    assert exit_code(tmp_path / "attempt") == code


def test_few_logs_stay_open_between_the_steps_of_their_runs(tmp_path: Path) -> None:
    (tmp_path / "j").mkdir()
    logs = [RunLog(tmp_path / "j" / f"{number}.log") for number in range(100)]

    def still_open() -> int:
        own = Path("/proc/self/fd")
        found = [os.readlink(own / name) for name in os.listdir(own) if (own / name).exists()]
        return sum(str(tmp_path) in place and place.endswith(".log") for place in found)

    for line in ("one", "two"):
        for log in logs:
            log.note(line)
            log.rest(written=True)
        assert 0 < still_open() < 70
    assert {Path(log.path).read_text() for log in logs} == {"one\ntwo\n"}
    for log in logs:
        log.rest(written=False)
    assert still_open() == 0


def test_a_command_begins_in_its_directory_and_the_runner_stays_where_it_is(tmp_path: Path) -> None:
    here, place = os.getcwd(), tmp_path / "place"

    def begin() -> Process:
        return Process.start(
            tmp_path / "attempt",
            ["/bin/sh", "-c", "pwd"],
            environment=dict(os.environ),
            working_directory=str(place),
            log=RunLog(tmp_path / "log"),
        )

    with pytest.raises(FileNotFoundError, match="place"):
        begin()
    assert os.getcwd() == here
    (tmp_path / "attempt.pid").unlink()
    place.mkdir()
    assert wait(begin()) == 0
    assert (said(tmp_path), os.getcwd()) == (f"{place}\n", here)


def test_a_command_that_has_begun_counts_although_there_is_no_way_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has closed the runner's own directory meanwhile has not kept the command away."""
    monkeypatch.chdir(tmp_path)

    def refuse(dummy: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "fchdir", refuse)
    process = Process.start(
        tmp_path / "attempt",
        ["/bin/sh", "-c", "pwd"],
        environment=dict(os.environ),
        working_directory=str(tmp_path),
        log=RunLog(tmp_path / "log"),
    )
    assert wait(process) == 0
    assert (said(tmp_path), os.getcwd()) == (f"{tmp_path}\n", "/")


@pytest.mark.parametrize("closed", [[], [0], [0, 1], [0, 1, 2]])
def test_a_command_has_no_file_of_whoever_started_the_runner(
    tmp_path: Path, closed: list[int]
) -> None:
    """Whatever that one has left open, or closed."""
    command = "for n in 0 1 2 3 4 5 6 7 8 9; do readlink /proc/$$/fd/$n; done; :"
    program = f"""
import os
from pathlib import Path
from coldchain.execution.process import Process
from coldchain.execution.run_log import RunLog
os.dup2(os.open(os.devnull, os.O_RDONLY), 9)
for number in {closed}:
    os.close(number)
where = Path({str(tmp_path)!r})
process = Process.start(where / "attempt", ["/bin/sh", "-c", {command!r}],
                        environment=dict(os.environ), working_directory=None,
                        log=RunLog(where / "log"))
os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
assert process.finish()[0].code == 0
"""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    log = os.path.realpath(tmp_path / "log")
    assert said(tmp_path).splitlines() == [os.devnull, log, log]


def test_a_copy_of_the_wrapper_is_no_command_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What becomes the command waits for a pipe that stands where its control group should."""
    group = tmp_path / "group"
    group.mkdir()
    os.mkfifo(group / "cgroup.procs")
    monkeypatch.setattr(cgroup, "find", lambda _directory: group)
    monkeypatch.setattr(cgroup, "processes", lambda _group: [])
    process = start(tmp_path, "sleep", "60")
    until(process.members)
    assert not process.begun()
    pipe = os.open(group / "cgroup.procs", os.O_RDONLY)
    until(process.begun)
    os.close(pipe)
    process.send(signal.SIGTERM)
    assert wait(process) == 143


def test_an_end_right_after_the_start_is_heard(tmp_path: Path) -> None:
    """TERM may come when the wrapper has set its trap and not yet started the command."""
    present = []
    for number in range(60):
        (tmp_path / str(number)).mkdir()
        present.append(Supervised(start(tmp_path / str(number), "sleep", "3600"), grace=3600))
        time.sleep(number % 30 / 10_000)
        present[-1].end("a test", "aborted")
    watch = Watch()
    while present:
        assert not watch.over(PATIENCE), f"{len(present)} did not hear it"
        for one in list(present):
            one.enforce("fail")
            if ended(one.process, 0.01):
                one.process.finish()
                present.remove(one)


def test_arguments_reach_the_command_as_they_are(tmp_path: Path) -> None:
    words = ["a b", "", "$(touch x)", "'\"", "%s\n", "*"]
    program = "import json, sys; print(json.dumps(sys.argv[1:]))"
    wait(start(tmp_path, sys.executable, "-c", program, *words))
    assert json.loads((tmp_path / "log").read_text()) == words


def test_term_reaches_the_whole_group_and_its_own_exit_code_counts(tmp_path: Path) -> None:
    script = "trap 'echo cleanup; exit 5' TERM; echo ready; sleep 600 & wait"
    process = start(tmp_path, "sh", "-c", script)
    until(lambda: "ready" in said(tmp_path))
    process.send(signal.SIGTERM)
    assert wait(process) == 5
    assert "cleanup" in (tmp_path / "log").read_text()


def test_what_ignores_term_is_killed_with_its_children(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 600 & echo $!; wait; sleep 600"
    process = start(tmp_path, "sh", "-c", script)
    until(lambda: said(tmp_path).endswith("\n"))
    process.send(signal.SIGTERM)
    assert not ended(process, 0.3)
    process.kill()
    assert wait(process) == 137
    assert gone(int(said(tmp_path)))


_STARTER = """
import os, sys, time
from pathlib import Path
from coldchain.execution.process import Process
from coldchain.execution.run_log import RunLog
where = Path(sys.argv[1])
gate = f"until test -e {where}/gate; do sleep 0.05; done"
for name, command in [("short", "exit 4"), ("long", f"{gate}; exit 7"), ("killed", gate)]:
    Process.start(where / name, ["/bin/sh", "-c", command], environment=dict(os.environ),
                  working_directory=None, log=RunLog(where / "log"))
print("started", flush=True)
time.sleep(3600)
"""


def test_a_killed_runner_s_processes_are_adopted_with_their_results(tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", _STARTER, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
    )
    assert starter.stdout is not None
    starter.stdout.readline()
    written = [tmp_path / "short.exit_code", tmp_path / "long.pid", tmp_path / "killed.pid"]
    until(lambda: all(path.exists() and path.stat().st_size for path in written))
    starter.kill()
    output(starter)
    short = Process.adopt(tmp_path / "short")  # a zombie as long as init has not reaped it
    assert (exit_code(tmp_path / "short") if short is None else wait(short)) == 4
    killed, long = Process.adopt(tmp_path / "killed"), Process.adopt(tmp_path / "long")
    assert killed is not None and long is not None
    until(killed.begun)  # before that there is only the wrapper to kill
    killed.kill()
    assert wait(killed) == 137
    (tmp_path / "gate").touch()
    assert wait(long) == 7


def test_another_process_with_the_same_pid_is_not_adopted(tmp_path: Path) -> None:
    process = start(tmp_path, "sleep", "3600")
    written = tmp_path / "attempt.pid"
    until(lambda: written.exists() and written.read_text().endswith("\n"))
    pid, started, boot = written.read_text().split()
    for line in (f"{pid} {int(started) - 1} {boot}", f"{pid} {started} another-boot", "junk"):
        written.write_text(f"{line}\n")
        assert Process.adopt(tmp_path / "attempt") is None
    process.kill()
    wait(process)


def test_a_wrapper_that_has_only_begun_is_waited_for(tmp_path: Path) -> None:
    process = start(tmp_path, "sleep", "3600")
    written = tmp_path / "attempt.pid"
    until(lambda: written.exists() and written.read_text().endswith("\n"))
    line = written.read_text()
    written.write_text("")
    writes = threading.Timer(0.3, written.write_text, [line])
    writes.start()
    adopted = Process.adopt(tmp_path / "attempt")
    assert adopted is not None and adopted.pid == process.pid
    os.close(adopted.pidfd)
    joined(writes)
    process.kill()
    wait(process)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "attempt.pid").touch()
    with pytest.raises(CannotWrite, match=r"attempt\.pid"):
        start(tmp_path, "true")


def test_a_log_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CannotWrite, match="log"):
        start(tmp_path, "true")
    with pytest.raises(OSError, match="is a link"):
        RunLog(tmp_path / "log").note("line")
    assert not (tmp_path / "elsewhere").exists()


def test_a_flood_of_output_keeps_its_head_and_tail(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "echo first; head -c 30000000 /dev/zero | tr '\\0' 'x'; echo; echo last"
    process = start(tmp_path, "sh", "-c", script)
    while not ended(process, 0.01):
        run_log.bound(log, 100_000)
    process.finish()
    run_log.bound(log, 100_000)
    text = run_log.read(log)
    assert text.startswith("first\nxxx") and text.endswith("xxx\nlast\n")
    assert "bytes left out" in text
    assert len(text) < 400_000
    assert log.stat().st_blocks * 512 < 400_000
    assert run_log.read(log, limit=5) == "last\n"


def test_a_small_log_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    RunLog(log).note("one")
    assert not run_log.bound(log, 100_000)
    assert not run_log.bound(tmp_path / "none", 100_000)
    assert run_log.read(log) == "one\n"


def test_what_cannot_be_watched_does_not_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def refuse(pid: int, flags: int = 0) -> int:
        seen.append(pid)
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with pytest.raises(OSError, match="not permitted"):
        start(tmp_path, "sleep", "3600")
    assert gone(seen[0])
    with pytest.raises(Unavailable, match="pidfd_open"):
        check_support()


def test_a_process_that_cannot_be_looked_at_is_not_taken_for_a_vanished_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start(tmp_path, "sleep", "3600")
    until(process.begun)

    def refuse(pid: int, flags: int = 0) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pidfd_open", refuse)
        with pytest.raises(Unavailable, match="Too many open files"):
            Process.adopt(process.attempt)
    process.kill()
    process.finish()


def test_after_a_reload_the_kernel_still_knows_the_exit_code(tmp_path: Path) -> None:
    """On a full disk the wrapper cannot write it down."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    process = start(tmp_path, "sh", "-c", f"read line <{gate}; exit 7")
    until(process.begun)
    adopted = Process.adopt(process.attempt)
    assert adopted is not None and adopted.age < 3600
    gate.write_text("go\n")
    until(lambda: ended(adopted, 0.02))
    file_of(process.attempt, "exit_code").unlink()
    assert adopted.finish()[0].code == 7
    os.close(process.pidfd)


@pytest.mark.parametrize(("line", "code"), [("exit 7", 7), ("kill -9 $$", 137)])
def test_a_disk_that_takes_nothing_more_keeps_no_command_from_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, code: int
) -> None:
    """Only what a later runner would need is missing, and which signal it was is not told."""
    opened = os.open

    def full(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if os.fspath(path) == os.fspath(tmp_path / "attempt.pid"):
            return opened("/dev/full", os.O_WRONLY | os.O_CLOEXEC)
        return opened(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", full)
    process = start(tmp_path, "sh", "-c", line)
    until(lambda: ended(process, 0.02))
    assert process.finish() == (Ending(code), [])
