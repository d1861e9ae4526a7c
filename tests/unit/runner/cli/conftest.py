# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A runner at work in the home directory of a test."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator

import pytest
from cli_command import Command
from waiting import output, until


@pytest.fixture
def runner(command: Command) -> Iterator[subprocess.Popen[str]]:
    """A runner at work in the command's home."""
    process = command.process("serve", stderr=subprocess.PIPE)
    try:
        until(lambda: process.poll() is not None or command.json("list").get("runner_alive"))
        assert process.poll() is None, process.stderr and process.stderr.read()
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = output(process)
        assert process.returncode == 0, log
