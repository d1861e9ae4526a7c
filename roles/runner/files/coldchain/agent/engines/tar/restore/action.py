# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action restore: all levels into a private folder, checked, then moved into place."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from coldchain.agent.engines.tar.admin import remove
from coldchain.agent.engines.tar.restore import placing, settled_tree, staged_tree, staging
from coldchain.agent.engines.tar.restore.dry_run import dry_run
from coldchain.agent.engines.tar.restore.extract import Seen, extract_all
from coldchain.agent.engines.tar.restore.extract_guard import below, everything
from coldchain.agent.engines.tar.restore.open_tree import open_up
from coldchain.agent.engines.tar.restore.selected_paths import selected_paths
from coldchain.agent.engines.tar.restore.wanted_point import (
    levels_of_point,
    naming_the_way_out,
    report_fields,
)
from coldchain.agent.engines.tar.stored.layout import DATA, Series
from coldchain.agent.engines.tar.stored.level_fetch import LevelFetcher
from coldchain.agent.engines.tar.stored.level_reader import StoredLevel, authenticate
from coldchain.agent.modes.tree_checksum import checksum
from coldchain.agent.mounts import names_within
from coldchain.agent.options import RestoreOptions
from coldchain.agent.progress import Meter
from coldchain.agent.report import Report
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import ColdchainError, DataError, JobFailed
from coldchain.core.instants import from_epoch, iso
from coldchain.core.text import format_bytes, pluralize

if TYPE_CHECKING:
    from coldchain.agent.receipts import Receipts


class _Restored(NamedTuple):
    """What has come into its place.

    size: bytes; surplus: how much was taken out that the last level did not hold; containment: by
    what the kernel held tar; place: the target, in words.
    """

    files: int
    size: int
    surplus: int
    containment: Sequence[str]
    place: str
    warnings: list[str]


def restore(
    options: RestoreOptions,
    storage: Storage,
    meter: Meter,
    spool: Path,
    receipts: Receipts | None = None,
) -> Report:
    """Restore the newest point not later than ``until``; a dry run lists the members.

    spool: where a dry run may keep a level while it looks at it; receipts: what verifications on
    this host have found.
    """
    started = time.monotonic()
    levels = levels_of_point(options, storage, receipts)
    _check_place(options)
    refused = _refusal(options)
    trusted: list[str] = []
    for level in levels:
        trusted += authenticate(storage, level, options.encryption)
    total = sum(storage.size(level.path(DATA)) or 0 for level in levels)
    paths = selected_paths(options, storage, levels, meter, spool)
    if options.common.dry_run:
        report = dry_run(options, storage, levels, paths, meter, spool, receipts)
        refused = refused or str(report.fields["refused"])
        told = [f"a restore would be refused: {refused}"] if refused else []
        fields = {**report.fields, "refused": refused}
        said = (*told, *trusted, *report.warnings)
        return Report(report.action, report.message, said, fields)
    point = levels[-1].level
    when = iso(from_epoch(levels[-1].moment))
    with naming_the_way_out(options, storage, receipts):
        restored = _bring_back(options, storage, meter, levels, paths, f"as of {when}")
    removed, kept = _remove_old(options, storage, receipts, levels[0].level.zero)
    duration = time.monotonic() - started
    message = (
        f"restored {options.common.backup_name} as of {when} (level {point.number}):"
        f" {pluralize(restored.files, 'file')}, {format_bytes(restored.size)}"
        f" in {duration:.1f} s"
        f" to {restored.place}"
        + (f"; removed {pluralize(len(removed), 'chain')}" if removed else "")
    )
    fields = {
        **report_fields(options, levels),
        "removed": removed,
        "files": restored.files,
        "bytes": restored.size,
        "size": total,
        "surplus": restored.surplus,
        "containment": list(restored.containment),
        "duration": round(duration, 3),
    }
    return Report("restore", message, (*trusted, *restored.warnings, *kept), fields)


def _refusal(options: RestoreOptions) -> str:
    """Why a restore to this target would be refused, for a dry run; else that is an error."""
    try:
        staging.check_target(
            options.directory, overwrite=options.overwrite, trust=options.trust_target
        )
    except DataError as error:
        if not options.common.dry_run:
            raise
        return f"{error.message}; {error.hint}" if error.hint else error.message
    return ""


def _bring_back(
    options: RestoreOptions,
    storage: Storage,
    meter: Meter,
    levels: Sequence[StoredLevel],
    paths: list[bytes],
    point: str,
) -> _Restored:
    """Extract *levels*, only *paths* if given, look at what came, and move it into its place.

    point: which one it is, in words.
    """
    seen = Seen(track_owners=os.geteuid() != 0)
    with (
        staging.stage(
            options.directory, overwrite=options.overwrite, trust=options.trust_target
        ) as stage,
        LevelFetcher(storage, levels, stage.private, meter) as fetcher,
    ):
        warnings = extract_all(options, storage, fetcher, levels, paths, stage, meter, seen)
        modes = open_up(stage.descriptor)
        selected = below(paths) if paths else everything
        surplus, differing = settled_tree.end(
            stage.descriptor, fetcher.near, levels[-1], options.encryption, selected
        )
        warnings += differing
        if paths:
            staged_tree.prune(stage.descriptor, paths, point)
        foreign = staged_tree.foreign_owners(seen, numeric=options.numeric_owner)
        contents = staged_tree.measure(stage.descriptor, disarm=bool(foreign))
        warnings += contents.warnings
        if options.trust_target:
            warnings += stage.trusted()
        elif seen.root and not paths:
            stage.check_owners({*contents.owners, os.fstat(stage.descriptor).st_uid})
        else:
            stage.check_owners(contents.owners)
        restored_sum = checksum(Path(os.fsdecode(stage.tree))) if options.checksum else None
        if restored_sum != options.checksum:
            raise JobFailed(
                "the restored files do not have the given consistency_checksum: nothing was kept",
                "the source had changed while it was backed up, or the checksum is another one's",
            )
        # Where the backup has no directory of its own, the target's owner and mode stay.
        wanted = selected if seen.root or paths else _below_top
        placing.place(stage, whole=seen.root and not paths, wanted=wanted, modes=modes)
    if foreign:
        first = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if foreign[3:] else "")
        warnings.append(f"what belonged to {first} is yours now: only root can give files away")
    place = str(options.directory)
    if place != stage.way.path:
        place += f" ({stage.way.path})"
    return _Restored(contents.files, contents.size, surplus, seen.containment, place, warnings)


def _check_place(options: RestoreOptions) -> None:
    """A container holds backups, and what else lies in it goes with them or is taken for some."""
    folder = options.common.location.folder
    if folder is not None and b"." in names_within(folder, options.directory):
        raise DataError(
            f"restore_abs_path {options.directory} lies inside the container",
            "choose a directory outside of it",
        )


def _remove_old(
    options: RestoreOptions, storage: Storage, receipts: Receipts | None, restored: int
) -> tuple[list[str], list[str]]:
    """What the action removes after a restore, as Freezer does: (removed chains, warnings).

    Never the chain *restored*; and files that are back are no failure because of it.
    """
    if options.common.removal is None:
        return [], []
    try:
        with storage.lock(Series.of(options.common).host_name):
            return remove(storage, options.common, time.time(), receipts, restored), []
    except ColdchainError as error:
        return [], [f"old chains were not removed: {error.message}"]


def _below_top(name: bytes) -> bool:
    return name != b""
