# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The subscriber that puts runs into the ledger."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from coldchain.core.errors import ColdchainError
from coldchain.core.log_limit import LimitedLog
from coldchain.core.text import pluralize
from coldchain.observe.ledger.files import no_entry
from coldchain.observe.ledger.format import MISSED, OWN, Act, act, run_fields
from coldchain.observe.ledger.writer import Ledger
from coldchain.observe.records import RunEnded

_AT_ONCE = 10  # entries; each is three writes that wait for the disk
_AGAIN = 2.0  # seconds after a failure
MOST_WAITING = 1000
"""So many runs wait until the ledger can be written; of more, their number is put down."""

log = logging.getLogger(__name__)


class RunLedger:
    """Puts each finished run into the ledger in *lib*.  known: see Ledger.

    entries: how many the ledger has, None as long as it has none.

    What keeps it from that is logged and stops nothing; it is tried again with each ``step``.
    """

    def __init__(self, lib: Path, known: Callable[[], int] = no_entry) -> None:
        self._ledger = Ledger(lib, known)
        self.entries: int | None = None
        with suppress(ColdchainError, ValueError):
            head = self._ledger.head()
            self.entries = None if head is None else head.entries
        self._waiting: deque[Act] = deque()
        self._missed = 0
        self._troubles = LimitedLog(log)
        self._again = 0.0

    def __call__(self, ended: RunEnded) -> None:
        """Take the run, and write it at once where that can be done."""
        if len(self._waiting) >= MOST_WAITING:
            self._missed += 1
            return
        self._waiting.append(act("run", run_fields(ended.record)))
        self.step()

    def step(self) -> None:
        """Write what waits; called with each tick of the runner's loop."""
        if self._waiting and time.monotonic() >= self._again:
            self._write(_AT_ONCE)

    def close(self) -> None:
        """The last chance of what still waits."""
        self._write(len(self._waiting))
        if self._waiting:
            number = len(self._waiting) + self._missed
            log.error("the ledger lacks the last %s", pluralize(number, "run"))

    def _write(self, most: int) -> None:
        try:
            for _unused in range(min(most, len(self._waiting))):
                # The runner does not wait for a command that may have been suspended.
                self.entries = self._ledger.write(self._waiting[0], patience=0.0).entries
                self._waiting.popleft()
            if self._missed and not self._waiting:
                count = pluralize(self._missed, "run")
                text = f"missing here: {count}, as nothing could be written for too long"
                said = {"did": MISSED, "text": text, "runs": self._missed}
                self._ledger.write(act(OWN, said), patience=0.0)
                self._missed = 0
        except (ColdchainError, OSError) as error:
            self._again = time.monotonic() + _AGAIN
            text = getattr(error, "message", str(error)).partition("; nothing was")[0]
            self._troubles.say("ledger", f"the ledger cannot be written: {text}")
            return
        self._troubles.over("ledger", "the ledger can be written again")
