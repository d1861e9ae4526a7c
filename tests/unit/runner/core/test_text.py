# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes, durations, counts and names as people read them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldchain.core.text import (
    did_you_mean,
    display_name,
    format_bytes,
    format_duration,
    pluralize,
    printable,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (3605, "1 h"),
        (86399, "23 h 59 min"),
        (86400, "1 d"),
        (90061, "1 d 1 h"),
        (86400 + 60, "1 d"),
        (400 * 86400, "400 d"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(10, 10**8))
def test_a_duration_says_at_most_what_it_is_and_misses_less_than_its_second_unit(
    seconds: int,
) -> None:
    sizes = {"d": 86400, "h": 3600, "min": 60, "s": 1}
    parts = re.findall(r"(\d+) (\w+)", format_duration(seconds))
    total = sum(int(number) * sizes[unit] for number, unit in parts)
    below = [size for size in sizes.values() if size < sizes[parts[0][1]]]
    assert 0 <= seconds - total < max(below, default=1)
    assert 1 <= len(parts) <= 2


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.5, "1.0 kB"),
        (1000, "1.0 kB"),
        (1234567, "1.2 MB"),
        (999_499_999, "999.5 MB"),
        (1_000_000_000, "1.0 GB"),
        (2.5e12, "2.5 TB"),
        (7e15, "7.0 PB"),
        (7e18, "7000.0 PB"),
    ],
)
def test_bytes(number: float, text: str) -> None:
    assert format_bytes(number) == text


def test_plurals() -> None:
    assert [pluralize(number, "file") for number in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
    assert [pluralize(number, "entry") for number in (1, 3)] == ["1 entry", "3 entries"]


def test_near_names() -> None:
    names = ["container", "contained", "hostname"]
    assert did_you_mean("contaner", names) == "did you mean container?"
    assert did_you_mean("contaner", names, most=2) == "did you mean container or contained?"
    assert did_you_mean("contaner", names, likeness=1.0) == ""
    assert did_you_mean("xyz", names) == ""
    long = "n" * 128
    assert did_you_mean(long, [long]) == f"did you mean {long}?"
    assert did_you_mean(long + "n", [long + "n"]) == ""


@given(st.binary(max_size=40))
def test_a_name_on_one_line_steers_no_terminal(name: bytes) -> None:
    shown = display_name(name)
    assert shown.isprintable()
    if all(32 <= byte < 127 for byte in name):
        assert shown == name.decode()


def test_what_is_escaped() -> None:
    assert display_name(b"a\xff\nb") == "a\\xff\\nb"
    assert printable("na\u00efve \u0416") == "na\u00efve \u0416"
    assert printable("\x1b[2Ja\u2028") == "\\x1b[2Ja\\u2028"
