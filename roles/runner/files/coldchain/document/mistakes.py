# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody probably meant who has written a time in the words of another program."""

from __future__ import annotations

import re

_TERM = r"[\w*][\w*,/-]*"
_CRONTAB = re.compile(rf"\s*(?:@[a-z]+|(?:{_TERM}\s+){{4}}{_TERM})\s*", re.ASCII)
_CLOCK = re.compile(r"\s*([0-9]{1,2}):([0-9]{2})(?::[0-9]{2})?\s*")
_LONG = re.compile(r"\s*\d*\s*(month|year)s?\s*", re.IGNORECASE)
_ABBREVIATED = re.compile(r"\s*(\d{1,9})\s*([smhdw])\s*")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_BARE = re.compile(r"\s*\d{1,18}\s*")


def hint_for_time(name: str, value: object) -> str:
    """What to write instead of *value* in the field *name* of a schedule; "" when nobody knows."""
    if not isinstance(value, str):
        return ""
    if _CRONTAB.fullmatch(value):
        return (
            "a line of a crontab is five fields here (schedule_minute, schedule_hour ...);"
            " coldchain convert --from crontab writes them"
        )
    clock = _CLOCK.fullmatch(value)
    if clock:
        hour, minute = int(clock[1]), int(clock[2])
        return f'for a time of day write schedule_hour: "{hour}" and schedule_minute: "{minute}"'
    if name == "schedule_interval":
        long = _LONG.fullmatch(value)
        if long:
            every = "schedule_day" if long[1].lower() == "month" else "schedule_month"
            return f'a {long[1].lower()} has no fixed length: write {every}: "1" and schedule_hour'
        short = _ABBREVIATED.fullmatch(value)
        if short:
            return f'write "{short[1]} {_UNITS[short[2]]}"'
    return ""


def hint_for_name(name: str, value: object) -> str:
    """The field of a schedule that was meant by *name*; "" when nobody knows."""
    if "weekday" in name or "dow" in name.split("_") or name.endswith("day_of_the_week"):
        return "did you mean schedule_day_of_week?"
    return hint_for_time(name, value)


def is_bare_number(text: object) -> bool:
    """Whether a duration is a number without a unit."""
    return isinstance(text, str) and _BARE.fullmatch(text) is not None
