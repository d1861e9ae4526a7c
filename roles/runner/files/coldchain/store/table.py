# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TinyDB table keyed by a string id, changed in bulk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from tinydb.storages import Storage
from tinydb.table import Table

from coldchain.store.rows import Records, Rows

_T = TypeVar("_T")


class KeyTable(Table):
    """Rows by their own id (a job_id, an event's uuid): no id counter to share between processes,
    no query cache that another process makes stale.

    Every call of TinyDB passes over the whole table once, so changes come in batches.
    """

    document_id_class = str  # type: ignore[assignment]  # untyped there, and meant to be set

    def __init__(self, storage: Storage, name: str, cache_size: int = 0) -> None:
        super().__init__(storage, name, cache_size=cache_size)

    def records(self, make: Callable[[str, dict[str, Any]], _T]) -> Records[_T]:
        """All rows by id, as *make* makes them of id and row."""
        tables = self._storage.read() or {}
        return Records(tables.get(self.name, {}), make)

    def put(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Insert or replace."""
        self._change(lambda table: table.update(Rows.of(rows)))

    def discard(self, ids: Iterable[str]) -> None:
        """Remove those that are there."""

        def remove(table: Rows) -> None:
            """Take the rows out that are there."""
            for key in ids:
                table.pop(key, None)

        self._change(remove)

    def _change(self, change: Callable[[Rows], None]) -> None:
        """TinyDB's own ``_update_table`` looks at each of ten thousand rows to change one."""
        tables = dict(self._storage.read() or {})
        table = tables[self.name] = Rows(tables.get(self.name, {}))
        change(table)
        self._storage.write(tables)
