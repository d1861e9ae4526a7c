# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action admin: removal of old chains, whole, and never the last one that can be restored."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from coldchain.agent.engines.tar.stored import container
from coldchain.agent.engines.tar.stored.layout import Chain, Series
from coldchain.agent.engines.tar.stored.level_reader import SAME
from coldchain.agent.engines.tar.stored.soundness import Soundness
from coldchain.agent.options import Common
from coldchain.agent.report import Report
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import JobFailed
from coldchain.core.instants import from_epoch, iso
from coldchain.core.text import pluralize

if TYPE_CHECKING:
    from coldchain.agent.receipts import Receipts


def admin(shared: Common, storage: Storage, receipts: Receipts | None = None) -> Report:
    """Remove the chains that the options name; a dry run only lists them.

    receipts: what verifications on this host have found.
    """
    series = Series.of(shared)
    chains = container.chains(storage, series)
    if not chains:
        raise JobFailed(
            f'no backup "{series.host_name}" in {shared.location}',
            "check container, hostname and backup_name: coldchain backups lists what there is",
        )
    if shared.dry_run:
        removed = would_remove(storage, shared, time.time(), receipts)
        message = f"dry run: would remove {pluralize(len(removed), 'chain')}"
    else:
        with storage.lock(series.host_name):
            removed = remove(storage, shared, time.time(), receipts)
        message = f"removed {pluralize(len(removed), 'chain')} of {series.host_name}"
    fields = {
        **shared.location.as_fields(),
        "hostname": series.hostname,
        "backup_name": series.backup_name,
        "removed": removed,
        "dry_run": shared.dry_run,
    }
    return Report("admin", message, (), fields)


def remove(
    storage: Storage,
    shared: Common,
    now: float,
    receipts: Receipts | None = None,
    in_use: int | None = None,
) -> list[str]:
    """Remove what is due (the caller holds the lock): the removed chains, for people.

    now: POSIX seconds; receipts: what verifications on this host have found; in_use: a chain that
    stays whatever the options say, even with force.
    """
    series = Series.of(shared)
    chains = container.chains(storage, series)
    soundness = Soundness(storage, series, shared.location.key, receipts)
    due = _due(soundness, shared, chains, now, in_use)
    for chain in due:
        # First what makes the chain exist, so that a crash leaves orphans and not half a chain.
        storage.remove(series.host_name, f"{series.metadata_folder}/{chain.zero}")
        if storage.names(f"{series.data_folder}/{chain.zero}"):
            storage.remove(series.host_name, f"{series.data_folder}/{chain.zero}")
    _remove_stray(storage, soundness, shared, now)
    return [_name(soundness, chain) for chain in due]


def _remove_stray(storage: Storage, soundness: Soundness, shared: Common, now: float) -> None:
    """Remove levels as old that belong to no chain, such as those of a removal that was killed."""
    assert shared.removal is not None
    series, cutoff = Series.of(shared), shared.removal.cutoff(now)
    stray = [orphan for orphan in container.orphans(storage, series) if orphan.ours]
    chains = container.chains(storage, series) if stray else []
    if shared.force or any(_good(soundness, chain) for chain in chains):
        for orphan in stray:
            if orphan.level.time <= cutoff:
                storage.remove(series.host_name, orphan.folder)


def would_remove(
    storage: Storage,
    shared: Common,
    now: float,
    receipts: Receipts | None = None,
    in_use: int | None = None,
) -> list[str]:
    """What ``remove`` would remove."""
    series = Series.of(shared)
    soundness = Soundness(storage, series, shared.location.key, receipts)
    due = _due(soundness, shared, container.chains(storage, series), now, in_use)
    return [_name(soundness, chain) for chain in due]


def _due(
    soundness: Soundness,
    shared: Common,
    chains: Sequence[Chain],
    now: float,
    in_use: int | None,
) -> list[Chain]:
    """Chains whose newest level is old enough; without force the last good one stays.

    Good is one that holds files and of which no damage is known: those of a source that was not
    mounted hold none.  Where there is no such one, one that holds none; or else the newest of which
    at least an earlier point can be restored.
    """
    assert shared.removal is not None
    cutoff = shared.removal.cutoff(now)
    due = []
    for chain in chains:
        newest = soundness.newest_moment(chain)
        ahead = shared.removal.ahead and newest > now + SAME
        if (newest <= cutoff or ahead) and chain.zero != in_use:
            due.append(chain)
    if shared.force:
        return due
    kept = [chain for chain in chains if chain not in due]
    for good in (_filled, _good, _partly_good):
        if any(good(soundness, chain) for chain in kept):
            return due
        for chain in reversed(due):
            if good(soundness, chain):
                return [other for other in due if other is not chain]
    return due


def _good(soundness: Soundness, chain: Chain) -> bool:
    return not soundness.problem(chain, chain.newest)


def _filled(soundness: Soundness, chain: Chain) -> bool:
    return _good(soundness, chain) and any(map(soundness.holds_files, chain.levels))


def _partly_good(soundness: Soundness, chain: Chain) -> bool:
    return any(not soundness.problem(chain, level) for level in chain.levels)


def _name(soundness: Soundness, chain: Chain) -> str:
    moments = soundness.moment(chain.levels[0]), soundness.newest_moment(chain)
    begin, end = (iso(from_epoch(moment)) for moment in moments)
    return f"{chain.zero} ({begin} to {end}, {pluralize(len(chain.levels), 'level')})"
