# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains of a given age, and of a clock that was wrong."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import time

from agent_bench import Bench


def age(bench: Bench, days: dict[int, list[float]]) -> None:
    """Chains of given ages: {number: [days since level 0, level 1, ...]}, by renaming."""
    for ages in days.values():
        (bench.source / "f").write_text(str(ages))
        now = int(time.time())
        stamps = [now - int(age * 86400) for age in ages]
        bench.backup(backup_name="new")
        for number, stamp in enumerate(stamps):
            for tree in ("data", "metadata"):
                made = next(bench.container.glob(f"{tree}/tar/host_new/*/0_*"))
                place = bench.container / tree / "tar" / "host_docs" / str(stamps[0])
                place.mkdir(parents=True, exist_ok=True)
                copy = place / f"{number}_{stamp}"
                subprocess.run(["cp", "-a", made, copy], check=True)
                (copy / "manifest.json").unlink(missing_ok=True)
        subprocess.run(["rm", "-r", bench.container / "data/tar/host_new"], check=True)
        subprocess.run(["rm", "-r", bench.container / "metadata/tar/host_new"], check=True)


def set_ahead(bench: Bench, seconds: int) -> None:
    """Let tar's clock have been so far ahead when the newest level of a plain chain was made."""
    levels = bench.container.glob("data/tar/host_docs/*/*")
    level = max(levels, key=lambda path: int(path.name.partition("_")[2]))
    path = level / "engine_metadata"
    moved = re.sub(
        rb"\n(\d+)\0",
        lambda match: b"\n%d\0" % (int(match[1]) + seconds),
        path.read_bytes(),
        count=1,
    )
    path.write_bytes(moved)
    manifest = json.loads((level / "manifest.json").read_text())
    manifest["parts"][path.name] = {
        "sha256": hashlib.sha256(moved).hexdigest(),
        "size": len(moved),
    }
    (level / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
