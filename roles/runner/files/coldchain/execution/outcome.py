# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the end of a process means: result and message from exit code and report."""

from __future__ import annotations

import contextlib
import json
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coldchain.execution.plan import FAIL, SOFT_FAILURE, SUCCESS


@dataclass(frozen=True)
class Outcome:
    """exit_code None: there is none; report: what the agent left, {} if nothing."""

    result: str
    exit_code: int | None
    message: str
    report: dict[str, Any] = field(default_factory=dict)


def of_end(code: int | None, report: dict[str, Any], *, adopted: bool) -> Outcome:
    """The outcome of a process that ended by itself; *adopted*: an earlier runner's."""
    told = str(report.get("message", ""))
    if code == 0:
        return Outcome(SUCCESS, 0, told or "ended with exit code 0", report)
    if code is None and adopted:
        message = "vanished without a result while the runner was down"
    elif code is None:
        message = "was killed together with its wrapper"
    else:
        message = told or _exit_message(code)
    if code == SOFT_FAILURE:
        message += " (exit code 75: not tried again)"
    return Outcome(FAIL, code, message, report)


def read_report(path: Path) -> dict[str, Any]:
    """What ``coldchain agent --result`` wrote; {} when it did not get that far."""
    try:
        report = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def _exit_message(code: int) -> str:
    if code == 127:
        return "exit code 127: command not found"
    if code == 126:
        return "exit code 126: the command cannot be executed"
    if code > 128:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(code - 128).name} (exit code {code})"
    return f"exit code {code}"
