# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command event: ask the runner for something."""

from __future__ import annotations

import argparse
from typing import Any

from coldchain import lifecycle
from coldchain.cli.arguments import whole_number
from coldchain.cli.context import Call
from coldchain.cli.job_state import state_of
from coldchain.cli.job_view import NO_RUNNER, length, listed
from coldchain.cli.output import duration
from coldchain.cli.progress_bar import Bar
from coldchain.cli.waiting import (
    Wait,
    answer_with,
    draw_progress,
    failure_of,
    how_far,
    nothing_ran,
    wait_for,
    who_asks,
)
from coldchain.core.errors import ColdchainError, DataError, TryAgain, Unavailable
from coldchain.lifecycle import EVENTS
from coldchain.store import Change, State, Store
from coldchain.store.records import run_message


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument("job", metavar="JOB")
    command.add_argument("event", choices=EVENTS)
    command.add_argument("--check", action="store_true", help="only tell what it would do")
    command.add_argument("--wait", action="store_true", help="until it is done")
    command.add_argument(
        "--timeout", metavar="SECONDS", type=whole_number, default=3600, help="of --wait (3600)"
    )


def run(call: Call) -> int:
    """Leave a request for the runner; with --wait, until it is done; with --check, only tell."""
    arguments, store = call.arguments, call.store
    job_id, requested = arguments.job, arguments.event
    record = call.record(job_id)
    state = state_of(call, record)
    check = arguments.check
    if arguments.wait and not check and not store.runner_alive():
        raise Unavailable(
            "the runner is not running, so there is nothing to wait for; the event was not queued",
            "start it (systemctl start coldchain-runner, or coldchain serve), or do not wait",
        )
    changed, after = _effect(store, job_id, state, requested)
    request = ""
    if check:
        pass
    elif changed and requested == "remove":
        store.apply([Change(job_id, None)])
        call.put_down("event", {"job_id": job_id, "event": requested})
    elif changed:
        request = store.add_event(job_id, requested, who_asks()).id
        call.put_down("event", {"job_id": job_id, "event": requested, "request": request})
    run: dict[str, Any] | None = None
    late: ColdchainError | None = None
    if arguments.wait and not check:
        before = (state.last_run or {}).get("run_id")
        wait = Wait(store, job_id, requested, request, before)
        with Bar() as pbar:
            try:
                run = wait_for(wait, arguments.timeout, lambda: draw_progress(call, job_id, pbar))
                if requested == "start" and run is None:
                    late = nothing_ran(call, wait)
            except TryAgain as error:
                text = how_far(call, job_id)
                late = TryAgain(f"{error.message}: {text}", error.hint) if text else error
    failure = late or failure_of(job_id, run if requested == "start" else None)
    answer = {
        "job_id": job_id,
        "event": requested,
        "changed": changed,
        "before": {"status": state.status, "event": state.event},
        "after": after,
        "run": run,
        "job": listed(call, job_id),
    }
    answer_with(call, answer, failure)
    if not call.output.json and failure is None:
        _tell_event(call, answer)
    return 0 if failure is None else failure.exit_code


def _effect(
    store: Store, job_id: str, state: State, requested: str
) -> tuple[bool, dict[str, str] | None]:
    """Whether the event does anything, after those that already wait for the runner; and status
    and waiting event of the job then, None when it is gone."""
    if state.one_off:
        if requested != "abort":
            raise DataError(
                f"{job_id} is run once and then forgotten: it can only be aborted",
                f"coldchain event {job_id} abort, or let it end",
            )
        return True, {"status": lifecycle.ABORTING, "event": requested} if state.active else None
    waiting = [request.event for request in store.pending_events() if request.job_id == job_id]
    what = state.stopped_by["what"] if state.stopped_by else ""
    try:
        changed, after = lifecycle.foresee(state.status, state.event, what, waiting, requested)
    except lifecycle.LifecycleError:
        raise DataError(
            f"job {job_id} was removed and its last run goes on: it can only be aborted",
            "apply its document again to have it back after that run",
        ) from None
    gone = after.status == lifecycle.REMOVED
    return changed, None if gone else {"status": after.status, "event": after.pending}


def _tell_event(call: Call, answer: dict[str, Any]) -> None:
    job_id, requested, run = answer["job_id"], answer["event"], answer["run"]
    if run is not None:
        took = duration(length(run))
        call.output.line(f"{job_id}: {run['result']} after {took}: {run_message(run)}".rstrip(": "))
    elif not answer["changed"]:
        call.output.line(f"{job_id}: {requested} changes nothing")
    elif call.arguments.check:
        then = answer["after"] or {"status": lifecycle.REMOVED}
        would = f"{requested} would change it to {then['status']}"
        if requested == "start" and answer["before"]["status"] == lifecycle.SCHEDULED:
            would = "start would run it now"  # and it stays scheduled
        elif then.get("event") and then["status"] == answer["before"]["status"]:
            ends = requested == "abort"  # a run that is being aborted, or whose job was removed
            would = "abort would end its run" if ends else f"{requested} would wait for its run"
        call.output.line(f"{job_id}: {would} (checked only)")
    elif requested == "remove":
        call.output.line(f"{job_id}: removed; its history and its backups are kept")
    else:
        call.output.line(f"{job_id}: {requested} requested")
        if not call.store.runner_alive():
            call.output.note(NO_RUNNER)
