# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals as data: they wake the loop and are read from a list, never acted on in a handler."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Inbox:
    """What has arrived; ``socket`` becomes readable with it."""

    def __init__(self, reader: socket.socket) -> None:
        self.socket = reader
        self._arrived: list[int] = []

    def arrive(self, number: int, _frame: FrameType | None) -> None:
        """A signal has come: the handler of Python's signal module."""
        self._arrived.append(number)

    def take(self) -> list[int]:
        """The signals that came since the last time, in order."""
        try:
            while self.socket.recv(64):
                pass
        except BlockingIOError:
            pass
        arrived, self._arrived = self._arrived, []
        return arrived


def hold(inbox: Inbox) -> None:
    """Keep HANDLED back until the next program of this process is in its ``caught``; in between
    the first of them would end it.  So are those that nobody has taken."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    for number in inbox.take():
        os.kill(os.getpid(), number)


@contextmanager
def caught() -> Iterator[Inbox]:
    """Catch HANDLED for the block's time; must be entered in the main thread."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    inbox = Inbox(reader)
    before = {number: signal.signal(number, inbox.arrive) for number in HANDLED}
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)  # what the program before has kept back
    try:
        yield inbox
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        reader.close()
        writer.close()
