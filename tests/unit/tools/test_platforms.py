# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""tools/platforms.py finds what does not agree."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def platforms() -> Any:
    spec = importlib.util.spec_from_file_location("platforms", ROOT / "tools" / "platforms.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_list_that_differs_is_found(platforms: Any, tmp_path: Path) -> None:
    for name in (*platforms.PAGES, *(f"roles/{role}/meta/main.yml" for role in platforms.ROLES)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    assert platforms.problems(tmp_path) == []
    page = tmp_path / platforms.PAGES[1]
    page.write_text(page.read_text().replace("| Alpine |", "| Alpine Linux |"))
    assert platforms.problems(tmp_path) == [
        "README.md and docs/reference/role_runner.md: the tables of platforms differ"
    ]
    meta = tmp_path / "roles" / "jobs" / "meta" / "main.yml"
    meta.write_text(meta.read_text().replace("    - name: Alpine\n      versions: [all]\n", ""))
    assert "roles/jobs/meta/main.yml: has ['Debian'" in platforms.problems(tmp_path)[1]
