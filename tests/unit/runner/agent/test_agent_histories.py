# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever happens between two levels, an increment brings what a full backup would bring.

Sources change, and options, mounts, link targets and clocks with them; other content with old times
is put in the place.  The oracle is a full backup of the same moment.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from agent_bench import CAP_SYS_ADMIN, Bench, capable, make_bench
from agent_chains import set_ahead
from agent_trees import CHANGES, apply, state
from examples import examples
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from coldchain.agent.engines.tar.backup import source_tree
from coldchain.core.errors import DataError, JobFailed

#: Root in a container may lack the right to mount: there the other events are tried.
MOUNTS = capable(CAP_SYS_ADMIN) and not subprocess.call(["unshare", "--mount", "true"])
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "exclude": st.sampled_from(["*.log", "a*", "b", "./c", "[a-c]", "*/a"]),
        "dereference_symlink": st.sampled_from(["soft", "hard", "all"]),
    },
)
EVENTS = st.lists(
    st.sampled_from(["ahead", "behind", "relink", "same time", "put back", "keep", "age"])
    | (st.sampled_from(["mount", "bind", "umount", "swap"]) if MOUNTS else st.nothing()),
    max_size=2,
)
STEPS = st.lists(st.tuples(st.lists(CHANGES, max_size=8), EVENTS, OPTIONS), min_size=2, max_size=5)


def _run(*argv: object) -> bool:
    return not subprocess.run([*map(str, argv)], check=False, capture_output=True).returncode


@dataclass
class World:
    """A source, and what can be done to it and to the clocks of its backups."""

    bench: Bench
    mounted: list[Path] = field(default_factory=list)
    disk: int = 0

    def __post_init__(self) -> None:
        if MOUNTS:
            for number in range(2):
                disk = self.bench.root / f"disk{number}"
                disk.mkdir()
                assert _run("mount", "-t", "tmpfs", "none", disk)
                (disk / "source").mkdir()
            assert _run("mount", "--bind", self.bench.root / "disk0/source", self.bench.source)

    def close(self) -> None:
        self._umount()
        if MOUNTS:
            for path in (self.bench.source, self.bench.root / "disk0", self.bench.root / "disk1"):
                assert _run("umount", path)

    def happen(self, event: str) -> None:
        getattr(self, f"_{event.replace(' ', '_')}")()

    def _ahead(self) -> None:
        self._set_clock(3600)

    def _behind(self) -> None:
        self._set_clock(-3600)

    def _set_clock(self, seconds: int) -> None:
        if list(self.bench.container.glob("data/tar/host_docs/*/*")):
            set_ahead(self.bench, seconds)

    def _relink(self) -> None:
        for number in range(2):
            target = self._near(f"target{number}")
            if not target.exists():
                target.write_text(f"{number}")
                os.utime(target, (1e9, 1e9))
        link = self.bench.source / "followed.log"
        which = "target1" if os.path.islink(link) and "0" in os.readlink(link) else "target0"
        if os.path.lexists(link) and not os.path.isdir(link):
            link.unlink()
        if not os.path.lexists(link):
            link.symlink_to(self._near(which))

    def _near(self, name: str) -> Path:
        """A path on the source's file system, but outside of the source."""
        return self.bench.root / (f"disk{self.disk}" if MOUNTS else "") / name

    def _same_time(self) -> None:
        """Other content of the same size, with the old modification time."""
        for path in self._files():
            status = path.stat()
            path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
            return

    def _keep(self) -> None:
        copy = self.bench.root / "kept"
        shutil.rmtree(copy, ignore_errors=True)
        assert _run("cp", "-a", "--one-file-system", self.bench.source, copy)

    def _put_back(self) -> None:
        copy = self.bench.root / "kept"
        if copy.exists() and not self.mounted:
            for path in self.bench.source.iterdir():
                assert _run("rm", "-rf", "--one-file-system", path)
            assert _run("cp", "-a", f"{copy}/.", self.bench.source)

    def _age(self) -> None:
        for path in self._files():
            os.utime(path, (1e9, 1e9))

    def _mount(self) -> None:
        for path in self._folders():
            assert _run("mount", "-t", "tmpfs", "none", path)
            (path / "inside").write_text("mounted")
            self.mounted.append(path)
            return

    def _bind(self) -> None:
        other = self.bench.root / "other"
        other.mkdir(exist_ok=True)
        (other / "a").write_text("bound")
        for path in self._files():
            assert _run("mount", "--bind", other / "a", path)
            self.mounted.append(path)
            return

    def _umount(self) -> None:
        while self.mounted:
            assert _run("umount", self.mounted.pop())

    def _swap(self) -> None:
        self._umount()
        self.disk = 1 - self.disk
        assert _run("umount", self.bench.source)
        assert _run(
            "mount", "--bind", self.bench.root / f"disk{self.disk}/source", self.bench.source
        )

    def _folders(self) -> list[Path]:
        found = (Path(folder) for folder, *_ in os.walk(self.bench.source))
        return [path for path in sorted(found) if path != self.bench.source]

    def _files(self) -> list[Path]:
        found = [
            Path(folder) / name
            for folder, _, names in os.walk(self.bench.source)
            for name in sorted(names)
        ]
        return [path for path in found if path.is_file() and not path.is_symlink()]


def _restored(bench: Bench, name: str) -> tuple[dict[bytes, tuple[object, ...]], str]:
    told = bench.restore(backup_name=name).warnings
    found = state(os.fsencode(bench.target))
    shutil.rmtree(bench.target)
    return found, " ".join(told)


@pytest.mark.long(13)
@given(STEPS)
@settings(max_examples=examples(18, 400), phases=[Phase.explicit, Phase.generate])
def test_an_increment_brings_what_a_full_backup_brings(steps) -> None:
    with tempfile.TemporaryDirectory() as root:
        world = World(make_bench(Path(root)))
        try:
            _history(world, steps)
        finally:
            world.close()


def _history(world: World, steps) -> None:
    bench = world.bench
    for changes, events, options in steps:
        apply(os.fsencode(bench.source), changes)
        for event in events:
            world.happen(event)
        report = bench.level(**options)
        bench.backup(backup_name="full", **options)
        ours, told = _restored(bench, "docs")
        whole, _unused = _restored(bench, "full")
        assert ours == whole, (report.warnings, told)
        assert "not in the archives" not in told


@pytest.mark.parametrize("follow", [None, "soft", "all"])
def test_what_is_left_out_by_now_is_not_restored_though_nobody_can_look_at_it(
    bench: Bench, follow: str | None
) -> None:
    """A link that leads nowhere, where links are followed."""
    options = {} if follow is None else {"dereference_symlink": follow}
    (bench.source / "d").mkdir()
    for folder in (bench.source, bench.source / "d"):
        (folder / "file").write_text("kept")
        (folder / "nowhere").symlink_to("is not there")
    bench.level()
    told = bench.level(exclude="nowhere", **options).warnings
    assert [text for text in told if "left out now" in text], told
    bench.restore()
    assert sorted(os.listdir(bench.target)) == ["d", "file"]
    assert os.listdir(bench.target / "d") == ["file"]


def test_what_comes_while_tar_is_at_work_is_restored(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is made before: it may lack what the archive holds, and a restore must not."""
    (bench.source / "d").mkdir()
    real = source_tree.walk

    def walk(*args: object, **kwargs: object) -> source_tree.Tree:
        for folder in (bench.source, bench.source / "d"):
            (folder / "goes").write_text("x")
        tree = real(*args, **kwargs)
        for folder in (bench.source, bench.source / "d"):
            (folder / "goes").rename(folder / f"came {len(list(folder.iterdir()))}")
        (bench.source / "new" / str(time.time())).mkdir(parents=True)
        return tree

    monkeypatch.setattr(source_tree, "walk", walk)
    for _unused in range(2):
        bench.level()
        assert bench.restore().warnings == ()
        assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))
        shutil.rmtree(bench.target)


def test_a_level_without_its_list_is_restored_with_a_warning(bench: Bench) -> None:
    for exclude in ([], ["b"]):
        (bench.source / "a").write_text("a")
        (bench.source / "b").write_text("b")
        bench.level(exclude=exclude)
    report = bench.restore()
    assert report.fields["surplus"] == 1
    assert report.warnings == (
        "1 name of earlier levels not restored, level 1 did not hold them: b",
    )
    assert sorted(os.listdir(bench.target)) == ["a"]
    shutil.rmtree(bench.target)
    assert bench.restore(dry_run=True).fields["names"] == ["a"]
    with pytest.raises(JobFailed, match="b is not in the backup"):
        bench.restore(restore_paths=["b"])
    (listed,) = bench.container.glob("data/tar/*/*/1_*/tree.gz")
    listed.write_bytes(b"x")
    assert "tree.gz is 1 bytes long" in bench.restore().warnings[0]
    assert sorted(os.listdir(bench.target)) == ["a", "b"]


BTRFS = shutil.which("mkfs.btrfs") and "\tbtrfs\n" in Path("/proc/filesystems").read_text()


@contextlib.contextmanager
def _disk(bench: Bench, kind: str) -> Iterator[list[str]]:
    """The words after mount that bring one file system of *kind*, again and again."""
    if kind == "overlay":
        lower, layers = bench.root / "lower", bench.root / "layers"
        (lower / "d").mkdir(parents=True)
        (lower / "d" / "below").write_text("x")
        layers.mkdir()
        assert _run("mount", "-t", "tmpfs", "none", layers)
        for name in ("upper", "work"):
            (layers / name).mkdir()
        folders = f"lowerdir={lower},upperdir={layers}/upper,workdir={layers}/work"
        try:
            assert _run("mount", "-t", "overlay", "-o", f"{folders},xino=off", "none", bench.source)
            with pytest.raises(DataError, match=r"as \./d/below: tar would leave them out"):
                bench.level()
            assert _run("umount", bench.source)
            yield ["-t", "overlay", "-o", f"{folders},xino=on", "none"]
        finally:
            assert _run("umount", layers)
        return
    image = bench.root / "image"
    subprocess.run(["truncate", "-s", "8M" if kind == "ext4" else "128M", image], check=True)
    force = "-F" if kind == "ext4" else "-f"
    subprocess.run([f"mkfs.{kind}", "-q", force, image], check=True, stderr=subprocess.DEVNULL)
    if kind == "btrfs":
        assert _run("mount", "-o", "loop", str(image), bench.source)
        subprocess.run(["btrfs", "-q", "subvolume", "create", bench.source / "docs"], check=True)
        assert _run("umount", bench.source)
    yield ["-o", "loop" + ",subvol=docs" * (kind == "btrfs"), str(image)]


@pytest.mark.skipif(not MOUNTS, reason="root makes file systems here")
@pytest.mark.parametrize("kind", ["ext4", "overlay", *(["btrfs"] if BTRFS else [])])
def test_no_reboot_and_no_remount_begins_a_chain(bench: Bench, kind: str) -> None:
    """Device numbers change with each of them."""
    rounds = 10 if kind == "ext4" else 4
    with _disk(bench, kind) as disk:
        for number in range(rounds):
            other = bench.root / f"between{number}"
            other.mkdir()
            assert _run("mount", "-t", "tmpfs", "none", other)  # takes a number
            assert _run("mount", *disk, bench.source)
            try:
                (bench.source / "d").mkdir(exist_ok=True)
                (bench.source / "d" / f"f{number}").write_text("x")
                report = bench.level()
                assert report.fields["level"] == number
                assert report.fields["files"] == 1 + (kind == "overlay" and not number)
                assert report.warnings == ()
            finally:
                assert _run("umount", bench.source)
                if number % 2:
                    assert _run("umount", other)
    for number in range(0, rounds, 2):
        assert _run("umount", bench.root / f"between{number}")
