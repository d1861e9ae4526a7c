# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals that end an action, and the steps that they have to wait for.

A signal may arrive between the creation of a folder and the block that will remove it, or while
that block removes it.  Such steps are ``undisturbed``: the signal takes effect right after them.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from coldchain.errors import ColdchainError


class Aborted(ColdchainError):
    """A signal asked us to stop; what was half written has been removed."""

    def __init__(self, number: int) -> None:
        super().__init__(f"aborted by {signal.Signals(number).name}")
        self.exit_code = 128 + (signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)


class Stop(BaseException):
    """A signal on its way to the end of ``stoppable``.

    No Exception: what carries on after an error must not carry on after this.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Delivery:
    """The one place where a signal becomes an exception; handlers run in the main thread only."""

    def __init__(self) -> None:
        self.held = 0
        self.waiting: Stop | None = None

    def arrive(self, stop: Stop) -> None:
        self.waiting = stop
        self.release()

    def release(self) -> None:
        if self.waiting is not None and self.held <= 0:
            stop, self.waiting = self.waiting, None
            raise stop


_delivery = _Delivery()


#: HUP: the connection to the terminal is gone.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn the first signal into Aborted, so that everything half written goes."""

    def handler(number: int, dummy: object) -> None:
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        _delivery.arrive(Stop(number))

    held = _delivery.held
    _delivery.held += 1
    # What is ignored already, as under nohup, stays so.
    before = {one: old for one in _SIGNALS if (old := signal.getsignal(one)) is not signal.SIG_IGN}
    for one in before:
        signal.signal(one, handler)
    try:
        with disturbable():
            yield
    except Stop as stop:
        raise Aborted(stop.number) from None
    finally:
        for one, old in before.items():
            signal.signal(one, old)
        # What comes after the end of the action has nothing left to stop.
        _delivery.held, _delivery.waiting = held, None


@contextmanager
def undisturbed() -> Iterator[None]:
    """A signal that comes in this block takes effect at its end.  For short steps only."""
    _delivery.held += 1
    try:
        yield
    finally:
        _delivery.held -= 1
    _delivery.release()


@contextmanager
def disturbable() -> Iterator[None]:
    """Inside of ``undisturbed``: the long part, which a signal may end at once."""
    _delivery.held -= 1
    try:
        _delivery.release()
        yield
    finally:
        _delivery.held += 1
