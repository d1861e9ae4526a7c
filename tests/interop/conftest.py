# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real freezer-agent, in an environment of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import guardian
import pytest

# Before anything takes a copy of the environment.
guardian.start()

from freezer_forks import Forks, forks
from interop_keystone import keystone
from interop_pair import FREEZER, ROOT, Pair
from playbooks import Play, player


@pytest.fixture(scope="session")
def program() -> Path:
    """The path of freezer-agent, which make interop installs."""
    path = ROOT / "build" / "venvs" / "freezer" / "bin" / "freezer-agent"
    if not path.exists():
        pytest.fail(f"{path} does not exist: make interop installs it")
    return path


@pytest.fixture(scope="session")
def auth_url() -> Iterator[str]:
    with keystone() as url:
        yield url


@pytest.fixture(scope="session")
def agent(program: Path) -> Iterator[Forks]:
    with forks(program, FREEZER) as one:
        yield one


@pytest.fixture
def pair(program: Path, auth_url: str, agent: Forks) -> Iterator[Pair]:
    with tempfile.TemporaryDirectory() as root:
        one = Pair(Path(root), program, auth_url, agent)
        one.source.mkdir()
        yield one


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return player(tmp_path)


def pytest_unconfigure() -> None:
    guardian.stop()
