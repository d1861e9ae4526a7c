# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks against this machine."""

from __future__ import annotations

from pathlib import Path

import guardian
import pytest

# Before anything takes a copy of the environment.
guardian.start()

from playbooks import Play, player


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return player(tmp_path)


def pytest_unconfigure() -> None:
    guardian.stop()
