# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command or the runner has told to be kept outlives a power cut in the same second."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from power_cut import Disk
from stores import new_store

from coldchain.core.errors import CannotWrite
from coldchain.core.paths import Paths
from coldchain.store import Change, State, Store

DOCUMENT = {"job_id": "j", "job_actions": [{"freezer_action": {"action": "exec"}}]}
PASSING = (".lock", ".link", ".tmp", "runs")  # worth nothing after a power cut


def test_declarations_requests_states_and_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    paths = Paths.under(tmp_path)
    store = Store.open(paths, create=True)
    disk = Disk(monkeypatch)

    def lost(directory: Path) -> list[str]:
        told = disk.lost(directory)
        return [line for line in told if not line.partition(": ")[0].endswith(PASSING)]

    for turn in range(3):
        store.apply([Change("j", {**DOCUMENT, "priority": turn})])
        assert lost(paths.lib) == []
        request = store.add_event("j", "start", "a test")
        assert lost(paths.lib) == []
        for job_id in ("j", f"new{turn}"):
            record = {"run_id": str(turn), "job_id": job_id, "result": "success"}
            store.add_history(job_id, record)
        store.commit_states({"j": State(revision=turn)}, [request.id])
        assert lost(paths.lib) == lost(paths.log) == []
    assert sorted(path.name for path in paths.lib.iterdir() if path.suffix == ".json") == [
        "events.json",
        "jobs.json",
        "state.json",
    ]
    store.close()


def test_no_state_is_written_before_the_records_that_it_tells_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store(tmp_path)
    store.commit_states({"j": State(revision=1)})
    real, refused = os.fsync, [store.paths.log, store.paths.log / "k"]

    def fsync(descriptor: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{descriptor}")) in refused:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    for job_id in ("j", "k"):
        store.add_history(job_id, {"run_id": "1", "job_id": job_id, "result": "success"})
    while refused:
        with pytest.raises(CannotWrite, match="the record of a run cannot be written"):
            store.commit_states({"j": State(revision=2)})
        assert Store(store.paths).states()["j"].revision == 1
        refused.pop()
    store.commit_states({"j": State(revision=2)})
    assert Store(store.paths).states()["j"].revision == 2
    store.close()


def test_what_the_disk_does_not_confirm_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store(tmp_path)
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(CannotWrite, match="was written, but the disk does not confirm it"):
            store.apply([Change("j", DOCUMENT)])
    assert store.job("j") is not None and Store(store.paths).job("j") is not None
    store.close()
