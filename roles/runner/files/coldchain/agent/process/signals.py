# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals that end an action, and the steps that they have to wait for.

A signal may arrive between the creation of a folder and the block that will remove it, or while
that block removes it.  Such steps are ``defer_signals``: the signal takes effect right after them.

Python ends a finalizer or a callback of a weak reference, one is part of each import, and forgets
the exception that a signal's handler has raised there; so it does with what a __set_name__ raises.
A signal that was lost in such a place is raised again.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from coldchain.core.errors import ColdchainError


class Aborted(ColdchainError):
    """A signal asked us to stop; what was half written has been removed."""

    def __init__(self, number: int) -> None:
        super().__init__(f"aborted by {signal.Signals(number).name}")
        self.exit_code = 128 + (signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)


class Stop(BaseException):
    """A signal on its way to the end of ``abort_on_signal``.

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
        self.raised: Stop | None = None

    def arrive(self, stop: Stop) -> None:
        """Raise *stop*, now or when nothing defers it any more."""
        self.waiting = stop
        self.release()

    def release(self) -> None:
        """Raise what waits, unless something still defers it."""
        if self.waiting is not None and self.held <= 0:
            stop, self.waiting = self.waiting, None
            self.raised = stop
            raise stop


_delivery = _Delivery()

#: HUP: the connection to the terminal is gone.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_AGAIN = 0.01
"""Seconds until a signal is raised again that was lost in a callback, which is over by then."""


@contextmanager
def abort_on_signal() -> Iterator[None]:
    """Turn the first signal into Aborted, so that everything half written goes.

    In the main thread only.  Meanwhile SIGALRM is ours.
    """

    def handler(number: int, _frame: FrameType | None) -> None:
        """The first signal counts, later ones no more."""
        for handled in before:
            signal.signal(handled, signal.SIG_IGN)
        _delivery.arrive(Stop(number))

    def again(_number: int, _frame: FrameType | None) -> None:
        """Raise once more what Python has forgotten."""
        _delivery.release()

    def forgotten(unraisable: sys.UnraisableHookArgs) -> None:
        """Keep a signal that was raised where Python lets nothing out."""
        if not isinstance(unraisable.exc_value, Stop):
            hook(unraisable)
            return
        _delivery.raised, _delivery.waiting = None, Stop(unraisable.exc_value.number)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN)

    held = _delivery.held
    _delivery.held += 1
    # What is ignored already, as under nohup, stays so.
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    before = {number: old for number, old in before.items() if old is not signal.SIG_IGN}
    alarm = signal.signal(signal.SIGALRM, again)
    hook, sys.unraisablehook = sys.unraisablehook, forgotten
    for number in before:
        signal.signal(number, handler)
    try:
        with allow_signals():
            yield
        if _delivery.raised is not None:
            # Something took it for one of the errors that it lives with, and left a step out.
            raise _delivery.raised
    except BaseException:
        # Whatever else failed while the signal was on its way: that is what ended the action.
        stop = _delivery.raised
        if stop is None:
            raise
        _let_go(stop)
        raise Aborted(stop.number) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, old in before.items():
            signal.signal(number, old)
        signal.signal(signal.SIGALRM, alarm)
        sys.unraisablehook = hook
        # What comes after the end of the action has nothing left to stop.
        _delivery.held, _delivery.waiting, _delivery.raised = held, None, None


def _let_go(stop: Stop) -> None:
    """Let blocks clean up that the signal kept from being entered: a block whose beginning is
    over is known to nobody else if the signal came before the first line in it."""
    trace = stop.__traceback__
    while trace is not None:
        with suppress(RuntimeError):  # it is still at work, as we are
            trace.tb_frame.clear()
        trace = trace.tb_next


@contextmanager
def defer_signals() -> Iterator[None]:
    """A signal that comes in this block takes effect at its end.  For short steps only."""
    _delivery.held += 1
    try:
        yield
    finally:
        _delivery.held -= 1
    _delivery.release()


@contextmanager
def allow_signals() -> Iterator[None]:
    """Inside of ``defer_signals``: the long part, which a signal may end at once."""
    _delivery.held -= 1
    try:
        _delivery.release()
        yield
    finally:
        _delivery.held += 1


def how_ended(code: int) -> str:
    """How a program ended, in words: by its exit *code*, or, negative, by a signal."""
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal
        return f"signal {-code}"
    # Nothing of ours kills before it has asked, and then has its own words.
    why = ", perhaps for want of memory: see the system log" if -code == signal.SIGKILL else ""
    return f"signal {-code} ({name}{why})"
