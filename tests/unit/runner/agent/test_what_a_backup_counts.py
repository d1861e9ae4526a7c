# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup reports what lies in the source, what of it has changed, and how it could be packed."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace
from typing import Any

import pytest
from agent_bench import Bench


def counted(bench: Bench, **options: Any) -> tuple[object, object, object]:
    fields = bench.level(**options).fields
    assert fields["size"] > 0 and fields["archive_bytes"] >= fields["bytes"]
    return fields["entries"], fields["source_bytes"], fields["changed"]


def test_all_entries_of_the_source_are_counted_whatever_a_level_stores(bench: Bench) -> None:
    source = bench.source
    for path in source.iterdir():
        if path.is_dir():
            continue
        path.unlink()
    (source / "d" / "e").mkdir(parents=True)
    (source / "d" / "small").write_bytes(b"x" * 10)
    (source / "d" / "e" / "large").write_bytes(b"y" * 5000)
    os.link(source / "d" / "small", source / "other name")
    os.symlink("nowhere", source / "link")
    os.mkfifo(source / "fifo")
    before = sum(len(names) for _folder, _folders, names in os.walk(source)) - 5
    lying = sum(
        os.lstat(os.path.join(folder, name)).st_size
        for folder, _folders, names in os.walk(source)
        for name in names
        if not {name} & {"small", "large", "other name", "link", "fifo"}
    )
    assert counted(bench) == (before + 5, lying + 5010, None)
    (source / "d" / "small").write_bytes(b"z" * 20)  # and so its other name
    assert counted(bench) == (before + 5, lying + 5020, 2)
    (source / "d" / "e" / "large").unlink()
    assert counted(bench) == (before + 4, lying + 20, 0)
    assert counted(bench, exclude="d")[:2] == (before + 3, lying + 20)


def test_a_single_file_is_one_entry(bench: Bench) -> None:
    path = bench.source / "alone"
    path.write_bytes(b"x" * 300)
    options = {"path_to_backup": str(path), "backup_name": "alone"}
    assert counted(bench, **options) == (1, 300, None)
    assert counted(bench, **options) == (1, 300, 0)


def test_it_reports_what_is_left_in_its_container_where_that_can_be_known(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, answers = os.statvfs, [SimpleNamespace(f_bavail=7, f_frsize=512), None]

    def statvfs(place: Any) -> Any:
        if os.fspath(place) != os.fspath(bench.container):
            return real(place)
        if answers[0] is None:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return answers[0]

    monkeypatch.setattr(os, "statvfs", statvfs)
    assert bench.level().fields["free_bytes"] == 7 * 512
    del answers[0]
    assert bench.level().fields["free_bytes"] is None
