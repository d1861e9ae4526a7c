# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains that GNU tar has written by itself, as freezer-agent's: they rename directories."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from agent_bench import Bench, make_bench
from agent_containment import available
from agent_hostile import plant_archive, tars_own
from agent_trees import Change, apply, changes_among_few, state
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain.agent.process.contain import NAMESPACE

CHANGES = changes_among_few("folder", "move", "move", "symlink", "symlink")
HISTORIES = st.lists(st.lists(CHANGES, min_size=3, max_size=12), min_size=2, max_size=3)


def _tar(
    *words: str | Path, folder: Path, source: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """folder: where tar leaves the directories by which it swaps two names."""
    return subprocess.run(
        ["tar", *words], cwd=folder, input=source, capture_output=True, check=False
    )


@pytest.mark.long(7)
def test_links_and_renamed_directories_come_back_as_tar_itself_brings_them() -> None:
    compared = 0

    def check(histories: list[list[Change]]) -> None:
        nonlocal compared
        compared += _restored_as_tar_does(histories)

    number = examples(40, 1000)
    settings(max_examples=number)(given(HISTORIES)(check))()
    assert compared > number / 2


@pytest.mark.skipif(
    NAMESPACE not in available(), reason="renames are followed only where a namespace holds tar"
)
@pytest.mark.parametrize("form", ["gnu", "posix"])
@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize(
    "odd", ["x\ny", "x\nR ..", "x\nR link\nT z", "x\nT b", "\\n\nX d", "caf\udce9\n"]
)
def test_renames_beside_links_and_names_with_newlines_come_back(
    bench: Bench, odd: str, form: str, ours: bool
) -> None:
    """What is said to be restorable is, by the dry run, too, and with a level of ours on top."""
    folder, link = bench.source / "d" / odd, os.fsencode(f"link{odd}")
    folder.mkdir(parents=True)
    (folder / "kept").write_text("kept")
    (bench.source / odd).write_text("a file")
    os.symlink(b"nowhere", os.fsencode(folder) + b"/" + link)
    os.symlink(b"nowhere", os.fsencode(bench.source) + b"/" + link)
    for number in range(2):
        plant_archive(
            bench.container, number, tars_own(bench.source, bench.root, f"--format={form}")
        )
        if not number:
            (bench.source / "d").rename(bench.source / f"e{odd}")
    if ours:
        (bench.source / "new").write_text("new")
        bench.level()
    assert [backup.restorable for backup in bench.catalogue()] == [True] * (3 if ours else 2)
    bench.restore(dry_run=True)
    report = bench.restore()
    target, source = (state(os.fsencode(tree)) for tree in (bench.target, bench.source))
    # GNU's format has whole seconds.
    whole = [
        {name: (*one[:4], one[4] // 10**9, one[5]) for name, one in tree.items()}
        for tree in (target, source)
    ]
    assert whole[0] == whole[1]
    assert report.warnings == ()


def _restored_as_tar_does(histories: list[list[Change]]) -> bool:
    """Whether tar can extract what it wrote: then we have to, and to the same tree."""
    with tempfile.TemporaryDirectory() as folder:
        bench, plain = make_bench(Path(folder)), Path(folder) / "plain"
        plain.mkdir()
        known = True
        for number, changes in enumerate(histories):
            apply(os.fsencode(bench.source), changes)
            archive = tars_own(bench.source, bench.root)
            options = ["--incremental"] if number else []
            ended = _tar("-xpf-", *options, "-C", plain, folder=bench.root, source=archive)
            known = known and not ended.returncode
            plant_archive(bench.container, number, archive)
        if known:
            bench.restore()
            assert state(os.fsencode(bench.target)) == state(os.fsencode(plain))
        return known
