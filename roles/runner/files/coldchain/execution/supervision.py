# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One command under a time limit, and the certain end of all its processes: TERM, a grace, KILL."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from pathlib import Path

from coldchain.core.errors import ColdchainError
from coldchain.core.files import write_atomically
from coldchain.execution import orphans
from coldchain.execution.attempt_files import ORDER, file_of
from coldchain.execution.members import Member
from coldchain.execution.process import Ending, Process

_TERM_AGAIN = 0.2  # seconds, as long as there was no command yet that could have heard of it
_LOOK_AGAIN = 0.1  # seconds between two looks at what is left of an ended command
_KILL_AGAIN = 1.0  # seconds: a process in the kernel's hands may need more than one
_STUCK_AFTER = 3.0  # seconds after the first KILL: what is left then will not go soon
_KILL_STUCK = 5.0  # seconds between two KILLs to that


class Supervised:
    """A command that is watched until it and all that has to end with it has ended.

    All instants are monotonic seconds, durations seconds.  timeout: how long the command may take,
    None for ever.  spares: what a command that ends by itself leaves behind is left alone.

    reason: why it was told to end ("" if it was not); result: what that makes of it.  ending: how
    the command itself ended, None as long as it runs.  over: has everything ended that has to?
    left_behind: what is left alone; survivors: what KILL does not end, or took long to end.
    """

    def __init__(
        self, process: Process, *, grace: float, timeout: float | None = None, spares: bool = True
    ) -> None:
        self.process = process
        self.reason = self.result = ""
        self.ending: Ending | None = None
        self.over = False
        self.left_behind: list[Member] = []
        self.survivors: dict[Member, None] = {}
        self._grace = grace
        self._spares = spares
        self._timeout = timeout
        self._timeout_at = None if timeout is None else time.monotonic() - process.age + timeout
        self._term_at: float | None = None
        self._kill_at: float | None = None
        self._killed_at: float | None = None  # for the first time
        self._look_at: float | None = None
        if not spares:
            orphans.sheds_nothing(process.attempt)

    @classmethod
    def adopted(
        cls, attempt: Path, *, grace: float, timeout: float | None = None, spares: bool = True
    ) -> Supervised:
        """What an earlier runner began; it may be over.

        Raises Unavailable when it cannot be found out whether it still runs.
        """
        process = Process.adopt(attempt) or Process.orphaned(attempt)
        present = cls(process, grace=grace, timeout=timeout, spares=spares)
        order = _read_order(attempt)
        if order is not None and process.pidfd is not None:
            present.end(*order)
        elif order is not None:
            present.reason, present.result = order
        if process.pidfd is None:
            present.command_ended()
        return present

    @property
    def vanished(self) -> bool:
        """Was there nobody any more who could have told how the command ended?"""
        return self.process.pid == 0 and self.ending == Ending(None)

    @property
    def stuck(self) -> bool:
        """Is there a process that KILL has not ended?"""
        return bool(self.survivors) and not self.over

    def end(self, reason: str, result: str, *, kill: bool = False) -> None:
        """TERM now and KILL after the grace; *kill*: KILL at once."""
        if self.ending is None:  # else only what it has left is still being ended
            self.reason, self.result = reason, result
            _write_order(self.process.attempt, reason, result)
        self._end(kill=kill)

    def _end(self, *, kill: bool = False) -> None:
        self._kill_at = time.monotonic()
        self._term_at = None
        if not kill:
            self._kill_at += self._grace
            self._term()

    def _term(self) -> None:
        heard = self.ending is not None or self.process.begun()
        self.process.send(signal.SIGTERM)
        self._term_at = None if heard else time.monotonic() + _TERM_AGAIN

    def command_ended(self) -> None:
        """The pidfd is readable: take how the command ended, and look at what it has left."""
        self.ending, behind = self.process.finish()
        self._term_at = self._timeout_at = None
        must_end = bool(self.reason) or self.ending.code is None
        if not must_end and self._spares:
            self.left_behind = behind
            self.over = True
        elif not (self.process.remain() if must_end else behind):
            self.over = True
        else:
            self._look_at = time.monotonic() + _LOOK_AGAIN
            if self._kill_at is None:
                self._end()

    def enforce(self, late: str) -> None:
        """Do what is due; running out of time makes the result *late*."""
        now = time.monotonic()
        if self._timeout_at is not None and now >= self._timeout_at and not self.reason:
            self.end(f"timed out after {self._timeout:g} s", late)
        if self._kill_at is not None and now >= self._kill_at:
            self._kill(now)
        elif self._term_at is not None and now >= self._term_at:
            self._term()
        if self._look_at is not None and now >= self._look_at:
            self._look_at = now + (_KILL_AGAIN if self.survivors else _LOOK_AGAIN)
            self.over = not self.process.remain()

    def _kill(self, now: float) -> None:
        self.process.kill()
        if self._killed_at is None:
            self._killed_at = now
        elif now - self._killed_at >= _STUCK_AFTER:
            self.survivors.update(dict.fromkeys(self.process.members()))
        self._kill_at = now + (_KILL_STUCK if self.survivors else _KILL_AGAIN)
        if self._look_at is not None:
            self._look_at = now

    @property
    def wake_at(self) -> float | None:
        """When enforce() wants to be called next."""
        times = (self._term_at, self._kill_at, self._look_at)
        due = [at for at in times if at is not None]
        if self._timeout_at is not None and not self.reason:
            due.append(self._timeout_at)
        return min(due, default=None)


def end_what_runs(attempt: Path, grace: float) -> tuple[int, list[Member]]:
    """End the attempt of an earlier runner, and wait for that.

    For one without a record, which nobody could supervise any more.  grace: seconds.
    Returns the number of its wrapper (0: it did not run), and what could not be ended.
    """
    process = Process.adopt(attempt)
    if process is None:
        return 0, []
    present = Supervised(process, grace=grace)
    present.end("its record is lost", "")
    while not present.over and not present.stuck:
        if present.ending is None and process.ended(_LOOK_AGAIN):
            present.command_ended()
        elif present.ending is not None:
            time.sleep(_LOOK_AGAIN)
        present.enforce("")
    return process.pid, list(present.survivors)


def _write_order(attempt: Path, reason: str, result: str) -> None:
    """For a later runner; where the disk does not take it, that one goes by how it ended."""
    raw = json.dumps({"reason": reason, "result": result}).encode("ascii")
    with contextlib.suppress(ColdchainError):
        write_atomically(file_of(attempt, ORDER), raw, durable=False)


def _read_order(attempt: Path) -> tuple[str, str] | None:
    try:
        order = json.loads(file_of(attempt, ORDER).read_bytes())
        return str(order["reason"]), str(order["result"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
