# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's three clocks told apart: has somebody set the wall clock, or did the host sleep?

The wall clock is what schedules are read on; it can be set.  The monotonic clock, which time limits
and select() use, stands still while the host sleeps; the boot clock goes on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

STEP = 2.0
"""Seconds: NTP slews what is less, and a second's difference moves no run by more than that."""
_TOGETHER = 0.1  # seconds that three readings may take


@dataclass(frozen=True)
class Move:
    """Seconds since the last look: how long the host slept, by how much the clock was set."""

    slept: float
    stepped: float

    def __str__(self) -> str:
        told = []
        if abs(self.slept) > STEP:
            told.append(f"the host slept for {self.slept:.0f} s")
        if abs(self.stepped) > STEP:
            told.append(f"the clock was set by {self.stepped:+.0f} s")
        return " and ".join(told)


class Clocks:
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
