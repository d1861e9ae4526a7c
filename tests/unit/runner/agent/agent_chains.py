# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains of a given age."""

from __future__ import annotations

import subprocess
import time

from conftest import Bench


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
