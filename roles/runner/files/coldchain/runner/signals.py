# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals as data: they wake the loop and are read from a list, never acted on in a handler."""

from __future__ import annotations

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
        self._arrived.append(number)

    def take(self) -> list[int]:
        try:
            while self.socket.recv(64):
                pass
        except BlockingIOError:
            pass
        arrived, self._arrived = self._arrived, []
        return arrived


@contextmanager
def caught() -> Iterator[Inbox]:
    """Catch HANDLED for the block's time; must be entered in the main thread."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    inbox = Inbox(reader)
    before = {number: signal.signal(number, inbox.arrive) for number in HANDLED}
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield inbox
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        reader.close()
        writer.close()
