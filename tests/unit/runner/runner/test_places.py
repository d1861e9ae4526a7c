# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""concurrent_jobs bounds what runs at once, however the runs come to be due."""

from __future__ import annotations

import time
from typing import Any

import pytest

from coldchain.core.errors import CannotWrite

JOBS = [f"j{number}" for number in range(6)]
WAITING = "waiting for a free place"


def settled(host: Any) -> list[str]:
    """The jobs that run, once each job either runs or says that it waits."""
    states = [host.state(job_id) for job_id in JOBS]
    decided = [state.status == "running" or WAITING in state.reason for state in states]
    if not all(decided):
        return []
    return [job_id for job_id, state in zip(JOBS, states) if state.status == "running"]


def test_of_jobs_that_are_due_in_one_tick_no_more_begin(host: Any) -> None:
    gate = host.gate()
    for job_id in JOBS:
        host.declare(job_id, gate.line)
    host.start(concurrent_jobs=2)
    assert host.until(lambda: settled(host)) == JOBS[:2]
    gate.open()
    runs = [host.runs(job_id)[0] for job_id in JOBS]
    spans = sorted((run["time_started"], run["time_ended"]) for run in runs)
    for begin, dummy in spans:
        assert sum(first <= begin < last for first, last in spans) <= 2


def test_runs_that_a_full_disk_keeps_from_beginning_hold_their_places(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = host.paths.home / "begun"
    for job_id in JOBS:
        host.declare(job_id, f"echo {job_id} >> {begun}; {host.gate().line}")
    commit, full = type(host.store).commit_states, [True]

    def commit_states(store: Any, *arguments: Any, **named: Any) -> None:
        if full[0] and any(state and state.run_id for state in arguments[0].values()):
            raise CannotWrite("state.json: No space left on device", "make room")
        commit(store, *arguments, **named)

    monkeypatch.setattr(type(host.store), "commit_states", commit_states)
    host.start(concurrent_jobs=2)
    try:
        host.until(lambda: len(host.runner.runs) >= 2)
        for dummy in range(5):  # each lets the loop turn once more while the disk is full
            host.store.wake()
            time.sleep(0.05)
        assert sorted(host.runner.runs) == JOBS[:2]
        assert not begun.exists()
    finally:
        full[0] = False
    assert host.until(lambda: settled(host)) == JOBS[:2]
    host.until(lambda: begun.exists() and len(begun.read_text().split()) == 2)
