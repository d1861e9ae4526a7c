# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""History is append-only, survives a torn line."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain.core.errors import CannotWrite
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


def test_the_first_record_of_a_job_opens_its_history_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = os.open

    def note(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        opened.append(os.path.basename(path))
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", note)
    (tmp_path / "j").mkdir()
    path = tmp_path / "j" / "history.jsonl"
    assert history.append(path, [run(1)]) == (path.parent, tmp_path)
    assert history.append(path, [run(2)]) == ()
    assert opened.count(path.name) == 2


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


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_no_more_than_was_asked_for(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "j" / "history.jsonl"
    skips = [{"skipped": 1, "reason": str(n), "time_ended": float(n)} for n in range(3)]
    for number in range(3):
        history.append(path, [run(number), skips[number]])
    assert history.runs(path, limit) == [run(n) for n in (2, 1, 0)][:limit]
    assert history.skipped(path, limit) == skips[::-1][:limit]
    assert history.oldest(path) == run(0)


@pytest.mark.parametrize("call", ["fsync", "write"])
def test_a_record_that_is_not_safe_is_not_there_and_no_descriptor_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "j" / "history.jsonl"
    history.append(path, [run(1)])
    held, before = set(os.listdir("/proc/self/fd")), path.read_bytes()
    real = os.write

    def fail(descriptor: int, *raw: bytes) -> int:
        if call == "write":  # a disk that is full takes a part
            return real(descriptor, raw[0][:5])
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(CannotWrite, match="the record of a run cannot be written"):
            history.append(path, [run(2)])
    assert path.read_bytes() == before
    history.append(path, [run(2)])
    assert [entry["run_id"] for entry in history.runs(path, 9)] == ["r2", "r1"]
    assert set(os.listdir("/proc/self/fd")) == held
