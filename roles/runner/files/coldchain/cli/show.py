# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command show: the document in Freezer's form, with what its runs have left in it."""

from __future__ import annotations

import argparse
import json
from typing import Any

from coldchain.cli.arguments import add_show_secrets
from coldchain.cli.context import Call
from coldchain.cli.job_state import state_of
from coldchain.cli.job_view import pending_events, progress_line, progress_of, shown_document
from coldchain.lifecycle import describe_stop
from coldchain.store import JobRecord, State


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument("job", metavar="JOB")
    add_show_secrets(command)


def run(call: Call) -> int:
    """The document in Freezer's form, with what its runs have left in it."""
    record = call.record(call.arguments.job)
    state = state_of(call, record)
    document = merged(record, state, pending_events(call).get(record.job_id, ""))
    document = shown_document(call, document)
    progress = progress_of(call, record, state)
    if call.output.json:
        beside = {"stopped_by": state.stopped_by, "progress": progress}
        call.output.answer(
            {"job": document} | {name: fact for name, fact in beside.items() if fact}
        )
    else:
        call.output.line(json.dumps({"job": document}, indent=2))
        if progress is not None:
            call.output.note(f"running, {progress_line(progress)}")
        if state.stopped_by is not None:
            call.output.note(describe_stop(state.stopped_by, state.unusable))
    return 0


def merged(record: JobRecord, state: State, pending: str) -> dict[str, Any]:
    """A declared document with the run facts where Freezer keeps them."""
    run = state.last_run or {}
    results = [action.get("result", "") for action in run.get("actions", [])]
    actions = []
    for number, action in enumerate(record.document["job_actions"]):
        action = dict(action)
        if number < len(results) and results[number]:
            action["exit_status"] = results[number]
        actions.append(action)
    schedule = {
        **record.schedule,
        "time_created": int(record.created),
        "time_started": int(state.time_started or 0),
        "time_ended": int(state.time_ended or 0),
        "status": state.status,
        "event": pending or state.event,
        "result": state.result,
    }
    if run.get("scheduled_for"):
        schedule["schedule_time"] = run["scheduled_for"]
    return {**record.document, "job_actions": actions, "job_schedule": schedule}
