# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A source, and a container for it on a real server that the tests start."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from agent_points import catalogue, verify
from checked_actions import checked_action
from storage_servers import NAMES, Server

from coldchain.agent.action import perform
from coldchain.agent.engines.base import Backup, Verification
from coldchain.agent.fields import Fields
from coldchain.agent.report import Report
from coldchain.agent.storages.location import Location, location

ROOT = Path(__file__).parents[2]

#: Without what is another one of them with another log-in or TLS.
KINDS = [name for name in NAMES if name not in ("ssh_password", "ftps")]
#: For what the engine makes of the contract, which each server has to keep: a disk, directories and
#: objects elsewhere, and Swift with its segments.
ONE_OF_A_KIND = ("local", "ssh_openssh", "s3_rclone", "swift")
#: More than any buffer on the way, and not to be compressed.
LARGE = 3_000_000
#: For many backups, and slow compressors: a stream to rclone still, which sends
#: what is below 100 KiB as a file of a known size.
SMALL = 300_000


@dataclass
class Site:
    """A source on this host and a container of its own on a storage."""

    root: Path
    server: Server
    container: str

    @property
    def source(self) -> Path:
        return self.root / "source"

    @property
    def target(self) -> Path:
        return self.root / "target"

    @property
    def fields(self) -> dict[str, Any]:
        fields = {**self.server.fields, "container": self.container}
        if self.server.secrets:
            fields["credentials_file"] = str(self.root / "credentials")
        return fields

    def action(self, kind: str, **more: object) -> dict[str, Any]:
        shared = {"action": kind, "hostname": "host", "backup_name": "docs", "sync": False}
        if kind == "backup":
            shared["path_to_backup"] = str(self.source)
        if kind == "restore":
            shared["restore_abs_path"] = str(self.target)
        return {**shared, **self.fields, **more}

    def perform(self, kind: str, **more: object) -> Report:
        return perform(
            checked_action(self.action(kind, **more)),
            containers_dir=self.root,
            client_id="client",
            state_dir=self.root / "lib",
        )

    def backup(self, **more: object) -> Report:
        return self.perform("backup", incremental=True, **more)

    @property
    def location(self) -> Location:
        return location(Fields(self.fields), self.root)

    def catalogue(self) -> list[Backup]:
        return catalogue(self.location)

    def verify(self, mode: str = "quick", **more: Any) -> Verification:
        return verify(self.location, mode=mode, **more)

    def stored(self) -> set[str]:
        """Every file of the container, where the server keeps them as files."""
        assert self.server.folder is not None
        top = self.server.folder / self.container.rpartition(":")[2]
        return {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}


def on(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("site", [at(name) for name in names], indirect=True)


def at(name: str, *more: object) -> Any:
    """A case on the storage *name*: all of its cases are tried by the worker that starts it."""
    return pytest.param(name, *more, marks=pytest.mark.xdist_group(name), id=name)


def grow(site: Site, step: int, large: int = LARGE) -> None:
    """Step 0: a tree with a file of *large* random bytes; then a few changes each."""
    source = site.source
    if step == 0:
        (source / "dir" / "sub").mkdir(parents=True)
        (source / "dir" / "sub" / "deep").write_text("deep")
        (source / "gone").write_text("x")
        (source / "large").write_bytes(os.urandom(large))
        (source / "link").symlink_to("dir/sub")
    else:
        (source / "gone").unlink(missing_ok=True)
        (source / f"new {step}").write_text(str(step))
        (source / "dir" / "sub" / "deep").write_text(f"changed {step}")
