# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damage is told of and waited for as far as it helps; what is closed or tidied keeps nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from stores import new_store

from coldchain.core.locks import lock_within, open_lock
from coldchain.core.paths import Paths
from coldchain.store import Change, State, Store

DOCUMENT = {"job_id": "j", "job_actions": [], "job_schedule": {}}
PATIENCE = 3.0


class Sleeps:
    """Time passes in sleeps only; *meanwhile* is done in each, with the number of the sleep."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slept: list[float] = []
        self.meanwhile: Callable[[int], object] = lambda number: None
        begun = time.monotonic()
        monkeypatch.setattr(time, "sleep", self._sleep)
        monkeypatch.setattr(time, "monotonic", lambda: begun + sum(self.slept))

    def _sleep(self, seconds: float) -> None:
        assert seconds > 0, "time would not pass"
        self.slept.append(seconds)
        self.meanwhile(len(self.slept))


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> Sleeps:
    return Sleeps(monkeypatch)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Of a store with two commits of everything."""
    store = new_store(tmp_path)
    for number in (1, 2):
        store.apply([Change("j", {**DOCUMENT, "description": str(number)})])
        store.add_event("j", "start", "me")
        store.commit_states({"j": State(reason=str(number))})
    store.close()
    return store.paths


@contextmanager
def locked(path: Path) -> Iterator[None]:
    lock = open_lock(path)
    assert lock_within(lock)
    try:
        yield
    finally:
        os.close(lock)


def damage(path: Path, *, both: bool = False) -> None:
    for name in (path.name, f"{path.name}.previous")[: 1 + both]:
        path.with_name(name).write_bytes(b"garbage")


# -- a damaged state, which a runner at work writes again --------------------------------------


@pytest.mark.parametrize("both", [False, True], ids=["one generation", "both generations"])
def test_a_patient_reader_reads_what_the_runner_writes_again(
    paths: Paths, sleeps: Sleeps, both: bool
) -> None:
    damage(paths.state, both=both)

    def write_again(number: int) -> None:
        if number == 3:
            with closing(Store(paths)) as runner:
                runner.commit_states({"j": State(reason="again")}, whole=True)

    sleeps.meanwhile = write_again
    reader = Store.open(paths, create=False, patience=PATIENCE)
    with locked(paths.runner_lock):
        assert reader.states()["j"].reason == "again"
    assert len(sleeps.slept) == 3, "and not a moment longer"
    reader.close()


def test_patience_ends_and_is_had_once(paths: Paths, sleeps: Sleeps) -> None:
    damage(paths.state)
    reader = Store.open(paths, create=False, patience=PATIENCE)
    with locked(paths.runner_lock):
        assert reader.states()["j"].reason == "1", "the generation before"
        assert all(0 < seconds <= 0.1 for seconds in sleeps.slept)
        assert PATIENCE <= sum(sleeps.slept) <= PATIENCE + 0.1
        sleeps.slept.clear()
        assert reader.states() and reader.clock_mark() is None and sleeps.slept == []
    reader.close()


@pytest.mark.parametrize("patience", [None, PATIENCE], ids=["impatient", "no runner"])
def test_nobody_waits_unless_asked_to_and_where_no_runner_is(
    paths: Paths, sleeps: Sleeps, patience: float | None
) -> None:
    damage(paths.state)
    words = {} if patience is None else {"patience": patience}
    reader = Store.open(paths, create=False, **words)
    with locked(paths.runner_lock if patience is None else paths.foreground_lock):
        assert reader.states()["j"].reason == "1" and sleeps.slept == []
    reader.close()


def test_a_state_that_is_whole_is_not_waited_for(paths: Paths, sleeps: Sleeps) -> None:
    damage(paths.jobs)
    reader = Store.open(paths, create=False, patience=PATIENCE)
    with locked(paths.runner_lock):
        assert reader.states()["j"].reason == "2" and sleeps.slept == []
    reader.close()


# -- what is told of it ------------------------------------------------------------------------


def test_damage_is_told_as_damage_until_it_lies_beside(paths: Paths) -> None:
    damage(paths.jobs)
    reader = Store(paths)
    (found,) = reader.damages()
    assert (found.path, found.kind, found.aside) == (paths.jobs, "jobs", False)
    assert found.used == paths.jobs.with_name("jobs.json.previous")
    damage(paths.events, both=True)
    assert [(one.kind, one.used, one.aside) for one in reader.damages()] == [
        ("jobs", found.used, False),
        ("events", None, False),
    ]
    writer = Store(paths)
    writer.tidy()
    assert [(one.kind, one.aside) for one in reader.damages()] == [("jobs", True), ("events", True)]
    reader.close()
    writer.close()


def test_only_what_others_did_to_the_state_replaces_it(paths: Paths) -> None:
    """What the runner committed or read itself is not written again."""
    runner = Store(paths)
    assert runner.state_replaced(), "nothing is known of it yet"
    assert runner.states() and not runner.state_replaced()
    runner.commit_states({"j": State(reason="3")})
    assert not runner.state_replaced()
    other = Store(paths)
    other.commit_states({"j": State(reason="4")})
    assert runner.state_replaced() and not other.state_replaced()
    assert runner.states() and not runner.state_replaced()
    for harm in (damage, Path.unlink):
        runner.commit_states({"j": State(reason="5")})
        assert not runner.state_replaced()
        harm(paths.state)
        assert runner.state_replaced()
        assert runner.states() and runner.state_replaced(), "the generation before is not it"
    runner.close()
    other.close()


# -- what is closed or tidied ------------------------------------------------------------------


def test_a_closed_store_keeps_no_file_open(paths: Paths) -> None:
    held = len(os.listdir("/proc/self/fd"))
    store = Store(paths)
    assert store.jobs() and store.states() and store.pending_events()
    store.apply([Change("k", DOCUMENT)])
    assert len(os.listdir("/proc/self/fd")) > held
    store.close()
    assert len(os.listdir("/proc/self/fd")) == held


def test_a_start_lets_a_command_finish_its_commit_but_not_for_long(
    paths: Paths, sleeps: Sleeps
) -> None:
    left = paths.jobs.with_name("jobs.json.tmp")
    left.write_bytes(b"half")
    lock_file = paths.jobs.with_name("jobs.json.lock")
    store = Store(paths)
    with locked(lock_file):
        store.tidy()
    assert left.exists() and sum(sleeps.slept) <= 5, "a suspended command does not keep it"
    sleeps.slept.clear()
    lock = open_lock(lock_file)
    assert lock_within(lock)
    sleeps.meanwhile = lambda number: number == 20 and os.close(lock)
    store.tidy()
    assert not left.exists() and len(sleeps.slept) == 20
    store.close()
