# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a start: adopt the runs that an earlier runner began, put on record those that are gone."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from coldchain.core.errors import ColdchainError
from coldchain.core.instants import from_epoch, iso
from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.execution.attempt_files import begun_in
from coldchain.execution.run import JobRun
from coldchain.execution.supervision import end_what_runs
from coldchain.runner.active import ActiveRuns
from coldchain.runner.jobs import Jobs
from coldchain.store import Run, State, Store

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
            _finish(run, store, jobs, active)
        else:
            _take_up(run, jobs)
            active.take_over(run)
    for job_id, state in list(jobs.states.items()):
        if state.active and job_id not in active.runs:
            try:
                _put_on_record(job_id, state, store, jobs, active)
            except ColdchainError as error:  # this job stays as it is; the others go on
                log.error("job %s: %s (%s)", job_id, error.message, error.hint)
                jobs.states.change(job_id, reason=error.message)
    try:
        jobs.one_offs.drop_late()
    except ColdchainError as error:  # then they begin late
        log.error("%s (%s)", error.message, error.hint)


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
    for attempt in begun_in(directory):
        ended, remain = end_what_runs(attempt, grace)
        if ended:
            log.error("process %d of that run still ran; it was ended", ended)
        if remain:
            log.error("not to be ended: %s", ", ".join(map(str, remain)))
    import shutil  # seldom, and it brings bz2 and lzma

    shutil.rmtree(directory, ignore_errors=True)


def _finish(run: JobRun, store: Store, jobs: Jobs, active: ActiveRuns) -> None:
    """A crash between the record of the run and its clean-up.

    The subscribers are told (again): better twice than never, and the run id tells them.
    """
    state = jobs.states.get(run.job_id)
    record = _recorded(store, run.job_id, run.run_id)
    previous = jobs.last_run(run.job_id)
    if state is not None and state.run_id == run.run_id:
        jobs.ended(run.job_id, record)
    if previous is not None and previous["run_id"] == run.run_id:
        previous = None
    active.announce(record, run.document, previous)
    store.tidy_history(run.job_id)
    active.release(run)


def _take_up(run: JobRun, jobs: Jobs) -> None:
    jobs.run_found(run.record)
    still = "still runs" if run.process is not None else "goes on"
    log.info("job %s: the run %s %s; taken over", run.job_id, run.run_id, still)


def _put_on_record(job_id: str, state: State, store: Store, jobs: Jobs, active: ActiveRuns) -> None:
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
        **({} if state.request is None else {"request": state.request}),
    }
    if not store.in_history(job_id, run_id):
        store.add_history(job_id, record)
    log.error("job %s: the run %s is gone", job_id, run_id)
    declared = store.job(job_id)
    record = _recorded(store, job_id, run_id)
    jobs.ended(job_id, record)
    active.announce(record, {} if declared is None else declared.document, state.last_run)


def _recorded(store: Store, job_id: str, run_id: str) -> Run:
    found = store.recorded(job_id, run_id)
    assert found is not None  # it was just looked up, or put there
    return found
