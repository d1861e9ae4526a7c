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

    Every write passes over all tables once, so changes come in batches.
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
        change(self._storage, {self.name: (rows, ())})

    def discard(self, ids: Iterable[str]) -> None:
        """Remove those that are there."""
        change(self._storage, {self.name: ({}, ids)})


def change(
    storage: Storage, changes: Mapping[str, tuple[Mapping[str, Mapping[str, Any]], Iterable[str]]]
) -> None:
    """Insert or replace rows of each table, and remove others that are there, in one write.

    TinyDB's own ``_update_table`` looks at each of ten thousand rows to change one.
    """
    tables = dict(storage.read() or {})
    for name, (rows, gone) in changes.items():
        table = tables[name] = Rows(tables.get(name, {}))
        table.update(Rows.of(rows))
        for key in gone:
            table.pop(key, None)
    storage.write(tables)
