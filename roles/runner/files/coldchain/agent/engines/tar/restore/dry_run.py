# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore would do, told without doing it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coldchain.agent.engines.tar.admin import would_remove
from coldchain.agent.engines.tar.restore.collisions import collision
from coldchain.agent.engines.tar.restore.extract_guard import below, everything
from coldchain.agent.engines.tar.restore.foresight import check_links, kernel_holds
from coldchain.agent.engines.tar.restore.point_names import names_of_point, stored_names
from coldchain.agent.engines.tar.restore.selected_paths import not_there
from coldchain.agent.engines.tar.restore.wanted_point import report_fields
from coldchain.agent.engines.tar.stored.fetch_group import NearLevels
from coldchain.agent.engines.tar.stored.layout import ENTRIES
from coldchain.agent.engines.tar.stored.level_reader import StoredLevel
from coldchain.agent.modes.tree_preview import LISTED, preview
from coldchain.agent.options import RestoreOptions
from coldchain.agent.progress import Meter
from coldchain.agent.report import Report
from coldchain.agent.storages.base import Storage
from coldchain.core.instants import from_epoch, iso
from coldchain.core.text import format_bytes, path_text, pluralize

if TYPE_CHECKING:
    from coldchain.agent.receipts import Receipts


def dry_run(
    options: RestoreOptions,
    storage: Storage,
    levels: Sequence[StoredLevel],
    paths: list[bytes],
    meter: Meter,
    spool: Path,
    receipts: Receipts | None,
) -> Report:
    """The names that a restore would bring."""
    last = levels[-1]
    selected = below(paths) if paths else everything
    remote = options.common.location.folder is None
    keys = [(level.series, level.level) for level in levels if remote]
    with NearLevels(storage, keys, spool, meter, (ENTRIES,)) as near:

        def source(level: StoredLevel) -> Storage:
            """The storage, with the list of the level at hand."""
            return near.of(level.series, level.level)

        told = check_links(source, levels, options.encryption, kernel_holds(spool), selected)
        files, directory, folders = names_of_point(options, storage, levels, meter, spool)
        if paths:
            files = {name for name in files if selected(name)}
        chosen, needed = stored_names(options, source, levels, files)
    for path in paths:
        single = below([path])
        if path not in folders and not any(map(single, chosen)):
            raise not_there(path, f"as of {iso(from_epoch(last.level.time))}")
    files_there = sorted(chosen)
    refused = collision(options.directory, files_there, folders, selected, paths)
    compared = preview(options.directory, files_there, selected)
    names = [path_text(name) for name in files_there[:LISTED]]
    number = len(files_there)
    point = iso(from_epoch(last.moment))
    message = (
        f"dry run: would restore {pluralize(number, 'file')}"
        + (f" ({format_bytes(needed)})" if needed is not None else "")
        + " of"
        f" {options.common.backup_name} as of {point} (level {last.level.number})"
        f" to {options.directory}: {compared.text()}; nothing was written"
    )
    removed: list[str] = []
    if options.common.removal is not None:
        removed = would_remove(storage, options.common, time.time(), receipts, last.level.zero)
        message += f"; would remove {pluralize(len(removed), 'chain')}"
    fields = {
        **report_fields(options, levels),
        "dry_run": True,
        "removed": removed,
        "files": number,
        "bytes": needed,
        "refused": refused,
        "directory": directory,
        "names": names,
        **compared.as_fields(),
    }
    return Report("restore", message, (*told, *_too_small(options.directory, needed)), fields)


def _too_small(target: Path, needed: int | None) -> tuple[str, ...]:
    """A warning when the files do not fit beside what is there: they are moved when all are.

    needed: bytes, None when that is not known.  Holes and compression may make them fit yet.
    """
    place = os.path.realpath(target)
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    try:
        free = shutil.disk_usage(place).free
    except OSError:
        return ()
    if needed is None or needed <= free:
        return ()
    return (
        f"{format_bytes(needed)} are to be restored, and {place} has {format_bytes(free)} free",
    )
