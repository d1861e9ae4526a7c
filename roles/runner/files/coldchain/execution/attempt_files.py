# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of an attempt, which lie beside each other in the directory of its run.

An attempt is known by a path, RUN/1.2 for the second one of the first action; the names of its
files begin with that.  A directory of its own would cost each run as much to make and to remove as
two files.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

PID = "pid"
"""The first: there is none before anything begins.  The wrapper's first line (pid, start time,
boot) and then whatever its shell has to say: a word or two for each signal but INT and PIPE that
ended the command, and nothing about an exit code."""
EXIT_CODE = "exit_code"
"""Written by the wrapper at the end of the command."""
RESULT = "result.json"
"""The agent's report, written as its last act."""
PROGRESS = "progress.json"
"""How far the agent is."""
CONFIG = "json"
"""What the agent is to do."""
ORDER = "told_to_end.json"
"""Why it was told to end."""
ORPHANS = "orphans"
"""The processes that it has lost, as far as that could be found out."""


def file_of(attempt: Path, name: str) -> Path:
    """The path of one of the files."""
    return Path(f"{attempt}.{name}")


def has_begun(attempt: Path) -> bool:
    """Was anything of the attempt started, by this runner or one before it?"""
    return os.path.lexists(f"{attempt}.{PID}")


def begun_in(run: Path) -> list[Path]:
    """All attempts, and clean-ups after them, that have begun in the directory of a run."""
    return [path.with_suffix("") for path in sorted(run.glob(f"*.{PID}"))]


def exit_code(attempt: Path) -> int | None:
    """What the wrapper wrote at the end of the command; None when it did not get that far."""
    raw = b""
    with contextlib.suppress(OSError):
        raw = file_of(attempt, EXIT_CODE).read_bytes()
    return int(raw) if raw.endswith(b"\n") and raw.strip().isdigit() else None


def remove(attempt: Path) -> None:
    """Remove all of them, as far as that can be done."""
    for path in attempt.parent.glob(f"{attempt.name}.*"):
        with contextlib.suppress(OSError):
            path.unlink()
