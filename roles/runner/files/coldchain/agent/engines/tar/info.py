# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in a container: the points in time that can be restored."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager, closing
from typing import TYPE_CHECKING

from coldchain.agent.engines.base import Backup, Query
from coldchain.agent.engines.tar.stored import container
from coldchain.agent.engines.tar.stored.layout import ENGINE, PARTS, Chain, Level, Series, access
from coldchain.agent.engines.tar.stored.level_reader import SAME, read_level
from coldchain.agent.engines.tar.stored.soundness import Soundness
from coldchain.agent.storages.base import Storage
from coldchain.agent.storages.location import Location
from coldchain.agent.storages.registry import open_storage
from coldchain.core.errors import DataError
from coldchain.core.instants import from_epoch, iso

if TYPE_CHECKING:
    from coldchain.agent.receipts import Receipts


def points(query: Query, receipts: Receipts | None = None) -> list[Backup]:
    """The backups in a container, oldest first within each name.

    receipts: what earlier verifications found, of which each backup then tells its own.
    """
    backups = []
    with asked(query) as storage:
        for host_name in container.host_names(storage):
            series = series_of(storage, host_name, query.hostname, query.backup_name)
            if series is None:
                continue
            soundness = Soundness(storage, series, query.location.key, receipts, lenient=True)
            for chain in container.chains(storage, series):
                backups += [
                    describe(storage, query.location, series, soundness, chain, level)
                    for level in chain.levels
                ]
    return sorted(backups, key=_order)


def asked(query: Query) -> AbstractContextManager[Storage]:
    """The storage that *query* is about."""
    return closing(
        open_storage(
            query.location,
            access=access(one_series(query.hostname, query.backup_name)),
            download_limit=query.download_limit,
        )
    )


def _order(backup: Backup) -> tuple[str, str, int]:
    return backup.hostname, backup.backup_name, backup.time_stamp


def describe(
    storage: Storage,
    location: Location,
    series: Series,
    soundness: Soundness,
    chain: Chain,
    level: Level,
) -> Backup:
    """What a listing tells of *level*."""
    reason = soundness.problem(chain, level)
    size = sum(size_of(storage, f"{series.data_of(level)}/{name}") for name in PARTS)
    moment = soundness.moment(level)
    hostname, backup_name = series.hostname, series.backup_name
    compression, scheme, files = "", None, None
    try:
        stored = soundness.stored(level)
        compression, scheme = stored.metadata.compression, stored.metadata.scheme
        if stored.manifest is not None:
            files = stored.manifest.files
            hostname, backup_name = stored.manifest.hostname, stored.manifest.backup_name
    except DataError as error:
        reason = reason or error.message
    return Backup(
        storage=location.storage,
        container=location.container,
        hostname=hostname,
        backup_name=backup_name,
        chain=chain.zero,
        level=level.number,
        time=iso(from_epoch(moment)),
        time_stamp=moment,
        ahead=moment > time.time() + SAME,
        size=size,
        files=files,
        engine=ENGINE,
        compression=compression,
        encrypted=scheme is not None,
        encrypt_scheme=scheme,
        restorable=not reason,
        reason=reason,
        verified=soundness.verified(chain, level),
    )


def size_of(storage: Storage, path: str) -> int:
    """Bytes of a part; none where that cannot be told, which is told of the data as a fault."""
    try:
        return storage.size(path) or 0
    except DataError:
        return 0


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
    host, name = _split(host_name)
    if hostname is not None and backup_name is not None:
        host, name = hostname, backup_name
    elif hostname is not None:
        host, name = hostname, host_name[len(hostname) + 1 :]
    elif backup_name is not None:
        host, name = host_name[: -len(backup_name) - 1], backup_name
    if f"{host}_{name}" != host_name or not Series.is_safe(host, name):
        return None
    series = Series(host, name)
    if hostname is not None or backup_name is not None:
        return series
    return _named_by_manifest(storage, series) or series


def _split(host_name: str) -> tuple[str, str]:
    own = f"{os.uname().nodename}_"
    if host_name.startswith(own):
        return own[:-1], host_name[len(own) :]
    host, _unused, name = host_name.partition("_")
    return host, name


def _named_by_manifest(storage: Storage, guess: Series) -> Series | None:
    for chain in reversed(container.chains(storage, guess)):
        try:
            manifest = read_level(storage, guess, chain.newest).manifest
        except DataError:
            continue
        if manifest is not None:
            return Series(manifest.hostname, manifest.backup_name)
    return None
