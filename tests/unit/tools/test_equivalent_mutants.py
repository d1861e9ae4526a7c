# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change that was judged to mean nothing is one of a line that is there, or it judges nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
BLOCKS = (ROOT / "tests/mutants/equivalent.txt").read_text("utf-8").split("\n\n")


def folded(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("block", [block.strip() for block in BLOCKS[1:] if block.strip()])
def test_what_was_judged_is_in_its_file(block: str) -> None:
    path, before, after, *why = [
        line for number, line in enumerate(block.splitlines()) if number < 3 or line[:1] == "#"
    ]
    assert (before[0], after[0]) == ("-", "+") and why, "the lines before, after, and the reason"
    assert folded(before[1:]) in folded((ROOT / path).read_text("utf-8")), f"{path} has changed"
