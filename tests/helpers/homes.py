# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A home directory on whatever disk a test wants, driven through the command."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import waiting
from waiting import PATIENCE

PACKAGE = Path(__file__).resolve().parents[2] / "roles" / "runner" / "files"
COMMAND = [sys.executable, "-m", "coldchain"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PACKAGE)}

# Root in a container may lack the right to mount.
MOUNTS = os.geteuid() == 0 and not subprocess.call(["unshare", "--mount", "true"])
needs_root = pytest.mark.skipif(not MOUNTS, reason="needs root that may mount")


class Home:
    """One installation; ``run`` calls the command, ``start`` its runner."""

    def __init__(self, path: Path, log_file: Path) -> None:
        self.path = path
        self.log_file = log_file
        self.runner: subprocess.Popen[bytes] | None = None

    def run(self, *words: str, given: Any = None, prefix: Sequence[str] = ()) -> tuple[int, Any]:
        done = subprocess.run(
            [*prefix, *COMMAND, "--home", str(self.path), "--json", *words],
            input=None if given is None else json.dumps(given),
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            timeout=waiting.LIMIT,
        )
        assert "Traceback" not in done.stderr, done.stderr
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError:
            return done.returncode, done.stdout + done.stderr

    def start(self, *prefix: str) -> None:
        log = self.log_file.open("ab")
        before = self.log().count("runner ready")
        words = [*prefix, *COMMAND, "--home", str(self.path), "serve"]
        # A group of its own: a tool before the command must not survive it, nor it the tool.
        self.runner = subprocess.Popen(words, stderr=log, env=ENVIRONMENT, start_new_session=True)
        log.close()
        self.until(lambda: self.log().count("runner ready") > before)

    def log(self) -> str:
        return self.log_file.read_text()

    def stop(self) -> None:
        if self.runner is not None:
            # TERM first: what lies on the disk is then as an orderly end leaves it.
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.runner.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.runner.wait(waiting.LIMIT)
            self.runner = None

    def until(self, condition: Callable[[], Any], within: float = PATIENCE) -> Any:
        """What starts the command is asked again when a file has changed, and each second."""
        before: list[tuple[str, int, int]] = []
        asked, dear = 0.0, False

        def asking() -> Any:
            nonlocal before, asked, dear
            files = self._files() if dear else []
            if dear and files == before and time.monotonic() < asked + 1.0:
                return None
            before, asked = files, time.monotonic()
            value = condition()
            dear = time.monotonic() > asked + 0.03
            return value

        return waiting.until(asking, within, told=self.log, pause=0.02)

    def _files(self) -> list[tuple[str, int, int]]:
        """When each was changed, and its size: the home's, and what its runner says."""
        found = []
        for folder, _folders, names in os.walk(self.path):
            for path in (folder, *(os.path.join(folder, name) for name in names), self.log_file):
                with contextlib.suppress(OSError):
                    status = os.lstat(path)
                    found.append((str(path), status.st_mtime_ns, status.st_size))
        return found

    def job(self, job_id: str) -> dict[str, Any]:
        code, answer = self.run("list", job_id)
        assert code == 0, answer
        job: dict[str, Any] = answer["jobs"][0]
        return job

    def runs(self, job_id: str) -> list[dict[str, Any]]:
        code, answer = self.run("history", job_id, "-n", "1000")
        assert code == 0, answer
        runs: list[dict[str, Any]] = answer["runs"]
        return runs


def document(job_id: str, line: str = "true", schedule: Any = None, **fields: Any) -> Any:
    action = {"action": "exec", "command": ["sh", "-c", line]}
    return {
        "job_id": job_id,
        "job_actions": [{"freezer_action": action}],
        "job_schedule": schedule or {},
        **fields,
    }
