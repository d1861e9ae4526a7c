# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database of one host: declarations, requests, state, history.

One writer per fact: declarations (jobs.json) and requests (events.json) are written by the command,
state (state.json) and history by the process that holds the runner's lock.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

from tinydb import TinyDB

from coldchain.core.errors import OTHER_HOME, DataError, Unavailable
from coldchain.core.files import TEMPORARY, remove_file, short_path
from coldchain.core.locks import is_locked
from coldchain.core.paths import Paths
from coldchain.store import history
from coldchain.store.file_format import Damage
from coldchain.store.json_file import AtomicJSONStorage
from coldchain.store.records import Change, Document, Event, JobRecord, Run, State
from coldchain.store.retention import Bounds, Retention
from coldchain.store.rows import Remembered
from coldchain.store.table import KeyTable, change

WRITTEN_AGAIN = 5.0
"""Seconds within which a runner that can write has replaced a damaged state."""
_LOOK_EVERY = 0.02  # seconds


class _Database(TinyDB):
    table_class = KeyTable  # type: ignore[assignment]  # untyped there, and meant to be set


class Store:
    """Everything that is kept.  Reading never writes, not even a lock file.

    patience: seconds that a reader waits in all for a runner at work to write a damaged state
    again.
    """

    def __init__(self, paths: Paths, *, patience: float = 0.0) -> None:
        self.paths = paths
        self._patience = patience
        self._retention = Retention(paths)
        self._unsynced: dict[Path, None] = {}  # see history.append
        self._jobs = _Database(path=paths.jobs, kind="jobs", storage=AtomicJSONStorage)
        self._events = _Database(
            path=paths.events, kind="events", expendable=True, storage=AtomicJSONStorage
        )
        self._state = _Database(path=paths.state, kind="state", storage=AtomicJSONStorage)

    @classmethod
    def open(cls, paths: Paths, *, create: bool, patience: float = 0.0) -> Store:
        """The store at *paths*; Unavailable, unless *create*, when nothing is installed there.

        patience: see Store.
        """
        if create:
            paths.create()
        else:
            paths.check()
            if not paths.lib.is_dir():
                raise Unavailable(
                    f"{paths.lib}: there is no coldchain runner here",
                    f"apply the role coldchain.freezer.runner, {OTHER_HOME}",
                )
        return cls(paths, patience=patience)

    def tidy(self) -> None:
        """After a start of the runner: today's format, and no remnants of a crash."""
        for database in (self._jobs, self._events, self._state):
            _storage(database).tidy()

    def damages(self) -> list[Damage]:
        """Of the three files; raises what reading them does."""
        self._await_state()
        files = map(_storage, (self._jobs, self._events, self._state))
        return [damage for file in files for damage in file.damages()]

    def close(self) -> None:
        """Close the three files."""
        for database in (self._jobs, self._events, self._state):
            database.close()

    # -- declarations ------------------------------------------------------------------------

    def jobs(self) -> Mapping[str, JobRecord]:
        """The declared jobs by id."""
        return _table(self._jobs, "jobs").records(JobRecord.from_row)

    def job(self, job_id: str) -> JobRecord | None:
        """A declared job, None when there is none of this id."""
        return self.jobs().get(job_id)

    @property
    def jobs_generation(self) -> int:
        """Another number than before: other declarations have been read or written here."""
        return _storage(self._jobs).generation

    def jobs_changed(self) -> bool:
        """Were declarations committed since they were last read here?"""
        return _storage(self._jobs).changed()

    def declare(
        self,
        decide: Callable[[Mapping[str, JobRecord]], Sequence[Change]],
        ledger: Callable[[], int] = lambda: 0,
    ) -> dict[str, JobRecord]:
        """Lock, let *decide* compare with what is declared, commit its changes at once.

        ledger: asked before a commit for what is kept with it (``ledger_entries``), 0 for nothing.

        Returns the records that were written, by job.  Nothing is written when decide returns no
        change, and nothing when it raises.
        """
        with _storage(self._jobs).transaction():
            table = _table(self._jobs, "jobs")
            present = Remembered(self.jobs())
            changes = list(decide(present))
            now = time.time()
            written, gone = {}, []
            for change in changes:
                before = present.get(change.job_id)
                if change.document is None:
                    gone.append(change.job_id)
                elif before is None:
                    written[change.job_id] = JobRecord.new(change, now)
                else:
                    written[change.job_id] = before.replaced(change.document, now)
            if written:
                table.put({job_id: record.as_row() for job_id, record in written.items()})
            if gone:
                table.discard(gone)
            entries = ledger() if changes else 0
            if entries:
                _table(self._jobs, "ledger").put({"seen": {"entries": entries}})
        if changes:
            self.wake()
        return written

    def apply(self, changes: Sequence[Change]) -> None:
        """Commit *changes* as they are."""
        if changes:
            self.declare(lambda _unused: changes)

    def remove_declaration(self, job_id: str) -> None:
        """Take one job out of the declarations."""
        self.apply([Change(job_id, None)])

    # -- requests ----------------------------------------------------------------------------

    def add_event(
        self, job_id: str, event: str, by: str, document: Document | None = None
    ) -> Event:
        """Leave a request for the runner, durably.  document: see Event."""
        request = Event(os.urandom(16).hex(), job_id, event, time.time(), by, document)
        row = request._asdict()
        del row["id"]
        if document is None:
            del row["document"]
        with _storage(self._events).transaction():
            _table(self._events, "events").put({request.id: row})
        self.wake()
        return request

    def pending_events(self) -> list[Event]:
        """Requests that are not done yet, as they came: the clock may have been set meanwhile."""
        events = self._requests()
        if not events:
            return []
        done = self._done()
        return [event for event in events.values() if event.id not in done]

    def _requests(self) -> Mapping[str, Event]:
        return _table(self._events, "events").records(Event.from_row)

    def _done(self) -> Set[str]:
        """The ids of the requests that the runner has acted on."""
        return self._state_table("done_events").records(lambda key, _unused: key).keys()

    def events_changed(self) -> bool:
        """Whether another process has written to the requests since they were read here."""
        return _storage(self._events).changed()

    def acted_on(self) -> list[str]:
        """Requests whose effect is committed, but which a crash kept from being dropped."""
        return [key for key in self._requests() if key in self._done()]

    def forget_events(self, ids: Iterable[str]) -> None:
        """Drop requests whose effect is committed.  TryAgain when somebody else writes there: the
        runner does not wait for a command that may have been suspended."""
        with _storage(self._events).transaction(timeout=0.0):
            _table(self._events, "events").discard(ids)

    # -- state (the runner's) ----------------------------------------------------------------

    def states(self) -> Mapping[str, State]:
        """The states by job id."""
        return self._state_table("state").records(State.from_row)

    def state(self, job_id: str) -> State | None:
        """The state of a job, None when it has none yet."""
        return self.states().get(job_id)

    def state_replaced(self) -> bool:
        """Has anybody else written, damaged or removed the state since it was written here?"""
        return _storage(self._state).replaced()

    def _state_table(self, name: str) -> KeyTable:
        self._await_state()
        return _table(self._state, name)

    def _await_state(self) -> None:
        """Let a runner at work write a damaged state again, which it does within a second: by the
        generation before it, a job may run that has long ended; of none, nothing can be told."""
        if self._patience <= 0 or not self._state_damaged():
            return
        until, self._patience = time.monotonic() + self._patience, 0.0
        while self._state_damaged() and self.runner_alive() and time.monotonic() < until:
            self.wake()
            time.sleep(_LOOK_EVERY)

    def _state_damaged(self) -> bool:
        """Is the file of the state damaged or missing, so that the generation before is read?"""
        storage = _storage(self._state)
        try:
            storage.read()
        except DataError:  # neither can be read
            return True
        return storage.damaged

    def event_done(self, event_id: str) -> bool:
        """Has the runner acted on the request?"""
        return event_id in self._done() or event_id not in self._requests()

    def clock_mark(self) -> dict[str, Any] | None:
        """What the last commit of a runner kept of the clock; None before the first one."""
        return self._state_table("clock").records(lambda key, row: row).get("mark")

    def clock_doubted(self) -> bool:
        """Does the runner not believe the clock yet, so that no schedule is acted on?"""
        mark = self.clock_mark()
        return mark is not None and bool(mark.get("doubt"))

    def ledger_entries(self) -> int:
        """So many entries the ledger had when jobs were last declared or a runner last committed,
        whichever knew more; 0: none is known of."""
        declared = _table(self._jobs, "ledger").records(_kept_of_ledger).get("seen")
        kept = (declared, self.ledger_kept())
        return max(0 if row is None else row["entries"] for row in kept)

    def ledger_kept(self) -> dict[str, Any] | None:
        """What the last commit of a runner kept of the ledger: {"entries": how many it had, "runs":
        which it may lack, each with its job, "missed": how many more}; None before the first."""
        return self._state_table("ledger").records(_kept_of_ledger).get("seen")

    def newest_entry(self) -> float:
        """POSIX seconds: no clock that shows less than this is right."""
        mark = self.clock_mark()
        if mark is not None:
            return float(mark["time"])
        return max((record.changed for record in self.jobs().values()), default=0.0)

    def commit_states(
        self,
        states: Mapping[str, State | None],
        done_events: Sequence[str] | None = None,
        mark: Mapping[str, Any] | None = None,
        ledger: Mapping[str, Any] | None = None,
        *,
        whole: bool = False,
    ) -> None:
        """One commit for all that changed in a tick; None removes a job's state.

        done_events, when given, replaces the set of requests known to be done; mark and ledger are
        what ``clock_mark`` and ``ledger_kept`` give from now on.  whole: *states* are all that are.
        """
        for directory in [*self._unsynced]:  # once for all that are new in this tick
            history.sync(directory)
            del self._unsynced[directory]
        storage = _storage(self._state)
        with storage.transaction(anew=whole):
            put = {key: state.as_row() for key, state in states.items() if state is not None}
            gone = [key for key, state in states.items() if state is None]
            if whole:
                gone += self.states().keys() - put.keys()
            changes: dict[str, Any] = {"state": (put, gone)}
            if mark is not None:
                changes["clock"] = {"mark": mark}, ()
            if ledger is not None:
                changes["ledger"] = {"seen": ledger}, ()
            if done_events is not None:
                done: dict[str, Any] = {key: {} for key in done_events}
                changes["done_events"] = done, self._done() - done.keys()
            change(storage, changes)

    # -- history -----------------------------------------------------------------------------

    def history(self, job_id: str, limit: int) -> list[Run]:
        """The newest *limit* finished runs, newest first."""
        return history.runs(self.paths.history(job_id), limit)

    def skipped(self, job_id: str, limit: int) -> list[dict[str, Any]]:
        """The newest *limit* groups of skipped slots, newest first."""
        return history.skipped(self.paths.history(job_id), limit)

    def add_history(self, job_id: str, entry: dict[str, Any]) -> None:
        """Append a finished run or a group of skipped slots.

        It is durable before the next state that is committed.
        """
        unsynced = history.append(self.paths.history(job_id), [entry])
        self._unsynced.update(dict.fromkeys(unsynced))
        self._retention.added(job_id, first=bool(unsynced))

    def recorded(self, job_id: str, run_id: str) -> Run | None:
        """The run, if it is among the newest recorded ones.  (Asked after a crash.)"""
        return next((run for run in self.history(job_id, 50) if run["run_id"] == run_id), None)

    def in_history(self, job_id: str, run_id: str) -> bool:
        """Is the run among the newest recorded ones?"""
        return self.recorded(job_id, run_id) is not None

    def run_of_request(self, job_id: str, request_id: str) -> Run | None:
        """What came of a request for a one-off run, if its run is among the newest recorded."""
        for run in self.history(job_id, 50):
            if run.get("request", {}).get("id") == request_id:
                return run
        return None

    def bound_history(self, job_id: str, run_id: str, bounds: Bounds) -> None:
        """After the run *run_id* of the job: drop old entries and their logs if need be."""
        self._retention.bound(job_id, run_id, bounds)

    def expire_history(self, job_id: str, bounds: Bounds, *, declared: bool) -> None:
        """Drop what is too old in a history; called once a day, whether the job runs or not."""
        self._retention.expire(job_id, bounds, declared=declared)

    def distrust_clock(self) -> None:
        """Nothing in the histories is too old for a while: the clock was set, or may be wrong."""
        self._retention.distrust_clock()

    def tidy_history(self, job_id: str) -> None:
        """Remove what a crash left of bounding the history."""
        path = self.paths.history(job_id)
        remove_file(path.with_name(path.name + TEMPORARY))

    # -- the runner process ------------------------------------------------------------------

    def wake(self) -> None:
        """Tell the runner to look now; that none is there is no error."""
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender,
            suppress(OSError),
            short_path(self.paths.wake) as path,
        ):
            sender.sendto(b"w", path)

    def runner_alive(self) -> bool:
        """Is a runner at work, which acts on requests and schedules?  A command that runs one job
        in the foreground holds the runner's lock, but is none."""
        return not is_locked(self.paths.foreground_lock) and is_locked(self.paths.runner_lock)


def _table(database: _Database, name: str) -> KeyTable:
    table = database.table(name)
    assert isinstance(table, KeyTable)
    return table


def _storage(database: _Database) -> AtomicJSONStorage:
    storage = database.storage
    assert isinstance(storage, AtomicJSONStorage)
    return storage


def _kept_of_ledger(_key: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """What earlier releases did not keep, or somebody has edited, is nothing."""
    runs = row.get("runs")
    found = runs.items() if isinstance(runs, dict) else ()
    return {
        "entries": _count(row.get("entries")),
        "missed": _count(row.get("missed")),
        "runs": {run: job for run, job in found if isinstance(job, str)},
    }


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
