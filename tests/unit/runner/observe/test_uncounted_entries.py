# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner's entries wait for the disk together, and nobody can make use of that."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from homes import Home, document
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import content, done, ended, place, put, said
from waiting import joined

from coldchain.core.digest import canonical_json, sha256_hex
from coldchain.core.errors import CannotWrite
from coldchain.core.paths import Paths
from coldchain.observe.ledger import subscriber
from coldchain.observe.ledger.check import LedgerVerdict, verify
from coldchain.observe.ledger.format import FILE, LOCK, act, aside
from coldchain.observe.ledger.look import look
from coldchain.observe.ledger.renewal import renew
from coldchain.observe.ledger.subscriber import RunLedger
from coldchain.observe.ledger.writer import Ledger
from coldchain.store import Store


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


def no_room(*_unused: Any) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def put_aside(lib: Path) -> None:
    """As if it had been large enough."""
    head = Ledger(lib).head()
    assert head is not None
    (lib / FILE).rename(lib / aside(head.first))
    for number in range(4):
        Ledger(lib).write(done(number))


def write_much(lib: Path) -> None:
    for _turn in range(3):
        Ledger(lib).write(act("apply", {"jobs": "x" * 2_000_000}))


def begin_anew(lib: Path) -> None:
    renew(Ledger(lib))
    for number in range(4):
        Ledger(lib).write(done(number))


def begin_anew_twice(lib: Path) -> None:
    renew(Ledger(lib))
    renew(Ledger(lib))


def fail_once(lib: Path) -> None:
    """The runner's next write, as its disk does not take the head."""


OTHERS = [put_aside, write_much, begin_anew, begin_anew_twice, fail_once]


@pytest.mark.parametrize("altered", [False, True])
@pytest.mark.parametrize("again", [1, 2])
@pytest.mark.parametrize("others", OTHERS, ids=lambda it: it.__name__)
def test_nothing_that_others_do_hides_it_or_is_taken_for_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    others: Callable[[Path], None],
    again: int,
    altered: bool,
) -> None:
    runner = Ledger(tmp_path)
    for number in range(4):
        runner.write(done(number), later=True)
    if altered:
        head, raw = runner.head(), (tmp_path / FILE).read_bytes()
        assert head is not None
        (tmp_path / FILE).write_bytes(raw[: head.size])
    for _turn in range(again):
        Ledger(tmp_path).write(done(7))
        others(tmp_path)
        if others is fail_once:
            with monkeypatch.context() as patch, pytest.raises(CannotWrite):
                patch.setattr(os, "pwrite", no_room)
                runner.write(done(8))
    runner.write(done(9), later=True)
    runner.count()
    assert verify(Ledger(tmp_path)).ok == (not altered)
    assert not verify(Ledger(tmp_path)).notes


def test_what_a_failure_leaves_uncounted_is_watched_over_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = Ledger(tmp_path)
    for number in range(4):
        runner.write(done(number), later=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", no_room)
        with pytest.raises(CannotWrite):
            runner.count()
        with pytest.raises(CannotWrite):
            runner.write(done(4))
    head, raw = runner.head(), (tmp_path / FILE).read_bytes()
    assert head is not None and head.entries == 1
    (tmp_path / FILE).write_bytes(raw[: head.size])
    runner.write(done(5), later=True)
    assert not verify(Ledger(tmp_path)).ok


@pytest.mark.parametrize("kept_by_history", [0, 50, 500])
@pytest.mark.parametrize("waiting", [3, 250, 400])
def test_a_run_is_put_down_or_counted_as_missing(
    tmp_path: Path, waiting: int, kept_by_history: int
) -> None:
    """Also of more runs than the state names, or than their histories keep."""
    runs = RunLedger(tmp_path)
    (tmp_path / LOCK).mkdir()
    for number in range(waiting):
        runs(ended(number))
    kept = runs.kept([ended(waiting)])
    assert kept is not None and len(kept["runs"]) + kept["missed"] == waiting + 1
    (tmp_path / LOCK).rmdir()
    newest = range(waiting + 1 - kept_by_history, waiting + 1)
    records = {str(number): ended(number).record for number in newest}
    later = RunLedger(tmp_path)
    later.resume(kept["runs"], lambda _, run_id: records.get(run_id), kept["missed"])
    later.close()
    put_down = [entry for entry in said(tmp_path) if entry["what"] == "run"]
    missed = sum(entry["runs"] for entry in said(tmp_path) if entry["what"] == "ledger")
    assert len(put_down) + missed == waiting + 1
    assert {entry["run_id"] for entry in put_down} == records.keys() & kept["runs"].keys()


def test_the_state_names_all_runs_that_are_not_counted(tmp_path: Path) -> None:
    """Also of a host that ends hundreds within the seconds that they wait."""
    runs = RunLedger(tmp_path)
    for number in range(500):
        kept = runs.kept([ended(number)])
        assert kept is not None and kept["missed"] == 0
        runs(ended(number))
        head = Ledger(tmp_path).head()
        assert head is not None and number + 1 - head.entries <= len(kept["runs"])


def new_home(place: Path) -> Home:
    home = Home(place / "home", place / "log")
    home.path.mkdir(mode=0o700)
    home.log_file.touch()
    return home


JUNK: list[Any] = [
    {},
    {"entries": 1},
    {"entries": "x", "runs": [], "missed": None},
    {"entries": -1, "runs": {"r": {}, "s": 5, "../../t": "../../etc"}, "missed": -4},
    {"entries": True, "runs": None, "missed": 1.5},
]


@pytest.mark.parametrize("row", JUNK)
def test_what_an_earlier_release_kept_or_somebody_edited_keeps_no_runner_from_starting(
    tmp_path: Path, row: Any
) -> None:
    home = new_home(tmp_path)
    assert home.run("apply", "-", given=document("j"))[0] == 0
    with closing(Store.open(Paths.under(home.path), create=True)) as store:
        store.commit_states({}, ledger=row)
    try:
        home.start()
        assert home.run("event", "j", "start")[0] == 0
        home.until(lambda: home.runs("j"))
        assert home.run("status")[0] == 0
    finally:
        home.stop()
    assert home.run("ledger", "verify")[0] == 0


def test_no_look_takes_a_writer_at_work_for_somebody_else(tmp_path: Path) -> None:
    """However long it is halted between its steps: here, at each rename and each write."""
    ledger, real = Ledger(tmp_path), {name: getattr(os, name) for name in ("rename", "pwrite")}
    ledger.write(done(0))
    asked, answered = threading.Semaphore(0), []

    def looks() -> None:
        asked.acquire()
        answered.append(look(Ledger(tmp_path)))

    with pytest.MonkeyPatch.context() as patch:
        for name, step in real.items():

            def halted(*words: Any, step: Any = step, **how: Any) -> Any:
                done_now = step(*words, **how)
                asked.release()
                time.sleep(0.1)
                return done_now

            patch.setattr(os, name, halted)
        looking = threading.Thread(target=looks)
        looking.start()
        renew(ledger)
    joined(looking)
    assert [findings for _head, findings in answered] == [[]]


def test_what_is_exported_ends_with_what_the_head_counts(tmp_path: Path) -> None:
    """A power cut takes nothing of it: whoever keeps it finds it again."""
    home = Home(tmp_path / "home", tmp_path / "log")
    home.path.mkdir(mode=0o700)
    assert home.run("apply", "-", given=document("j"))[0] == 0
    runner = Ledger(home.path / "lib")
    for number in range(4):
        runner.write(done(number), later=True)
    code, text = home.run("ledger", "export")
    *lines, last = text.splitlines()
    head = json.loads(last)["head"]
    assert code == 0 and head["entries"] == len(lines) < runner.count().entries
    assert head["digest"] == sha256_hex(lines[-1].encode())


@pytest.mark.parametrize("kept", [True, False])
def test_a_ledger_that_is_renewed_beside_the_runner_takes_along_what_was_not_counted(
    tmp_path: Path, kept: bool
) -> None:
    """kept: what was put aside is still there when the runner writes again."""
    runner = Ledger(tmp_path)
    for number in range(3):
        runner.write(done(number), later=True)
    place_of_old, _head = renew(Ledger(tmp_path))
    assert place_of_old is not None
    assert [entry["n"] for entry in said(place_of_old)] == [1, 2, 3]
    assert said(tmp_path)[0]["entries"] == 3
    if not kept:
        shutil.rmtree(place_of_old)
    runner.write(done(3), later=True)
    runner.count()
    assert verify(Ledger(tmp_path)) == LedgerVerdict(2, verify(runner).head)


@pytest.mark.parametrize("renewals", [1, 9])
def test_what_was_altered_is_told_also_where_the_ledger_that_had_it_is_not_found(
    tmp_path: Path, renewals: int
) -> None:
    """As it was removed, or lies further back than anybody looks."""
    runner = Ledger(tmp_path)
    for number in range(3):
        runner.write(done(number), later=True)
    head, raw = runner.head(), (tmp_path / FILE).read_bytes()
    assert head is not None
    (tmp_path / FILE).write_bytes(raw[: head.size])
    for _turn in range(renewals):
        place_of_old, _head = renew(Ledger(tmp_path))
    assert place_of_old is not None and verify(Ledger(tmp_path)).ok
    if renewals == 1:
        shutil.rmtree(place_of_old)
    runner.write(done(3), later=True)
    runner.count()
    assert not verify(Ledger(tmp_path)).ok
    told = [entry["text"] for entry in said(tmp_path) if entry.get("did") == "damaged"]
    assert told == ["entry 3 was altered or taken away before it was counted"]


def test_what_was_put_aside_is_not_written_again_by_the_next_runner(tmp_path: Path) -> None:
    runs = RunLedger(tmp_path)
    for number in range(4):
        kept = runs.kept([ended(number)])
        runs(ended(number))
    renew(Ledger(tmp_path))
    later = RunLedger(tmp_path)
    assert kept is not None and len(kept["runs"]) == 3
    later.resume(kept["runs"], lambda _, run_id: ended(int(run_id)).record)
    later.close()
    assert [entry["what"] for entry in said(tmp_path)] == ["ledger"]


def test_a_runner_waits_for_the_disk_now_and_then_and_says_what_that_leaves_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, synced = [1000.0], []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda it: (synced.append(it), real(it)))
    runs = RunLedger(tmp_path)
    runs(ended(0))
    assert runs.kept([]) == {"entries": 1, "runs": {}, "missed": 0}
    synced.clear()
    for number in (1, 2):
        runs(ended(number))
        runs.step()
    assert synced == [] and len(said(tmp_path)) == 3, "it is there for whoever looks"
    kept = runs.kept([ended(3)])
    named = {"1": "job-1", "2": "job-2", "3": "job-3"}
    assert kept == {"entries": 1, "runs": named, "missed": 0}
    clock[0] += subscriber.SPACING
    runs.step()
    assert len(synced) == 2 and runs.kept([]) == {"entries": 3, "runs": {}, "missed": 0}
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
    home = new_home(tmp_path)
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
