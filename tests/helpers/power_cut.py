# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a power cut would leave: a second opinion on durability that counts no calls.

A name is safe once its directory was synced after the name came there; the bytes of a file are
safe once the file was synced after the last of them was written.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

_Place = tuple[int, int]


class Disk:
    """Remembers, of everything that is synced while it watches, in which state that was."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._sizes: dict[_Place, int] = {}
        self._names: dict[_Place, dict[str, _Place]] = {}
        real = {name: getattr(os, name) for name in ("fsync", "fdatasync")}

        def synced(descriptor: int) -> None:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                self._names[_place(status)] = _entries(f"/proc/self/fd/{descriptor}")
            else:
                self._sizes[_place(status)] = status.st_size

        def watched(name: str) -> Callable[[int], None]:
            def sync(descriptor: int) -> None:
                real[name](descriptor)
                synced(descriptor)

            return sync

        for name in real:
            monkeypatch.setattr(os, name, watched(name))

    def lost(self, top: Path, *, below: bool = True) -> list[str]:
        """What a power cut now would take from the directory *top*, and from all below it."""
        status = top.stat()
        kept = self._names.get(_place(status), {})
        lost = []
        for name, place in sorted(_entries(top).items()):
            path = top / name
            if kept.get(name) != place:
                lost.append(f"{path}: the name")
            if path.is_file() and path.stat().st_size > self._sizes.get(place, 0):
                lost.append(f"{path}: the content")
            if path.is_dir() and below:
                lost += self.lost(path)
        return lost


def _place(status: os.stat_result) -> _Place:
    return status.st_dev, status.st_ino


def _entries(directory: str | Path) -> dict[str, _Place]:
    with os.scandir(directory) as found:
        return {entry.name: _place(entry.stat(follow_symlinks=False)) for entry in found}
