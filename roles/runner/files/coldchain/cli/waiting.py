# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands share that let the runner do something: wait, watch, tell."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from coldchain import lifecycle
from coldchain.cli.context import Call
from coldchain.cli.job_view import listed, progress_line
from coldchain.cli.output import error_object, instant
from coldchain.cli.progress_bar import Bar
from coldchain.core.errors import ColdchainError, JobFailed, TryAgain, Unavailable
from coldchain.execution.live_progress import read
from coldchain.store import State, Store
from coldchain.store.records import run_message

SOON = 2.0  # seconds
POLL_FIRST, POLL_LAST = 0.02, 0.5  # seconds between two looks at the store
ALIVE_EVERY = 2.0


def who_asks() -> str:
    """Who asks, for the record: behind sudo the person, not root."""
    if os.environ.get("SUDO_USER"):
        return os.environ["SUDO_USER"][:100]
    try:
        return getpass.getuser()[:100]
    except (KeyError, OSError, ImportError):
        return f"user id {os.getuid()}"


class Wait(NamedTuple):
    """What is waited for.  request: id of the event, "" when none was needed; before: run id of
    the last finished run when the event was sent."""

    store: Store
    job_id: str
    event: str
    request: str
    before: str | None

    def over(self) -> bool:
        """Whether what is waited for is done."""
        if self.request and not self.store.event_done(self.request):
            return False
        state = self.store.state(self.job_id)
        if state is None:
            return True
        if self.event == "start":
            waiting = state.status == lifecycle.SCHEDULED and any(
                entry["at"] <= time.time() for entry in state.queue
            )
            follows = self.run() is None and _begins_soon(state)
            return state.status not in lifecycle.ACTIVE and not waiting and not follows
        if self.event == "remove":
            return False
        return state.status not in lifecycle.ACTIVE

    def run(self) -> dict[str, Any] | None:
        """The run that ended meanwhile."""
        state = self.store.state(self.job_id)
        run = None if state is None else state.last_run
        return run if run is not None and run.get("run_id") != self.before else None


def _begins_soon(state: State) -> bool:
    """Is the next run of the schedule so near that it is the one that was asked for?  A continuous
    one begins again within a second."""
    if state.next_run is None or state.status != lifecycle.SCHEDULED:
        return False
    return datetime.fromisoformat(state.next_run).timestamp() - time.time() <= SOON


def nothing_ran(call: Call, wait: Wait) -> TryAgain | Unavailable:
    """The error that a start without a run is, for whoever has waited for one: what comes next
    would take it for done."""
    state = wait.store.state(wait.job_id)
    if state is None:
        return Unavailable(f"job {wait.job_id} was removed before it ran", "apply it again")
    if state.next_run is None:
        why = f": {state.reason}" if state.reason else ""
        return Unavailable(f"start of job {wait.job_id} has run nothing{why}")
    at = instant(datetime.fromisoformat(state.next_run), call.settings.zone)
    return TryAgain(
        f"start of job {wait.job_id}, which was stopped, has run nothing: its schedule goes on, and"
        f" the next run is at {at}",
        "start it once more to run it now; whoever needs no run does not wait for one",
    )


def _watch_nothing() -> None:
    pass


def wait_for(
    wait: Wait, timeout: float, watch: Callable[[], None] = _watch_nothing
) -> dict[str, Any] | None:
    """Until it is over; the run that ended meanwhile, if any.  *watch* is called now and then."""
    begun = looked = time.monotonic()
    pause = POLL_FIRST
    while not wait.over():
        watch()
        now = time.monotonic()
        if now - begun >= timeout:
            raise TryAgain(
                f"{wait.event} of job {wait.job_id} is not done after {timeout:g} seconds",
                f"it goes on; coldchain explain {wait.job_id} tells how far it is",
            )
        if now - looked >= ALIVE_EVERY:
            looked = now
            if not wait.store.runner_alive():
                raise Unavailable(
                    "the runner ended while its answer was waited for",
                    f"start it again; coldchain list {wait.job_id} tells what became of the job",
                )
        time.sleep(min(pause, max(0.0, timeout - (now - begun))))
        pause = min(pause * 1.5, POLL_LAST)
    return wait.run()


def draw_progress(call: Call, job_id: str, pbar: Bar) -> None:
    """The progress of the job's run, where somebody can see it."""
    state = call.store.state(job_id) if pbar.drawn else None
    if state is not None and state.run_id:
        draw_run(call.paths.runs / state.run_id, pbar)


def draw_run(directory: Path, pbar: Bar) -> None:
    """The progress of the run in *directory*, where somebody can see it."""
    progress = read(directory) if pbar.drawn else None
    if progress is not None:
        pbar.show(progress, "" if progress["message"] else f"action {progress['action']}")


def how_far(call: Call, job_id: str) -> str:
    """What the job's run is doing and what it waits for, for whoever has waited in vain; "" when
    nothing is known of it."""
    job = listed(call, job_id) or {}
    progress = job.get("progress")
    return "; ".join(filter(None, (progress and progress_line(progress), job.get("reason"))))


def failure_of(job_id: str, run: dict[str, Any] | None) -> JobFailed | None:
    """The error that a run without success is; None for a good one, and for none."""
    if run is None or run.get("result") == "success":
        return None
    message = run_message(run)
    reason = f": {message}" if message else ""
    return JobFailed(
        f"job {job_id}: {run.get('result') or 'no result'}{reason}",
        f"coldchain log {job_id} {run['run_id']} shows its log" if run.get("log") else "",
    )


def answer_with(call: Call, answer: dict[str, Any], failure: ColdchainError | None) -> None:
    """In JSON the answer holds the failure too: one object, whatever happened."""
    if call.output.json:
        if failure is not None:
            answer["error"] = error_object(failure)
        call.output.answer(answer)
    elif failure is not None:
        call.output.error(failure)
