# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a backup goes into its source: not into its own container, nor round in circles."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from coldchain.agent.engines.tar.backup.loops import endless
from coldchain.agent.engines.tar.stored.layout import DATA, ENGINE, METADATA
from coldchain.agent.mounts import mounts, names_within
from coldchain.agent.options import BackupOptions
from coldchain.agent.storages.base import PRIVATE
from coldchain.core.errors import JobFailed
from coldchain.core.text import display_name, pluralize

#: What is ours in a container, by folder; somebody may keep other things beside it.
_CONTAINER = {
    "": frozenset({DATA, METADATA, PRIVATE}),
    DATA: frozenset({ENGINE, PRIVATE}),
    METADATA: frozenset({ENGINE, PRIVATE}),
}

#: They go into tar's argument vector, which has its limit.
MOST_LOOPS = 1000


def lies_in_container(options: BackupOptions) -> bool:
    """Whether the source is the container, or lies below it."""
    folder = options.common.location.folder
    return folder is not None and b"." in names_within(folder, options.tree)


def container_inside(options: BackupOptions) -> list[str]:
    """The members that are the container's, where that lies below the source, by each mount.

    They are the whole container, unless it holds what is none of ours.
    """
    folder = options.common.location.folder
    if folder is None:
        return []
    root, mounted = os.path.realpath(folder), mounts()
    whole = names_within(root, options.tree, mounted)
    if b"." in whole:
        return []
    names = {
        os.fsdecode(name)
        for path in _own_folders(root)
        for name in (whole if path == root else names_within(path, options.tree, mounted))
    }
    return sorted(names)


def _own_folders(root: str) -> list[str]:
    """What is the container's in the directory *root*: itself, if there is nothing else in it."""
    for folder, ours in _CONTAINER.items():
        with contextlib.suppress(OSError):  # not there, or nobody can save it
            if not ours.issuperset(os.listdir(os.path.join(root, folder))):
                inner = [f"{top}/{name}" for top in (DATA, METADATA) for name in _CONTAINER[top]]
                return [os.path.join(root, name) for name in sorted([PRIVATE, *inner])]
    return [root]


def follows_links(options: BackupOptions) -> bool:
    """Whether tar is to save what a symbolic link leads to."""
    return options.dereference in ("soft", "all")


def link_loops(options: BackupOptions) -> list[str]:
    """Members that tar would never come to the end of; JobFailed when they are too many to name."""
    if not follows_links(options) or not options.tree.is_dir():
        return []
    folder = options.common.location.folder
    never = []
    for path in [] if folder is None else _own_folders(os.path.realpath(folder)):
        with contextlib.suppress(OSError):
            status = os.stat(path)
            never.append((status.st_dev, status.st_ino))
    loops = endless(options.tree, never)
    if len(loops) > MOST_LOOPS:
        raise JobFailed(
            f"dereference_symlink: {pluralize(len(loops), 'link')} below {options.tree} lead back"
            f" to a directory that they lie in, the first: {display_name(os.fsencode(loops[0]))}",
            "leave dereference_symlink out, or back up the directories that need it by themselves",
        )
    return loops


def most_bytes(source: Path) -> int:
    """What lies on the file system of *source*, which a backup does not leave; 0 when unknown."""
    try:
        status = os.statvfs(source)
    except OSError:
        return 0
    return (status.f_blocks - status.f_bfree) * status.f_frsize
