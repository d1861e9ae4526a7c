# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store of an installation in a directory of a test."""

from __future__ import annotations

from pathlib import Path

from coldchain.core.paths import Paths
from coldchain.store import Store


def new_store(home: Path) -> Store:
    """The store below *home*, which is made when it is not there yet, for reading and writing."""
    home.mkdir(exist_ok=True)
    home.chmod(0o700)
    return Store.open(Paths.under(home), create=True)
