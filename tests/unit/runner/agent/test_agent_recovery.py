# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of docs/recovery.md, run as they stand there, restore what we wrote."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from agent_trees import state
from conftest import Bench, needs

PAGE = Path(__file__).parents[4] / "docs" / "recovery.md"


def _run(bench: Bench) -> str:
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
    assert done.returncode == 0, done.stderr
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
    assert output.count("data: OK") == 3
    assert output.count(": authentic") == (3 if scheme == "strong" else 0)


def test_the_page_finds_an_altered_level(bench: Bench) -> None:
    bench.backup(encrypt_pass_file=str(bench.pass_file))
    path = next(bench.container.glob("data/tar/host_docs/*/*/engine_metadata"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert ": ALTERED" in _run(bench)
