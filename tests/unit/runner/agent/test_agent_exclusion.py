# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What we take for excluded, tar excludes; and nearly always the other way round."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain.agent.engines.tar.backup.exclusion import matcher, total_pattern

_NAMES = ["a", "b.log", "ab", "x[1]", "c*", "d e", "back\\slash", "A", "[", "a-b", "ü", "log", "\n"]
_PATTERNS = st.one_of(
    st.sampled_from(["*", "*.log", "./a", "a/b.log", "*/ab", "a*", "./*", "[ab]*", "log/", "a/*"]),
    st.text(st.sampled_from("ab*?[]!^-\\./l"), min_size=1, max_size=6),
    st.lists(st.sampled_from([*_NAMES, "*", "?", "/"]), min_size=1, max_size=3).map("".join),
)


@pytest.fixture(scope="module")
def folder() -> Iterator[str]:
    # Not tmp_path: pytest keeps those, and these names are disliked by other tools.
    with tempfile.TemporaryDirectory() as root:
        _tree(Path(root))
        yield root


def _tree(root: Path) -> None:
    for first in _NAMES:
        (root / first).mkdir()
        for second in _NAMES:
            (root / first / second).touch()


MEMBERS = [f"./{one}" for one in _NAMES] + [f"./{a}/{b}" for a in _NAMES for b in _NAMES]


@given(patterns=st.lists(_PATTERNS, min_size=1, max_size=3))
@settings(max_examples=300)
def test_tar_leaves_out_what_we_say_it_does(folder: str, patterns: list[str]) -> None:
    made = subprocess.run(
        [
            *("tar", "--create", "--file=/dev/null", "--no-unquote", "-v"),
            *("--quoting-style=escape", f"--directory={folder}"),
            *(f"--exclude={one}" for one in patterns),
            ".",
        ],
        check=True,
        capture_output=True,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    ).stdout
    lines = made.decode("unicode_escape").encode("latin-1").decode("utf-8", "surrogateescape")
    kept = {line.rstrip("/") for line in lines.split("\n")}
    excluded = matcher(patterns)
    # A name that is a newline cannot be told in such lines.
    for member in (one for one in MEMBERS if "\n" not in one):
        steps = [member.rpartition("/")[0], member]
        ours = excluded is not None and any(excluded(os.fsencode(step)) for step in steps)
        if ours:
            assert member not in kept, (patterns, member)
        elif member not in kept:
            # Only what is hard to read may be in doubt.
            assert any("[" in one or "\\" in one for one in patterns), (patterns, member)


@pytest.mark.parametrize(
    "pattern", ["*", "./*", "?*", ".", "**", ".*", "[.]*", "*?", "[!a]*", "*[!~]", "??*", "?"]
)
def test_a_pattern_that_leaves_nothing(pattern: str) -> None:
    assert total_pattern(["x", pattern]) == pattern


@pytest.mark.parametrize("patterns", [["[!.]*", "*/.*"], ["a*", "[^a]*"]])
def test_patterns_that_leave_nothing_together(patterns: list[str]) -> None:
    assert total_pattern(patterns) == patterns[-1]
    assert total_pattern(patterns[:1]) is None


@pytest.mark.parametrize(
    "pattern",
    ["a*", "*.log", "*/", "[a-z]*", "./", "[!.]*", "[^.]*", "*[!.]", "[!.]?*"],
)
def test_a_pattern_that_leaves_something(pattern: str) -> None:
    assert total_pattern([pattern]) is None
