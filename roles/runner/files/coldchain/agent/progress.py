# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress of one action: counted by the worker, told at most once a second."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

#: Seconds between two reports.
INTERVAL = 1.0


@dataclass(frozen=True)
class Progress:
    """A moment of a running action.

    phase: what is being done; files and bytes: done so far; total: bytes to do, 0 when unknown;
    rate: bytes a second since the phase began; time: POSIX seconds.
    """

    phase: str
    files: int
    bytes: int
    total: int
    rate: float
    time: float

    @property
    def remaining(self) -> float | None:
        """Seconds left, when that can be told."""
        if not self.total or not self.rate:
            return None
        return max(self.total - self.bytes, 0) / self.rate

    def as_dict(self) -> dict[str, object]:
        return {**asdict(self), "remaining": self.remaining}


class Meter:
    """Counts, and hands a Progress to *tell* when INTERVAL has passed since the last one."""

    def __init__(self, tell: Callable[[Progress], None]) -> None:
        self._tell = tell
        self._phase = ""
        self._total = 0
        self._begun = self._told = time.monotonic()
        self.files = 0
        self.bytes = 0

    def begin(self, phase: str, total: int = 0) -> None:
        """A new phase starts counting from nothing."""
        self._phase, self._total = phase, total
        self.files = self.bytes = 0
        self._begun = time.monotonic()
        self._report(self._begun)

    def tick(self) -> None:
        """Call often: it looks at the clock and mostly does nothing."""
        now = time.monotonic()
        if now - self._told >= INTERVAL:
            self._report(now)

    def _report(self, now: float) -> None:
        self._told = now
        passed = now - self._begun
        rate = self.bytes / passed if passed > 0 else 0.0
        self._tell(
            Progress(self._phase, self.files, self.bytes, self._total, round(rate, 1), time.time())
        )


def into_file(path: Path) -> Callable[[Progress], None]:
    """A teller that replaces *path* atomically with the progress as JSON."""

    def tell(progress: Progress) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(progress.as_dict()) + "\n", encoding="ascii")
        temporary.replace(path)

    return tell
