# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks against this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import guardian
import pytest

# Before anything takes a copy of the environment.
guardian.start()

from playbooks import RUNNER, Play, player


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return player(tmp_path)


@pytest.fixture(scope="session")
def _installation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A home that the role has made, and a copy of it as it was then."""
    directory = tmp_path_factory.mktemp("installed")
    home, copy = directory / "site" / "runner", directory / "copy"
    home.parent.mkdir()
    # Each host at its own pace, which for one host is the same: that the role can be played so.
    freely = [{**play, "strategy": "free"} for play in RUNNER]
    made = player(directory)(freely, coldchain_home=str(home))
    assert made.code == 0, made.output
    shutil.copytree(home, copy, symlinks=True)
    return home, copy


@pytest.fixture
def installed(_installation: tuple[Path, Path]) -> Path:
    """A home as the role makes it: for what comes afterwards, at a tenth of the play's cost."""
    home, copy = _installation
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(copy, home, symlinks=True)
    return home


def pytest_unconfigure() -> None:
    guardian.stop()
