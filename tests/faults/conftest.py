# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Homes on whatever disk a test wants."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import guardian
import pytest

# Before anything takes a copy of the environment.
guardian.start()

from homes import Home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "home", tmp_path / "runner.log")
    made.path.mkdir()
    yield made
    made.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Home]:
    """A home on a file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0755", "coldchain", str(place)], check=True
    )
    made = Home(place / "home", tmp_path / "runner.log")
    made.path.mkdir()
    yield made
    made.stop()
    subprocess.run(["umount", "-l", str(place)], check=True)


def pytest_unconfigure() -> None:
    guardian.stop()
