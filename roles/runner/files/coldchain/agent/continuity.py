# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a chain can be continued: a level on a broken base could never be restored."""

from __future__ import annotations

import os
import stat

from coldchain.agent import snapshot
from coldchain.agent.archive import follows_links
from coldchain.agent.layout import DATA, ENGINE_METADATA, Chain, Level
from coldchain.agent.mounts import mounted_below
from coldchain.agent.options import BackupOptions
from coldchain.agent.parts import Packed, authenticate, load, packed
from coldchain.agent.storage import Storage
from coldchain.errors import DataError, JobFailed


def resume(
    storage: Storage,
    options: BackupOptions,
    chain: Chain,
    previous: Level,
    now: int,
    target: int,
) -> tuple[str | None, str | None]:
    """Load the snapshot of *previous* into the descriptor *target*.

    Returns the chain's encryption scheme and None, or why it cannot be continued (then a new
    chain is begun, which is always safe).
    """
    series = options.common.series
    lineage, missing = chain.lineage(previous)
    if missing:
        return None, f"level {missing[0]} of the chain is missing"
    try:
        for level in lineage:
            one = packed(storage, series, level)
            reason = _incomplete(storage, one)
            if reason is not None:
                return None, reason
        reason = _changed(one, options) or _password(storage, one, options)
        if reason is not None:
            return None, reason
        load(storage, one, ENGINE_METADATA, options.encryption, target)
    except (DataError, JobFailed) as error:
        return None, error.message
    begun = snapshot.started(target)
    if begun is None:
        return None, f"{one.place}: engine_metadata is not a snapshot of GNU tar"
    if begun > now:
        # tar compares change times with the start of the last backup: files changed since
        # the clock was set back would look older and be left out.
        return None, "the clock was set back since the last backup"
    # tar records that a directory was renamed, but of several renames that meet it loses files
    # (1.34: a and b swapped, c moved into one of them).  What it does not know, it saves anew.
    follow = follows_links(options)
    snapshot.forget(target, snapshot.moved(target, options.source, follow=follow))
    # Many file systems have the same inode at their roots: new ones would be renames of each other.
    folders = mounted_below(options.source).items()
    mounts = {name: status for name, status in folders if stat.S_ISDIR(status.st_mode)}
    snapshot.know(target, mounts)
    return one.metadata.scheme, None


def _incomplete(storage: Storage, one: Packed) -> str | None:
    size = storage.size(one.path(DATA))
    if size is None:
        return f"{one.place}: data is missing"
    expected = one.parts.get(DATA)
    if expected is not None and expected.size != size:
        return f"{one.place}: data is {size} bytes long, {expected.size} were written"
    return None


def _changed(one: Packed, options: BackupOptions) -> str | None:
    scheme, wanted = one.metadata.scheme, options.encryption
    if (scheme is None) != (wanted is None):
        return "the chain is not encrypted" if scheme is None else "the chain is encrypted"
    if wanted is not None and wanted.scheme not in (None, scheme):
        return f"the chain's encrypt_scheme is {scheme}"
    if one.manifest is not None and one.manifest.source != os.fspath(options.source):
        return f"path_to_backup of the chain is {one.manifest.source!r}"
    return None


def _password(storage: Storage, one: Packed, options: BackupOptions) -> str | None:
    if options.encryption is None:
        return None
    try:
        authenticate(storage, one, options.encryption)
    except JobFailed:
        return "the password is not the chain's, or its last level was altered"
    return None
