# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Broken disks, crowds and hostile actions: nothing acknowledged is lost, everything is said."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from homes import COMMAND, ENVIRONMENT, Home, document, needs_root
from waiting import LIMIT, PATIENCE, ended, gone

from coldchain.selftest import torture


def all_have_run(home: Home, number: int) -> list[dict[str, Any]]:
    """The last runs of so many jobs; none before each has had one."""
    found = [job["last_run"] for job in home.run("list")[1]["jobs"] if job["last_run"]]
    return found if len(found) == number else []


def test_killed_at_random_points(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    outcome = torture(tmp_path / "home", rounds=12, seed=int(time.time()))
    assert outcome.violations == [], outcome
    assert outcome.declarations > 20 and outcome.runs > 0


@needs_root
def test_a_full_disk_refuses_and_keeps_what_was_there(small_disk: Home) -> None:
    home = small_disk
    assert home.run("apply", "-", given=document("first", schedule={"status": "stop"}))[0] == 0
    home.start()
    ballast = home.path.parent / "ballast"
    subprocess.run(["sh", "-c", f"cat /dev/zero > {ballast} 2>/dev/null"], check=False)
    many = [document(f"job-{n}", "x" * 200, {"status": "stop"}) for n in range(50)]
    code, answer = home.run("apply", "-", given=many)
    assert code == 73
    assert "nothing was changed" in answer["error"]["message"]
    assert "make room" in answer["error"]["hint"]
    code, answer = home.run("event", "first", "start")
    assert code == 73, answer
    assert [job["job_id"] for job in home.run("list")[1]["jobs"]] == ["first"]
    ballast.unlink()
    assert home.run("apply", "-", given=many)[0] == 0
    assert home.run("event", "first", "start", "--wait", "--timeout", "300")[0] == 0
    assert len(home.run("list")[1]["jobs"]) == 51


@needs_root
def test_a_disk_that_fills_up_during_a_run_loses_no_result(small_disk: Home) -> None:
    home = small_disk
    ballast = home.path.parent / "ballast"
    fill = f"cat /dev/zero > {ballast} 2>/dev/null; exit 7"
    home.run("apply", "-", given=document("filler", fill))
    home.start()
    home.until(lambda: "trying again" in home.log() or "No space left" in home.log())
    assert home.runner is not None and home.runner.poll() is None, home.log()
    ballast.unlink()
    (run,) = home.until(lambda: home.runs("filler"))
    assert (run["result"], run["actions"][0]["exit_code"]) == ("fail", 7)
    assert home.until(lambda: home.job("filler")["status"] == "stop")


@needs_root
def test_a_read_only_file_system_is_named_and_waited_for(small_disk: Home) -> None:
    home = small_disk
    home.run("apply", "-", given=document("j", schedule={"status": "stop"}))
    home.start()
    place = str(home.path.parent)
    # It is refused as long as a file is open for writing.
    remount = ["mount", "-o", "remount,ro", place]
    home.until(lambda: subprocess.run(remount, capture_output=True).returncode == 0)
    code, answer = home.run("apply", "-", given=document("k"))
    assert code == 73 and "mount it read-write" in answer["error"]["hint"]
    assert [job["job_id"] for job in home.run("list")[1]["jobs"]] == ["j"]
    subprocess.run(["mount", "-o", "remount,rw", place], check=True)
    assert home.run("event", "j", "start", "--wait", "--timeout", "300")[0] == 0


@needs_root
def test_a_runner_on_a_read_only_file_system_says_so(small_disk: Home) -> None:
    home = small_disk
    home.run("apply", "-", given=document("j", schedule={"status": "stop"}))
    home.start()
    home.stop()
    place = str(home.path.parent)
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    code, answer = home.run("serve")
    assert code == 73 and "mount it read-write" in str(answer), answer
    subprocess.run(["mount", "-o", "remount,rw", place], check=True)


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace to inject errors")
def test_a_database_that_the_disk_does_not_read_back_is_a_damaged_one(home: Home) -> None:
    for job_id in ("a", "b"):
        home.run("apply", "-", given=document(job_id, schedule={"status": "stop"}))
    jobs = home.path / "lib" / "jobs.json"
    done = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(jobs), "--trace=read",
         "-e", "inject=read:error=EIO",
         *COMMAND, "--home", str(home.path), "list"],
        capture_output=True, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 0 and "using the generation before it" in done.stderr, done.stderr
    assert "\na " in done.stdout and "\nb " not in done.stdout


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace to inject errors")
@pytest.mark.parametrize("call", ["fsync", "fdatasync", "rename", "write"])
def test_errors_of_the_disk_delay_the_runner_and_lose_nothing(home: Home, call: str) -> None:
    home.run("apply", "-", given=[document(f"j{n}") for n in range(3)])
    home.start("strace", "-f", "-qq", "-o", "/dev/null", f"--trace={call}", "-e", "signal=none",
               "-e", f"inject={call}:error=EIO:when=9+7")  # fmt: skip

    def last() -> set[str]:
        """The last run of each job, when all have ended."""
        jobs = home.run("list")[1]["jobs"]
        ended = all(job["status"] == "stop" and job["last_run"] for job in jobs)
        return {job["last_run"]["run_id"] for job in jobs} if ended else set()

    first = home.until(last)
    for number in range(3):
        home.run("event", f"j{number}", "start")
    home.until(lambda: len(last() - first) == 3)
    found = [run["run_id"] for n in range(3) for run in home.runs(f"j{n}")]
    assert len(found) == len(set(found)) == 6

    def put_down() -> set[str]:
        return {entry.get("run_id") for entry in home.run("ledger")[1]["entries"]}

    home.until(lambda: put_down() >= set(found))
    assert home.run("ledger", "verify")[0] == 0


def test_ten_writers_at_once_lose_nothing(home: Home) -> None:
    home.run("apply", "-", given=document("seed", schedule={"status": "stop"}))

    def declare(number: int) -> int:
        documents = [document(f"w{number}-{n}", schedule={"status": "stop"}) for n in range(2)]
        codes = {home.run("apply", "-", given=one)[0] for one in documents}
        return max(codes)

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(declare, range(10))) == {0}
    assert len(home.run("list")[1]["jobs"]) == 21
    code, whole = home.run("ledger", "verify")
    assert (code, whole["entries"], whole["notes"]) == (0, 21, [])


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    "damage",
    [lambda path: path.write_bytes(b"\0garbage"), _cut, lambda path: path.write_bytes(b"")],
    ids=["garbage", "truncated", "empty"],
)
def test_a_damaged_database_is_said_and_the_runner_goes_on(
    home: Home, damage: Callable[[Path], object]
) -> None:
    home.run("apply", "-", given=document("a", schedule={"status": "stop"}))
    home.run("apply", "-", given=document("b", schedule={"status": "stop"}))  # the next generation
    home.start()
    jobs = home.path / "lib" / "jobs.json"
    damage(jobs)
    home.until(lambda: "is damaged" in home.log())
    assert home.runner is not None and home.runner.poll() is None
    code, answer = home.run("event", "a", "start", "--wait", "--timeout", "300")
    assert code == 0, answer
    assert home.run("apply", "-", given=document("c", schedule={"status": "stop"}))[0] == 0
    assert {job["job_id"] for job in home.run("list")[1]["jobs"]} == {"a", "c"}
    assert list(jobs.parent.glob("jobs.json.damaged-*"))


def test_a_removed_directory_is_an_error_and_no_empty_start(home: Home) -> None:
    home.run("apply", "-", given=document("a", schedule={"status": "stop"}))
    shutil.rmtree(home.path / "lib")
    code, answer = home.run("list")
    assert code == 69 and "there is no coldchain runner here" in answer["error"]["message"]


def test_a_runner_whose_directory_is_removed_leaves_and_says_so(home: Home) -> None:
    """Its lock is gone with the directory: a second runner could begin beside it."""
    home.run("apply", "-", given=document("a", schedule={"schedule_interval": "1 days"}))
    home.start()
    shutil.rmtree(home.path / "lib")
    assert home.runner is not None
    assert ended(home.runner) == 69
    assert "was removed or replaced under the runner" in home.log()
    assert "Traceback" not in home.log()


def test_a_runner_without_descriptors_does_not_die(home: Home) -> None:
    home.run("apply", "-", given=[document(f"j{n}", "sleep 1") for n in range(30)])
    conf = home.path / "etc" / "runner.conf"
    conf.parent.mkdir(mode=0o700, exist_ok=True)
    conf.write_text("[runner]\nconcurrent_jobs = 30\n")
    home.start("prlimit", "--nofile=24:24")
    found = home.until(lambda: all_have_run(home, 30), within=PATIENCE + 30)
    assert {run["result"] for run in found} <= {"success", "fail"}
    assert home.runner is not None and home.runner.poll() is None


def test_what_a_command_leaves_in_the_background_is_left_alone_and_named(home: Home) -> None:
    child = home.path / "child"
    home.run("apply", "-", given=document("j", f"sleep 3600 & echo $! > {child}"))
    home.start()
    (run,) = home.until(lambda: home.runs("j"))
    pid = int(child.read_text())
    try:
        assert run["result"] == "success"
        assert str(pid) in str(run["actions"][0]["left_behind"])
        assert not gone(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_an_action_that_ignores_term_is_killed_with_all_it_started(home: Home) -> None:
    child = home.path / "child"
    line = f"trap '' TERM; sleep 3600 & echo $! > {child}; sleep 3600; sleep 3600"
    conf = home.path / "etc" / "runner.conf"
    conf.parent.mkdir(mode=0o700)
    conf.write_text("[runner]\ngrace = 1\n")
    home.run("apply", "-", given=document("j", line))
    home.start()
    home.until(lambda: child.exists() and child.read_text())
    code, answer = home.run("event", "j", "abort", "--wait", "--timeout", "300")
    assert code == 0 and answer["run"]["result"] == "aborted", answer
    home.until(lambda: gone(int(child.read_text())))


def test_a_flood_of_output_keeps_head_and_tail_and_the_disk(home: Home) -> None:
    line = "echo first; head -c 100000000 /dev/zero | tr '\\0' x; echo; echo last"
    home.run("apply", "-", given=document("j", line))
    home.start()
    (run,) = home.until(lambda: home.runs("j"))
    assert run["result"] == "success"
    log = Path(run["log"])
    assert log.stat().st_size > 100_000_000 and log.stat().st_blocks * 512 < 2_500_000
    code, answer = home.run("log", "j")
    assert code == 0 and len(answer["text"]) < 2_500_000
    assert "first\nxxx" in answer["text"] and "xxx\nlast\n" in answer["text"]
    assert "bytes left out" in answer["text"]


def test_a_command_killed_at_any_point_has_declared_all_or_nothing(home: Home) -> None:
    many = [document(f"j{n}", schedule={"status": "stop"}) for n in range(100)]
    words = [*COMMAND, "--home", str(home.path), "apply", "-"]
    begun = time.monotonic()
    assert home.run("apply", "--check", "-", given=many)[0] == 0
    took = time.monotonic() - begun
    seen = set()
    for number in range(12):
        for each in many:
            each["description"] = f"round {number}"
        command = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True, env=ENVIRONMENT)  # fmt: skip
        assert command.stdin is not None and command.stdout is not None
        command.stdin.write(json.dumps(many))
        command.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.wait(took * (number + 1) / 10 if number < 11 else LIMIT)
        command.kill()
        acknowledged = ended(command) == 0
        command.stdout.close()
        code, answer = home.run("list", "--documents")
        found = {job["document"]["description"] for job in answer["jobs"]} if code == 0 else set()
        assert len(found) <= 1 and (not found or len(answer["jobs"]) == 100)
        assert not acknowledged or found == {f"round {number}"}
        assert found >= seen or found == {f"round {number}"}, "what was acknowledged stays"
        seen = found
        assert home.run("ledger", "verify")[0] == (0 if (home.path / "lib").exists() else 69)
    assert seen


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace to inject errors")
@pytest.mark.parametrize("call", ["fsync", "rename", "writev"])
def test_errors_of_the_disk_refuse_a_declaration_and_change_nothing(home: Home, call: str) -> None:
    home.run("apply", "-", given=document("a", schedule={"status": "stop"}))
    jobs = home.path / "lib" / "jobs.json"
    before = jobs.read_bytes()
    tool = ["strace", "-f", "-qq", "-o", "/dev/null", f"--trace={call}", "-e", "signal=none"]
    # writev: only the file's, not what the command says.
    where = ["-P", f"{jobs}.tmp"] if call == "writev" else []
    done = subprocess.run(
        [*tool, *where, "-e", f"inject={call}:error=EIO:when=1",
         *COMMAND, "--home", str(home.path), "apply", "-"],
        input=json.dumps(document("b")), capture_output=True, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 73 and "Input/output error" in done.stderr, done.stderr
    assert jobs.read_bytes() == before and not list(jobs.parent.glob("*.tmp"))
    assert home.run("apply", "-", given=document("b"))[0] == 0


def test_a_second_runner_is_refused(home: Home) -> None:
    home.run("apply", "-", given=document("j", schedule={"status": "stop"}))
    home.start()
    code, answer = home.run("serve")
    assert code == 75 and "another runner" in str(answer)


def test_a_retry_that_waits_makes_no_job_wait(home: Home) -> None:
    waiting = document("waiting", "false")
    waiting["job_actions"][0].update(max_retries=1, max_retries_interval=3600)
    others = [document(f"j{n}") for n in range(40)]
    home.run("apply", "-", given=[waiting, *others])
    home.start()
    home.until(lambda: all_have_run(home, 40), within=PATIENCE + 10)
    assert home.job("waiting")["status"] == "running"
    home.run("event", "waiting", "abort")
    home.until(lambda: home.runs("waiting"))


def test_the_command_selftest_finds_nothing_here(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "selftest", "--rounds", "3", "--directory", str(tmp_path)],
        capture_output=True, text=True, env=ENVIRONMENT, timeout=LIMIT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 violations" in done.stdout
    assert not list(tmp_path.iterdir()), "the scratch directory goes"
