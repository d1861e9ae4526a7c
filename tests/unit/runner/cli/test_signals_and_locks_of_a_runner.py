# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stop is a stop, whatever comes with it; and nobody becomes a second runner by a variable."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cli_command import Command
from waiting import ended, output, until

from coldchain.core.paths import Paths
from coldchain.runner import lock


@pytest.mark.parametrize("other", [signal.SIGHUP, signal.SIGUSR2])
def test_a_stop_that_comes_with_a_reload_stops(command: Command, other: signal.Signals) -> None:
    log = command.home / "runner.log"
    with log.open("wb") as stream:
        process = command.process("serve", stderr=stream)
    try:
        until(lambda: "runner ready" in log.read_text(), told=log.read_text)
        process.send_signal(signal.SIGSTOP)
        process.send_signal(other)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        assert ended(process) == 0
    finally:
        process.kill()
        ended(process)
    assert log.read_text().count("runner ready") == 1
    assert not command.json("list")["runner_alive"]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    tmp_path.chmod(0o700)
    paths = Paths.under(tmp_path)
    paths.create()
    return paths


VARIABLE = "COLDCHAIN_RUNNER_LOCK"


def handed_over(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> int:
    """A held lock, as the program before a re-exec leaves it."""
    held = lock.acquire(paths)
    monkeypatch.setenv(VARIABLE, "")  # so that the change of hand_over is undone
    lock.hand_over(held)
    return held


def test_a_lock_that_was_handed_over_is_used_and_not_passed_on(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = handed_over(paths, monkeypatch)
    assert os.get_inheritable(held)
    assert lock.acquire(paths) == held
    assert not os.get_inheritable(held) and VARIABLE not in os.environ
    os.close(held)


def test_what_is_not_our_lock_is_not_taken_for_it(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(os.devnull, "rb") as foreign, subprocess.Popen(["true"]) as gone:
        ended(gone)
        for text in (str(foreign.fileno()), "987654", "-1", "x", ""):
            monkeypatch.setenv(VARIABLE, text)
            held = lock.acquire(paths)
            assert os.path.samestat(os.fstat(held), paths.runner_lock.stat())
            assert held != foreign.fileno()
            os.close(held)


def test_a_second_runner_gives_way_even_with_a_foreign_descriptor(
    command: Command, runner: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "2")
    options: dict[str, Any] = {"stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    process = command.process("serve", **options)
    try:
        dummy, told = output(process)
    finally:
        process.kill()
    assert process.returncode == 75 and "another runner" in told
    assert runner.poll() is None
