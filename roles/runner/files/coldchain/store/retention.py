# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much history is kept: bounds on number, age and bytes of each job's entries and run logs.

To look at all that is kept of a job takes longer the more it is.  So that is done when a quarter
too many entries are kept, when they outgrow their bytes (a quarter is then made free), and once a
day for their age: what a run costs does not depend on how many are kept.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from coldchain.core.files import StrPath, remove_file
from coldchain.core.instants import DAY
from coldchain.core.paths import Paths
from coldchain.core.trusted_path import open_folder
from coldchain.store import history

STEADY = 3600.0
"""Seconds: nothing is too old before the clock has been steady for so long.  A clock that is a year
ahead, until somebody sets it right, must not cost the history of a year."""


class Bounds(NamedTuple):
    """What is kept of each job: entries, days after their end, bytes on the disk with run logs."""

    entries: int
    days: int
    max_bytes: int


class _Kept:
    """What is kept of a job.

    entries: counted since the last look at all of them; logs: bytes; looked: monotonic.
    """

    def __init__(self, entries: int, logs: int, looked: float) -> None:
        self.entries, self.logs, self.looked = entries, logs, looked


class Retention:
    """Remembers how much is kept of each job that ran since the start."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._kept: dict[str, _Kept] = {}
        self._begun: set[str] = set()  # jobs with one entry, whose log is not counted yet
        self._trusted_at = 0.0

    def distrust_clock(self) -> None:
        """The clock was set, or nobody has watched it so far."""
        self._trusted_at = time.monotonic() + STEADY

    def _oldest(self, bounds: Bounds) -> float:
        """POSIX seconds: what ended before is too old."""
        trusted = time.monotonic() >= self._trusted_at
        return time.time() - bounds.days * DAY if trusted else -math.inf

    def added(self, job_id: str, *, first: bool) -> None:
        """One more entry is in the history of *job_id*; first: nothing was in it."""
        if first:
            self._begun.add(job_id)
        else:
            self._begun.discard(job_id)
            if job_id in self._kept:
                self._kept[job_id].entries += 1

    def bound(self, job_id: str, run_id: str, bounds: Bounds) -> None:
        """After the run *run_id*: drop what is too much, if anything can be."""
        if job_id in self._begun:
            self._begun.remove(job_id)
            self._kept[job_id] = _Kept(1, 0, time.monotonic())
        kept = self._kept.get(job_id)
        if kept is not None:
            kept.logs += _size(self._paths.name_of_run_log(job_id, run_id))
            size = kept.logs + _size(self._paths.history(job_id))
            fresh = time.monotonic() - kept.looked < DAY
            if fresh and size <= bounds.max_bytes and kept.entries * 4 <= bounds.entries * 5:
                return
        self.enforce(job_id, bounds)

    def enforce(self, job_id: str, bounds: Bounds) -> None:
        """Look at everything that is kept of *job_id*; the newest entry always stays."""
        path = self._paths.history(job_id)
        entries = list(history.newest_first(path))
        logs = [self._log_size(job_id, entry) for entry in entries]
        row = _size(path) / max(len(entries), 1)
        stay = _fitting(entries, [row + log for log in logs], bounds, self._oldest(bounds))
        for entry in entries[stay:]:  # before their entries: what a crash leaves is still named
            if "run_id" in entry:
                remove_file(self._paths.run_log(job_id, entry["run_id"]))
        if stay < len(entries):
            history.keep_newest(path, entries[:stay])
        self._kept[job_id] = _Kept(stay, sum(logs[:stay]), time.monotonic())

    def expire(self, job_id: str, bounds: Bounds, *, declared: bool) -> None:
        """Let go what is too old of a job that may never run again; of one that is no longer
        declared, everything when its newest entry is too old."""
        path, limit = self._paths.history(job_id), self._oldest(bounds)
        oldest = history.oldest(path)
        if oldest is None or oldest["time_ended"] >= limit:
            return
        newest = next(history.newest_first(path))
        if declared or newest["time_ended"] >= limit:
            self.enforce(job_id, bounds)
        else:
            _remove(self._paths.job_log(job_id))
            self._kept.pop(job_id, None)

    def _log_size(self, job_id: str, entry: dict[str, Any]) -> int:
        if "run_id" not in entry:
            return 0
        return _size(self._paths.name_of_run_log(job_id, entry["run_id"]))


def _fitting(
    entries: Sequence[dict[str, Any]], sizes: Sequence[float], bounds: Bounds, oldest: float
) -> int:
    """How many of *entries*, newest first, may stay."""
    room = bounds.max_bytes if sum(sizes) <= bounds.max_bytes else bounds.max_bytes * 3 / 4
    used = 0.0
    for number, (entry, size) in enumerate(zip(entries, sizes)):
        used += size
        beyond = number >= bounds.entries or entry["time_ended"] < oldest or used > room
        if number and beyond:
            return number
    return len(entries)


def _size(path: StrPath) -> int:
    """Bytes on the disk: a log with a cut-out middle is longer than that."""
    try:
        return os.stat(path).st_blocks * 512
    except FileNotFoundError:
        return 0


def _remove(path: Path) -> None:
    """Remove a directory with all that it holds, as far as that can be.

    A group may rename the directory of all logs: Ubuntu's syslog.
    """
    import shutil  # seldom, and it brings bz2 and lzma

    with suppress(OSError), open_folder(path.parent) as folder:
        shutil.rmtree(f"/proc/self/fd/{folder}/{path.name}", ignore_errors=True)
