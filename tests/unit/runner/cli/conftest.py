# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A home directory of its own for each test, and a runner at work in it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_command import Command


@pytest.fixture
def command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    monkeypatch.delenv("COLDCHAIN_HOME", raising=False)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return Command(home, capsys, monkeypatch)


@pytest.fixture
def runner(command: Command) -> Iterator[subprocess.Popen[str]]:
    """A runner at work in the command's home."""
    process = command.process("serve", stderr=subprocess.PIPE)
    try:
        while not command.json("list").get("runner_alive"):
            assert process.poll() is None, process.stderr and process.stderr.read()
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate()
        assert process.returncode == 0, log
