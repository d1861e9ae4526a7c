# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""tools/mutants.py knows where the tests of each package of the runner lie."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = sorted(
    path.stem
    for path in (ROOT / "roles/runner/files/coldchain").iterdir()
    if not path.name.startswith("_")
)


def folders() -> dict[str, list[str]]:
    """FOLDERS: what the tool imports besides lives in an environment of its own."""
    for node in ast.parse((ROOT / "tools/mutants.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FOLDERS":
            return dict(ast.literal_eval(node.value))
    raise AssertionError("no FOLDERS")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_has_tests_and_all_that_are_named_are_there(package: str) -> None:
    named = folders().get(package, [package])
    assert [
        name
        for name in named
        if not any((ROOT / "tests/unit/runner" / name).rglob("test_*"))
        and not (ROOT / "tests/unit/runner" / name).is_file()
    ] == []
    own = (ROOT / "tests/unit/runner" / package).is_dir()
    assert not own or package in named, "its own tests count"


def test_nothing_else_is_named() -> None:
    assert folders().keys() <= set(PACKAGES)
