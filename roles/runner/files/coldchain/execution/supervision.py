# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One process under a time limit, and its certain end: TERM, a grace, KILL of the whole group."""

from __future__ import annotations

import signal
import time

from coldchain.execution.process import Process

_KILL_AGAIN = 1.0  # seconds: a process in the kernel's hands may need more than one
_TERM_AGAIN = 0.2  # seconds, as long as there was no command yet that could have heard of it


class Supervised:
    """All instants are monotonic seconds, durations seconds.

    timeout: how long the process may take, None for ever; age: how long it has run already.
    ``reason`` is why it was told to end ("" if it was not), ``result`` what that makes of it.
    """

    def __init__(self, process: Process, *, grace: float, timeout: float | None = None) -> None:
        self.process = process
        self.reason = self.result = ""
        self._grace = grace
        self._timeout = timeout
        self._timeout_at = None if timeout is None else time.monotonic() - process.age + timeout
        self._term_at: float | None = None
        self._kill_at: float | None = None

    def end(self, reason: str, result: str, *, kill: bool = False) -> None:
        """TERM now and KILL after the grace; *kill*: KILL at once."""
        self.reason, self.result = reason, result
        self._kill_at = time.monotonic()
        self._term_at = None
        if not kill:
            self._kill_at += self._grace
            self._term()

    def _term(self) -> None:
        heard = self.process.begun()
        self.process.signal(signal.SIGTERM)
        self._term_at = None if heard else time.monotonic() + _TERM_AGAIN

    def enforce(self, late: str) -> None:
        """Do what is due; running out of time makes the result *late*."""
        now = time.monotonic()
        if self._timeout_at is not None and now >= self._timeout_at and not self.reason:
            self.end(f"timed out after {self._timeout:g} s", late)
        if self._kill_at is not None and now >= self._kill_at:
            self.process.signal(signal.SIGKILL)
            self._kill_at = now + _KILL_AGAIN
        elif self._term_at is not None and now >= self._term_at:
            self._term()

    @property
    def wake_at(self) -> float | None:
        """When enforce() wants to be called next."""
        if self._term_at is not None and self._kill_at is not None:
            return min(self._term_at, self._kill_at)
        return self._kill_at if self.reason else self._timeout_at
