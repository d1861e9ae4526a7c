# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that wait for a place and for their locks, and which of them may begin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from coldchain import lifecycle
from coldchain.core.instants import from_epoch
from coldchain.runner.outlook import STEP
from coldchain.runner.states import States
from coldchain.schedule import Trigger
from coldchain.store import Document, JobRecord, Store


class Waiting(NamedTuple):
    """What decides when a queued job begins, besides its time.  lock: "" for none."""

    priority: int = 0
    lock: str = ""

    @classmethod
    def of(cls, record: JobRecord) -> Waiting:
        """What the document of *record* says."""
        return cls.of_document(record.document)

    @classmethod
    def of_document(cls, document: Document) -> Waiting:
        """What a canonical document says."""
        return cls(document.get("priority", 0), document.get("lock", ""))


class Queues:
    """What waits of each job, in its state; and, of those that have something, what decides when it
    begins."""

    def __init__(self, store: Store, states: States) -> None:
        self._store, self._states = store, states
        self.waiting = {
            job_id: Waiting.of_document(state.queue[0].get("document", {}))
            for job_id, state in states.items()
            if state.queue
        }

    def __len__(self) -> int:
        return len(self.waiting)

    def declared(self, record: JobRecord) -> None:
        """What waits of the job is judged by this declaration from now on."""
        if record.job_id in self.waiting:
            self.waiting[record.job_id] = Waiting.of(record)

    def forget(self, job_id: str) -> None:
        """The job is gone, and its state with it."""
        self.waiting.pop(job_id, None)

    def add(self, job_id: str, *, slot: float, at: float, cause: str, asked: bool = False) -> None:
        """Let the job run once as soon as a place and its lock are free.

        slot, at: POSIX seconds that the run is for, and before which it does not begin; cause: see
        RUN; asked: whether the job is stopped or not.
        """
        record = self._store.job(job_id)
        entry: dict[str, Any] = {"slot": slot, "at": at, "cause": cause}
        if asked:
            entry["asked"] = True
        self._states.change(job_id, queue=[*self._states[job_id].queue, entry])
        self.waiting[job_id] = Waiting() if record is None else Waiting.of(record)

    def add_one_off(self, job_id: str, entry: dict[str, Any]) -> None:
        """Let what is not declared run once (see one_off.py), behind what waits of its name."""
        self._states.change(job_id, queue=[*self._states[job_id].queue, entry])
        self.waiting.setdefault(job_id, Waiting.of_document(entry["document"]))

    def put(self, job_id: str, queue: Sequence[dict[str, Any]]) -> None:
        """The first entries became runs, or will not; *queue* is what is left."""
        self._states.change(job_id, queue=queue)
        if not queue:
            self.waiting.pop(job_id, None)
        elif "document" in queue[0]:
            self.waiting[job_id] = Waiting.of_document(queue[0]["document"])

    def due(self, now: float) -> list[tuple[str, str]]:
        """Jobs that may begin a run now, and their locks, in order of priority and then of time.

        Their documents are not looked at: a hundred of them may wait for four places.
        """
        ready = []
        for job_id, waiting in self.waiting.items():
            state = self._states[job_id]
            if state.status == lifecycle.SCHEDULED and state.queue and state.queue[0]["at"] <= now:
                ready.append((-waiting.priority, state.queue[0]["at"], job_id, waiting.lock))
        return [(job_id, lock) for _unused, _unused, job_id, lock in sorted(ready)]

    def next_time(self) -> float | None:
        """POSIX seconds of the earliest queued run that is still to come."""
        times = [
            self._states[job_id].queue[0]["at"]
            for job_id in self.waiting
            if self._states[job_id].queue
        ]
        return min(times) if times else None


def set_back(entry: dict[str, Any], trigger: Trigger, now: float) -> dict[str, Any] | None:
    """A run that waits, as it is to wait when the clock has been set back to *now* (POSIX seconds);
    None for one whose slot comes again."""
    if entry["cause"] == "event":
        return {**entry, "at": min(entry["at"], now)}
    if trigger.kind in ("cron", "interval", "date"):
        if entry["slot"] > now + STEP:
            return None
        if entry["cause"] == "schedule":
            return entry  # a splay may not be over
    until = trigger.blackout_until(from_epoch(now))
    return {**entry, "at": min(entry["at"], now if until is None else until.timestamp())}
