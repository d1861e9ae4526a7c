# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both programs over one source, and a history for them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from agent_trees import State, state
from checked_actions import checked_action
from freezer_forks import Forks

from coldchain.agent.action import perform
from coldchain.agent.report import Report

ROOT = Path(__file__).parents[2]
#: What freezer-agent's Python reads of its environment when it starts.
FREEZER = {"PYTHONWARNINGS": "ignore"}


@dataclass(frozen=True)
class Pair:
    """Both programs over one source and one container, spoken to in the same words."""

    root: Path
    program: Path
    auth_url: str
    #: What runs freezer-agent; where it is none, each run is a process of its own.
    forks: Forks | None = None

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
        return perform(
            checked_action(self._action(action, fields)), containers_dir=self.root, client_id="host"
        )

    def ours_in_a_process(self, action: str, **fields: object) -> subprocess.Popen[bytes]:
        """The same beside the test, which may do something to it."""
        config = self.root / "action.json"
        config.write_text(json.dumps({"freezer_action": self._action(action, fields)}))
        home = self.root / "home"
        home.mkdir(mode=0o700, exist_ok=True)
        return subprocess.Popen(
            [sys.executable, "-m", "coldchain", "--home", home, "agent", "--config", config],
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
        words = [str(self.program), "--config", str(config)]
        environment = {
            **FREEZER,
            "PATH": f"{self.program.parent}:{os.environ['PATH']}",
            "HOME": str(self.root),
            "TMPDIR": str(self.root),  # it leaves files there when the storage is a server
            **self.openrc,
            "OS_IDENTITY_API_VERSION": "3",
        }
        output = self.root / "output"
        if self.forks is not None:
            code = self.forks.run(words, environment, output)
        else:
            with output.open("wb") as stream:
                code = subprocess.run(
                    words, env=environment, stdout=stream, stderr=stream, check=False
                ).returncode
        log = self.root / ".freezer" / "freezer.log"
        told = log.read_text()[-3000:] if log.exists() else ""
        return code, output.read_text() + told


def grow(pair: Pair, step: int) -> None:
    """One step of a history with everything that a level has to record."""
    source = pair.source
    if step == 0:
        for name in ("dir/sub", "gone", "moved"):
            (source / name).mkdir(parents=True)
        (source / "dir" / "sub" / "deep").write_text("deep")
        (source / "gone" / "file").write_text("x")
        (source / "moved" / "file").write_text("m")
        (source / "with space 'and' \"quotes\" $(id)").write_text("q")
        (source / "linked").write_text("l")
        os.link(source / "linked", source / "dir" / "also linked")
        (source / "symlink").symlink_to("dir/sub")
        (source / "n").write_bytes(b"")
        Path(os.fsdecode(os.fsencode(source) + b"/\xff\xfe")).write_text("bytes")
        with (source / "sparse").open("wb") as stream:
            stream.truncate(1 << 20)
        (source / "linked").chmod(0o640)
    elif step == 1:
        shutil.rmtree(source / "gone")
        (source / "new").write_text("new")
    elif step == 2:
        (source / "moved").rename(source / "dir" / "renamed")
        (source / "linked").write_text("changed in place")
    elif step == 3:
        (source / "symlink").unlink()
        (source / "symlink").mkdir()
        (source / "symlink" / "inside").write_text("now a directory")
        (source / "dir" / "sub" / "deep").write_bytes(os.urandom(200_000))
    else:
        (source / f"step {step}").write_text(str(step))


def tree(path: Path) -> State:
    """The state with whole seconds: freezer-agent's archives have no more."""
    found = state(os.fsencode(path))
    return {name: (*rest[:4], rest[4] // 10**9, *rest[5:]) for name, rest in found.items()}
