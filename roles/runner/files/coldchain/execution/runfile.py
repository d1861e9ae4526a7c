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
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from coldchain.execution import plan
from coldchain.execution.process import boot_id
from coldchain.store.files import cannot_read, write_atomically

_FILE = "run.json"

Document = dict[str, Any]
Record = dict[str, Any]


@dataclass(frozen=True)
class Cause:
    """Why a run begins.  kind: schedule, event or catch-up; scheduled_for: the slot (ISO UTC)."""

    kind: str
    scheduled_for: str


@dataclass
class Progress:
    """What has happened so far; attempts, skipped and actions have one entry an action.

    uncleaned: the action and the attempt (index, number) whose remnants are still to be removed.
    boot, began: when the run began, in monotonic seconds of that boot.
    """

    attempts: list[list[plan.Attempt]]
    skipped: list[bool]
    actions: list[dict[str, Any]] = field(default_factory=list)
    aborted: str = ""  # why the run was told to end
    abort_result: str = plan.ABORTED
    killed: bool = False
    uncleaned: tuple[int, int] | None = None
    boot: str = field(default_factory=boot_id)
    began: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, specs: Sequence[plan.ActionSpec]) -> Progress:
        """Nothing has happened yet."""
        return cls(
            [[] for dummy in specs], [False] * len(specs), [_pending(spec) for spec in specs]
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "attempts": [
                [[item.result, item.exit_code, item.ended] for item in done]
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
    def from_dict(cls, kept: dict[str, Any]) -> Progress:
        """What a newer release has added is passed over."""
        attempts = [[plan.Attempt(*item[:3]) for item in done] for done in kept["attempts"]]
        uncleaned = tuple(kept["uncleaned"]) if kept.get("uncleaned") else None
        known = {name: kept[name] for name in cls.__dataclass_fields__ if name in kept}
        return cls(**{"boot": "", **known, "attempts": attempts, "uncleaned": uncleaned})


def new_record(job_id: str, cause: Cause) -> Record:
    """The record of a run that begins now (a RUN of docs/reference/command.md)."""
    now = time.time()
    stamp = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    return {
        "run_id": f"{stamp}-{os.urandom(4).hex()}",
        "job_id": job_id,
        "cause": cause.kind,
        "scheduled_for": cause.scheduled_for,
        "time_started": round(now, 3),
        "time_ended": None,
        "result": "",
        "actions": [],
    }


def write(
    directory: Path, document: Document, record: Record, progress: Progress, *, durable: bool
) -> None:
    """CannotWrite when the disk does not take it.

    A new run need not be durable: the state that names it is, and after a power cut nothing of it
    runs any more.
    """
    kept = {"document": document, "record": record, "progress": progress.as_dict()}
    write_atomically(directory / _FILE, json.dumps(kept).encode("ascii"), durable=durable)


def read(directory: Path) -> tuple[Document, Record, Progress]:
    """ValueError when there is no readable one; Unavailable when that cannot be found out."""
    path = directory / _FILE
    try:
        kept = json.loads(path.read_bytes())
        return kept["document"], kept["record"], Progress.from_dict(kept["progress"])
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
