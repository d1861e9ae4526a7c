# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calendar of a declared or proposed job, as the runner sees it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from coldchain.cli.context import Call
from coldchain.core.errors import DataError
from coldchain.core.instants import from_epoch, parse_instant
from coldchain.core.settings import Settings
from coldchain.runner.outlook import Outlook, Recorded
from coldchain.runner.requests import asked_for
from coldchain.runner.runs_to_come import runs_to_come
from coldchain.schedule import Trigger, build
from coldchain.schedule.preview import Upcoming, upcoming

if TYPE_CHECKING:
    from coldchain.store import Event, JobRecord, State, Store

SECOND = timedelta(seconds=1)


class Seen(NamedTuple):
    """What the runner knew at one moment: its states by job id, and what it had not acted on."""

    states: Mapping[str, State] = MappingProxyType({})
    pending: Sequence[Event] = ()

    @classmethod
    def of(cls, store: Store | None) -> Seen:
        """What it knows now; *store* is None where it was never at work."""
        return cls() if store is None else cls(store.states(), store.pending_events())


def trigger_of(
    document: Mapping[str, Any], anchor: datetime, settings: Settings, *, client_id: str = ""
) -> Trigger:
    """The trigger of a canonical document.

    anchor: the instant of the declaration, or of the last change of the schedule; client_id: the
    host that the job is for when it is not this one.

    ScheduleError (a ValueError) when the host cannot use the schedule any more.
    """
    return build(
        document.get("job_schedule", {}),
        zone=settings.zone,
        created=anchor.replace(microsecond=0),
        key=f"{client_id or settings.client_id}/{document['job_id']}",
    )


def outlook_of(
    record: JobRecord,
    store: Store | None,
    settings: Settings,
    now: float | None = None,
    *,
    requests: bool = True,
    seen: Seen | None = None,
) -> Outlook:
    """What the runner will make of a declared or proposed job at *now* (POSIX seconds; None: now).

    store: where the runner keeps what it knows of the job; None where it was never at work;
    requests: with those that the runner has not acted on yet; seen: what it knew, if not now.
    """
    now = time.time() if now is None else now
    if store is None:
        return Outlook.of(record, None, settings, now)
    job_id = record.job_id
    seen = Seen.of(store) if seen is None else seen
    state = seen.states.get(job_id)

    def recorded() -> Recorded:
        runs = store.history(job_id, 2 * settings.history_runs)
        return Recorded.of(runs, settings.history_runs)

    if requests:
        pending = [request for request in seen.pending if request.job_id == job_id]
        state = asked_for(state, record, pending, settings, now, recorded)
    return Outlook.of(record, state, settings, now, recorded)


def coming_runs(outlook: Outlook, number: int, now: float | None = None) -> list[Upcoming]:
    """The first *number* runs that will happen from *now* on (POSIX seconds; None: now)."""
    now = time.time() if now is None else now
    if outlook.trigger is None:
        return []
    coming = itertools.islice(runs_to_come(outlook, now), number)
    return [upcoming(outlook.trigger, run.occurrence) for run in coming]


def usable_trigger(call: Call, record: JobRecord) -> Trigger:
    """The trigger of a declared job.  Raises DataError when this host cannot use its schedule."""
    try:
        return trigger_of(record.document, from_epoch(record.anchor), call.settings)
    except ValueError as error:
        raise DataError(
            f"the schedule of job {record.job_id} cannot be used on this host: {error}",
            "correct it and apply the document again",
        ) from None


def instant_of(call: Call, text: str | None) -> datetime:
    """The instant in *text*, an instant_text, or now; whole seconds."""
    if text is None:
        return datetime.now(timezone.utc).replace(microsecond=0)
    return parse_instant(text, call.settings.zone)
