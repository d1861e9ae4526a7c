# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of a run in progress: ``run.json`` in the run's own directory.

The document, the record as the history will have it, and what has happened so far: all that a
later runner needs to go on.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from coldchain.core.files import cannot_read, private_directory, write_atomically, write_new
from coldchain.execution import plan
from coldchain.execution.members import Member, boot_id
from coldchain.execution.outcome import Outcome

FILE = "run.json"
"""In the directory of a run."""

Document = dict[str, Any]
Record = dict[str, Any]


class Cause(NamedTuple):
    """Why a run begins.  kind: schedule, event or catch-up; scheduled_for: the slot (ISO UTC);
    request: {"id", "by"} of a one-off run, who asked for it; None for that of a declared job."""

    kind: str
    scheduled_for: str
    request: dict[str, str] | None = None


class RunProgress:
    """What has happened so far; attempts, skipped and actions have one entry an action.

    aborted: why the run was told to end.
    uncleaned: the action and the attempt (index, number) whose remnants are still to be removed.
    boot, began: when the run began, in monotonic seconds of that boot.
    """

    def __init__(self, specs: Sequence[plan.ActionSpec] = ()) -> None:
        """Nothing has happened yet."""
        self.attempts: list[list[plan.Attempt]] = [[] for _unused in specs]
        self.skipped = [False] * len(specs)
        self.actions = [_pending(spec) for spec in specs]
        self.aborted = ""
        self.abort_result = plan.ABORTED
        self.killed = False
        self.uncleaned: tuple[int, int] | None = None
        self.boot, self.began = boot_id(), time.monotonic()

    def attempt_begins(self, index: int, number: int, ago: float = 0.0) -> None:
        """Attempt *number* (from 1) of action *index* starts, or has started seconds *ago*."""
        entry = self.actions[index]
        entry["attempts"] = number
        if entry["time_started"] is None:
            entry["time_started"] = round(time.time() - ago, 3)

    def attempt_ended(self, index: int, reached: Outcome) -> None:
        """The attempt of action *index* is over, with the outcome that it has reached."""
        now = time.time()
        self.attempts[index].append(
            plan.Attempt(reached.result, reached.exit_code, now, reached.hopeless)
        )
        entry = self.actions[index]
        entry.update(
            result=reached.result,
            attempts=len(self.attempts[index]),
            exit_code=reached.exit_code,
            message=reached.message,
            time_ended=round(now, 3),
            duration=max(0.0, round(now - (entry["time_started"] or now), 3)),
        )
        if reached.exit_code == plan.SOFT_FAILURE:
            entry["soft"] = True
        if reached.report:
            entry["report"] = reached.report

    def clean_up_ended(self, index: int, reached: Outcome) -> None:
        """What the killed action *index* left is removed, or that has failed."""
        entry = self.actions[index]
        entry["clean_up"] = {"result": reached.result, "message": reached.message}
        if reached.result != plan.SUCCESS:
            entry["message"] += f"; its clean-up failed: {reached.message}"
        self.uncleaned = None

    def skip(self, index: int) -> None:
        """Action *index* does not run, because an earlier one failed."""
        self.skipped[index] = True
        self.actions[index].update(result=plan.SKIPPED, message="skipped: an earlier action failed")

    def name_processes(self, index: int, key: str, processes: Sequence[Member]) -> None:
        """Add *processes* to what the record of action *index* has under *key*."""
        entry = self.actions[index]
        entry[key] = [*entry.get(key, ()), *(process.as_dict() for process in processes)]

    def as_dict(self) -> dict[str, Any]:
        """As it is kept, see from_dict."""
        return {
            "attempts": [
                [[item.result, item.exit_code, item.ended, item.hopeless] for item in done]
                for done in self.attempts
            ],
            "skipped": self.skipped,
            "actions": self.actions,
            "aborted": self.aborted,
            "abort_result": self.abort_result,
            "killed": self.killed,
            "uncleaned": self.uncleaned,
            "boot": self.boot,
            "began": self.began,
        }

    def age(self) -> float | None:
        """Seconds since the run began, whoever has set the clock; None after another boot."""
        return time.monotonic() - self.began if self.boot == boot_id() else None

    @classmethod
    def from_dict(cls, kept: dict[str, Any]) -> RunProgress:
        """Read what as_dict() made; what a newer release has added is passed over."""
        attempts = [[plan.Attempt(*item[:4]) for item in done] for done in kept["attempts"]]
        progress = cls()
        progress.boot = ""
        for name in vars(progress).keys() & kept.keys():
            setattr(progress, name, kept[name])
        progress.attempts, progress.skipped = attempts, kept["skipped"]
        progress.uncleaned = tuple(kept["uncleaned"]) if kept.get("uncleaned") else None
        return progress


def new_record(job_id: str, cause: Cause) -> Record:
    """The record of a run that begins now (a RUN of docs/reference/command.md)."""
    now = time.time()
    stamp = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    asked = {} if cause.request is None else {"request": cause.request}
    return {
        "run_id": f"{stamp}-{os.urandom(4).hex()}",
        "job_id": job_id,
        "cause": cause.kind,
        "scheduled_for": cause.scheduled_for,
        "time_started": round(now, 3),
        "time_ended": None,
        "result": "",
        "actions": [],
        **asked,
    }


def make_place(directory: Path) -> None:
    """Make the *directory* of a new run; OSError.  That of all runs may have been removed by
    somebody who thought it idle."""
    name = os.fspath(directory)
    try:
        os.mkdir(name, 0o700)
    except FileNotFoundError:
        private_directory(os.path.dirname(name))
        os.mkdir(name, 0o700)


def write(
    directory: Path, document: Document, record: Record, progress: RunProgress, *, new: bool
) -> None:
    """Keep what is known of a run in its *directory*; raises CannotWrite.

    new: nobody knows the run yet.  It need not be durable: the state that names it is, and after a
    power cut nothing of it runs any more.  Nor has it to be there as a whole or not at all: of a
    run without a record that can be read nothing has begun.
    """
    kept = {"document": document, "record": record, "progress": progress.as_dict()}
    put = write_new if new else write_atomically
    put(f"{directory}/{FILE}", json.dumps(kept).encode("ascii"))


def read(directory: Path) -> tuple[Document, Record, RunProgress]:
    """What was kept of the run in *directory*.

    Raises ValueError when there is nothing that can be read, Unavailable when that cannot be found
    out.
    """
    path = directory / FILE
    try:
        kept = json.loads(path.read_bytes())
        return kept["document"], kept["record"], RunProgress.from_dict(kept["progress"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EIO):
            raise cannot_read(path, error) from None
        raise ValueError(f"{path}: {error.strerror}") from None


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
