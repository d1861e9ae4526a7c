# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files on their way to and from a remote: many of them with one rclone."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from coldchain.agent.process.signals import allow_signals, defer_signals
from coldchain.agent.storages.rclone.program import Rclone

#: Bytes of a file up to which it waits for the others and goes with them: so many rclone itself
#: collects of a stream before it sends the first one.
TOGETHER = 100 << 10
#: Nanoseconds between the times of two files, by which rclone tells which one is the next.
_APART = 1000


class Waiting:
    """Small files that are sent to one folder together, in the order in which they came."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def add(self, name: str, content: bytes) -> None:
        """Let the file *name* wait."""
        self._files[name] = content

    def send(self, rclone: Rclone, folder: str) -> None:
        """Write all of them into rclone's *folder*; CannotWrite when that fails."""
        if not self._files:
            return
        with scratch() as place:
            now = time.time_ns()
            for number, (name, content) in enumerate(self._files.items()):
                path = Path(place) / name
                path.write_bytes(content)
                os.utime(path, ns=(now, now + number * _APART))
            rclone.send(place, folder)


@contextlib.contextmanager
def scratch() -> Iterator[str]:
    """A private directory that is gone afterwards."""
    with (
        defer_signals(),
        tempfile.TemporaryDirectory(prefix="coldchain-") as folder,
        allow_signals(),
    ):
        yield folder
