# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that would have to wait for each other: the same lock at the same time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from coldchain.cli.preview import SECOND, trigger_of
from coldchain.core.settings import Settings
from coldchain.lifecycle import STOP
from coldchain.schedule import Trigger
from coldchain.store import State, Store


class Locks:
    """The jobs of a host by their lock.

    documents: job id -> (document, anchor); last_duration: seconds that the last run of a job
    took.  A run is taken to last as long as the one before it, or no time when there was none.
    """

    def __init__(
        self,
        settings: Settings,
        documents: Mapping[str, tuple[Mapping[str, Any], datetime]],
        last_duration: Callable[[str], float | None],
    ) -> None:
        self._settings = settings
        self._documents = documents
        self._last_duration = last_duration
        self._sharing: dict[str, list[str]] = {}
        for job_id, (document, _unused) in documents.items():
            if "lock" in document:
                self._sharing.setdefault(document["lock"], []).append(job_id)
        self._triggers: dict[str, Trigger | None] = {}

    def mark(self, document: Mapping[str, Any], at: datetime) -> str:
        """What to say of a run of *document* at *at*; "" when nothing is in its way."""
        lock = document.get("lock")
        if lock is None:
            return ""
        others = [
            job_id
            for job_id in self._sharing.get(lock, ())
            if job_id != document["job_id"]
            and self._due(job_id, at - self._length(job_id), at + self._length(document["job_id"]))
        ]
        return f"  (lock {lock}: also due: {', '.join(others)})" if others else ""

    def _length(self, job_id: str) -> timedelta:
        return timedelta(seconds=self._last_duration(job_id) or 0.0)

    def _due(self, job_id: str, begin: datetime, end: datetime) -> bool:
        """Whether the job is due in begin <= instant <= end."""
        if job_id not in self._triggers:
            document, anchor = self._documents[job_id]
            self._triggers[job_id] = self._trigger(document, anchor)
        trigger = self._triggers[job_id]
        occurrence = None if trigger is None else trigger.next(begin - SECOND)
        return occurrence is not None and occurrence.at <= end

    def _trigger(self, document: Mapping[str, Any], anchor: datetime) -> Trigger | None:
        if document.get("job_schedule", {}).get("status") == STOP:
            return None
        try:
            return trigger_of(document, anchor, self._settings)
        except ValueError:  # declared when the host still knew its zone
            return None


def last_duration(store: Store | None) -> Callable[[str], float | None]:
    """Tells the seconds that the last run of a job took, None when there was none."""
    states: Mapping[str, State] = {} if store is None else store.states()

    def seconds(job_id: str) -> float | None:
        state = states.get(job_id)
        if state is None or not state.time_started or not state.time_ended:
            return None
        return max(0.0, state.time_ended - state.time_started)

    return seconds
