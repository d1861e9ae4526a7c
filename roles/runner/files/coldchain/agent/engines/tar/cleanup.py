# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a killed action left behind: half-written levels, orphans of ours, a restore's folder."""

from __future__ import annotations

from pathlib import Path

from coldchain.agent.engines.tar.restore import staging
from coldchain.agent.engines.tar.stored import container
from coldchain.agent.engines.tar.stored.layout import Series
from coldchain.agent.options import Common
from coldchain.agent.report import Report
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import TryAgain
from coldchain.core.text import pluralize


def clean_up(kind: str, shared: Common, storage: Storage, target: Path | None) -> Report:
    """Remove it now; *target*: the directory that a restore was meant for.

    Whoever writes the series at this moment has begun after the end of the action, and has swept
    as its first act.
    """
    removed, note = 0, ""
    if not shared.dry_run:
        if target is not None:
            removed += staging.discard(target)
        if kind in ("backup", "admin") or shared.removal is not None:
            try:
                with storage.lock(Series.of(shared).host_name):
                    removed += container.sweep(storage, Series.of(shared))
            except TryAgain:
                note = " (another process writes the series and has swept it)"
    left = f"removed {pluralize(removed, 'remnant')}" if removed else "nothing was left to remove"
    return Report(kind, f"{left}{note}", (), {"removed": removed})
