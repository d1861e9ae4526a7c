# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine tar: Freezer's chains of levels, written and read by GNU tar.

An action imports what it needs, and all of it before its long part: an upgrade may remove the
release that a process runs from.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import TYPE_CHECKING

from coldchain.agent.engines.tar.stored.layout import ENGINE, METADATA, Series, access
from coldchain.agent.storages.registry import open_storage

if TYPE_CHECKING:
    from coldchain.agent.engines.base import ActionContext, Backup, Query, Verification
    from coldchain.agent.modes.base import Target
    from coldchain.agent.options import BackupOptions, Common, RestoreOptions
    from coldchain.agent.progress import Meter
    from coldchain.agent.receipts import Receipts
    from coldchain.agent.report import Report
    from coldchain.agent.storages.base import Storage


class TarEngine:
    """Freezer's own layout: freezer-agent restores what this writes, and the other way round."""

    def holds(self, folder: Path) -> bool:
        """Whether there are commit markers: metadata/tar."""
        return os.path.isdir(folder / METADATA / ENGINE)

    def leaves_out(self, exclude: Sequence[str]) -> Callable[[bytes], bool] | None:
        """As GNU tar reads --exclude."""
        from coldchain.agent.engines.tar.backup.exclusion import matcher

        return matcher(exclude)

    def backup(self, options: BackupOptions, context: ActionContext) -> Report:
        """Write the next level of the chain, or level 0 of a new one."""
        from coldchain.agent.engines.tar.backup import action as backup
        from coldchain.agent.engines.tar.backup import source_bounds
        from coldchain.agent.receipts import Receipts

        with options.opened() as opened:
            receipts, most = Receipts(context.state_dir), source_bounds.most_bytes(opened.tree)
            with _storage(options.common, context, most) as storage:
                return backup.backup(opened, storage, context.meter, receipts)

    def restore(self, options: RestoreOptions, context: ActionContext) -> Report:
        """Extract the levels of a point beside the target, then move them into place."""
        from coldchain.agent.engines.tar.restore import action as restore
        from coldchain.agent.receipts import Receipts

        receipts = Receipts(context.state_dir)
        with _storage(options.common, context) as storage:
            return restore.restore(options, storage, context.meter, context.spool, receipts)

    def remove(self, options: Common, context: ActionContext) -> Report:
        """Remove whole chains, never the last that can be restored."""
        from coldchain.agent.engines.tar import admin
        from coldchain.agent.receipts import Receipts

        with _storage(options, context) as storage:
            return admin.admin(options, storage, Receipts(context.state_dir))

    def points(self, query: Query, receipts: Receipts | None = None) -> list[Backup]:
        """Every level of every chain."""
        from coldchain.agent.engines.tar import info

        return info.points(query, receipts)

    def verify(
        self,
        query: Query,
        check: str = "quick",
        *,
        sample: int = 0,
        pass_file: Path | None = None,
        meter: Meter | None = None,
        receipts: Receipts | None = None,
    ) -> Verification:
        """Look at chains, markers and sizes; full: also at every byte, seal and member."""
        from coldchain.agent.engines.tar import verify

        return verify.verify(
            query, check, sample=sample, pass_file=pass_file, meter=meter, receipts=receipts
        )

    def clean_up(
        self, action: str, options: Common, target: Target | None, context: ActionContext
    ) -> Report:
        """Remove half-written levels, orphans of ours, and the folder of a restore."""
        from coldchain.agent.engines.tar import cleanup

        folder = None if target is None else target.path
        with _storage(options, context) as storage:
            return cleanup.clean_up(action, options, storage, folder)


def _storage(
    options: Common, context: ActionContext, expected: int = 0
) -> AbstractContextManager[Storage]:
    return closing(
        open_storage(
            options.location,
            context.locks,
            access(Series.of(options), expected),
            upload_limit=options.upload_limit,
            download_limit=options.download_limit,
        )
    )
