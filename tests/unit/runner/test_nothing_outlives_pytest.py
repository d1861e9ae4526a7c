# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests' own promise: a run leaves no process, whether it ends or is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import guardian
import pytest
from agent_users import in_a_child
from waiting import ended, until

CONFTEST = """
import sys
sys.path.insert(0, {helpers!r})
import guardian
guardian.start()

def pytest_unconfigure():
    guardian.stop()
"""
WAITS = "echo $$ >> pids; until test -e gate; do sleep 0.05; done"
TEST = """
import pathlib, subprocess, time

def test_of_something_that_hangs():
    for line in ("exec sh waits", "exec setsid sh waits", "sh waits &"):
        subprocess.Popen(["sh", "-c", line], start_new_session=True)
    pids = pathlib.Path("pids")
    while not (pids.exists() and pids.read_text().count("\\n") == 3):
        time.sleep(0.01)
    pathlib.Path("begun").touch()
    time.sleep({seconds})
"""


def alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("how", "deaf"),
    [
        (signal.SIGKILL, ""),
        (signal.SIGINT, ""),
        (signal.SIGINT, "--ignore-signal=INT"),  # as in the background of a shell
        (signal.SIGINT, "--block-signal=INT"),
        (None, ""),
    ],
)
def test_whichever_way_it_ends(tmp_path: Path, how: signal.Signals | None, deaf: str) -> None:
    helpers = str(Path(guardian.__file__).parent)
    (tmp_path / "conftest.py").write_text(CONFTEST.format(helpers=helpers))
    (tmp_path / "test_it.py").write_text(TEST.format(seconds=0 if how is None else 3600))
    (tmp_path / "waits").write_text(WAITS)
    words = ["env", deaf, sys.executable] if deaf else [sys.executable]
    process = subprocess.Popen(
        [*words, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
    )
    until((tmp_path / "begun").exists, told=process.poll)
    pids = [int(text) for text in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 3
    if how is not None:
        assert all(map(alive, pids))
        process.send_signal(how)
    assert ended(process) == {signal.SIGKILL: -9, signal.SIGINT: 2, None: 0}[how]
    until(lambda: not any(map(alive, pids)))
    assert not (tmp_path / "gate").exists()


@pytest.mark.parametrize(
    "error", [ImportError, SystemExit, KeyboardInterrupt, pytest.skip.Exception]
)
def test_a_child_that_fails_is_no_second_pytest(error: type[BaseException]) -> None:
    def work() -> str:
        raise error("in the child")

    assert "in the child" in in_a_child(work)


@pytest.mark.parametrize("umask", ["000", "002", "077"])
def test_whose_umask_it_is_makes_no_difference(umask: str) -> None:
    ask = "import guardian, os; guardian.start(); print(os.umask(0)); guardian.stop()"
    told = subprocess.run(
        ["sh", "-c", f'umask {umask}; exec "$0" -c "$1"', sys.executable, ask],
        env={**os.environ, "PYTHONPATH": str(Path(guardian.__file__).parent)},
        capture_output=True,
        check=True,
    )
    assert told.stdout == b"%d\n" % 0o022
