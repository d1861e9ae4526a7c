# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage on the local disk keeps the contract of all storages (tests/storages: the others)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storage_contract import SCRIPT, Open, Remove, Write, absent, one_writer, play

from coldchain.agent.storages.base import Storage
from coldchain.agent.storages.location import Location
from coldchain.agent.storages.registry import open_storage

FOLDERS = st.tuples(*(st.sampled_from(names) for names in ("xy", ("a", "ab"), "12"))).map("/".join)
NAMES = st.sampled_from(("data", "list", "ä"))
FILES = st.dictionaries(NAMES, st.binary(max_size=40), min_size=1, max_size=3)
STEPS = st.one_of(
    st.builds(Write, FOLDERS, FILES, st.sampled_from(("commit", "commit", "commit", "discard"))),
    st.builds(
        lambda tree, folder, steps: Remove("/".join((tree, *folder.split("/")[:steps]))),
        st.sampled_from(("data", "meta")),
        FOLDERS,
        st.integers(2, 3),
    ),
)


def _opens(root: Path, rate: int | None = None) -> Open:
    def opens() -> Storage:
        return open_storage(Location.local(root), upload_limit=rate, download_limit=rate)

    return opens


@pytest.mark.long
@given(st.lists(STEPS, max_size=8))
def test_a_storage_holds_what_was_committed_and_nothing_else(script: list[Write | Remove]) -> None:
    with tempfile.TemporaryDirectory() as root:
        play(_opens(Path(root)), script)


@pytest.mark.parametrize("rate", [None, 10**9])
def test_the_local_disk_keeps_the_contract(tmp_path: Path, rate: int | None) -> None:
    opens = _opens(tmp_path / "container", rate)
    absent(opens)
    one_writer(opens)
    play(opens, SCRIPT)


def test_a_link_has_changed_when_it_was_made(tmp_path: Path) -> None:
    """What has long been there is swept, and what a link leads to may be older than all."""
    (tmp_path / "old").touch()
    os.utime(tmp_path / "old", (1, 1))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to("../old")
    (tmp_path / "data" / "nowhere").symlink_to("gone")
    storage = _opens(tmp_path)()
    for name in ("link", "nowhere"):
        made = (tmp_path / "data" / name).lstat().st_mtime
        assert storage.modified(f"data/{name}") == made > 1
