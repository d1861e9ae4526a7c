# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user gives a name of ours is theirs: it is saved, restored, and never taken for ours."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_bench import Bench
from agent_trees import state

from coldchain.agent.engines.tar.restore import staging
from coldchain.core.errors import DataError

NAME = ".coldchain-restore-01234567"


def file_of_that_name(folder: Path) -> None:
    (folder / NAME).write_text("a file")


def link_of_that_name(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / NAME).symlink_to("elsewhere")


def folder_of_that_name(folder: Path) -> None:
    (folder / NAME).mkdir()
    (folder / NAME / "tree").mkdir()
    (folder / NAME / "tree" / "file").write_text("x")


def private_folder(folder: Path) -> None:
    folder_of_that_name(folder)
    (folder / NAME).chmod(0o700)


def open_folder_with_a_mark(folder: Path) -> None:
    folder_of_that_name(folder)
    (folder / NAME / "coldchain-restore").touch()


def folder_of_other_things(folder: Path) -> None:
    private_folder(folder)
    (folder / NAME / "coldchain-restore").touch()
    (folder / NAME / "thesis").write_text("x")


def mark_with_text(folder: Path) -> None:
    private_folder(folder)
    (folder / NAME / "coldchain-restore").write_text("how I restored it")


def mark_that_is_a_folder(folder: Path) -> None:
    private_folder(folder)
    (folder / NAME / "coldchain-restore").mkdir()


def copy_of_a_stage(folder: Path) -> None:
    with staging.stage(folder / "new") as stage:
        kept = folder / ".coldchain-restore-rescued"
        shutil.copytree(Path(os.fsdecode(stage.path)).parent, kept)
        kept.chmod(0o700)


def own_container(folder: Path) -> None:
    (folder / ".coldchain").mkdir()
    (folder / ".coldchain" / "notes").write_text("x")


OWN = [
    file_of_that_name,
    link_of_that_name,
    folder_of_that_name,
    private_folder,
    open_folder_with_a_mark,
    folder_of_other_things,
    mark_with_text,
    mark_that_is_a_folder,
    copy_of_a_stage,
    own_container,
]
own = pytest.mark.parametrize("make", OWN)


@own
@pytest.mark.parametrize("levels", ["in the first", "in the second"])
def test_they_are_saved_and_restored(
    bench: Bench, make: Callable[[Path], None], levels: str
) -> None:
    (bench.source / "d").mkdir()
    if levels == "in the second":
        bench.level()
    make(bench.source / "d")
    report = bench.level(consistency_check=True)
    bench.restore(consistency_checksum=report.fields["consistency_checksum"])
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))
    assert bench.level().warnings == ()


@own
def test_a_target_that_holds_them_is_not_empty(bench: Bench, make: Callable[[Path], None]) -> None:
    (bench.source / NAME).write_text("from the backup")
    bench.backup()
    bench.target.mkdir()
    make(bench.target)
    before = state(os.fsencode(bench.target))
    with pytest.raises(DataError, match="is not empty"):
        bench.restore()
    assert state(os.fsencode(bench.target)) == before


@own
def test_a_restore_beside_them_and_a_clean_up_leave_them(
    bench: Bench, make: Callable[[Path], None]
) -> None:
    (bench.source / "file").write_text("x")
    bench.backup()
    folder = bench.root / "theirs"
    folder.mkdir()
    make(folder)
    before = state(os.fsencode(folder))
    bench.restore(restore_abs_path=str(folder / "target"))
    shutil.rmtree(folder / "target")
    assert staging.discard(folder / "target") == 0
    after = state(os.fsencode(folder))
    assert before.pop(b".") and after.pop(b".") and before == after


def test_where_a_restore_works_is_left_out(bench: Bench) -> None:
    (bench.source / "d").mkdir()
    (bench.source / "d" / "file").write_text("x")
    with staging.stage(bench.source / "d" / "new") as stage:
        (Path(os.fsdecode(stage.path)) / "half").write_text("x")
        for _unused in range(2):
            report = bench.level(consistency_check=True)
            assert report.warnings == ()
        bench.restore(consistency_checksum=report.fields["consistency_checksum"])
    assert os.listdir(bench.target / "d") == ["file"]
    # What it was left out for is gone, and its name is somebody's now.
    name = Path(os.fsdecode(stage.path)).parent.name
    (bench.source / "d" / name).mkdir()
    (bench.source / "d" / name / "half").write_text("mine")
    bench.level()
    shutil.rmtree(bench.target)
    bench.restore()
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))


@pytest.mark.parametrize("follow", [{}, {"dereference_symlink": "soft"}])
@pytest.mark.parametrize("place", ["notes", "data/pictures/one", "metadata/read.me", "tar/x"])
def test_what_lies_beside_backups_in_a_container_is_saved(
    bench: Bench, place: str, follow: dict[str, object]
) -> None:
    container = bench.source / "disk"
    (container / place).parent.mkdir(parents=True)
    (container / place).write_text("mine")
    for _unused in range(2):
        report = bench.level(container=str(container), **follow)
        assert report.warnings == ()
    bench.restore(container=str(container))
    assert (bench.target / "disk" / place).read_text() == "mine"
    found = {path.name for path in (bench.target / "disk").rglob("*")}
    assert not found & {".coldchain", "host_docs"}


def test_a_container_that_holds_backups_only_is_left_out(bench: Bench) -> None:
    for _unused in range(2):
        bench.level(container=str(bench.source / "disk"))
    (bench.source / "to").symlink_to("disk")
    told = bench.level(container=str(bench.source / "disk"), dereference_symlink="soft").warnings
    assert ["./to" in line for line in told] == [True]
    bench.restore(container=str(bench.source / "disk"))
    assert os.listdir(bench.target) == []
