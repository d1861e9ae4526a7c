# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeping metrics_file for Prometheus' node exporter, and the counters behind it."""

from __future__ import annotations

import json
import logging
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldchain import __version__
from coldchain.core.errors import ColdchainError
from coldchain.core.files import cannot_write, write_all
from coldchain.core.log_limit import LimitedLog
from coldchain.core.settings import Settings
from coldchain.core.trusted_path import open_folder
from coldchain.observe import tally as counted
from coldchain.observe.ledger.writer import Ledger
from coldchain.observe.records import RunEnded
from coldchain.observe.tally import Tally
from coldchain.runner.judging import Gaps, Judging, runs_to_judge
from coldchain.runner.protection import JobStatus, Successes
from coldchain.store import Run, State, Store

if TYPE_CHECKING:
    from coldchain.observe.metrics import HostFacts, JobFacts

SPACING, IDLE = 15.0, 60.0
"""Seconds between two writes after runs, and without any, or where nobody reads metrics_file: what
the counters lack on the disk is in the histories."""
_SLICE = 0.05  # seconds of a tick that are spent on judging jobs
_SHARE = 100  # so many times the work for one write passes until the next one
_RECEIPTS = "verified.json"

log = logging.getLogger(__name__)


def job_facts(status: JobStatus, tally: Tally, receipts: Mapping[str, Any]) -> JobFacts:
    """What is told of a job.  receipts: see receipts_in."""
    from coldchain.observe.metrics import JobFacts, verifications  # only where somebody reads them

    verified, damaged = verifications(receipts, tally.series)
    coming = status.next_run
    return JobFacts(
        status.job_id,
        status.state,
        status.needs_somebody,
        None if coming is None else datetime.fromisoformat(coming).timestamp(),
        status.within,
        tally,
        verified,
        damaged,
    )


def host_facts(
    store: Store, now: float, since: float | None, tallies: Mapping[str, Tally], *, trusted: bool
) -> HostFacts:
    """What is told of the host of *store*.  since: the start of its runner, None without one."""
    from coldchain.observe.ledger.look import look
    from coldchain.observe.metrics import HostFacts

    head, findings = look(Ledger(store.paths.lib, store.ledger_entries))
    free: dict[str, int] = {}
    for tally in sorted(tallies.values(), key=lambda each: each.ended or 0.0):
        free.update(tally.free)
    return HostFacts(
        now,
        __version__,
        ".".join(map(str, sys.version_info[:3])),
        since is not None,
        since,
        trusted,
        None if head is None and not findings else (head.entries if head else 0, not findings),
        free,
    )


def receipts_in(lib: Path) -> Mapping[str, Any]:
    """What verifications have found, by place, name and level; nothing of what cannot be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        containers = json.loads((lib / _RECEIPTS).read_bytes())["containers"]
        if isinstance(containers, dict):
            return containers
    return {}


def publish(path: Path, raw: bytes) -> None:
    """Replace the file *path*, for everybody to read; CannotWrite."""
    # Others may write in its directory: what lies there is neither written through nor removed.
    temporary = f".{path.name}.{os.urandom(8).hex()}.tmp"
    try:
        with open_folder(path.parent) as folder:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(temporary, flags, 0o600, dir_fd=folder)
            try:
                try:
                    write_all(descriptor, raw)
                    os.fchmod(descriptor, stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH)
                finally:
                    os.close(descriptor)
                os.rename(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            except OSError:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise
    except OSError as error:
        raise cannot_write(path, error) from None


class MetricsKeeper:
    """Counts runs, and writes metrics_file of the settings, if there is one.

    states: of all jobs; doubted: is the clock?; live: a runner, and not one run in the foreground.
    Jobs are judged a little with each tick: 10,000 of them take seconds.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        states: Callable[[str], State | None],
        doubted: Callable[[], bool],
        *,
        live: bool,
    ) -> None:
        self._store, self._settings, self._states = store, settings, states
        self._doubted, self._live = doubted, live
        self._file = Path(settings.metrics_file) if settings.metrics_file else None
        self._tallies = counted.load(store.paths.lib)
        self._since = time.time() if live else None
        self._changed = False
        self._next = self._earliest = self._whole = 0.0  # monotonic; whole: when all are judged
        self._round: Iterator[None] | None = None
        self._facts: dict[str, JobFacts] = {}
        self._ended: set[str] = set()  # jobs whose runs have ended since they were judged
        self._spent = 0.0
        self._successes: dict[str, list[Run]] = {}
        self._gaps = Gaps()
        self._troubles = LimitedLog(log)
        self._caught_up = False

    def __call__(self, ended: RunEnded) -> None:
        """Count the run of a declared job."""
        job_id = ended.job_id
        self._successes.pop(job_id, None)
        self._catch_up()
        if job_id not in self._store.jobs():
            return
        before = self._tallies.get(job_id)
        if before is None:
            self._tallies[job_id] = self._of_history(job_id)
        elif before.ended != ended.time_ended:  # else a crash lets it be told again
            self._tallies[job_id] = before.after(ended.record)
        self._changed = True
        self._ended.add(job_id)
        self._next = min(self._next, self._earliest)

    def _catch_up(self) -> None:
        """Count the runs that a runner before this one was killed too soon after."""
        if self._caught_up:
            return
        self._caught_up = True
        for job_id, tally in self._tallies.items():
            state = self._states(job_id)
            last = None if state is None else state.last_run
            if last is not None and last["time_ended"] != tally.ended:
                self._tallies[job_id] = tally.through(self._history(job_id))
                self._changed = True

    def step(self) -> None:
        """Go on with what is to be written, if it is time for that."""
        self._catch_up()
        if self._round is None:
            if time.monotonic() < self._next or not (self._changed or self._file):
                return
            self._spent = 0.0
            self._round = self._judge(time.time(), whole=time.monotonic() >= self._whole)
        began = time.monotonic()
        for _unused in self._round:
            if time.monotonic() - began > _SLICE:
                self._spent += time.monotonic() - began
                return
        self._round = None
        self._write()
        ended = time.monotonic()
        rest = _SHARE * (self._spent + ended - began)
        self._earliest = ended + max(SPACING if self._file else IDLE, rest)
        self._next = ended + max(IDLE, rest)
        if self._whole <= began:
            self._whole = self._next

    def close(self) -> None:
        """The runner leaves: write what is counted, and that none is at work."""
        self._since = None
        if self._changed or self._file:
            for _unused in self._judge(time.time(), whole=False):
                pass
            self._write()

    def _judge(self, now: float, *, whole: bool) -> Iterator[None]:
        """Judge the jobs, one with each step: those whose runs have ended, or all."""
        if self._file is None:
            return
        receipts = receipts_in(self._store.paths.lib)
        judging = Judging(self._store, self._settings, now, self._gaps)
        declared = self._store.jobs()
        for job_id in list(declared):
            if not whole and job_id in self._facts and job_id not in self._ended:
                continue
            self._ended.discard(job_id)
            record = declared.get(job_id)
            if record is None:  # removed since this round began
                continue
            if job_id not in self._tallies:
                self._tallies[job_id] = self._of_history(job_id)
                self._changed = True
            outlook = judging.outlook(record, self._states(job_id))
            status = judging.judge(record, outlook, self._runs(job_id))
            self._facts[job_id] = job_facts(status, self._tallies[job_id], receipts)
            yield
        for job_id in [job_id for job_id in self._facts if job_id not in declared]:
            del self._facts[job_id]

    def _runs(self, job_id: str) -> list[Run]:
        """What of the job's history its judge looks at: the last and the longest success."""
        if job_id not in self._successes:
            found = Successes.of(runs_to_judge(self._store, job_id))
            runs: list[Run] = []
            if found.last is not None:
                good = {"result": "success", "time_ended": found.last}
                runs = [
                    {**good, "time_started": found.last_began},
                    {**good, "time_started": found.last - (found.longest or 0.0)},
                ]
            self._successes[job_id] = runs
        return self._successes[job_id]

    def _of_history(self, job_id: str) -> Tally:
        return Tally.of(self._history(job_id))

    def _history(self, job_id: str) -> list[Run]:
        return self._store.history(job_id, 2 * self._settings.history_runs)

    def _write(self) -> None:
        """Write both files: that one of them has no room is no reason to leave out the other."""
        problems = []
        for write in (self._save, self._publish):
            try:
                write()
            except (ColdchainError, OSError) as error:
                problems.append(getattr(error, "message", str(error)))
        if problems:
            self._troubles.say("metrics", f"metrics: {'; '.join(problems)}")
        else:
            self._troubles.over("metrics", "metrics: written again")

    def _save(self) -> None:
        """The counters."""
        if not self._changed:
            return
        declared = self._store.jobs()
        for job_id in [job_id for job_id in self._tallies if job_id not in declared]:
            del self._tallies[job_id]
        counted.save(self._store.paths.lib, self._tallies)
        self._changed = False

    def _publish(self) -> None:
        """The file for Prometheus."""
        if self._file is None:
            return
        from coldchain.observe.metrics import exposition

        host = host_facts(
            self._store,
            time.time(),
            self._since,
            self._tallies,
            trusted=not self._doubted(),
        )
        facts = [self._facts[job_id] for job_id in sorted(self._facts)]
        publish(self._file, exposition(host, facts))
