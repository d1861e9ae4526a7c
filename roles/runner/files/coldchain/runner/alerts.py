# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner's part in telling people: what happened, and to whom it is told.

It decides (observe/alert_rules.py), puts messages into the outbox, and sees to it that the process
that delivers is at work while something is due.  No trouble with any of that reaches a job.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from coldchain.core.errors import ColdchainError
from coldchain.core.files import open_ours, private_directory, write_atomically
from coldchain.core.log_limit import LimitedLog
from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.observe.alert_rules import Delivery, Occasion, Policy, Rules
from coldchain.observe.delivery_process import DeliveryProcess
from coldchain.observe.notifiers.registry import (
    FAILURE,
    FINDING,
    ROUTINE,
    SILENCE,
    START,
    SUCCESS,
)
from coldchain.observe.notifiers.target import Target, host_targets
from coldchain.observe.outbox import MOST, Outbox, WaitingMessage
from coldchain.observe.records import RunEnded
from coldchain.runner import messages
from coldchain.runner.heartbeat import Heartbeat
from coldchain.runner.jobs import Jobs
from coldchain.runner.silence_watch import SilenceWatch
from coldchain.store import JobRecord, Run, Store

_AGAIN = 2.0
"""Seconds between two tries to write when the disk does not take it."""
_DEAD_AGAIN = 3600.0
"""Seconds in which nobody is told again that the runner was dead: it may be killed in a loop."""
_UNDECIDED = "who is told of what could not be decided"
_PENDING = 200
"""Messages that are kept in memory while the disk does not take them."""

log = logging.getLogger(__name__)


class Alerts:
    """A subscriber of runs, and what else there is to tell.

    store, jobs: of the runner; doubted: is the clock not believed?  orderly: does the runner leave
    because it was told to?  live: False for a runner of one job, which knows nothing of silence.
    """

    def __init__(
        self,
        paths: Paths,
        settings: Settings,
        store: Store,
        jobs: Jobs,
        *,
        doubted: Callable[[], bool],
        orderly: Callable[[], bool],
        live: bool,
    ) -> None:
        self._doubted, self._orderly = doubted, orderly
        self._paths, self._settings = paths, settings
        self._host = host_targets(paths, settings)
        self._host_hears = any(SILENCE in target.tell for target in self._host)
        self._jobs = jobs
        self._outbox = Outbox(paths.notify)
        self._rules = Rules(_policy(settings), self._saved())
        self._process = DeliveryProcess(
            self._outbox, paths.home, allow_commands=settings.allow_exec
        )
        self._pending: list[Delivery] = []  # which the disk has not taken yet
        self._write_at = 0.0
        self._logger = LimitedLog(log)
        self._silence = (
            SilenceWatch(store, jobs, self._hears, self._silent, settings.maintenance_until)
            if live
            else None
        )
        jobs.on_record = self._take if live else jobs.on_record
        self._heartbeat = Heartbeat(paths.notify / "alive") if live and self._host else None
        self._looked_back = False  # at how long nobody was at work

    # -- what happens ----------------------------------------------------------------------------

    def began(self, run: Run, document: Mapping[str, Any]) -> None:
        """Tell who wants to know that a run begins."""
        with self._harmless():
            targets = self._wanting(document, START)
            if targets:
                message = messages.begun(self._settings.client_id, run)
                self._tell(START, run["job_id"], run["run_id"], message, targets)

    def __call__(self, ended: RunEnded) -> None:
        """A run is over, after its last attempt."""
        targets = self._of(ended.document)
        if not targets:
            return
        host, job_id = self._settings.client_id, ended.job_id
        kind = SUCCESS if ended.result == "success" else FAILURE
        if self._rules.concerns(kind, job_id, targets):
            message = messages.ended(host, ended)
            self._tell(kind, job_id, ended.run_id, message, targets)
        for number, finding in enumerate(ended.findings):
            message = messages.found(host, job_id, finding, ended.time_ended, ended.run_id)
            self._tell(FINDING, job_id, f"{ended.run_id}-{number}", message, targets)

    def _look_back(self, heartbeat: Heartbeat, now: float) -> None:
        """The runner is at work again: was it dead?  Asked once, when the clock is believed: a host
        that was off for days doubts it for a while, and the old sign of life waits for that."""
        self._looked_back = True
        gap = heartbeat.gap(now)
        if gap is None:
            return
        for target in self._host:
            self._rules.lapse("", target, now, _DEAD_AGAIN)
        message = messages.was_dead(self._settings.client_id, gap.since, now, stopped=gap.stopped)
        self._tell(SILENCE, "", f"runner-{int(gap.since)}", message, self._host)

    def _silent(self, job_id: str, document: Mapping[str, Any], why: str, *, news: bool) -> None:
        """The job is silent; news: even for those who know that its last run has failed."""
        targets = [
            target
            for target in self._wanting(document, SILENCE)
            if news
            or FAILURE not in target.tell
            or self._rules.knows(job_id, target).failure is None
        ]
        now = time.time()
        message = messages.silent(self._settings.client_id, job_id, why, now)
        self._tell(SILENCE, job_id, f"silent-{job_id}-{int(now)}", message, targets)

    # -- with each tick --------------------------------------------------------------------------

    def step(self) -> None:
        """Whatever is due; called with each tick."""
        with self._harmless():
            self._step(time.time())

    @contextlib.contextmanager
    def _harmless(self) -> Iterator[None]:
        """A bug in the block is logged: the supervision of what runs goes on."""
        try:
            yield
        except Exception:
            self._logger.exception("decide", _UNDECIDED)

    def _step(self, now: float) -> None:
        if self._silence is not None and not self._doubted():
            self._silence.step(now)
            if self._heartbeat is not None:
                if not self._looked_back:
                    self._look_back(self._heartbeat, now)
                self._heartbeat.step(now)
        self._pending += self._rules.due(now)
        self._write()
        self._process.step(now)

    def declared(self) -> None:
        """All declarations were taken in."""
        states = self._jobs.states
        self._rules.forget([job_id for job_id in self._rules.jobs() if job_id not in states])

    def _take(self, record: JobRecord) -> None:
        with self._harmless():
            if self._silence is not None:
                self._silence.take(record)

    def _hears(self, document: Mapping[str, Any]) -> bool:
        """Is anybody to be told when the job is silent?"""
        if not document.get("notify"):
            return self._host_hears
        return bool(self._wanting(document, SILENCE))

    def close(self) -> None:
        """Leave; what waits is delivered by a process that outlives us, or after the next start."""
        with self._harmless():
            self._write_at = 0.0
            self._write()
            self._give_up(len(self._pending))
            self._process.step(time.time())
            self._process.hand_over()
            if self._heartbeat is not None and self._looked_back and self._orderly():
                self._heartbeat.stop()

    # -- who, and how ----------------------------------------------------------------------------

    def _of(self, document: Mapping[str, Any]) -> list[Target]:
        own = [Target.of(entry) for entry in document.get("notify", ())]
        if not own:
            return self._host
        known = {target.key for target in own}
        return [*own, *(target for target in self._host if target.key not in known)]

    def _wanting(self, document: Mapping[str, Any], kind: str) -> list[Target]:
        return [target for target in self._of(document) if kind in target.tell]

    def _tell(
        self,
        kind: str,
        job_id: str,
        name: str,
        message: Mapping[str, Any],
        targets: Sequence[Target],
    ) -> None:
        event = Occasion(kind, job_id, time.time(), name, message)
        self._pending += self._rules.tell(event, targets)
        self._write()

    # -- on disk ---------------------------------------------------------------------------------

    def _write(self) -> None:
        """Messages first, then what is known to be told: a crash between tells twice."""
        if not (self._pending or self._rules.changed) or time.monotonic() < self._write_at:
            return
        try:
            if self._pending:
                self._put()
            if self._rules.changed:
                private_directory(self._paths.notify)
                raw = json.dumps(self._rules.saved()).encode("ascii")
                write_atomically(self._paths.notify / "state.json", raw)
                self._rules.changed = False
        except (ColdchainError, OSError) as error:
            # The messages have files of their own, each of another name.
            text, cause = f"messages cannot be written: {error}", getattr(error, "hint", "")
            self._logger.say("write", text, cause=cause)
            self._write_at = time.monotonic() + _AGAIN
            self._give_up(len(self._pending) - _PENDING)
        else:
            self._write_at = 0.0
            self._logger.over("write", "messages can be written again")

    def _give_up(self, number: int) -> None:
        """Let go of so many messages, the oldest, that the disk has not taken; none is no news."""
        for delivery in self._pending[: max(0, number)]:
            title = delivery.message.get("title")
            log.error("nobody is told of it, as messages cannot be written: %s", title)
        del self._pending[: max(0, number)]

    def _put(self) -> None:
        now = time.time()
        waits = self._outbox.waiting() if self._process.count + len(self._pending) > MOST else []
        while self._pending:
            delivery = self._pending[0]
            if waits:
                waits = self._outbox.make_room(waits, now)
            entry = {
                "target": dict(delivery.target),
                "message": {"id": delivery.id, "kind": delivery.kind, **delivery.message},
            }
            due = self._process.due(delivery.target, now)
            waiting = WaitingMessage(time.time_ns() // 1000, due, delivery.id)
            durable = delivery.kind not in ROUTINE
            self._outbox.put(entry, waiting, durable=durable)
            if waits:
                waits.append(waiting)
            self._process.added(waiting, delivery.target)
            self._pending.pop(0)

    def _saved(self) -> Mapping[str, Any] | None:
        path = self._paths.notify / "state.json"
        try:
            with open(open_ours(path), "rb") as stream:
                state = json.loads(stream.read())
            Rules(Policy(), state)
        except FileNotFoundError:
            return None
        except (ColdchainError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s: not taken, what was told is forgotten: %s", path, error)
            return None
        return dict(state)


def _policy(settings: Settings) -> Policy:
    return Policy(
        settings.notify_cool_down,
        settings.notify_summary,
        settings.quiet_hours,
        settings.maintenance_until,
        settings.zone,
    )
