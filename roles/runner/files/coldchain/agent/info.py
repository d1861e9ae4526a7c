# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in a container: the action info, and the catalogue behind ``coldchain backups``."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coldchain.agent import container
from coldchain.agent.layout import DATA, ENGINE, ENGINE_METADATA, ENTRIES, Chain, Level, Series
from coldchain.agent.location import Location
from coldchain.agent.opening import open_storage
from coldchain.agent.options import Common
from coldchain.agent.parts import packed
from coldchain.agent.report import Report, count, size
from coldchain.agent.storage import Storage
from coldchain.errors import DataError
from coldchain.instants import from_epoch, iso

if TYPE_CHECKING:
    from coldchain.store.receipts import Receipt, Receipts


@dataclass(frozen=True)
class Backup:
    """One level that can be restored to, or the reason why not.

    chain and time_stamp: POSIX seconds; size: stored bytes; files: None when freezer-agent wrote
    it and the number is not known.
    """

    storage: str
    container: str
    hostname: str
    backup_name: str
    chain: int
    level: int
    time: str
    time_stamp: int
    size: int
    files: int | None
    engine: str
    compression: str
    encrypted: bool
    encrypt_scheme: str | None
    restorable: bool
    reason: str
    verified: Receipt | None = None

    def as_dict(self) -> dict[str, object]:
        return {**asdict(self), "verified": self.verified and self.verified.as_dict()}


def catalogue(
    place: Path | Location,
    hostname: str | None = None,
    backup_name: str | None = None,
    receipts: Receipts | None = None,
) -> list[Backup]:
    """The backups in a container (a path: on the local disk), oldest first within each name.

    receipts: what earlier verifications found, of which each backup then tells its own.
    """
    location = place if isinstance(place, Location) else Location.local(place)
    storage = open_storage(location, series=one_series(hostname, backup_name))
    return listed(storage, location, hostname, backup_name, receipts)


def listed(
    storage: Storage,
    location: Location,
    hostname: str | None,
    backup_name: str | None,
    receipts: Receipts | None = None,
) -> list[Backup]:
    """What ``catalogue`` answers, with a storage that is open already."""
    found = []
    for host_name in container.host_names(storage):
        series = series_of(storage, host_name, hostname, backup_name)
        if series is None:
            continue
        for chain in container.chains(storage, series):
            faults: Faults = {}
            found += [
                describe(storage, location, series, chain, level, receipts, faults)
                for level in chain.levels
            ]
    return sorted(found, key=lambda one: (one.hostname, one.backup_name, one.time_stamp))


def info(
    shared: Common, storage: Storage, named: Series | None, receipts: Receipts | None = None
) -> Report:
    """The action info: everything in the container, or what *named* holds."""
    backups = listed(
        storage,
        shared.location,
        named.hostname if named else None,
        named.backup_name if named else None,
        receipts,
    )
    names = {(one.hostname, one.backup_name) for one in backups}
    stored = size(sum(one.size for one in backups))
    message = (
        f"{count(len(backups), 'level')} of {count(len(names), 'backup')}"
        f" in {shared.location}, {stored}"
    )
    fields = {
        **shared.location.as_fields(),
        "backups": [one.as_dict() for one in backups],
        "size": sum(one.size for one in backups),
    }
    return Report("info", message, (), fields)


#: What was found wrong with the levels of one chain, "" for nothing: each is looked at once.
Faults = dict[Level, str]


def restorable(
    storage: Storage, series: Series, chain: Chain, point: Level, faults: Faults | None = None
) -> str:
    """Why *point* cannot be restored, judged without reading data; "" when it can."""
    levels, missing = chain.lineage(point)
    if missing:
        return f"level {missing[0]} is missing"
    known: Faults = {} if faults is None else faults
    for level in levels:
        if level not in known:
            known[level] = _fault(storage, series, level)
        if known[level]:
            return known[level]
    return ""


def _fault(storage: Storage, series: Series, level: Level) -> str:
    try:
        one = packed(storage, series, level)
        stored = storage.size(one.path(DATA))
    except DataError as error:
        return error.message
    expected = one.parts.get(DATA)
    if stored is None:
        return f"data of level {level.number} ({level.path}) is missing"
    if stored == 0 or (expected is not None and expected.size != stored):
        return f"data of level {level.number} ({level.path}) has not its full size"
    return ""


def describe(
    storage: Storage,
    location: Location,
    series: Series,
    chain: Chain,
    level: Level,
    receipts: Receipts | None = None,
    faults: Faults | None = None,
) -> Backup:
    reason = restorable(storage, series, chain, level, faults)
    place = series.data_of(level)
    stored = sum(storage.size(f"{place}/{name}") or 0 for name in (DATA, ENGINE_METADATA, ENTRIES))
    compression, scheme, files = "", None, None
    try:
        one = packed(storage, series, level)
        compression, scheme = one.metadata.compression, one.metadata.scheme
        files = one.manifest.files if one.manifest else None
    except DataError as error:
        reason = reason or error.message
    verified = None
    if receipts is not None:
        verified, damage = _verified(receipts, location, series, chain, level)
        reason = reason or damage
    return Backup(
        storage=location.storage,
        container=location.container,
        hostname=series.hostname,
        backup_name=series.backup_name,
        chain=chain.zero,
        level=level.number,
        time=iso(from_epoch(level.time)),
        time_stamp=level.time,
        size=stored,
        files=files,
        engine=ENGINE,
        compression=compression,
        encrypted=scheme is not None,
        encrypt_scheme=scheme,
        restorable=not reason,
        reason=reason,
        verified=verified,
    )


def _verified(
    receipts: Receipts, location: Location, series: Series, chain: Chain, point: Level
) -> tuple[Receipt | None, str]:
    """What is known of *point* together with all that it builds on, and what is wrong with it."""
    from coldchain.store.receipts import proof, together

    levels, missing = chain.lineage(point)
    if missing:
        return None, ""
    found = [receipts.of(location.key, series.host_name, level.path) for level in levels]
    damage = proof(found)
    when = "" if damage is None else f"found damaged at {iso(from_epoch(damage.time))}"
    return together(found), when


def one_series(hostname: str | None, backup_name: str | None) -> Series | None:
    """The only series that can be meant, when both names are given."""
    if hostname is None or backup_name is None:
        return None
    return Series(hostname, backup_name)


def series_of(
    storage: Storage, host_name: str, hostname: str | None, backup_name: str | None
) -> Series | None:
    """Host and name behind a HOST_NAME, None when the wish excludes it.

    The two are joined by "_", which either may hold: a wish decides, then our manifest, then this
    host's own name, and at last the first "_", because host names have none.
    """
    if hostname is not None and backup_name is not None:
        wanted = Series(hostname, backup_name)
        return wanted if wanted.host_name == host_name else None
    if hostname is not None:
        start = f"{hostname}_"
        return Series(hostname, host_name[len(start) :]) if host_name.startswith(start) else None
    if backup_name is not None:
        end = f"_{backup_name}"
        return Series(host_name[: -len(end)], backup_name) if host_name.endswith(end) else None
    return _named_by_manifest(storage, host_name) or _split(host_name)


def _split(host_name: str) -> Series:
    own = f"{os.uname().nodename}_"
    if host_name.startswith(own):
        return Series(own[:-1], host_name[len(own) :])
    host, dummy, name = host_name.partition("_")
    return Series(host, name)


def _named_by_manifest(storage: Storage, host_name: str) -> Series | None:
    guess = _split(host_name)
    for chain in reversed(container.chains(storage, guess)):
        try:
            manifest = packed(storage, guess, chain.newest).manifest
        except DataError:
            continue
        if manifest is not None:
            told = Series(manifest.hostname, manifest.backup_name)
            return told if told.host_name == host_name else None
    return None
