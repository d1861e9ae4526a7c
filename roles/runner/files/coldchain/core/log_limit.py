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
LONGEST_OF_OTHERS = 960.0
"""Seconds after which what has another cause once more is said at the latest: it may be news."""
TROUBLES = 25_000
"""So many at a time are told apart: more than two of each of 10,000 jobs.  Of more, the one that
was not heard of for longest is forgotten, and news again when it comes: none hides another."""
_OTHERS = "\0"  # stands for the causes that are too many


class _Cause:
    """unsaid: how often it would have been said; next: when it is said again (monotonic); pause and
    longest: seconds."""

    __slots__ = ("longest", "next", "pause", "unsaid")

    def __init__(self, now: float, longest: float) -> None:
        self.pause, self.longest = FIRST_PAUSE, longest
        self.next = now + FIRST_PAUSE
        self.unsaid = 0


class _Trouble:
    __slots__ = ("causes", "last", "since")

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
        known = self._troubles.pop(trouble, None)
        if known is None or now - known.last > rest:
            known = _Trouble(now)
        self._troubles[trouble] = known  # the last one, as it was heard of last
        if len(self._troubles) > TROUBLES:
            del self._troubles[next(iter(self._troubles))]
        known.last = now
        cause = text if cause is None else cause
        if cause not in known.causes and len(known.causes) >= CAUSES:
            cause = _OTHERS
        it = known.causes.get(cause)
        if it is None:
            longest = LONGEST_OF_OTHERS if cause is _OTHERS else LONGEST_PAUSE
            known.causes[cause] = _Cause(now, longest)
        elif now < it.next:
            it.unsaid += 1
            return
        else:
            it.pause = min(GROWTH * it.pause, it.longest)
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
