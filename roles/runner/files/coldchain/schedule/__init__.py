# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When jobs run: the Freezer document's schedules, evaluated without a clock of their own.

Pure: every instant comes in as an argument, aware, and goes out in UTC.
"""

from __future__ import annotations

from coldchain.schedule.build import build
from coldchain.schedule.catchup import CatchUp, catch_up
from coldchain.schedule.errors import ScheduleError
from coldchain.schedule.model import CatchUpPolicy, Occurrence, Trigger, session_tag
from coldchain.schedule.triggers import BootTrigger

__all__ = [
    "BootTrigger",
    "CatchUp",
    "CatchUpPolicy",
    "Occurrence",
    "ScheduleError",
    "Trigger",
    "build",
    "catch_up",
    "session_tag",
]
