# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner as a service: readiness, watchdog, reload and upgrade without a lost run, stop."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from homes import COMMAND, ENVIRONMENT, Home, document
from waiting import ended, joined, until


class Manager:
    """The service manager's side of sd_notify."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self._heard: queue.Queue[str] = queue.Queue()
        # Read at all times: whoever speaks waits when ten messages lie there.
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.words = ("env", f"NOTIFY_SOCKET={path}", "WATCHDOG_USEC=400000", "JOURNAL_STREAM=8:1")

    def _read(self) -> None:
        while message := self.socket.recv(100).decode():
            self._heard.put(message)

    def close(self) -> None:
        self.socket.sendto(b"", self.socket.getsockname())
        joined(self._reader)
        self.socket.close()

    def hear(self) -> str:
        until(lambda: not self._heard.empty())
        return self._heard.get()

    def hear_until(self, message: str) -> int:
        """How many others came before it."""
        others = 0
        while self.hear() != message:
            others += 1
        return others


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


def test_readiness_watchdog_and_stop_are_told(home: Home, manager: Manager) -> None:
    home.start(*manager.words)
    assert home.runner is not None
    assert manager.hear() == "READY=1"
    assert home.log().startswith("<6>"), "the priority for journald, which has its own clock"
    for dummy in range(5):
        assert manager.hear() == "WATCHDOG=1"
    home.runner.send_signal(signal.SIGHUP)
    manager.hear_until("READY=1")
    assert home.runner.poll() is None, "the same process, anew"
    home.runner.send_signal(signal.SIGUSR1)
    home.until(lambda: "0 jobs, 0 runs in progress, 0 waiting" in home.log())
    home.runner.send_signal(signal.SIGTERM)
    manager.hear_until("STOPPING=1")
    assert ended(home.runner) == 0


def test_reloads_and_a_new_start_lose_and_repeat_no_due_run(home: Home) -> None:
    home.run("apply", "-", given=document("j", schedule={"schedule_interval": "1 seconds"}))
    home.start()
    home.until(lambda: home.runs("j"))
    for dummy in range(6):
        assert home.runner is not None
        home.runner.send_signal(signal.SIGHUP)
        time.sleep(0.7)
        assert home.runner.poll() is None
    home.runner.send_signal(signal.SIGUSR2)
    assert ended(home.runner) == 75
    home.start()
    before = len(home.runs("j"))
    home.until(lambda: len(home.runs("j")) >= before + 2)
    home.run("event", "j", "stop", "--wait")
    code, answer = home.run("history", "j", "-n", "1000")
    assert code == 0
    seconds = [_posix(run["scheduled_for"]) for run in answer["runs"]]
    for group in answer["skipped"]:
        first, last = _posix(group["scheduled_for"]), _posix(group["last"])
        seconds += range(first, last + 1)
    assert sorted(seconds) == list(range(min(seconds), max(seconds) + 1)), "each slot once"


def test_a_reload_upon_a_reload_and_a_stop_upon_a_reload(home: Home) -> None:
    """While the next program starts, nobody listens: a HUP then would end it for good."""
    home.run("apply", "-", given=document("j", schedule={"status": "stop"}))
    home.start()
    assert home.runner is not None
    for number in range(20):
        home.runner.send_signal(signal.SIGHUP)
        time.sleep(number % 10 / 50)
        assert home.runner.poll() is None, home.log()
    home.runner.send_signal(signal.SIGHUP)
    home.runner.send_signal(signal.SIGTERM)
    assert ended(home.runner) == 0
    assert "stopping: 0 runs in progress" in home.log()


def _posix(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def configure(home: Home, text: str) -> None:
    conf = home.path / "etc" / "runner.conf"
    conf.parent.mkdir(mode=0o700)
    conf.write_text(f"[runner]\n{text}\n")


def test_a_stop_waits_for_what_runs(home: Home) -> None:
    configure(home, "stop_timeout = 3600")
    gate = home.path / "gate"
    line = f"until test -e {gate}; do sleep 0.05; done"
    home.run("apply", "-", given=document("j", line))
    home.start()
    home.until(lambda: home.job("j")["status"] == "running")
    assert home.runner is not None
    home.runner.send_signal(signal.SIGTERM)
    home.until(lambda: "stopping: 1 runs in progress" in home.log())
    gate.touch()
    assert ended(home.runner) == 0
    assert home.runs("j")[0]["result"] == "success"


def test_a_stop_aborts_what_takes_longer_than_it_may_wait(home: Home) -> None:
    configure(home, "stop_timeout = 1\ngrace = 3600")
    ready, flag = home.path / "ready", home.path / "flag"
    line = f"trap 'touch {flag}; exit 1' TERM; touch {ready}; sleep 3600 & wait"
    home.run("apply", "-", given=document("j", line))
    home.start()
    home.until(ready.exists)
    assert home.runner is not None
    home.runner.send_signal(signal.SIGTERM)
    assert ended(home.runner) == 0
    (run,) = home.runs("j")
    assert (run["result"], run["reason"]) == ("aborted", "the runner was stopped")
    assert flag.exists(), "the action had its grace"


def test_a_stop_stays_a_stop_whatever_comes_after_it(home: Home) -> None:
    configure(home, "stop_timeout = 1\ngrace = 1")
    home.run("apply", "-", given=document("j", "sleep 3600"))
    home.start()
    home.until(lambda: home.job("j")["status"] == "running")
    assert home.runner is not None
    for number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGHUP):
        home.runner.send_signal(number)
    assert ended(home.runner) == 0
    (run,) = home.runs("j")
    assert (run["result"], run["reason"]) == ("aborted", "the runner was stopped")


def test_a_reload_after_an_upgrade_of_the_interpreter_takes_the_new_one(
    home: Home, tmp_path: Path
) -> None:
    """A package manager replaces the file under the running program."""
    interpreter = tmp_path / "python"
    shutil.copy2(os.path.realpath(sys.executable), interpreter)
    words = [str(interpreter), *COMMAND[1:], "--home", str(home.path), "serve"]
    libraries = f"{ENVIRONMENT['PYTHONPATH']}:{sysconfig.get_path('purelib')}"
    environment = {**ENVIRONMENT, "PYTHONHOME": sys.base_prefix, "PYTHONPATH": libraries}
    with home.log_file.open("ab") as log:
        home.runner = subprocess.Popen(words, stderr=log, env=environment, start_new_session=True)
    home.until(lambda: "runner ready" in home.log())
    shutil.copy2(interpreter, tmp_path / "new")
    (tmp_path / "new").replace(interpreter)
    home.runner.send_signal(signal.SIGHUP)
    home.until(lambda: home.log().count("runner ready") == 2 or home.runner.poll() is not None)
    assert home.runner.poll() is None, home.log()
