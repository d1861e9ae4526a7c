# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command list: the jobs and how they are."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

from coldchain.cli.arguments import add_show_secrets, whole_number
from coldchain.cli.context import Call
from coldchain.cli.job_state import known_state
from coldchain.cli.job_view import (
    listed_record,
    moment_of,
    pending_events,
    print_runs,
    progress_line,
    standstill,
)
from coldchain.cli.output import instant
from coldchain.cli.sessions import summary
from coldchain.core.instants import from_epoch
from coldchain.core.text import shorten
from coldchain.lifecycle import REMOVED, STATUSES

_STATUSES = tuple(status for status in STATUSES if status != REMOVED)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument("jobs", metavar="JOB", nargs="*")
    command.add_argument("--status", choices=_STATUSES, help="only jobs with this status")
    command.add_argument("--session", metavar="ID", help="only jobs with this session_id")
    command.add_argument("--documents", action="store_true", help="with their documents")
    add_show_secrets(command)
    command.add_argument(
        "--history", metavar="N", type=whole_number, default=0, help="with their last N runs"
    )


def run(call: Call) -> int:
    """The jobs, one line or object each."""
    jobs, unknown = _chosen(call)
    alive = call.store.runner_alive()
    asked = call.arguments.session
    session = None if asked is None else summary(jobs, asked)
    if call.output.json:
        answer = {"jobs": jobs, "unknown": unknown, "runner_alive": alive}
        call.output.answer({**answer, **({"session": session} if session else {})})
        return 0
    _print(call, jobs)
    for job_id in unknown:
        call.output.note(f"there is no job {job_id!r}")
    if session is not None and session["session_tag"] is not None:
        tag, result = session["session_tag"], session["result"] or "not all jobs have run"
        when = instant(from_epoch(tag), call.settings.zone)
        call.output.line(f"session {asked}, tag {tag} ({when}): {result}")
    why = standstill(call)
    if why and call.store.jobs():
        call.output.note(why)
    return 0


def _chosen(call: Call) -> tuple[list[dict[str, Any]], list[str]]:
    """The jobs that are asked for, and the names among the arguments that are none's."""
    arguments, store = call.arguments, call.store
    records, states, events = store.jobs(), store.states(), pending_events(call)
    if not arguments.jobs:  # all of them together take a third of the time
        records, states = dict(records.items()), dict(states.items())
    undeclared = {
        job_id: states[job_id]
        for job_id in arguments.jobs or states
        if job_id not in records
        and job_id in states
        and (states[job_id].active or states[job_id].one_off)
    }
    jobs, unknown = [], []
    for job_id in dict.fromkeys(arguments.jobs) or sorted({*records, *undeclared}):
        if job_id in records:
            record = records[job_id]
            state = known_state(call, record, states.get(job_id), asked=job_id in events)
        elif job_id in undeclared:
            state = undeclared[job_id]
            record = call.undeclared(job_id, state)
        else:
            unknown.append(job_id)
            continue
        asked = arguments.session in (None, record.document.get("session_id"))
        if asked and arguments.status in (None, state.status):
            jobs.append(listed_record(call, record, state, events.get(job_id, "")))
    return jobs, unknown


def _print(call: Call, jobs: Sequence[Mapping[str, Any]]) -> None:
    zone = call.settings.zone
    rows = []
    for job in jobs:
        run = job["last_run"] or {}
        rows.append(
            (
                job["job_id"],
                _status(job),
                job["result"],
                instant(moment_of(run.get("time_started") or job["time_started"]), zone),
                instant(moment_of(job["next_run"]), zone),
                shorten(job["description"], 40),
            )
        )
    call.output.table(("JOB", "STATUS", "RESULT", "LAST RUN", "NEXT RUN", "DESCRIPTION"), rows)
    for job in jobs:
        if job["progress"]:
            call.output.line(f"{job['job_id']}: {progress_line(job['progress'])}")
        if job["survivors"]:
            call.output.line(f"{job['job_id']}: {job['reason']}")
        if "document" in job:
            call.output.line(json.dumps(job["document"], indent=2))
        if job.get("runs"):
            call.output.line()
            print_runs(call, job["runs"])


def _status(job: Mapping[str, Any]) -> str:
    """For people: stop (event by root), running (stop), scheduled."""
    words = []
    if job["stopped_by"] is not None:
        who = job["stopped_by"]["who"]
        words.append(job["stopped_by"]["what"] + (f" by {who}" if who else ""))
    if job["event"]:
        words.append(job["event"])
    return f"{job['status']} ({', '.join(words)})" if words else str(job["status"])
