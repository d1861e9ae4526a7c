# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an older format of the database files to today's, one step a version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Tables = Mapping[str, Mapping[str, Mapping[str, Any]]]

Step = Callable[[str, Tables], Tables]
"""(kind of file, its tables in one format) -> its tables in the next; rows are not changed in
place."""

STEPS: list[Step] = []
"""STEPS[0] leads from format 1 to format 2, and so on.  docs/decisions/005 says when to add one."""


def current() -> int:
    """The format that is written."""
    return 1 + len(STEPS)


def migrated(kind: str, version: int, tables: Tables) -> Tables:
    """*tables* of format *version*, which is not newer than today's, in today's format."""
    for step in STEPS[version - 1 :]:
        tables = step(kind, tables)
    return tables
