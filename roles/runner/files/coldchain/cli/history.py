# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command history: finished runs and skipped slots."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from coldchain.cli.arguments import add_session, positive_number
from coldchain.cli.context import Call
from coldchain.cli.job_view import moment_of, print_runs, require_known
from coldchain.cli.output import instant
from coldchain.cli.sessions import session_runs
from coldchain.core.errors import UsageError


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument("job", metavar="JOB", nargs="?")
    add_session(command)
    command.add_argument("-n", dest="number", metavar="N", type=positive_number, default=20)


def run(call: Call) -> int:
    """Finished runs, the newest first; also of a job that is not declared any more."""
    job_id, number = call.arguments.job, call.arguments.number
    skipped: list[dict[str, Any]] = []
    if call.arguments.session is not None or call.arguments.tag is not None:
        runs = session_runs(call)[:number]
    elif job_id is None:
        raise UsageError("the history of which job?", "name it, or --session ID")
    else:
        require_known(call, job_id)
        runs = call.store.history(job_id, number)
        skipped = call.store.skipped(job_id, number)
    if call.output.json:
        call.output.answer({"runs": runs, "skipped": skipped})
        return 0
    print_runs(call, runs)
    for entry in skipped:
        call.output.line(_skipped_line(call, entry))
    return 0


def _skipped_line(call: Call, entry: Mapping[str, Any]) -> str:
    first = instant(moment_of(entry.get("scheduled_for")), call.settings.zone)
    number = entry.get("skipped", 1)
    more = "" if number == 1 else f" and {number - 1} more"
    return f"skipped: {first}{more}: {entry.get('reason', '')}"
