# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo, as ``make demo`` runs it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import waiting
from playbooks import ROOT


def test_the_demo_comes_to_its_end_over_one_that_was_interrupted(installed: Path) -> None:
    directory = installed.parent
    left = directory / "library" / "left"
    left.parent.mkdir()
    left.write_text("of the earlier one")
    program = installed / "bin" / "coldchain"
    with subprocess.Popen([program, "serve"], stderr=subprocess.DEVNULL) as runner:
        waiting.until((installed / "lib" / "wake").exists, told=runner.poll)
        done = subprocess.run(
            ["make", "--no-print-directory", "--old-file=install", "demo", f"DEMO={directory}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        assert runner.poll() == 0, "the earlier runner has been stopped"
    assert not left.exists()
    assert f"Protected      {directory}/library" in done.stdout
    for name in ("library", "earlier", "runner/backups"):  # a hundred megabytes
        shutil.rmtree(directory / name)
