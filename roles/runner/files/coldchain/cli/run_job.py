# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command run: a job now, in the foreground."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from coldchain import lifecycle
from coldchain.agent.progress import MARK
from coldchain.cli.context import Call, unknown_job
from coldchain.cli.inputs import STANDARD_INPUT
from coldchain.cli.job_view import length
from coldchain.cli.output import duration
from coldchain.cli.progress_bar import Bar
from coldchain.cli.waiting import Wait, answer_with, draw_run, failure_of, wait_for, who_asks
from coldchain.core.errors import DataError, Unavailable
from coldchain.observe.ledger.format import run_fields
from coldchain.store import State


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument("job_or_file", metavar="JOB|FILE", help="a declared job, or a document")


def run(call: Call) -> int:
    """Run a declared job, or a document that is not declared, here and now."""
    from coldchain.runner.foreground import run_now
    from coldchain.runner.lock import RunnerAtWork

    asked = _asked_for(call)
    job_id = asked if isinstance(asked, str) else str(asked["job_id"])
    with Bar() as pbar:
        tell = _Screen(_to_stderr if call.output.json else call.output.text, pbar)
        watch = partial(draw_run, pbar=pbar)
        if isinstance(asked, dict):
            record = run_now(call.paths, call.settings, asked, tell, watch)
            # The run of a declared job is put down as every other one of it.
            call.put_down("run", {**run_fields(record), "declared": False})
        elif call.store.runner_alive():
            record = _run_by_runner(call, asked, tell, pbar)
        else:
            try:
                record = run_now(call.paths, call.settings, asked, tell, watch)
            except RunnerAtWork:  # it has come meanwhile
                record = _run_by_runner(call, asked, tell, pbar)
    failure = failure_of(job_id, record)
    answer_with(call, {"job_id": job_id, "run": record}, failure)
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
            text = "".join(line for line in lines if not line.startswith(MARK))
        if text:
            self._bar.clear()
            self._output(text)


def _run_by_runner(
    call: Call, job_id: str, tell: Callable[[str], None], pbar: Bar
) -> dict[str, Any]:
    """Let the runner that is at work do it, and follow the log.  An interrupt aborts the run."""
    from coldchain.runner.foreground import Follower

    store, follow = call.store, Follower(tell)
    before = ((store.state(job_id) or State()).last_run or {}).get("run_id")
    request = store.add_event(job_id, lifecycle.RUN, who_asks()).id
    call.put_down("event", {"job_id": job_id, "event": "run", "request": request})
    wait = Wait(store, job_id, "start", request, before)

    def watch() -> None:
        state = store.state(job_id)
        if state is not None and state.run_id:
            follow.more(call.paths.run_log(job_id, state.run_id))
            draw_run(call.paths.runs / state.run_id, pbar)

    try:
        record = wait_for(wait, math.inf, watch)
    except KeyboardInterrupt:
        request = store.add_event(job_id, "abort", who_asks()).id
        call.put_down("event", {"job_id": job_id, "event": "abort", "request": request})
        record = wait_for(wait, math.inf, watch)
    if record is None:
        raise Unavailable(
            f"job {job_id} went away before it ran", f"coldchain explain {job_id} may know why"
        )
    follow.more(call.paths.run_log(job_id, record["run_id"]))
    return record


def _to_stderr(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _asked_for(call: Call) -> str | dict[str, Any]:
    """The id of a declared job, or else the document in a file."""
    name = call.arguments.job_or_file
    declared: list[str] = []
    try:
        declared = list(call.store.jobs())
    except Unavailable:
        if not (name == STANDARD_INPUT or os.path.exists(name)):
            raise
    if name in declared:
        return str(name)
    if name != STANDARD_INPUT and not os.path.exists(name):  # no name is not this directory
        error = unknown_job(name, declared)
        raise DataError(f"{error.message}, and no file of that name", error.hint)
    from coldchain.cli.checking import document_to_run

    return document_to_run(call, name)
