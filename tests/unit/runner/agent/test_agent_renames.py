# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains that GNU tar has written by itself, as freezer-agent's: they rename directories."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from agent_bench import make_bench
from agent_trees import Change, apply, changes_among_few, state
from hypothesis import given, settings
from hypothesis import strategies as st

CHANGES = changes_among_few("folder", "move", "move", "symlink", "symlink")
HISTORIES = st.lists(st.lists(CHANGES, min_size=3, max_size=12), min_size=2, max_size=3)


def _tar(
    *words: str | Path, folder: Path, source: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """folder: where tar leaves the directories by which it swaps two names."""
    return subprocess.run(
        ["tar", *words], cwd=folder, input=source, capture_output=True, check=False
    )


@pytest.mark.long(24)
def test_links_and_renamed_directories_come_back_as_tar_itself_brings_them() -> None:
    compared = 0

    def check(histories: list[list[Change]]) -> None:
        nonlocal compared
        compared += _restored_as_tar_does(histories)

    settings(max_examples=100)(given(HISTORIES)(check))()
    assert compared > 50


def _restored_as_tar_does(histories: list[list[Change]]) -> bool:
    """Whether tar can extract what it wrote: then we have to, and to the same tree."""
    with tempfile.TemporaryDirectory() as folder:
        bench, plain = make_bench(Path(folder)), Path(folder) / "plain"
        plain.mkdir()
        known = True
        for number, changes in enumerate(histories):
            apply(os.fsencode(bench.source), changes)
            words = ("-cf-", "-g", bench.root / "snapshot", "-C", bench.source, ".")
            archive = _tar(*words, folder=bench.root).stdout
            options = ["--incremental"] if number else []
            ended = _tar("-xpf-", *options, "-C", plain, folder=bench.root, source=archive)
            known = known and not ended.returncode
            name = f"host_docs/1700000000/{number}_{1700000000 + number}"
            for tree, part in (("data", "data"), ("metadata", "metadata")):
                place = bench.container / tree / "tar" / name
                place.mkdir(parents=True)
                content = json.dumps({"engine_name": "tar", "compression": "gzip"}).encode()
                (place / part).write_bytes(gzip.compress(archive) if part == "data" else content)
        if known:
            bench.restore()
            assert state(os.fsencode(bench.target)) == state(os.fsencode(plain))
        return known
