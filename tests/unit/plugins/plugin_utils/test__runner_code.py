# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the runner works on a controller that has none of its libraries."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.coldchain.freezer.plugins.plugin_utils import _runner_code

PLUGINS = Path(_runner_code.__file__).parents[1]
PARTS = sorted(
    name
    for path in PLUGINS.rglob("*.py")
    for name in re.findall(r'\bpart\("([^"]+)"\)', path.read_text(encoding="utf-8"))
)


def test_there_are_parts():
    assert "cli/measures.py" in PARTS


@pytest.mark.parametrize("name", PARTS)
def test_a_part_needs_nothing_but_python(name):
    path = _runner_code.FILES / "coldchain" / name
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
