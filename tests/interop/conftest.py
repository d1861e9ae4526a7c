# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real freezer-agent, in an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from interop_keystone import keystone

from coldchain.agent.action import perform
from coldchain.agent.report import Report

ROOT = Path(__file__).parents[2]
_OURS = (
    "import sys; from coldchain.agent.action import main;"
    "sys.exit(main(sys.argv[1], None, None, sys.argv[2]))"
)
# The description of a tree is the unit tests' own.
sys.path.insert(0, str(ROOT / "tests" / "unit" / "runner" / "agent"))


@pytest.fixture(scope="session")
def program() -> Path:
    """The path of freezer-agent, which make interop installs."""
    path = ROOT / "build" / "venvs" / "freezer" / "bin" / "freezer-agent"
    if not path.exists():
        pytest.fail(f"{path} does not exist: make interop installs it")
    return path


@dataclass(frozen=True)
class Pair:
    """Both programs over one source and one container, spoken to in the same words."""

    root: Path
    program: Path
    auth_url: str

    @property
    def source(self) -> Path:
        return self.root / "source"

    @property
    def container(self) -> Path:
        return self.root / "container"

    @property
    def target(self) -> Path:
        return self.root / "target"

    @property
    def openrc(self) -> dict[str, str]:
        """What lets both programs into OpenStack."""
        return {
            "OS_AUTH_URL": self.auth_url,
            "OS_USERNAME": "u",
            "OS_PASSWORD": "p",
            "OS_PROJECT_NAME": "p",
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_PROJECT_DOMAIN_NAME": "Default",
        }

    def _action(self, action: str, fields: dict[str, object]) -> dict[str, object]:
        shared: dict[str, object] = {
            "action": action,
            "storage": "local",
            "container": str(self.container),
            "hostname": "host",
            "backup_name": "docs",
            "sync": False,
        }
        if action == "backup":
            shared |= {"mode": "fs", "path_to_backup": str(self.source)}
        if action == "restore":
            shutil.rmtree(self.target, ignore_errors=True)
            shared |= {"restore_abs_path": str(self.target)}
        return {**shared, **fields}

    def ours(self, action: str, **fields: object) -> Report:
        return perform(self._action(action, fields), containers_dir=self.root, client_id="host")

    def ours_in_a_process(self, action: str, **fields: object) -> subprocess.Popen[bytes]:
        """The same beside the test, which may do something to it."""
        config = self.root / "action.json"
        config.write_text(json.dumps({"freezer_action": self._action(action, fields)}))
        return subprocess.Popen(
            [sys.executable, "-c", _OURS, config, self.root],
            env={**os.environ, "PYTHONPATH": str(ROOT / "roles" / "runner" / "files")},
        )

    def freezer(self, action: str, **fields: object) -> str:
        """Run freezer-agent as its scheduler does, by an INI file; fails unless it exits with 0."""
        code, output = self.try_freezer(action, **fields)
        assert code == 0, output
        return output

    def try_freezer(self, action: str, **fields: object) -> tuple[int, str]:
        lines = [f"{key} = {value}" for key, value in self._action(action, fields).items()]
        config = self.root / "action.ini"
        config.write_text("\n".join(["[action]", *lines, ""]))
        done = subprocess.run(
            [self.program, "--config", config],
            env={
                "PATH": f"{self.program.parent}:{os.environ['PATH']}",
                "HOME": str(self.root),
                **self.openrc,
                "OS_IDENTITY_API_VERSION": "3",
                "PYTHONWARNINGS": "ignore",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        log = self.root / ".freezer" / "freezer.log"
        told = log.read_text()[-3000:] if log.exists() else ""
        return done.returncode, done.stdout + done.stderr + told


@pytest.fixture(scope="session")
def auth_url() -> Iterator[str]:
    with keystone() as url:
        yield url


@pytest.fixture
def pair(program: Path, auth_url: str) -> Iterator[Pair]:
    with tempfile.TemporaryDirectory() as root:
        one = Pair(Path(root), program, auth_url)
        one.source.mkdir()
        yield one
