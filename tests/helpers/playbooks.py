# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks against this machine, with the collection that `make install` has installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COLLECTIONS = ROOT / "build" / "collections"
#: Role runner in a directory of collections.
ROLE = Path("ansible_collections/coldchain/freezer/roles/runner")
#: A play of it.
RUNNER: list[dict[str, object]] = [
    {"hosts": "all", "gather_facts": False, "roles": ["coldchain.freezer.runner"]}
]


@dataclass(frozen=True)
class Played:
    """How a playbook has ended: its exit code, what it printed, and the recap's counters."""

    code: int
    output: str

    def __getattr__(self, counter: str) -> int:
        return int(re.findall(rf" {counter}=(\d+) ", self.output)[-1])


Play = Callable[..., Played]


def player(directory: Path) -> Play:
    """What runs playbooks against this machine, with a file of its own in *directory*."""

    def run(
        playbook: str | list[dict[str, object]],
        *options: str,
        collections: Path = COLLECTIONS,
        **variables: object,
    ) -> Played:
        """Run a playbook by name, or plays given as data; keywords become extra variables."""
        if not isinstance(playbook, str):
            path = directory / "play.yml"
            path.write_text(json.dumps(playbook), encoding="utf-8")
            playbook = str(path)
        variables.setdefault("ansible_python_interpreter", sys.executable)
        result = subprocess.run(
            [
                "ansible-playbook",
                "--inventory=localhost,",
                "--connection=local",
                f"--extra-vars={json.dumps(variables)}",
                *options,
                playbook,
            ],
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(collections),
                "ANSIBLE_NOCOLOR": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Played(result.returncode, result.stdout)

    return run


def next_release(tmp_path: Path, name: str, file: str, line: str) -> Path:
    """The installed collection with one line more at the end of a file of the runner."""
    collections = tmp_path / name
    shutil.copytree(COLLECTIONS, collections)
    with (collections / ROLE / "files" / "coldchain" / file).open("a", encoding="utf-8") as stream:
        stream.write(f"{line}\n")
    build = collections / ROLE / "files" / "build_bundle.py"
    subprocess.run(
        [sys.executable, build, "--wheels", ROOT / "build" / "cache" / "wheels"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return collections
