# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the store hands out: frozen records instead of dictionaries."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coldchain import lifecycle

Document = dict[str, Any]
Row = Mapping[str, Any]
Run = dict[str, Any]
"""A RUN as docs/reference/command.md describes it."""


def timing(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """A canonical schedule without the desired status: stopping and starting keeps a job's pace."""
    return {key: value for key, value in schedule.items() if key != "status"}


def _known(cls: type[Any], row: Row) -> Row:
    """The fields of *row* that this release knows: after a way back there may be more."""
    names = cls.__dataclass_fields__
    if row.keys() <= names.keys():
        return row
    return {name: value for name, value in row.items() if name in names}


@dataclass(frozen=True)
class JobRecord:
    """A declaration.

    document: canonical form; revision: counts its changes; created, changed, anchor: POSIX seconds
    of the declaration, of its last change and of the last change of its schedule (which anchors
    intervals); imported: run facts that came with a job that ran elsewhere before.
    """

    job_id: str
    document: Document
    revision: int
    created: float
    changed: float
    anchor: float
    imported: dict[str, Any] = field(default_factory=dict)

    @property
    def schedule(self) -> dict[str, Any]:
        value: dict[str, Any] = self.document.get("job_schedule", {})
        return value

    @property
    def stopped(self) -> bool:
        """Declared with status "stop": kept, not scheduled."""
        return self.schedule.get("status") == lifecycle.STOP

    def as_row(self) -> dict[str, Any]:
        """Without the id.  Shallow on purpose."""
        row = dict(vars(self))
        del row["job_id"]
        return row

    @classmethod
    def from_row(cls, job_id: str, row: Row) -> JobRecord:
        return cls(job_id=job_id, **_known(cls, row))


@dataclass(frozen=True)
class Change:
    """document None removes the job."""

    job_id: str
    document: Document | None
    imported: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """A request of a person or a playbook, until the runner has acted on it."""

    id: str
    job_id: str
    event: str
    time: float
    by: str

    @classmethod
    def from_row(cls, request_id: str, row: Row) -> Event:
        return cls(id=request_id, **_known(cls, row))


@dataclass(frozen=True)
class State:
    """What the runner knows of a job.

    time_started, time_ended: POSIX seconds of the last run; next_run: ISO instant in UTC;
    reason: why the job is in this state, for people; cause, scheduled_for: of the present run (see
    RUN); considered: POSIX seconds up to which every
    slot of the schedule is accounted for; armed: the anchor of the armed schedule; anew: what it
    counts from instead, because the clock was ahead before; queue: slots that wait for their run;
    skipped: slots in a row that were passed over, not yet in the history.
    """

    status: str = lifecycle.SCHEDULED
    event: str = ""
    result: str = ""
    time_started: float | None = None
    time_ended: float | None = None
    next_run: str | None = None
    run_id: str | None = None
    cause: str = ""
    scheduled_for: str = ""
    last_run: Run | None = None
    reason: str = ""
    considered: float | None = None
    revision: int = 0
    armed: float | None = None
    anew: float | None = None
    queue: list[dict[str, Any]] = field(default_factory=list)
    skipped: dict[str, Any] | None = None

    @classmethod
    def initial(cls, record: JobRecord) -> State:
        """The state of a declared job that the runner has not seen yet."""
        facts = record.imported
        return cls(
            status=lifecycle.STOP if record.stopped else lifecycle.SCHEDULED,
            result=facts.get("result", ""),
            time_started=facts.get("time_started"),
            time_ended=facts.get("time_ended"),
            reason="declared with status stop" if record.stopped else "not yet seen by the runner",
        )

    def as_row(self) -> dict[str, Any]:
        """Only what differs from the defaults: most rows are short.  Shallow on purpose."""
        row = {}
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if value not in (None, "", []) and value != 0:
                row[item.name] = value
        return row

    @classmethod
    def from_row(cls, dummy: str, row: Row) -> State:
        return cls(**_known(cls, row))
