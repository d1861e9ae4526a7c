# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows as they lie in a database file: one line of JSON each, decoded when they are asked for.

Ten thousand decoded job documents take 20 MB, their lines 5; the runner needs those of the jobs
that are due.  A commit writes the lines that did not change as they are.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, Sequence, ValuesView
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar

_T = TypeVar("_T")
_AT_ONCE = 200
_BLOCK = 512
_line_of = attrgetter("line")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Row(Mapping[str, Any]):
    """One row of a table and its key.  line: ``"key":{...}``, which never holds a line's end."""

    __slots__ = ("line",)

    def __init__(self, line: bytes) -> None:
        self.line = line

    @classmethod
    def of(cls, key: str, value: Mapping[str, Any]) -> Row:
        """The row of a value under its key."""
        return cls(_bytes(_encode({key: value})[1:-1]))

    def __eq__(self, other: object) -> bool:
        """Is it the same text?  Of anything but a row: is it the same value?"""
        return self.line == other.line if isinstance(other, Row) else super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]  # as of all mappings

    def value(self) -> dict[str, Any]:
        """The row as a dictionary, which is the caller's own."""
        value: dict[str, Any] = json.loads(_text(self.line[_end_of_key(self.line) + 1 :]))
        return value

    @property
    def key(self) -> str:
        """The key of the row."""
        text = _text(self.line[1 : self.line.index(b'":', 1)])
        if "\\" in text:
            text = json.loads(_text(self.line[: _end_of_key(self.line)]))
        return text

    def __getitem__(self, name: str) -> Any:
        return self.value()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.value())

    def __len__(self) -> int:
        return len(self.value())


class _Made(Mapping[str, _T]):
    """Something made of each value of *source* when it is asked for, under the same keys."""

    def __init__(self, source: Mapping[str, Any]) -> None:
        self._source = source

    def __iter__(self) -> Iterator[str]:
        return iter(self._source)

    def __len__(self) -> int:
        return len(self._source)

    def __contains__(self, key: object) -> bool:
        return key in self._source


class Records(_Made[_T]):
    """The rows of a table, each made into a record when it is asked for.

    It stays as it is when others commit.
    """

    def __init__(self, rows: Mapping[str, Row], make: Callable[[str, dict[str, Any]], _T]) -> None:
        super().__init__(rows)
        self._make = make

    def __getitem__(self, key: str) -> _T:
        return self._make(key, self._source[key].value())

    def items(self) -> ItemsView[str, _T]:
        """Key and record of all, decoded some at a time."""
        return _Items(self)

    def values(self) -> ValuesView[_T]:
        """The records of all, decoded some at a time."""
        return _Values(self)

    def decoded(self) -> Iterator[tuple[str, _T]]:
        """All of them; some rows at a time are decoded, which takes a third of the time that one
        by one takes, and never the memory of all."""
        rows = iter(self._source.items())
        while batch := list(itertools.islice(rows, _AT_ONCE)):
            values = json.loads(b"{%s}" % b",".join([row.line for _unused, row in batch]))
            for key, _unused in batch:  # the same string for whoever keeps it
                yield key, self._make(key, values[key])


class Remembered(_Made[_T]):
    """The records of a table, each made once: for whom asks for the same ones again and again."""

    def __init__(self, records: Mapping[str, _T]) -> None:
        super().__init__(records)
        self._made: dict[str, _T] = {}

    def __getitem__(self, key: str) -> _T:
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = self._source[key]
        return made


class _Items(ItemsView[str, _T]):
    def __init__(self, records: Records[_T]) -> None:
        super().__init__(records)
        self._records = records

    def __iter__(self) -> Iterator[tuple[str, _T]]:
        return self._records.decoded()


class _Values(ValuesView[_T]):
    def __init__(self, records: Records[_T]) -> None:
        super().__init__(records)
        self._records = records

    def __iter__(self) -> Iterator[_T]:
        return (record for _unused, record in self._records.decoded())


class Rows(dict[str, Row]):
    """A table with nothing left to encode."""

    @classmethod
    def of(cls, table: Mapping[str, Mapping[str, Any]]) -> Rows:
        """*table* with every row that is a plain mapping made into a Row."""
        if isinstance(table, cls):
            return table
        rows = table.items()
        return cls((key, row if isinstance(row, Row) else Row.of(key, row)) for key, row in rows)


Tables = dict[str, dict[str, Row]]


def packed(tables: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Tables:
    """Tables of dictionaries as tables of rows."""
    return {
        name: table if isinstance(table, Rows) else Rows.of(table) for name, table in tables.items()
    }


class Lines:
    """Tables as text, made anew only where rows have changed since the last time.

    One job of ten thousand changes with a commit; to put all their lines together again takes as
    long as to write them.
    """

    def __init__(self) -> None:
        # Of each table so many rows at a time, with their lines.
        self._blocks: dict[str, list[tuple[list[Row], bytes]]] = {}

    def of(self, tables: Tables) -> list[bytes]:
        """The members of a JSON object in pieces, one member for each table: a line for each
        row."""
        before, self._blocks = self._blocks, {}
        pieces, comma = [], b""
        for name, table in tables.items():
            blocks = self._blocks[name] = _blocks(table, before.get(name, []))
            pieces.append(b"%s\n%s:{\n" % (comma, _begin_of(name)))
            for number, (_rows, text) in enumerate(blocks):
                pieces += [b",\n", text] if number else [text]
            pieces.append(b"\n}")
            comma = b","
        return pieces


@lru_cache(maxsize=16)
def _begin_of(name: str) -> bytes:
    return _bytes(_encode(name))


def _blocks(
    table: Mapping[str, Row], before: Sequence[tuple[list[Row], bytes]]
) -> list[tuple[list[Row], bytes]]:
    rows, blocks = list(table.values()), []
    for number, start in enumerate(range(0, len(rows), _BLOCK)):
        block = rows[start : start + _BLOCK]
        if number < len(before) and before[number][0] == block:
            blocks.append(before[number])
        else:
            blocks.append((block, b",\n".join(map(_line_of, block))))
    return blocks


def parse(lines: Iterable[bytes]) -> Tables:
    """The tables in the lines that ``Lines`` has made, each with its end; ValueError when they are
    others."""
    tables: Tables = {}
    table: dict[str, Row] | None = None
    for line in lines:
        if line.endswith(b"},\n") and table is not None and len(line) > 3:  # as mostly
            row = Row(line[:-2])
            table[row.key] = row
        elif line.endswith(b":{\n"):
            table = tables[Row(line).key] = Rows()
        elif line in (b"}", b"}\n", b"},\n"):
            table = None
        elif line in (b"", b"\n"):  # before a table, and in one without rows
            continue
        elif table is None:
            raise ValueError(line)
        else:
            row = Row(line[:-2] if line.endswith(b",\n") else line[:-1])
            table[row.key] = row
    return tables


def _end_of_key(line: bytes) -> int:
    """The position of the colon."""
    end = line.index(b'":', 1) + 1  # the first quote opens: a key may begin with a colon
    if b"\\" in line[:end]:  # the quote may be an escaped one
        text = _text(line)
        end = len(_bytes(text[: json.JSONDecoder().raw_decode(text)[1]]))
    return end


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
