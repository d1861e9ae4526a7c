# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner's entries wait for the disk together, and nobody can make use of that."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from homes import Home, document
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import content, done, ended, place, put, said

from coldchain.core.digest import canonical_json
from coldchain.observe.ledger import subscriber
from coldchain.observe.ledger.check import LedgerVerdict, verify
from coldchain.observe.ledger.format import FILE
from coldchain.observe.ledger.look import look
from coldchain.observe.ledger.renewal import renew
from coldchain.observe.ledger.subscriber import RunLedger
from coldchain.observe.ledger.writer import Ledger


class Disk:
    """What of the ledger's files would outlive a power cut: names and content, as synced."""

    def __init__(self, lib: Path, patch: pytest.MonkeyPatch) -> None:
        self.lib = lib
        self._content: dict[int, bytes] = {}
        self._names: dict[str, int] = {}
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, self._synced)

    def _synced(self, descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if path.is_dir():
            self._names = {name: (path / name).stat().st_ino for name in content(path)}
        else:
            self._content[path.stat().st_ino] = path.read_bytes()

    def cut_power(self, more: Callable[[int], int], garbage: bytes) -> None:
        """Let the lines be as they were synced and *more* of what was written since, and then
        *garbage* up to the length that they had."""
        after = {name: self._content.get(number, b"") for name, number in self._names.items()}
        if FILE in after:
            raw = (self.lib / FILE).read_bytes()
            kept = len(after[FILE]) + more(len(raw) - len(after[FILE]))
            after[FILE] = raw[:kept] + garbage[: len(raw) - kept]
        put(self.lib, after)
        self._names = {name: (self.lib / name).stat().st_ino for name in after}
        self._content = {number: after[name] for name, number in self._names.items()}


STEPS = st.lists(
    st.sampled_from(["run", "run", "run", "count", "command", "restart", "cut"]), max_size=25
)


@settings(max_examples=150)
@given(STEPS, st.integers(0, 2**32).map(Random))
def test_no_power_cut_takes_back_what_the_head_has_counted(
    steps: list[str], chance: Random
) -> None:
    """Of a runner that lets its entries wait for the disk, beside commands that do not."""
    with place() as lib, pytest.MonkeyPatch.context() as patch:
        lib.mkdir()
        disk, runner = Disk(lib, patch), Ledger(lib)
        written: list[str] = []
        for number, step in enumerate(steps, 1):
            job = f"job-{number}"
            if step == "run":
                runner.write(done(number), later=True)
                written.append(job)
            elif step == "command":
                Ledger(lib).write(done(number))
                written.append(job)
            elif step == "count":
                head = runner.count()
                assert head == Ledger(lib).head() or not written
            elif step == "restart":
                runner = Ledger(lib)
            else:
                before = Ledger(lib).head()
                zeros = b"\0" * chance.choice([0, 9999])
                disk.cut_power(lambda most: chance.randint(0, max(0, most)), zeros)
                runner = Ledger(lib)
                counted = 0 if before is None else before.entries
                assert verify(runner).ok, (verify(runner), before)
                said_now = [entry["job_id"] for entry in said(lib) if "job_id" in entry]
                own = sum(entry["what"] == "ledger" for entry in said(lib)[:counted])
                assert said_now[: counted - own] == written[: counted - own]
                written = said_now
            assert verify(runner).ok, step
            assert look(runner)[1] == []
            jobs = [entry["job_id"] for entry in said(lib) if "job_id" in entry]
            assert jobs == written
        runner.write(done(0))
        assert verify(runner).ok and not verify(runner).notes


@pytest.mark.parametrize("what", ["cut", "edited", "edited by one who knows", "gone", "all right"])
@pytest.mark.parametrize("beside", [False, True])
def test_what_is_done_to_an_entry_that_is_not_counted_yet_is_told(
    tmp_path: Path, what: str, beside: bool
) -> None:
    """beside: a command writes after that, before the runner does."""
    runner = Ledger(tmp_path)
    for number in range(3):
        runner.write(done(number), later=True)
    path = tmp_path / FILE
    *before, last = path.read_bytes().splitlines(keepends=True)
    if what == "cut":
        path.write_bytes(b"".join(before))
    elif what == "edited":
        path.write_bytes(b"".join([*before, last.replace(b"job-2", b"job-7")]))
    elif what == "edited by one who knows":
        entry = {**json.loads(last), "who": {"uid": 1}}
        path.write_bytes(b"".join([*before, canonical_json(entry), b"\n"]))
    elif what == "gone":
        path.write_bytes(before[0])
    if beside:
        Ledger(tmp_path).write(done(8))
    runner.count()
    verdict = verify(Ledger(tmp_path))
    assert verdict.ok == (what == "all right"), verdict
    assert not verdict.notes
    if beside and what == "all right":
        assert renew(Ledger(tmp_path))[1].entries == 1


def test_a_ledger_that_is_renewed_beside_the_runner_takes_along_what_was_not_counted(
    tmp_path: Path,
) -> None:
    runner = Ledger(tmp_path)
    for number in range(3):
        runner.write(done(number), later=True)
    place_of_old, _head = renew(Ledger(tmp_path))
    assert place_of_old is not None
    assert [entry["n"] for entry in said(place_of_old)] == [1, 2, 3]
    assert said(tmp_path)[0]["entries"] == 3
    runner.write(done(3), later=True)
    runner.count()
    assert verify(Ledger(tmp_path)) == LedgerVerdict(2, verify(runner).head)


def test_a_runner_waits_for_the_disk_now_and_then_and_says_what_that_leaves_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, synced = [1000.0], []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda it: (synced.append(it), real(it)))
    runs = RunLedger(tmp_path)
    runs(ended(0))
    assert runs.kept([]) == {"entries": 1, "runs": {}}
    synced.clear()
    for number in (1, 2):
        runs(ended(number))
        runs.step()
    assert synced == [] and len(said(tmp_path)) == 3, "it is there for whoever looks"
    kept = runs.kept([ended(3)])
    assert kept == {"entries": 1, "runs": {"1": "job-1", "2": "job-2", "3": "job-3"}}
    clock[0] += subscriber.SPACING
    runs.step()
    assert len(synced) == 2 and runs.kept([]) == {"entries": 3, "runs": {}}
    records = {str(number): ended(number).record for number in (1, 3)}
    later = RunLedger(tmp_path)
    later.resume(kept["runs"], lambda _, run_id: records.get(run_id))
    later.step()
    later(ended(3))  # is told again after a crash, and is there already
    later(ended(4))
    later.close()
    assert [entry["job_id"] for entry in said(tmp_path)] == [f"job-{n}" for n in range(5)]
    assert verify(Ledger(tmp_path)).ok


@pytest.mark.parametrize("taken", ["nothing", "what was not counted", "a part of it"])
def test_after_a_power_cut_the_next_runner_writes_what_is_missing(
    tmp_path: Path, taken: str
) -> None:
    home = Home(tmp_path / "home", tmp_path / "log")
    home.path.mkdir(mode=0o700)
    home.log_file.touch()
    job = document("j", schedule={"schedule_interval": "1 seconds"})
    assert home.run("apply", "-", given=job)[0] == 0
    home.start()
    lib = home.path / "lib"
    try:
        home.until(lambda: len(said(lib)) >= 3 and verify(Ledger(lib)).notes)
        assert home.runner is not None
        home.runner.kill()
        home.runner.wait(10)
        head, raw = Ledger(lib).head(), (lib / FILE).read_bytes()
        assert head is not None and len(raw) > head.size, "the head counts the last ones later"
        size = {"nothing": len(raw), "a part of it": (head.size + len(raw)) // 2}
        (lib / FILE).write_bytes(raw[: size.get(taken, head.size)])
        assert verify(Ledger(lib)).ok
        home.start()
        home.stop()  # it leaves nothing uncounted
    finally:
        home.stop()
    put_down = [entry["run_id"] for entry in said(lib) if entry["what"] == "run"]
    assert sorted(put_down) == sorted(run["run_id"] for run in home.runs("j"))
    verdict = verify(Ledger(lib))
    assert verdict.ok and not verdict.notes
