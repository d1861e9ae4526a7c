# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of docs/recovery.md, run as they stand there, restore what we wrote."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
from pathlib import Path

import pytest
from agent_bench import Bench, needs
from agent_hostile import REG, plant
from agent_trees import state

PAGE = Path(__file__).parents[4] / "docs" / "recovery.md"


def _run(bench: Bench, code: int = 0) -> str:
    blocks = re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    values = {
        "CONTAINER": bench.container,
        "NAME": "host_docs",
        "TARGET": bench.target,
        "PASSWORD_FILE": bench.pass_file,
    }
    for name, value in values.items():
        blocks[0], replaced = re.subn(rf"^{name}=\S+", f"{name}={value}", blocks[0], flags=re.M)
        assert replaced == 1
    script = "set -eu\n" + "\n".join(blocks)
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("scheme", "compression"),
    [
        (None, "gzip"),
        pytest.param(None, "xz", marks=needs("xz")),
        pytest.param("freezer", "bzip2", marks=needs("bzip2")),
        pytest.param("strong", "zstd", marks=needs("zstd")),
        ("strong", "gzip"),
    ],
)
def test_the_page_restores(bench: Bench, scheme: str | None, compression: str) -> None:
    secret: dict[str, object] = {}
    if scheme:
        secret = {"encrypt_pass_file": str(bench.pass_file), "encrypt_scheme": scheme}
    (bench.source / "gone").mkdir()
    (bench.source / "gone" / "file").write_text("x")
    (bench.source / "kept file").write_text("kept")
    os.link(bench.source / "kept file", bench.source / "linked")
    (bench.source / "link").symlink_to("nowhere")
    for number in range(4):
        bench.backup(always_level=2, compression=compression, **secret)
        (bench.source / f"new{number}").write_bytes(os.urandom(1000))
        if number == 1:
            (bench.source / "gone" / "file").unlink()
            (bench.source / "gone").rmdir()
    bench.backup(always_level=2, compression=compression, **secret)
    output = _run(bench)
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))
    assert output.count(": authentic" if scheme == "strong" else ": sound") == 3
    assert "complete: restored up to 2_" in output


@pytest.mark.parametrize("before", ["file", "link", "dangling"])
@pytest.mark.parametrize("name", ["d", "a b", "new\nline\n", "\\n*", "-d", "caf\u00e9\udce9"])
def test_the_page_makes_way_for_what_became_a_directory_meanwhile(
    bench: Bench, name: str, before: str
) -> None:
    place, other = bench.source / name, bench.source / "other"
    other.mkdir()
    (other / "kept").write_text("kept")
    if before == "file":
        place.write_text("x")
    else:
        place.symlink_to("other" if before == "link" else "nowhere")
    bench.level()
    place.unlink()
    place.mkdir()
    (place / "in").write_text("new")
    bench.level()
    (data,) = bench.container.glob("data/tar/host_docs/*/1_*/data")
    # As tar has noted it before: no directory.
    record = b"%b\0" % os.fsencode(name)
    archive = gzip.decompress(data.read_bytes())
    assert archive.count(b"\0D" + record) + archive.count(b"=D" + record) == 1
    meanwhile = archive.replace(b"\0D" + record, b"\0Y" + record)
    data.write_bytes(gzip.compress(meanwhile.replace(b"=D" + record, b"=Y" + record)))
    (data.parent / "manifest.json").unlink()
    assert "complete: restored up to 1_" in _run(bench)
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))


def _three(bench: Bench, **secret: object) -> list[Path]:
    for number in range(3):
        (bench.source / str(number)).write_text("x")
        bench.level(**secret)
    return sorted(bench.container.glob("data/tar/host_docs/*/*"))


@pytest.mark.parametrize("bad", [0, 1, 2])
@pytest.mark.parametrize("foreign", [False, True])
def test_the_page_stops_at_a_damaged_level_and_names_it(
    bench: Bench, bad: int, foreign: bool
) -> None:
    levels = _three(bench)
    if foreign:
        # freezer-agent's levels have no sums: only reading them shows it.
        for level in levels:
            (level / "manifest.json").unlink()
    data = levels[bad] / "data"
    os.truncate(data, data.stat().st_size // 2)
    output = _run(bench, 1)
    reason = "CANNOT BE READ" if foreign else "DAMAGED"
    assert f"{levels[bad].name}: {reason}" in output
    upto = levels[bad - 1].name if bad else "nothing"
    assert f"NOT COMPLETE: restored up to {upto}, and level 2 was wanted" in output
    if not foreign:
        assert sorted(os.listdir(bench.target)) == [str(number) for number in range(bad)]


@pytest.mark.parametrize("part", ["engine_metadata", "data", "manifest.json"])
def test_the_page_uses_nothing_of_an_altered_level(bench: Bench, part: str) -> None:
    levels = _three(bench, encrypt_pass_file=str(bench.pass_file))
    path = levels[1] / part
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    output = _run(bench, 1)
    assert f"{levels[0].name}: authentic" in output
    altered = levels[2 if part == "manifest.json" else 1].name
    assert f"{altered}: ALTERED" in output
    assert f"{levels[2].name}: authentic" not in output
    assert "2" not in os.listdir(bench.target)


def test_the_page_uses_no_level_of_another_encryption(bench: Bench) -> None:
    levels = _three(bench, encrypt_pass_file=str(bench.pass_file))
    zero, chain = int(levels[0].parent.name), bench.container / "forged"
    plant(chain, [("./evil", REG, "x")])
    for tree in ("data", "metadata"):
        (made,) = chain.glob(f"{tree}/tar/host_docs/*/*")
        made.rename(bench.container / tree / "tar" / "host_docs" / str(zero) / "3_2999999999")
    output = _run(bench, 1)
    assert "3_2999999999: ALTERED, level 0 is strong and this one is plain" in output
    assert "evil" not in os.listdir(bench.target)


def test_the_page_tells_a_gap(bench: Bench) -> None:
    levels = _three(bench)
    for tree in ("data", "metadata"):
        for path in bench.container.glob(f"{tree}/tar/host_docs/*/{levels[1].name}"):
            path.rename(bench.root / tree)
    assert "NOT COMPLETE: restored up to 0_" in _run(bench, 1)
