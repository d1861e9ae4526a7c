# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every level of any history restores to exactly what the source was then."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_bench import CAP_SYS_ADMIN, INSTALLED, Bench, capable, make_bench
from agent_trees import HISTORIES, apply, state
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coldchain.core.errors import JobFailed
from coldchain.core.text import path_text

SCHEMES = st.sampled_from([None, "freezer", "strong"])


@pytest.mark.long(16)
@settings(max_examples=examples(15, 250), suppress_health_check=list(HealthCheck))
@given(
    history=HISTORIES,
    scheme=SCHEMES,
    compression=st.sampled_from(INSTALLED),
    rules=st.sampled_from([{"incremental": True}, {"max_level": 1}, {"always_level": 1}]),
)
def test_every_level_restores_to_the_source_of_its_time(history, scheme, compression, rules):
    with tempfile.TemporaryDirectory() as root:
        bench = make_bench(Path(root))
        source = os.fsencode(bench.source)
        secret = {}
        if scheme is not None:
            secret = {"encrypt_pass_file": str(bench.pass_file), "encrypt_scheme": scheme}
        points = []
        for changes in history:
            apply(source, changes)
            report = bench.backup(compression=compression, **rules, **secret)
            assert not [w for w in report.warnings if "socket" not in w]
            points.append((report.fields["time_stamp"], state(source)))
        for moment, expected in points:
            when = f"@{moment}"
            listed = bench.restore(restore_from_date=_iso(moment), dry_run=True, **secret)
            files = [
                path_text(name)
                for name, (kind, *_) in sorted(expected.items())
                if not stat.S_ISDIR(kind)
            ]
            assert listed.fields["names"] == files
            report = bench.restore(restore_from_date=_iso(moment), **secret)
            assert state(os.fsencode(bench.target)) == expected, when
            assert report.fields["time_stamp"] == moment
            shutil.rmtree(bench.target)


def _iso(moment: object) -> str:
    from coldchain.core.instants import from_epoch, iso

    assert isinstance(moment, int)
    return iso(from_epoch(moment))


def test_attributes_and_holes_survive(bench: Bench) -> None:
    path = bench.source / "file"
    path.write_bytes(b"x")
    os.truncate(path, 8 << 20)
    try:
        os.setxattr(path, "user.origin", b"here")
    except OSError:
        pytest.fail("the temporary directory must be on a file system with extended attributes")
    # u::rw-,u:daemon:r--,g::r--,m::r--,o::--- in the kernel's own form
    entries = [(1, 6, -1), (2, 4, 1), (4, 4, -1), (16, 4, -1), (32, 0, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    os.setxattr(path, "system.posix_acl_access", acl)
    folder = bench.source / "folder"
    folder.mkdir()
    os.setxattr(folder, "system.posix_acl_default", acl)
    (bench.source / "link").symlink_to("file")
    root = capable(CAP_SYS_ADMIN)
    if root:
        os.setxattr(bench.source / "link", "trusted.link", b"its own", follow_symlinks=False)
    bench.level()
    os.setxattr(folder, "user.later", b"now")
    bench.level()
    # What a folder would hand down to new files does not get into what is restored.
    os.setxattr(bench.root, "system.posix_acl_default", acl)
    bench.restore()
    assert os.getxattr(bench.target / "file", "user.origin") == b"here"
    assert os.getxattr(bench.target / "file", "system.posix_acl_access") == acl
    assert (bench.target / "file").stat().st_blocks * 512 < 1 << 20
    assert sorted(os.listxattr(bench.target / "folder")) == [
        "system.posix_acl_default",
        "user.later",
    ]
    assert os.listxattr(bench.target) == []
    if root:
        value = os.getxattr(bench.target / "link", "trusted.link", follow_symlinks=False)
        assert value == b"its own"


@pytest.mark.parametrize("name", ["-a file", "back\\nslash", "\\101", "*[x", "new\nline", "%s \"'"])
def test_a_single_file_is_restored_under_its_name(bench: Bench, name: str) -> None:
    (bench.source / name).write_text("one")
    path = str(bench.source / name)
    bench.level(path_to_backup=path)
    (bench.source / name).write_text("two!")
    bench.level(path_to_backup=path)
    bench.restore()
    assert [entry.name for entry in bench.target.iterdir()] == [name]
    assert (bench.target / name).read_text() == "two!"


@pytest.mark.parametrize("name", ["back\\nslash", "\\101", "*[x", "-C", "new\nline"])
def test_a_directory_of_any_name_is_a_source_and_a_selection(bench: Bench, name: str) -> None:
    inner = bench.source / name / name
    inner.parent.mkdir()
    inner.write_text("one")
    (bench.source / "other").write_text("other")
    bench.backup(path_to_backup=str(inner.parent))
    bench.restore()
    assert [entry.name for entry in bench.target.iterdir()] == [name]
    bench.backup(backup_name="all")
    bench.restore(
        backup_name="all",
        restore_paths=[f"{name}/{name}"],
        restore_abs_path=str(bench.root / "selected"),
    )
    assert [entry.name for entry in (bench.root / "selected").iterdir()] == [name]
    assert (bench.root / "selected" / name / name).read_text() == "one"


def test_a_hard_link_that_became_a_file_of_its_own_does_not_overwrite_the_other(
    bench: Bench,
) -> None:
    # freezer-agent extracts with --overwrite, which writes through the shared inode.
    (bench.source / "a").write_text("old")
    os.link(bench.source / "a", bench.source / "b")
    bench.level()
    (bench.source / "new").write_text("new content")
    (bench.source / "new").rename(bench.source / "b")
    bench.level()
    bench.restore()
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))


@pytest.mark.parametrize(
    "moves",
    [
        "a x, b a, x b",
        "a x, b a, x b, c a/sub/c",
        "a/sub q, a q/a",
        "a b/a, c b/a/sub/c, b z",
    ],
)
def test_directories_that_change_their_places_lose_nothing(bench: Bench, moves: str) -> None:
    # GNU tar's own record of renames loses "c" in the second case, and fails in the third.
    for name in ("a", "b", "c"):
        (bench.source / name / "sub").mkdir(parents=True)
        (bench.source / name / "sub" / "file").write_text(name)
        (bench.source / name / "link").symlink_to("sub")
    bench.level()
    for move in moves.split(", "):
        old, new = move.split()
        (bench.source / old).rename(bench.source / new)
    bench.level()
    bench.restore()
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))
    # Files within a directory that stays are not stored again.
    (bench.source / "new").write_text("x")
    assert bench.level().fields["files"] == 1


def test_what_is_excluded_is_left_out_literally_as_written(bench: Bench) -> None:
    for name in ("keep", "a.log", "b c.tmp", "$(touch pwned)", "cache"):
        (bench.source / name).write_text("x")
    bench.backup(exclude=["*.log", "b c*", "$(touch pwned)"])
    bench.restore()
    assert sorted(os.listdir(bench.target)) == ["cache", "keep"]


def test_soft_links_are_followed_only_on_request(bench: Bench) -> None:
    (bench.root / "outside").write_text("x")
    (bench.source / "link").symlink_to(bench.root / "outside")
    bench.backup(dereference_symlink="soft")
    bench.restore()
    assert not (bench.target / "link").is_symlink()
    assert (bench.target / "link").read_text() == "x"


def _link(source: Path) -> None:
    (source / "link").symlink_to("d")


def _switch(source: Path) -> None:
    (source / "current").unlink()
    (source / "current").symlink_to("d")


def _two_ways(source: Path) -> None:
    (source / "new").mkdir()
    (source / "new" / "f").write_text("f")
    (source / "way").symlink_to("new")


@pytest.mark.parametrize("change", [_link, _switch, _two_ways])
def test_a_new_way_to_a_directory_loses_nothing(
    bench: Bench, change: Callable[[Path], None]
) -> None:
    # tar takes the second name of an inode for a rename, and a restore would move the directory.
    for name in ("d/e", "other"):
        (bench.source / name).mkdir(parents=True)
        (bench.source / name / "f").write_text(name)
    (bench.source / "current").symlink_to("other")

    def step() -> list[int]:
        report = bench.level(dereference_symlink="soft")
        shutil.rmtree(bench.target, ignore_errors=True)
        bench.restore()
        followed = bench.root / "followed"
        shutil.copytree(bench.source, followed)
        assert _contents(bench.target) == _contents(followed)
        shutil.rmtree(followed)
        return [int(str(report.fields["level"])), len(report.warnings)]

    assert step() == [0, 0]
    assert step() == [1, 0]
    change(bench.source)
    assert step() == [0, 1]
    (bench.source / "d" / "e" / "f").write_text("later")
    assert step() == [1, 0]


def _contents(tree: Path) -> dict[str, str]:
    return {
        str(path.relative_to(tree)): path.read_text() if path.is_file() else "directory"
        for path in tree.rglob("*")
    }


@pytest.mark.skipif(not capable(CAP_SYS_ADMIN), reason="needs root that may mount")
def test_mounts_inside_the_source_lose_nothing(bench: Bench) -> None:
    with contextlib.ExitStack() as mounts:

        def mount(place: str, *how: str) -> None:
            (bench.source / place).mkdir(exist_ok=True)
            subprocess.run(["mount", *how, str(bench.source / place)], check=True)
            mounts.callback(subprocess.run, ["umount", str(bench.source / place)], check=False)

        def step() -> list[object]:
            report = bench.level()
            shutil.rmtree(bench.target, ignore_errors=True)
            bench.restore()
            assert _contents(bench.target) == _contents(bench.source)
            return [report.fields["level"], *(re.sub("[pq]", "_", one) for one in report.warnings)]

        (bench.source / "d" / "e").mkdir(parents=True)
        (bench.source / "d" / "e" / "f").write_text("f")
        assert step() == [0]
        # The roots of two file systems have one number here.
        mount("p", "-t", "tmpfs", "none")
        mount("q", "-t", "tmpfs", "none")
        assert step() == [1, "on another file system: ./_, ./_"]
        mount("way", "--bind", str(bench.source / "d"))
        level, *warnings = step()
        assert level == 0 and "is the directory that" in str(warnings[0])
        (bench.source / "d" / "e" / "f").write_text("later")
        assert step() == [1, "on another file system: ./_, ./_"]
        # And back over itself, where the mounts are: what they hold is not ours.
        (bench.source / "p" / "foreign").write_text("foreign")
        (bench.source / "d" / "e" / "f").unlink()
        before = (bench.source / "q").stat()
        with pytest.raises(JobFailed, match=r"something is mounted at .*/source/way: nothing was"):
            bench.restore(restore_abs_path=str(bench.source), overwrite=True)
        assert not (bench.source / "d" / "e" / "f").exists()
        subprocess.run(["umount", str(bench.source / "way")], check=True)
        bench.restore(restore_abs_path=str(bench.source), overwrite=True)
        assert (bench.source / "d" / "e" / "f").read_text() == "later"
        assert (bench.source / "p" / "foreign").read_text() == "foreign"
        assert (bench.source / "q").stat().st_mtime_ns == before.st_mtime_ns


def test_links_that_lead_back_do_not_make_an_endless_archive(bench: Bench) -> None:
    # tar -h never ends here: it opens each directory from the one above.
    (bench.source / "d").mkdir()
    (bench.source / "d" / "x").write_text("x")
    (bench.source / "d" / "loop").symlink_to("..")
    (bench.source / "self").symlink_to(".")
    (bench.source / "twice").symlink_to("d")
    (bench.source / "nowhere").symlink_to("gone")
    bench.container.mkdir()
    (bench.source / "backups").symlink_to(bench.container)
    report = bench.level(dereference_symlink="soft", consistency_check=True)
    (told,) = [line for line in report.warnings if line.startswith("left out")]
    assert told.endswith(" and 1 more")  # ./backups, ./d/loop, ./self, ./twice/loop
    bench.level(dereference_symlink="soft")
    bench.restore(consistency_checksum=report.fields["consistency_checksum"])
    found = sorted(str(path.relative_to(bench.target)) for path in bench.target.rglob("*"))
    assert found == ["d", "d/x", "twice", "twice/x"]
    assert not (bench.target / "twice").is_symlink()


def test_too_many_links_that_lead_back_are_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coldchain.agent.engines.tar.backup.source_bounds.MOST_LOOPS", 1)
    for name in "ab":
        (bench.source / name).symlink_to(".")
    with pytest.raises(JobFailed, match=r"dereference_symlink: 2 links below .* lead back"):
        bench.backup(dereference_symlink="all")
    bench.backup(dereference_symlink="hard")


def test_the_container_inside_the_source_is_not_backed_up_into_itself(bench: Bench) -> None:
    (bench.source / "file").write_text("x")
    inside = bench.source / "ba*ck[up]s"
    bench.backup(container=str(inside))
    bench.backup(container=str(inside))
    bench.restore(container=str(inside))
    assert os.listdir(bench.target) == ["file"]


def _as_it_lies(bench: Bench) -> tuple[Path, Path, list[tuple[Path, Path]]]:
    return bench.source / "inside", bench.source, []


def _mounted_inside(bench: Bench) -> tuple[Path, Path, list[tuple[Path, Path]]]:
    return bench.container, bench.source, [(bench.container, bench.source / "m")]


def _its_folder_mounted_inside(bench: Bench) -> tuple[Path, Path, list[tuple[Path, Path]]]:
    outer = bench.root / "outer"
    return outer / "c", bench.source, [(outer, bench.source / "m")]


def _its_data_mounted_inside(bench: Bench) -> tuple[Path, Path, list[tuple[Path, Path]]]:
    return bench.container, bench.source, [(bench.container / "data", bench.source / "m")]


def _in_the_other_name_of_the_source(bench: Bench) -> tuple[Path, Path, list[tuple[Path, Path]]]:
    other = bench.root / "other"
    return bench.source / "inside", other, [(bench.source, other)]


@pytest.mark.skipif(not capable(CAP_SYS_ADMIN), reason="needs root that may mount")
@pytest.mark.parametrize(
    "layout",
    [
        _as_it_lies,
        _mounted_inside,
        _its_folder_mounted_inside,
        _its_data_mounted_inside,
        _in_the_other_name_of_the_source,
    ],
)
def test_no_second_name_of_the_container_is_backed_up_into_it(
    bench: Bench, layout: Callable[[Bench], tuple[Path, Path, list[tuple[Path, Path]]]]
) -> None:
    (bench.source / "file").write_text("x")
    container, source, binds = layout(bench)
    fields = {"container": str(container), "path_to_backup": str(source)}
    container.mkdir(parents=True)
    with contextlib.ExitStack() as mounts:
        for what, where in binds:
            what.mkdir(mode=0o700, exist_ok=True)
            where.mkdir(exist_ok=True)
            subprocess.run(["mount", "--bind", what, where], check=True)
            mounts.callback(subprocess.run, ["umount", where], check=False)
        numbers = [bench.level(**fields).fields["files"] for _round in range(3)]
        assert numbers == [1, 0, 0]
        bench.restore(container=str(container))
    assert {name for _top, _folders, names in os.walk(bench.target) for name in names} == {"file"}


def test_plain_tar_reads_what_we_write(bench: Bench) -> None:
    (bench.source / "d").mkdir()
    (bench.source / "d" / "f").write_text("x")
    bench.backup()
    data = next(bench.container.glob("data/tar/host_docs/*/*/data"))
    bench.target.mkdir()
    command = ["tar", "-xzf", data, "--incremental", "--directory", bench.target]
    subprocess.run(command, check=True)
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))


def test_removals_are_replayed_when_the_container_lies_inside_the_source(bench: Bench) -> None:
    inner = {"container": str(bench.source / "backups")}
    for name in ("stays", "goes"):
        (bench.source / name).write_text(name)
    bench.level(**inner, exclude="*.log")
    (bench.source / "goes").unlink()
    bench.level(**inner, exclude="*.log")
    bench.restore(**inner)
    assert os.listdir(bench.target) == ["stays"]
