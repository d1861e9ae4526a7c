# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runs in progress: which may begin, what their processes do, how each is put on record.

"Running" is on disk before the first process of a run starts, and the record of a run before the
state that says it is over: a crash in between repeats something, but loses nothing.
"""

from __future__ import annotations

import logging
import selectors
import time
from collections.abc import Callable

from coldchain.errors import CannotWrite, ColdchainError
from coldchain.execution.run import Cause, JobRun
from coldchain.instants import from_epoch, iso
from coldchain.paths import Paths
from coldchain.runner.jobs import Jobs
from coldchain.settings import Settings
from coldchain.store import Bounds, JobRecord, Store

RETRY_WRITE = 2.0
"""Seconds between two tries to write when the disk does not take it."""

log = logging.getLogger(__name__)


class ActiveRuns:
    """By job: no job has two.  *only*: begin runs of this job and no other."""

    def __init__(
        self,
        paths: Paths,
        settings: Settings,
        store: Store,
        jobs: Jobs,
        bounds: Bounds,
        only: str | None,
    ) -> None:
        self.runs: dict[str, JobRun] = {}
        self.on_end: Callable[[JobRun], None] = lambda run: None
        self.selector = selectors.DefaultSelector()
        self._paths, self._settings, self._store, self._jobs = paths, settings, store, jobs
        self._only = only
        self._bounds = bounds
        self._registered: dict[int, str] = {}
        self._fresh: list[JobRun] = []  # made, but their state is not committed yet
        self._closed: list[JobRun] = []  # recorded, but their state is not committed yet
        self._retried: set[str] = set()  # runs whose record may be in the history already
        self._refused: dict[str, tuple[float, str]] = {}  # jobs without a place for a run

    # -- places ----------------------------------------------------------------------------------

    def busy(self) -> int:
        """How many runs have a process now."""
        return sum(run.process is not None for run in self.runs.values())

    def _places(self) -> int:
        return self._settings.concurrent_jobs - self.busy() - len(self._fresh)

    def wake_at(self) -> float | None:
        """Monotonic seconds at which a run wants to be looked at."""
        full = self._places() <= 0
        times = [
            run.wake_at
            for run in self.runs.values()
            if run.wake_at is not None and not (full and run.process is None)
        ]
        return min(times) if times else None

    # -- going on --------------------------------------------------------------------------------

    def take_over(self, run: JobRun) -> None:
        """A run that an earlier runner began."""
        self.runs[run.job_id] = run
        self._retried.add(run.run_id)
        run.wake_at = time.monotonic()
        self._register(run)

    def advance_due(self) -> None:
        """Let every run whose time has come go on."""
        now = time.monotonic()
        for run in list(self.runs.values()):
            waits = run.process is None and self._places() <= 0 and run.result is None
            if run.wake_at is not None and run.wake_at <= now and not waits:
                self._advance(run)

    def process_ended(self, pidfd: int) -> None:
        run = self.runs[self._registered.pop(pidfd)]
        self.selector.unregister(pidfd)
        run.finished()
        self._advance(run)

    def bound_logs(self) -> None:
        """A flood must not fill the disk before its action ends."""
        for run in self.runs.values():
            if run.process is not None:
                run.bound_log()

    def _advance(self, run: JobRun) -> None:
        run.advance()
        self._register(run)
        if run.result is not None and run.job_id in self.runs:
            self._close(run)

    def _register(self, run: JobRun) -> None:
        pidfd = run.pidfd
        if pidfd is not None and pidfd not in self._registered:
            self.selector.register(pidfd, selectors.EVENT_READ)
            self._registered[pidfd] = run.job_id

    # -- beginning -------------------------------------------------------------------------------

    def start_due(self) -> None:
        """Make the runs that are due; they begin with the next commit."""
        now = time.monotonic()
        held = {
            run.document["lock"]: job_id
            for job_id, run in self.runs.items()
            if "lock" in run.document
        }
        places = self._places()
        for job_id, name in self._jobs.timetable.due(time.time()):
            if self._only is not None and job_id != self._only:
                continue
            if name in held:
                self._jobs.wait_reason(job_id, 0, held[name], name)
                continue
            if places <= 0:
                self._jobs.wait_reason(job_id, self._settings.concurrent_jobs, None, "")
                continue
            if self._refused.get(job_id, (0.0, ""))[0] > now:
                continue
            record = self._store.job(job_id)
            name = "" if record is None else record.document.get("lock", "")
            if record is None or name in held:
                continue  # removed or declared anew a moment ago: the next turn takes that in
            if not self._make(job_id, record):
                continue
            places -= 1
            if name:
                held[name] = job_id

    def _make(self, job_id: str, record: JobRecord) -> bool:
        """False, and a reason in the job's state, when the disk does not take the new run: this one
        waits, the others do not."""
        entry = self._jobs.states[job_id].queue[0]
        cause = Cause(entry["cause"], iso(from_epoch(entry["slot"])))
        try:
            run = JobRun.create(self._paths, self._settings, job_id, record.document, cause)
        except CannotWrite as error:
            if self._refused.get(job_id, (0.0, ""))[1] != error.message:  # else said before
                log.error("job %s cannot begin: %s (%s)", job_id, error.message, error.hint)
            self._refused[job_id] = time.monotonic() + RETRY_WRITE, error.message
            self._jobs.states.change(job_id, reason=f"cannot begin: {error.message}")
            return False
        self._refused.pop(job_id, None)
        self._jobs.fired(job_id, run.record)
        self.runs[job_id] = run
        self._fresh.append(run)
        return True

    # -- ending ----------------------------------------------------------------------------------

    def _close(self, run: JobRun) -> None:
        """Record, then state, then clean up."""
        job_id = run.job_id
        try:
            if not (run.run_id in self._retried and self._store.in_history(job_id, run.run_id)):
                self._store.add_history(job_id, run.record)
            self._jobs.ended(job_id, run.record)
        except ColdchainError as error:
            log.error("%s (%s)", error.message, error.hint)
            self._retried.add(run.run_id)
            run.keep()
            run.wake_at = time.monotonic() + RETRY_WRITE
            return
        self._retried.discard(run.run_id)
        del self.runs[job_id]
        log.log(
            logging.INFO if run.result == "success" else logging.ERROR,
            "job %s: run %s ended: %s after %.1f s",
            job_id,
            run.run_id,
            run.result,
            max(0.0, run.record["time_ended"] - run.record["time_started"]),
        )
        self._closed.append(run)

    def committed(self) -> None:
        """The states are on disk: do what had to wait for that."""
        fresh, self._fresh = self._fresh, []
        for run in fresh:
            log.info("job %s: run %s begins (%s)", run.job_id, run.run_id, run.record["cause"])
            self._advance(run)
        closed, self._closed = self._closed, []
        for run in closed:
            self._bound_history(run)
            run.forget()
            self.on_end(run)

    def _bound_history(self, run: JobRun) -> None:
        try:
            self._store.bound_history(run.job_id, run.run_id, self._bounds)
        except (ColdchainError, OSError) as error:  # the next run of the job tries again
            log.error("job %s: its history keeps too much: %s", run.job_id, error)

    def forget_closed(self) -> None:
        """The runner ends after its last commit: leave no working directory of what is over."""
        for run in self._closed:
            run.forget()
