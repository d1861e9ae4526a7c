# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A notifier is a module and a row of the registry: nothing else knows which there are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from cli_command import PACKAGE, Command, exec_job

from coldchain.observe.notifiers.base import Task
from coldchain.observe.notifiers.registry import NOTIFIERS, Notifier


def test_a_module_and_a_row_are_all_that_a_notifier_needs(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("coldchain.observe.notifiers.pager")
    sent: list[tuple[str, str]] = []

    def send(task: Task) -> str:
        sent.append((str(task.entry["to"]), str(task.message["title"])))
        return "beeped"

    monkeypatch.setattr(module, "send", send, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(NOTIFIERS, "pager", Notifier(("to",), (("to",),)))
    notify = [{"type": "pager", "to": "0815"}]
    assert command("apply", "-", data=exec_job("x", notify=notify)) == 0
    answer = command.json("notify", "--test", "x")
    assert answer["tests"] == [{"target": "pager 0815", "result": "sent", "detail": "beeped"}]
    assert [to for to, _title in sent] == ["0815"]
    error = command.error("apply", "-", data=exec_job("y", notify=[{"type": "pager"}]))
    assert error["errors"][0]["message"] == "is missing; pager needs it"


def test_the_runner_never_imports_what_sends() -> None:
    """ssl and smtplib take megabytes: they are for the process that delivers."""
    heavy = ("ssl", "_ssl", "_hashlib", "smtplib", "email", "urllib.request", "http.client")
    script = (
        # What was there before is of the measurement of coverage.
        "import sys; before = set(sys.modules); import coldchain.runner.serving;"
        f" print([name for name in {heavy} if name in set(sys.modules) - before])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[]\n"
