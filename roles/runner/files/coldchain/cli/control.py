# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that let something happen: event, run, serve."""

from __future__ import annotations

import getpass
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from coldchain import lifecycle
from coldchain.agent.progress import MARK
from coldchain.cli.call import Call, unknown_job
from coldchain.cli.inputs import STANDARD_INPUT, documents
from coldchain.cli.look import NO_RUNNER, length, listed, progress_line, run_message
from coldchain.cli.output import Located, Refused, duration, error_object
from coldchain.cli.progress_bar import Bar
from coldchain.errors import ColdchainError, DataError, JobFailed, TryAgain, Unavailable
from coldchain.execution.watching import present
from coldchain.store import Change, State, Store

POLL_FIRST, POLL_LAST = 0.02, 0.5  # seconds between two looks at the store
ALIVE_EVERY = 2.0

_ACTIVE = (lifecycle.RUNNING, lifecycle.ABORTING)


def event(call: Call) -> int:
    """Leave a request for the runner; with --wait, until it is done."""
    arguments, store = call.arguments, call.store
    job_id, wanted = arguments.job, arguments.event
    record = call.record(job_id)
    state = call.state(record)
    if arguments.wait and not store.runner_alive():
        raise Unavailable(
            "the runner is not running, so there is nothing to wait for; the event was not queued",
            "start it (systemctl start coldchain-runner, or coldchain serve), or leave out --wait",
        )
    changed = _changes(store, job_id, state, wanted)
    request = ""
    if changed and wanted == "remove":
        store.apply([Change(job_id, None)])
    elif changed:
        request = store.add_event(job_id, wanted, _somebody()).id
    run, late = None, None
    if arguments.wait:
        before = (state.last_run or {}).get("run_id")
        wait = _Wait(store, job_id, wanted, request, before)
        with Bar() as pbar:
            try:
                run = _wait(wait, arguments.timeout, lambda: _draw(call, job_id, pbar))
            except TryAgain as error:
                late = _how_far(call, error)
    failure = late or _failure(job_id, run if wanted == "start" else None)
    answer = {
        "job_id": job_id,
        "event": wanted,
        "changed": changed,
        "run": run,
        "job": listed(call, job_id),
    }
    _answer(call, answer, failure)
    if not call.output.json and failure is None:
        _tell_event(call, answer)
    return 0 if failure is None else failure.exit_code


def _changes(store: Store, job_id: str, state: State, wanted: str) -> bool:
    """Whether the event does anything, after those that already wait for the runner."""
    status, pending = state.status, state.event
    for earlier in store.pending_events():
        if earlier.job_id == job_id and earlier.event in lifecycle.EVENTS:
            if earlier.event == wanted:
                return False
            after = lifecycle.after_event(status, earlier.event)
            status, pending = after.status, after.pending
    after = lifecycle.after_event(status, wanted)
    return (after.status, after.pending) != (status, pending) or after.effect != lifecycle.NOTHING


def _somebody() -> str:
    """Who asks, for the record: behind sudo the person, not root."""
    if os.environ.get("SUDO_USER"):
        return os.environ["SUDO_USER"][:100]
    try:
        return getpass.getuser()[:100]
    except (KeyError, OSError, ImportError):
        return f"user id {os.getuid()}"


@dataclass(frozen=True)
class _Wait:
    """What is waited for.  request: id of the event, "" when none was needed; before: run id of
    the last finished run when the event was sent."""

    store: Store
    job_id: str
    event: str
    request: str
    before: str | None

    def over(self) -> bool:
        if self.request and not self.store.event_done(self.request):
            return False
        state = self.store.state(self.job_id)
        if state is None:
            return True
        if self.event == "start":
            waiting = state.status == lifecycle.SCHEDULED and any(
                entry["at"] <= time.time() for entry in state.queue
            )
            return state.status not in _ACTIVE and not waiting
        if self.event == "remove":
            return False
        return state.status not in _ACTIVE

    def run(self) -> dict[str, Any] | None:
        """The run that ended meanwhile."""
        state = self.store.state(self.job_id)
        run = None if state is None else state.last_run
        return run if run is not None and run.get("run_id") != self.before else None


def _nothing() -> None:
    pass


def _wait(
    wait: _Wait, timeout: float, watch: Callable[[], None] = _nothing
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


def _how_far(call: Call, error: TryAgain) -> TryAgain:
    """*error* with what the run is doing, for whoever has waited in vain."""
    job = listed(call, call.arguments.job) or {}
    if job.get("progress"):
        return TryAgain(f"{error.message}: {progress_line(job['progress'])}", error.hint)
    return error


def _draw(call: Call, job_id: str, pbar: Bar) -> None:
    """The progress of the job's run, where somebody can see it."""
    state = call.store.state(job_id) if pbar.drawn else None
    if state is not None and state.run_id:
        _draw_run(call.paths.runs / state.run_id, pbar)


def _draw_run(directory: Path, pbar: Bar) -> None:
    progress = present(directory) if pbar.drawn else None
    if progress is not None:
        pbar.show(progress, "" if progress["message"] else f"action {progress['action']}")


def _failure(job_id: str, run: dict[str, Any] | None) -> JobFailed | None:
    """The error that a run without success is; None for a good one, and for none."""
    if run is None or run.get("result") == "success":
        return None
    message = run_message(run)
    reason = f": {message}" if message else ""
    return JobFailed(
        f"job {job_id}: {run.get('result') or 'no result'}{reason}",
        f"coldchain log {job_id} {run['run_id']} shows its log" if run.get("log") else "",
    )


def _answer(call: Call, answer: dict[str, Any], failure: ColdchainError | None) -> None:
    """In JSON the answer holds the failure too: one object, whatever happened."""
    if call.output.json:
        if failure is not None:
            answer["error"] = error_object(failure)
        call.output.answer(answer)
    elif failure is not None:
        call.output.error(failure)


def _tell_event(call: Call, answer: dict[str, Any]) -> None:
    job_id, wanted, run = answer["job_id"], answer["event"], answer["run"]
    if run is not None:
        took = duration(length(run))
        call.output.line(f"{job_id}: {run['result']} after {took}: {run_message(run)}".rstrip(": "))
    elif not answer["changed"]:
        call.output.line(f"{job_id}: {wanted} changes nothing")
    elif wanted == "remove":
        call.output.line(f"{job_id}: removed; its history and its backups are kept")
    else:
        call.output.line(f"{job_id}: {wanted} requested")
        if not call.store.runner_alive():
            call.output.note(NO_RUNNER)


def run(call: Call) -> int:
    """Run a declared job, or a document that is not declared, here and now."""
    from coldchain.runner import run_now

    target = _target(call)
    job_id = target if isinstance(target, str) else str(target["job_id"])
    with Bar() as pbar:
        tell = _Screen(_to_stderr if call.output.json else call.output.text, pbar)
        if isinstance(target, str) and call.store.runner_alive():
            record = _run_by_runner(call, target, tell, pbar)
        else:
            watch = partial(_draw_run, pbar=pbar)
            record = run_now(call.paths, call.settings, target, tell, watch)
    failure = _failure(job_id, record)
    _answer(call, {"job_id": job_id, "run": record}, failure)
    if not call.output.json and failure is None:
        call.output.line(f"{job_id}: {record['result']} after {duration(length(record))}")
    return 0 if failure is None else failure.exit_code


class _Screen:
    """Prints a log beside the bar, which stands for the log's own lines of progress."""

    def __init__(self, output: Callable[[str], None], pbar: Bar) -> None:
        self._output, self._bar = output, pbar

    def __call__(self, text: str) -> None:
        if self._bar.drawn:
            lines = text.splitlines(keepends=True)
            text = "".join(each for each in lines if not each.startswith(MARK))
        if text:
            self._bar.clear()
            self._output(text)


def _run_by_runner(
    call: Call, job_id: str, tell: Callable[[str], None], pbar: Bar
) -> dict[str, Any]:
    """Let the runner that is at work do it, and follow the log.  An interrupt aborts the run."""
    from coldchain.runner import Follower

    store, follow = call.store, Follower(tell)
    before = ((store.state(job_id) or State()).last_run or {}).get("run_id")
    request = store.add_event(job_id, lifecycle.RUN, _somebody()).id
    wait = _Wait(store, job_id, "start", request, before)

    def watch() -> None:
        state = store.state(job_id)
        if state is not None and state.run_id:
            follow.more(call.paths.run_log(job_id, state.run_id))
            _draw_run(call.paths.runs / state.run_id, pbar)

    try:
        record = _wait(wait, math.inf, watch)
    except KeyboardInterrupt:
        store.add_event(job_id, "abort", _somebody())
        record = _wait(wait, math.inf, watch)
    if record is None:
        raise Unavailable(
            f"job {job_id} went away before it ran", f"coldchain explain {job_id} may know why"
        )
    follow.more(call.paths.run_log(job_id, record["run_id"]))
    return record


def _to_stderr(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _target(call: Call) -> str | dict[str, Any]:
    """The id of a declared job, or else the document in a file."""
    name = call.arguments.target
    declared: list[str] = []
    try:
        declared = list(call.store.jobs())
    except Unavailable:
        if not (name == STANDARD_INPUT or Path(name).exists()):
            raise
    if name in declared:
        return str(name)
    if name != STANDARD_INPUT and not Path(name).exists():
        error = unknown_job(name, declared)
        raise DataError(f"{error.message}, and no file of that name", error.hint)
    return _document(call, name)


def _document(call: Call, name: str) -> dict[str, Any]:
    from datetime import datetime, timezone

    from coldchain.document import Context, check

    given = documents(name)
    if len(given.items) != 1:
        raise DataError(f"{given.source}: holds {len(given.items)} documents", "give one")
    settings = call.settings
    now = datetime.now(timezone.utc)
    checked = check(
        given.items[0], Context(settings.client_id, settings.zone, now, settings.allow_exec)
    )
    if checked.document is None:
        located = [Located(0, "", problem) for problem in checked.errors]
        raise Refused(f"{given.source}: the document is refused", located, single=True)
    return checked.document


def serve(call: Call) -> int:
    """Be the runner until a signal ends it."""
    from coldchain.runner import serve as be_the_runner

    return be_the_runner(call.paths, call.settings)
