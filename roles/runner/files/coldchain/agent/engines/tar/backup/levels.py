# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which level a backup gets: Freezer's rules, with its two errors corrected.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

from coldchain.agent.engines.tar.stored.layout import Chain, Level, newest_chain
from coldchain.agent.options import LevelRules
from coldchain.core.instants import DAY


def previous_backup(
    chains: Sequence[Chain],
    rules: LevelRules,
    now: int,
    moment: Callable[[Level], int] = attrgetter("time"),
) -> Level | None:
    """The level that the next one is based on; None begins a new chain.

    *now* is POSIX seconds, and *moment* tells when a level was made.  Unlike Freezer,
    restart_always_level counts from the chain's level 0 (counted from the newest level, a chain in
    regular use never restarts), and of several entries of one level the newest counts (Freezer:
    whichever the directory lists last).
    """
    chain = newest_chain(chains)
    if not rules.incremental or chain is None:
        return None
    highest = chain.newest
    if rules.max_level and rules.max_level <= highest.number:
        return None
    if rules.always_level and highest.number > rules.always_level:
        return None
    if rules.restart_always_level:
        begun = min(moment(level) for level in chain.levels)
        if now > begun + rules.restart_always_level * DAY:
            return None
    if rules.always_level and highest.number == rules.always_level:
        return chain.of_number(highest.number - 1, chain.newest_time)
    return highest


def next_level(chains: Sequence[Chain], previous: Level | None, now: int) -> Level:
    """The level to write: its time is later than every existing one, whatever the clock says.

    But for those of chains that nothing can follow: they count as older than any other.
    """
    time = max(now, *(chain.latest + 1 for chain in chains if not chain.is_last), 0)
    while any(chain.zero == time for chain in chains):
        time += 1
    if previous is None:
        return Level(time, 0, time)
    return Level(previous.zero, previous.number + 1, time)
