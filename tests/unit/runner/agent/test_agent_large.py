# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Much of everything, in little memory: all processes of the agent together."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from agent_bench import Bench
from agent_command import ENVIRONMENT, agent_argv
from agent_trees import state
from waiting import until

#: The bound of resident memory, in bytes; pages that processes share are counted for each.
MEMORY = 70_000_000
PAGE = os.sysconf("SC_PAGE_SIZE")


def _resident(pid: int, parent: bytes = b"") -> int:
    """Bytes of *pid* and all its descendants; parent: the command line of its parent."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        if words == parent:
            return 0  # about to become another program; until then its memory is its parent's
        total = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
        for task in os.listdir(f"/proc/{pid}/task"):
            children = Path(f"/proc/{pid}/task/{task}/children").read_text().split()
            total += sum(_resident(int(child), words) for child in children)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return total


def _perform(bench: Bench, action: str, **fields: object) -> dict[str, object]:
    shared = {"container": str(bench.container), "backup_name": "b", "hostname": "h", "sync": False}
    argv = agent_argv(bench.root, {"action": action, **shared, **fields})
    peak = 0

    def over() -> bool:
        nonlocal peak
        peak = max(peak, _resident(process.pid))
        return process.poll() is not None

    with subprocess.Popen(argv, env=ENVIRONMENT, stdout=subprocess.DEVNULL) as process:
        until(over, within=60)
    told: dict[str, object] = json.loads((bench.root / "result.json").read_text())
    assert process.returncode == 0, told
    assert peak < MEMORY
    return told


@pytest.mark.long(45)
def test_very_many_files(bench: Bench, request: pytest.FixtureRequest) -> None:
    number = 5_000 if request.config.getoption("--quick") else 100_000
    for index in range(number):
        folder = f"{bench.source}/directory {index // 500}"
        if index % 500 == 0:
            os.mkdir(folder)
        os.mknod(f"{folder}/a file with a name, number {index}")
    backup = {"path_to_backup": str(bench.source), "incremental": True, "compression": "zstd"}
    assert _perform(bench, "backup", **backup)["files"] == number
    for folder, dummy, names in os.walk(bench.source):
        for name in names:
            os.utime(os.path.join(folder, name))
    assert _perform(bench, "backup", **backup)["files"] == number
    listed = _perform(bench, "restore", restore_abs_path=str(bench.target), dry_run=True)
    assert listed["files"] == number
    assert _perform(bench, "restore", restore_abs_path=str(bench.target))["files"] == number


def test_a_file_of_five_gibibytes(bench: Bench) -> None:
    size = 5 << 30
    path = bench.source / "large"
    with path.open("wb") as stream:
        stream.write(b"begin")
        stream.seek(size - 3)
        stream.write(b"end")
    report = _perform(bench, "backup", path_to_backup=str(bench.source))
    assert report["bytes"] == size
    report = _perform(bench, "restore", restore_abs_path=str(bench.target))
    assert report["bytes"] == size
    with (bench.target / "large").open("rb") as stream:
        assert stream.read(5) == b"begin"
        stream.seek(-3, os.SEEK_END)
        assert stream.read() == b"end"
    assert (bench.target / "large").stat().st_blocks * 512 < 1 << 20


def test_many_chains_need_few_descriptors(bench: Bench) -> None:
    (bench.source / "file").write_text("x")
    shared: dict[str, object] = {
        "container": str(bench.container), "backup_name": "b", "hostname": "h", "sync": False
    }  # fmt: skip
    bench.backup(**shared)
    for tree in ("data", "metadata"):
        (chain,) = (bench.container / tree / "tar" / "h_b").iterdir()
        for zero in range(1000, 1080):
            copy = chain.with_name(str(zero)) / f"0_{zero}"
            shutil.copytree(next(chain.iterdir()), copy)
            (copy / "manifest.json").unlink(missing_ok=True)
    for action in (
        {"action": "info"},
        {"action": "backup", "path_to_backup": str(bench.source), "incremental": True},
        {"action": "restore", "restore_abs_path": str(bench.target)},
        {"action": "admin", "remove_older_than": 0},
    ):
        argv = agent_argv(bench.root, {**shared, **action})
        few = ["bash", "-c", 'ulimit -n 64; exec "$@"', "few", *argv]
        done = subprocess.run(few, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))
    assert [one.level for one in bench.catalogue()] == [0, 1]
