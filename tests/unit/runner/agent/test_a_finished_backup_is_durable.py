# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup that was told to be complete outlives a power cut in the same second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from power_cut import Disk


def test_every_level_with_its_data_and_its_metadata(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    for number in range(3):
        (bench.source / f"file-{number}").write_bytes(bytes(range(256)) * 500)
        report = bench.level(max_level=1)
        assert report.fields["level"] == (0, 1, 0)[number]
        for tree in ("data", "metadata"):
            assert disk.lost(bench.container / tree / "tar") == []
    names = {path.name for path in Path(bench.container).rglob("*") if path.is_file()}
    assert {"data", "metadata"} <= names
