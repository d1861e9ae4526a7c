# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a run in progress is, for whoever looks: its directory says it, and nobody is asked."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from typing import Any

from coldchain.execution.attempt_files import EXIT_CODE, PID, PROGRESS, file_of

_ATTEMPT = re.compile(rf"(\d{{1,6}})\.(\d{{1,6}})\.{PID}")


def read(directory: Path) -> dict[str, Any] | None:
    """The action that is running in a run's *directory*; None when there is none at the moment.

    {"action": its number, from 1, "attempt": from 1, "message", "files", "bytes", "total",
    "estimated", "rate", "eta_seconds", "time"}: bytes, bytes a second, seconds left, POSIX seconds
    of the report; total and eta_seconds None when unknown.  An exec action tells nothing.
    """
    try:
        names = os.listdir(directory)
    except OSError:
        return None
    attempts = [(int(match[1]), int(match[2])) for match in map(_ATTEMPT.fullmatch, names) if match]
    if not attempts:
        return None
    action, attempt = max(attempts)
    path = directory / f"{action}.{attempt}"
    if file_of(path, EXIT_CODE).exists():
        return None
    report: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):  # nothing told yet
        report = json.loads(file_of(path, PROGRESS).read_bytes())
    return {
        "action": action,
        "attempt": attempt,
        "message": "",
        "files": 0,
        "bytes": 0,
        "total": None,
        "estimated": False,
        "rate": 0.0,
        "eta_seconds": None,
        "time": None,
        **report,
    }
