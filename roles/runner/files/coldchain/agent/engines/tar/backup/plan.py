# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which level a backup writes: the next one of the chain, or the first of a new one, and why."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from coldchain.agent.engines.tar.backup.levels import next_level, previous_backup
from coldchain.agent.engines.tar.backup.resume import Base, resume
from coldchain.agent.engines.tar.backup.source_bounds import container_inside, link_loops
from coldchain.agent.engines.tar.stored import container, snapshot
from coldchain.agent.engines.tar.stored.layout import METADATA, Chain, Level, Series, newest_chain
from coldchain.agent.engines.tar.stored.manifest import Parent
from coldchain.agent.engines.tar.stored.soundness import Soundness
from coldchain.agent.options import BackupOptions
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import DataError
from coldchain.core.instants import from_epoch, iso
from coldchain.core.text import display_name, pluralize

#: Headers and padding of one file in an archive, about.
_PER_FILE = 1792


class Plan(NamedTuple):
    """The level to write, what it is based on, and how it is encrypted.

    skip: exact names of members that stay out; expected: bytes of archive, judged by the last
    full backup; 0 when nobody can tell.
    """

    level: Level
    previous: Level | None
    parent: Parent | None
    base: Base | None
    scheme: str | None
    warnings: tuple[str, ...]
    skip: tuple[str, ...]
    expected: int = 0


def check_metadata(options: BackupOptions, storage: Storage) -> None:
    """DataError where a backup would bury, and the next one remove, what only lacks metadata."""
    series = Series.of(options.common)
    levels = container.stranded(storage, series)
    # Asked last: a remote lists everything in it, of all hosts.
    if levels and not storage.names(METADATA):
        raise DataError(
            f"{options.common.location}: {series.data_folder} holds {levels} complete levels, but"
            f" there is no {METADATA}: it was lost",
            f"bring {METADATA} back, or move {series.data_folder} away",
        )


def plan_level(
    options: BackupOptions,
    storage: Storage,
    soundness: Soundness,
    now: int,
    snar: int,
    listed: int,
    broken: str = "",
) -> Plan:
    """The level that the chains of the container, the options and the source call for.

    now: seconds of the epoch; snar, listed: descriptors of memory files, empty, which get tar's
    snapshot and the list of entries of the level to continue; broken: why the chain cannot be
    continued, when that is known already.  Raises DataError.
    """
    series = Series.of(options.common)
    chains = container.chains(storage, series)
    _check_name(options, soundness, chains)
    previous = previous_backup(chains, options.rules, now, soundness.moment)
    warnings = []
    scheme = None
    base = None
    if options.encryption is not None:
        scheme = options.encryption.wanted
        warnings += options.encryption.pass_file.doubts()
    if previous is not None:
        chain = newest_chain(chains)
        assert chain is not None
        found = broken or resume(storage, options, soundness, chain, previous, snar, listed)
        if isinstance(found, Base):
            base = found
            scheme = base.scheme
        else:
            warnings.append(f"a new chain is begun: {found}")
            previous = None
            snapshot.clear(snar)
    warnings += _ahead(soundness, chains, now)
    if options.consistency_check and options.exclude:
        warnings.append(
            "consistency_check covers what exclude leaves out, too: a restore will not have its sum"
        )
    inside = container_inside(options)
    loops = [name for name in link_loops(options) if name not in inside]
    if loops:
        first = ", ".join(display_name(os.fsencode(name)) for name in loops[:3])
        more = f" and {len(loops) - 3} more" if loops[3:] else ""
        warnings.append(f"left out, as following it would never end: {first}{more}")
    skip = (*loops, *inside)
    expected = _expected(options, soundness, chains) if previous is None else 0
    level = next_level(chains, previous, now)
    taken = {orphan.level.time for orphan in container.orphans(storage, series)}
    while level.time in taken:
        level = next_level(chains, previous, level.time + 1)
    parent = None
    if previous is not None:
        parent = Parent(previous.name, soundness.stored(previous).digest)
    return Plan(level, previous, parent, base, scheme, tuple(warnings), skip, expected)


def _ahead(soundness: Soundness, chains: Sequence[Chain], now: int) -> Iterator[str]:
    """What is dated later than now, as a warning."""
    ahead = soundness.ahead(chains, now)
    if ahead:
        newest = iso(from_epoch(max(map(soundness.moment, ahead))))
        yield (
            f"dated ahead of now: {pluralize(len(ahead), 'level')}, up to {newest}: the clock was"
            " wrong then, or is wrong now; the action admin with remove_ahead removes such chains"
        )


def _check_name(options: BackupOptions, soundness: Soundness, chains: Sequence[Chain]) -> None:
    """Host "a" with name "b_c", and host "a_b" with name "c", have one directory."""
    mine = options.common.hostname, options.common.backup_name
    for chain in reversed(chains):
        try:
            manifest = soundness.stored(chain.newest).manifest
        except DataError:
            continue
        if manifest is not None and (manifest.hostname, manifest.backup_name) != mine:
            raise DataError(
                f"{options.common.location}: {Series.of(options.common).host_name} holds backups of"
                f" host {manifest.hostname} named {manifest.backup_name}",
                "choose another backup_name, or a container of its own",
            )


def _expected(options: BackupOptions, soundness: Soundness, chains: Sequence[Chain]) -> int:
    """How large the last full backup of the same source was, before compression."""
    for chain in reversed(chains):
        try:
            manifest = soundness.stored(chain.levels[0]).manifest
        except DataError:
            continue
        if manifest is not None and manifest.level.number == 0:
            same = manifest.source == options.source.identity
            return manifest.bytes_read + manifest.files * _PER_FILE if same else 0
    return 0
