# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be said of messages that do not arrive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from coldchain.core.instants import DAY
from coldchain.core.text import format_duration, pluralize
from coldchain.observe.findings import WARNING, Finding
from coldchain.observe.notifiers.target import describe
from coldchain.observe.outbox import DROPPED, GIVEN_UP, SENT, Outbox

_REMEDY = (
    "coldchain notify tells why, coldchain notify --retry tries again now;"
    " coldchain notify --withdraw gives up what is for a target that is declared no more"
)
_NOBODY_TRIES = "coldchain notify --retry tries now; the log of the runner tells why it does not"
_UNTRIED = 300.0
"""Seconds after which a message that is due, and that no attempt was made with, is told."""
_LOST = DAY
"""Seconds for which it is told that messages were lost."""


def findings(outbox: Outbox, now: float) -> Iterator[Finding]:
    """One for each target that cannot be told, and one for messages that nobody will get."""
    late: dict[str, tuple[int, float, str]] = {}
    untried = 0
    for waiting in outbox.waiting():
        entry = outbox.read(waiting)
        if entry is None:
            continue
        target = describe(entry["target"])
        untried += not entry.get("attempts") and waiting.due < now - _UNTRIED
        count, oldest, why = late.get(target, (0, now, ""))
        oldest = min(oldest, waiting.order / 1e6)
        late[target] = (count + 1, oldest, why or str(entry.get("detail", "")))
    for target, (count, oldest, why) in late.items():
        if why:
            since = format_duration(max(0.0, now - oldest))
            text = f"{pluralize(count, 'message')} could not be delivered for {since}: {why}"
            yield Finding(WARNING, f"notify {target}", text, _REMEDY)
    if untried:
        text = f"{pluralize(untried, 'message')} should have left by now, and nothing has tried it"
        yield Finding(WARNING, "notify", text, _NOBODY_TRIES)
    lost = list(_lost(outbox, now))
    if lost:
        text = f"{pluralize(len(lost), 'message')} of the last day will not be delivered: {lost[0]}"
        yield Finding(WARNING, "notify", text, "coldchain notify tells which")


def _lost(outbox: Outbox, now: float) -> Iterator[str]:
    """Why messages were lost, the newest first; what the same target got later counts more."""
    told: set[Any] = set()
    for row in outbox.recorded():
        when = row.get("time", now)
        if not isinstance(when, (int, float)) or now - when > _LOST:
            return
        if row.get("result") == SENT:
            told.add(row.get("target"))
            continue
        lost = row.get("result") == GIVEN_UP and row.get("target") not in told
        if lost or row.get("result") == DROPPED:
            yield str(row.get("detail", ""))
