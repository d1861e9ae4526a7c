# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress of one action: counted by the worker, told at most once a second."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from coldchain.core.errors import CannotWrite
from coldchain.core.files import write_atomically
from coldchain.core.text import format_bytes, format_duration, pluralize

#: A log gets a line after so many seconds, and later on after so large a share of the time passed:
#: a backup of ten hours leaves some 350 lines.
LINE_EVERY, LINE_SHARE = 5.0, 1 / 60

#: How such a line begins.
MARK = "progress: "

Fields = Mapping[str, Any]


class Progress(NamedTuple):
    """A moment of a running action.

    phase: what is being done; files and bytes: done so far; total: bytes to do, 0 when unknown;
    rate: bytes a second since the phase began; time: POSIX seconds; estimated: total is a guess.
    """

    phase: str
    files: int
    bytes: int
    total: int
    rate: float
    time: float
    estimated: bool = False

    @property
    def remaining(self) -> float | None:
        """Seconds left, when that can be told."""
        if not self.total or not self.rate or (self.estimated and self.bytes > self.total):
            return None
        return max(self.total - self.bytes, 0) / self.rate

    def as_dict(self) -> dict[str, object]:
        """JSON, as the file of progress holds it; eta_seconds: None when it cannot be told."""
        remaining = self.remaining
        return {
            "message": self.phase,
            "files": self.files,
            "bytes": self.bytes,
            "total": self.total or None,
            "estimated": bool(self.total) and self.estimated,
            "rate": self.rate,
            "eta_seconds": None if remaining is None else round(remaining, 1),
            "time": round(self.time, 3),
        }


Tell = Callable[[Progress], None]


def line(progress: Fields) -> str:
    """The fields of a Progress for people: writing level 0: 12 files, 1.2 MB, 300.0 kB/s."""
    parts = []
    if progress.get("files"):
        parts.append(pluralize(progress["files"], "file"))
    if progress.get("bytes"):
        about = "about " if progress.get("estimated") else ""
        of = f" of {about}{format_bytes(progress['total'])}" if progress.get("total") else ""
        parts += [format_bytes(progress["bytes"]) + of, f"{format_bytes(progress['rate'])}/s"]
    if progress.get("eta_seconds") is not None:
        parts.append(f"{format_duration(progress['eta_seconds'])} left")
    return ": ".join(filter(None, (str(progress["message"]), ", ".join(parts))))


class Meter:
    """Counts, and hands a Progress to *tell* when INTERVAL has passed since the last one.

    ``tick`` may be called by several threads; *tell* is called by one at a time.
    """

    INTERVAL = 1.0  # seconds between two reports

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._telling = threading.Lock()
        self._phase = ""
        self._total = 0
        self._estimated = False
        self._begun = self._told = time.monotonic()
        self.files = 0
        self.bytes = 0

    def begin(self, phase: str, total: int = 0, *, estimated: bool = False) -> None:
        """A new phase starts counting from nothing."""
        with self._telling:
            self._phase, self._total, self._estimated = phase, total, estimated
            self.files = self.bytes = 0
            self._begun = time.monotonic()
            self._report(self._begun)

    def tick(self) -> None:
        """Call often: it looks at the clock and mostly does nothing."""
        now = time.monotonic()
        if now - self._told < self.INTERVAL or not self._telling.acquire(blocking=False):
            return
        try:
            self._report(now)
        finally:
            self._telling.release()

    def _report(self, now: float) -> None:
        self._told = now
        passed = now - self._begun
        rate = self.bytes / passed if passed > 0 else 0.0
        self._tell(
            Progress(
                self._phase,
                self.files,
                self.bytes,
                self._total,
                round(rate, 1),
                time.time(),
                self._estimated,
            )
        )


def silent(_progress: Progress) -> None:
    """A teller that tells nobody."""


def into_file(path: Path) -> Tell:
    """A teller that replaces *path* atomically with the progress as JSON.

    A full disk is for the action itself to find; it ends for nothing that is only shown.
    """

    def tell(progress: Progress) -> None:
        """Replace the file with *progress*."""
        raw = json.dumps(progress.as_dict()).encode("ascii") + b"\n"
        with contextlib.suppress(CannotWrite):
            write_atomically(path, raw, durable=False)

    return tell


def into_log(write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> Tell:
    """A teller that hands *write* a line every few seconds, none for what is done by then."""
    begun = last = clock()

    def tell(progress: Progress) -> None:
        """Write a line when it is time for one."""
        nonlocal last
        now = clock()
        if now - last >= max(LINE_EVERY, (now - begun) * LINE_SHARE):
            last = now
            with contextlib.suppress(OSError):
                write(f"{MARK}{line(progress.as_dict())}")

    return tell
