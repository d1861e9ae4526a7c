# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups as points in time, for people: a table for each name, made for 80 columns."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby

from coldchain.agent.engines.base import Backup
from coldchain.agent.storages.kinds import LOCAL
from coldchain.cli.context import Call
from coldchain.cli.output import age, copyable
from coldchain.core.instants import from_epoch
from coldchain.core.text import format_bytes, printable

Named = tuple[str, str, str, str]


def show(call: Call, backups: Iterable[Backup]) -> None:
    """A table of points for each name, the newest last; restore takes what TIME shows."""
    points = sorted(backups, key=lambda point: (_name(point), point.time_stamp, point.level))
    for number, (name, group) in enumerate(groupby(points, _name)):
        if number:
            call.output.line()
        _table(call, name, list(group))


def _name(backup: Backup) -> Named:
    return (backup.storage, backup.container, backup.hostname, backup.backup_name)


def _table(call: Call, name: Named, points: Sequence[Backup]) -> None:
    storage, container, hostname, backup_name = name
    place = container if storage == LOCAL else f"{container} on {storage}"
    sealed = all(point.encrypted for point in points)
    note = " (encrypted)" if sealed else ""
    # Whoever can write the container has chosen the names, and what a reason quotes.
    call.output.line(printable(f"{backup_name} of {hostname}, in {place}{note}"))
    zone = call.settings.zone
    here = datetime.now(zone).strftime("%Z")
    call.output.table(
        (f"TIME ({here})", "AGE", "LEVEL", "SIZE", "VERIFIED", "RESTORABLE"),
        [
            (
                copyable(from_epoch(point.time_stamp), zone),
                age(time.time() - point.time_stamp),
                point.level,
                format_bytes(point.size),
                _verified(point),
                _state(point) + (", encrypted" if point.encrypted and not sealed else ""),
            )
            for point in points
        ],
    )


def _state(point: Backup) -> str:
    return "yes" if point.restorable else printable(f"no: {point.reason}")


def _verified(point: Backup) -> str:
    receipt = point.verified
    if receipt is None:
        return "never"
    what = receipt.how if receipt.result == "sound" else receipt.result
    return f"{what}, {age(time.time() - receipt.time)} ago"
