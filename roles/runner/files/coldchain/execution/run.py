# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of one job, from its first action to its record, across restarts of the runner."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from coldchain.agent.command import Command
from coldchain.errors import CannotWrite, ColdchainError
from coldchain.execution import launch, outcome, plan, runfile
from coldchain.execution import log as runlog
from coldchain.execution.outcome import Outcome
from coldchain.execution.process import Process, exit_code
from coldchain.execution.runfile import Cause, Progress
from coldchain.execution.supervision import Supervised
from coldchain.instants import iso, parse_duration
from coldchain.paths import Paths
from coldchain.settings import Settings
from coldchain.store.files import cannot_write, private_directory

__all__ = ["Cause", "JobRun"]

CLEAN_UP_TIMEOUT = 600.0
"""Seconds for removing what a killed action left: a restore's folder may hold millions of files."""


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
        progress: Progress | None = None,
    ) -> None:
        self.paths, self.settings = paths, settings
        self.document, self.record = document, record
        self.directory = paths.runs / self.run_id
        self.log = paths.run_log(self.job_id, self.run_id)
        self.specs = [plan.ActionSpec.of(entry) for entry in document["job_actions"]]
        self.progress = progress or Progress.of(self.specs)
        self.result: str | None = None
        self.wake_at: float | None = None
        """Monotonic seconds at which advance() wants to be called even if nothing happened."""
        self._present: Supervised | None = None
        self._begun: tuple[int, int] | None = None  # action and attempt of what is present
        self._pause: tuple[tuple[int, int], float] | None = None  # attempt that waits, until when
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
        """A new run on disk, nothing started yet.  CannotWrite when the disk does not take it."""
        run = cls(paths, settings, document, runfile.new_record(job_id, cause))
        try:
            private_directory(run.log.parent)
            run.directory.mkdir(mode=0o700)
        except OSError as error:
            raise cannot_write(Path(error.filename), error) from None
        try:
            run._save(durable=False)
        except CannotWrite:
            run.forget()
            raise
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
        return str(self.record["run_id"])

    @property
    def job_id(self) -> str:
        return str(self.record["job_id"])

    def _attempt_directory(self, index: int, attempt: int) -> Path:
        return self.directory / f"{index + 1}.{attempt}"

    def _save(self, *, durable: bool = True) -> None:
        runfile.write(self.directory, self.document, self.record, self.progress, durable=durable)
        self._unsaved = False

    def keep(self) -> None:
        """Write down what has happened; a disk that does not take it is no reason to stop: the
        attempts' own files tell most of it."""
        if self._unsaved:
            with contextlib.suppress(ColdchainError):
                self._save()

    def _find_process(self) -> None:
        """After a restart: the attempt that was begun but has no outcome yet."""
        step = self._step()
        if self.progress.uncleaned is not None or not isinstance(step, plan.Begin):
            return
        directory = self._attempt_directory(step.index, step.attempt)
        if not directory.is_dir():
            return
        self._begun = (step.index, step.attempt)
        process = Process.adopt(directory)
        if process is not None:
            self._watch(process, step.index)
        else:
            self._ended(exit_code(directory), adopted=True)

    # -- going on ------------------------------------------------------------------------------

    @property
    def process(self) -> Process | None:
        return None if self._present is None else self._present.process

    @property
    def cleaning(self) -> bool:
        """Is what runs, or is to run next, the clean-up after a killed action?"""
        return self.progress.uncleaned is not None

    @property
    def pidfd(self) -> int | None:
        return None if self.process is None else self.process.pidfd

    def _step(self) -> plan.Step:
        progress = self.progress
        return plan.next_step(
            self.specs,
            progress.attempts,
            progress.skipped,
            aborted=bool(progress.aborted),
            killed=progress.killed,
            chance=random.Random(f"{self.run_id}{sum(map(len, progress.attempts))}").random(),
        )

    def advance(self) -> None:
        """Do what is due: begin the next action, enforce limits, close the run."""
        self.wake_at = None
        if self._present is not None:
            self._enforce(self._present)
            return
        while self.result is None and self._present is None:
            self._check_limit()
            if self.progress.uncleaned is not None:
                self._clean_up(*self.progress.uncleaned)
                continue
            step = self._step()
            if isinstance(step, plan.Done):
                self._close(step.result)
            elif isinstance(step, plan.Skip):
                self.progress.skipped[step.index] = self._unsaved = True
                entry = self.progress.actions[step.index]
                entry.update(result=plan.SKIPPED, message="skipped: an earlier action failed")
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
        attempt = step.index, step.attempt
        if self._pause is None or self._pause[0] != attempt:
            wait = max(0.0, step.at - time.time())
            if wait:
                wait = min(wait, self.specs[step.index].pause(step.attempt - 1, 1.0))
            self._pause = attempt, time.monotonic() + wait
        return self._pause[1]

    def _wake(self, at: float | None) -> None:
        if at is not None:
            self.wake_at = at if self.wake_at is None else min(self.wake_at, at)

    def _check_limit(self) -> None:
        if self._limit_at is not None and time.monotonic() >= self._limit_at:
            self.end(f"max_duration of {self._limit} s exceeded", plan.FAIL)

    def _begin(self, step: plan.Begin) -> None:
        spec = self.specs[step.index]
        self._begun = (step.index, step.attempt)
        entry = self.progress.actions[step.index]
        entry["attempts"] = step.attempt
        if entry["time_started"] is None:
            entry["time_started"] = round(time.time(), 3)
        directory = self._attempt_directory(step.index, step.attempt)
        self._note(
            f"action {step.index + 1} of {len(self.specs)} ({spec.name}), attempt {step.attempt}"
        )
        try:
            wanted = launch.process_of(spec, self.paths, self.settings, directory)
            process = self._start(wanted, directory, step.index, step.attempt)
        except (ColdchainError, OSError) as error:
            self._record(Outcome(plan.FAIL, None, _not_started(error)))
            return
        self._watch(process, step.index)

    def _start(self, wanted: Command, directory: Path, index: int, attempt: int) -> Process:
        return Process.start(
            directory,
            wanted.argv,
            environment=launch.environment(
                wanted.environment,
                {
                    "COLDCHAIN_JOB_ID": self.job_id,
                    "COLDCHAIN_RUN_ID": self.run_id,
                    "COLDCHAIN_ACTION": str(index + 1),
                    "COLDCHAIN_ATTEMPT_NUMBER": str(attempt),
                },
            ),
            working_directory=wanted.working_directory,
            log=self.log,
        )

    def _watch(self, process: Process, index: int) -> None:
        spec = self.specs[index]
        self._present = Supervised(process, grace=self.settings.grace, timeout=spec.timeout)
        if self.progress.aborted and not spec.mandatory:
            self._present.end(self.progress.aborted, self.progress.abort_result)
        self._wake(self._present.wake_at)
        self._wake(self._limit_at)

    def _enforce(self, present: Supervised) -> None:
        if not self.progress.aborted:
            self._check_limit()
        present.enforce(plan.FAIL)
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
            runlog.note(self.log, f"# {iso(datetime.now(timezone.utc))} {text}")

    def bound_log(self) -> None:
        with contextlib.suppress(OSError):
            runlog.bound(self.log, self.settings.log_max_bytes)

    # -- outcomes ------------------------------------------------------------------------------

    def finished(self) -> None:
        """The process has ended (its pidfd is readable): take its result."""
        assert self._present is not None
        code = self._present.process.finish()
        if self.progress.uncleaned is None:
            self._ended(code, adopted=False)
        else:
            self._cleaned(code, *self.progress.uncleaned)

    def _ended(self, code: int | None, *, adopted: bool) -> None:
        assert self._begun is not None
        told, self._present = self._present, None
        report = outcome.read_report(self._attempt_directory(*self._begun) / launch.RESULT)
        if launch.needs_clean_up(self.specs[self._begun[0]], report):
            self.progress.uncleaned = self._begun
        if told is not None and told.reason:
            self._record(Outcome(told.result, code, told.reason, report))
        else:
            self._record(outcome.of_end(code, report, adopted=adopted))

    def _record(self, found: Outcome) -> None:
        assert self._begun is not None
        index = self._begun[0]
        now = time.time()
        self.progress.attempts[index].append(plan.Attempt(found.result, found.exit_code, now))
        entry = self.progress.actions[index]
        entry.update(
            result=found.result,
            attempts=len(self.progress.attempts[index]),
            exit_code=found.exit_code,
            message=found.message,
            time_ended=round(now, 3),
            duration=max(0.0, round(now - (entry["time_started"] or now), 3)),
        )
        if found.exit_code == plan.SOFT_FAILURE:
            entry["soft"] = True
        if found.report:
            entry["report"] = found.report
        self._begun = None
        self._unsaved = True
        self._note(f"{found.result}: {found.message}")

    # -- what a killed action left ---------------------------------------------------------------

    def _clean_up_directory(self, index: int, attempt: int) -> Path:
        return self.directory / f"{index + 1}.{attempt}.clean-up"

    def _clean_up(self, index: int, attempt: int) -> None:
        """Let the engine remove what its killed action left, or go on waiting for that."""
        self.keep()
        directory = self._clean_up_directory(index, attempt)
        process = Process.adopt(directory)
        if process is None:
            if exit_code(directory) is not None:
                self._cleaned(exit_code(directory), index, attempt)
                return
            shutil.rmtree(directory, ignore_errors=True)
            self._note(f"action {index + 1}: clean-up, because it was killed")
            try:
                wanted = launch.clean_up_of(self.specs[index], self.paths, directory)
                process = self._start(wanted, directory, index, attempt)
            except (ColdchainError, OSError) as error:
                self._put_clean_up(index, Outcome(plan.FAIL, None, _not_started(error)))
                return
        self._present = Supervised(process, grace=self.settings.grace, timeout=CLEAN_UP_TIMEOUT)
        self._wake(self._present.wake_at)

    def _cleaned(self, code: int | None, index: int, attempt: int) -> None:
        told, self._present = self._present, None
        report = outcome.read_report(self._clean_up_directory(index, attempt) / launch.RESULT)
        if told is not None and told.reason:
            self._put_clean_up(index, Outcome(plan.FAIL, code, told.reason, report))
        else:
            self._put_clean_up(index, outcome.of_end(code, report, adopted=told is None))

    def _put_clean_up(self, index: int, found: Outcome) -> None:
        entry = self.progress.actions[index]
        entry["clean_up"] = {"result": found.result, "message": found.message}
        if found.result != plan.SUCCESS:
            entry["message"] += f"; its clean-up failed: {found.message}"
        self.progress.uncleaned = None
        self._unsaved = True
        self._note(f"clean-up: {found.result}: {found.message}")

    # -- the end ---------------------------------------------------------------------------------

    def _close(self, result: str) -> None:
        aborted = self.progress.aborted
        self.result = self.progress.abort_result if aborted else result
        self.record.update(
            result=self.result,
            time_ended=round(time.time(), 3),
            actions=self.progress.actions,
            log=os.fspath(self.log),
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
        shutil.rmtree(self.directory, ignore_errors=True)


def _not_started(error: Exception) -> str:
    text = error.message if isinstance(error, ColdchainError) else str(error)
    return f"could not be started: {text}"
