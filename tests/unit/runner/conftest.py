# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command for each test, and how many examples property tests get, and which.

They get the same ones in every run, so that a change of ours is what lets a test fail; ``make
torture`` searches among new ones (pytest --hypothesis-profile search).

pytest --quick: a tenth of them, and of the cases of a parametrised test the first, the sixth and so
on.  For the other Pythons, where the question is whether the code runs there at all: the first one
has tried all.  pytest --sample: that, and in the folders whose tests start processes, which is what
takes long there, of each file the first test, the eleventh and so on, of the daemon's the sixth:
tar, shells and signals are the same for each Python.  pytest --few-examples: all of the cases.  For
the mutation tests, where a case is what a change is noticed by.
"""

from __future__ import annotations

import fcntl
import functools
import gc
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import guardian
import pytest

# Before anything takes a copy of the environment.
guardian.start()

from cli_command import Command
from hypothesis import HealthCheck, settings
from hypothesis.internal.detection import is_hypothesis_test
from receivers import Receiver, receiver

from coldchain.execution import launch

# Thousands of tests are many objects that all stay: to look for cycles among them as often as
# Python does takes a tenth of a run.
gc.set_threshold(20_000, 50, 50)

_SETTINGS = (
    "_hypothesis_internal_use_settings"  # where hypothesis.settings, as a decorator, puts it
)

# Not from the clock, and not by chance: a busy machine takes long for one example.
settings.register_profile(
    "search",
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
)
settings.register_profile("same", settings.get_profile("search"), derandomize=True)
settings.load_profile("same")

_ONE_CASE_IN = 5
#: One test in so many of the folders in which they start processes.
_ONE_TEST_IN = {"agent": 10, "cli": 10, "execution": 10, "runner": 5}

_measured: set[tuple[Path, str]] = set()
_MEASURED_EXAMPLES = 25


def pytest_unconfigure() -> None:
    guardian.stop()


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[object]:
    """One worker after the other: the tests that the first one compiles, with what pytest changes
    in them, the others find.  Else each compiles all of them, for a quarter of a minute."""
    with open(__file__, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return (yield)


def pytest_configure(config: pytest.Config) -> None:
    if _is_worker(config):
        _measure_no_commands()


def _measure_no_commands() -> None:
    """Measured is what the tests' own processes reach, 94 % of the lines at least.  Each command
    that they start would take three times as long; together they add half a hundredth."""
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


def _go_on(measuring: Any) -> None:
    measuring.start()
    _measure_no_commands()  # coverage puts its variable there at each start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Of a parametrised test, coverage measures the first case that a worker of ours is given, and
    of a property test the first examples: what they reach has been reached then."""
    measuring = "coverage" in sys.modules and sys.modules["coverage"].Coverage.current()
    test = (item.path, getattr(item, "originalname", item.name))
    first = test not in _measured
    _measured.add(test)
    # The mutation tests, which have no workers, ask for the lines of each case.
    if not measuring or not _is_worker(item.config):
        return (yield)
    if first:
        with _measured_at_first(item, measuring):
            return (yield)
    measuring.stop()
    try:
        return (yield)
    finally:
        _go_on(measuring)


def _measured_at_first(item: pytest.Item, measuring: Any) -> AbstractContextManager[None]:
    test = getattr(getattr(item, "obj", None), "hypothesis", None)
    return nullcontext() if test is None else _first_examples(test, measuring)


@contextmanager
def _first_examples(test: Any, measuring: Any) -> Iterator[None]:
    whole, number = test.inner_test, 0

    # It wraps: which examples there are is drawn from what the test's source says.
    @functools.wraps(whole)
    def example(*arguments: Any, **named: Any) -> Any:
        nonlocal number
        number += 1
        if number == _MEASURED_EXAMPLES + 1:
            measuring.stop()
        return whole(*arguments, **named)

    test.inner_test = example
    try:
        yield
    finally:
        test.inner_test = whole
        if number > _MEASURED_EXAMPLES:
            _go_on(measuring)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="a tenth of the examples, a fifth of the cases"
    )
    parser.addoption(
        "--sample",
        action="store_true",
        help="and a tenth of the tests that start processes, a fifth of the daemon's",
    )
    parser.addoption("--few-examples", action="store_true", help="a tenth of the examples")


def _seconds(item: pytest.Item) -> float:
    mark = item.get_closest_marker("long")
    return 0 if mark is None else mark.args[0] if mark.args else 5


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # The longest first: no other worker of pytest-xdist takes a test over that has begun.
    items.sort(key=_seconds, reverse=True)
    sample = config.getoption("--sample")
    if sample or config.getoption("--quick"):
        _leave_cases(config, items, sample)
    elif not config.getoption("--few-examples"):
        return
    tests = {item.obj for item in items if isinstance(item, pytest.Function)}
    for test in filter(is_hypothesis_test, tests):
        own = getattr(test, _SETTINGS, settings.default)
        setattr(test, _SETTINGS, settings(own, max_examples=max(own.max_examples // 10, 10)))


def _leave_cases(config: pytest.Config, items: list[pytest.Item], sample: bool) -> None:
    # By file the tests, in their order, and how many cases of each there were so far.
    seen: dict[Path, Counter[str]] = {}
    kept, left_out = [], []
    for item in items:
        has_cases = isinstance(item, pytest.Function) and hasattr(item, "callspec")
        test = item.originalname if has_cases else item.nodeid
        tests = seen.setdefault(item.path, Counter())
        case, tests[test] = tests[test], tests[test] + 1
        one_in = _ONE_TEST_IN.get(item.path.parent.name, 1) if sample else 1
        (left_out if case % _ONE_CASE_IN or list(tests).index(test) % one_in else kept).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


@pytest.fixture(autouse=True)
def _own_environment() -> None:
    """Commands see the environment that this test gives them, and not that of the one before."""
    launch.own_environment.cache_clear()


@pytest.fixture
def server() -> Iterator[Receiver]:
    """What messages are sent to."""
    with receiver() as found:
        yield found


@pytest.fixture
def command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """The command, with a home directory of its own."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    monkeypatch.delenv("COLDCHAIN_HOME", raising=False)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return Command(home, capsys, monkeypatch)
