# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the end of a process means: result and message from how it ended and its report."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from coldchain.core.errors import ColdchainError, DataError
from coldchain.core.files import StrPath
from coldchain.execution.plan import ABORTED, FAIL, SOFT_FAILURE, SUCCESS
from coldchain.execution.process import Ending
from coldchain.execution.supervision import Supervised

_TERMINATED = 128 + signal.SIGTERM


class Outcome(NamedTuple):
    """How an attempt has ended.

    exit_code: None when there is none; report: what the agent left, {} if nothing; hopeless:
    another attempt would fail as well.
    """

    result: str
    exit_code: int | None
    message: str
    report: Mapping[str, Any] = MappingProxyType({})
    hopeless: bool = False


def outcome_of(present: Supervised, report: dict[str, Any]) -> Outcome:
    """The outcome of an attempt that is over, with the agent's report ({} if there is none)."""
    ending = present.ending or Ending(None)
    if present.reason:
        return Outcome(present.result, ending.code, present.reason, report)
    return _by_itself(ending, report, vanished=present.vanished)


def not_started(error: Exception) -> Outcome:
    """The outcome of an attempt that could not begin."""
    if not isinstance(error, ColdchainError):
        return Outcome(FAIL, None, f"could not be started: {error}")
    text = f"could not be started: {error.message}"
    # Nothing has been read yet: bad data is a bad document.
    return Outcome(FAIL, None, text, hopeless=error.hopeless or isinstance(error, DataError))


def _by_itself(ending: Ending, report: dict[str, Any], *, vanished: bool) -> Outcome:
    code = ending.code
    reported = str(report.get("message", ""))
    hopeless = report.get("hopeless") is True
    result = FAIL
    if code == 0:
        return Outcome(SUCCESS, 0, reported or "ended with exit code 0", report)
    if code is None and vanished:
        message = "vanished without a result while the runner was down"
    elif code is None:
        message = "was killed together with its wrapper"
    elif ending.signal:
        message = reported or f"killed by {_signal_name(ending.signal)} (exit code {code})"
    else:
        message = reported or _exit_message(code)
    # An agent that hears TERM cleans up and leaves with this code: no shell says so then.
    if ending.signal == signal.SIGTERM or (code == _TERMINATED and report):
        result = ABORTED
    if code == SOFT_FAILURE:
        message += " (exit code 75: not tried again)"
    elif hopeless:
        message += " (not tried again: it would fail in the same way)"
    return Outcome(result, code, message, report, hopeless)


def read_report(path: StrPath) -> dict[str, Any]:
    """What ``coldchain agent --result`` wrote; {} when it did not get that far."""
    try:
        with open(path, "rb") as stream:
            report = json.loads(stream.read())
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _exit_message(code: int) -> str:
    if code == 127:
        return "exit code 127: command not found"
    if code == 126:
        return "exit code 126: the command cannot be executed"
    return f"exit code {code}"
