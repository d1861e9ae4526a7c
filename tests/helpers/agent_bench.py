# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from agent_points import catalogue
from checked_actions import checked_action

from coldchain.agent.action import perform
from coldchain.agent.engines.base import Backup
from coldchain.agent.process.tools import COMPRESSIONS, PACKAGES
from coldchain.agent.report import Report
from coldchain.execution.command import run

#: The compressors of this machine: a minimal Debian has only gzip.
INSTALLED = [name for name in sorted(COMPRESSIONS) if shutil.which(name)]


def needs(name: str) -> pytest.MarkDecorator:
    reason = f"{name} is not installed (apt install {PACKAGES[name][0]})"
    return pytest.mark.skipif(shutil.which(name) is None, reason=reason)


def capable(number: int) -> bool:
    """Whether this process has a capability of Linux: root in a container lacks some."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return bool(int(status.partition("CapEff:")[2].split()[0], 16) >> number & 1)


CAP_LINUX_IMMUTABLE, CAP_SYS_ADMIN, CAP_SYS_NICE = 9, 21, 23


@dataclass(frozen=True)
class Bench:
    """A container, a source and a password in one directory, and one way to perform actions."""

    root: Path

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
    def pass_file(self) -> Path:
        return self.root / "password"

    def perform(self, action: str, **fields: object) -> Report:
        defaults: dict[str, object] = {
            "container": str(self.container),
            "backup_name": "docs",
            "hostname": "host",
            "sync": False,
        }
        document = checked_action({"action": action, **defaults, **fields})
        if action == "exec":
            return run(document)
        return perform(document, containers_dir=self.root, client_id="client")

    def backup(self, **fields: object) -> Report:
        fields.setdefault("path_to_backup", str(self.source))
        return self.perform("backup", **fields)

    def level(self, **fields: object) -> Report:
        return self.backup(incremental=True, **fields)

    def restore(self, **fields: object) -> Report:
        fields.setdefault("restore_abs_path", str(self.target))
        return self.perform("restore", **fields)

    def catalogue(self) -> list[Backup]:
        return catalogue(self.container)

    def files(self) -> set[str]:
        """Every name in the container, for "nothing was written"."""
        return {
            os.path.join(folder, name)
            for folder, folders, names in os.walk(self.container)
            for name in folders + names
        }


def make_bench(root: Path) -> Bench:
    bench = Bench(root)
    bench.source.mkdir()
    bench.pass_file.write_text("correct horse\n")
    bench.pass_file.chmod(0o600)
    return bench
