# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a point in time holds, told by what lies beside the archives where that is enough."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from coldchain.agent.engines.tar.restore import settled_tree
from coldchain.agent.engines.tar.restore.extract import list_members
from coldchain.agent.engines.tar.restore.extract_guard import Names
from coldchain.agent.engines.tar.restore.link_model import plain
from coldchain.agent.engines.tar.stored import gnu_tar, member_index, snapshot, tree_list
from coldchain.agent.engines.tar.stored.fetch_group import open_spool
from coldchain.agent.engines.tar.stored.layout import DATA, ENGINE_METADATA
from coldchain.agent.engines.tar.stored.level_fetch import checked_once
from coldchain.agent.engines.tar.stored.level_list import open_list
from coldchain.agent.engines.tar.stored.level_reader import StoredLevel, checked_blocks, load
from coldchain.agent.engines.tar.stored.manifest import FOLDER
from coldchain.agent.options import RestoreOptions
from coldchain.agent.progress import Meter
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import DataError, JobFailed


def names_of_point(
    options: RestoreOptions,
    storage: Storage,
    levels: Sequence[StoredLevel],
    meter: Meter,
    spool: Path,
) -> tuple[set[bytes], bool, set[bytes]]:
    """The files that a restore brings, whether in a directory or alone, and directories.

    They are in the list of the last level; without one in tar's small snapshot, or else the archive
    is read.
    """
    with contextlib.suppress(DataError, JobFailed):
        return _listed(options, storage, levels)
    last = levels[-1]
    if last.manifest is None or gnu_tar.UNREADABLE not in last.manifest.warnings:
        with snapshot.memfd() as snar, contextlib.suppress(DataError, JobFailed):
            load(storage, last, ENGINE_METADATA, options.encryption, snar)
            listed = snapshot.files(snar)
            if listed is not None:
                return set(listed), True, set(map(plain, snapshot.folders(snar)))
    names = Names()
    later = last.level.number > 0
    meter.begin("listing", storage.size(last.path(DATA)) or 0)
    with contextlib.ExitStack() as stack:

        def source() -> Iterator[bytes]:
            return checked_blocks(storage, last, meter=meter)

        if last.metadata.seal is not None:
            folder = stack.enter_context(open_spool(spool))
            once = checked_once(storage, last, folder, meter)
            list_members(last, stack.enter_context(once), options.encryption, names.take, later)
        else:
            list_members(last, source, options.encryption, names.take, later)
    return set(names.files()), names.directory, names.folders


def _listed(
    options: RestoreOptions, storage: Storage, levels: Sequence[StoredLevel]
) -> tuple[set[bytes], bool, set[bytes]]:
    """``names_of_point`` by the lists of levels; DataError or JobFailed when they do not tell."""
    files, folders = set(), set()
    for folder, block in settled_tree.contents(storage, levels, options.encryption):
        folders.add(folder)
        for kind, name in tree_list.names(block):
            if kind == b"d":
                folders.add(os.path.join(folder, name))
            elif kind != b"s":
                files.add(os.path.join(folder, name))
    manifest = levels[-1].manifest
    return files, manifest is not None and manifest.kind == FOLDER, folders


def stored_names(
    options: RestoreOptions,
    source: Callable[[StoredLevel], Storage],
    levels: Sequence[StoredLevel],
    names: set[bytes],
) -> tuple[Collection[bytes], int | None]:
    """Which of *names* are stored (sockets are not) and their bytes, by the lists of entries.

    When a level has no list: all of them, and None.  *names* is used up: a copy of a set of
    100,000 would cost as much memory as all the rest.
    """
    total = 0
    stored: list[bytes] = []
    for level in reversed(levels):
        if not names:
            break
        with open_list(source(level), level, options.encryption) as listed:
            if listed is None:
                names.update(stored)
                return names, None
            linked: set[bytes] = set()
            for entry in member_index.read(listed):
                name = plain(entry.name)
                if entry.kind != "d" and name in names:
                    names.remove(name)
                    stored.append(name)
                    total += entry.size
                    if entry.target is not None and entry.kind == "h":
                        linked.add(plain(entry.target))
            # The content of a link to a name that is not wanted is under that name.
            linked.difference_update(stored)
            if linked:
                others = member_index.read(listed)
                total += sum(other.size for other in others if plain(other.name) in linked)
    return stored, total
