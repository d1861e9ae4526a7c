# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop: waits for the next due instant, a change, a request, a signal or the end of a process.

One thread, one selector, and at most one commit of the state a tick.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import time
from collections.abc import Callable

from coldchain import lifecycle
from coldchain.core.errors import ColdchainError, Unavailable
from coldchain.core.log_limit import LimitedLog
from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.execution import cgroup, orphans
from coldchain.execution.members import boot_id
from coldchain.execution.process import check_support
from coldchain.execution.run import JobRun
from coldchain.observe.ledger.subscriber import RunLedger
from coldchain.observe.notifiers.target import host_targets
from coldchain.observe.records import close, step, stepping
from coldchain.runner.active import RETRY_WRITE, STOPPED, ActiveRuns
from coldchain.runner.alerts import Alerts
from coldchain.runner.clock_watch import ClockTrust, ClockWatch, ZoneWatch
from coldchain.runner.housekeeping import Housekeeping
from coldchain.runner.jobs import Jobs
from coldchain.runner.metrics import MetricsKeeper
from coldchain.runner.presence import is_superseded
from coldchain.runner.recovery import recover
from coldchain.runner.signals import Inbox
from coldchain.runner.subscribers import subscribers
from coldchain.runner.systemd import notify, watchdog_period
from coldchain.runner.wake import Wake
from coldchain.store import Bounds, Store

TICK = 1.0
"""Seconds: the longest sleep, because select() does not notice that the wall clock was set."""
STOP_FOR_CLEAN_UP = 20.0
"""Seconds that a stop waits for clean-ups after its last action was ended; they go on without us.
The unit's TimeoutStopSec has ten more."""
UNUSABLE_AGAIN = 60.0
"""Seconds between two looks at the schedules that this host could not use."""
CLOCK_RESTS = 300.0
"""Seconds without a step after which the next one is told again."""
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
        self.alerts = Alerts(
            paths,
            settings,
            self.store,
            self.jobs,
            doubted=lambda: self._trust.doubted,
            orderly=lambda: self._exit_code is not None,
            live=only is None,
        )
        self._ledger = RunLedger(paths.lib, self.store.ledger_entries)
        told = subscribers(self.store, bounds, self.alerts, self._ledger)
        self.active = ActiveRuns(paths, settings, self.store, self.jobs, told, only)
        self.active.on_begin = self.alerts.began
        self.jobs.states.ledger = lambda: self._ledger.kept(self.active.unpublished)
        self._trust = ClockTrust(self.store.clock_mark(), self.store.newest_entry(), boot_id())
        self.active.subscribers.append(
            MetricsKeeper(
                self.store,
                settings,
                self.jobs.states.get,
                lambda: self._trust.doubted,
                live=only is None,
            )
        )
        self._stepping = stepping(self.active.subscribers)
        self._housekeeping = Housekeeping(self.store, self.jobs.states, bounds)
        self.reexec = False
        self._only = only
        self.jobs.states.mark = self._trust.mark
        self._inbox, self._wake = inbox, Wake(paths.wake)
        for source in (inbox.socket, self._wake.socket):
            self.active.selector.register(source, selectors.EVENT_READ)
        self._lock_path = os.fspath(paths.runner_lock)
        self._lock = self._lock_file()
        self._exit_code: int | None = None
        self._stopping_at: float | None = None
        self._troubles = LimitedLog(log)
        self._put_off: dict[str, float] = {}  # steps that failed -> when to try again (monotonic)
        self._failing: set[str] = set()  # steps that have not gone well since
        self._clocks = ClockWatch()
        self._zone = ZoneWatch(settings.host_zone)
        self.store.distrust_clock()
        self._look_again = False
        self._stepped = 0.0  # seconds by which the clock was set since every job was looked at
        self._unusable_at = time.monotonic() + UNUSABLE_AGAIN

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
        cgroup.sweep()
        if self._trust.doubted:
            log.warning("%s", self._trust.why)
            self.jobs.timetable.pause(behind=self._trust.behind)
        elif self._trust.stepped:
            log.warning("the clock was set by %+.0f s between two runners", self._trust.stepped)
        timetable = self.jobs.timetable
        timetable.stepped, timetable.known_until = self._trust.stepped, self._trust.newest
        self.jobs.reload()
        timetable.stepped = 0.0
        if not self._trust.doubted:
            timetable.known_until = None
        kept = self.store.ledger_kept()
        if kept is not None:
            self._ledger.resume(kept["runs"], self.store.recorded, kept["missed"])
        self.jobs.states.commit()
        self.active.publish_ended()
        self.alerts.declared()

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
        for key, _unused in self.active.selector.select(min(at_most, self._timeout())):
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
        queued = self.jobs.queues.next_time()
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
            # Each step is news, but for those of a clock that never comes to rest.
            text = f"{move}; looking at every job again"
            self._troubles.say("clock", text, level=logging.WARNING, rest=CLOCK_RESTS)
            self._look_again = True
            self._stepped += move.stepped
            self.store.distrust_clock()
        self._follow_zone()
        self.active.bound_logs()
        orphans.look()
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
        step(self._stepping)
        self._check_stop()

    def _follow_zone(self) -> None:
        """A new zone for every schedule is a new start, beside which the runs go on."""
        if self._only is not None or self.settings.timezone or self._stopping_at is not None:
            return
        zone = self._zone.changed()
        if zone is not None:
            log.warning(
                "the host's time zone was %s and is %s now", self.settings.host_zone.name, zone.name
            )
            self._reload_program()

    def _try(self, step: str, act: Callable[[], None]) -> None:
        """Take the step; when it fails, say so and try again a little later."""
        if self._put_off:
            if time.monotonic() < self._put_off.get(step, 0.0):
                return
            self._put_off.pop(step, None)
        try:
            act()
        except ColdchainError as error:
            text = f"{error.message} ({error.hint}); trying again"
            self._troubles.say(step, text)
            self._put_off[step] = time.monotonic() + RETRY_WRITE
            self._failing.add(step)
        else:
            if step in self._failing:
                self._failing.remove(step)
                self._troubles.over(step, f"{step}: works again")

    def _take_in(self) -> None:
        if self.jobs.outdated:
            self.jobs.reload()
            self.alerts.declared()

    def _act_on_requests(self) -> None:
        for job_id, effect, by in self.jobs.take_events():
            self._affect(job_id, effect, by)

    def _look(self) -> None:
        again, self._look_again = self._look_again, True  # if this fails
        timetable = self.jobs.timetable
        if self._trust.doubted:
            if self._trust.look(moved=again):
                log.warning("the clock is believed now, after %.0f s", self._trust.waited)
                timetable.resume(self._trust.waited, self._stepped)
                self._stepped = 0.0
        elif again:
            timetable.recheck_all(self._stepped)
            self._stepped = 0.0
        if time.monotonic() >= self._unusable_at:
            self._unusable_at = time.monotonic() + UNUSABLE_AGAIN
            self.jobs.look_at_unusable()
        timetable.run_pending()
        self._look_again = False

    def _commit(self) -> None:
        self.jobs.states.commit()
        self.active.committed()

    def _lock_file(self) -> tuple[int, int] | None:
        """Which file it is that keeps other runners away."""
        try:
            status = os.stat(self._lock_path)
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
            # Of what came at once this counts: a reload would stay under the unit that is replaced.
            self.reexec, self._exit_code = False, RESTART_ME
        elif number == signal.SIGHUP and self._stopping_at is None and not self.leaving:
            self._reload_program()

    def _reload_program(self) -> None:
        try:
            # The next release judges its own settings; the role has let it do so already.
            host_targets(self.paths, Settings.load(self.paths, foreign=is_superseded()))
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
                    run.end(STOPPED)
                    run.progress.killed = True  # no further action, but this one gets its grace
            busy = [run for run in self.runs.values() if run.process is not None]
            patience = self.settings.grace + STOP_FOR_CLEAN_UP
            if late >= patience and all(run.cleaning or run.survivors for run in busy):
                log.warning("leaving: %d runs go on and are taken over later", len(busy))
                self._exit_code = 0

    def _print_state(self) -> None:
        log.info(
            "%d jobs, %d runs in progress, %d waiting, next due in %s s",
            len(self.jobs.states),
            len(self.runs),
            len(self.jobs.queues),
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
            self.active.publish_ended()
        except ColdchainError as error:
            log.error("%s", error.message)
        close(self._stepping)
        try:
            self.jobs.states.commit(last=True)  # the ledger may have been written since
        except ColdchainError as error:
            log.error("%s", error.message)
        self.active.selector.close()
        self._wake.close(keep=self.reexec)
        self.store.close()
