# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop: waits for the next due instant, a change, a request, a signal or the end of a process.

One thread, one selector.  At most one commit of the state a tick, and a run is on disk as running
before its first process starts.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from coldchain import lifecycle
from coldchain.errors import CannotWrite, ColdchainError
from coldchain.execution.run import Cause, JobRun
from coldchain.instants import from_epoch, iso
from coldchain.paths import Paths
from coldchain.runner.jobs import Jobs
from coldchain.runner.notify import notify, watchdog_period
from coldchain.runner.signals import Inbox
from coldchain.settings import Settings
from coldchain.store import JobRecord, Run, Store

TICK = 1.0
"""Seconds: the longest sleep, because select() does not notice that the wall clock was set."""
RETRY_WRITE = 2.0
"""Seconds between two tries to write when the disk does not take it."""
CLOCK_STEP = 2.0
PRUNE_EVERY = 50
RESTART_ME = 75
"""Exit code after USR2: the service manager starts us again (RestartForceExitStatus)."""

log = logging.getLogger(__name__)


class Runner:
    """The one process that runs jobs and writes their state; the caller holds the runner's lock."""

    def __init__(self, paths: Paths, settings: Settings, *, only: str | None = None) -> None:
        self.paths, self.settings = paths, settings
        self.store = Store.open(paths, create=True)
        self.jobs = Jobs(self.store, settings, arm=only is None)
        self.runs: dict[str, JobRun] = {}
        self.only = only
        self.reexec = False
        self._exit_code: int | None = None
        self._stopping_at: float | None = None
        self._selector = selectors.DefaultSelector()
        self._registered: dict[int, str] = {}
        self._write_again_at = 0.0
        self._clock_offset = time.time() - time.monotonic()
        self._appended: dict[str, int] = {}
        self._on_end: Callable[[JobRun], None] = lambda run: None
        self._fresh: list[JobRun] = []  # made, but their state is not committed yet
        self._retried: set[str] = set()  # runs whose record the disk did not take at first
        self._closed: list[JobRun] = []  # recorded, but their state is not committed yet
        self._wake = self._open_wake()

    def _open_wake(self) -> socket.socket:
        wake = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        wake.setblocking(False)
        self.paths.wake.unlink(missing_ok=True)
        # A socket's path may have 107 bytes; through /proc/self/fd a longer one fits too.
        directory = os.open(self.paths.lib, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            wake.bind(f"/proc/self/fd/{directory}/{self.paths.wake.name}")
        except OSError as error:
            wake.close()
            raise CannotWrite(f"{self.paths.wake}: {error.strerror}") from None
        finally:
            os.close(directory)
        self.paths.wake.chmod(0o600)
        return wake

    # -- start ---------------------------------------------------------------------------------

    def recover(self) -> None:
        """After a start: adopt what still runs, close what does not, look at every schedule."""
        for directory in sorted(self.paths.runs.iterdir()):
            try:
                run = JobRun.load(self.paths, self.settings, directory)
            except ValueError as error:
                self._discard(directory, str(error))
                continue
            if self.store.in_history(run.job_id, run.run_id):
                self._clean_up(run)  # a crash between the record and the clean-up
            else:
                self._take_up(run)
        for job_id, state in self.jobs.states.items():
            active = state.status in (lifecycle.RUNNING, lifecycle.ABORTING)
            if active and job_id not in self.runs:
                self._lost_run(job_id, state.run_id or "", state.time_started)
        self.jobs.reload()
        self.jobs.commit()

    def _discard(self, directory: Path, why: str) -> None:
        """A run directory that a crash left without a readable record: nothing was started."""
        log.error("%s; the run never began, its directory is removed", why)
        for entry in directory.iterdir():
            entry.unlink()
        directory.rmdir()

    def _lost_run(self, job_id: str, run_id: str, started: float | None) -> None:
        now = round(time.time(), 3)
        record = {
            "run_id": run_id,
            "job_id": job_id,
            "cause": "schedule",
            "scheduled_for": iso(from_epoch(started or now)),
            "time_started": started or now,
            "time_ended": now,
            "result": "fail",
            "actions": [],
            "reason": "the runner died before the run left a record",
        }
        if not self.store.in_history(job_id, run_id):
            self.store.add_history(job_id, record)
        log.error("job %s: the run %s is gone", job_id, run_id)
        self.jobs.ended(job_id, self._recorded(job_id, run_id))

    def _recorded(self, job_id: str, run_id: str) -> Run:
        return next(run for run in self.store.history(job_id, 50) if run["run_id"] == run_id)

    def _clean_up(self, run: JobRun) -> None:
        state = self.jobs.states.get(run.job_id)
        if state is not None and state.run_id == run.run_id:
            self.jobs.ended(run.job_id, self._recorded(run.job_id, run.run_id))
        run.forget()

    def _take_up(self, run: JobRun) -> None:
        job_id = run.job_id
        state = self.jobs.states.get(job_id)
        if state is not None and state.run_id != run.run_id:
            # The run was made, but its state not committed: it began all the same.
            slot = run.record["scheduled_for"]
            queue = [entry for entry in state.queue if iso(from_epoch(entry["slot"])) != slot]
            self.jobs.taken_up[job_id] = slot
            self.jobs.change(
                job_id,
                status=lifecycle.RUNNING,
                run_id=run.run_id,
                queue=queue,
                result="",
                time_started=run.record["time_started"],
                time_ended=None,
            )
            if not queue:
                self.jobs.waiting.pop(job_id, None)
        still = "still runs" if run.process is not None else "goes on"
        log.info("job %s: the run %s %s; taken over", job_id, run.run_id, still)
        self.runs[job_id] = run
        run.wake_at = time.monotonic()
        self._register(run)

    # -- the loop --------------------------------------------------------------------------------

    def loop(self, inbox: Inbox) -> int:
        """Run until told to stop; the exit code."""
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._selector.register(inbox.socket, selectors.EVENT_READ)
        notify("READY=1")
        log.info(
            "runner ready: %d jobs, %d runs in progress", len(self.jobs.states), len(self.runs)
        )
        period, sign_at = watchdog_period(), 0.0
        self.tick()
        while self._exit_code is None:
            for key, dummy in self._selector.select(self._timeout()):
                if key.fileobj is self._wake:
                    self._drain_wake()
                elif key.fileobj is not inbox.socket:
                    self._process_ended(key.fd)
            for number in inbox.take():
                self._signal(number)
            self.tick()
            if period is not None and time.monotonic() >= sign_at:
                notify("WATCHDOG=1")
                sign_at = time.monotonic() + period
        return self._exit_code

    def _timeout(self) -> float:
        now, clock = time.monotonic(), time.time()
        timeout = 0.0 if self.jobs.jobs_written or self.jobs.events_written else TICK
        idle = self.jobs.clock.idle_seconds
        if idle is not None:
            timeout = min(timeout, idle)
        queued = self.jobs.next_queued()
        if queued is not None and queued > clock:
            timeout = min(timeout, queued - clock)
        full = self._places() <= 0
        for run in self.runs.values():
            if run.wake_at is not None and not (full and run.process is None):
                timeout = min(timeout, run.wake_at - now)
        return max(0.0, timeout)

    def _drain_wake(self) -> None:
        try:
            while self._wake.recv(64):
                pass
        except BlockingIOError:
            return

    def tick(self) -> None:
        """Everything that is due now."""
        self._watch_clock()
        now = time.monotonic()
        for run in self.runs.values():
            if run.process is not None:
                run.bound_log()  # a flood must not fill the disk before its action ends
        try:
            if self.only is None:
                if self.store.jobs_changed() or self.jobs.jobs_written:
                    self.jobs.reload()
                if self.store.events_changed() or self.jobs.events_written:
                    for job_id, effect, by in self.jobs.take_events():
                        self._affect(job_id, effect, by)
                self.jobs.clock.run_pending()
            for run in list(self.runs.values()):
                waits = run.process is None and self._places() <= 0 and run.result is None
                if run.wake_at is not None and run.wake_at <= now and not waits:
                    self._advance(run)
            if now >= self._write_again_at:
                self._start_due()
                self._commit()
        except ColdchainError as error:
            log.error("%s (%s); trying again", error.message, error.hint)
            self._write_again_at = time.monotonic() + RETRY_WRITE
        self._check_stop()

    def _commit(self) -> None:
        """Write the states; what had to wait for that is done then."""
        self.jobs.commit()
        fresh, self._fresh = self._fresh, []
        for run in fresh:
            log.info("job %s: run %s begins (%s)", run.job_id, run.run_id, run.record["cause"])
            self._advance(run)
        closed, self._closed = self._closed, []
        for run in closed:
            run.forget()
            self._on_end(run)
            self._prune(run.job_id)

    def _watch_clock(self) -> None:
        offset = time.time() - time.monotonic()
        step = offset - self._clock_offset
        if abs(step) > CLOCK_STEP:
            self._clock_offset = offset
            self.jobs.turn_clock(step)

    # -- runs ------------------------------------------------------------------------------------

    def _places(self) -> int:
        active = sum(run.process is not None for run in self.runs.values())
        return self.settings.concurrent_jobs - active - len(self._fresh)

    def _start_due(self) -> None:
        """Make the runs that are due.  They begin with the next commit, so that "running" is on
        disk before anything starts."""
        if self._stopping_at is not None:
            return
        held = {
            run.document["lock"]: job_id
            for job_id, run in self.runs.items()
            if "lock" in run.document
        }
        for job_id, record in self.jobs.due(time.time()):
            if self.only is not None and job_id != self.only:
                continue
            name = record.document.get("lock", "")
            if name in held:
                self.jobs.wait_reason(job_id, 0, held[name], name)
            elif self._places() <= 0:
                self.jobs.wait_reason(job_id, self.settings.concurrent_jobs, None, "")
            else:
                self._fresh.append(self._make(job_id, record))
                if name:
                    held[name] = job_id

    def _make(self, job_id: str, record: JobRecord) -> JobRun:
        entry = self.jobs.states[job_id].queue[0]
        cause = Cause(entry["cause"], iso(from_epoch(entry["slot"])))
        run = JobRun.create(self.paths, self.settings, job_id, record.document, cause)
        self.jobs.begun(job_id, run.record)
        self.runs[job_id] = run
        return run

    def _advance(self, run: JobRun) -> None:
        run.advance()
        self._register(run)
        if run.result is not None and run.job_id in self.runs:
            self._close(run)

    def _register(self, run: JobRun) -> None:
        pidfd = run.pidfd
        if pidfd is not None and pidfd not in self._registered:
            self._selector.register(pidfd, selectors.EVENT_READ)
            self._registered[pidfd] = run.job_id

    def _process_ended(self, pidfd: int) -> None:
        run = self.runs[self._registered.pop(pidfd)]
        self._selector.unregister(pidfd)
        run.finished()
        self._advance(run)

    def _close(self, run: JobRun) -> None:
        """Record, then state, then clean up: a crash in between repeats, but loses nothing."""
        job_id = run.job_id
        try:
            if not (run.run_id in self._retried and self.store.in_history(job_id, run.run_id)):
                self.store.add_history(job_id, run.record)
        except CannotWrite as error:
            log.error("%s", error.message)
            self._retried.add(run.run_id)
            run.wake_at = time.monotonic() + RETRY_WRITE
            return
        self._retried.discard(run.run_id)
        del self.runs[job_id]
        seconds = run.record["time_ended"] - run.record["time_started"]
        log.log(
            logging.INFO if run.result == "success" else logging.ERROR,
            "job %s: run %s ended: %s after %.1f s",
            job_id,
            run.run_id,
            run.result,
            seconds,
        )
        self.jobs.ended(job_id, run.record)
        self._closed.append(run)

    def _prune(self, job_id: str) -> None:
        appended = self._appended.get(job_id, PRUNE_EVERY)
        if appended < PRUNE_EVERY:
            self._appended[job_id] = appended + 1
            return
        self._appended[job_id] = 1
        oldest = time.time() - self.settings.history_days * 86400
        self.store.prune_history(job_id, keep=self.settings.history_runs, oldest=oldest)

    def _affect(self, job_id: str, effect: str, by: str) -> None:
        run = self.runs.get(job_id)
        if run is None or effect not in (lifecycle.TERMINATE, lifecycle.KILL):
            return
        run.end(f"aborted by {by}", kill=effect == lifecycle.KILL)

    # -- stop ------------------------------------------------------------------------------------

    def _signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            if self._stopping_at is None:
                self._stopping_at = time.monotonic() + self.settings.stop_timeout
                notify("STOPPING=1")
                log.info("stopping: %d runs in progress", self._active())
            else:
                self._stopping_at = time.monotonic()
        elif number == signal.SIGUSR1:
            self._print_state()
        elif number == signal.SIGUSR2:
            log.info("leaving: %d runs go on and are taken over at the next start", len(self.runs))
            self._exit_code = RESTART_ME
        elif number == signal.SIGHUP:
            self._reload_program()

    def _active(self) -> int:
        return sum(run.process is not None for run in self.runs.values())

    def _reload_program(self) -> None:
        try:
            Settings.load(self.paths)
        except ColdchainError as error:
            log.error("not reloaded: %s (%s)", error.message, error.hint)
            return
        log.info("reloading: %d runs go on", len(self.runs))
        self.reexec = True
        self._exit_code = 0

    def _check_stop(self) -> None:
        if self._stopping_at is None:
            return
        if self._active() == 0 and not any(run.result for run in self.runs.values()):
            # Runs that only wait for a retry go on after the next start.
            self._exit_code = 0
        elif time.monotonic() >= self._stopping_at:
            for run in self.runs.values():
                if run.process is not None and not run.progress.aborted:
                    run.end("the runner was stopped")
                    run.progress.killed = True  # no further action, but this one gets its grace

    def _print_state(self) -> None:
        log.info(
            "%d jobs, %d runs in progress, %d waiting, next due in %s s",
            len(self.jobs.states),
            len(self.runs),
            len(self.jobs.waiting),
            self.jobs.clock.idle_seconds,
        )
        for job_id, run in self.runs.items():
            log.info(
                "running: job %s run %s pid %s", job_id, run.run_id, run.process and run.process.pid
            )

    def close(self) -> None:
        """Write what is left and let go of everything; running actions go on."""
        try:
            self.jobs.commit()
            for run in self._closed:
                run.forget()
        except ColdchainError as error:
            log.error("%s", error.message)
        self._selector.close()
        self._wake.close()
        if not self.reexec:
            self.paths.wake.unlink(missing_ok=True)
        self.store.close()
