# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action backup: one level of a chain, complete or not there at all."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

from coldchain.agent.engines.tar.admin import remove
from coldchain.agent.engines.tar.backup import exclusion
from coldchain.agent.engines.tar.backup.level_writer import LevelWriter, UnusableChain
from coldchain.agent.engines.tar.backup.plan import check_metadata
from coldchain.agent.engines.tar.backup.report import foresight_of, report_of
from coldchain.agent.engines.tar.backup.source_bounds import lies_in_container
from coldchain.agent.engines.tar.stored import container, snapshot
from coldchain.agent.engines.tar.stored.layout import Series
from coldchain.agent.engines.tar.stored.soundness import Soundness
from coldchain.agent.options import BackupOptions
from coldchain.agent.progress import Meter
from coldchain.agent.report import Report
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import DataError
from coldchain.core.text import pluralize

if TYPE_CHECKING:
    from coldchain.agent.receipts import Receipts


def backup(
    options: BackupOptions,
    storage: Storage,
    meter: Meter,
    receipts: Receipts | None = None,
    now: Callable[[], float] = time.time,
) -> Report:
    """Write the next level; a dry run only says which one it would be.

    receipts: what verifications on this host have found.
    """
    started = time.monotonic()
    if lies_in_container(options):
        raise DataError(
            f"path_to_backup {options.tree} lies inside the container",
            "choose a container outside of it",
        )
    empty = exclusion.total_pattern(options.exclude)
    if empty is not None:
        raise DataError(f"exclude: {empty!r} leaves out everything", "leave that pattern out")
    if options.encryption is not None:
        options.encryption.pass_file.read()  # what follows has no other one
    dry = options.common.dry_run
    series = Series.of(options.common)
    with nullcontext() if dry else storage.lock(series.host_name):
        if not dry:
            container.sweep(storage, series)
        soundness = Soundness(storage, series, options.common.location.key, receipts)
        check_metadata(options, storage)
        with snapshot.memfd() as snar, snapshot.memfd() as listed:
            writer = LevelWriter(options, storage, soundness, meter, snar, listed, now)
            plan = writer.plan()
            if dry:
                return foresight_of(options, plan)
            if options.sync:
                meter.begin("writing the buffers out")
                os.sync()
            try:
                written = writer.write(plan)
            except UnusableChain as error:
                plan = writer.plan(broken=str(error))
                written = writer.write(plan)
        report = report_of(options, plan, written, time.monotonic() - started)
        removed: list[str] = []
        if options.common.removal is not None:
            removed = remove(storage, options.common, now(), receipts)
    return Report(
        report.action,
        report.message + (f"; removed {pluralize(len(removed), 'chain')}" if removed else ""),
        report.warnings,
        {**report.fields, "removed": removed},
    )
