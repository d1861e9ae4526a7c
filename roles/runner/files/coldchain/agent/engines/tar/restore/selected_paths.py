# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The paths that a restore is asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from coldchain.agent.engines.tar.restore.point_names import names_of_point
from coldchain.agent.engines.tar.stored.level_reader import StoredLevel
from coldchain.agent.options import RestoreOptions
from coldchain.agent.progress import Meter
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import JobFailed
from coldchain.core.text import path_text, text_path


def selected_paths(
    options: RestoreOptions,
    storage: Storage,
    levels: Sequence[StoredLevel],
    meter: Meter,
    spool: Path,
) -> list[bytes]:
    """restore_paths relative to the backed up directory, normalised.

    A path with a backslash is what a dry run shows so, where the backup has that, and otherwise
    the name as it stands there.
    """
    manifest = levels[-1].manifest
    source = None if manifest is None else os.path.normpath(os.fsencode(manifest.source))
    known: set[bytes] | None = None
    paths = []
    for text in options.paths:
        literal = _within(os.fsencode(text), source)
        shown = text_path(text) if "\\" in text else None
        meant = literal if shown is None or b"\0" in shown else _within(shown, source)
        if meant != literal:
            if known is None:
                files, _unused, folders = names_of_point(options, storage, levels, meter, spool)
                known = files | folders
            meant = meant if meant in known else literal
        if meant in (b"", b"."):
            return []
        if meant.partition(b"/")[0] == b"..":
            raise JobFailed(
                f"restore_paths: {text!r} lies outside of what was backed up",
                "name what lies in path_to_backup, absolute or relative to it; a dry run lists it",
            )
        paths.append(meant)
    return paths


def _within(path: bytes, source: bytes | None) -> bytes:
    path = os.path.normpath(path)
    above = b"" if source is None else source.rstrip(b"/") + b"/"
    if source is not None and os.path.isabs(path) and (path + b"/").startswith(above):
        path = os.path.relpath(path, source)
    return path.lstrip(b"/")


def not_there(path: bytes, point: str) -> JobFailed:
    """That the backup has no such *path*; point: as of when, in words."""
    return JobFailed(
        f"restore_paths: {path_text(path)} is not in the backup {point}",
        "a dry run lists what is; an earlier restore_from_date may hold it",
    )
