# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands after several verifications."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import at_most, joined

from coldchain.agent import receipts as receipts_module
from coldchain.agent.receipts import Receipt, Receipts, merge, weakest
from coldchain.core.errors import DataError, TryAgain
from coldchain.core.locks import lock_within, open_lock

receipts = st.builds(
    Receipt,
    st.integers(0, 100),
    st.sampled_from(["quick", "full"]),
    st.sampled_from(["sound", "damaged"]),
)


@given(st.lists(receipts, min_size=1, max_size=8))
def test_what_stands_is_the_last_that_had_something_to_say(history: list[Receipt]) -> None:
    stands = None
    for receipt in history:
        stands = merge(stands, receipt)
    # From the end: the first that is full or found damage, or at last a quick look.
    telling = [each for each in history if each.how == "full" or each.result == "damaged"]
    assert stands is not None
    if not telling:
        assert stands == history[-1]
    elif telling[-1].how == "full":
        assert stands == telling[-1]
    else:
        # A quick look can take back what a quick look has found (a disk was not mounted).
        assert stands == history[-1]


@given(st.lists(st.none() | receipts, min_size=1, max_size=6))
def test_a_point_is_verified_as_well_as_its_weakest_level(levels: list[Receipt | None]) -> None:
    point = weakest(levels)
    known = [each for each in levels if each is not None]
    if len(known) < len(levels):
        assert point is None
        return
    assert point is not None
    assert point.time <= min(each.time for each in known)
    assert (point.how == "full") == all(each.how == "full" for each in known)
    assert (point.result == "sound") == all(each.result == "sound" for each in known)


def test_many_writers_lose_nothing_and_what_is_gone_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "verified.json"
    one = Receipt(1, "full", "sound")

    def write(number: int) -> None:
        Receipts(tmp_path).keep("/c", {f"host_{number}": {"1/0_1": one, "1/1_2": one}})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        joined(thread)
    kept = Receipts(tmp_path)
    assert all(kept.of("/c", f"host_{number}", "1/0_1") == one for number in range(8))
    kept.keep("/c", {"host_0": {"1/1_2": one}})
    assert kept.of("/c", "host_0", "1/0_1") is None
    assert kept.of("/c", "host_1", "1/0_1") == one
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_not_ours_is_named(tmp_path: Path) -> None:
    path = tmp_path / "verified.json"
    assert Receipts(tmp_path).problem == ""
    for text in ("", "[]", "{}", '{"format": 2, "containers": {}}'):
        path.write_text(text)
        receipts = Receipts(tmp_path)
        assert receipts.of("/c", "h", "1/0_1") is None
        assert "verified.json" in receipts.problem
        with pytest.raises(DataError, match=r"verified\.json"):
            receipts.keep("/c", {})
        assert path.read_text() == text


def test_a_verification_waits_for_the_file_within_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts_module, "_PATIENCE", 0.1)
    holder = open_lock(tmp_path / f"{receipts_module.FILE}.lock")
    assert lock_within(holder)
    with at_most(2), pytest.raises(TryAgain, match="held by another process"):
        Receipts(tmp_path).keep("/container", {"host_docs": {"1/0_1": Receipt(1, "full", "sound")}})
    os.close(holder)
