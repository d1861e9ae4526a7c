# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that gets a request a minute for years keeps no list of those it has acted on."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from stores import new_store
from waiting import at_most

from coldchain.core.paths import Paths
from coldchain.runner.wake import Wake
from coldchain.store import Bounds, Change, State, Store

DOCUMENT = {"job_id": "j", "job_actions": [{"freezer_action": {"action": "exec"}}]}


def test_the_state_does_not_grow_with_the_requests(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    paths = Paths.under(tmp_path)
    store = Store.open(paths, create=True)
    store.apply([Change("j", DOCUMENT)])
    sizes, asked = [], []
    for dummy in range(20):
        request = store.add_event("j", "stop", "a test")
        asked.append(request.id)
        store.commit_states({}, [request.id])
        assert store.event_done(request.id) and store.pending_events() == []
        store.forget_events([request.id])
        sizes.append(paths.state.stat().st_size)
    assert len(set(sizes)) == 1
    text = paths.state.read_text()
    assert [request_id for request_id in asked if request_id in text] == asked[-1:]
    assert all(store.event_done(request_id) for request_id in asked)
    store.close()


def test_requests_that_are_done_but_not_dropped_stay_done(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    store.apply([Change("j", DOCUMENT)])
    first, second = (store.add_event("j", event, "a test") for event in ("stop", "start"))
    store.commit_states({}, [first.id])
    assert [event.id for event in store.pending_events()] == [second.id]
    store.commit_states({}, [first.id, second.id])
    assert store.pending_events() == []
    assert store.acted_on() == [first.id, second.id]
    store.close()


def test_states_are_put_and_removed_in_one_commit(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    store.commit_states({"a": State(revision=1), "b": State(revision=2)})
    store.commit_states({"a": None, "c": State(revision=3), "never there": None})
    assert {key: state.revision for key, state in store.states().items()} == {"b": 2, "c": 3}
    store.commit_states({"b": None})
    assert set(Store(store.paths).states()) == {"c"}
    store.close()


def test_only_a_writer_puts_a_damaged_file_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = new_store(tmp_path)
    store.apply([Change("j", {**DOCUMENT, "priority": 1})])
    store.apply([Change("j", {**DOCUMENT, "priority": 2})])
    jobs = store.paths.jobs
    store.close()
    jobs.write_bytes(jobs.read_bytes()[:-9])
    reader = Store(store.paths)
    assert reader.jobs()["j"].document["priority"] == 1
    assert "using the generation before it" in caplog.text and "is now" not in caplog.text
    assert not list(jobs.parent.glob("jobs.json.damaged-*"))
    writer = Store.open(store.paths, create=True)
    writer.apply([Change("k", DOCUMENT)])
    (aside,) = jobs.parent.glob("jobs.json.damaged-*")
    assert f"the damaged file is now {aside}" in caplog.text
    assert set(Store(store.paths).jobs()) == {"j", "k"}
    writer.close()


def test_the_newest_entry_is_the_runner_s_mark_or_a_declaration(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    assert store.clock_mark() is None and store.newest_entry() == 0.0
    store.apply([Change("j", DOCUMENT)])
    assert store.newest_entry() == store.jobs()["j"].changed > 0
    mark = {"time": 1234.5, "boot": "x"}
    store.commit_states({}, None, mark)
    assert store.clock_mark() == mark and store.newest_entry() == 1234.5
    store.commit_states({"j": State(revision=1)})
    assert store.clock_mark() == mark
    store.close()


@pytest.mark.parametrize("length", [107, 108, 300])
def test_a_runner_is_woken_however_long_its_path_is(tmp_path: Path, length: int) -> None:
    """It heard nothing where the path of its socket had more than the 107 bytes that one may have,
    and looked for requests once a second."""
    missing = length - len(os.fsencode(Paths.under(tmp_path).wake))
    while missing > 0:
        part = "x" * min(missing - 1, 200)
        tmp_path, missing = tmp_path / part, missing - len(part) - 1
    tmp_path.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = new_store(tmp_path)
    assert len(os.fsencode(store.paths.wake)) == length
    wake = Wake(store.paths.wake)
    store.add_event("j", "stop", "a test")
    assert wake.socket.recv(64) == b"w"
    wake.close(keep=False)
    assert not store.paths.wake.exists()
    store.close()


def test_no_runner_that_hangs_keeps_a_command_waiting(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as runner:
        runner.bind(str(store.paths.wake))
        with at_most():
            for dummy in range(1000):  # nobody reads them
                store.wake()
        assert runner.recv(9) == b"w"
    store.close()


def test_descriptors_and_lost_logs(tmp_path: Path) -> None:
    """Neither many commits nor many looks cost descriptors; a log may be gone before its entry."""
    writer = new_store(tmp_path)
    reader = Store(writer.paths)
    held = []
    for number in range(5):
        writer.apply([Change("j", {**DOCUMENT, "priority": number})])
        assert reader.jobs()["j"].document["priority"] == number
        writer.add_history("j", {"run_id": f"r{number}", "job_id": "j", "time_ended": 1e9 + number})
        writer.bound_history("j", f"r{number}", Bounds(3, 10**6, 10**9))
        held.append(len(os.listdir("/proc/self/fd")))
    assert len(set(held[1:])) == 1
    assert [run["run_id"] for run in writer.history("j", 9)] == ["r4", "r3", "r2"]
    writer.close()
    reader.close()
