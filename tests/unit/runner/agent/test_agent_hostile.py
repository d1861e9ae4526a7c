# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that nobody's backup made: nothing outside of the target may change."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import time
from pathlib import Path

import pytest
from agent_trees import state
from conftest import Bench

from coldchain.errors import ColdchainError

Member = tuple[str, bytes, str]


def _archive(members: list[Member]) -> bytes:
    """members: (name, tar type, content or link target); a dumpdir is given as content of D."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, kind, text in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.mtime = kind, 0o755, int(time.time())
            body = b""
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = text
            elif kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
                info.devmajor, info.devminor = 1, 3
            else:
                body = text.encode()
                info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return gzip.compress(stream.getvalue())


def _plant(bench: Bench, *levels: list[Member]) -> None:
    zero = 1_700_000_000
    for number, members in enumerate(levels):
        name = f"{number}_{zero + number}"
        for tree in ("data", "metadata"):
            (bench.container / tree / "tar" / "host_docs" / str(zero) / name).mkdir(parents=True)
        place = bench.container / "data" / "tar" / "host_docs" / str(zero) / name
        (place / "data").write_bytes(_archive(members))
        marker = {"engine_name": "tar", "compression": "gzip", "encryption": False}
        other = bench.container / "metadata" / "tar" / "host_docs" / str(zero) / name
        (other / "metadata").write_text(json.dumps(marker))


REG, DIR, SYM, LNK, CHR = (
    tarfile.REGTYPE,
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.CHRTYPE,
)
DUMP = b"D"


def _attacks(victim: str) -> dict[str, list[list[Member]]]:
    name = os.path.basename(victim)
    root = ("./", DUMP, "Ylink\0\0")
    bait: list[Member] = [root, ("./link", SYM, victim)]
    d: Member = ("./d/", DUMP, "Ylink\0\0")
    nest: list[Member] = [("./", DUMP, "Dd\0\0"), d, ("./d/link", SYM, victim)]
    return {
        "absolute": [[(f"{victim}/new", REG, "x")]],
        "dotted": [[(f"../{name}/new", REG, "x")]],
        "dotted inside": [[("./a/", DIR, ""), (f"./a/../../../{name}/new", REG, "x")]],
        "link, then through it": [[("./link", SYM, victim), ("./link/new", REG, "x")]],
        "link, then through it, later": [bait, [root, ("./link/new", REG, "x")]],
        "link, then a folder in it": [bait, [root, ("./link/d/", DUMP, "Yq\0\0")]],
        "link, then purge it": [bait, [("./x/", DUMP, "\0"), ("./link/", DUMP, "\0")]],
        "relative link": [
            [root, ("./link", SYM, f"../../{name}")],
            [root, ("./link/new", REG, "x")],
        ],
        "hard link outside": [[("./h", LNK, f"{victim}/file")], [("./h", REG, "x")]],
        "hard link through a link": [bait, [("./h", LNK, "./link/file"), ("./h", REG, "x")]],
        "rename from outside": [bait, [("./", DUMP, f"R{victim}/file\0T./stolen\0\0")]],
        "rename to outside": [
            [("./mine", REG, "x")],
            [("./", DUMP, f"Ymine\0R./mine\0T{victim}/new\0\0")],
        ],
        "rename in level 0": [[("./", DUMP, f"R{victim}/file\0T./stolen\0\0")]],
        "rename through a link": [bait, [("./", DUMP, "Ylink\0Rlink/file\0Tstolen\0\0")]],
        "rename through a renamed link": [
            nest,
            [("./", DUMP, "Rd\0Te\0Re/link/file\0Tstolen\0\0")],
        ],
        "rename into a link": [bait, [("./", DUMP, "Ylink\0Rd\0Tlink/new\0\0"), d]],
        "temporary name in a link": [bait, [("./", DUMP, "Ylink\0Xlink/tmpXXXXXX\0R\0T\0\0")]],
        "renamed link, then through it": [
            nest,
            [("./", DUMP, "De\0R./d\0T./e\0\0"), ("./e/link/new", REG, "x")],
        ],
        "renamed link, then purge it": [
            nest,
            [
                ("./", DUMP, "De\0R./d\0T./e\0\0"),
                ("./e/", DUMP, "Dlink\0\0"),
                ("./e/link/", DUMP, "\0"),
            ],
        ],
        "link renamed twice": [
            nest,
            [("./", DUMP, "De\0R./d\0T./f\0R./f\0T./e\0\0"), ("./e/link/new", REG, "x")],
        ],
        "link renamed by a temporary name": [
            nest,
            [("./", DUMP, "De\0X./tXXXXXX\0R./d\0T\0R\0T./e\0\0"), ("./e/link/new", REG, "x")],
        ],
        "rename by dots": [bait, [("./", DUMP, f"R../../{name}/file\0T./stolen\0\0")]],
    }


@pytest.mark.parametrize("attack", sorted(_attacks("/x")))
@pytest.mark.parametrize("paths", [[], ["link", "h", "stolen"]])
def test_nothing_outside_changes(bench: Bench, attack: str, paths: list[str]) -> None:
    victim = bench.root / "victim"
    victim.mkdir()
    (victim / "file").write_text("precious")
    _plant(bench, *_attacks(str(victim))[attack])
    before = state(os.fsencode(victim))
    try:
        bench.restore(restore_paths=paths)
    except ColdchainError:
        assert not bench.target.exists()
    assert state(os.fsencode(victim)) == before
    assert not [name for name in os.listdir(bench.root) if name.startswith(".coldchain")]


def test_a_folder_that_replaces_a_link_is_no_attack(bench: Bench) -> None:
    outside = bench.root / "outside"
    outside.mkdir()
    (outside / "file").write_text("precious")
    (bench.source / "place").symlink_to(outside)
    bench.level()
    (bench.source / "place").unlink()
    (bench.source / "place").mkdir()
    (bench.source / "place" / "new").write_text("x")
    bench.level()
    bench.restore()
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))
    assert os.listdir(outside) == ["file"]


def test_names_that_look_like_tar_output_do_not_stop_a_restore(bench: Bench) -> None:
    for name in ("x\nR ..", "y\nT abc", 'z" -> "w', "d\n-rw-r--r-- a 1 2026-01-01 00:00 "):
        (bench.source / name).write_text("x")
    bench.level()
    (bench.source / "more").write_text("x")
    bench.level()
    bench.restore()
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make device nodes")
def test_device_nodes_are_described_and_not_made(bench: Bench) -> None:
    _plant(bench, [("./null", CHR, ""), ("./file", REG, "x")])
    report = bench.restore()
    assert os.listdir(bench.target) == ["file"]
    assert "device node not restored: mknod null c 1 3" in report.warnings


@pytest.mark.parametrize("name", ["x/..", "a/../b", "/x/", "a//b", "a/123", "a/."])
def test_backup_names_cannot_leave_the_container(bench: Bench, name: str) -> None:
    with pytest.raises(ColdchainError, match="cannot name a directory"):
        bench.backup(backup_name=name)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"compression": "rot13"}', '{"encryption": true, "encrypt_scheme": 1}']
)
def test_damaged_markers_are_named(bench: Bench, text: str) -> None:
    _plant(bench, [("./file", REG, "x")])
    marker: Path = next(bench.container.glob("metadata/tar/host_docs/*/*/metadata"))
    marker.write_text(text)
    with pytest.raises(ColdchainError, match="metadata/tar/host_docs"):
        bench.restore()
    assert not bench.catalogue()[0].restorable
