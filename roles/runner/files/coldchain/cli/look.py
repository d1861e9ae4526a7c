# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that only read the record: list, show, history, log."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from coldchain.cli.call import Call, unknown_job
from coldchain.cli.output import duration, instant
from coldchain.errors import DataError, Unavailable
from coldchain.execution.watching import present
from coldchain.instants import from_epoch
from coldchain.lifecycle import ABORTING, RUNNING
from coldchain.store import JobRecord, State

NO_RUNNER = (
    "no runner is at work here: nothing will start (service coldchain-runner, or coldchain serve)"
)

_RUN_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}")


def list_jobs(call: Call) -> int:
    """The jobs, one line or object each."""
    arguments, store = call.arguments, call.store
    records, states, events = store.jobs(), store.states(), _pending(call)
    if not arguments.jobs:  # all of them together take a third of the time
        records, states = dict(records.items()), dict(states.items())
    chosen = list(dict.fromkeys(arguments.jobs)) or sorted(records)
    unknown = [job_id for job_id in chosen if job_id not in records]
    jobs = []
    for job_id in chosen:
        if job_id in records:
            record = records[job_id]
            state = states.get(job_id) or State.initial(record)
            session = record.document.get("session_id")
            if arguments.status in (None, state.status) and arguments.session in (None, session):
                jobs.append(_listed(call, record, state, events.get(job_id, "")))
    alive = store.runner_alive()
    if call.output.json:
        call.output.answer({"jobs": jobs, "unknown": unknown, "runner_alive": alive})
        return 0
    zone = call.settings.zone
    rows = []
    for job in jobs:
        run = job["last_run"] or {}
        rows.append(
            (
                job["job_id"],
                job["status"] + (f" ({job['event']})" if job["event"] else ""),
                job["result"],
                instant(_moment(run.get("time_started") or job["time_started"]), zone),
                instant(_moment(job["next_run"]), zone),
                _shortened(job["description"]),
            )
        )
    call.output.table(("JOB", "STATUS", "RESULT", "LAST RUN", "NEXT RUN", "DESCRIPTION"), rows)
    for job in jobs:
        if job["progress"]:
            call.output.line(f"{job['job_id']}: {progress_line(job['progress'])}")
        if "document" in job:
            call.output.line(json.dumps(job["document"], indent=2))
        if job.get("runs"):
            call.output.line()
            _run_table(call, job["runs"])
    for job_id in unknown:
        call.output.note(f"there is no job {job_id!r}")
    if records and not alive:
        call.output.note(NO_RUNNER)
    return 0


def listed(call: Call, job_id: str) -> dict[str, Any] | None:
    """The job as ``list`` shows it; None when it is not declared."""
    record = call.store.job(job_id)
    if record is None:
        return None
    return _listed(call, record, call.state(record), _pending(call).get(job_id, ""))


def _listed(call: Call, record: JobRecord, state: State, pending: str) -> dict[str, Any]:
    arguments = call.arguments
    job: dict[str, Any] = {
        "job_id": record.job_id,
        "description": record.document.get("description", ""),
        "session_id": record.document.get("session_id"),
        "status": state.status,
        "event": pending or state.event,
        "result": state.result,
        "reason": state.reason,
        "next_run": state.next_run,
        "time_started": state.time_started,
        "time_ended": state.time_ended,
        "last_run": state.last_run,
        "progress": _progress(call, record, state),
    }
    if getattr(arguments, "documents", False):
        job["document"] = record.document
    if getattr(arguments, "history", 0):
        job["runs"] = call.store.history(record.job_id, arguments.history)
    return job


def _progress(call: Call, record: JobRecord, state: State) -> dict[str, Any] | None:
    """What the job's run is doing; None when it does not run."""
    if state.status not in (RUNNING, ABORTING) or not state.run_id:
        return None
    progress = present(call.paths.runs / state.run_id)
    if progress is not None and not progress["message"]:
        # An exec action tells nothing; the document may have changed since the run began.
        kinds = [each["freezer_action"]["action"] for each in record.document["job_actions"]]
        if progress["action"] <= len(kinds):
            progress["message"] = kinds[progress["action"] - 1]
    return progress and {"run_id": state.run_id, **progress}


def progress_line(progress: Mapping[str, Any]) -> str:
    """For people: action 2: writing level 0: 12 files, 1.2 MB, 300.0 kB/s."""
    from coldchain.agent.progress import line

    text = line(progress)
    return f"action {progress['action']}: {text}" if text else f"action {progress['action']}"


def _pending(call: Call) -> dict[str, str]:
    """The newest request of each job that the runner has not acted on yet."""
    return {event.job_id: event.event for event in call.store.pending_events()}


def show(call: Call) -> int:
    """The document in Freezer's form, with what its runs have left in it."""
    record = call.record(call.arguments.job)
    state = call.state(record)
    document = merged(record, state, _pending(call).get(record.job_id, ""))
    progress = _progress(call, record, state)
    if call.output.json:
        call.output.answer({"job": document} | ({"progress": progress} if progress else {}))
    else:
        call.output.line(json.dumps({"job": document}, indent=2))
        if progress is not None:
            call.output.note(f"running, {progress_line(progress)}")
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


def history(call: Call) -> int:
    """Finished runs, the newest first; also of a job that is not declared any more."""
    job_id, number = call.arguments.job, call.arguments.number
    _known(call, job_id)
    runs = call.store.history(job_id, number)
    skipped = call.store.skipped(job_id, number)
    if call.output.json:
        call.output.answer({"runs": runs, "skipped": skipped})
        return 0
    _run_table(call, runs)
    for entry in skipped:
        call.output.line(_skipped_line(call, entry))
    return 0


def _run_table(call: Call, runs: Sequence[Mapping[str, Any]]) -> None:
    zone = call.settings.zone
    rows = [
        (
            run["run_id"],
            instant(_moment(run.get("time_started")), zone),
            duration(length(run)),
            run.get("cause"),
            run.get("result"),
            run_message(run),
        )
        for run in runs
    ]
    call.output.table(("RUN", "STARTED", "TOOK", "CAUSE", "RESULT", "MESSAGE"), rows)


def length(run: Mapping[str, Any]) -> float | None:
    """Seconds that a finished run took."""
    started, ended = run.get("time_started"), run.get("time_ended")
    return None if started is None or ended is None else max(0.0, ended - started)


def run_message(run: Mapping[str, Any]) -> str:
    """The line that matters most: why the run failed, else what its last action said."""
    if run.get("reason"):
        return str(run["reason"])
    actions = [action for action in run.get("actions", []) if action.get("message")]
    failed = [action for action in actions if action.get("result") in ("fail", "aborted")]
    chosen = failed[0] if failed else (actions[-1] if actions else {})
    return str(chosen.get("message", ""))


def _skipped_line(call: Call, entry: Mapping[str, Any]) -> str:
    first = instant(_moment(entry.get("scheduled_for")), call.settings.zone)
    number = entry.get("skipped", 1)
    more = "" if number == 1 else f" and {number - 1} more"
    return f"skipped: {first}{more}: {entry.get('reason', '')}"


def log(call: Call) -> int:
    """The log of a run in progress, of the named run, or of the last one."""
    from coldchain.execution import log as runlog

    job_id, run_id = call.arguments.job, call.arguments.run
    _known(call, job_id)
    if run_id is None:
        state = call.store.state(job_id)
        runs = call.store.history(job_id, 1)
        run_id = (state.run_id if state else None) or (runs[0]["run_id"] if runs else None)
        if run_id is None:
            raise DataError(
                f"job {job_id} has not run yet", f"coldchain explain {job_id} tells why"
            )
    path = call.paths.run_log(job_id, run_id)
    try:
        if not _RUN_ID.fullmatch(run_id):
            raise FileNotFoundError
        text = runlog.read(path)
    except FileNotFoundError:
        raise DataError(
            f"job {job_id} has no log of a run {run_id[:100]!r}",
            f"coldchain history {job_id} lists its runs",
        ) from None
    except OSError as error:
        raise Unavailable(f"{path}: cannot be read: {error.strerror}") from None
    if call.output.json:
        call.output.answer({"job_id": job_id, "run_id": run_id, "path": str(path), "text": text})
    else:
        call.output.text(text)
    return 0


def _known(call: Call, job_id: str) -> None:
    """DataError when the job is neither declared nor has left a record."""
    records = call.store.jobs()
    if job_id in records or (_RUN_ID.fullmatch(job_id) and call.store.history(job_id, 1)):
        return
    raise unknown_job(job_id, list(records))


def _moment(value: str | float | None) -> datetime | None:
    if value is None:
        return None
    return datetime.fromisoformat(value) if isinstance(value, str) else from_epoch(value)


def _shortened(text: str, width: int = 40) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."
