# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""History is append-only, survives a torn line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain.errors import CannotWrite
from coldchain.store import history


def run(number: int, size: int = 0) -> dict[str, object]:
    return {"run_id": f"r{number}", "time_ended": float(number), "message": "m" * size}


@settings(max_examples=30)
@given(
    sizes=st.lists(st.integers(0, 40000), min_size=1, max_size=12),
    limit=st.integers(1, 14),
    keep=st.integers(1, 14),
)
def test_newest_first_and_rewritten(
    sizes: list[int], limit: int, keep: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("history") / "job" / "history.jsonl"
    runs = [run(number, size) for number, size in enumerate(sizes)]
    for entry in runs:
        history.append(path, [entry])
    assert history.runs(path, limit) == runs[::-1][:limit]
    history.keep_newest(path, list(history.newest_first(path))[:keep])
    assert history.runs(path, 99) == runs[::-1][:keep]


def test_a_line_that_a_crash_cut_short_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "j" / "history.jsonl"
    history.append(path, [run(1)])
    with path.open("ab") as stream:
        stream.write(b'{"run_id": "r2", "ti')
    history.append(path, [run(3)])
    assert [r["run_id"] for r in history.runs(path, 9)] == ["r3", "r1"]


def test_skipped_slots_are_kept_apart_from_runs(tmp_path: Path) -> None:
    path = tmp_path / "j" / "history.jsonl"
    skip = {"skipped": 2, "reason": "missed", "time_ended": 2.0}
    history.append(path, [run(1), skip, run(3)])
    assert history.skipped(path, 5) == [skip]
    assert len(history.runs(path, 5)) == 2


def test_a_record_that_cannot_be_written_is_an_error_with_the_place(tmp_path: Path) -> None:
    path = tmp_path / "j" / "history.jsonl"
    path.mkdir(parents=True)
    with pytest.raises(CannotWrite, match=r"history\.jsonl"):
        history.append(path, [run(1)])
