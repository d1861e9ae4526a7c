# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``coldchain run``: one run here and now, with its log as it grows."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coldchain.core.errors import DataError, Unavailable
from coldchain.core.files import StrPath
from coldchain.core.instants import from_epoch, iso
from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.execution import orphans
from coldchain.execution.run import Cause, JobRun
from coldchain.observe.records import RunEnded
from coldchain.runner import lock
from coldchain.runner.daemon import Runner
from coldchain.runner.signals import caught
from coldchain.store import Run

Output = Callable[[str], None]
Watch = Callable[[Path], None]
POLL = 0.2
"""Seconds between two looks at a growing log."""
AT_ONCE = 1_048_576
"""Bytes of a log's growth that are shown: who prints more is no longer supervised meanwhile."""


def run_now(
    paths: Paths,
    settings: Settings,
    target: str | dict[str, Any],
    output: Output,
    watch: Watch,
) -> Run:
    """Run a declared job (its id) or an undeclared document here, in the foreground.

    *output* gets the text of the run's log as it grows; *watch* is called now and then with the
    run's directory.  An interrupt aborts the run.  The record of a declared job is kept as for any
    other run, and others that run in the foreground are waited for; RunnerAtWork when a runner is.
    """
    with orphans.adopted():
        if isinstance(target, str):
            return _run_declared(paths, settings, target, output, watch)
        return _run_document(paths, settings, target, output, watch)


def _run_declared(
    paths: Paths, settings: Settings, job_id: str, output: Output, watch: Watch
) -> Run:
    paths.create()
    with lock.turn(paths, lambda: output("waiting for what runs here in the foreground\n")):
        held = lock.acquire(paths)
        try:
            with caught() as inbox:
                runner = Runner(paths, settings, inbox, only=job_id)
                try:
                    return _run_once(runner, job_id, output, watch)
                finally:
                    runner.close()
        finally:
            os.close(held)


def _run_once(runner: Runner, job_id: str, output: Output, watch: Watch) -> Run:
    ended: list[RunEnded] = []
    runner.active.subscribers.append(ended.append)
    runner.recover()
    if job_id not in runner.jobs.states:
        raise DataError(f"there is no job {job_id!r} here", "coldchain list shows them")
    if job_id not in runner.runs:
        runner.jobs.run_once(job_id, "coldchain run")
    follow = Follower(output)
    while not any(run.job_id == job_id for run in ended):
        if runner.wait(POLL) and job_id in runner.runs:
            runner.runs[job_id].end("interrupted")
        runner.tick()
        if runner.leaving:
            raise Unavailable(f"{runner.paths.lib}: was removed while job {job_id} ran")
        run = runner.runs.get(job_id)
        if run is not None:
            follow.more(run.log)
            watch(run.directory)
    done = next(run for run in ended if run.job_id == job_id)
    follow.more(runner.paths.run_log(job_id, done.run_id))
    return dict(done.record)


def _run_document(
    paths: Paths, settings: Settings, document: dict[str, Any], output: Output, watch: Watch
) -> Run:
    import tempfile  # only here: the daemon does without

    with tempfile.TemporaryDirectory(prefix="coldchain-run-") as scratch:
        place = paths._replace(lib=Path(scratch, "lib"), log=Path(scratch, "log"))
        for directory in (place.lib, place.log, place.runs):
            directory.mkdir(mode=0o700)
        cause = Cause("event", iso(from_epoch(int(time.time()))))
        job_id = str(document.get("job_id", "document"))
        run = JobRun.create(place, settings, job_id, document, cause)
        follow = Follower(output)
        with caught() as inbox, selectors.DefaultSelector() as selector:
            selector.register(inbox.socket, selectors.EVENT_READ)
            run.advance()
            while run.result is None:
                watched = run.pidfd
                if watched is not None:
                    selector.register(watched, selectors.EVENT_READ)
                wait = POLL
                if run.wake_at is not None:
                    wait = min(wait, max(0.0, run.wake_at - time.monotonic()))
                ready = [key.fd for key, _unused in selector.select(wait)]
                if watched is not None:
                    selector.unregister(watched)
                if inbox.take():
                    run.end("interrupted")
                if watched in ready:
                    run.finished()
                run.advance()
                run.bound_log()
                orphans.look()
                follow.more(run.log)
                watch(run.directory)
        follow.more(run.log)
        del run.record["log"]  # it goes with the scratch directory
        return run.record


class Follower:
    """Hands on what a log has grown by; of a flood the end, as the log itself keeps it."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.position = 0

    def more(self, path: StrPath) -> None:
        """Hand on what the log at *path* has grown by since the last time."""
        try:
            with open(path, "rb") as stream:
                flood = stream.seek(0, os.SEEK_END) - self.position - AT_ONCE
                if flood > 0:
                    self.position += flood
                    self.output(f"\n[... {flood} bytes left out ...]\n")
                stream.seek(self.position)
                raw = stream.read(AT_ONCE)
        except FileNotFoundError:
            return
        if raw:
            self.position += len(raw)
            self.output(raw.replace(b"\0", b"").decode("utf-8", "backslashreplace"))
