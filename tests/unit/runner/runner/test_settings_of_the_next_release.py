# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A runner at work is told to take up a release that knows more settings than its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from coldchain.core.errors import DataError
from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.runner import presence


def test_a_process_knows_that_another_release_would_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("old", "new"):
        (tmp_path / "releases" / name / "coldchain" / "runner").mkdir(parents=True)
    module = tmp_path / "releases" / "old" / "coldchain" / "runner" / "presence.py"
    monkeypatch.setattr(presence, "__file__", str(module))
    assert not presence.is_superseded(), "nothing says so"
    current = tmp_path / "current"
    current.symlink_to("releases/old")
    assert not presence.is_superseded()
    current.unlink()
    current.symlink_to("releases/new")
    assert presence.is_superseded()


def test_what_only_the_next_release_knows_is_for_that_to_judge(tmp_path: Path) -> None:
    paths = Paths.under(tmp_path)
    paths.settings.parent.mkdir()
    paths.settings.write_text("[runner]\nconcurrent_jobs = 3\nlater = 5\nempty =\n")
    with pytest.raises(DataError, match="unknown setting 'later'"):
        Settings.load(paths)
    assert Settings.load(paths, foreign=True).concurrent_jobs == 3
    paths.settings.write_text("[runner]\nconcurrent_jobs = 0\nlater = 5\n")
    with pytest.raises(DataError, match="concurrent_jobs"):
        Settings.load(paths, foreign=True)
