# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in a container: chains, and data that no backup owns."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator
from functools import partial
from typing import NamedTuple

from coldchain.agent.engines.tar.stored.layout import (
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
from coldchain.agent.storages.base import NotFollowed, Storage
from coldchain.core.instants import DAY

#: freezer-agent writes data at its final place and takes no lock: what looks abandoned but is
#: younger than this many seconds may be a backup of its that is still running.
ABANDONED_AFTER = DAY
_DEEPEST = 8
#: So many folders are looked into once more under another name, fewer where they hold much.
_MOST_AGAIN = 500
#: So many folders below one of the topmost ones are looked into in vain: a link may lead to a disk.
_MOST_BARREN = 1000
#: And so many below all of them that hold no chain: the engine's own folder may be such a link.
_MOST_IN_VAIN = 2000


class Orphan(NamedTuple):
    """Data of a level that was never committed, or whose commit marker is gone.

    ours: it is complete, and has our manifest; age: seconds since it was written.
    """

    level: Level
    folder: str
    ours: bool
    age: float


def chains(storage: Storage, series: Series) -> list[Chain]:
    """All chains of *series*, oldest first."""
    found = _levels(storage, series.metadata_folder)
    listed = (chain_of(zero, names) for zero, names in found)
    return [chain for chain in listed if chain is not None]


def _levels(storage: Storage, folder: str) -> Iterator[tuple[int, list[str]]]:
    """Each ZERO in the *folder* of a series, with the names of its levels.

    Links that lead back to where they lie are none, and few folders count under several names:
    links would make as many levels of one as they have names.
    """
    seen: set[Hashable] = set()
    left = _MOST_AGAIN

    def counts(path: str, above: tuple[Hashable, ...]) -> bool:
        """Whether *path*, in the folders *above*, leads somewhere else, and not once too often."""
        nonlocal left
        identity = storage.identity(path)
        if identity is None:
            return True
        left -= identity in seen
        seen.add(identity)
        return identity not in above and left >= 0

    top = storage.identity(folder)
    for zero in chain_times(storage.names(folder)):
        path = f"{folder}/{zero}"
        if counts(path, (top,)):
            above = (top, storage.identity(path))
            try:
                names = filter(partial(parse_level, zero), storage.names(path))
            except NotFollowed:
                continue  # a chain behind such a link is none; the others are
            yield zero, [name for name in names if counts(f"{path}/{name}", above)]


def host_names(storage: Storage) -> list[str]:
    """Every HOST_NAME of the container that has a chain, sorted."""
    host_names: list[str] = []
    top = f"{METADATA}/{ENGINE}"
    # Links in a container can lead back to where they lie, and to one place by many names.
    seen: set[Hashable] = set()
    left, barren, in_vain = _MOST_AGAIN, 0, 0

    def visit(folder: str, above: tuple[Hashable, ...]) -> None:
        """Take *folder*, below the engine's own, if chains lie in it, and look into those below."""
        nonlocal left, barren, in_vain
        path = f"{top}/{folder}" if folder else top
        if len(above) < 2:
            barren = 0
        if barren > _MOST_BARREN or in_vain > _MOST_IN_VAIN:
            return
        identity = storage.identity(path)
        again = identity in seen
        if identity in above or (again and left < 0):
            return
        try:
            names = storage.names(path)
        except NotFollowed:
            if not folder:
                raise
            return
        if again:
            left -= 1 + len(names) // 16
        seen.add(identity)
        before = len(host_names)
        if "_" in folder and chain_times(names):
            host_names.append(folder)
        else:
            barren += 1
        for name in names:
            # A slash in a backup name makes nested folders.
            if len(above) < _DEEPEST and not chain_times([name]):
                visit(f"{folder}/{name}" if folder else name, (*above, identity))
        if len(above) == 1 and len(host_names) == before:
            # What has nothing below it costs next to nothing, and may be anybody's file.
            in_vain += barren - 1

    visit("", ())
    return sorted(host_names)


def orphans(storage: Storage, series: Series) -> list[Orphan]:
    """Levels in the data tree that the metadata tree does not know."""
    abandoned = []
    for zero, names in _levels(storage, series.data_folder):
        committed = set(storage.names(f"{series.metadata_folder}/{zero}"))
        for name in names:
            level = parse_level(zero, name)
            if level is None or name in committed:
                continue
            folder = series.data_of(level)
            changed = storage.modified(f"{folder}/{DATA}") or storage.modified(folder) or 0
            abandoned.append(
                Orphan(
                    level,
                    folder,
                    ours=storage.size(f"{folder}/{MANIFEST}") is not None,
                    age=time.time() - changed,
                )
            )
    return abandoned


def stranded(storage: Storage, series: Series) -> int:
    """Complete levels of ours whose metadata was lost, with which they could come back.

    A crash leaves no more than one: the next writer sweeps before it writes.  Those of a chain
    whose removal was killed look the same, and wait for the next removal.
    """
    return _stranded(orphans(storage, series))


def _stranded(found: list[Orphan]) -> int:
    complete = sum(orphan.ours for orphan in found)
    return complete if complete > 1 else 0


def sweep(storage: Storage, series: Series) -> int:
    """Remove what crashed runs left (the caller holds the lock); the number of parts removed."""
    removed = storage.discard_drafts(series.host_name)
    found = orphans(storage, series)
    if _stranded(found):
        return removed
    for orphan in found:
        if orphan.ours or orphan.age > ABANDONED_AFTER:
            storage.remove(series.host_name, orphan.folder)
            removed += 1
    return removed
