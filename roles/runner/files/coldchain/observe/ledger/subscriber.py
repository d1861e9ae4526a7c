# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The subscriber that puts runs into the ledger."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from coldchain.core.digest import canonical_json
from coldchain.core.errors import ColdchainError, TryAgain
from coldchain.core.log_limit import LimitedLog
from coldchain.core.text import pluralize
from coldchain.observe.ledger.files import no_entry
from coldchain.observe.ledger.format import MISSED, OWN, Act, Head, act, run_fields
from coldchain.observe.ledger.writer import Ledger
from coldchain.observe.records import RunEnded

_AT_ONCE = 10  # entries; each is three writes that wait for the disk
_AGAIN = 2.0  # seconds after a failure
_HELD = 10.0  # seconds for which others may have the lock before that is a trouble
SPACING = 5.0
"""Seconds between two waits for the disk: what is written within them waits for the next one."""
MOST_WAITING = 1000
"""So many runs wait until the ledger can be written; of more, their number is put down."""
_MOST_KEPT = 200  # runs that are named in the state
_MOST_UNCOUNTED = 100  # so that all of them are named there
_PATIENCE = 1.0  # seconds that a runner waits for another writer when it leaves

log = logging.getLogger(__name__)


class RunLedger:
    """Puts each finished run into the ledger in *lib*.  known: see LedgerFiles.

    entries: how many the ledger has on disk, None as long as it has none.

    What keeps it from that is logged and stops nothing; it is tried again with each ``step``.  Of
    a host that runs a lot the head counts the runs of some seconds at once; ``kept`` tells which
    may be missing after a power cut, and ``resume`` puts those down.
    """

    def __init__(self, lib: Path, known: Callable[[], int] = no_entry) -> None:
        self._ledger = Ledger(lib, known)
        self.entries: int | None = None
        with suppress(ColdchainError, ValueError):
            head = self._ledger.head()
            self.entries = None if head is None else head.entries
        self._waiting: deque[Act] = deque()
        self._uncounted: dict[str, str] = {}  # run -> its job
        self._counted_at = -SPACING
        self._missed = 0
        self._resumed: set[str] = set()  # runs that are not put down again when they are told again
        self._troubles = LimitedLog(log)
        self._again = 0.0
        self._held_since: float | None = None

    def __call__(self, ended: RunEnded) -> None:
        """Take the run, and write it at once where that can be done."""
        if ended.run_id in self._resumed:
            self._resumed.remove(ended.run_id)
            return
        self._take(ended.record)
        self.step()

    def _take(self, record: Mapping[str, Any]) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._missed += 1
        else:
            self._waiting.append(act("run", run_fields(record)))

    def kept(self, ended: Iterable[RunEnded]) -> dict[str, Any] | None:
        """What is to be kept with the state, for ``known`` and ``resume``: {"entries": how many
        are on disk, "runs": those that may not be there yet, each with its job, "missed": how many
        more there are that are not there}; None: nothing.

        ended: runs that will be put down.
        """
        runs = dict(self._uncounted)
        runs.update((done.fields["run_id"], done.fields["job_id"]) for done in self._waiting)
        runs.update((one.run_id, one.job_id) for one in ended)
        if self.entries is None and not runs:
            return None
        named = dict(islice(runs.items(), _MOST_KEPT))
        missed = self._missed + len(runs) - len(named)
        return {"entries": self.entries or 0, "runs": named, "missed": missed}

    def resume(
        self,
        runs: Mapping[str, str],
        record_of: Callable[[str, str], Mapping[str, Any] | None],
        missed: int = 0,
    ) -> None:
        """Put down what an earlier runner has not, or what a power cut has taken back.

        runs, missed: as ``kept`` has told them; record_of: the RUN of a job and a run id.
        """
        self._missed += missed
        end = b""
        if runs:
            with suppress(ColdchainError, OSError):
                end = self._ledger.ending()
        for run_id, job_id in runs.items():
            if b'"run_id":%s' % canonical_json(run_id) in end:
                self._uncounted[run_id] = job_id
            else:
                record = None
                with suppress(ColdchainError):  # who cannot read a history tells of it elsewhere
                    record = record_of(job_id, run_id)
                if record is None:
                    self._missed += 1
                    continue
                self._take(record)
            self._resumed.add(run_id)

    def step(self) -> None:
        """Write what waits, and let the head count it; called with each tick of the runner's
        loop."""
        if not (self._waiting or self._uncounted or self._missed):
            return
        now = time.monotonic()
        if now >= self._again and (self._waiting or now >= self._counted_at + SPACING):
            self._write(_AT_ONCE)

    def close(self) -> None:
        """The last chance of what still waits."""
        self._counted_at = -SPACING
        self._write(len(self._waiting), _PATIENCE)
        if self._waiting:
            number = len(self._waiting) + self._missed
            log.error("the ledger lacks the last %s", pluralize(number, "run"))

    def _write(self, most: int, patience: float = 0.0) -> None:
        """patience: seconds that another writer is waited for; a command may be suspended."""
        later = time.monotonic() < self._counted_at + SPACING
        later = later and len(self._uncounted) < _MOST_UNCOUNTED
        try:
            for left in reversed(range(min(most, len(self._waiting)))):
                done = self._waiting[0]
                head = self._ledger.write(done, patience, later=later or left > 0)
                self._uncounted[str(done.fields["run_id"])] = str(done.fields["job_id"])
                self._waiting.popleft()
                if not (later or left):
                    self._count(head)
            if self._missed and not self._waiting:
                count = pluralize(self._missed, "run")
                text = f"missing here: {count}, which could not be put down in time"
                said = {"did": MISSED, "text": text, "runs": self._missed}
                self._ledger.write(act(OWN, said), patience)
                self._missed = 0
            if self._uncounted and not later:
                self._count(self._ledger.count(patience))
        except (ColdchainError, OSError) as error:
            now = time.monotonic()
            if isinstance(error, TryAgain):  # commands write too, each for a moment
                self._held_since = now if self._held_since is None else self._held_since
                if now < self._held_since + _HELD:
                    return
            self._again = now + _AGAIN
            text = getattr(error, "message", str(error)).partition("; nothing was")[0]
            self._troubles.say("ledger", f"the ledger cannot be written: {text}")
            return
        self._held_since = None
        self._troubles.over("ledger", "the ledger can be written again")

    def _count(self, head: Head) -> None:
        """The head is on disk, and all that was written."""
        self.entries = head.entries
        self._uncounted.clear()
        self._counted_at = time.monotonic()
