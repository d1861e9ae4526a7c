# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's three clocks told apart: has somebody set the wall clock, or did the host sleep?
Can what it shows after a start be true?  And its time zone: has it become another one?

The wall clock is what schedules are read on; it can be set.  The monotonic clock, which time limits
and select() use, stands still while the host sleeps; the boot clock goes on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from coldchain.core import host_zone
from coldchain.core.host_zone import HostZone
from coldchain.core.instants import DAY

STEP = 2.0
"""Seconds: NTP slews what is less, and a second's difference moves no run by more than that."""
_TOGETHER = 0.1  # seconds that three readings may take


class Move(NamedTuple):
    """Seconds since the last look: how long the host slept, by how much the clock was set."""

    slept: float
    stepped: float

    def __str__(self) -> str:
        moves = []
        if abs(self.slept) > STEP:
            moves.append(f"the host slept for {self.slept:.0f} s")
        if abs(self.stepped) > STEP:
            moves.append(f"the clock was set by {self.stepped:+.0f} s")
        return " and ".join(moves)


class ZoneWatch:
    """Notices that /etc/localtime has got other content.

    current: the zone that is worked with.
    """

    def __init__(self, current: HostZone) -> None:
        self._current = current
        self._signature = host_zone.signature()

    def changed(self) -> HostZone | None:
        """The host's zone if it is no longer the current one; asked at every tick, so one system
        call is all it costs."""
        signature = host_zone.signature()
        if signature == self._signature:
            return None
        self._signature = signature
        zone = host_zone.host_zone(os.environ)
        return None if zone.data == self._current.data else zone


class ClockWatch:
    """Tells when the host's wall clock was set, or the host slept, since it was last asked."""

    def __init__(self) -> None:
        self._slept, self._offset = _differences()

    def moved(self) -> Move | None:
        """What happened since it was last told; None when it was nothing to speak of."""
        slept, offset = _differences()
        move = Move(slept - self._slept, offset - self._offset)
        if abs(move.slept) <= STEP and abs(move.stepped) <= STEP:
            return None
        self._slept, self._offset = slept, offset
        return move


def _differences() -> tuple[float, float]:
    """Seconds of sleep since the boot, and between the wall clock and the boot clock."""
    while True:
        before = time.monotonic()
        boot, wall = time.clock_gettime(time.CLOCK_BOOTTIME), time.time()
        # A busy host may put us aside between two readings, which then do not belong together.
        if time.monotonic() - before < _TOGETHER:
            return boot - before, wall - boot


def shown_before(now: float, stepped: float) -> tuple[float, float] | None:
    """What the wall clock showed at the boot and when it was set forward by *stepped* seconds to
    *now*, in POSIX seconds; None when it was not."""
    if stepped <= STEP:
        return None
    before = now - stepped
    return before - time.clock_gettime(time.CLOCK_BOOTTIME), before


BEHIND = 60.0
"""Seconds: a clock that is further behind the newest entry of the database than this is wrong."""
PATIENCE = 120.0
"""Seconds after a boot that a wrong clock gets to be set; then it is believed, for the database may
have been written when it was ahead."""
PATIENCE_SAME_BOOT = 3.0
"""Seconds for that when somebody has set it between two runners of one boot, mostly rightly."""
LONG_OFF = DAY
"""Seconds: a host that seems to have been off for longer may have a clock that is ahead."""
DOUBT = 60.0
"""Seconds after such a boot in which nothing that was missed is decided on."""


class ClockTrust:
    """Whether decisions may be made by the wall clock, from a start of the runner on.

    mark: what ``mark`` gave to an earlier runner, None for the first one; newest: POSIX seconds of
    the newest entry of the database, which the clock cannot be behind; boot: the id of this boot.

    stepped: seconds by which the clock was set since the earlier runner of the same boot, else 0.
    """

    def __init__(self, mark: Mapping[str, Any] | None, newest: float, boot: str) -> None:
        self._boot, self._begun = boot, time.monotonic()
        self.newest = newest
        """POSIX seconds of the newest entry of the database."""
        self._until: float | None = None  # monotonic; None: the clock is believed
        self.stepped = 0.0
        now, same_boot = time.time(), mark is not None and mark["boot"] == boot
        if mark is not None and same_boot and not mark["doubt"]:
            step = _differences()[1] - mark["offset"]
            self.stepped = step if abs(step) > STEP else 0.0
        self.why = ""
        """What is wrong with the clock, for the log; "" when nothing is."""
        if self._wrong(now):
            patience = PATIENCE_SAME_BOOT if same_boot else PATIENCE
            self._until = self._begun + patience
            self.why = (
                f"the clock is {newest - now:.0f} s behind what is on record, so it is wrong;"
                f" schedules wait until it is set, {patience:.0f} s at most"
            )
        elif mark is not None and not same_boot and now > newest + LONG_OFF:
            self._until = self._begun + DOUBT
            self.why = (
                f"the host seems to have been off for {now - newest:.0f} s; schedules wait for"
                f" {DOUBT:.0f} s, in case the clock is wrong"
            )

    def _wrong(self, now: float) -> bool:
        return now < self.newest - BEHIND

    @property
    def behind(self) -> bool:
        """Is the clock known to be wrong, not only doubtful?"""
        return self.doubted and self._wrong(time.time())

    @property
    def doubted(self) -> bool:
        """Is the clock known to be wrong, or may it be?"""
        return self._until is not None

    @property
    def waited(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._begun

    def look(self, *, moved: bool) -> bool:
        """Look at the clock while it is doubted.  moved: it was set just now.

        Returns whether it is believed from now on.
        """
        assert self._until is not None
        if (moved and not self._wrong(time.time())) or time.monotonic() >= self._until:
            self._until = None
            return True
        return False

    def mark(self) -> dict[str, Any]:
        """For the next runner: {"time", "boot", "offset", "doubt"}.

        time: POSIX seconds, which a later clock cannot be behind; offset: seconds between the wall
        clock and the boot clock; doubt: they are not believed.
        """
        now = time.time()
        return {
            "time": round(max(now, self.newest) if self.doubted else now, 3),
            "boot": self._boot,
            "offset": round(_differences()[1], 3),
            "doubt": self.doubted,
        }
