# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which levels a restore is made of, and what else could be restored."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from coldchain.agent.engines.tar.stored import container
from coldchain.agent.engines.tar.stored.layout import Chain, Level, Series
from coldchain.agent.engines.tar.stored.level_reader import Altered, StoredLevel
from coldchain.agent.engines.tar.stored.soundness import Soundness
from coldchain.agent.options import RestoreOptions
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import DataError, JobFailed
from coldchain.core.instants import from_epoch, iso
from coldchain.core.text import did_you_mean

if TYPE_CHECKING:
    from coldchain.agent.receipts import Receipts


def levels_of_point(
    options: RestoreOptions, storage: Storage, receipts: Receipts | None
) -> list[StoredLevel]:
    """The levels to extract in order; JobFailed names what is missing and what there is."""
    series = Series.of(options.common)
    chains = container.chains(storage, series)
    if not chains:
        raise _no_match(options, storage)
    soundness = Soundness(storage, series, options.common.location.key, receipts)
    chain = soundness.as_of(chains, options.until)
    if chain is None:
        assert options.until is not None
        oldest = min(soundness.moment(level) for chain in chains for level in chain.levels)
        raise JobFailed(
            f"no backup of {series.host_name} is as old as {iso(from_epoch(options.until))}",
            f"the oldest one is of {iso(from_epoch(oldest))}",
        )
    lineage = soundness.lineage(chain, chain.newest)
    if lineage.problem:
        raise JobFailed(f"{series.host_name}: {lineage.problem}", _instead(soundness, chains))
    try:
        levels = [soundness.stored(level) for level in lineage.levels]
    except DataError as error:
        error.hint = "; ".join(filter(None, (error.hint, _instead(soundness, chains))))
        raise
    fault = next(filter(None, map(soundness.fault, lineage.levels)), "")
    if fault:
        raise JobFailed(f"{series.host_name}: {fault}", _instead(soundness, chains))
    return levels


def _no_match(options: RestoreOptions, storage: Storage) -> JobFailed:
    series, location = Series.of(options.common), options.common.location
    host_names = container.host_names(storage)
    prefix, suffix = f"{series.hostname}_", f"_{series.backup_name}"
    own = [name[len(prefix) :] for name in host_names if name.startswith(prefix)]
    elsewhere = [name[: -len(suffix)] for name in host_names if name.endswith(suffix)]
    # Only what can be written as backup_name: of the two names in one that lie there, no more.
    hint = did_you_mean(series.backup_name.removeprefix(prefix), own, most=3)
    if hint:
        pass
    elif elsewhere:
        hint = f"written by other hosts: {', '.join(elsewhere[:10])}; hostname says by which"
    elif host_names:
        hint = f"there are (HOSTNAME_BACKUP-NAME): {', '.join(host_names[:10])}"
    elif location.folder is not None and not location.folder.is_dir():
        hint = "there is no such directory; coldchain backups lists the containers of the jobs"
    else:
        hint = "the container holds no backup"
    return JobFailed(f'No matching backup name "{series.host_name}" found in {location}', hint)


@contextlib.contextmanager
def naming_the_way_out(
    options: RestoreOptions, storage: Storage, receipts: Receipts | None
) -> Iterator[None]:
    """Where a level turns out to be altered, say which point can be restored instead."""
    try:
        yield
    except Altered as error:
        series = Series.of(options.common)
        soundness = Soundness(storage, series, options.common.location.key, receipts)
        chains = container.chains(storage, series)
        error.hint = _instead(soundness, chains, error.level)
        raise


def _instead(soundness: Soundness, chains: Sequence[Chain], without: Level | None = None) -> str:
    """The newest point that can be restored, where the wanted one cannot."""
    newest = soundness.newest(chains, without=without)
    if newest is None:
        return "coldchain verify tells what is wrong with the others"
    when = iso(from_epoch(soundness.moment(newest)))
    return f"the newest that can be restored: restore_from_date {when}"


def report_fields(options: RestoreOptions, levels: Sequence[StoredLevel]) -> dict[str, object]:
    """What the report of a restore of *levels*, and of its dry run, says of them."""
    series, point = Series.of(options.common), levels[-1].level
    return {
        **options.common.location.as_fields(),
        "hostname": series.hostname,
        "backup_name": series.backup_name,
        "restore_abs_path": os.fspath(options.directory),
        "chain": point.zero,
        "level": point.number,
        "curr_backup_level": point.number,
        "time": iso(from_epoch(levels[-1].moment)),
        "time_stamp": point.time,
    }
