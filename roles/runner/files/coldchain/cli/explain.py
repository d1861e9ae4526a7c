# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command explain: why a job did or did not run, and when it will."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from coldchain.cli.context import Call
from coldchain.cli.job_state import state_of
from coldchain.cli.job_view import length, listed, progress_line, standstill
from coldchain.cli.output import duration, instant
from coldchain.cli.preview import usable_trigger
from coldchain.core.errors import ColdchainError, DataError
from coldchain.core.instants import from_epoch
from coldchain.execution import runfile
from coldchain.lifecycle import STOP
from coldchain.store import Document, JobRecord, State
from coldchain.store.records import run_message


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument("job", metavar="JOB")


def run(call: Call) -> int:
    """Why a job did or did not run, and when it will: from the record, in sentences."""
    record = call.record(call.arguments.job)
    state = state_of(call, record)
    facts = _facts(call, record, state)
    if call.output.json:
        answer = {"job_id": record.job_id, "status": state.status, "stopped_by": state.stopped_by}
        call.output.answer({**answer, "facts": facts})
        return 0
    width = max(len(fact["about"]) for fact in facts)
    for fact in facts:
        call.output.line(f"{fact['about'].ljust(width)}  {fact['text']}")
    return 0


def _facts(call: Call, record: JobRecord, state: State) -> list[dict[str, str]]:
    zone, facts = call.settings.zone, []

    def fact(about: str, text: str) -> None:
        facts.append({"about": about, "text": text})

    fact("job", f"{record.job_id}: {record.document.get('description') or 'no description'}")
    try:
        fact("schedule", usable_trigger(call, record).describe())
    except DataError as error:
        fact("schedule", error.message)
    if "slot" in record.document:
        fact("slot", _place_in_slot(record))
    if call.settings.zone_problem:
        fact("time zone", f"UTC: {call.settings.zone_problem}")
    fact("status", state.status + (f": {state.why}" if state.why else ""))
    if state.active and state.time_started:
        fact("running", f"since {instant(from_epoch(state.time_started), zone)} ({state.run_id})")
        job = listed(call, record.job_id)
        if job is not None and job["progress"]:
            fact("progress", progress_line(job["progress"]))
    for entry in state.queue:
        slot = instant(from_epoch(entry["slot"]), zone)
        fact("waiting", f"the run for {slot} is due and waits ({entry['cause']})")
    if state.next_run is not None:
        fact("next run", instant(datetime.fromisoformat(state.next_run), zone))
    elif call.store.job(record.job_id) is None:
        fact("next run", "none: the job is not declared")
    elif state.status == STOP:
        fact("next run", f"none: stopped; coldchain event {record.job_id} start lets it run again")
    else:
        fact("next run", "none is planned yet")
    _add_lock(call, record, fact)
    _add_record(call, record, state, fact)
    for event in call.store.pending_events():
        if event.job_id == record.job_id:
            when = instant(from_epoch(event.time), zone)
            fact("request", f"{event.event}, by {event.by} at {when}: not acted on yet")
    why = standstill(call)
    if why:
        fact("runner", why)
    return facts


def _place_in_slot(record: JobRecord) -> str:
    name, schedule = record.document["slot"], record.schedule
    if "schedule_offset" not in schedule:
        return f"{name}: without a place in it, which role coldchain.freezer.jobs would give it"
    return f"{name}: {schedule['schedule_offset']} into its {schedule['schedule_splay']}"


def _add_lock(call: Call, record: JobRecord, fact: Any) -> None:
    lock = record.document.get("lock")
    if lock is None:
        return
    records, states = call.store.jobs(), call.store.states()
    holders = [
        job_id
        for job_id, state in states.items()
        if state.active and _document_of_run(call, records, job_id, state).get("lock") == lock
    ]
    fact("lock", f"{lock}: " + (f"held by {', '.join(holders)}" if holders else "free"))


def _document_of_run(
    call: Call, records: Mapping[str, JobRecord], job_id: str, state: State
) -> Document:
    """The document that the job's run keeps to: also of one that was removed, or changed since."""
    with contextlib.suppress(ValueError, ColdchainError):  # it has ended meanwhile
        return runfile.read(call.paths.runs / str(state.run_id))[0]
    return records[job_id].document if job_id in records else {}


def _add_record(call: Call, record: JobRecord, state: State, fact: Any) -> None:
    zone = call.settings.zone
    run = state.last_run
    if run is not None:
        started = instant(from_epoch(run["time_started"]), zone)
        message = run_message(run)
        text = f"{run['result']}, started {started}, took {duration(length(run))}"
        fact("last run", f"{text}: {message}" if message else text)
        fact("", f"coldchain log {record.job_id} {run['run_id']} shows its log")
    elif state.result:
        fact("last run", f"{state.result} (elsewhere, as the imported document says)")
    else:
        fact("last run", "none")
    groups = call.store.skipped(record.job_id, 3)
    if state.skipped is not None:
        groups = [state.skipped, *groups]
    for group in groups[:3]:
        first = instant(datetime.fromisoformat(group["scheduled_for"]), zone)
        number = group["skipped"]
        more = "" if number == 1 else f" and {number - 1} more"
        fact("skipped", f"{first}{more}: {group['reason']}")
