# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job, its runs and its document as the commands show them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from coldchain.cli.context import Call, unknown_job
from coldchain.cli.job_state import state_of
from coldchain.cli.output import duration, instant
from coldchain.core.errors import UnknownJob
from coldchain.core.instants import from_epoch
from coldchain.execution.live_progress import read
from coldchain.store import JobRecord, State
from coldchain.store.records import run_message

NO_RUNNER = (
    "no runner is at work here: nothing will start (service coldchain-runner, or coldchain serve)"
)

CLOCK_WAITS = (
    "the runner does not believe the clock yet: schedules wait until it is set, for two minutes"
    " after a boot at most"
)

RUN_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_RECORDED = re.compile(r"([a-z]+:)?[A-Za-z0-9_.-]{1,128}")
"""A job, or what is run once: what has a directory of its own for its history."""


def standstill(call: Call) -> str:
    """Why no schedule is acted on now; "" when they are."""
    if not call.store.runner_alive():
        return NO_RUNNER
    return CLOCK_WAITS if call.store.clock_doubted() else ""


def listed(call: Call, job_id: str) -> dict[str, Any] | None:
    """The job as ``list`` shows it; None when there is none."""
    try:
        record = call.record(job_id)
    except UnknownJob:
        return None
    return listed_record(call, record, state_of(call, record), pending_events(call).get(job_id, ""))


def listed_record(call: Call, record: JobRecord, state: State, pending: str) -> dict[str, Any]:
    """The job as ``list`` shows it; pending: the newest request that waits, "" for none."""
    arguments = call.arguments
    job: dict[str, Any] = {
        "job_id": record.job_id,
        "description": record.document.get("description", ""),
        "session_id": record.document.get("session_id"),
        "status": state.status,
        "event": pending or state.event,
        "result": state.result,
        "stopped_by": state.stopped_by,
        "survivors": state.survivors,
        "reason": state.why,
        "next_run": state.next_run,
        "time_started": state.time_started,
        "time_ended": state.time_ended,
        "last_run": state.last_run,
        "progress": progress_of(call, record, state),
    }
    if getattr(arguments, "documents", False):
        job["document"] = shown_document(call, record.document)
    if getattr(arguments, "history", 0):
        job["runs"] = call.store.history(record.job_id, arguments.history)
    return job


def progress_of(call: Call, record: JobRecord, state: State) -> dict[str, Any] | None:
    """What the job's run is doing; None when it does not run."""
    if not state.run_id:
        return None
    progress = read(call.paths.runs / state.run_id)
    if progress is not None and not progress["message"]:
        # An exec action tells nothing; the document may have changed since the run began.
        kinds = [entry["freezer_action"]["action"] for entry in record.document["job_actions"]]
        if progress["action"] <= len(kinds):
            progress["message"] = kinds[progress["action"] - 1]
    return progress and {"run_id": state.run_id, **progress}


def progress_line(progress: Mapping[str, Any]) -> str:
    """For people: action 2: writing level 0: 12 files, 1.2 MB, 300.0 kB/s."""
    from coldchain.agent.progress import line

    text = line(progress)
    return f"action {progress['action']}: {text}" if text else f"action {progress['action']}"


def pending_events(call: Call) -> dict[str, str]:
    """The newest request of each job that the runner has not acted on yet."""
    return {event.job_id: event.event for event in call.store.pending_events()}


def shown_document(call: Call, document: dict[str, Any]) -> dict[str, Any]:
    """The document without its secrets, unless they were asked for."""
    if call.arguments.show_secrets:
        return document
    from coldchain.document.masking import masked

    public: dict[str, Any] = masked(document)
    return public


def print_runs(call: Call, runs: Sequence[Mapping[str, Any]]) -> None:
    """Finished runs as a table for people."""
    zone = call.settings.zone
    several = len({run.get("job_id") for run in runs}) > 1
    rows = [
        (
            *((run.get("job_id"),) if several else ()),
            run["run_id"],
            instant(moment_of(run.get("time_started")), zone),
            duration(length(run)),
            run.get("cause"),
            run.get("result"),
            run_message(run),
        )
        for run in runs
    ]
    heads = ("RUN", "STARTED", "TOOK", "CAUSE", "RESULT", "MESSAGE")
    call.output.table((*(("JOB",) if several else ()), *heads), rows)


def length(run: Mapping[str, Any]) -> float | None:
    """Seconds that a finished run took."""
    started, ended = run.get("time_started"), run.get("time_ended")
    return None if started is None or ended is None else max(0.0, ended - started)


def require_known(call: Call, job_id: str) -> None:
    """Raises DataError when the job is neither declared nor has left a record."""
    records = call.store.jobs()
    state = call.store.state(job_id)
    if (
        job_id in records
        or (state is not None and (state.active or state.one_off))
        or (_RECORDED.fullmatch(job_id) and call.store.history(job_id, 1))
    ):
        return
    raise unknown_job(job_id, list(records))


def moment_of(value: str | float | None) -> datetime | None:
    """An instant of a record, written as ISO text or in seconds since 1970."""
    if value is None:
        return None
    return datetime.fromisoformat(value) if isinstance(value, str) else from_epoch(value)
