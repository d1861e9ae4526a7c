# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the waits of the other tests rest on: a quiet machine's seconds, and a loaded one's."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import waiting
from waiting import PATIENCE, Watch, at_most, ended, joined, output, until


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets how busy the machine seems; quiet at first."""

    def seems(contenders: float = 1.0, stalled: float = 0.0, slowness: float = 1.0) -> None:
        monkeypatch.setattr(waiting, "_contenders", lambda: contenders)
        monkeypatch.setattr(waiting, "_stalls", lambda: [time.monotonic() * stalled, 0.0])
        monkeypatch.setattr(waiting, "_slowness", lambda: slowness)

    seems()
    return seems


@pytest.mark.parametrize(
    ("busy", "low", "high"),
    [
        ({}, 0.9, 1.0),
        ({"contenders": 5.0}, 0.15, 0.2),
        ({"stalled": 0.75}, 0.2, 0.25),
        ({"slowness": 4.0}, 0.2, 0.25),
        ({"stalled": 1.0}, 0.01, 0.02),  # overloaded: it is known that nothing is known
    ],
)
def test_a_second_counts_for_what_we_had_of_it(
    machine: Callable[..., None], busy: dict[str, float], low: float, high: float
) -> None:
    machine(**busy)
    watch, began = Watch(), time.monotonic()
    time.sleep(0.2)
    share = watch.seconds / (time.monotonic() - began)
    assert low * 0.9 <= share <= high * 1.1


def test_on_a_quiet_machine_five_seconds_are_noticed(machine: Callable[..., None]) -> None:
    watch = Watch()
    assert PATIENCE < 5
    watch._last -= 5.0  # as if they had passed
    watch._stalls = waiting._stalls()
    assert watch.over(PATIENCE)


def test_what_does_not_happen_is_told(machine: Callable[..., None]) -> None:
    with pytest.raises(AssertionError, match=r"within 0.05 s: why not"):
        until(lambda: False, 0.05, told=lambda: "why not")
    with pytest.raises(AssertionError, match="took"), at_most(0.05):
        time.sleep(0.2)
    with at_most(1):
        assert until(lambda: "value") == "value"


def test_a_process_that_goes_on_is_killed(machine: Callable[..., None]) -> None:
    for wait in (ended, output):
        process = subprocess.Popen(["sleep", "3600"], stdout=subprocess.PIPE)
        with process, pytest.raises(AssertionError, match="did not end"):
            wait(process, 0.2)
        assert process.returncode == -9
    with subprocess.Popen([sys.executable, "-c", "print(1)"], stdout=subprocess.PIPE) as process:
        assert output(process)[0] == b"1\n"


def test_a_thread_that_goes_on_is_named(machine: Callable[..., None]) -> None:
    left = threading.Event()
    thread = threading.Thread(target=left.wait, name="the waiter")
    thread.start()
    with pytest.raises(AssertionError, match="the waiter goes on"):
        joined(thread, 0.1)
    left.set()
    joined(thread)


TESTS = Path(__file__).resolve().parents[2]
BOUNDED = ("unit", "faults", "helpers", "integration", "interop", "storages")
WAITING = ("waiting.py", "guardian.py", "test_waiting.py")
ENDLESS = ("wait", "communicate", "join")
#: What a source has in it that has one; to parse them all takes seconds.
MAYBE = re.compile(rf"\bwhile\b|\b({'|'.join(ENDLESS)})\s*\(\s*[)#]")


def endless_waits(source: str) -> Iterator[int]:
    """The lines that wait without a bound: for a process or a thread, or in a loop that sleeps."""
    nodes = ast.walk(ast.parse(source)) if MAYBE.search(source) else ()
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ENDLESS and not node.args and not node.keywords:
                yield node.lineno
        elif isinstance(node, ast.While):
            body = ast.dump(ast.Module(node.body, []))
            if "attr='sleep'" in body or all(isinstance(item, ast.Pass) for item in node.body):
                yield node.lineno


def test_every_wait_of_these_tests_has_a_bound() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{line}"
        for folder in BOUNDED
        for path in sorted(TESTS.joinpath(folder).rglob("*.py"))
        if path.name not in WAITING
        for line in endless_waits(path.read_text(encoding="utf-8"))
    ]
    assert found == [], "use tests/helpers/waiting.py"


def test_endless_waits_are_seen() -> None:
    endless = "while a():\n    time.sleep(1)\nwhile b():\n    pass\nc.wait()\nd.join()\n"
    assert sorted(endless_waits(endless)) == [1, 3, 5, 6]
    bounded = "while a():\n    b += 1\nc.wait(3)\n','.join(d)\nwaiting.joined(e)\n"
    assert list(endless_waits(bounded)) == []
