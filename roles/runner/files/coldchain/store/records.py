# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the store hands out: frozen records instead of dictionaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from coldchain import lifecycle
from coldchain.core.instants import from_epoch, iso

Document = dict[str, Any]
NOTHING: Mapping[str, Any] = {}
NO_ENTRIES: Sequence[dict[str, Any]] = []
Row = Mapping[str, Any]
Run = dict[str, Any]
"""A RUN as docs/reference/command.md describes it."""


def timing(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """A canonical schedule without the desired status: stopping and starting keeps a job's pace."""
    return {key: value for key, value in schedule.items() if key != "status"}


def _known(cls: type[Any], row: Row) -> Row:
    """The fields of *row* that this release knows: after a way back there may be more."""
    names = _NAMES[cls]
    if row.keys() <= names:
        return row
    return {name: value for name, value in row.items() if name in names}


class JobRecord(NamedTuple):
    """A declaration.

    document: canonical form; revision: counts its changes; created, changed, anchor, enabled: POSIX
    seconds of the declaration, of its last change, of the last change of its schedule (which
    anchors intervals) and of the last time that ``status: stop`` was taken out of it (None: never
    was); imported: run facts that came with a job that ran elsewhere before.
    """

    job_id: str
    document: Document
    revision: int
    created: float
    changed: float
    anchor: float
    imported: Mapping[str, Any] = NOTHING
    enabled: float | None = None

    @classmethod
    def new(cls, change: Change, now: float) -> JobRecord:
        """The declaration of a job that was not there at *now* (POSIX seconds)."""
        assert change.document is not None
        return cls(change.job_id, change.document, 1, now, now, now, dict(change.imported))

    def replaced(self, document: Document, now: float) -> JobRecord:
        """The declaration after *document* was declared in its place at *now* (POSIX seconds)."""
        after = self._replace(document=document, revision=self.revision + 1, changed=now)
        if timing(self.schedule) != timing(after.schedule):
            after = after._replace(anchor=now)
        if self.stopped and not after.stopped:
            after = after._replace(enabled=now)
        return after

    @property
    def schedule(self) -> dict[str, Any]:
        """The job_schedule of the document."""
        value: dict[str, Any] = self.document.get("job_schedule", {})
        return value

    @property
    def stopped(self) -> bool:
        """Declared with status "stop": kept, not scheduled."""
        return self.schedule.get("status") == lifecycle.STOP

    def as_row(self) -> dict[str, Any]:
        """As it lies in the database, without the id.  Shallow on purpose."""
        row = self._asdict()
        del row["job_id"]
        if self.enabled is None:
            del row["enabled"]
        return row

    @classmethod
    def from_row(cls, job_id: str, row: Row) -> JobRecord:
        """The opposite of as_row."""
        return cls(job_id=job_id, **_known(cls, row))


class Change(NamedTuple):
    """What is to become of a declaration; document: None to remove the job."""

    job_id: str
    document: Document | None
    imported: Mapping[str, Any] = NOTHING


class Event(NamedTuple):
    """A request of a person or a playbook, until the runner has acted on it.

    document: canonical form of what is to be run once without being declared; None for an event.
    """

    id: str
    job_id: str
    event: str
    time: float
    by: str
    document: Document | None = None

    @classmethod
    def from_row(cls, request_id: str, row: Row) -> Event:
        """The request of that id, as it lies in the database."""
        return cls(id=request_id, **_known(cls, row))


_VALUE = itemgetter(1)
RUN_IN_PROGRESS = (
    "run_id",
    "cause",
    "scheduled_for",
    "request",
    "aborting",
    "survivors",
    "time_started",
)
"""The fields of a State that tell of the run that goes on."""


class State(NamedTuple):
    """What the runner knows of a job.

    Facts: created, armed_anchor, revision: of the declaration that was taken in (see JobRecord);
    run_id, cause, scheduled_for, request: of the run in progress (see RUN; request: {"id", "by"} of
    a one-off run, None for a declared job); aborting: that run was told to end; survivors: {"pid",
    "command"} of each process that it waits for, as it cannot be ended; newest_event:
    {"event", "who", "when", "revision"} of the last start, stop or abort, when in POSIX seconds,
    revision of the document that it met; unusable: why the host cannot use the schedule, "" when it
    can; checked_until: POSIX seconds up to which every slot is accounted for, None when none is;
    seen_until: up to where slots were accounted for before the clock was set back, None when that
    is not later; re_anchored: what the schedule counts from instead of the declaration, because the
    clock was ahead then; boot: the boot of the host (host_boot) that schedule_boot has had, ""
    without it; queue: slots that wait for their run (see Queues.add and one_off.entry_of);
    skipped: slots in a row that were passed over, not yet in the history; result, time_started,
    time_ended (POSIX seconds), last_run: of the last run.

    Derived from these and the document (outlook.py): status; event: what waits for the end of the
    run; stopped_by: {"what", "who", "when"} or None; next_run: ISO instant in UTC; reason: why the
    job is in this state, for people.
    """

    status: str = lifecycle.SCHEDULED
    event: str = ""
    result: str = ""
    time_started: float | None = None
    time_ended: float | None = None
    next_run: str | None = None
    stopped_by: dict[str, Any] | None = None
    run_id: str | None = None
    cause: str = ""
    scheduled_for: str = ""
    aborting: bool = False
    survivors: Sequence[dict[str, Any]] = NO_ENTRIES
    last_run: Run | None = None
    reason: str = ""
    newest_event: dict[str, Any] | None = None
    unusable: str = ""
    checked_until: float | None = None
    seen_until: float | None = None
    revision: int = 0
    created: float | None = None
    armed_anchor: float | None = None
    re_anchored: float | None = None
    boot: str = ""
    queue: Sequence[dict[str, Any]] = NO_ENTRIES
    skipped: dict[str, Any] | None = None
    request: dict[str, Any] | None = None

    @classmethod
    def initial(cls, record: JobRecord) -> State:
        """The state of a declared job that the runner has not seen yet."""
        facts = record.imported
        stopped_by = None
        if record.stopped:
            stopped_by = stopped(lifecycle.BY_DECLARATION, None, record.changed)
        return cls(
            status=lifecycle.STOP if record.stopped else lifecycle.SCHEDULED,
            stopped_by=stopped_by,
            result=facts.get("result", ""),
            time_started=facts.get("time_started"),
            time_ended=facts.get("time_ended"),
            reason=lifecycle.describe_stop(stopped_by) or "not yet seen by the runner",
            revision=record.revision,
            created=record.created,
            armed_anchor=record.anchor,
        )

    @property
    def why(self) -> str:
        """The reason, for people: before all else what keeps a run that was ended."""
        stuck = ", ".join(f"{one['pid']} ({one['command']})" for one in self.survivors)
        waits = f"waits for what cannot be ended: {stuck}" if stuck else ""
        return "; ".join(filter(None, (waits, self.reason)))

    @property
    def active(self) -> bool:
        """Is a run of the job going on?"""
        return self.run_id is not None

    @property
    def one_off(self) -> bool:
        """Not a declared job, but something that is run once, on request, and then forgotten."""
        return self.request is not None or any("document" in entry for entry in self.queue)

    def asked(self, request_id: str) -> bool:
        """Is a one-off run of the request going on, or does it wait?"""
        requests = [self.request, *(entry.get("request") for entry in self.queue)]
        return any(request is not None and request["id"] == request_id for request in requests)

    def as_row(self) -> dict[str, Any]:
        """Only what differs from the defaults: most rows are short.  Shallow on purpose."""
        return dict(filter(_VALUE, zip(self._fields, self)))

    @classmethod
    def from_row(cls, _unused: str, row: Row) -> State:
        """The opposite of as_row."""
        return cls(**_known(cls, row))


def stopped(what: str, who: str | None, when: float) -> dict[str, Any]:
    """A stopped_by: what stops a job (see lifecycle.CAUSES), who sent the event (None for what
    nobody sent), and since when (POSIX seconds; told as an ISO instant of whole seconds in UTC)."""
    return {"what": what, "who": who, "when": iso(from_epoch(int(when)))}


def run_message(run: Row) -> str:
    """The line that matters most: why the run failed, else what its last action said."""
    if run.get("reason"):
        return str(run["reason"])
    actions = [action for action in run.get("actions", []) if action.get("message")]
    failed = [action for action in actions if action.get("result") in ("fail", "aborted")]
    chosen = failed[0] if failed else (actions[-1] if actions else {})
    return str(chosen.get("message", ""))


_NAMES: Mapping[type[Any], frozenset[str]] = {
    cls: frozenset(cls._fields) for cls in (JobRecord, Event, State)
}
