# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Once a day, a little at a time: the history of jobs that do not run any more grows old, too."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator

from coldchain.core.errors import ColdchainError
from coldchain.core.instants import DAY
from coldchain.core.log_limit import LimitedLog
from coldchain.runner.states import States
from coldchain.store import Bounds, Store

FIRST = 4000.0
"""Seconds after the start of the runner, which has better things to do then; STEADY and more."""

log = logging.getLogger(__name__)


class Housekeeping:
    """``step`` looks at one job's directory: 10,000 of them take three idle hours."""

    def __init__(self, store: Store, states: States, bounds: Bounds) -> None:
        self._store, self._states, self._bounds = store, states, bounds
        self._next = time.monotonic() + FIRST
        self._left: Iterator[str] | None = None
        self._troubles = LimitedLog(log)

    def step(self) -> None:
        """Look at the next directory, if it is time for that; called with each tick."""
        if self._left is None:
            if time.monotonic() < self._next:
                return
            self._next = time.monotonic() + DAY
            self._left = iter(self._job_ids())
        job_id = next(self._left, None)
        if job_id is None:
            self._left = None
            return
        try:
            self._store.expire_history(job_id, self._bounds, declared=job_id in self._states)
        except (ColdchainError, OSError) as error:
            text = f"job {job_id}: its history keeps too much: {error}"
            self._troubles.say("history", text, cause=getattr(error, "hint", ""))
        else:
            self._troubles.over("history", "histories are kept within their bounds again")

    def _job_ids(self) -> list[str]:
        try:
            return os.listdir(self._store.paths.log)
        except OSError as error:
            self._troubles.say("list", str(error))
            return []
