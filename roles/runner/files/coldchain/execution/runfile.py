# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of a run in progress: ``run.json`` in the run's own directory.

The document, the record as the history will have it, and what has happened so far: all that a
later runner needs to go on.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from coldchain.execution import plan
from coldchain.store.files import write_atomically

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
    """

    attempts: list[list[plan.Attempt]]
    skipped: list[bool]
    actions: list[dict[str, Any]] = field(default_factory=list)
    aborted: str = ""  # why the run was told to end
    abort_result: str = plan.ABORTED
    killed: bool = False
    uncleaned: tuple[int, int] | None = None

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
        }

    @classmethod
    def from_dict(cls, kept: dict[str, Any]) -> Progress:
        attempts = [[plan.Attempt(*item) for item in done] for done in kept["attempts"]]
        uncleaned = tuple(kept["uncleaned"]) if kept.get("uncleaned") else None
        return cls(**{**kept, "attempts": attempts, "uncleaned": uncleaned})


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
    """ValueError when there is no readable one."""
    try:
        kept = json.loads((directory / _FILE).read_bytes())
        return kept["document"], kept["record"], Progress.from_dict(kept["progress"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{directory / _FILE}: {error}") from None


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
