# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dry run and the restore after it have one answer, whatever was done to a container."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from agent_bench import Bench, make_bench
from agent_points import verify
from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain.core.errors import ColdchainError
from coldchain.core.text import path_text

PARTS = ["data", "engine_metadata", "entries.gz", "tree.gz", "manifest.json", "metadata"]
HOWS = ["gone", "empty", "cut", "flipped", "longer", "other", "fifo", "directory", "twin"]
DAMAGES = st.lists(
    st.tuples(st.sampled_from(PARTS), st.sampled_from("012"), st.sampled_from(HOWS)),
    min_size=1,
    max_size=3,
)


def _damage(path: Path, how: str, chance: random.Random) -> None:
    content = path.read_bytes() if path.is_file() else b""
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    if how == "fifo":
        os.mkfifo(path)
    elif how == "directory":
        path.mkdir()
    elif how != "gone":
        changed = bytearray(content)
        if how == "empty":
            changed.clear()
        elif how == "cut":
            del changed[chance.randrange(len(changed) + 1) :]
        elif how == "flipped" and changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        elif how == "longer":
            changed += b"x"
        elif how == "other":
            changed = bytearray(chance.randbytes(len(changed)))
        elif how == "twin":
            other = next(path.parents[1].glob(f"0_*/{path.name}"), path)
            changed = bytearray(other.read_bytes()) if other.is_file() else changed
        path.write_bytes(changed)


def _asked(bench: Bench, paths: list[str], *, dry_run: bool) -> tuple[str, object]:
    """(why not, the names)."""
    try:
        report = bench.restore(restore_paths=paths, dry_run=dry_run)
    except ColdchainError as error:
        assert error.exit_code != 70
        return error.message, None
    if dry_run:
        return "", report.fields["names"]
    top = os.fsencode(bench.target)
    return "", sorted(
        path_text(os.path.relpath(os.path.join(where, name), top))
        for where, _unused, files in os.walk(top)
        for name in files
    )


@pytest.mark.long
@settings(max_examples=60)
@given(DAMAGES, st.integers(0, 1 << 32), st.booleans())
def test_what_a_dry_run_says_the_restore_says(
    damages: list[tuple[str, str, str]], seed: int, some: bool
) -> None:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        bench = make_bench(Path(folder))
        (bench.source / "d").mkdir()
        for number in "012":
            (bench.source / "d" / number).write_text(number)
            (bench.source / "kept").write_text(number)
            (bench.source / f"only {number}").write_text(number)
            (bench.source / f"only {int(number) - 1}").unlink(missing_ok=True)
            bench.level()
        for part, level, how in damages:
            for path in list(bench.container.glob(f"*/tar/*/*/{level}_*/{part}")):
                _damage(path, how, chance)
        paths = ["d"] if some else []
        why_not, told = _asked(bench, paths, dry_run=True)
        why, brought = _asked(bench, paths, dry_run=False)
        if why_not:
            assert why, why_not
        elif not why:
            assert brought == told
        else:
            # A dry run does not read archives; what is read to its end has to say so, too.
            assert any(part == "data" for part, _level, _how in damages), why
            assert verify(bench.container, mode="full").lost
        shutil.rmtree(bench.target, ignore_errors=True)


@pytest.mark.parametrize("part", ["entries.gz", "tree.gz", "engine_metadata"])
@pytest.mark.parametrize("paths", [[], ["kept"]])
def test_a_part_that_no_restore_needs_stops_no_dry_run(
    bench: Bench, part: str, paths: list[str]
) -> None:
    (bench.source / "kept").write_text("x")
    bench.level()
    (path,) = bench.container.glob(f"data/tar/*/*/*/{part}")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert _asked(bench, paths, dry_run=True) == ("", ["kept"])
    assert _asked(bench, paths, dry_run=False) == ("", ["kept"])
