# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a killed action left behind: half-written levels, orphans of ours, a restore's folder."""

from __future__ import annotations

from pathlib import Path

from coldchain.agent import container, staging
from coldchain.agent.options import Common
from coldchain.agent.report import Report, count
from coldchain.agent.storage import Storage
from coldchain.errors import TryAgain


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
                with storage.lock(shared.series):
                    removed += container.sweep(storage, shared.series)
            except TryAgain:
                note = " (another process writes the series and has swept it)"
    left = f"removed {count(removed, 'remnant')}" if removed else "nothing was left to remove"
    return Report(kind, f"{left}{note}", (), {"removed": removed})
