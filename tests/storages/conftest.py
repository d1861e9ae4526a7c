# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every storage against a real server that the tests start: `make storages` installs them."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from storage_servers import NAMES, Makers, Server

from coldchain.agent import cipher
from coldchain.agent.action import perform
from coldchain.agent.info import Backup, catalogue
from coldchain.agent.location import Location, location
from coldchain.agent.options import Fields
from coldchain.agent.report import Report
from coldchain.agent.verify import Verification, verify

ROOT = Path(__file__).parents[2]
# The description of a tree is the unit tests' own.
sys.path.insert(0, str(ROOT / "tests" / "unit" / "runner" / "agent"))

_numbers = count(1)


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
            self.action(kind, **more),
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


@pytest.fixture(scope="session")
def makers() -> Iterator[Makers]:
    given = os.environ.get("COLDCHAIN_STORAGES_VENV")
    venv = Path(given) if given else ROOT / "build" / "venvs" / "storages"
    if not (venv / "bin" / "rclone").exists():
        pytest.fail(f"{venv} has no rclone and no servers: run make storages")
    before = os.environ["PATH"]
    # COLDCHAIN_RCLONE: a directory with another rclone to test with, an older one say.
    own = os.environ.get("COLDCHAIN_RCLONE", str(venv / "bin"))
    os.environ["PATH"] = f"{own}:{before}"
    with tempfile.TemporaryDirectory(prefix="storages-") as root:
        yield Makers(Path(root), venv)
    os.environ["PATH"] = before


@pytest.fixture(scope="session")
def servers(makers: Makers) -> Iterator[dict[str, Server | str]]:
    """Started ones by name, a reason in words for one that cannot be had."""
    started: dict[str, Server | str] = {}
    yield started
    for server in started.values():
        if isinstance(server, Server):
            server.kill()


def _server(name: str, makers: Makers, servers: dict[str, Server | str]) -> Server:
    if name not in servers:
        server = getattr(makers, name)()
        servers[name] = server
        if isinstance(server, Server):
            server.start()
    found = servers[name]
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture
def site(
    request: pytest.FixtureRequest, makers: Makers, servers: dict[str, Server | str]
) -> Iterator[Site]:
    """A site on the storage that the test names by @on(...), or on each."""
    server = _server(request.param, makers, servers)
    with tempfile.TemporaryDirectory() as root:
        one = Site(Path(root), server, server.container.format(f"c{next(_numbers)}"))
        one.source.mkdir()
        if server.secrets:
            lines = [f"{name}={value}" for name, value in server.secrets.items()]
            (one.root / "credentials").write_text("\n".join(lines) + "\n")
            (one.root / "credentials").chmod(0o600)
        yield one


def on(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("site", names or NAMES, indirect=True)


@pytest.fixture(autouse=True)
def _quick_derivation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cipher, "ITERATIONS", 1000)
