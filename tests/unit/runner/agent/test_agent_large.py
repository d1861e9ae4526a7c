# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Much of everything, in little memory: all processes of the agent together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Bench

RUNNER = Path(__file__).parents[4] / "roles" / "runner" / "files"
AGENT = (
    "import sys; from coldchain.agent.action import main; sys.exit(main(*sys.argv[1:3], None, '/'))"
)
#: The bound of resident memory, in bytes; pages that processes share are counted for each.
MEMORY = 60_000_000
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
    config, result = bench.root / "action.json", bench.root / "result.json"
    shared = {"container": str(bench.container), "backup_name": "b", "hostname": "h", "sync": False}
    config.write_text(json.dumps({"action": action, **shared, **fields}))
    environment = {**os.environ, "PYTHONPATH": os.fspath(RUNNER)}
    argv = [sys.executable, "-c", AGENT, config, result]
    peak = 0
    with subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, _resident(process.pid))
            time.sleep(0.01)
    told: dict[str, object] = json.loads(result.read_text())
    assert process.returncode == 0, told
    assert peak < MEMORY
    return told


def test_very_many_files(bench: Bench, request: pytest.FixtureRequest) -> None:
    number = 5_000 if request.config.getoption("--quick") else 100_000
    for index in range(number):
        path = bench.source / f"directory {index // 500}" / f"a file with a name, number {index}"
        if index % 500 == 0:
            path.parent.mkdir()
        path.write_bytes(b"")
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
