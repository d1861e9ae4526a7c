# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup tells of the level that it has written, or would write."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence, Set

from coldchain.agent.engines.tar.backup.level_writer import Written
from coldchain.agent.engines.tar.backup.plan import Plan
from coldchain.agent.engines.tar.backup.tree_changes import Differences
from coldchain.agent.engines.tar.stored.layout import Series
from coldchain.agent.options import BackupOptions
from coldchain.agent.report import Report
from coldchain.core.text import display_name, format_bytes, pluralize


def _fields(options: BackupOptions, plan: Plan) -> dict[str, object]:
    series = Series.of(options.common)
    return {
        **options.common.location.as_fields(),
        "hostname": series.hostname,
        "backup_name": series.backup_name,
        "source": options.source.identity,
        "chain": plan.level.zero,
        "level": plan.level.number,
        "curr_backup_level": plan.level.number,
        "time_stamp": plan.level.time,
        "compression": options.compression,
        "encrypt_scheme": plan.scheme,
    }


def report_of(
    options: BackupOptions,
    plan: Plan,
    written: Written,
    duration: float,
) -> Report:
    """The report of the level *written* after *plan*.  duration: seconds."""
    manifest, tally, tree = written.manifest, written.tally, written.tree
    stored = sum(part.size for part in manifest.parts.values())
    message = (
        f"level {plan.level.number} of {options.common.backup_name}:"
        f" {pluralize(manifest.files, 'file')}, {format_bytes(manifest.bytes_read)} read,"
        f" {format_bytes(stored)} stored in {duration:.1f} s"
    )
    read_errors = {
        kind: {"count": number, "names": [display_name(name) for name in names]}
        for kind, number, names in tally.complaints.items()
    }
    fields = {
        **_fields(options, plan),
        "files": manifest.files,
        "bytes": manifest.bytes_read,
        "size": stored,
        "archive_bytes": tally.written,
        "entries": tree.entries,
        "source_bytes": tree.size,
        "changed": manifest.files if plan.previous is not None else None,
        "free_bytes": _free(options),
        "manifest_sha256": hashlib.sha256(manifest.encode()).hexdigest(),
        "duration": round(duration, 3),
        "read_errors": read_errors,
    }
    if written.checksum is not None:
        fields["consistency_checksum"] = written.checksum
    lost = tally.complaints.unreadable | tally.complaints.vanished
    told = _told(written.differences, lost)
    warnings = (*plan.warnings, *written.warnings, *told, *tally.complaints.describe())
    return Report("backup", message, warnings, fields)


def _free(options: BackupOptions) -> int | None:
    """Bytes that are left in a local container, None where that cannot be known."""
    folder = options.common.location.folder
    try:
        space = None if folder is None else os.statvfs(folder)
    except OSError:
        return None
    return None if space is None else space.f_bavail * space.f_frsize


def _told(differences: Differences, lost: Set[bytes]) -> Iterator[str]:
    """What the comparison with the last level has shown, for people; lost: what was not saved."""
    old = [member for member in differences.old if member not in lost]
    stale = differences.stale
    if old:
        yield (
            f"{pluralize(len(old), 'entry')} older than the last level, but not stored as now,"
            f" saved again: {_some(old)}"
        )
    if stale:
        yield (
            f"{pluralize(len(stale), 'entry')} left out now, while earlier levels of the chain hold"
            f" them: a restore of this level or a later one does not bring them: {_some(stale)}"
        )


def _some(names: Sequence[bytes]) -> str:
    first = ", ".join(map(display_name, names[:3]))
    return first + (f" and {len(names) - 3} more" if names[3:] else "")


def foresight_of(options: BackupOptions, plan: Plan) -> Report:
    """The report of a dry run: what *plan* would write."""
    base = f"based on level {plan.previous.number}" if plan.previous else "a new chain"
    message = (
        f"dry run: would write level {plan.level.number} of"
        f" {options.common.backup_name} ({base}); nothing was written"
    )
    fields = {**_fields(options, plan), "dry_run": True}
    return Report("backup", message, plan.warnings, fields)
