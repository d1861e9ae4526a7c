# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of a level's entries, for restores and dry runs alike: whole and right, or none."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from coldchain.agent.engines.tar.stored import member_index, snapshot
from coldchain.agent.engines.tar.stored.layout import ENTRIES
from coldchain.agent.engines.tar.stored.level_reader import StoredLevel, load
from coldchain.agent.options import Encryption
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import DataError, JobFailed


@contextmanager
def open_list(
    storage: Storage, level: StoredLevel, encryption: Encryption | None
) -> Iterator[int | None]:
    """A descriptor of the list, for ``member_index.read``; None where there is none to be used.

    freezer-agent's levels have none, and one that was damaged loses no file: a restore does
    without it, so nobody else may stop there.
    """
    with snapshot.memfd() as index:
        found: int | None = index
        try:
            load(storage, level, ENTRIES, encryption, index)
            for _unused in member_index.read(index):
                pass
        except (DataError, JobFailed, zlib.error):
            found = None
        yield found
