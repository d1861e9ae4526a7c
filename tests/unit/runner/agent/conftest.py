# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bench for each test of the agent."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_bench import Bench, make_bench

from coldchain.agent.engines.tar.stored import cipher


@pytest.fixture
def bench() -> Iterator[Bench]:
    # Not tmp_path: pytest keeps those, and these trees have names that other tools dislike.
    with tempfile.TemporaryDirectory() as root:
        yield make_bench(Path(root))


@pytest.fixture(autouse=True)
def _quick_derivation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cipher, "ITERATIONS", 1000)
