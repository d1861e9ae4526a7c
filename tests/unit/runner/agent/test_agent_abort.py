# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A signal may arrive before any line of an action: nothing half done stays, whichever it is."""

from __future__ import annotations

import dis
import os
import shutil
import signal
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from agent_bench import Bench, make_bench
from agent_command import agent_words
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import coldchain.cli
from coldchain.agent.engines.tar.stored import container
from coldchain.agent.engines.tar.stored.layout import Series
from coldchain.agent.process.signals import Aborted, abort_on_signal, allow_signals, defer_signals
from coldchain.agent.storages.local import LocalStorage
from coldchain.core.errors import CannotWrite, DataError

#: Whose lines count: ours, and those that remove whole trees.
TRACED = (os.path.dirname(coldchain.__file__), shutil.__file__)
NAMES = {"a", "folder", "folder/b", "folder/inner", "folder/inner/c"}
#: Ended by the signal inside of the action, or where there is nothing to clean up.
STOPPED = (128 + signal.SIGTERM, -signal.SIGTERM)

#: What the bytecode of "try:" is.
_NOTHING = dis.opmap["NOP"]

#: In millionths of the way: hypothesis prefers some floats to others.
anywhere = st.integers(0, 999_999)


def perform(
    bench: Bench,
    line: int,
    action: dict[str, object],
    number: signal.Signals = signal.SIGTERM,
) -> int:
    """The exit code of *action* in a process hit by a signal before the *line*-th line.

    line 0: never; then the number of lines is in the file "lines".  A line "try:" is none: no
    signal is handled at it, and since Python 3.11 what is raised at it passes by the blocks around.
    """
    shared = {"container": str(bench.container), "backup_name": "docs", "hostname": "host"}
    words = agent_words(bench.root, {**shared, "sync": False, **action})
    child = os.fork()
    if child == 0:
        code = 99
        try:
            for stream in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
            code = _traced(lambda: coldchain.cli.run(words), line, number, bench)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _traced(work: Callable[[], int], line: int, number: signal.Signals, bench: Bench) -> int:
    seen = 0

    def trace(frame: FrameType, event: str, dummy: object) -> Callable[..., Any] | None:
        nonlocal seen
        if not frame.f_code.co_filename.startswith(TRACED):
            return None
        if event == "line" and frame.f_code.co_code[frame.f_lasti] != _NOTHING:
            seen += 1
            if seen == line:
                signal.raise_signal(number)
        return trace

    sys.settrace(trace)
    try:
        return work()
    finally:
        sys.settrace(None)
        if line == 0:
            (bench.root / "lines").write_text(str(seen))


@contextmanager
def copy(template: Bench) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as root:
        shutil.copytree(template.root, root, dirs_exist_ok=True)
        yield Bench(Path(root))


def left(bench: Bench) -> list[Path]:
    """What an action of ours should have removed."""
    found = list(bench.root.rglob(".coldchain-restore-*"))
    for tree in ("data", "metadata"):
        found += (bench.container / tree / ".coldchain").glob("*")
    storage = LocalStorage(bench.container)
    found += [Path(one.folder) for one in container.orphans(storage, Series("host", "docs"))]
    return found


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def template() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as root:
        bench = make_bench(Path(root))
        for name in ("a", "folder/b", "folder/inner/c"):
            path = bench.source / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(name * 1000)
        for dummy in range(2):
            bench.level()
        yield bench


def lines(template: Bench, action: Callable[[Bench], dict[str, object]]) -> int:
    with copy(template) as bench:
        assert perform(bench, 0, action(bench)) == 0
        return int((bench.root / "lines").read_text())


def restoring(bench: Bench) -> dict[str, object]:
    return {"action": "restore", "restore_abs_path": str(bench.target), "overwrite": True}


def backing_up(bench: Bench) -> dict[str, object]:
    return {"action": "backup", "path_to_backup": str(bench.source), "incremental": True}


def removing(dummy: Bench) -> dict[str, object]:
    return {"action": "admin", "remove_before_date": "2100-01-01", "force": True}


@pytest.fixture(scope="module")
def many(template: Bench) -> dict[str, int]:
    """How many lines each action runs."""
    return {each.__name__: lines(template, each) for each in (restoring, backing_up, removing)}


@pytest.mark.long
@settings(max_examples=examples(60, 600))
@given(where=anywhere, there=st.booleans())
def test_a_restore_leaves_all_or_nothing(
    template: Bench, many: dict[str, int], where: int, there: bool
) -> None:
    with copy(template) as bench:
        if there:
            (bench.target / "folder").mkdir(parents=True)
            (bench.target / "own").write_text("stays")
        line = 1 + where * many["restoring"] // 1_000_000
        code = perform(bench, line, restoring(bench))
        assert code in (0, *STOPPED)
        assert left(bench) == []
        if there:
            # Merged entry by entry: each is there or not, and what was there stays.
            assert {"own", "folder"} <= names(bench.target) <= NAMES | {"own"}
        elif code == 0 or bench.target.exists():
            assert names(bench.target) == NAMES
        bench.restore(overwrite=True)
        assert names(bench.target) - {"own"} == NAMES


@pytest.mark.long
@settings(max_examples=examples(60, 600))
@given(where=anywhere)
def test_a_backup_is_there_or_not(template: Bench, many: dict[str, int], where: int) -> None:
    with copy(template) as bench:
        (bench.source / "d").write_text("new")
        code = perform(bench, 1 + where * many["backing_up"] // 1_000_000, backing_up(bench))
        assert code in (0, *STOPPED)
        assert left(bench) == []
        levels = bench.catalogue()
        assert all(each.restorable for each in levels)
        assert len(levels) in ((3,) if code == 0 else (2, 3))


@pytest.mark.long
@settings(max_examples=examples(60, 600))
@given(where=anywhere, number=st.sampled_from((signal.SIGTERM, signal.SIGKILL)))
def test_a_removal_leaves_no_half_chain(
    template: Bench, many: dict[str, int], where: int, number: signal.Signals
) -> None:
    with copy(template) as bench:
        code = perform(bench, 1 + where * many["removing"] // 1_000_000, removing(bench), number)
        assert code in (0, *STOPPED, -signal.SIGKILL)
        levels = bench.catalogue()
        assert len(levels) in ((0,) if code == 0 else (0, 2))
        assert all(each.restorable for each in levels)
        bench.level()
        # What looks as if only its metadata was lost is left to a removal.
        bench.perform("admin", remove_before_date="2100-01-01")
        assert left(bench) == []
        for tree in ("data", "metadata"):
            chains = os.listdir(bench.container / tree / "tar/host_docs")
            assert {int(chain) for chain in chains} == {each.chain for each in bench.catalogue()}


def test_a_signal_waits_for_what_must_not_be_left_half_done() -> None:
    done = []
    with pytest.raises(Aborted, match="aborted by SIGHUP") as caught, abort_on_signal():
        with defer_signals():
            done.append("begin")
            os.kill(os.getpid(), signal.SIGHUP)
            with defer_signals():
                done.append("inside")
            done.append("end")
        done.append("after")
    assert done == ["begin", "inside", "end"]
    assert caught.value.exit_code == 143


def test_a_long_part_inside_can_be_ended_and_what_follows_is_done() -> None:
    done = []
    with pytest.raises(Aborted) as caught, abort_on_signal(), defer_signals():
        try:
            with allow_signals():
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(60)
        finally:
            done.append("cleaned")
    assert done == ["cleaned"]
    assert caught.value.exit_code == 130


def _fail_in_cleaning_up() -> None:
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        os.close(-1)


def _live_with_what_failed() -> None:
    with suppress(OSError):
        _fail_in_cleaning_up()


def _tell_of_what_failed() -> None:
    try:
        _fail_in_cleaning_up()
    except OSError:
        raise CannotWrite("told as something else") from None


@pytest.mark.parametrize(
    "work", [_fail_in_cleaning_up, _live_with_what_failed, _tell_of_what_failed]
)
def test_what_fails_while_a_signal_is_on_its_way_does_not_hide_it(work: Callable[[], None]) -> None:
    with pytest.raises(Aborted, match="aborted by SIGTERM"), abort_on_signal():
        work()
    with pytest.raises(DataError), abort_on_signal():
        raise DataError("no signal came")


class _Finalized:
    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


class _Called:
    """Something to hold a weak reference to."""


class _Named:
    def __set_name__(self, owner: type, name: str) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _held(done: list[str]) -> Iterator[None]:
    done.append("begun")
    try:
        yield
    finally:
        done.append("cleaned")


def _in_a_finalizer() -> None:
    _Finalized()


def _in_a_weak_reference_s_callback() -> None:
    called = _Called()
    reference = weakref.ref(called, lambda dummy: os.kill(os.getpid(), signal.SIGTERM))
    del called
    assert reference() is None


def _while_a_class_is_made() -> None:
    type("_Owner", (), {"named": _Named()})


@pytest.mark.parametrize(
    "place", [_in_a_finalizer, _in_a_weak_reference_s_callback, _while_a_class_is_made]
)
def test_a_signal_is_not_lost_where_python_forgets_exceptions(place: Callable[[], None]) -> None:
    done: list[str] = []
    began = time.monotonic()
    with pytest.raises(Aborted, match="aborted by SIGTERM"), abort_on_signal(), _held(done):
        place()
        time.sleep(60)
    assert done == ["begun", "cleaned"]
    assert time.monotonic() - began < 30
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_block_that_was_begun_is_left_even_if_the_signal_came_before_its_first_line() -> None:
    done: list[str] = []

    class Entered:
        """What contextlib makes of a generator, when the signal comes as soon as it has begun."""

        def __init__(self) -> None:
            self.block = _held(done)

        def __enter__(self) -> None:
            self.block.__enter__()
            os.kill(os.getpid(), signal.SIGTERM)

        def __exit__(self, *dummy: object) -> None:
            self.block.__exit__(None, None, None)

    with pytest.raises(Aborted) as caught, abort_on_signal(), Entered():
        done.append("not reached")
    assert caught.value.exit_code == 143
    assert done == ["begun", "cleaned"]


def test_what_is_forgotten_besides_is_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: told.append(args.exc_value))

    class Failing:
        def __del__(self) -> None:
            raise ValueError("of no concern")

    with abort_on_signal():
        Failing()
    (error,) = told
    assert isinstance(error, ValueError)
    told.clear()


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with abort_on_signal():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
