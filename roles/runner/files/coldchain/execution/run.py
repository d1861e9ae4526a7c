# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of one job, from its first action to its record, across restarts of the runner."""

from __future__ import annotations

import contextlib
import os
import random
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from coldchain.core.errors import CannotWrite, ColdchainError
from coldchain.core.files import cannot_write, private_directory_often, remove_own
from coldchain.core.instants import iso, parse_duration
from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.execution import launch, outcome, plan, run_log, runfile
from coldchain.execution.attempt_files import RESULT, file_of
from coldchain.execution.attempts import AttemptId, Attempts
from coldchain.execution.members import Member
from coldchain.execution.outcome import Outcome
from coldchain.execution.process import Process
from coldchain.execution.runfile import Cause, RunProgress
from coldchain.execution.supervision import Supervised

__all__ = ["Cause", "JobRun"]


class JobRun:
    """A run in progress.  The owner waits for ``pidfd`` or ``wake_at`` and then calls
    ``advance()``; it is over when ``result`` is set.
    """

    def __init__(
        self,
        paths: Paths,
        settings: Settings,
        document: dict[str, Any],
        record: dict[str, Any],
        progress: RunProgress | None = None,
    ) -> None:
        self.paths, self.settings = paths, settings
        self.document, self.record = document, record
        self.directory = paths.run(self.run_id)
        self.log = paths.name_of_run_log(self.job_id, self.run_id)
        self.specs = [plan.ActionSpec.of(entry) for entry in document["job_actions"]]
        self.progress = progress or RunProgress(self.specs)
        self.result: str | None = None
        self.wake_at: float | None = None
        """Monotonic seconds at which advance() wants to be called even if nothing happened."""
        self._present: Supervised | None = None
        self._begun: AttemptId | None = None  # whose process is present
        self._pause: tuple[AttemptId, float] | None = None  # which attempt waits, until when
        self._log = run_log.RunLog(self.log)
        self._attempts = Attempts(
            self.directory,
            self._log,
            paths,
            settings,
            {"COLDCHAIN_JOB_ID": self.job_id, "COLDCHAIN_RUN_ID": self.run_id},
        )
        self._unsaved = False
        limit = document.get("max_duration")
        age = self.progress.age()
        if age is None:
            age = max(0.0, time.time() - record["time_started"])
        self._limit = None if limit is None else parse_duration(limit)
        self._limit_at = None if self._limit is None else time.monotonic() - age + self._limit

    # -- making and finding runs ---------------------------------------------------------------

    @classmethod
    def create(
        cls, paths: Paths, settings: Settings, job_id: str, document: dict[str, Any], cause: Cause
    ) -> JobRun:
        """A new run on disk, nothing started yet.

        Raises CannotWrite when the disk does not take it.
        """
        run = cls(paths, settings, document, runfile.new_record(job_id, cause))
        try:
            private_directory_often(os.path.dirname(run.log))
            runfile.make_place(run.directory)
        except OSError as error:
            place = Path(error.filename)
            raise cannot_write(paths.runs if place == run.directory else place, error) from None
        try:
            run._save(new=True)
        except CannotWrite as error:
            run.forget()
            # The next try has another name, and this one means nothing to anybody.
            why = error.message.partition(f"{runfile.FILE}: ")[2]
            raise CannotWrite(f"{paths.runs}: {why}", error.hint) from None
        return run

    @classmethod
    def load(cls, paths: Paths, settings: Settings, directory: Path) -> JobRun:
        """A run that an earlier runner began; ValueError when its record is not readable,
        Unavailable when that, or what became of its process, cannot be found out."""
        run = cls(paths, settings, *runfile.read(directory))
        run._find_process()
        return run

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return str(self.record["run_id"])

    @property
    def job_id(self) -> str:
        """The id of its job."""
        return str(self.record["job_id"])

    def _save(self, *, new: bool = False) -> None:
        runfile.write(self.directory, self.document, self.record, self.progress, new=new)
        self._unsaved = False

    def keep(self) -> None:
        """Write down what has happened; a disk that does not take it is no reason to stop: the
        attempts' own files tell most of it."""
        if self._unsaved:
            with contextlib.suppress(ColdchainError):
                self._save()

    def _find_process(self) -> None:
        """After a restart: the attempt that was begun but has no outcome yet.

        Not what the plan would begin now: an abort has come meanwhile, perhaps, and what was
        begun before it may still run.
        """
        if self.progress.uncleaned is not None:
            return
        for index, done in enumerate(self.progress.attempts):
            attempt = (index, len(done) + 1)
            present = self._attempts.find(self.specs[index], attempt)
            if present is not None:
                self._begun = attempt
                if present.process.pid:
                    self.progress.attempt_begins(*attempt, ago=present.process.age)
                self._watch(present)
                if present.over:
                    self._take()
                return

    # -- going on ------------------------------------------------------------------------------

    @property
    def process(self) -> Process | None:
        """The command of the present attempt, until all that has to has ended."""
        return None if self._present is None else self._present.process

    @property
    def survivors(self) -> list[Member]:
        """Processes that were told to end, killed, and have not ended: the run goes on."""
        if self._present is None or not self._present.stuck:
            return []
        return list(self._present.survivors)

    @property
    def cleaning(self) -> bool:
        """Is what runs, or is to run next, the clean-up after a killed action?"""
        return self.progress.uncleaned is not None

    @property
    def pidfd(self) -> int | None:
        """Readable when the present command has ended; None when there is none."""
        return None if self.process is None else self.process.pidfd

    def _step(self) -> plan.Step:
        progress = self.progress
        return plan.next_step(
            self.specs,
            progress.attempts,
            progress.skipped,
            aborted=bool(progress.aborted),
            killed=progress.killed,
            chance=self._chance(),
        )

    def _chance(self) -> float:
        """What draws the jitter of a retry: the same one after a restart."""
        if not any(spec.retry_jitter for spec in self.specs):
            return 0.0  # as mostly; to seed a generator takes longer than all of the plan
        return random.Random(f"{self.run_id}{sum(map(len, self.progress.attempts))}").random()

    def advance(self) -> None:
        """Do what is due: begin the next action, enforce limits, close the run."""
        try:
            self._advance()
        finally:
            self._log.rest(written=self._present is not None)

    def _advance(self) -> None:
        self.wake_at = None
        if self._present is not None:
            self._enforce(self._present)
            if not self._present.over:
                return
            self._take()
        while self.result is None and self._present is None:
            self._check_limit()
            if self.progress.uncleaned is not None:
                self._clean_up(self.progress.uncleaned)
                continue
            step = self._step()
            if isinstance(step, plan.Done):
                self._close(step.result)
            elif isinstance(step, plan.Skip):
                self.progress.skip(step.action)
                self._unsaved = True
            else:
                self.keep()  # what follows may take long; the end of the run has its own record
                at = self._not_before(step)
                if at > time.monotonic():
                    self._wake(at)
                    self._wake(self._limit_at)
                    return
                self._begin(step)

    def _not_before(self, step: plan.Begin) -> float:
        """Monotonic seconds.  Who sets the clock makes a retry wait no longer, and no shorter."""
        attempt = step.action, step.attempt
        if self._pause is None or self._pause[0] != attempt:
            wait = max(0.0, step.at - time.time())
            if wait:
                wait = min(wait, self.specs[step.action].pause(step.attempt - 1, 1.0))
            self._pause = attempt, time.monotonic() + wait
        return self._pause[1]

    def _wake(self, at: float | None) -> None:
        if at is not None:
            self.wake_at = at if self.wake_at is None else min(self.wake_at, at)

    def _check_limit(self) -> None:
        if self._limit_at is not None and time.monotonic() >= self._limit_at:
            self.end(f"max_duration of {self._limit} s exceeded", plan.FAIL)

    def _begin(self, step: plan.Begin) -> None:
        spec = self.specs[step.action]
        self._begun = (step.action, step.attempt)
        self.progress.attempt_begins(*self._begun)
        self._note(
            f"action {step.action + 1} of {len(self.specs)} ({spec.name}), attempt {step.attempt}"
        )
        try:
            present = self._attempts.begin(spec, self._begun)
        except (ColdchainError, OSError) as error:
            self._record(outcome.not_started(error))
            return
        self._watch(present)

    def _watch(self, present: Supervised) -> None:
        assert self._begun is not None
        mandatory = self.specs[self._begun[0]].mandatory
        self._present = present
        if self.progress.aborted and (self.progress.killed or not mandatory) and not present.over:
            present.end(self.progress.aborted, self.progress.abort_result)
        self._wake(present.wake_at)
        self._wake(self._limit_at)

    def _enforce(self, present: Supervised) -> None:
        if not self.progress.aborted:
            self._check_limit()
        stuck = len(present.survivors)
        present.enforce(plan.FAIL)
        if len(present.survivors) > stuck:
            names = ", ".join(map(str, present.survivors))
            self._note(f"cannot be ended, and the run waits for it: {names}")
        self._wake(present.wake_at)
        if not self.progress.aborted:
            self._wake(self._limit_at)

    def end(self, reason: str, result: str = plan.ABORTED, *, kill: bool = False) -> None:
        """Tell the run to end: TERM to the action, KILL after the grace; mandatory actions that
        have not run yet still do.  kill=True: at once and without any further action."""
        first = not self.progress.aborted
        if first:
            self.progress.aborted, self.progress.abort_result = reason, result
        self.progress.killed = self.progress.killed or kill
        self._unsaved = True
        self.keep()
        if self._present is None:
            self._wake(time.monotonic())
        elif (kill or first) and not self.cleaning:
            self._present.end(reason, result, kill=kill)
            self._wake(self._present.wake_at)

    def _note(self, text: str) -> None:
        """A line of our own in the log; that it cannot be written is no reason not to back up."""
        with contextlib.suppress(OSError):
            self._log.note(f"# {iso(datetime.now(timezone.utc))} {text}")

    def bound_log(self) -> None:
        """Cut out the middle of a log that has grown too long."""
        with contextlib.suppress(OSError):
            run_log.bound(self.log, self.settings.log_max_bytes)

    # -- outcomes ------------------------------------------------------------------------------

    def finished(self) -> None:
        """The command has ended (its pidfd is readable): take its result, unless something of it
        still has to end."""
        assert self._present is not None
        self._present.command_ended()
        if self._present.over:
            self._take()
        else:
            self._wake(self._present.wake_at)

    def _take(self) -> None:
        present, self._present = self._present, None
        assert present is not None
        if self.progress.uncleaned is not None:
            self._cleaned(present, self.progress.uncleaned)
            return
        assert self._begun is not None
        index = self._begun[0]
        report = outcome.read_report(f"{present.process.attempt}.{RESULT}")
        if launch.needs_clean_up(self.specs[index], report):
            self.progress.uncleaned = self._begun
        self._name(index, "left_behind", present.left_behind, "left running")
        self._name(index, "survivors", list(present.survivors), "ended late")
        if present.reason:
            others = present.process.doubtful()
            self._name(index, "survivors", others, "left alone, as it may be of another run")
        self._record(outcome.outcome_of(present, report))

    def _name(self, index: int, key: str, processes: list[Member], how: str) -> None:
        """Name processes in the record and the log."""
        if processes:
            self.progress.name_processes(index, key, processes)
            self._note(f"{how}: {', '.join(map(str, processes))}")

    def _record(self, reached: Outcome) -> None:
        assert self._begun is not None
        self.progress.attempt_ended(self._begun[0], reached)
        self._begun = None
        self._unsaved = True
        self._note(f"{reached.result}: {reached.message}")

    # -- what a killed action left ---------------------------------------------------------------

    def _clean_up(self, attempt: AttemptId) -> None:
        """Let the engine remove what its killed action left, or go on waiting for that."""
        self.keep()
        index = attempt[0]
        present = self._attempts.find_clean_up(attempt)
        if present is None:
            self._note(f"action {index + 1}: clean-up, because it was killed")
            try:
                present = self._attempts.begin_clean_up(self.specs[index], attempt)
            except (ColdchainError, OSError) as error:
                self._put_clean_up(index, outcome.not_started(error))
                return
        if present.over:
            self._cleaned(present, attempt)
            return
        self._present = present
        self._wake(present.wake_at)

    def _cleaned(self, present: Supervised, attempt: AttemptId) -> None:
        path = self._attempts.clean_up_path(attempt)
        report = outcome.read_report(file_of(path, RESULT))
        self._put_clean_up(attempt[0], outcome.outcome_of(present, report))

    def _put_clean_up(self, index: int, reached: Outcome) -> None:
        self.progress.clean_up_ended(index, reached)
        self._unsaved = True
        self._note(f"clean-up: {reached.result}: {reached.message}")

    # -- the end ---------------------------------------------------------------------------------

    def _close(self, result: str) -> None:
        aborted = self.progress.aborted
        self.result = self.progress.abort_result if aborted else result
        self.record.update(
            result=self.result,
            time_ended=round(time.time(), 3),
            actions=self.progress.actions,
            log=self.log,
        )
        if aborted:
            self.record["reason"] = aborted
        if "session_id" in self.document:
            self.record["session_id"] = self.document["session_id"]
            self.record["session_tag"] = self._session_tag()
        self.bound_log()

    def _session_tag(self) -> int:
        return int(datetime.fromisoformat(self.record["scheduled_for"]).timestamp())

    def forget(self) -> None:
        """Remove the working directory, after the record is in the history."""
        self._log.close()
        remove_own(os.fspath(self.directory))
