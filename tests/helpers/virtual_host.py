# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A runner of the real kind on a virtual clock: no process, no disk, no waiting.

The daemon's own loop body (Runner.tick) runs over a store in memory; only the runs themselves are
imitated.  Clocks may be set, hosts be booted, runners be killed.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coldchain.cli.preview import outlook_of
from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.runner import active, daemon, recovery
from coldchain.runner.daemon import Runner
from coldchain.runner.outlook import Outlook
from coldchain.runner.runs_to_come import Coming, runs_to_come
from coldchain.runner.signals import Inbox
from coldchain.store import Change, JobRecord, State, Store, history
from coldchain.store import store as store_module
from coldchain.store.json_file import AtomicJSONStorage

MONDAY = 1_800_000_000.0 - 1_800_000_000 % 86400 + 3 * 86400
"""POSIX seconds of a Monday's midnight in January 2027."""


class MemoryStorage(AtomicJSONStorage):
    """The storage of the database with a dictionary for a disk."""

    disk: dict[Path, tuple[int, Any]]

    def changed(self) -> bool:
        return self.disk.get(self.path, (0, None))[0] != self._identity

    def _load(self) -> None:
        self._identity, self._tables = self.disk.get(self.path, (0, None))
        self._loaded = True
        self.generation += 1

    @contextlib.contextmanager
    def transaction(self, timeout: float = 0.0, *, anew: bool = False) -> Iterator[None]:
        self._refresh()
        self._depth = 1
        try:
            yield
        except BaseException:
            self._loaded = False
            raise
        finally:
            self._depth = 0
        if self._dirty:
            self._dirty = False
            self._identity = self.disk.get(self.path, (0, None))[0] + 1
            self.disk[self.path] = self._identity, self._tables
            self.generation += 1

    def _forget(self) -> None:
        self._identity = self._tables = None
        self._loaded = False

    def tidy(self) -> None:
        return

    def close(self) -> None:
        self._forget()


class ImitatedRun:
    """A JobRun without a process: it takes ``seconds`` of the virtual clock, and succeeds."""

    seconds = 0.0
    kept: dict[str, ImitatedRun]

    def __init__(self, directory: Path, record: dict[str, Any], document: Any, log: Path) -> None:
        self.directory, self.record, self.document, self.log = directory, record, document, log
        self.result: str | None = None
        self.process, self.pidfd, self.cleaning = None, None, False
        self.survivors: tuple[int, ...] = ()
        self.ends_at = time.monotonic() + self.seconds
        self.wake_at: float | None = None
        self.why = ""

    @classmethod
    def create(cls, paths: Paths, settings: Any, job_id: str, document: Any, cause: Any) -> Any:
        number = len(cls.kept)
        record = {
            "run_id": f"run-{number}",
            "job_id": job_id,
            "cause": cause.kind,
            "scheduled_for": cause.scheduled_for,
            "time_started": time.time(),
            "time_ended": None,
            "actions": [],
            **({} if cause.request is None else {"request": cause.request}),
        }
        run = cls(paths.runs / record["run_id"], record, document, paths.run_log(job_id, "x"))
        run.directory.mkdir()
        cls.kept[record["run_id"]] = run
        return run

    @classmethod
    def load(cls, paths: Paths, settings: Any, directory: Path) -> Any:
        return cls.kept[directory.name]

    @property
    def run_id(self) -> str:
        return str(self.record["run_id"])

    @property
    def job_id(self) -> str:
        return str(self.record["job_id"])

    def advance(self) -> None:
        self.wake_at = self.ends_at
        if self.why or time.monotonic() >= self.ends_at:
            self.result = "aborted" if self.why else "success"
            self.record.update(result=self.result, time_ended=time.time(), reason=self.why)

    def end(self, reason: str, result: str = "", *, kill: bool = False) -> None:
        self.why, self.ends_at = reason, time.monotonic()
        self.wake_at = self.ends_at

    def keep(self) -> None:
        return

    def forget(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)


class VirtualHost:
    """One host: its clocks, its database, and its runner while there is one."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.awake = 1000.0  # monotonic seconds, and those of the boot clock
        self.offset = MONDAY - self.awake  # of the wall clock
        self.boot = 1
        self.paths = Paths.under(place)
        self.disk: dict[Path, tuple[int, Any]] = {}
        self.records: dict[Path, list[dict[str, Any]]] = {}
        self.zone = "UTC"
        self.history_runs = 200
        self.runner: Runner | None = None
        self._monkeypatch = monkeypatch
        patches: list[tuple[Any, str, Any]] = [
            (time, "time", lambda: self.awake + self.offset),
            (time, "monotonic", lambda: self.awake),
            (time, "clock_gettime", lambda dummy: self.awake),
            (daemon, "boot_id", lambda: f"boot {self.boot}"),
            (store_module, "AtomicJSONStorage", MemoryStorage),
            (MemoryStorage, "disk", self.disk),
            (active, "JobRun", ImitatedRun),
            (recovery, "JobRun", ImitatedRun),
            (ImitatedRun, "kept", {}),
            (ImitatedRun, "seconds", 0.0),
            (history, "append", lambda path, rows: self._append(path, rows)),
            (history, "newest_first", lambda path: iter(self._rows(path)[::-1])),
            (history, "keep_newest", lambda path, rows: self._keep(path, rows)),
            (Store, "wake", lambda store: None),
            (daemon, "Wake", _NoWake),
            (daemon.Runner, "_lock_file", lambda runner: (0, 0)),
            (daemon.Runner, "_follow_zone", lambda runner: None),
        ]
        for owner, name, value in patches:
            monkeypatch.setattr(owner, name, value, raising=False)
        self.paths.create()
        # Who may write there each start looks at, which is a tenth of its time.
        monkeypatch.setattr(Paths, "create", lambda paths: None)
        self.store = Store(self.paths)
        self._defaults = Settings.load(self.paths)
        self._inbox, self._writer = socket.socketpair()

    def _rows(self, path: Path) -> list[dict[str, Any]]:
        return self.records.setdefault(path, [])

    def _append(self, path: Path, rows: list[dict[str, Any]]) -> tuple[Path, ...]:
        self._rows(path).extend(rows)
        return ()  # no directory has to be synced: what is here is durable at once

    def _keep(self, path: Path, rows: list[dict[str, Any]]) -> None:
        self.records[path] = rows[::-1]

    def reset(self) -> None:
        """A new host, for the next example of a property test."""
        self.crash()
        shutil.rmtree(self.paths.runs)
        self.paths.runs.mkdir(mode=0o700)
        self.disk.clear()
        self.records.clear()
        ImitatedRun.kept.clear()
        ImitatedRun.seconds = 0.0
        self.awake, self.boot, self.zone, self.history_runs = 1000.0, 1, "UTC", 200
        self.offset = MONDAY - self.awake
        self.store = Store(self.paths)

    def close(self) -> None:
        """Let go of everything."""
        self.crash()
        self._inbox.close()
        self._writer.close()

    # -- time ------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """What the wall clock shows."""
        return self.awake + self.offset

    def set_clock(self, seconds: float) -> None:
        """Somebody sets the wall clock by so much."""
        self.offset += seconds

    def pass_time(self, seconds: float) -> None:
        """Time goes by; the runner, if there is one, does what is due."""
        end = self.awake + seconds
        while self.runner is not None:
            self.tick()
            ahead = self._until_due()
            if self.awake + ahead >= end:
                break
            self.awake += max(ahead, 0.001)
        self.awake = max(self.awake, end)
        if self.runner is not None:
            self.tick()

    def _until_due(self) -> float:
        runner = self.runner
        assert runner is not None
        times = []
        idle = runner.jobs.timetable.idle_seconds
        if idle is not None:
            times.append(idle)
        queued = runner.jobs.queues.next_time()
        if queued is not None and queued > self.now:
            times.append(queued - self.now)
        wake_at = runner.active.wake_at()
        if wake_at is not None:
            times.append(wake_at - self.awake)
        if runner._trust.doubted:
            times.append(1.0)
        # What the disk did not take is tried again.
        again = [*runner._put_off.values(), *runner.active._backoff.values()]
        times += [max(at - self.awake, 0.0) for at in again if at > self.awake - 1.0]
        return max(0.0, min(times, default=1e9))

    # -- the runner ------------------------------------------------------------------------------

    def settings(self, **settings: Any) -> Settings:
        """Those of the host, with these changes."""
        return self._defaults._replace(
            client_id="host",
            timezone=self.zone,
            history_runs=self.history_runs,
            **settings,
        )

    def start(self, **settings: Any) -> None:
        """Start a runner."""
        assert self.runner is None
        self.runner = Runner(self.paths, self.settings(**settings), Inbox(self._inbox))
        self.runner.recover()
        self.tick()

    def tick(self) -> None:
        """The loop's body until nothing more happens at this instant."""
        assert self.runner is not None
        for dummy in range(6):
            self.runner.tick()
            if not (self.runner.jobs.pressing or self.runner.jobs.outdated or self._busy_now()):
                return

    def _busy_now(self) -> bool:
        runner = self.runner
        assert runner is not None
        due = runner.jobs.queues.due(self.now)
        ends = [run.ends_at for run in runner.runs.values()]
        return bool(due) or any(end <= self.awake for end in ends)

    def stop(self) -> None:
        """The runner ends in good order; what runs goes on."""
        if self.runner is not None:
            self.runner.close()
            self.runner = None

    def crash(self) -> None:
        """The runner is killed."""
        if self.runner is not None:
            self.runner.active.selector.close()
            self.runner._wake.close(keep=False)
            self.runner = None

    def crash_before_commit(self) -> None:
        """The runner does what is due, and is killed before its states are on disk."""
        assert self.runner is not None
        self.runner.jobs.states.commit = _killed  # type: ignore[method-assign]
        with contextlib.suppress(_Killed):
            self.runner.tick()
        self.crash()

    def reboot(self, off: float, clock: float = 0.0) -> None:
        """The host is off for so many seconds; *clock*: by how much its clock is wrong then."""
        self.crash()
        for run in list(ImitatedRun.kept.values()):
            run.forget()
        self.boot += 1
        self.awake = self.awake + off  # what counts is that it goes on
        self.offset += clock

    # -- what people do --------------------------------------------------------------------------

    def declare(self, job_id: str, **schedule: Any) -> JobRecord:
        """Apply a document with this job_schedule."""
        document = {
            "job_id": job_id,
            "job_actions": [{"freezer_action": {"action": "exec", "command": ["true"]}}],
            "job_schedule": schedule,
        }
        self.awake += 1.0
        return self.store.declare(lambda present: [Change(job_id, document)])[job_id]

    def remove(self, job_id: str) -> None:
        """Take the job out of the declarations."""
        self.awake += 0.001
        self.store.remove_declaration(job_id)

    def event(self, job_id: str, event: str) -> None:
        """Ask for an event, and let the runner act on it."""
        self.awake += 0.001
        self.store.add_event(job_id, event, "somebody")
        if self.runner is not None:
            self.tick()

    # -- what came of it -------------------------------------------------------------------------

    def state(self, job_id: str) -> State:
        """What the runner has committed."""
        return self.store.state(job_id) or State()

    def runs(self, job_id: str) -> list[dict[str, Any]]:
        """Finished runs, oldest first."""
        return [row for row in self._rows(self.paths.history(job_id)) if "run_id" in row]

    def skipped(self, job_id: str) -> list[dict[str, Any]]:
        """Groups of skipped slots, oldest first, with the one that is still growing."""
        rows = [row for row in self._rows(self.paths.history(job_id)) if "run_id" not in row]
        growing = self.state(job_id).skipped
        return rows + ([growing] if growing else [])

    def outlook(self, job_id: str) -> Outlook:
        """What the command would foresee now."""
        record = self.store.job(job_id)
        assert record is not None
        return outlook_of(record, self.store, self.settings(), self.now)

    def foreseen(self, job_id: str, until: float) -> list[Coming]:
        """The runs that the command would foresee up to *until* (POSIX seconds)."""
        found = []
        for coming in runs_to_come(self.outlook(job_id), self.now):
            if coming.at.timestamp() > until:
                break
            found.append(coming)
        return found


@contextlib.contextmanager
def virtual_host(place: Path) -> Iterator[VirtualHost]:
    """A host with the directory *place*, until the end of the block."""
    place.chmod(0o700)
    with pytest.MonkeyPatch.context() as monkeypatch:
        made = VirtualHost(place, monkeypatch)
        yield made
        made.close()


class _Killed(Exception):
    """Nothing of what comes after it is done."""


def _killed(**dummy: Any) -> None:
    raise _Killed


class _NoWake:
    """No command runs beside this runner."""

    def __init__(self, path: Path) -> None:
        self.socket, self._other = socket.socketpair()

    def drain(self) -> None:
        return

    def close(self, *, keep: bool) -> None:
        self.socket.close()
        self._other.close()
