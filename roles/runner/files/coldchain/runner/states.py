# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of each job, what of it is not on disk yet, and the slots that were passed over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, ItemsView, Iterator, Mapping
from contextlib import suppress
from typing import Any

from coldchain.core.errors import CannotWrite, ColdchainError, DataError, TryAgain
from coldchain.core.instants import from_epoch, iso
from coldchain.core.log_limit import LimitedLog
from coldchain.store import State, Store

DROP_AGAIN = 2.0
"""Seconds between two tries to drop the requests that are done."""

log = logging.getLogger(__name__)


class States:
    """The states of all jobs by id; ``commit`` writes what has changed since the last one."""

    def __init__(self, store: Store) -> None:
        # Each commit replaces what is known to be done, so what an earlier runner did is in it
        # until it is dropped; else it would be done again.
        self.done_events: list[str] = store.acted_on()
        self._noted = len(self.done_events)  # so many of them are in the committed state
        # Our own look at the requests brings in what was written there meanwhile, so that no change
        # is seen afterwards: there was one at the start, and there is one after each commit.
        self.events_written = True
        self._store = store
        self._states: dict[str, State] = dict(store.states().items())  # decoded some at a time
        self._dirty: set[str] = set()
        self._drop_at = 0.0
        self._troubles = LimitedLog(log)
        self.mark: Callable[[], dict[str, Any]] | None = None
        """Gives what is kept of the clock with each commit (see ClockTrust)."""
        self._doubt = store.clock_doubted()  # as it is on disk
        self._ledger: Mapping[str, Any] | None = store.ledger_kept()
        self.ledger: Callable[[], Mapping[str, Any] | None] = lambda: None
        """Gives what is kept of the ledger with each commit (see RunLedger.kept)."""

    def __getitem__(self, job_id: str) -> State:
        return self._states[job_id]

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._states

    def __iter__(self) -> Iterator[str]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)

    def get(self, job_id: str) -> State | None:
        """The state of a job, None when it has none."""
        return self._states.get(job_id)

    def items(self) -> ItemsView[str, State]:
        """Job and state of all."""
        return self._states.items()

    def add(self, job_id: str, state: State) -> None:
        """Begin the state of a job."""
        self._states[job_id] = state
        self._dirty.add(job_id)

    def change(self, job_id: str, **fields: Any) -> None:
        """Give the *fields* of the job's state these values."""
        state = self._states[job_id]
        for name, value in fields.items():
            if getattr(state, name) != value:
                self.add(job_id, state._replace(**fields))
                return

    def remove(self, job_id: str) -> None:
        """Forget the job.  Raises KeyError when it is not known."""
        del self._states[job_id]
        self._dirty.add(job_id)

    def commit(self, *, last: bool = False) -> None:
        """Write what changed, in one commit; then drop the requests that are done.

        last: also what is kept of the ledger, which alone is not worth a commit.

        Whoever keeps those locked, or a disk that does not take them, only delays the dropping:
        the state tells that they are done.  What is no longer the file that was written here, as it
        was damaged or removed, is written again, all of it: the generation before is out of date.
        """
        done = self.done_events
        whole = self._store.state_replaced()
        if len(done) > self._noted:
            # A file that was damaged gives way to its earlier generation, with what was dropped.
            with suppress(DataError):  # both are damaged: what is known here is all there is
                done += [key for key in self._store.acted_on() if key not in done]
        mark = None if self.mark is None else self.mark()
        # Whoever asks why nothing runs is told of it.
        doubt = self._doubt if mark is None else mark["doubt"]
        news = bool(self._dirty) or len(done) > self._noted or doubt != self._doubt or whole
        ledger = self.ledger() if news or last else None
        if ledger == self._ledger and not whole:
            ledger = None
        if news or (last and ledger is not None):
            self._store.commit_states(
                self._states
                if whole
                else {job_id: self._states.get(job_id) for job_id in self._dirty},
                done if whole else done or None,
                mark,
                ledger,
                whole=whole,
            )
            self._doubt = doubt
            self._dirty.clear()
            self._noted = len(done)
            self._ledger = ledger or self._ledger
        if done and time.monotonic() >= self._drop_at:
            try:
                self._store.forget_events(done)
            except TryAgain:
                self._drop_at = time.monotonic() + DROP_AGAIN
            except ColdchainError as error:
                self._troubles.say("requests", f"{error.message} ({error.hint})")
                self._drop_at = time.monotonic() + DROP_AGAIN
            else:
                self._troubles.over("requests", "the requests that are done could be dropped")
                self.done_events, self._noted = [], 0
                self.events_written = True

    # -- skipped slots ---------------------------------------------------------------------------

    def skip(self, job_id: str, slots: list[float], reason: str) -> None:
        """Put *slots* (POSIX seconds, in order) on record as passed over."""
        first, last = iso(from_epoch(slots[0])), iso(from_epoch(slots[-1]))
        group = self._states[job_id].skipped
        if group is not None and group["reason"] != reason and self.flush_skipped(job_id):
            group = None
        if group is None:
            count = len(slots)
            group = {"skipped": count, "reason": reason, "scheduled_for": first, "last": last}
        else:
            group = {**group, "last": last, "skipped": group["skipped"] + len(slots)}
        self.change(job_id, skipped=group, reason=f"the slot {last} was skipped: {reason}")
        count_text = "slot" if len(slots) == 1 else f"{len(slots)} slots up to"
        text = f"job {job_id}: {count_text} {last} skipped: {reason}"
        self._troubles.say(f"slots of {job_id}", text, cause=reason, level=logging.WARNING)

    def flush_skipped(self, job_id: str) -> bool:
        """Move the group of skipped slots to the history.  False: the disk does not take it now;
        it stays in the state until later."""
        group = self._states[job_id].skipped
        if group is None:
            return True
        entry = {**group, "job_id": job_id, "time_ended": round(time.time(), 3)}
        try:
            self._store.add_history(job_id, entry)
        except CannotWrite as error:
            self._troubles.say(job_id, error.message)
            return False
        for trouble in (job_id, f"slots of {job_id}"):
            self._troubles.forget(trouble)
        self.change(job_id, skipped=None)
        return True
