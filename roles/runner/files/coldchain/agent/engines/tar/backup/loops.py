# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must not be entered when links are followed: tar would never come to an end."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path

#: Device and inode of a directory.
Identity = tuple[int, int]


def endless(source: Path, never: Collection[Identity] = ()) -> list[str]:
    """Members of *source* ("./a/b") that lead into a directory above them, or into *never*.

    tar follows links to directories on the same file system, and opens each directory from the
    one that it lies in: no limit of the system ever stops it.
    """
    top = os.stat(source)
    members = []
    waiting = [(os.fspath(source), ".", frozenset({*never, _identity(top)}))]
    while waiting:
        folder, member, barred = waiting.pop()
        try:
            names = os.listdir(folder)
        except OSError:  # tar tells what cannot be read
            continue
        for name in names:
            path = os.path.join(folder, name)
            try:
                status = os.stat(path)
            except OSError:
                continue
            if not stat.S_ISDIR(status.st_mode) or status.st_dev != top.st_dev:
                continue
            if _identity(status) in barred:
                members.append(f"{member}/{name}")
            else:
                waiting.append((path, f"{member}/{name}", barred | {_identity(status)}))
    return members


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino
