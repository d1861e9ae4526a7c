# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``coldchain run``: a run in this process, which an interrupt aborts."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from cli_command import exec_job

from coldchain.core.errors import DataError, TryAgain
from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.runner import lock
from coldchain.runner.foreground import run_now
from coldchain.store import Change, Store


class Place:
    """An installation without a runner; what a run has shown."""

    def __init__(self, home: Path) -> None:
        self.paths = Paths.under(home)
        self.store = Store.open(self.paths, create=True)
        self.shown: list[str] = []
        self.watched: set[Path] = set()

    def run(self, target: Any, interrupt: bool = False) -> dict[str, Any]:
        def watch(directory: Path) -> None:
            if interrupt and not self.watched:
                signal.raise_signal(signal.SIGINT)
            self.watched.add(directory)

        settings = Settings.load(self.paths)
        return dict(run_now(self.paths, settings, target, self.shown.append, watch))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    tmp_path.chmod(0o700)
    return Place(tmp_path)


@pytest.mark.parametrize("declared", [True, False])
def test_a_run_in_the_foreground_shows_its_log_and_is_recorded_where_it_is_declared(
    place: Place, declared: bool
) -> None:
    job = {**exec_job("j", "echo", "hello"), "session_id": "s"}
    if declared:
        place.store.apply([Change("j", job)])
    record = place.run("j" if declared else job)
    assert (record["result"], record["job_id"], record["cause"]) == ("success", "j", "event")
    assert "hello\n" in "".join(place.shown)
    assert {directory.name for directory in place.watched} == {record["run_id"]}
    assert place.store.history("j", 9) == ([record] if declared else [])
    assert ("log" in record) is declared and record["session_id"] == "s"
    assert not any(directory.exists() for directory in place.watched)
    if declared:
        state = place.store.state("j")
        assert state is not None and state.last_run == record and not state.active


@pytest.mark.parametrize("declared", [True, False])
def test_an_interrupt_aborts_the_run_and_nothing_else(place: Place, declared: bool) -> None:
    job = exec_job("j", "sleep", "60")
    if declared:
        place.store.apply([Change("j", job)])
    before = signal.getsignal(signal.SIGINT)
    record = place.run("j" if declared else job, interrupt=True)
    assert (record["result"], record["reason"]) == ("aborted", "interrupted")
    assert record["actions"][0]["result"] == "aborted"
    assert signal.getsignal(signal.SIGINT) == before
    assert not any(directory.exists() for directory in place.watched)


def test_what_cannot_be_run_in_the_foreground(place: Place) -> None:
    with pytest.raises(DataError, match="there is no job 'x' here") as refused:
        place.run("x")
    assert refused.value.hint == "coldchain list shows them"
    held = lock.acquire(place.paths)
    with contextlib.closing(os.fdopen(held)), pytest.raises(TryAgain):
        place.run("x")
