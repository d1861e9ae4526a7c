# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts the process that delivers when something in the outbox is due, one at a time.

It is a process of its own because ssl and smtplib take megabytes, and because a server that hangs
must not keep the runner.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldchain.core.errors import ColdchainError
from coldchain.core.locks import is_locked
from coldchain.core.log_limit import LimitedLog
from coldchain.core.own_program import own_program
from coldchain.observe.notifiers.target import address
from coldchain.observe.outbox import Outbox, WaitingMessage

if TYPE_CHECKING:
    import subprocess

_NOT_AGAIN = 10.0
"""Seconds until a process is tried again that could not be started, or did not deliver."""
_AT_LEAST = 1.0
"""Seconds between two starts."""
_SERVICE_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "COLDCHAIN_RUNNER_LOCK")
ALL, NO_COMMANDS = "all", "no-commands"
"""Which notifiers may deliver."""
_INHERITED = "COLDCHAIN_NOTIFY_PID"
#: What a command leaves behind is no process of a run that goes on at the same time.
MARK = "COLDCHAIN_ATTEMPT"

log = logging.getLogger(__name__)


class DeliveryProcess:
    """The process that delivers messages, while there is one.

    home: of the installation, None for the system's; allow_commands: see Courier.
    """

    def __init__(self, outbox: Outbox, home: Path | None, *, allow_commands: bool = True) -> None:
        self._outbox, self._home = outbox, home
        self._what = ALL if allow_commands else NO_COMMANDS
        self._child: subprocess.Popen[bytes] | None = None
        self._troubles = LimitedLog(log)
        inherited = os.environ.pop(_INHERITED, "")
        # Started by the program that this process was before it read everything anew.
        self._inherited = int(inherited) if inherited.isdigit() else 0
        self._due: float | None = None  # POSIX seconds of the next that is due
        self._started = -_AT_LEAST
        self._not_before = 0.0
        self._newest: dict[str, str] = {}  # address -> id of the last message, if it waits
        self.count = 0
        """Messages that wait, or did when that was last looked at."""
        self._look()

    def due(self, target: Mapping[str, Any], now: float) -> int:
        """When a message for *target* may be sent: not before the last one that waits for the same,
        as what does not answer would only put it off.  POSIX seconds."""
        newest = self._newest.get(address(target)) if self._newest else None
        if newest is not None and self._child is None:
            with contextlib.suppress(ColdchainError, OSError):
                for waiting in self._outbox.waiting():
                    if waiting.id == newest and waiting.due > now and not self._refused(waiting):
                        return waiting.due
        return int(now)

    def _refused(self, waiting: WaitingMessage) -> bool:
        """Is it one that the other side will not have, and which keeps no others waiting?"""
        entry = self._outbox.read(waiting)
        return entry is None or bool(entry.get("refused"))

    def added(self, waiting: WaitingMessage, target: Mapping[str, Any]) -> None:
        """A message was put in."""
        self._due = waiting.due if self._due is None else min(self._due, waiting.due)
        self._newest[address(target)] = waiting.id
        self.count += 1

    def step(self, now: float) -> None:
        """Take note of the end of a process, and start one if it is time for that."""
        if self._inherited:
            if not _ended(self._inherited):
                return
            self._inherited = 0
            self._look()
        if self._child is not None:
            code = self._child.poll()
            if code is None:
                return
            self._child = None
            self._look()
            if code not in (0, 1):
                text = f"messages were not delivered: the process ended with {code}"
                self._troubles.say("deliver", text)
                self._not_before = time.monotonic() + _NOT_AGAIN
            elif code == 1:
                text = "messages were not delivered; coldchain notify tells which"
                self._troubles.say("deliver", text, level=logging.WARNING)
            else:
                self._troubles.over("deliver", "messages are delivered again")
                if is_locked(self._outbox.lock):  # by one of a runner before us, which goes on
                    self._not_before = time.monotonic() + 2 * _AT_LEAST
        clock = time.monotonic()
        rested = clock >= max(self._not_before, self._started + _AT_LEAST)
        if self._due is not None and self._due <= now and rested:
            self._start(clock)

    def hand_over(self) -> None:
        """Leave the process that delivers to the program that this process may become."""
        if self._child is not None:
            os.environ[_INHERITED] = str(self._child.pid)

    def _start(self, clock: float) -> None:
        import subprocess  # where nobody is told of anything the runner does without

        environment = {k: v for k, v in os.environ.items() if k not in _SERVICE_VARIABLES}
        try:
            self._child = subprocess.Popen(
                [*own_program(self._home), "notify", "--deliver", self._what],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**environment, MARK: os.fspath(self._outbox.place)},
            )
        except OSError as error:
            self._troubles.say("start", f"messages cannot be delivered: {error}")
            self._not_before = clock + _NOT_AGAIN
        else:
            self._started, self._due = clock, None
            self._troubles.over("start", "messages can be delivered again")

    def _look(self) -> None:
        try:
            waits = self._outbox.waiting()
        except (ColdchainError, OSError) as error:
            self._troubles.say("look", f"messages cannot be delivered: {error}")
            return
        self._troubles.over("look", "messages can be delivered again")
        self.count = len(waits)
        self._due = min((waiting.due for waiting in waits), default=None)
        ids = {waiting.id for waiting in waits}
        self._newest = {place: name for place, name in self._newest.items() if name in ids}


def _ended(pid: int) -> bool:
    """Has our child ended?  Lets go of it then."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
