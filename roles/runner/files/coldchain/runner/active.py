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
from collections.abc import Callable, Sequence

from coldchain.core.errors import CannotWrite, ColdchainError
from coldchain.core.instants import from_epoch, iso
from coldchain.core.log_limit import LimitedLog
from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.execution.run import Cause, JobRun
from coldchain.observe.records import RunEnded, Subscriber, publish
from coldchain.runner.guarding import Guarding
from coldchain.runner.jobs import Jobs
from coldchain.store import Document, Run, Store

STOPPED = "the runner was stopped"
"""Why a run ended that was not over when the runner had to stop."""
RETRY_WRITE = 2.0
"""Seconds between two tries to write when the disk does not take it."""

log = logging.getLogger(__name__)


class ActiveRuns:
    """The runs in progress, by job: no job has two.

    subscribers: are told of each run that has ended, once that is on disk; only: begin runs of this
    job and no other.
    """

    def __init__(
        self,
        paths: Paths,
        settings: Settings,
        store: Store,
        jobs: Jobs,
        subscribers: Sequence[Subscriber],
        only: str | None,
    ) -> None:
        self.runs: dict[str, JobRun] = {}
        self.subscribers = list(subscribers)
        self.on_begin: Callable[[Run, Document], None] = lambda run, document: None
        """Is told of each run that begins, once that is on disk."""
        self.selector = selectors.DefaultSelector()
        self._paths, self._settings, self._store, self._jobs = paths, settings, store, jobs
        self._only, self._guard = only, Guarding(store)
        self._registered: dict[int, str] = {}
        self._uncommitted: list[JobRun] = []  # made, but their state is not committed yet
        self._unreleased: list[JobRun] = []  # their directories go when the state is committed
        self._unpublished: list[RunEnded] = []  # recorded, but their state is not committed yet
        self._maybe_recorded: set[str] = set()  # runs whose record may be in the history already
        self._stuck: dict[str, str] = {}  # runs with survivors -> which, as they were told
        self._backoff: dict[str, float] = {}  # job -> try again at (monotonic)
        self._troubles = LimitedLog(log)

    # -- places ----------------------------------------------------------------------------------

    def busy(self) -> int:
        """How many runs have a process now."""
        return sum(run.process is not None for run in self.runs.values())

    def _places(self) -> int:
        return self._settings.concurrent_jobs - self.busy() - len(self._uncommitted)

    def wake_at(self) -> float | None:
        """Monotonic seconds at which a run wants to be looked at."""
        full = self._places() <= 0
        times = [
            run.wake_at
            for run in self.runs.values()
            if run.wake_at is not None and not (full and run.process is None)
        ]
        return min(times) if times else None

    @property
    def unpublished(self) -> Sequence[RunEnded]:
        """What the subscribers are told once the states are on disk."""
        return self._unpublished

    # -- going on --------------------------------------------------------------------------------

    def take_over(self, run: JobRun) -> None:
        """A run that an earlier runner began."""
        self.runs[run.job_id] = run
        self._maybe_recorded.add(run.run_id)
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
        """The process behind *pidfd* is over: take its result, and let the run go on."""
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
        self._tell_survivors(run)
        if run.result is not None and run.job_id in self.runs:
            self._close(run)

    def _tell_survivors(self, run: JobRun) -> None:
        """Say once, in the log and in the job's state, what keeps a run that was ended."""
        survivors = run.survivors
        names = ", ".join(map(str, survivors))
        if names and self._stuck.get(run.run_id) != names:
            self._stuck[run.run_id] = names
            text = f"waits for what cannot be ended: {names}"
            log.error("job %s: run %s %s", run.job_id, run.run_id, text)
            named = [member.as_dict() for member in survivors]
            self._jobs.states.change(run.job_id, survivors=named)
        elif not names and self._stuck.pop(run.run_id, ""):
            self._jobs.states.change(run.job_id, survivors=[])

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
        for job_id, name in self._jobs.queues.due(time.time()):
            if self._only is not None and job_id != self._only:
                continue
            if name in held:
                self._jobs.wait_reason(job_id, 0, held[name], name)
                continue
            if places <= 0:
                self._jobs.wait_reason(job_id, self._settings.concurrent_jobs, None, "")
                continue
            if self._backoff.get(job_id, 0.0) > now:
                continue
            document = self._jobs.to_run(job_id)
            name = "" if document is None else document.get("lock", "")
            if document is None or name in held:
                continue  # removed or declared anew a moment ago: the next turn takes that in
            if not self._make(job_id, document):
                continue
            places -= 1
            if name:
                held[name] = job_id

    def _make(self, job_id: str, document: Document) -> bool:
        """False, and a reason in the job's state, when the disk does not take the new run: this one
        waits, the others do not."""
        entry = self._jobs.states[job_id].queue[0]
        cause = Cause(entry["cause"], iso(from_epoch(entry["slot"])), entry.get("request"))
        try:
            run = JobRun.create(self._paths, self._settings, job_id, document, cause)
        except CannotWrite as error:
            text = f"job {job_id} cannot begin: {error.message} ({error.hint})"
            self._troubles.say(f"begin {job_id}", text)
            self._backoff[job_id] = time.monotonic() + RETRY_WRITE
            self._jobs.states.change(job_id, reason=f"cannot begin: {error.message}")
            return False
        self._backoff.pop(job_id, None)
        self._troubles.forget(f"begin {job_id}")  # that it begins is told
        self._jobs.fired(job_id, run.record)
        self.runs[job_id] = run
        self._uncommitted.append(run)
        return True

    # -- ending ----------------------------------------------------------------------------------

    def _close(self, run: JobRun) -> None:
        """Record, then state, then clean up."""
        job_id = run.job_id
        if "findings" not in run.record:
            run.record["findings"] = self._guard.look(run.record, run.document)
        try:
            if not (
                run.run_id in self._maybe_recorded and self._store.in_history(job_id, run.run_id)
            ):
                self._store.add_history(job_id, run.record)
            previous = self._jobs.last_run(job_id)
            self._jobs.ended(job_id, run.record)
            if self._only is None and run.record.get("reason") == STOPPED:
                self._jobs.timetable.make_up_for(job_id, run.record, time.time())
        except ColdchainError as error:
            self._troubles.say(f"record {job_id}", f"{error.message} ({error.hint})")
            self._maybe_recorded.add(run.run_id)
            run.keep()
            run.wake_at = time.monotonic() + RETRY_WRITE
            return
        self._maybe_recorded.discard(run.run_id)
        self._troubles.forget(f"record {job_id}")  # that it has ended is told
        self._stuck.pop(run.run_id, None)
        del self.runs[job_id]
        log.log(
            logging.INFO if run.result == "success" else logging.ERROR,
            "job %s: run %s ended: %s after %.1f s",
            job_id,
            run.run_id,
            run.result,
            max(0.0, run.record["time_ended"] - run.record["time_started"]),
        )
        self.announce(run.record, run.document, previous)
        self._unreleased.append(run)

    def announce(self, record: Run, document: Document, previous: Run | None) -> None:
        """Tell the subscribers of a run that has ended, with the next commit.

        record: the finished RUN; document: what the run was started with; previous: the RUN that
        the job finished before, if any.
        """
        self._unpublished.append(RunEnded(record, document, previous))

    def release(self, run: JobRun) -> None:
        """Remove the directory of a run that is over, once the subscribers were told: what a crash
        leaves before is told again at the next start."""
        self._unreleased.append(run)

    def committed(self) -> None:
        """The states are on disk: do what had to wait for that.

        What is due begins first: while it runs the others are told, and what ends meanwhile shares
        the next commit.  But ends are told before beginnings: of the same job, whoever is told
        takes an end for that of the last beginning.
        """
        over, self._unpublished = self._unpublished, []
        uncommitted, self._uncommitted = self._uncommitted, []
        try:
            for run in uncommitted:
                log.info("job %s: run %s begins (%s)", run.job_id, run.run_id, run.record["cause"])
                self._advance(run)
        finally:
            self._publish(over)
        for run in uncommitted:
            self.on_begin(run.record, run.document)
        self.publish_ended()  # of those that could not even begin

    def publish_ended(self) -> None:
        """The states are on disk: tell of the runs that are over, and remove their directories."""
        unpublished, self._unpublished = self._unpublished, []
        self._publish(unpublished)
        unreleased, self._unreleased = self._unreleased, []
        for run in unreleased:
            run.forget()

    def _publish(self, over: Sequence[RunEnded]) -> None:
        for ended in over:
            publish(ended, self.subscribers)
