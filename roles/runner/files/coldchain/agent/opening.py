# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that knows which storage a location is.  The remote ones are imported on demand."""

from __future__ import annotations

import os
from pathlib import Path

from coldchain.agent.layout import Series
from coldchain.agent.local import LocalStorage
from coldchain.agent.location import Location
from coldchain.agent.storage import Storage


def open_storage(
    location: Location,
    locks: Path | None = None,
    series: Series | None = None,
    expected: int = 0,
) -> Storage:
    """The storage behind *location*; nothing is created and nobody is asked before it is used.

    locks: where this host keeps the locks of remote storages, needed to write; series: the only
    one that will be looked at (None: all of the container); expected: the most bytes that a
    backup may have, 0 when that cannot be told.
    """
    if location.folder is not None:
        return LocalStorage(location.folder)
    from coldchain.agent.connection import connect

    return connect(location, locks, series, os.environ, expected)
