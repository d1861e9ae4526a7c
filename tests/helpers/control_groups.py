# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups of both versions, whatever this machine has booted with."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

#: The arguments of mount(8); version 1 as systemd has its own hierarchy, without any controller.
VERSIONS = {
    "version 2": ("cgroup2", "none"),
    "version 1": ("cgroup", "-o", "none,name=coldchain-test", "none"),
}


@contextlib.contextmanager
def mounted(point: Path, version: str) -> Iterator[Path]:
    """A new group in a hierarchy that is mounted at *point* for the time of the block."""
    point.mkdir()
    subprocess.run(["mount", "-t", *VERSIONS[version], point], check=True)
    base = point / f"coldchain-test-{secrets.token_hex(4)}"
    try:
        base.mkdir()
        yield base
        base.rmdir()
    finally:
        subprocess.run(["umount", "--lazy", point], check=True)
