# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mounted below a directory."""

from __future__ import annotations

import os
import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")  # proc(5): the fifth field is the mount point
_ESCAPE = re.compile(rb"\\([0-7]{3})")


def mount_points(folder: bytes) -> list[bytes]:
    """The mount points below *folder*, an absolute path without links."""
    top = folder.rstrip(b"/") + b"/"
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return []
    paths = (_ESCAPE.sub(_character, line.split(b" ")[4]) for line in lines)
    return [path for path in paths if path.startswith(top) and path != top]


def mounted_below(source: Path) -> dict[bytes, os.stat_result]:
    """The members of *source* ("./a/b") that are the roots of other file systems."""
    top = os.fsencode(os.path.realpath(source))
    found = {}
    for path in mount_points(top):
        try:
            status = os.lstat(path)
        except OSError:  # unmounted meanwhile, or hidden by another one
            continue
        if status.st_dev != os.lstat(top).st_dev:
            found[b"./" + os.path.relpath(path, top)] = status
    return found


def _character(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 8)])
