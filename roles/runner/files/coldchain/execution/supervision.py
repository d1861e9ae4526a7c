# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One process under a time limit, and its certain end: TERM, a grace, KILL of the whole group."""

from __future__ import annotations

import signal
import time

from coldchain.execution.process import Process

_KILL_AGAIN = 1.0  # seconds: a process in the kernel's hands may need more than one
# Seconds after the first TERM, where the process is younger than the last of them: its wrapper
# (process.py) may have been about to start the command, which then never hears of it.
_TERM_AGAIN = (0.2, 1.0)


class Supervised:
    """All instants are monotonic seconds, durations seconds.

    timeout: how long the process may take, None for ever; age: how long it has run already.
    ``reason`` is why it was told to end ("" if it was not), ``result`` what that makes of it.
    """

    def __init__(
        self, process: Process, *, grace: float, timeout: float | None = None, age: float = 0.0
    ) -> None:
        self.process = process
        self.reason = self.result = ""
        self._grace = grace
        self._timeout = timeout
        self._timeout_at = None if timeout is None else time.monotonic() - age + timeout
        self._born = time.monotonic() - age
        self._term_at: list[float] = []
        self._kill_at: float | None = None

    def end(self, reason: str, result: str, *, kill: bool = False) -> None:
        """TERM now and KILL after the grace; *kill*: KILL at once."""
        self.reason, self.result = reason, result
        now = self._kill_at = time.monotonic()
        self._term_at = []
        if not kill:
            self.process.signal(signal.SIGTERM)
            self._kill_at += self._grace
            if now - self._born < _TERM_AGAIN[-1]:
                self._term_at = [now + later for later in _TERM_AGAIN if later < self._grace]

    def enforce(self, late: str) -> None:
        """Do what is due; running out of time makes the result *late*."""
        now = time.monotonic()
        if self._timeout_at is not None and now >= self._timeout_at and not self.reason:
            self.end(f"timed out after {self._timeout:g} s", late)
        if self._kill_at is not None and now >= self._kill_at:
            self.process.signal(signal.SIGKILL)
            self._kill_at = now + _KILL_AGAIN
        elif self._term_at and now >= self._term_at[0]:
            self.process.signal(signal.SIGTERM)
            del self._term_at[0]

    @property
    def wake_at(self) -> float | None:
        """When enforce() wants to be called next."""
        if self._term_at:
            return self._term_at[0]
        return self._kill_at if self.reason else self._timeout_at
