# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a chain can be continued, and what the next level has to hold.

A level on a broken base could never be restored, so then a new chain is begun, which is always
safe.  Otherwise the source is compared with the list of all that the last level found, and what is
not stored, whatever tar would think of its times, is taken out of the snapshot: tar saves it.
"""

from __future__ import annotations

import stat
from calendar import timegm
from collections.abc import Iterator, Mapping
from time import strptime
from typing import NamedTuple

from coldchain.agent.engines.tar.backup import source_tree, tree_changes
from coldchain.agent.engines.tar.stored import gnu_tar, snapshot, tree_list
from coldchain.agent.engines.tar.stored.layout import ENGINE_METADATA, TREE, Chain, Level
from coldchain.agent.engines.tar.stored.level_reader import (
    StoredLevel,
    authenticate,
    checked_blocks,
    load,
)
from coldchain.agent.engines.tar.stored.manifest import FILE, FOLDER
from coldchain.agent.engines.tar.stored.soundness import Soundness
from coldchain.agent.mounts import mounted_below
from coldchain.agent.options import BackupOptions
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import DataError, JobFailed

#: Facts that nothing has recorded.
_UNKNOWN = b"?? ? ?"


class Base(NamedTuple):
    """What the next level is made on.

    scheme: how the chain is encrypted; facts: of the members of a level without a list.
    """

    scheme: str | None
    facts: Mapping[bytes, bytes] | None


def resume(
    storage: Storage,
    options: BackupOptions,
    soundness: Soundness,
    chain: Chain,
    previous: Level,
    snar: int,
    listed: int,
) -> Base | str:
    """Load the snapshot and the list of *previous* into the descriptors *snar* and *listed*.

    Returns what is known of the chain, or why it cannot be continued.
    """
    problem = soundness.problem(chain, previous)
    if problem:
        return problem
    facts = None
    try:
        stored = soundness.stored(previous)
        reason = _changed(stored, options) or _password(storage, stored, options)
        if reason is not None:
            return reason
        load(storage, stored, ENGINE_METADATA, options.encryption, snar)
        if stored.manifest is not None:
            load(storage, stored, TREE, options.encryption, listed)
        else:
            facts = _listed(storage, stored, options)
    except (DataError, JobFailed) as error:
        return error.message
    if snapshot.started(snar) is None:
        return f"{stored.place}: engine_metadata is not a snapshot of GNU tar"
    return Base(stored.metadata.scheme, facts)


def reconcile(
    options: BackupOptions,
    tree: source_tree.Tree,
    snar: int,
    listed: int,
    facts: Mapping[bytes, bytes] | None,
) -> tree_changes.Differences:
    """Let tar save all of *tree* that is not stored as it is.

    snar: the last level's snapshot; listed: its list; facts: of the last level's members, when it
    has no list.  Raises DataError when the list is damaged.
    """
    begun = snapshot.started(snar)
    assert begun is not None
    # tar records that a directory was renamed, but of several renames that meet it loses files
    # (1.34: a and b swapped, c moved into one of them).  What it does not know, it saves anew.
    folders_before = snapshot.folders(snar)
    moved = {
        name
        for name, (_unused, inode) in folders_before.items()
        if name not in tree.folders or tree.folders[name].inode != inode
    }
    anew = set(filter(tree_changes.within(moved), tree.blocks))
    before = tree_list.read(listed, tree.blocks.largest) if facts is None else _guess(snar, facts)
    links = options.dereference not in ("hard", "all")
    differences = tree_changes.compare(before, tree, begun, anew, links=links)
    if options.tree.is_dir():
        snapshot.drop(snar, moved)
        # Many file systems have the same inode at their roots: new ones would be renames.
        folders = mounted_below(options.tree).items()
        mounts = {name: status for name, status in folders if stat.S_ISDIR(status.st_mode)}
        snapshot.add_empty_directories(snar, mounts)

        def stored(folder: bytes, entries: list[bytes]) -> list[bytes] | None:
            fresh = differences.names(folder)
            return [entry for entry in entries if entry[1:] not in fresh] if fresh else None

        snapshot.edit(snar, stored)
    elif differences.fresh:
        snapshot.clear(snar)
    return differences


def _guess(snar: int, facts: Mapping[bytes, bytes]) -> Iterator[tuple[bytes, bytes]]:
    """A list of what a snapshot knows; what neither it nor *facts* tell counts as unchanged."""
    for folder, entries in snapshot.records(snar):
        records = []
        for entry in entries:
            letter, name = entry[:1], entry[1:]
            if letter == b"D":
                records.append(b"d0 0 0 %b\0" % name)
            elif letter == b"N":
                records.append(b"%b %b\0" % (_UNKNOWN, name))
            elif (fact := facts.get(folder + b"/" + name)) is not None:
                records.append(b"%b %b\0" % (fact, name))
            # Else tar noted it and could not read it.
        yield folder, b"".join(records)


def _listed(storage: Storage, stored: StoredLevel, options: BackupOptions) -> dict[bytes, bytes]:
    """What the archive of a level without a list tells of its members, as in a list.

    Raises JobFailed when it cannot be read to its end.
    """
    from coldchain.agent.engines.tar.restore.extract import list_members

    facts: dict[bytes, bytes] = {}

    def take(listing: bytes) -> None:
        for member in gnu_tar.members(listing):
            if member.kind != "d":
                facts[member.name] = _facts(member)

    list_members(stored, lambda: checked_blocks(storage, stored), options.encryption, take)
    return facts


def _facts(member: gnu_tar.Member) -> bytes:
    try:
        moment = timegm(strptime(member.time[:19], "%Y-%m-%d %H:%M:%S"))
    except ValueError:
        return _UNKNOWN
    if member.kind not in "-S" or moment <= 0:
        return _UNKNOWN
    return b"-%d %d? ?" % (member.size, moment)


def _changed(stored: StoredLevel, options: BackupOptions) -> str | None:
    scheme, encryption = stored.metadata.scheme, options.encryption
    if (scheme is None) != (encryption is None):
        return "the chain is not encrypted" if scheme is None else "the chain is encrypted"
    if encryption is not None and encryption.wanted != scheme:
        return f"the chain's encrypt_scheme is {scheme}"
    if stored.manifest is not None:
        if stored.manifest.source != options.source.identity:
            return f"path_to_backup of the chain is {stored.manifest.source!r}"
        kind = FOLDER if options.tree.is_dir() else FILE
        if stored.manifest.kind != kind:
            return f"path_to_backup was a {stored.manifest.kind} and is a {kind} now"
    return None


def _password(storage: Storage, stored: StoredLevel, options: BackupOptions) -> str | None:
    if options.encryption is None:
        return None
    try:
        authenticate(storage, stored, options.encryption)
    except JobFailed:
        return "the password is not the chain's, or its last level was altered"
    return None
