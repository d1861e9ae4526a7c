# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no document can hold, each limit at the last thing that it lets pass."""

from __future__ import annotations

import math
from typing import Any

import pytest

from coldchain.document.sanity import sanity_problems


def told(raw: object) -> list[str]:
    return [f"{problem.path}: {problem.message}" for problem in sanity_problems(raw)]


def nested(depth: int, kind: type) -> Any:
    raw: Any = []
    for dummy in range(depth):
        raw = {"a": raw} if kind is dict else [raw]
    return raw


@pytest.mark.parametrize("kind", [dict, list])
def test_depth(kind: type) -> None:
    assert told(nested(12, kind)) == []
    (problem,) = told(nested(13, kind))
    assert "nested too deeply" in problem and problem.count("a" if kind is dict else "[0]") >= 12
    assert len(told(nested(100_000, kind))) == 1


@pytest.mark.parametrize("number", [2**63 - 1, 1 - 2**63, 0, 1.5, -1e300])
def test_numbers_that_are_taken(number: float) -> None:
    assert told({"a": [number]}) == []


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (2**63, "too large"),
        (-(2**63), "too large"),
        (10**400, "too large"),
        (math.inf, "not a number that JSON knows"),
        (-math.inf, "not a number that JSON knows"),
        (math.nan, "not a number that JSON knows"),
    ],
)
def test_numbers_that_are_not(number: float, message: str) -> None:
    (problem,) = told({"a": [number]})
    assert problem.startswith("$.a[0]: ") and message in problem


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x" * 100_000, ""),
        ("\u00e4" * 100_000, ""),
        ("x" * 100_001, "more than 100000 characters"),
        ("a\0b", "NUL"),
        ("\u00e4\0", "NUL"),
        ("\ud800", "half of a surrogate pair"),
    ],
)
def test_texts_as_values_and_as_keys(text: str, message: str) -> None:
    for raw in ({"a": text}, [text], {text: 1}):
        found = told(raw)
        assert len(found) == bool(message)
        assert all(message in problem for problem in found)
    if message:
        (problem,) = told({text: "a value that is not looked at"})
        assert "has a key that" in problem


def test_other_values_and_keys() -> None:
    assert told({"a": None, "b": True, "c": "", "d": {}}) == []
    (problem,) = told({"a": {1: "x"}})
    assert problem == "$.a: has a key that is no text: 1"
    (problem,) = told({"a": (1, 2)})
    assert "is no JSON value" in problem


@pytest.mark.parametrize(("many", "listed"), [(19, 19), (20, 20), (21, 20), (100_000, 20)])
def test_no_more_than_twenty_are_told(many: int, listed: int) -> None:
    assert len(told(["\0"] * many)) == listed
