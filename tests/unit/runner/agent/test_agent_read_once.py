# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is checked is what is used: a second answer of a storage is never asked for."""

from __future__ import annotations

import io
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
from agent_bench import CAP_SYS_ADMIN, Bench, capable
from agent_hostile import REG, SYM, archive
from agent_points import verify
from agent_trees import state
from agent_users import NOBODY

from coldchain.agent.engines.tar.restore import extract
from coldchain.agent.engines.tar.stored import container, fetch_group, level_fetch, level_reader
from coldchain.agent.engines.tar.stored.fetch_group import NearLevels
from coldchain.agent.engines.tar.stored.layout import PARTS, Series
from coldchain.agent.storages.base import Arrival
from coldchain.agent.storages.local import LocalStorage
from coldchain.core.errors import CannotWrite, ColdchainError, DataError, JobFailed, Unavailable


class Fickle:
    """A storage of somebody else: honest once, and then something else at the same path."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, other: bytes) -> None:
        self.reads: Counter[str] = Counter()
        real, lies = LocalStorage.open, other

        def open_(storage: LocalStorage, path: str) -> BinaryIO:
            self.reads[path] += 1
            if path.endswith("/data") and self.reads[path] > 1:
                return io.BytesIO(lies)
            return real(storage, path)

        monkeypatch.setattr(LocalStorage, "open", open_)
        monkeypatch.setattr(LocalStorage, "is_settled", lambda storage, path: False)

    def at_once(self, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
        """Let it copy several files at once; gives the names of the levels that came together."""
        came: list[list[str]] = []

        @contextmanager
        def fetch(storage: LocalStorage, paths: Sequence[str], folder: int) -> Iterator[Arrival]:
            assert os.listdir(folder) == [] and os.fstat(folder).st_mode & 0o777 == 0o700
            levels = [path.split("/")[-2].partition("_")[0] for path in paths]
            came.append(
                [
                    level if path.endswith("/data") else f"{level} list"
                    for path, level in zip(paths, levels)
                ]
            )

            def arrive(moved: Callable[[int], None]) -> None:
                for path in paths:
                    with storage.open(path) as stream:
                        content = stream.read()
                    file = Path(f"/proc/self/fd/{folder}", path)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(content)
                    moved(len(content))

            yield arrive

        monkeypatch.setattr(LocalStorage, "fetch", fetch)
        return came

    def data(self) -> dict[str, int]:
        return {path: count for path, count in self.reads.items() if path.endswith("/data")}


@pytest.mark.parametrize(
    ("scheme", "together", "groups"),
    [
        ("", 0, None),
        ("strong", 0, None),
        ("", 1, [["0"], ["1"], ["2", "2 list"]]),
        ("strong", 1 << 20, [["0", "1", "2", "2 list"]]),
    ],
)
def test_a_restore_reads_each_level_once(
    bench: Bench,
    scheme: str,
    together: int,
    groups: list[list[str]] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = {"encrypt_pass_file": str(bench.pass_file)} if scheme else {}
    monkeypatch.setattr(fetch_group, "TOGETHER", together)
    for number in range(3):
        (bench.source / str(number)).write_text("x")
        bench.level(**secret)
    victim = bench.root / "victim"
    victim.mkdir()
    other = archive([("./t", SYM, str(victim)), ("./t/evil", REG, "x")])
    fickle = Fickle(monkeypatch, other)
    came = fickle.at_once(monkeypatch) if groups else None
    bench.restore(**secret)
    assert came == groups
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))
    assert len(fickle.data()) == 3
    assert set(fickle.data().values()) == {1}
    assert [reads for path, reads in fickle.reads.items() if path.endswith("/tree.gz")] == [1]
    assert list(victim.iterdir()) == []
    assert sorted(os.listdir(bench.root)) == ["container", "password", "source", "target", "victim"]


def test_a_selection_reads_levels_without_a_list_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """freezer-agent's are looked at before the first one is extracted, and kept for that."""
    for number in range(2):
        (bench.source / str(number)).write_text("x")
        bench.level()
    for name in ("0_*/manifest.json", "0_*/tree.gz", "*/entries.gz"):
        for path in bench.container.glob(f"data/tar/*/*/{name}"):
            path.unlink()
    fickle = Fickle(monkeypatch, b"")
    bench.restore(restore_paths=["0"])
    assert os.listdir(bench.target) == ["0"]
    assert list(fickle.data().values()) == [1, 1]


def test_what_was_kept_of_a_look_is_not_fetched_and_what_follows_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (bench.source / str(number)).write_text("x")
        bench.level()
    next(bench.container.glob("data/tar/*/*/0_*/entries.gz")).unlink()
    fickle = Fickle(monkeypatch, b"")
    came = fickle.at_once(monkeypatch)
    bench.restore(restore_paths=["0", "2"])
    assert sorted(os.listdir(bench.target)) == ["0", "2"]
    assert came == [["1", "2", "2 list"]]
    assert list(fickle.data().values()) == [1, 1, 1]


def test_the_next_level_comes_while_one_is_used_and_none_is_left_behind(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is altered: the third has been asked for by then, and is given up."""
    monkeypatch.setattr(fetch_group, "TOGETHER", 1)
    for number in range(3):
        (bench.source / str(number)).write_text("x")
        bench.level()
    path = next(bench.container.glob("data/tar/*/*/1_*/data"))
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    fickle = Fickle(monkeypatch, b"")
    came = fickle.at_once(monkeypatch)
    open_files = set(os.listdir("/proc/self/fd"))
    with pytest.raises(JobFailed, match="was altered"):
        bench.restore()
    assert came == [["0"], ["1"], ["2", "2 list"]]
    assert [path for path in fickle.data() if "/2_" in path] == []
    assert sorted(os.listdir(bench.root)) == ["container", "password", "source"]
    assert set(os.listdir("/proc/self/fd")) == open_files
    # Without room to spare none is asked for early.
    came.clear()
    monkeypatch.setattr(level_fetch, "free_bytes", lambda folder: 1000)
    with pytest.raises(JobFailed, match="0 bytes long"):
        bench.restore()
    assert came == [["0"]]


def test_a_password_of_freezers_scheme_is_tried_on_the_first_bytes_only(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = {"encrypt_pass_file": str(bench.pass_file), "encrypt_scheme": "freezer"}
    (bench.source / "file").write_text("x")
    bench.level(**secret)
    other = archive([("./evil", REG, "x")])
    Fickle(monkeypatch, other)
    with pytest.raises(JobFailed, match=r"altered|bytes long"):
        bench.restore(**secret)
    assert not bench.target.exists()


def test_altered_bytes_of_a_sealed_level_are_never_decrypted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = {"encrypt_pass_file": str(bench.pass_file)}
    (bench.source / "file").write_text("x")
    bench.level(**secret)
    for name in ("data", "entries.gz"):
        (path,) = bench.container.glob(f"data/tar/*/*/*/{name}")
        raw = bytearray(path.read_bytes())
        raw[-1] ^= 1
        path.write_bytes(raw)
    for settled in (True, False):
        monkeypatch.setattr(LocalStorage, "is_settled", lambda storage, path, it=settled: it)
        for reader in (level_reader, extract):
            monkeypatch.setattr(reader, "Pipeline", None)
        with pytest.raises(ColdchainError, match="was altered"):
            bench.restore(**secret)
        assert not bench.target.exists()
        spool = bench.root / ".coldchain" / "spool"
        found = verify(bench.container, mode="full", pass_file=bench.pass_file, spool=spool)
        assert {flaw.kind for flaw in found.findings} == {"altered"}


@pytest.mark.skipif(
    os.geteuid() != 0 or not capable(CAP_SYS_ADMIN), reason="needs root that may mount"
)
def test_the_room_for_a_fetched_level_is_asked_for_before_the_first_byte(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.source / "file").write_bytes(os.urandom(200_000))
    bench.level()
    fickle = Fickle(monkeypatch, b"")
    bench.target.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=100k", "none", str(bench.target)]
    subprocess.run(words, check=True)
    try:
        with pytest.raises(CannotWrite, match=r"a level of 200\.\d kB has to be fetched"):
            bench.restore()
        assert fickle.data() == {}
        assert os.listdir(bench.target) == []
    finally:
        subprocess.run(["umount", bench.target], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs files of several users")
def test_what_others_can_change_is_not_settled(bench: Bench) -> None:
    storage = LocalStorage(bench.container)
    folder = bench.container / "data" / "level"
    folder.mkdir(parents=True)
    file = folder / "data"
    file.write_text("x")
    assert storage.is_settled("data/level/data")
    assert not storage.is_settled("data/level/other")
    assert not storage.is_settled("data/other/data")
    for path in (file, folder, folder.parent, bench.container):
        for mode in (0o777, 0o722):
            path.chmod(mode)
            assert not storage.is_settled("data/level/data"), path
            path.chmod(0o700)
        os.chown(path, NOBODY, 0)
        assert not storage.is_settled("data/level/data"), path
        os.chown(path, 0, 0)
    assert storage.is_settled("data/level/data")
    moved = Path(f"{file}.real")
    file.rename(moved)
    file.symlink_to(moved)
    os.chown(file, NOBODY, 0, follow_symlinks=False)
    assert not storage.is_settled("data/level/data")


def test_a_sealed_level_that_others_can_change_is_looked_at_in_the_spool(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run has to read the archive where list and snapshot are lost; verify always has."""
    secret = {"encrypt_pass_file": str(bench.pass_file)}
    (bench.source / "file").write_text("x")
    bench.level(**secret)
    for part in ("engine_metadata", "tree.gz"):
        (path,) = bench.container.glob(f"data/tar/*/*/*/{part}")
        path.unlink()
    fickle = Fickle(monkeypatch, b"")
    # Beside the containers, where nothing says where it lies.
    spool = bench.root / ".coldchain" / "spool"
    report = bench.restore(dry_run=True, **secret)
    assert report.fields["names"] == ["file"]
    assert set(fickle.data().values()) == {1}
    assert spool.stat().st_mode & 0o777 == 0o700
    assert os.listdir(spool) == []
    fickle.reads.clear()
    found = verify(bench.container, mode="full", pass_file=bench.pass_file, spool=spool)
    assert found.lost == ()
    assert set(fickle.data().values()) == {1}
    assert os.listdir(spool) == []


def test_levels_are_at_hand_together_while_they_are_verified(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (bench.source / str(number)).write_text("x")
        bench.level()
    series = Series("host", "docs")
    storage = LocalStorage(bench.container)
    levels = [(series, level) for level in container.chains(storage, series)[0].levels]
    largest = max(
        sum(storage.size(f"{series.data_of(level)}/{name}") or 0 for name in PARTS)
        for _unused, level in levels
    )
    fickle = Fickle(monkeypatch, b"lies")
    came = fickle.at_once(monkeypatch)
    open_files = set(os.listdir("/proc/self/fd"))
    for together, groups in ((1 << 20, 1), (largest, 3), (1, 0)):
        monkeypatch.setattr(fetch_group, "TOGETHER", together)
        came.clear()
        fickle.reads.clear()
        with NearLevels(storage, levels, bench.root / "spool", None) as near:
            for of, level in levels:
                source = near.of(of, level)
                for name in PARTS:
                    path = f"{of.data_of(level)}/{name}"
                    assert source.is_settled(path) == bool(groups)
                    for _again in range(1 + bool(groups)):
                        with source.open(path) as stream:
                            assert stream.read() == (bench.container / path).read_bytes()
                    assert fickle.reads[path] == 1
            assert os.listdir(bench.root / "spool") == [] if groups else True
        assert len(came) == groups
        assert set(os.listdir("/proc/self/fd")) == open_files


def test_what_cannot_be_fetched_with_others_is_read_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.level()
    series = Series("host", "docs")
    storage = LocalStorage(bench.container)
    (level,) = container.chains(storage, series)[0].levels

    @contextmanager
    def fetch(storage: LocalStorage, paths: Sequence[str], folder: int) -> Iterator[Arrival]:
        def arrive(moved: Callable[[int], None]) -> None:
            raise Unavailable("one of them is forbidden")

        yield arrive

    monkeypatch.setattr(LocalStorage, "fetch", fetch)
    with NearLevels(storage, [(series, level)], None, None) as near:
        with near.of(series, level).open(f"{series.data_of(level)}/data") as stream:
            assert stream.read()
        with pytest.raises(DataError, match="cannot be read"):
            near.of(series, level).open(f"{series.data_of(level)}/missing")
