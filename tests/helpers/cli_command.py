# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command as its users call it, and documents for it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import coldchain.cli

PACKAGE = Path(coldchain.__file__).parents[1]


class Command:
    """``coldchain --home HOME`` in this process; the last call's exit code and output stay here."""

    def __init__(
        self, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.home = home
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        self.code, self.out, self.err = 0, "", ""

    def __call__(self, *words: str, data: Any = None) -> int:
        """Run the command; *data* goes to its standard input, as JSON unless it is bytes."""
        if data is not None:
            raw = data if isinstance(data, bytes) else json.dumps(data).encode()
            self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        self._capsys.readouterr()
        self.code = coldchain.cli.run(["--home", str(self.home), *words])
        self.out, self.err = self._capsys.readouterr()
        return self.code

    def json(self, *words: str, data: Any = None) -> dict[str, Any]:
        """The answer of the command in JSON."""
        self("--json", *words, data=data)
        answer: dict[str, Any] = json.loads(self.out)
        assert self.out.count("\n") == 1
        return answer

    def error(self, *words: str, data: Any = None) -> dict[str, Any]:
        """The error of a command that has to fail; its code is the exit code."""
        answer: dict[str, Any] = self.json(*words, data=data)["error"]
        assert answer["code"] == self.code != 0
        return answer

    def process(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """The command in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "coldchain", "--home", str(self.home), *words],
            env={**os.environ, "PYTHONPATH": str(PACKAGE)},
            text=True,
            **options,
        )

    def files(self) -> dict[str, tuple[int, int]]:
        """Every file below the home directory with its inode and the time of its last change."""
        found = {}
        for path in sorted(self.home.rglob("*")):
            status = path.lstat()
            found[str(path)] = (status.st_ino, status.st_mtime_ns)
        return found


def exec_job(job_id: str, *argv: str, **fields: Any) -> dict[str, Any]:
    """A stopped job that runs *argv* when it is started."""
    action = {"freezer_action": {"action": "exec", "command": list(argv or ("true",))}}
    schedule = {"status": "stop"}
    return {"job_id": job_id, "job_actions": [action], "job_schedule": schedule, **fields}


def timed_job(job_id: str, **schedule: Any) -> dict[str, Any]:
    return {**exec_job(job_id), "job_schedule": schedule}
