# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""History is bounded by number, age and size, and keeping more of it makes no run dearer."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import new_store

from coldchain.runner import housekeeping
from coldchain.runner.states import States
from coldchain.store import Bounds, State, Store, history

DAY = 86400.0
MUCH = Bounds(10**6, 10**6, 10**12)


def add(store: Store, number: int, log: int = 0, ended: float | None = None) -> str:
    """A run on record, with a log of *log* bytes."""
    run_id = f"r{number:06}"
    path = store.paths.run_log("j", run_id)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x" * log)
    entry: dict[str, Any] = {
        "run_id": run_id, "job_id": "j", "result": "success",
        "time_ended": time.time() if ended is None else ended,
    }  # fmt: skip
    store.add_history("j", entry)
    return run_id


def kept(store: Store) -> list[str]:
    """Runs on record, newest first; their logs are there, and no others."""
    runs = [run["run_id"] for run in store.history("j", 10**6)]
    logs = sorted(path.stem for path in store.paths.job_log("j").glob("*.log"))
    assert logs == sorted(runs)
    return runs


@settings(max_examples=40)
@given(
    logs=st.lists(st.integers(0, 60_000), min_size=1, max_size=25),
    entries=st.integers(1, 12),
    max_bytes=st.integers(1, 300_000),
    restart=st.integers(0, 25),
)
def test_number_and_size_hold_after_every_run(
    tmp_path_factory: pytest.TempPathFactory,
    logs: list[int],
    entries: int,
    max_bytes: int,
    restart: int,
) -> None:
    home = tmp_path_factory.mktemp("home")
    store = new_store(home)
    done: list[str] = []
    for number, log in enumerate(logs):
        if number == restart:
            store.close()
            store = new_store(home)
        done.insert(0, add(store, number, log))
        store.bound_history("j", done[0], Bounds(entries, 400, max_bytes))
        found = kept(store)
        assert found == done[: len(found)] and found, "the newest stay, and one always does"
        assert len(found) * 4 <= max(4, entries * 5)
        used = sum(p.stat().st_blocks * 512 for p in store.paths.job_log("j").iterdir())
        assert used <= max_bytes or len(found) == 1
        done = found
    store.close()


def test_age_is_looked_at_when_a_day_has_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, bounds = new_store(tmp_path), Bounds(100, 10, 10**9)
    first = add(store, 1, ended=time.time() - 9.5 * DAY)
    store.bound_history("j", first, bounds)
    real, clock = time.time, time.monotonic
    for later, expected in ((0.7, 2), (1.1, 2)):
        monkeypatch.setattr(time, "time", lambda later=later: real() + later * DAY)
        monkeypatch.setattr(time, "monotonic", lambda later=later: clock() + later * DAY)
        store.bound_history("j", add(store, int(later * 10)), bounds)
        assert len(kept(store)) == expected
    assert first not in kept(store)
    store.close()


@pytest.mark.parametrize("declared", [True, False])
def test_jobs_that_run_no_more_grow_old_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declared: bool
) -> None:
    monkeypatch.setattr(housekeeping, "FIRST", 0.0)
    store, now = new_store(tmp_path), time.time()
    for number, age in enumerate((30.0, 20.0, 5.0)):
        add(store, number, ended=now - age * DAY)
    (store.paths.log / "empty").mkdir()
    (store.paths.log / "file").touch()
    if declared:
        store.commit_states({"j": State()})
    states = States(store)

    def a_day_passes(days: int) -> list[str]:
        keeper = housekeeping.Housekeeping(store, states, Bounds(100, days, 10**9))
        for dummy in range(5):
            keeper.step()
        return kept(store) if store.paths.job_log("j").exists() else []

    assert a_day_passes(40) == ["r000002", "r000001", "r000000"]
    assert a_day_passes(15) == ["r000002"]
    assert a_day_passes(3) == (["r000002"] if declared else [])
    assert store.paths.job_log("j").exists() == declared
    store.close()


def test_logs_that_cannot_be_listed_are_told_once_a_day_and_stop_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(housekeeping, "FIRST", 0.0)
    store = new_store(tmp_path)
    keeper = housekeeping.Housekeeping(store, States(store), Bounds(100, 400, 10**9))
    store.paths.log.rmdir()
    for dummy in range(5):
        keeper.step()
    assert caplog.text.count(f"No such file or directory: '{store.paths.log}'") == 1
    store.close()


def test_skipped_slots_count_as_entries(tmp_path: Path) -> None:
    store, bounds = new_store(tmp_path), Bounds(8, 400, 10**9)
    store.bound_history("j", add(store, 0), bounds)
    for number in range(1, 30):
        store.add_history("j", {"skipped": 1, "reason": "x", "time_ended": time.time()})
        store.bound_history("j", add(store, number), bounds)
        lines = store.paths.history("j").read_text().splitlines()
        assert len(lines) <= 11
    store.close()


def test_a_run_costs_the_same_whatever_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes written and read for one run, once its job is known."""
    costs = []
    for past in (10, 1000):
        store = new_store(tmp_path / str(past))
        for number in range(past):
            store.paths.job_log("j").mkdir(exist_ok=True)
            add(store, number)
        store.bound_history("j", "r000000", MUCH)
        moved = [0]

        def counted(real: Any, size: Any, moved: list[int] = moved) -> Any:
            def call(*arguments: Any) -> Any:
                result = real(*arguments)
                moved[0] += size(result)
                return result

            return call

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", counted(os.write, int))
            patch.setattr(os, "pread", counted(os.pread, len))
            patch.setattr(Path, "open", lambda *dummy: pytest.fail("the history was read"))
            run = {"run_id": "r999999", "job_id": "j", "result": "success", "time_ended": 1.0}
            store.add_history("j", run)
            store.bound_history("j", "r999999", MUCH)
        costs.append(moved[0])
        store.close()
    assert costs[0] == costs[1] < 200


def test_over_many_runs_a_run_writes_a_few_rows_however_many_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, bounds = new_store(tmp_path), Bounds(400, 400, 10**9)
    written = [0]
    real = os.write

    def write(descriptor: int, raw: Any) -> int:
        written[0] += len(raw)
        return real(descriptor, raw)

    monkeypatch.setattr(os, "write", write)
    for number in range(1000):
        store.bound_history("j", add(store, number), bounds)
    row = len(store.paths.history("j").read_bytes()) / len(store.history("j", 10**6))
    assert written[0] < 1000 * row * 6
    store.close()


def test_a_clock_that_is_ahead_for_a_while_costs_no_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, bounds = new_store(tmp_path), Bounds(100, 400, 10**9)
    for number in range(3):
        add(store, number)
    real, ahead = time.time, 10 * 365 * DAY
    monkeypatch.setattr(time, "time", lambda: real() + ahead)
    store.distrust_clock()  # as the runner does at its start and when the clock was set
    store.bound_history("j", add(store, 3), bounds)
    store.expire_history("j", bounds, declared=False)
    assert len(kept(store)) == 4
    later = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: later() + 2 * DAY)
    store.bound_history("j", add(store, 4), bounds)
    assert len(kept(store)) == 2, "it has been steady: so it is right"


def test_the_history_that_a_run_has_begun_is_not_read_to_bound_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    real = history.newest_first
    monkeypatch.setattr(history, "newest_first", lambda path: (read.append(path), real(path))[1])
    store = new_store(tmp_path)
    for number in range(5):
        store.bound_history("j", add(store, number, 5000), Bounds(4, 400, 10**6))
    assert read == [], "five quarters of what is kept"
    store.bound_history("j", add(store, 5, 5000), Bounds(4, 400, 10**6))
    assert read and len(kept(store)) == 4
    store.close()


def test_what_fits_stays_and_what_does_not_makes_room_for_a_while(tmp_path: Path) -> None:
    """A quarter goes at once: else every run would write the whole history again."""
    store = new_store(tmp_path)
    for number in range(10):
        add(store, number, 100_000)
    total = sum(path.stat().st_blocks * 512 for path in store.paths.job_log("j").iterdir())
    store.bound_history("j", "r000009", Bounds(10**6, 10**6, total))
    assert len(kept(store)) == 10
    store.bound_history("j", add(store, 10, 100_000), Bounds(10**6, 10**6, total))
    assert kept(store) == [f"r{number:06}" for number in range(10, 3, -1)]
    store.close()


def test_skipped_slots_take_the_bytes_of_their_rows_and_no_others(tmp_path: Path) -> None:
    """They have no log."""
    store = new_store(tmp_path)
    for dummy in range(10):
        row = {"skipped": 1, "reason": "x" * 1000, "time_ended": time.time()}
        store.add_history("j", row)
    used = store.paths.history("j").stat().st_blocks * 512
    for room, stay in ((used, 10), (used - 1, 7)):
        store.bound_history("j", "never recorded", Bounds(100, 400, room))
        assert len(store.skipped("j", 99)) == stay
    store.close()
