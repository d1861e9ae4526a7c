# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mounted below a directory."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

_MOUNTS = Path("/proc/self/mountinfo")  # proc(5)
_ESCAPE = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """What is mounted where.

    point: an absolute path; device: "major:minor"; part: the directory of the file system that is
    mounted, "/" for all of it; kind: its type.
    """

    point: bytes
    device: str
    part: bytes
    kind: str


def mounts(table: Path = _MOUNTS) -> list[Mount]:
    """Everything that is mounted, in its order; nothing where the host does not tell."""
    try:
        lines = table.read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        fields = line.split(b" ")
        part, point = (_ESCAPE.sub(_character, field) for field in fields[3:5])
        kind = fields[fields.index(b"-") + 1].decode("ascii", "replace")
        found.append(Mount(point, fields[2].decode("ascii", "replace"), part, kind))
    return found


def mount_points(folder: bytes) -> list[bytes]:
    """The mount points below *folder*, an absolute path without links."""
    top = folder.rstrip(b"/") + b"/"
    points = (mount.point for mount in mounts())
    return [point for point in points if point.startswith(top) and point != top]


def mount_number(descriptor: int) -> int:
    """The number of the mount that an open file lies in: two names of one disk are two mounts."""
    try:
        text = Path(f"/proc/self/fdinfo/{descriptor}").read_bytes()
        return int(text.partition(b"mnt_id:")[2].split()[0])
    except (OSError, IndexError, ValueError):
        return -os.fstat(descriptor).st_dev


def mounted_below(source: Path) -> dict[bytes, os.stat_result]:
    """The members of *source* ("./a/b") that are the roots of other file systems."""
    top = os.fsencode(os.path.realpath(source))
    mounted = {}
    for path in mount_points(top):
        try:
            status = os.lstat(path)
        except OSError:  # unmounted meanwhile, or hidden by another one
            continue
        if status.st_dev != os.lstat(top).st_dev:
            mounted[b"./" + os.path.relpath(path, top)] = status
    return mounted


def _character(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 8)])
