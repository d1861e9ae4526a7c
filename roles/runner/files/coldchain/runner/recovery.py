# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a start: adopt the runs that an earlier runner began, put on record those that are gone."""

from __future__ import annotations

import logging
import select
import shutil
import signal
import time
from pathlib import Path

from coldchain import lifecycle
from coldchain.errors import ColdchainError
from coldchain.execution.process import Process
from coldchain.execution.run import JobRun
from coldchain.instants import from_epoch, iso
from coldchain.paths import Paths
from coldchain.runner.active import ActiveRuns
from coldchain.runner.jobs import Jobs
from coldchain.settings import Settings
from coldchain.store import Run, State, Store

_ACTIVE = (lifecycle.RUNNING, lifecycle.ABORTING)

log = logging.getLogger(__name__)


def recover(paths: Paths, settings: Settings, store: Store, jobs: Jobs, active: ActiveRuns) -> None:
    """Bring runs and states together again; nothing is committed yet."""
    for directory in sorted(paths.runs.iterdir()):
        try:
            run = JobRun.load(paths, settings, directory)
        except ValueError as error:
            _discard(directory, str(error), settings.grace)
            continue
        if _in_history(run, store):
            _finish(run, store, jobs)
        else:
            _take_up(run, jobs)
            active.take_over(run)
    for job_id, state in list(jobs.states.items()):
        if state.status in _ACTIVE and job_id not in active.runs:
            try:
                _put_on_record(job_id, state, store, jobs)
            except ColdchainError as error:  # this job stays as it is; the others go on
                log.error("job %s: %s (%s)", job_id, error.message, error.hint)
                jobs.states.change(job_id, reason=error.message)


def _in_history(run: JobRun, store: Store) -> bool:
    try:
        return store.in_history(run.job_id, run.run_id)
    except ColdchainError as error:  # asked again when the run is to be recorded
        log.error("job %s: %s (%s)", run.job_id, error.message, error.hint)
        return False


def _discard(directory: Path, why: str, grace: float) -> None:
    """A run directory without a readable record.  A crash leaves one before anything of it runs;
    where a disk lost the record, an action may run that nobody could supervise any more."""
    log.error("%s; the directory of the run is removed", why)
    for attempt in filter(Path.is_dir, directory.glob("*.*")):
        process = Process.adopt(attempt)
        if process is not None:
            log.error("process %d of that run still runs; it is ended", process.pid)
            process.signal(signal.SIGTERM)
            end = select.poll()  # select() takes no descriptor above 1023
            end.register(process.pidfd, select.POLLIN)
            end.poll(grace * 1000)
            process.finish()
    shutil.rmtree(directory, ignore_errors=True)


def _finish(run: JobRun, store: Store, jobs: Jobs) -> None:
    """A crash between the record of the run and its clean-up."""
    state = jobs.states.get(run.job_id)
    if state is not None and state.run_id == run.run_id:
        jobs.ended(run.job_id, _recorded(store, run.job_id, run.run_id))
    store.tidy_history(run.job_id)
    run.forget()


def _take_up(run: JobRun, jobs: Jobs) -> None:
    job_id = run.job_id
    state = jobs.states.get(job_id)
    if state is not None and state.run_id != run.run_id:
        # The run was made, but its state not committed: it began all the same.
        slot = run.record["scheduled_for"]
        jobs.timetable.taken_up[job_id] = slot
        rest = [entry for entry in state.queue if iso(from_epoch(entry["slot"])) != slot]
        jobs.begun(job_id, run.record, rest)
    still = "still runs" if run.process is not None else "goes on"
    log.info("job %s: the run %s %s; taken over", job_id, run.run_id, still)


def _put_on_record(job_id: str, state: State, store: Store, jobs: Jobs) -> None:
    """The state says that a run is in progress, and there is no trace of it."""
    now, run_id = round(time.time(), 3), state.run_id or ""
    record = {
        "run_id": run_id,
        "job_id": job_id,
        "cause": state.cause or "schedule",
        "scheduled_for": state.scheduled_for or iso(from_epoch(state.time_started or now)),
        "time_started": state.time_started or now,
        "time_ended": now,
        "result": "fail",
        "actions": [],
        "reason": "the host or the runner went down before the run left a record",
    }
    if not store.in_history(job_id, run_id):
        store.add_history(job_id, record)
    log.error("job %s: the run %s is gone", job_id, run_id)
    jobs.ended(job_id, _recorded(store, job_id, run_id))


def _recorded(store: Store, job_id: str, run_id: str) -> Run:
    return next(run for run in store.history(job_id, 50) if run["run_id"] == run_id)
