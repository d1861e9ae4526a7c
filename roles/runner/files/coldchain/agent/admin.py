# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action admin: removal of old chains, whole, and never the last one that can be restored."""

from __future__ import annotations

import time
from collections.abc import Sequence

from coldchain.agent import container
from coldchain.agent.info import restorable
from coldchain.agent.layout import Chain, Series
from coldchain.agent.options import Common
from coldchain.agent.report import Report, count
from coldchain.agent.storage import Storage
from coldchain.errors import JobFailed
from coldchain.instants import from_epoch, iso


def admin(shared: Common, storage: Storage) -> Report:
    """Remove the chains that the options name; a dry run only lists them."""
    series = shared.series
    chains = container.chains(storage, series)
    if not chains:
        raise JobFailed(f'no backup "{series.host_name}" in {shared.location}')
    if shared.dry_run:
        removed = would_remove(storage, shared, time.time())
        message = f"dry run: would remove {count(len(removed), 'chain')}"
    else:
        with storage.lock(series):
            removed = remove(storage, shared, time.time())
        message = f"removed {count(len(removed), 'chain')} of {series.host_name}"
    fields = {
        **shared.location.as_fields(),
        "hostname": series.hostname,
        "backup_name": series.backup_name,
        "removed": removed,
        "dry_run": shared.dry_run,
    }
    return Report("admin", message, (), fields)


def remove(storage: Storage, shared: Common, now: float, in_use: int | None = None) -> list[str]:
    """Remove what is due (the caller holds the lock): the removed chains, for people.

    in_use: a chain that stays whatever the options say, even with force.
    """
    series = shared.series
    chains = container.chains(storage, series)
    due = _due(storage, shared, chains, now, in_use)
    for chain in due:
        # First what makes the chain exist, so that a crash leaves orphans and not half a chain.
        storage.remove(series, f"{series.metadata_folder}/{chain.zero}")
        if storage.names(f"{series.data_folder}/{chain.zero}"):
            storage.remove(series, f"{series.data_folder}/{chain.zero}")
    _remove_stray(storage, shared, now)
    return [_name(chain) for chain in due]


def _remove_stray(storage: Storage, shared: Common, now: float) -> None:
    """Remove levels as old that belong to no chain, such as those of a removal that was killed."""
    assert shared.removal is not None
    series, cutoff = shared.series, shared.removal.cutoff(now)
    stray = [one for one in container.orphans(storage, series) if one.ours]
    chains = container.chains(storage, series) if stray else []
    if shared.force or any(_good(storage, series, chain) for chain in chains):
        for one in stray:
            if one.level.time <= cutoff:
                storage.remove(series, one.folder)


def would_remove(
    storage: Storage, shared: Common, now: float, in_use: int | None = None
) -> list[str]:
    """What ``remove`` would remove."""
    chains = container.chains(storage, shared.series)
    return [_name(chain) for chain in _due(storage, shared, chains, now, in_use)]


def _due(
    storage: Storage, shared: Common, chains: Sequence[Chain], now: float, in_use: int | None
) -> list[Chain]:
    """Chains whose newest level is old enough; without force the last good one stays."""
    assert shared.removal is not None
    cutoff = shared.removal.cutoff(now)
    due = [chain for chain in chains if chain.newest_time <= cutoff and chain.zero != in_use]
    if shared.force:
        return due
    kept = [chain for chain in chains if chain not in due]
    if any(_good(storage, shared.series, chain) for chain in kept):
        return due
    for chain in reversed(due):
        if _good(storage, shared.series, chain):
            return [other for other in due if other is not chain]
    return due


def _good(storage: Storage, series: Series, chain: Chain) -> bool:
    return restorable(storage, series, chain, chain.newest) == ""


def _name(chain: Chain) -> str:
    begin, end = (iso(from_epoch(moment)) for moment in (chain.zero, chain.newest_time))
    return f"{chain.zero} ({begin} to {end}, {count(len(chain.levels), 'level')})"
