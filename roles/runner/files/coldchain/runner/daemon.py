# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop: waits for the next due instant, a change, a request, a signal or the end of a process.

One thread, one selector, and at most one commit of the state a tick.
"""

from __future__ import annotations

import logging
import selectors
import signal
import time
from collections.abc import Callable

from coldchain import lifecycle
from coldchain.errors import ColdchainError, Unavailable
from coldchain.execution.process import check_support
from coldchain.execution.run import JobRun
from coldchain.paths import Paths
from coldchain.runner.active import RETRY_WRITE, ActiveRuns
from coldchain.runner.clocks import Clocks
from coldchain.runner.housekeeping import Housekeeping
from coldchain.runner.jobs import Jobs
from coldchain.runner.notify import notify, watchdog_period
from coldchain.runner.recovery import recover
from coldchain.runner.signals import Inbox
from coldchain.runner.wake import Wake
from coldchain.settings import Settings
from coldchain.store import Bounds, Store

TICK = 1.0
"""Seconds: the longest sleep, because select() does not notice that the wall clock was set."""
STOP_FOR_CLEAN_UP = 20.0
"""Seconds that a stop waits for clean-ups after its last action was ended; they go on without us.
The unit's TimeoutStopSec has ten more."""
RESTART_ME = 75
"""Exit code after USR2: the service manager starts us again (RestartForceExitStatus)."""

log = logging.getLogger(__name__)


class Runner:
    """The one process that runs jobs and writes their state; the caller holds the runner's lock.

    only: run this job once somebody asks for it, and leave all others alone.
    """

    def __init__(
        self, paths: Paths, settings: Settings, inbox: Inbox, *, only: str | None = None
    ) -> None:
        check_support()
        self.paths, self.settings = paths, settings
        self.store = Store.open(paths, create=True)
        self.jobs = Jobs(self.store, settings, live=only is None)
        bounds = Bounds(settings.history_runs, settings.history_days, settings.history_max_bytes)
        self.active = ActiveRuns(paths, settings, self.store, self.jobs, bounds, only)
        self._housekeeping = Housekeeping(self.store, self.jobs.states, bounds)
        self.reexec = False
        self._only = only
        self._inbox, self._wake = inbox, Wake(paths.wake)
        for source in (inbox.socket, self._wake.socket):
            self.active.selector.register(source, selectors.EVENT_READ)
        self._lock = self._lock_file()
        self._exit_code: int | None = None
        self._stopping_at: float | None = None
        self._put_off: dict[str, float] = {}  # steps that failed -> when to try again (monotonic)
        self._clocks = Clocks()
        self.store.distrust_clock()
        self._look_again = False

    @property
    def runs(self) -> dict[str, JobRun]:
        """The runs in progress by job."""
        return self.active.runs

    @property
    def leaving(self) -> bool:
        """Has the loop been told to end?"""
        return self._exit_code is not None

    def recover(self) -> None:
        """After a start: adopt what still runs, close what does not, look at every schedule."""
        self.store.tidy()
        recover(self.paths, self.settings, self.store, self.jobs, self.active)
        self.jobs.reload()
        self.jobs.states.commit()

    # -- the loop --------------------------------------------------------------------------------

    def loop(self) -> int:
        """Run until told to stop; the exit code."""
        notify("READY=1")
        log.info(
            "runner ready: %d jobs, %d runs in progress", len(self.jobs.states), len(self.runs)
        )
        period, sign_at = watchdog_period(), 0.0
        self.tick()
        while not self.leaving:
            for number in self.wait(TICK if period is None else min(TICK, period)):
                self._signal(number)
            self.tick()
            if period is not None and time.monotonic() >= sign_at:
                notify("WATCHDOG=1")
                sign_at = time.monotonic() + period
        assert self._exit_code is not None
        return self._exit_code

    def wait(self, at_most: float = TICK) -> list[int]:
        """Until something happens or is due, *at_most* seconds; the signals that have come."""
        for key, dummy in self.active.selector.select(min(at_most, self._timeout())):
            if key.fileobj is self._wake.socket:
                self._wake.drain()
            elif key.fileobj is not self._inbox.socket:
                self.active.process_ended(key.fd)
        return self._inbox.take()

    def _timeout(self) -> float:
        timeout = TICK if self._put_off else self._until_due()
        wake_at = self.active.wake_at()
        if wake_at is not None:
            timeout = min(timeout, wake_at - time.monotonic())
        return max(0.0, timeout)

    def _until_due(self) -> float:
        """Seconds until there is something to take in, to look at or to begin, at most TICK."""
        clock = time.time()
        timeout = 0.0 if self._only is None and self.jobs.pressing else TICK
        idle = self.jobs.timetable.idle_seconds
        if idle is not None:
            timeout = min(timeout, idle)
        queued = self.jobs.timetable.next_queued()
        if queued is not None and queued > clock:
            timeout = min(timeout, queued - clock)
        return timeout

    def tick(self) -> None:
        """Everything that is due now.

        A disk that cannot be read or written stops one of the steps, and never the supervision of
        what runs.
        """
        if self._lock_file() != self._lock:
            log.critical(
                "%s: was removed or replaced under the runner, which leaves; what it runs goes on",
                self.paths.lib,
            )
            self._exit_code = Unavailable.exit_code
            return
        move = self._clocks.moved()
        if move is not None:
            log.warning("%s; looking at every job again", move)
            self._look_again = True
            self.store.distrust_clock()
        self.active.bound_logs()
        if self._only is None:
            self._try("declarations", self._take_in)
            self._try("requests", self._act_on_requests)
            self._try("slots", self._look)
        self.active.advance_due()
        if self._stopping_at is None:
            self._try("beginning", self.active.start_due)
        self._try("commit", self._commit)
        if self._only is None:
            self._housekeeping.step()
        self._check_stop()

    def _try(self, step: str, act: Callable[[], None]) -> None:
        """Take the step; when it fails, say so and try again a little later."""
        if time.monotonic() < self._put_off.get(step, 0.0):
            return
        self._put_off.pop(step, None)
        try:
            act()
        except ColdchainError as error:
            log.error("%s (%s); trying again", error.message, error.hint)
            self._put_off[step] = time.monotonic() + RETRY_WRITE

    def _take_in(self) -> None:
        if self.jobs.outdated:
            self.jobs.reload()

    def _act_on_requests(self) -> None:
        for job_id, effect, by in self.jobs.take_events():
            self._affect(job_id, effect, by)

    def _look(self) -> None:
        again, self._look_again = self._look_again, True  # if this fails
        if again:
            self.jobs.timetable.look_again()
        self.jobs.timetable.run_pending()
        self._look_again = False

    def _commit(self) -> None:
        self.jobs.states.commit()
        self.active.committed()

    def _lock_file(self) -> tuple[int, int] | None:
        """Which file it is that keeps other runners away."""
        try:
            status = self.paths.runner_lock.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def _affect(self, job_id: str, effect: str, by: str) -> None:
        run = self.runs.get(job_id)
        if run is None or effect not in (lifecycle.TERMINATE, lifecycle.KILL):
            return
        run.end(f"aborted by {by}", kill=effect == lifecycle.KILL)

    # -- signals and the end ---------------------------------------------------------------------

    def _signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self.reexec, self._exit_code = False, None  # of what came at once, the stop counts
            if self._stopping_at is None:
                self._stopping_at = time.monotonic() + self.settings.stop_timeout
                notify("STOPPING=1")
                log.info("stopping: %d runs in progress", self.active.busy())
            else:
                self._stopping_at = time.monotonic()
        elif number == signal.SIGUSR1:
            self._print_state()
        elif number == signal.SIGUSR2 and self._stopping_at is None:
            log.info("leaving: %d runs go on and are taken over at the next start", len(self.runs))
            self._exit_code = RESTART_ME
        elif number == signal.SIGHUP and self._stopping_at is None:
            self._reload_program()

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
        late = time.monotonic() - self._stopping_at
        if self.active.busy() == 0 and not any(run.result for run in self.runs.values()):
            # Runs that only wait for a retry go on after the next start.
            self._exit_code = 0
        elif late >= 0:
            for run in self.runs.values():
                if run.process is not None and not run.progress.aborted:
                    run.end("the runner was stopped")
                    run.progress.killed = True  # no further action, but this one gets its grace
            busy = [run for run in self.runs.values() if run.process is not None]
            patience = self.settings.grace + STOP_FOR_CLEAN_UP
            if late >= patience and all(run.cleaning for run in busy):
                log.warning("leaving: %d clean-ups go on and are taken over later", len(busy))
                self._exit_code = 0

    def _print_state(self) -> None:
        log.info(
            "%d jobs, %d runs in progress, %d waiting, next due in %s s",
            len(self.jobs.states),
            len(self.runs),
            len(self.jobs.timetable.waiting),
            self.jobs.timetable.idle_seconds,
        )
        for job_id, run in self.runs.items():
            log.info(
                "running: job %s run %s pid %s", job_id, run.run_id, run.process and run.process.pid
            )

    def close(self) -> None:
        """Write what is left and let go of everything; running actions go on."""
        try:
            self.jobs.states.commit()
            self.active.forget_closed()
        except ColdchainError as error:
            log.error("%s", error.message)
        self.active.selector.close()
        self._wake.close(keep=self.reexec)
        self.store.close()
