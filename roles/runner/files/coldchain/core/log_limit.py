# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines of a loop: what goes on for the same cause is said rarely, and its end once."""

from __future__ import annotations

import logging
import math
import time

from coldchain.core.text import format_duration

FIRST_PAUSE = 60.0
"""Seconds until what goes on is said again; each further pause is GROWTH times as long."""
GROWTH = 4
LONGEST_PAUSE = 6 * 3600.0
"""Seconds; so the first day has nine lines of one trouble, and each further one four."""
CAUSES = 8
"""So many causes of one trouble are told apart; what turns from one to another is no news for
ever."""
TROUBLES = 200
"""So many at a time, which may be of as many jobs, are told apart."""
_REST = "\0"  # stands for all that are too many


class _Cause:
    """said: how often it would have been; next, pause: seconds (monotonic) of the next line."""

    def __init__(self, now: float) -> None:
        self.pause = FIRST_PAUSE
        self.next = now + FIRST_PAUSE
        self.unsaid = 0


class _Trouble:
    def __init__(self, now: float) -> None:
        self.since = self.last = now
        self.causes: dict[str, _Cause] = {}


class LimitedLog:
    """Says troubles into *log*: each when it begins, when its cause is a new one, again with
    growing pauses, and when it is over."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._troubles: dict[str, _Trouble] = {}

    def say(
        self,
        trouble: str,
        text: str,
        *,
        cause: str | None = None,
        level: int = logging.ERROR,
        rest: float = math.inf,
        exc_info: bool = False,
    ) -> None:
        """Say *text*, unless the like was said not long ago.

        trouble: what cannot be done, the same each time; cause: what stays the same as long as it
        is the same, without it that is the text; rest: seconds after which one that nobody calls
        over is a new one; exc_info: with the traceback of what is handled.
        """
        now = time.monotonic()
        if trouble not in self._troubles and len(self._troubles) >= TROUBLES:
            trouble = _REST
        known = self._troubles.setdefault(trouble, _Trouble(now))
        if now - known.last > rest:
            known = self._troubles[trouble] = _Trouble(now)
        known.last = now
        cause = text if cause is None else cause
        if cause not in known.causes and len(known.causes) >= CAUSES:
            cause = _REST
        it = known.causes.get(cause)
        if it is None:
            known.causes[cause] = _Cause(now)
        elif now < it.next:
            it.unsaid += 1
            return
        else:
            it.pause = min(GROWTH * it.pause, LONGEST_PAUSE)
            text += f" (for {format_duration(now - known.since)}, {it.unsaid} times unsaid)"
            it.next, it.unsaid = now + it.pause, 0
        self._log.log(level, "%s", text, exc_info=exc_info)

    def exception(self, trouble: str, text: str) -> None:
        """Say *text* with the traceback of what is handled: a bug of ours."""
        self.say(trouble, text, exc_info=True)

    def over(self, trouble: str, text: str) -> None:
        """The *trouble* has an end, if there was one: say *text*, and how long it took."""
        known = self._troubles.pop(trouble, None) if self._troubles else None
        if known is not None:
            took = format_duration(time.monotonic() - known.since)
            self._log.warning("%s, after %s", text, took)

    def forget(self, trouble: str) -> None:
        """It has an end that others tell of."""
        self._troubles.pop(trouble, None)
