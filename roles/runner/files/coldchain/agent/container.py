# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in a container: chains, and data that no backup owns."""

from __future__ import annotations

import time
from dataclasses import dataclass

from coldchain.agent.layout import (
    DATA,
    ENGINE,
    MANIFEST,
    METADATA,
    Chain,
    Level,
    Series,
    chain_of,
    chain_times,
    parse_level,
)
from coldchain.agent.storage import Storage

#: freezer-agent writes data at its final place and takes no lock: what looks abandoned but is
#: younger than this many seconds may be a backup of its that is still running.
ABANDONED_AFTER = 86400
_DEEPEST = 8


@dataclass(frozen=True)
class Orphan:
    """Data of a level that was never committed, or whose commit marker is gone."""

    level: Level
    folder: str
    ours: bool
    age: float


def chains(storage: Storage, series: Series) -> list[Chain]:
    """All chains of *series*, oldest first."""
    folder = series.metadata_folder
    found = (
        chain_of(zero, storage.names(f"{folder}/{zero}"))
        for zero in chain_times(storage.names(folder))
    )
    return [chain for chain in found if chain is not None]


def host_names(storage: Storage) -> list[str]:
    """Every HOST_NAME of the container that has a chain, sorted."""
    found: list[str] = []
    top = f"{METADATA}/{ENGINE}"

    def visit(folder: str, depth: int) -> None:
        names = storage.names(f"{top}/{folder}" if folder else top)
        if folder and chain_times(names):
            found.append(folder)
        for name in names:
            # A slash in a backup name makes nested folders.
            if depth < _DEEPEST and not chain_times([name]):
                visit(f"{folder}/{name}" if folder else name, depth + 1)

    visit("", 0)
    return sorted(found)


def orphans(storage: Storage, series: Series) -> list[Orphan]:
    """Levels in the data tree that the metadata tree does not know."""
    found = []
    for zero in chain_times(storage.names(series.data_folder)):
        known = set(storage.names(f"{series.metadata_folder}/{zero}"))
        for name in storage.names(f"{series.data_folder}/{zero}"):
            level = parse_level(zero, name)
            if level is None or name in known:
                continue
            folder = series.data_of(level)
            changed = storage.modified(f"{folder}/{DATA}") or storage.modified(folder) or 0
            found.append(
                Orphan(
                    level,
                    folder,
                    ours=storage.size(f"{folder}/{MANIFEST}") is not None,
                    age=time.time() - changed,
                )
            )
    return found


def stranded(storage: Storage, series: Series) -> int:
    """Complete levels of ours whose metadata was lost, with which they could come back.

    A crash leaves no more than one: the next writer sweeps before it writes.  Those of a chain
    whose removal was killed look the same, and wait for the next removal.
    """
    complete = sum(orphan.ours for orphan in orphans(storage, series))
    return complete if complete > 1 else 0


def sweep(storage: Storage, series: Series) -> int:
    """Remove what crashed runs left (the caller holds the lock); the number of parts removed."""
    removed = storage.discard_drafts(series)
    if stranded(storage, series):
        return removed
    for orphan in orphans(storage, series):
        if orphan.ours or orphan.age > ABANDONED_AFTER:
            storage.remove(series, orphan.folder)
            removed += 1
    return removed
