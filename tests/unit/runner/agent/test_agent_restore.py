# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a restore goes, what it keeps, and what it selects."""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import shlex
import shutil
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from agent_bench import CAP_LINUX_IMMUTABLE, CAP_SYS_ADMIN, Bench, capable
from agent_hostile import REG, plant
from agent_points import verify
from agent_trees import state
from agent_users import NOBODY, as_nobody, give_away, in_a_child

from coldchain.core.errors import CannotWrite, ColdchainError, DataError, JobFailed, UsageError


def _tree(bench: Bench) -> None:
    (bench.source / "sub" / "deep").mkdir(parents=True)
    (bench.source / "sub" / "one").write_text("1")
    (bench.source / "sub" / "deep" / "two").write_text("2")
    (bench.source / "top").write_text("t")


def test_a_target_with_content_needs_overwrite_and_keeps_foreign_files(bench: Bench) -> None:
    _tree(bench)
    bench.level()
    (bench.source / "sub" / "one").unlink()
    bench.level()
    (bench.target / "sub").mkdir(parents=True)
    for name in ("foreign", "sub/foreign", "sub/one", "top"):
        (bench.target / name).write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        bench.restore()
    newest = max(point.time for point in bench.catalogue())
    report = bench.restore(overwrite=True)
    assert f" as of {newest} (level 1): 2 files, 2 B in " in report.message
    assert (report.fields["files"], report.fields["bytes"]) == (2, 2)
    assert (bench.target / "top").read_text() == "t"
    # tar --incremental would have deleted what the backup does not hold.
    for name in ("foreign", "sub/foreign", "sub/one"):
        assert (bench.target / name).read_text() == "mine"


@pytest.mark.skipif(not capable(CAP_SYS_ADMIN), reason="needs root that may mount")
@pytest.mark.parametrize("part", ["", "data"])
def test_no_second_name_of_the_container_is_a_target(bench: Bench, part: str) -> None:
    _tree(bench)
    bench.backup()
    before, second = bench.files(), bench.root / "second"
    second.mkdir()
    subprocess.run(["mount", "--bind", bench.container / part, second], check=True)
    try:
        for place in (second, second / "new"):
            with pytest.raises(DataError, match="lies inside the container"):
                bench.restore(restore_abs_path=str(place), overwrite=True)
    finally:
        subprocess.run(["umount", second], check=True)
    assert bench.files() == before


@pytest.mark.parametrize("by_link", [False, True])
@pytest.mark.parametrize("there", [False, True])
def test_a_target_whose_path_is_too_long_is_refused_before_anything_is_written(
    bench: Bench, by_link: bool, there: bool
) -> None:
    """It was made, and a merge into it failed halfway; a dry run ended with an error of ours."""
    _tree(bench)
    bench.backup()
    half = "/".join(["n" * 200] * 12)
    (bench.root / half).mkdir(parents=True)
    (bench.root / "link").symlink_to(half)
    (bench.root / "link" / half).mkdir(parents=True)
    (bench.root / "both").symlink_to(f"link/{half}")
    if there:
        (bench.root / "both" / "target").mkdir()
    target = bench.root / "both" if by_link else bench.root / half / half
    for fields in ({"dry_run": True}, {}, {"overwrite": True}):
        with pytest.raises(CannotWrite, match="File name too long") as refused:
            bench.restore(restore_abs_path=str(target / "target"), **fields)
        assert "4,095 bytes" in refused.value.hint
    assert os.listdir(bench.root / "both") == ["target"] * there
    assert bench.restore(restore_abs_path=str(bench.root / "link" / "target"), dry_run=True)


def test_what_cannot_be_a_target_is_one_error(bench: Bench) -> None:
    _tree(bench)
    bench.backup()
    before = bench.files()
    for place in (bench.container, bench.container / "data" / "new"):
        with pytest.raises(DataError, match="lies inside the container"):
            bench.restore(restore_abs_path=str(place), overwrite=True)
    with pytest.raises(CannotWrite, match="File name too long"):
        bench.restore(restore_abs_path=str(bench.root / ("n" * 300)))
    assert bench.files() == before
    if os.geteuid() == 0:
        (bench.root / "locked").mkdir(mode=0o700)
        (bench.root / "closed").mkdir()
        for path in (bench.root, bench.container, *bench.container.rglob("*")):
            path.chmod(0o755)

        def told() -> str:
            try:
                bench.backup(path_to_backup=str(bench.root / "locked" / "a"), backup_name="b")
            except JobFailed as error:
                first = error.message
            said = [first]
            for place in ("locked/a", "closed"):
                try:
                    bench.restore(restore_abs_path=str(bench.root / place))
                except CannotWrite as error:
                    said.append(error.message)
            return "\n".join(said)

        (bench.container / ".coldchain").chmod(0o777)
        (bench.root / "closed").chmod(0o711)  # one can go through it, and not look into it
        reasons = as_nobody(told).splitlines()
        assert len(reasons) == 3 and all("Permission denied" in reason for reason in reasons)


@pytest.mark.parametrize("content", [True, False])
def test_a_single_file_changes_nothing_of_the_directory_that_it_comes_to(
    bench: Bench, content: bool
) -> None:
    (bench.source / "alone").write_text("x")
    bench.backup(path_to_backup=str(bench.source / "alone"))
    bench.target.mkdir()
    if content:
        (bench.target / "other").write_text("other")
    bench.target.chmod(0o2711)
    if os.geteuid() == 0:
        os.chown(bench.target, 1234, 1234)
        bench.target.chmod(0o2711)
    before = bench.target.stat()
    bench.restore(overwrite=content)
    after = bench.target.stat()
    assert (bench.target / "alone").read_text() == "x"
    assert (after.st_ino, after.st_mode, after.st_uid, after.st_gid) == (
        before.st_ino,
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )


def test_a_folder_with_content_is_never_replaced_by_a_file(bench: Bench) -> None:
    _tree(bench)
    bench.backup()
    (bench.target / "top").mkdir(parents=True)
    (bench.target / "top" / "foreign").write_text("mine")
    before = state(os.fsencode(bench.target))
    with pytest.raises(JobFailed, match="directory with content"):
        bench.restore(overwrite=True)
    assert state(os.fsencode(bench.target)) == before


def test_selected_paths_at_a_level_where_they_are_unchanged(bench: Bench) -> None:
    _tree(bench)
    bench.level()
    (bench.source / "top").write_text("changed")
    bench.level()
    bench.restore(restore_paths=["sub/deep", "top"])
    assert (bench.target / "sub" / "deep" / "two").read_text() == "2"
    assert (bench.target / "top").read_text() == "changed"
    assert not (bench.target / "sub" / "one").exists()


def test_a_selection_is_a_name_and_no_pattern(bench: Bench) -> None:
    for name in ("ab", "a*", "a[b]"):
        (bench.source / name).write_text(name)
    bench.backup()
    for name in ("a*", "a[b]"):
        bench.restore(restore_paths=[name], overwrite=True)
        assert (bench.target / name).read_text() == name
    assert sorted(os.listdir(bench.target)) == ["a*", "a[b]"]
    with pytest.raises(JobFailed, match=r"\? is not in the backup"):
        bench.restore(restore_paths=["a?"], overwrite=True)


def test_selected_paths_follow_renames_and_deletions(bench: Bench) -> None:
    _tree(bench)
    bench.level()
    (bench.source / "sub").rename(bench.source / "moved")
    (bench.source / "top").unlink()
    bench.level()
    bench.restore(restore_paths=[str(bench.source / "moved" / "deep")])
    assert (bench.target / "moved" / "deep" / "two").read_text() == "2"
    assert os.listdir(bench.target) == ["moved"]
    with pytest.raises(JobFailed, match="top is not in the backup"):
        bench.restore(restore_paths=["top"], restore_abs_path=str(bench.root / "other"))
    assert not (bench.root / "other").exists()


def test_a_dry_run_lists_what_a_restore_brings(bench: Bench) -> None:
    _tree(bench)
    bench.level()
    (bench.source / "top").unlink()
    (bench.source / "new").write_text("n")
    bench.level()
    report = bench.restore(dry_run=True)
    assert report.fields["names"] == ["new", "sub/deep/two", "sub/one"]
    assert not bench.target.exists()
    assert "3 files (3 B) of docs" in report.message
    part = bench.restore(dry_run=True, restore_paths=["sub"])
    assert (part.fields["files"], part.fields["bytes"]) == (2, 2)
    # Without our lists, as in freezer-agent's levels, the names are there and the size is not.
    for path in bench.container.glob("data/tar/host_docs/*/0_*/*"):
        if path.name in ("entries.gz", "manifest.json"):
            path.unlink()
    report = bench.restore(dry_run=True)
    assert (report.fields["files"], report.fields["bytes"]) == (3, None)


@pytest.mark.parametrize("scheme", [None, "freezer", "strong"])
def test_a_dry_run_knows_sizes_and_the_list_is_no_leak(bench: Bench, scheme: str | None) -> None:
    secret = {"encrypt_pass_file": str(bench.pass_file), "encrypt_scheme": scheme} if scheme else {}
    (bench.source / "private\nname").write_bytes(b"x" * 1000)
    bench.level(**secret)
    (bench.source / "later").write_bytes(b"y" * 234)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(bench.source / "socket"))
    bench.level(**secret)
    report = bench.restore(dry_run=True, **secret)
    assert (report.fields["bytes"], report.fields["names"]) == (1234, ["later", "private\\nname"])
    for path in bench.container.glob("data/tar/host_docs/*/*/entries.gz"):
        if scheme is None:
            listing = gzip.decompress(path.read_bytes())
            assert listing.startswith(b"drwx") and b' "./' in listing
        else:
            assert path.read_bytes().startswith(b"Salted__")


def test_an_altered_list_is_found(bench: Bench) -> None:
    _tree(bench)
    bench.level()
    path = next(bench.container.glob("data/tar/host_docs/*/*/entries.gz"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    report = bench.restore(dry_run=True)
    assert report.fields["bytes"] is None
    assert any("its list of entries was damaged" in line for line in report.warnings)
    bench.restore()
    (finding,) = verify(bench.container, mode="full").findings
    assert finding.kind == "altered"


def _everything(root: Path) -> dict[str, tuple[object, ...]]:
    """All that a write would change below *root*, also of directories."""
    found: dict[str, tuple[object, ...]] = {}
    for folder, folders, files in os.walk(root):
        for name in [folder, *(os.path.join(folder, one) for one in folders + files)]:
            status = os.lstat(name)
            found[name] = (status.st_ino, status.st_mode, status.st_mtime_ns, status.st_ctime_ns)
    return found


def test_dry_runs_write_nothing(bench: Bench) -> None:
    _tree(bench)
    before = _everything(bench.root)
    log = bench.root / "log"
    report = bench.backup(dry_run=True, log_file=str(log), sync=True)
    assert report.fields["level"] == 0
    assert _everything(bench.root) == before
    bench.level(encrypt_pass_file=str(bench.pass_file))
    (bench.source / "top").write_text("changed")
    # What a killed run left would be swept by a real one.
    (bench.container / "data" / ".coldchain" / "x").mkdir(parents=True)
    before = _everything(bench.root)
    again = bench.level(dry_run=True, encrypt_pass_file=str(bench.pass_file), log_file=str(log))
    assert again.fields["level"] == 1
    bench.level(dry_run=True, remove_older_than=0, force=True, consistency_check=True)
    bench.perform("admin", remove_older_than=0, force=True, dry_run=True, log_file=str(log))
    bench.restore(dry_run=True, encrypt_pass_file=str(bench.pass_file), log_file=str(log))
    bench.perform("info")
    assert _everything(bench.root) == before


def test_the_consistency_checksum_of_a_backup_proves_its_restore(bench: Bench) -> None:
    _tree(bench)
    checksum = bench.backup(consistency_check=True).fields["consistency_checksum"]
    bench.restore(consistency_checksum=checksum)
    shutil.rmtree(bench.target)
    with pytest.raises(JobFailed, match="consistency_checksum"):
        bench.restore(consistency_checksum="0" * 64)
    assert not bench.target.exists()


def test_the_consistency_checksum_is_of_what_a_restore_brings(bench: Bench) -> None:
    # Neither sockets nor device nodes come back, nor the container that lies inside the source.
    _tree(bench)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(bench.source / "socket"))
        inside = str(bench.source / "backups")
        for dummy in range(2):
            report = bench.backup(container=inside, consistency_check=True)
    bench.restore(container=inside, consistency_checksum=report.fields["consistency_checksum"])
    assert not (bench.target / "backups").exists()


def test_a_source_that_cannot_be_summed_up_is_named(bench: Bench) -> None:
    _tree(bench)
    report = bench.backup(consistency_check=True, exclude="top")
    assert "consistency_check covers what exclude leaves out" in report.warnings[0]
    if os.geteuid() == 0:
        (bench.source / "secret").write_text("s")
        (bench.source / "secret").chmod(0)
        give_away(bench.root)
        outcome = as_nobody(lambda: bench.backup(consistency_check=True).message)
        assert "JobFailed" in outcome and "secret: Permission denied" in outcome
        assert len(bench.catalogue()) == 1


@pytest.mark.long
@pytest.mark.parametrize("depth", [1200, 2100])
def test_directories_deep_in_each_other_leave_nothing_behind(bench: Bench, depth: int) -> None:
    # By hand: a path of more than 4096 bytes has no name for the system.
    descriptor = os.open(bench.source, os.O_RDONLY)
    for dummy in range(depth):
        os.mkdir("d", dir_fd=descriptor)
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    try:
        bench.level()
        with pytest.raises(JobFailed, match=r"too deep|File name too long"):
            bench.backup(backup_name="other", consistency_check=True)
        for fields in ({}, {"overwrite": True}):
            try:
                bench.restore(**fields)
            except ColdchainError as error:
                assert "nothing was restored" in error.message + error.hint
        left = [name for name in os.listdir(bench.root) if name.startswith(".coldchain")]
        assert not left
    finally:
        subprocess.run(["rm", "-rf", bench.source, bench.target], check=True)


def test_another_hosts_backup_is_restored_by_its_name(bench: Bench) -> None:
    _tree(bench)
    bench.backup(hostname="there")
    with pytest.raises(JobFailed, match='"host_docs"') as caught:
        bench.restore()
    assert "written by other hosts: there" in caught.value.hint
    bench.restore(hostname="there")
    assert (bench.target / "top").exists()


def test_what_a_killed_restore_left_is_removed_by_the_next(bench: Bench) -> None:
    _tree(bench)
    bench.backup()
    stale = bench.root / ".coldchain-restore-deadbeef"
    (stale / "tree").mkdir(parents=True)
    (stale / "coldchain-restore").touch()
    stale.chmod(0o700)
    bench.restore()
    assert not stale.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="root becomes an ordinary user here")
def test_an_ordinary_user_restores_what_the_system_allows(bench: Bench) -> None:
    (bench.source / "locked").mkdir()
    (bench.source / "locked" / "a").write_text("a")
    (bench.source / "locked" / "gone").write_text("x")
    os.chown(bench.source / "locked" / "a", 12345, 12345)
    (bench.source / "locked" / "a").chmod(0o6755)
    (bench.source / "locked").chmod(0o555)
    bench.level()
    (bench.source / "locked" / "b").write_text("b")
    (bench.source / "locked" / "gone").unlink()
    bench.level()
    give_away(bench.root, keep=bench.source)
    outcome = as_nobody(lambda: "\n".join(bench.restore().warnings))
    assert "what belonged to 12345/12345, root/root is yours now" in outcome
    # Whoever ran it would be the user who restored it.
    assert "setuid and setgid not restored, the owner is another one: locked/a" in outcome
    assert (bench.target / "locked" / "a").stat().st_mode & 0o7777 == 0o755
    assert sorted(os.listdir(bench.target / "locked")) == ["a", "b"]
    assert (bench.target / "locked").stat().st_mode & 0o777 == 0o555


@pytest.mark.skipif(os.geteuid() != 0, reason="root becomes an ordinary user here")
def test_a_user_without_a_name_restores(bench: Bench) -> None:
    (bench.source / "a").write_text("a")
    bench.backup()
    for path in (bench.root, *bench.root.rglob("*")):
        os.chown(path, 54321, 54321)

    def told() -> str:
        os.setgroups([])
        os.setgid(54321)
        os.setuid(54321)
        bench.backup(backup_name="mine")
        mine = bench.restore(backup_name="mine", restore_abs_path=str(bench.root / "mine"))
        return "\n".join([*mine.warnings, *bench.restore().warnings])

    assert "what belonged to root/root is yours now" in in_a_child(told)
    assert (bench.target / "a").read_text() == "a"


@pytest.mark.skipif(os.geteuid() != 0, reason="root becomes an ordinary user here")
def test_an_ordinary_user_restores_directories_that_are_closed_to_it(bench: Bench) -> None:
    modes = {"drop": 0o300, "none": 0, "ro": 0o555, "ro/sub": 0o500}
    for name in modes:
        (bench.source / name).mkdir()
        (bench.source / name / "file").write_text(name)
    for level in range(2):
        (bench.source / "top").write_text(str(level))
        for name in reversed(modes):
            (bench.source / name).chmod(modes[name])
        bench.level()
    give_away(bench.root)

    def told() -> str:
        bench.restore()
        bench.restore(restore_abs_path=str(bench.root / "part"), restore_paths=["ro/sub/file"])
        # Again, over what is there: directories that only their owner may open.
        (bench.target / "top").write_text("changed")
        bench.restore(overwrite=True)
        bench.restore(overwrite=True, restore_paths=["ro/sub", "none"])
        return "done"

    assert as_nobody(told) == "done"
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))
    for name in ("ro", "ro/sub"):
        assert (bench.root / "part" / name).stat().st_mode & 0o777 == modes[name]
    assert list(bench.root.glob(".coldchain*")) == []


def test_a_merge_gives_directories_their_times_and_attributes(bench: Bench) -> None:
    inner = bench.source / "d" / "e"
    inner.mkdir(parents=True)
    (inner / "f").write_text("f")
    for folder in (inner, inner.parent, bench.source):
        os.utime(folder, ns=(1, 1_000_000_007))
    bench.backup()
    bench.restore()
    (bench.target / "d" / "e" / "f").write_text("changed")
    # user::rwx group::rwx other::--- user:daemon:rwx and a mask, as Linux keeps it.
    entries = [(1, 7, -1), (2, 7, 1), (4, 7, -1), (16, 7, -1), (32, 0, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *one) for one in entries)
    os.setxattr(bench.target / "d", "system.posix_acl_default", acl)
    os.setxattr(bench.target / "d", "system.posix_acl_access", acl)
    bench.restore(overwrite=True)
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))
    assert os.listxattr(bench.target / "d") == []
    for name in ("d/e", "d", "."):
        assert (bench.target / name).stat().st_mtime_ns == 1_000_000_007


@pytest.mark.parametrize("place", ["new", "deep/er/new", "empty"])
def test_a_target_that_holds_nothing_gets_all_in_one_step(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    for number in range(3):
        (bench.source / f"file{number}").write_text("x")
    bench.level()
    target = bench.root / place
    if place == "empty":
        target.mkdir()
    real = os.rename
    steps: list[int] = []

    def rename(*paths: Any, **folders: Any) -> None:
        before = os.listdir(target) if target.is_dir() else []
        real(*paths, **folders)
        after = os.listdir(target) if target.is_dir() else []
        if before != after:
            steps.append(len(after) - len(before))

    monkeypatch.setattr(os, "rename", rename)
    bench.restore(restore_abs_path=str(target))
    assert steps == [3]
    assert state(os.fsencode(target)) == state(os.fsencode(bench.source))


def test_verify_says_what_it_did(bench: Bench) -> None:
    _tree(bench)
    with pytest.raises(DataError, match="no backup"):
        verify(bench.container)
    for _ in range(4):
        bench.level(encrypt_pass_file=str(bench.pass_file))
    assert verify(bench.container).read == 0
    sample = verify(bench.container, mode="sample", sample=2)
    assert (sample.read, sample.checked, sample.sound) == (2, 4, True)
    assert len(sample.notes) == 2
    full = verify(bench.container, mode="full", pass_file=bench.pass_file)
    assert full.as_dict()["sound"] and not full.notes and len(full.restorable) == 4
    with pytest.raises(UsageError):
        verify(bench.container, mode="sample")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_numeric_owners_are_those_of_the_archive(bench: Bench) -> None:
    """The archive says that number 12345 is called nobody, who has another number here."""
    plant(bench.container, [("./file", REG, "x")], owner=(12345, "nobody"))
    bench.restore()
    assert (bench.target / "file").stat().st_uid == NOBODY
    bench.restore(numeric_owner=True, overwrite=True)
    assert (bench.target / "file").stat().st_uid == 12345


@pytest.mark.parametrize("paths", [False, True])
@pytest.mark.parametrize("merge", [False, True])
def test_the_longest_paths_come_back(bench: Bench, merge: bool, paths: bool) -> None:
    """As long as a system call takes, relative to the directory that was backed up."""
    steps = ["d" * 200] * 19
    for _ in range(2):
        folder = os.open(bench.source, os.O_RDONLY)
        for step in steps:
            with contextlib.suppress(FileExistsError):
                os.mkdir(step, dir_fd=folder)
            inner = os.open(step, os.O_RDONLY, dir_fd=folder)
            os.close(folder)
            folder = inner
        name = "f" * 250
        if not os.listdir(folder):
            os.symlink("nowhere", "link", dir_fd=folder)
        with os.fdopen(os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=folder), "w") as stream:
            stream.write("x")
        bench.level()
        os.close(folder)
    if merge:
        bench.target.mkdir()
        (bench.target / "mine").write_text("x")
    path = "/".join([*steps, name])
    assert len(path) > 4060
    report = bench.restore(overwrite=merge, restore_paths=[path] if paths else [])
    assert report.fields["files"] == (1 if paths else 2)
    folder = os.open(bench.target, os.O_RDONLY)
    assert os.stat(path, dir_fd=folder).st_size == 1
    os.close(folder)
    assert not [entry for entry in os.listdir(bench.root) if entry.startswith(".coldchain")]


@pytest.mark.skipif(not capable(CAP_LINUX_IMMUTABLE), reason="needs the right to use chattr")
@pytest.mark.parametrize("name", ["", "a", "sub", "sub/b", "z $(z)"])
def test_what_must_not_be_changed_stops_a_merge_before_it_begins(bench: Bench, name: str) -> None:
    (bench.source / "sub").mkdir()
    for path in ("a", "sub/b", "z $(z)"):
        (bench.source / path).write_text("new")
    bench.backup()
    shutil.copytree(bench.source, bench.target)
    for path in ("a", "sub/b", "z $(z)"):
        (bench.target / path).write_text("old")
    before = state(os.fsencode(bench.target))
    kept = bench.target / name
    subprocess.run(["chattr", "+i", kept], check=True)
    try:
        with pytest.raises(JobFailed, match="must not be changed") as caught:
            bench.restore(overwrite=True)
        assert f"chattr -i -a {shlex.quote(str(kept))}," in caught.value.hint
        assert state(os.fsencode(bench.target)) == before
    finally:
        subprocess.run(["chattr", "-i", kept], check=True)
    bench.restore(overwrite=True)
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))


def test_what_cannot_be_put_into_place_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    _tree(bench)
    bench.backup()
    bench.target.mkdir()
    (bench.target / "mine").write_text("mine")

    def broken(source: bytes, _to: bytes, **_folders: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), source)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", broken)
        with pytest.raises(CannotWrite, match="cannot be put into place: Input/output error"):
            bench.restore(overwrite=True)
    assert {path.name for path in bench.target.iterdir()} == {"mine"}
    bench.restore(overwrite=True)
