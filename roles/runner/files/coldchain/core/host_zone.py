# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's time zone as its C library reads it: TZ, else /etc/localtime.

What counts is the content of the file: its name is for people.  A container has often a copy of a
zone's file and no name at all, and a name may belong to other rules than the file.
"""

from __future__ import annotations

import binascii
import contextlib
import io
import json
import os
import re
import struct
from collections.abc import Mapping
from datetime import datetime, tzinfo
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from coldchain.core.files import open_ours, write_atomically
from coldchain.core.instants import DAY

LOCALTIME = Path("/etc/localtime")
_TIMEZONE = Path("/etc/timezone")
_ZONES = "/usr/share/zoneinfo"
_MAGIC = b"TZif"
_LARGEST = 1 << 20
"""Bytes: the largest zone of the tz database has 4 kB."""
_NAME = r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)"
_TIME = r"\d{1,3}(?::\d{1,2}(?::\d{1,2})?)?"
_OFFSET = rf"([+-]?)({_TIME})"
_POSIX = re.compile(rf"({_NAME}){_OFFSET}(?:({_NAME})(?:{_OFFSET})?(,.*)?)?", re.ASCII)
_DATE = re.compile(rf"(J?)(\d{{1,3}})(?:/([+-]?)({_TIME}))?", re.ASCII)
"""A date of a rule that is a number of a day: J1 to J365 without 29 February, 0 to 365 with it."""
_RULE = ",M3.2.0,M11.1.0"
"""When daylight saving begins and ends where TZ does not tell: what glibc takes (tzset(3))."""


class HostZone(NamedTuple):
    """A time zone of a host.

    name: for people; data: the zone in the format of tzfile(5); problem: why it is UTC although
    the host says something else ("" when nothing is wrong).
    """

    name: str
    data: bytes
    problem: str = ""

    @property
    def zone(self) -> tzinfo:
        """The rules; the same object whenever name and data are the same."""
        return _rules(self.name, self.data)

    def write(self, path: Path) -> None:
        """Keep the zone in the file *path*, for ``read``; CannotWrite names it."""
        content = {
            "name": self.name,
            "data": binascii.b2a_base64(self.data, newline=False).decode("ascii"),
            "problem": self.problem,
        }
        write_atomically(path, json.dumps(content).encode("ascii") + b"\n", durable=False)


@lru_cache(maxsize=8)
def _rules(name: str, data: bytes) -> tzinfo:
    return ZoneInfo.from_file(io.BytesIO(data), key=name)


def host_zone(environment: Mapping[str, str]) -> HostZone:
    """The zone that a program with this *environment* gets from the C library.

    TZ counts where it is set: a zone's name or file, with or without a colon in front, or a POSIX
    rule like CET-1CEST,M3.5.0,M10.5.0/3; what is neither means UTC there, and so it does here.
    """
    value = environment.get("TZ")
    if value is None:
        return _localtime()
    text = value[1:] if value.startswith(":") else value
    if not text:
        return _UTC
    data = _content(os.path.join(environment.get("TZDIR") or _ZONES, text))
    if data is not None:
        return HostZone(text, data)
    rule = _posix(text)
    if rule is not None:
        return HostZone(text, rule)
    return HostZone(
        "UTC", _UTC.data, f"TZ={value} is neither a time zone of this host nor a POSIX rule"
    )


def read(path: Path) -> HostZone | None:
    """The zone that ``HostZone.write`` kept in *path*; None when there is none that can be used.

    Unavailable when somebody else could have written the file.
    """
    try:
        with open(open_ours(path), "rb") as stream:
            content = json.loads(stream.read(2 * _LARGEST))
        kept = HostZone(content["name"], binascii.a2b_base64(content["data"]), content["problem"])
        _rules(kept.name, kept.data)  # raises when the data is no zone
    except (FileNotFoundError, ValueError, KeyError, TypeError, struct.error):
        return None
    return kept


def signature() -> tuple[object, ...]:
    """What changes when /etc/localtime gets other content: it is replaced, rewritten or pointed
    elsewhere.  One system call."""
    try:
        status = os.stat(LOCALTIME)
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _localtime() -> HostZone:
    if not os.path.lexists(LOCALTIME):
        return _UTC  # that is what its absence means: localtime(5)
    data = _content(LOCALTIME)
    if data is None:
        return HostZone("UTC", _UTC.data, f"{LOCALTIME} cannot be read as a time zone")
    return HostZone(_name_of(data) or str(LOCALTIME), data)


def _name_of(data: bytes) -> str:
    """The name of the zone in /etc/localtime, "" when nothing that says it has the same rules."""
    candidates = [os.path.realpath(LOCALTIME).partition("/zoneinfo/")[2]]
    with contextlib.suppress(OSError, UnicodeDecodeError):
        candidates.append(_TIMEZONE.read_text(encoding="ascii").strip())
    for name in candidates:
        if name and _content(Path(_ZONES, name)) == data:
            return name
    return ""


def _content(path: str | Path) -> bytes | None:
    """The file *path* if it is a time zone that can be used.  A slash at its end is no file's."""
    try:
        if not os.path.isfile(path):
            return None
        with open(path, "rb") as stream:
            data = stream.read(_LARGEST)
        if not data.startswith(_MAGIC):
            return None
        _rules(str(path), data)
    except (OSError, ValueError, struct.error, IndexError):
        return None
    return data


def _posix(text: str) -> bytes | None:
    """The rule *text* as a file of a zone whose whole history it is; None when it is none."""
    match = _POSIX.fullmatch(text)
    if match is None:
        return None
    *_standard, daylight, sign, time, rule = match.groups()
    behind = _seconds(match[2], match[3])
    if daylight:
        ahead = behind - 3600 if time is None else _seconds(sign, time)
        text = text[: match.end(6 if time else 4)] + _exact(rule or _RULE)
    # glibc goes as far as 24:59:59, a datetime less far than a day.
    if max(abs(behind), abs(ahead if daylight else behind)) >= DAY:
        return None
    data = _tzfile(text.encode("ascii"))
    try:
        _rules(text, data)
    except (ValueError, struct.error):
        return None
    return data


def _seconds(sign: str, time: str) -> int:
    hours, minutes, seconds = [*map(int, time.split(":")), 0, 0][:3]
    return (hours * 3600 + minutes * 60 + seconds) * (-1 if sign == "-" else 1)


def _exact(rule: str) -> str:
    """The two dates of *rule* such that zoneinfo reads them as the C library does.

    It takes J59, 28 February, for the day after it in leap years, and day 0 for the day before.
    """

    def moved(match: re.Match[str]) -> str:
        julian, number, sign, time = match.groups()
        day = int(number)
        if (julian and day != 59) or not (julian or _zero_is_early()):
            return match[0]
        if not julian and day < 365:
            return f"{day + 1}{match[0][len(number) :]}"
        seconds = _seconds(sign or "", time or "2") + DAY
        minutes, hours = abs(seconds) // 60 % 60, abs(seconds) // 3600
        later = f"{'-' * (seconds < 0)}{hours}:{minutes:02}:{abs(seconds) % 60:02}"
        return f"J58/{later}" if julian else f"{day}/{later}"

    dates = [_DATE.fullmatch(date) or date for date in rule.split(",")]
    return ",".join(date if isinstance(date, str) else moved(date) for date in dates)


@lru_cache(maxsize=1)
def _zero_is_early() -> bool:
    """Does this Python take a day that is counted from 0 for the day before?"""
    zone = _rules("", _tzfile(b"AAA0BBB,10/0,20/0"))
    return bool(datetime(2026, 1, 10, 12, tzinfo=zone).dst())


def _tzfile(rule: bytes) -> bytes:
    """A file in the format of tzfile(5), version 2, that holds nothing but *rule*."""
    # One type of local time, as the format wants at least that; the rule in the footer is what
    # counts where there is no transition.
    counts = struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    block = _MAGIC + b"2" + bytes(15) + counts + struct.pack(">lbb", 0, 0, 0) + b"UTC\0"
    return block + block + b"\n" + rule + b"\n"


_UTC = HostZone("UTC", _tzfile(b"UTC0"))
