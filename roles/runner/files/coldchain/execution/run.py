# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of one job, from its first action to its record, across restarts of the runner."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import coldchain
from coldchain.agent.command import Command, command
from coldchain.errors import CannotWrite, ColdchainError
from coldchain.execution import log as runlog
from coldchain.execution import plan
from coldchain.execution.process import Process, exit_code
from coldchain.instants import iso, parse_duration
from coldchain.paths import Paths
from coldchain.settings import Settings
from coldchain.store.storage import write_atomically

_FILE = "run.json"
_SERVICE_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "COLDCHAIN_RUNNER_LOCK")
# Under python -I nothing but sys.path says where the package is.
_AGENT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from coldchain.cli import main; main()"


@dataclass(frozen=True)
class Cause:
    """Why a run begins.  kind: schedule, event or catch-up; scheduled_for: the slot (ISO UTC)."""

    kind: str
    scheduled_for: str


@dataclass
class _Progress:
    """What has happened so far; this and the document are all that a later runner needs."""

    attempts: list[list[plan.Attempt]]
    skipped: list[bool]
    aborted: str = ""  # why the run was told to end
    abort_result: str = plan.ABORTED
    killed: bool = False
    actions: list[dict[str, Any]] = field(default_factory=list)


class JobRun:
    """A run in progress.  The owner waits for ``pidfd`` or ``wake_at`` and then calls
    ``advance()``; it is over when ``result`` is set.
    """

    def __init__(
        self, paths: Paths, settings: Settings, document: dict[str, Any], record: dict[str, Any]
    ) -> None:
        self.paths, self.settings = paths, settings
        self.document, self.record = document, record
        self.specs = [plan.ActionSpec.of(entry) for entry in document["job_actions"]]
        self.progress = _Progress([[] for dummy in self.specs], [False] * len(self.specs))
        self.process: Process | None = None
        self.result: str | None = None
        self.wake_at: float | None = None
        """Monotonic seconds at which advance() wants to be called even if nothing happened."""
        self._begun: tuple[int, int] | None = None
        self._timeout_at: float | None = None
        self._kill_at: float | None = None
        self._end_reason = ""  # why the present action was told to end
        self._end_result = plan.ABORTED
        limit = document.get("max_duration")
        age = max(0.0, time.time() - record["time_started"])
        self._run_limit = None if limit is None else parse_duration(limit)
        self._run_limit_at = (
            None if self._run_limit is None else time.monotonic() - age + self._run_limit
        )

    # -- making and finding runs ---------------------------------------------------------------

    @classmethod
    def create(
        cls, paths: Paths, settings: Settings, job_id: str, document: dict[str, Any], cause: Cause
    ) -> JobRun:
        """A new run on disk, nothing started yet.  CannotWrite when the disk does not take it."""
        now = time.time()
        stamp = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        record = {
            "run_id": f"{stamp}-{os.urandom(4).hex()}",
            "job_id": job_id,
            "cause": cause.kind,
            "scheduled_for": cause.scheduled_for,
            "time_started": round(now, 3),
            "time_ended": None,
            "result": "",
            "actions": [],
        }
        run = cls(paths, settings, document, record)
        try:
            run.directory.mkdir(mode=0o700)
            run.log.parent.mkdir(mode=0o700, exist_ok=True)
            run.progress.actions = [_pending(spec) for spec in run.specs]
            run._save()
        except OSError as error:
            raise run._cannot_write(error) from None
        return run

    def _cannot_write(self, error: OSError) -> ColdchainError:
        return CannotWrite(
            f"{error.filename}: cannot be written: {error.strerror}", "make room for the run"
        )

    @classmethod
    def load(cls, paths: Paths, settings: Settings, directory: Path) -> JobRun:
        """A run that an earlier runner began; ValueError when its record is not readable."""
        try:
            kept = json.loads((directory / _FILE).read_bytes())
            run = cls(paths, settings, kept["document"], kept["record"])
            progress = kept["progress"]
            run.progress = _Progress(
                attempts=[[plan.Attempt(*item) for item in done] for done in progress["attempts"]],
                skipped=progress["skipped"],
                aborted=progress["aborted"],
                abort_result=progress["abort_result"],
                killed=progress["killed"],
                actions=progress["actions"],
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{directory / _FILE}: {error}") from None
        run._find_process()
        return run

    @property
    def run_id(self) -> str:
        return str(self.record["run_id"])

    @property
    def job_id(self) -> str:
        return str(self.record["job_id"])

    @property
    def directory(self) -> Path:
        return self.paths.runs / self.run_id

    @property
    def log(self) -> Path:
        return self.paths.run_log(self.job_id, self.run_id)

    def _attempt_directory(self, index: int, attempt: int) -> Path:
        return self.directory / f"{index + 1}.{attempt}"

    def _save(self) -> None:
        progress = self.progress
        kept = {
            "document": self.document,
            "record": self.record,
            "progress": {
                "attempts": [
                    [[item.result, item.exit_code, item.ended] for item in done]
                    for done in progress.attempts
                ],
                "skipped": progress.skipped,
                "aborted": progress.aborted,
                "abort_result": progress.abort_result,
                "killed": progress.killed,
                "actions": progress.actions,
            },
        }
        write_atomically(self.directory / _FILE, json.dumps(kept).encode("ascii"))

    def _find_process(self) -> None:
        """After a restart: the attempt that was begun but has no outcome yet."""
        step = self._step()
        if not isinstance(step, plan.Begin):
            return
        directory = self._attempt_directory(step.index, step.attempt)
        if not directory.is_dir():
            return
        self._begun = (step.index, step.attempt)
        self.process = Process.adopt(directory)
        if self.process is not None:
            self._watch(step.index, time.time() - self.process.started)
        else:
            self._outcome(exit_code(directory), adopted=True)

    # -- going on ------------------------------------------------------------------------------

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
        if self.process is not None:
            self._enforce()
            return
        while self.result is None and self.process is None:
            self._check_run_limit()
            step = self._step()
            if isinstance(step, plan.Done):
                self._close(step.result)
            elif isinstance(step, plan.Skip):
                self.progress.skipped[step.index] = True
                entry = self.progress.actions[step.index]
                entry.update(result=plan.SKIPPED, message="skipped: an earlier action failed")
            else:
                wait = step.at - time.time()
                if wait > 0:
                    self._wake(time.monotonic() + wait)
                    self._wake(self._run_limit_at)
                    return
                self._begin(step)

    def _wake(self, at: float | None) -> None:
        if at is not None:
            self.wake_at = at if self.wake_at is None else min(self.wake_at, at)

    def _check_run_limit(self) -> None:
        if self._run_limit_at is not None and time.monotonic() >= self._run_limit_at:
            self.end(f"max_duration of {self._run_limit} s exceeded", plan.FAIL)

    def _begin(self, step: plan.Begin) -> None:
        spec = self.specs[step.index]
        self._begun = (step.index, step.attempt)
        entry = self.progress.actions[step.index]
        entry["attempts"] = step.attempt
        entry.setdefault("time_started", round(time.time(), 3))
        if entry["time_started"] is None:
            entry["time_started"] = round(time.time(), 3)
        directory = self._attempt_directory(step.index, step.attempt)
        self._note(
            f"action {step.index + 1} of {len(self.specs)} ({spec.name}), attempt {step.attempt}"
        )
        try:
            wanted = self._command(spec, directory)
            self.process = Process.start(
                directory,
                wanted.argv,
                environment=self._environment(wanted.environment, step),
                working_directory=wanted.working_directory,
                log=self.log,
            )
        except (ColdchainError, OSError) as error:
            message = error.message if isinstance(error, ColdchainError) else str(error)
            self._record(plan.FAIL, None, f"could not be started: {message}", {})
            return
        self._watch(step.index, 0.0)

    def _command(self, spec: plan.ActionSpec, directory: Path) -> Command:
        if spec.name == "exec":
            if not self.settings.allow_exec:
                raise ColdchainError("exec actions are switched off on this host (allow_exec)")
            return command(spec.action)
        config = self.directory / f"{directory.name}.json"
        write_atomically(config, json.dumps({"freezer_action": spec.action}).encode("ascii"))
        package = Path(coldchain.__file__).resolve().parents[1]
        argv = [sys.executable, "-I", "-c", _AGENT, os.fspath(package)]
        if self.paths.home is not None:
            argv += ["--home", os.fspath(self.paths.home)]
        argv += [
            "agent",
            "--config",
            os.fspath(config),
            "--result",
            os.fspath(directory / "result.json"),
            "--progress",
            os.fspath(directory / "progress.json"),
        ]
        return Command(tuple(argv), {}, None)

    def _environment(self, own: Mapping[str, str], step: plan.Begin) -> dict[str, str]:
        environment = {
            key: value for key, value in os.environ.items() if key not in _SERVICE_VARIABLES
        }
        environment.update(own)
        environment.update(
            COLDCHAIN_JOB_ID=self.job_id,
            COLDCHAIN_RUN_ID=self.run_id,
            COLDCHAIN_ACTION=str(step.index + 1),
            COLDCHAIN_ATTEMPT_NUMBER=str(step.attempt),
        )
        return environment

    def _watch(self, index: int, age: float) -> None:
        timeout = self.specs[index].timeout
        self._timeout_at = None if timeout is None else time.monotonic() - age + timeout
        self._kill_at = None
        self._end_reason = ""
        if self.progress.aborted and not self.specs[index].mandatory:
            self._terminate(self.progress.aborted, self.progress.abort_result)
        self._wake(self._timeout_at)
        self._wake(self._run_limit_at)

    def _enforce(self) -> None:
        now = time.monotonic()
        index = self._begun[0] if self._begun else 0
        if self._timeout_at is not None and now >= self._timeout_at and not self._end_reason:
            self._terminate(f"timed out after {self.specs[index].timeout} s", plan.FAIL)
        if not self.progress.aborted:
            self._check_run_limit()
        if self._kill_at is not None and now >= self._kill_at and self.process is not None:
            self.process.signal(signal.SIGKILL)
            self._kill_at = now + 1.0  # a process in the kernel's hands may need more than one
        self._wake(self._kill_at)
        if not self._end_reason:
            self._wake(self._timeout_at)
        if not self.progress.aborted:
            self._wake(self._run_limit_at)

    def _terminate(self, reason: str, result: str) -> None:
        self._end_reason, self._end_result = reason, result
        if self.process is not None:
            self.process.signal(signal.SIGTERM)
            self._kill_at = time.monotonic() + self.settings.grace
            self._wake(self._kill_at)

    def end(self, reason: str, result: str = plan.ABORTED, *, kill: bool = False) -> None:
        """Tell the run to end: TERM to the action, KILL after the grace; mandatory actions that
        have not run yet still do.  kill=True: at once and without any further action."""
        first = not self.progress.aborted
        if first:
            self.progress.aborted, self.progress.abort_result = reason, result
        self.progress.killed = self.progress.killed or kill
        with contextlib.suppress(ColdchainError):  # told again at the next start if it was lost
            self._save()
        if self.process is None:
            self._wake(time.monotonic())
        elif kill:
            self._end_reason, self._end_result = reason, result
            self._kill_at = time.monotonic()
            self._wake(self._kill_at)
        elif first:
            self._terminate(reason, result)

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
        assert self.process is not None
        code = self.process.finish()
        self.process = None
        self._outcome(code, adopted=False)

    def _outcome(self, code: int | None, *, adopted: bool) -> None:
        assert self._begun is not None
        index, attempt = self._begun
        report = _report(self._attempt_directory(index, attempt) / "result.json")
        if self._end_reason:
            self._record(self._end_result, code, self._end_reason, report)
            return
        if code == 0:
            message = str(report.get("message", "")) or "ended with exit code 0"
            self._record(plan.SUCCESS, 0, message, report)
            return
        if code is None and adopted:
            message = "vanished without a result while the runner was down"
        elif code is None:
            message = "was killed together with its wrapper"
        else:
            message = str(report.get("message", "")) or _exit_message(code)
        if code == plan.SOFT_FAILURE:
            message += " (exit code 75: not tried again)"
        self._record(plan.FAIL, code, message, report)

    def _record(self, result: str, code: int | None, message: str, report: dict[str, Any]) -> None:
        assert self._begun is not None
        index = self._begun[0]
        now = time.time()
        self.progress.attempts[index].append(plan.Attempt(result, code, now))
        entry = self.progress.actions[index]
        entry.update(
            result=result,
            attempts=len(self.progress.attempts[index]),
            exit_code=code,
            message=message,
            time_ended=round(now, 3),
            duration=round(now - (entry["time_started"] or now), 3),
        )
        if code == plan.SOFT_FAILURE:
            entry["soft"] = True
        if report:
            entry["report"] = report
        self._begun = None
        self._kill_at = self._timeout_at = None
        self._end_reason = ""
        self._note(f"{result}: {message}")
        with contextlib.suppress(ColdchainError):  # a full disk: the attempt's own files tell it
            self._save()

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


def _pending(spec: plan.ActionSpec) -> dict[str, Any]:
    return {
        "action": spec.name,
        "result": "",
        "attempts": 0,
        "exit_code": None,
        "message": "",
        "time_started": None,
        "time_ended": None,
        "duration": 0.0,
    }


def _report(path: Path) -> dict[str, Any]:
    try:
        report = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def _exit_message(code: int) -> str:
    if code == 127:
        return "exit code 127: command not found"
    if code == 126:
        return "exit code 126: the command cannot be executed"
    if code > 128:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(code - 128).name} (exit code {code})"
    return f"exit code {code}"
