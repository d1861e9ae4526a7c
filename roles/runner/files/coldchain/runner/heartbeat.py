# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file whose time tells when a runner was last at work, for the one after it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

from coldchain.core.files import open_new, private_directory, write_all

EVERY = 30.0
"""Seconds between two signs of life."""
UNNOTICED = 600.0
"""Seconds that a runner may be stopped without a word: a restart of the host takes that long."""
_STOPPED = b"stopped\n"


class Gap(NamedTuple):
    """A time without a runner.  since: POSIX seconds; stopped: somebody had stopped it."""

    since: float
    stopped: bool


class Heartbeat:
    """The sign of life of this runner, in the file *path*."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = 0.0

    def gap(self, now: float) -> Gap | None:
        """How long nobody was at work; None when that is not worth a word."""
        try:
            with self._path.open("rb") as stream:
                stopped = stream.read(len(_STOPPED)) == _STOPPED
                since = os.fstat(stream.fileno()).st_mtime
        except OSError:
            return None
        if since > now or (stopped and now - since <= UNNOTICED):
            return None
        return Gap(since, stopped)

    def step(self, now: float) -> None:
        """A sign of life, if it is time for one."""
        if now >= self._next or now < self._next - 2 * EVERY:
            self.beat(now)

    def beat(self, now: float) -> None:
        """A sign of life."""
        self._next = now + EVERY
        try:
            empty = os.stat(self._path).st_size == 0
        except OSError:
            empty = False
        if not empty:
            self._write(b"")
        with contextlib.suppress(OSError):
            os.utime(self._path, (now, now))

    def stop(self) -> None:
        """The last sign: what follows is meant."""
        self._write(_STOPPED)

    def _write(self, content: bytes) -> None:
        with contextlib.suppress(OSError):
            private_directory(self._path.parent)
            descriptor = open_new(self._path)
            try:
                write_all(descriptor, content)
            finally:
                os.close(descriptor)
