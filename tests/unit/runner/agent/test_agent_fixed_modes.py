# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""On vfat, exFAT and CIFS owners and modes are the mount's; what is refused there says so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from agent_bench import Bench
from agent_users import NOBODY

from coldchain.cli import health_jobs
from coldchain.core import fixed_modes
from coldchain.core.errors import ColdchainError
from coldchain.core.paths import Paths

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root restores for others")


@contextmanager
def fixed(
    patch: pytest.MonkeyPatch, folder: Path, kind: str, mode: int, owner: int
) -> Iterator[None]:
    """Let *folder* look as if a *kind* of file system were mounted there."""
    real = os.mkdir
    status = os.stat(folder)
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    table = folder.parent / "mountinfo"
    table.write_text(f"22 1 {device} / {folder} rw shared:1 - {kind} /dev/sdb1 rw\n")

    def mkdir(path: str | Path, *arguments: int, dir_fd: int | None = None) -> None:
        real(path, *arguments, dir_fd=dir_fd)
        above = folder if dir_fd is None else Path(os.readlink(f"/proc/self/fd/{dir_fd}"))
        made = above / path
        if made.is_relative_to(folder):
            os.chmod(made, mode)
            os.chown(made, owner, 0)

    with patch.context() as within:
        within.setattr(fixed_modes, "_MOUNTS", table)
        within.setattr(os, "mkdir", mkdir)
        yield


@pytest.fixture
def stick(bench: Bench) -> Path:
    (bench.source / "file").write_text("x")
    bench.root.chmod(0o755)
    bench.backup()
    folder = bench.root / "stick"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(("mode", "owner"), [(0o755, 0), (0o700, NOBODY), (0o777, 0)])
@pytest.mark.parametrize(
    ("kind", "way"),
    [("vfat", "umask=077"), ("exfat", "umask=077"), ("cifs", "file_mode=0600,dir_mode=0700")],
)
def test_a_target_without_modes_says_how_to_mount_it(
    bench: Bench, stick: Path, monkeypatch: pytest.MonkeyPatch,
    kind: str, way: str, mode: int, owner: int,
) -> None:  # fmt: skip
    stick.chmod(mode)
    os.chown(stick, owner, 0)
    with fixed(monkeypatch, stick, kind, mode, owner):
        with pytest.raises(ColdchainError) as caught:
            bench.restore(restore_abs_path=str(stick / "new"))
        assert f"{kind} keeps no owners and modes" in caught.value.hint
        assert f"mount it with uid=0,{way}" in caught.value.hint
        assert "somebody else" not in caught.value.message
    assert list(stick.iterdir()) == []


def test_a_folder_that_is_not_private_for_another_reason_says_so(
    bench: Bench, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fixed(monkeypatch, stick, "fuse.thing", 0o755, 0):
        with pytest.raises(
            ColdchainError, match="belongs to the user root, with mode 0755"
        ) as told:
            bench.restore(restore_abs_path=str(stick / "new"))
        assert "somebody else may put folders" in told.value.hint
    assert list(stick.iterdir()) == []


def test_a_full_folder_in_the_place_of_a_new_one_is_not_used(
    bench: Bench, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who owns a directory can rename what root keeps in it."""
    os.chown(stick, NOBODY, NOBODY)
    os.chown(bench.source / "file", NOBODY, NOBODY)
    os.chown(bench.source, NOBODY, NOBODY)
    bench.backup()
    kept = stick / "kept"
    kept.mkdir(mode=0o700)
    (kept / "precious").write_text("x")
    real = os.mkdir

    def mkdir(path: str, *arguments: int, dir_fd: int | None = None) -> None:
        real(path, *arguments, dir_fd=dir_fd)
        if str(path).startswith(".coldchain-restore-"):
            os.rmdir(stick / path)
            kept.rename(stick / path)

    with monkeypatch.context() as within:
        within.setattr(os, "mkdir", mkdir)
        with pytest.raises(ColdchainError):
            bench.restore(restore_abs_path=str(stick / "new"))
    assert [path.read_text() for path in stick.glob("*/precious")] == ["x"]


@pytest.mark.parametrize("use", ["installation", "doctor"])
def test_other_places_without_modes_say_it_too(
    bench: Bench, stick: Path, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    paths = Paths.under(stick)
    paths.create()
    stick.chmod(0o777)
    with fixed(monkeypatch, stick, "vfat", 0o777, 0):
        if use == "installation":
            with pytest.raises(ColdchainError) as caught:
                paths.check()
            told = caught.value.hint
        else:
            patient = type("Patient", (), {"local_containers": {stick: "job"}})()
            (finding,) = health_jobs.containers(patient)
            told = finding.remedy
    assert "mount it with uid=0,umask=077" in told and "chmod go-w" not in told
