# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root works in directories that other users can change: they never get more than they have."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from agent_bench import CAP_SYS_ADMIN, Bench, capable
from agent_points import catalogue, verify
from agent_trees import state
from agent_users import NOBODY, as_nobody, give_away

from coldchain.agent.engines.tar.restore import action as restore
from coldchain.agent.engines.tar.restore import staged_tree, staging
from coldchain.agent.storages.base import private_name
from coldchain.core.errors import CannotWrite, ColdchainError, DataError, JobFailed

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="it is root whom others could trick")


@pytest.fixture
def theirs(bench: Bench) -> Path:
    """A directory of somebody else, on the way to the target of a restore."""
    folder = bench.root / "theirs"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    (bench.source / "sub").mkdir()
    (bench.source / "sub" / "file").write_text("x")
    bench.root.chmod(0o755)
    return folder


@pytest.fixture
def victim(bench: Bench) -> Path:
    """What only root may change."""
    folder = bench.root / "victim"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file").write_text("precious")
    return folder


def test_what_is_roots_is_not_restored_into_somebody_elses_directory(
    bench: Bench, theirs: Path
) -> None:
    bench.backup()
    target = theirs / "deep" / "target"
    with pytest.raises(DataError, match=f"can rename what lies in {theirs}") as caught:
        bench.restore(restore_abs_path=str(target))
    assert "trust_target: true" in caught.value.hint
    assert list(theirs.iterdir()) == []
    report = bench.restore(restore_abs_path=str(target), trust_target=True)
    assert state(os.fsencode(target)) == state(os.fsencode(bench.source))
    (told,) = [line for line in report.warnings if line.startswith("trust_target: ")]
    assert str(theirs) in told


def test_what_is_all_theirs_is_restored_there(bench: Bench, theirs: Path) -> None:
    give_away(bench.source)
    bench.backup()
    report = bench.restore(restore_abs_path=str(theirs / "target"))
    assert report.warnings == ()
    assert state(os.fsencode(theirs / "target")) == state(os.fsencode(bench.source))
    os.chown(bench.source / "sub" / "file", 12345, 12345)
    bench.backup()
    with pytest.raises(DataError, match="does not own all that is restored"):
        bench.restore(restore_abs_path=str(theirs / "other"))
    assert not (theirs / "other").exists()


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_directory_for_many_is_not_on_the_way_of_root(
    bench: Bench, theirs: Path, mode: int
) -> None:
    os.chown(theirs, 0, 4321)
    theirs.chmod(mode)
    give_away(bench.source)
    bench.backup()
    with pytest.raises(DataError, match="users other than its owner can rename"):
        bench.restore(restore_abs_path=str(theirs / "target"))
    # With the sticky bit, everybody can rename only what is their own.
    theirs.chmod(mode | 0o1000)
    bench.restore(restore_abs_path=str(theirs / "target"))
    (theirs / "mine").mkdir()
    bench.restore(restore_abs_path=str(theirs / "mine" / "target"))
    (theirs / "other").mkdir()
    os.chown(theirs / "other", 12345, 12345)
    with pytest.raises(DataError, match=f"12345 can rename what lies in {theirs}"):
        bench.restore(restore_abs_path=str(theirs / "other" / "target"))


def test_a_link_of_somebody_else_is_not_followed(bench: Bench, theirs: Path, victim: Path) -> None:
    give_away(bench.source)
    bench.backup()
    (theirs / "target").symlink_to(victim)
    os.chown(theirs / "target", NOBODY, NOBODY, follow_symlinks=False)
    before = state(os.fsencode(victim))
    for target in (theirs / "target", theirs / "target" / "sub"):
        with pytest.raises(DataError, match="is somebody else's: it leads to") as caught:
            bench.restore(restore_abs_path=str(target), overwrite=True)
        assert str(victim) in caught.value.message
    assert state(os.fsencode(victim)) == before
    # A link of root's own is the administrator's word, where nobody else could have put it.
    (bench.root / "ours").symlink_to(victim)
    report = bench.restore(restore_abs_path=str(bench.root / "ours"), overwrite=True)
    assert f"({victim})" in report.message


def _swap_stage(theirs: Path, victim: Path) -> None:
    (stage,) = theirs.glob(".coldchain-restore-*")
    stage.rename(theirs / "moved")
    stage.symlink_to(victim)


def _swap_target(theirs: Path, victim: Path) -> None:
    if (theirs / "target").exists():
        (theirs / "target").rename(theirs / "moved")
    (theirs / "target").symlink_to(victim)


def _swap_inside(theirs: Path, victim: Path) -> None:
    if (theirs / "target" / "sub").exists():
        (theirs / "target" / "sub").rename(theirs / "moved")
        (theirs / "target" / "sub").symlink_to(victim / "sub")


def _swap_way(theirs: Path, victim: Path) -> None:
    (theirs / "way").rename(theirs / "moved")
    (theirs / "way").symlink_to(victim.parent)


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(
    ("module", "moment"),
    [(restore, "extract_all"), (staged_tree, "prune"), (staged_tree, "measure")],
    ids=["extract", "prune", "measure"],
)
@pytest.mark.parametrize("swap", [_swap_stage, _swap_target, _swap_inside, _swap_way])
def test_what_is_swapped_meanwhile_leads_nowhere(
    bench: Bench,
    theirs: Path,
    victim: Path,
    swap: Callable[[Path, Path], None],
    module: ModuleType,
    moment: str,
    there: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give_away(bench.source)
    bench.level()
    (bench.source / "sub" / "more").write_text("x")
    give_away(bench.source)
    bench.level()
    target = theirs / "target"
    if swap is _swap_way:
        (theirs / "way").mkdir()
        target = theirs / "way" / "victim"
    if there:
        (target / "sub").mkdir(parents=True)
        (target / "sub" / "file").write_text("old")
    give_away(theirs)
    before = state(os.fsencode(victim))
    real = getattr(module, moment)

    def meddle(*arguments: object, **named: object) -> object:
        answer = real(*arguments, **named)
        swap(theirs, victim)
        give_away(theirs)
        return answer

    monkeypatch.setattr(module, moment, meddle)
    with contextlib.suppress(CannotWrite, JobFailed):
        bench.restore(
            restore_abs_path=str(target), overwrite=True, trust_target=True,
            restore_paths=["sub"] if moment == "prune" else [],
        )  # fmt: skip
    assert state(os.fsencode(victim)) == before


def test_who_is_not_root_restores_where_it_can(bench: Bench, theirs: Path) -> None:
    bench.backup()
    give_away(bench.root)
    theirs.chmod(0o777)

    def told() -> str:
        bench.restore(restore_abs_path=str(theirs / "target"))
        return str((theirs / "target" / "sub" / "file").exists())

    assert as_nobody(told) == "True"


@pytest.mark.parametrize("kind", ["link", "fifo", "directory", "dangling link"])
def test_only_a_file_is_a_log_file(bench: Bench, victim: Path, kind: str) -> None:
    log = bench.root / "log"
    if kind == "fifo":
        os.mkfifo(log)
    elif kind == "directory":
        log.mkdir()
    else:
        log.symlink_to(victim / ("sub/file" if kind == "link" else "new"))
    before = state(os.fsencode(victim))
    with pytest.raises(CannotWrite, match=f"log_file {log}"):
        bench.backup(log_file=str(log))
    assert state(os.fsencode(victim)) == before


def test_a_log_file_is_not_reached_by_somebody_elses_link(
    bench: Bench, theirs: Path, victim: Path
) -> None:
    (theirs / "logs").symlink_to(victim)
    os.chown(theirs / "logs", NOBODY, NOBODY, follow_symlinks=False)
    os.link(victim / "sub" / "file", theirs / "other.log")
    before = state(os.fsencode(victim))
    for name in ("logs/new.log", "other.log"):
        with pytest.raises(CannotWrite, match="log_file"):
            bench.backup(log_file=str(theirs / name))
    assert state(os.fsencode(victim)) == before


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "tree"])
def test_a_container_of_somebody_else_makes_root_create_nothing(
    bench: Bench, theirs: Path, victim: Path, kind: str
) -> None:
    container = theirs / "container"
    bench.backup(container=str(container))
    (lock,) = (container / ".coldchain").glob("*.lock")
    lock.unlink()
    if kind == "link":
        lock.symlink_to(victim / "new")
    elif kind == "fifo":
        os.mkfifo(lock)
    elif kind == "folder":
        lock.parent.rmdir()
        lock.parent.symlink_to(victim)
    else:
        subprocess.run(["rm", "-r", container / "data" / "tar"], check=True)
        (container / "data" / "tar").symlink_to(victim)
    give_away(theirs)
    before = state(os.fsencode(victim))
    with pytest.raises(ColdchainError):
        bench.backup(container=str(container))
    assert state(os.fsencode(victim)) == before


@pytest.mark.parametrize("inside", ["sub", "tree", "level-01234567"])
@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_a_folder_of_roots_is_not_taken_for_what_a_restore_left(
    bench: Bench, theirs: Path, victim: Path, mode: int, inside: str
) -> None:
    give_away(bench.source)
    bench.backup()
    # Whoever owns the directory can rename what root keeps in it.
    renamed = theirs / ".coldchain-restore-00000000"
    (victim / "sub").rename(victim / inside)
    victim.chmod(mode)
    shutil.move(victim, renamed)
    bench.restore(restore_abs_path=str(theirs / "target"))
    bench.perform("restore", restore_abs_path=str(theirs / "again"), dry_run=True)
    assert staging.discard(theirs / "target") == 0
    assert (renamed / inside / "file").read_text() == "precious"


@pytest.mark.parametrize("tree", ["metadata", "data"])
def test_a_container_of_somebody_else_makes_root_remove_nothing(
    bench: Bench, theirs: Path, tree: str
) -> None:
    bench.backup()
    bench.backup()
    container = theirs / "container"
    bench.backup(container=str(container))
    # Another container has the names that a removal looks for.
    shutil.rmtree(container / tree / "tar" / "host_docs")
    (container / tree / "tar" / "host_docs").symlink_to(bench.container / tree / "tar/host_docs")
    give_away(theirs)
    before = state(os.fsencode(bench.container))
    with pytest.raises(ColdchainError, match="that somebody else made"):
        bench.perform("admin", container=str(container), remove_older_than="0", force=True)
    assert state(os.fsencode(bench.container)) == before


def test_a_draft_of_somebody_elses_is_not_swept_through_a_link(
    bench: Bench, theirs: Path, victim: Path
) -> None:
    container = theirs / "container"
    bench.backup(container=str(container))
    shutil.move(victim / "sub", victim / private_name("host_docs"))
    shutil.rmtree(container / "data" / ".coldchain")
    (container / "data" / ".coldchain").symlink_to(victim)
    give_away(theirs)
    before = state(os.fsencode(victim))
    with pytest.raises(CannotWrite, match="that somebody else made"):
        bench.backup(container=str(container))
    assert state(os.fsencode(victim)) == before


@pytest.mark.parametrize("kind", ["fifo", "directory", "device"])
@pytest.mark.parametrize(
    "part", ["data", "manifest.json", "metadata", "engine_metadata", "entries.gz", "tree.gz"]
)
def test_nothing_waits_for_what_is_no_file_in_a_container(
    bench: Bench, theirs: Path, part: str, kind: str
) -> None:
    for number in range(2):
        (bench.source / "sub" / "file").write_text(str(number))
        bench.level()
    for path in list(bench.container.glob(f"*/tar/host_docs/*/1_*/{part}")):
        path.unlink()
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "directory":
            path.mkdir()
        else:
            os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    acts: list[Callable[[], object]] = [
        lambda: catalogue(bench.container),
        lambda: verify(bench.container, mode="full"),
        lambda: bench.restore(dry_run=True),
        bench.restore,
        bench.level,
    ]
    before = signal.signal(signal.SIGALRM, _late)
    try:
        for act in acts:
            signal.alarm(20)
            with contextlib.suppress(ColdchainError):
                act()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _late(*_: object) -> None:
    raise AssertionError("it waits")


@pytest.mark.skipif(not capable(CAP_SYS_ADMIN), reason="needs root that may mount")
@pytest.mark.parametrize("paths", [[], ["sub"]])
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", ["tmpfs", "the same disk"])
def test_an_empty_mounted_file_system_is_restored_into(
    bench: Bench, theirs: Path, kind: str, overwrite: bool, paths: list[str]
) -> None:
    bench.backup()
    bench.target.mkdir()
    if kind == "tmpfs":
        words = ["-t", "tmpfs", "none"]
    else:
        (bench.root / "disk").mkdir()
        words = ["--bind", str(bench.root / "disk")]
    subprocess.run(["mount", *words, bench.target], check=True)
    try:
        bench.restore(overwrite=overwrite, restore_paths=paths)
        assert (bench.target / "sub" / "file").read_text() == "x"
        assert [path.name for path in bench.target.iterdir()] == ["sub"]
        if not paths:
            assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))
    finally:
        subprocess.run(["umount", bench.target], check=True)
    assert list(bench.target.iterdir()) == []
