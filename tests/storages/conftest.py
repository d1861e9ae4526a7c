# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers, started when the first test asks for one: `make storages` installs them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import guardian
import pytest

# Before anything takes a copy of the environment.
guardian.start()
# rclone is started some two thousand times here, and a fifth of each start is a search for garbage
# among what it keeps until it ends, another tenth what its threads cost each other.  This way it
# searches where it has really come to much, and test_memory_does_not_grow_with_the_backup looks at
# the one that users start.
os.environ.update(GOGC="off", GOMEMLIMIT="200MiB", GOMAXPROCS="1")

from storage_servers import Makers, Server
from storage_site import ROOT, Site

from coldchain.agent.engines.tar.stored import cipher

_numbers = count(1)


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
    request: pytest.FixtureRequest,
    makers: Makers,
    servers: dict[str, Server | str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Site]:
    """A site on the storage that the test names by @on(...), or on each."""
    server = _server(request.param, makers, servers)
    with tempfile.TemporaryDirectory() as root:
        one = Site(Path(root), server, server.container.format(f"c{next(_numbers)}"))
        one.source.mkdir()
        # An rclone that is killed leaves there what it has spooled.
        monkeypatch.setenv("TMPDIR", root)
        if server.secrets:
            lines = [f"{name}={value}" for name, value in server.secrets.items()]
            (one.root / "credentials").write_text("\n".join(lines) + "\n")
            (one.root / "credentials").chmod(0o600)
        yield one


@pytest.fixture(autouse=True)
def _quick_derivation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cipher, "ITERATIONS", 1000)


def pytest_unconfigure() -> None:
    guardian.stop()
