# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database file consists of: JSON that people can read, a line for each row (rows.py).

    {"_format":{"1":{"kind":"jobs","version":1,"crc32":"0a1b2c3d"}},
    "jobs":{
    "etc":{...},
    "home":{...}
    }}

The head tells what is in the file, and the checksum of all that follows it.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from coldchain.store import rows
from coldchain.store.rows import Tables

FORMAT_TABLE = "_format"
_BLOCK = 65536
_HEAD = re.compile(rb'\{"_format":\{"1":(\{[^{}]*\})\}')
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Damaged(ValueError):
    """The bytes are not what a commit of ours wrote."""


class NoDatabase(ValueError):
    """The bytes are JSON that somebody else wrote."""


class Damage(NamedTuple):
    """A file that is not what was written, and what is used in its place.

    why: with the file's name; used: the generation before, None where there is none; aside: is the
    file one that a writer has put aside since?
    """

    path: Path
    kind: str
    why: str
    used: Path | None = None
    aside: bool = False


class FileHead(NamedTuple):
    """The first line of a file.

    kind: what the tables are of; version: of their rows; checksum: of what follows it, which
    begins with *rest*, the end of its line.
    """

    kind: str
    version: int
    checksum: Any
    rest: bytes


def head_of(stream: BinaryIO) -> FileHead:
    """What a file says of itself; the stream is at its second line then.

    Raises Damaged, NoDatabase.
    """
    line = stream.readline()
    head = _HEAD.match(line)
    try:
        mark = json.loads(head[1] if head else line + stream.read())
    except ValueError:
        raise Damaged("is damaged (not the JSON that was written)") from None
    try:
        if head is not None:
            rest = line[head.end() :].lstrip(b",")
            return FileHead(str(mark["kind"]), int(mark["version"]), mark.get("crc32"), rest)
    except (ValueError, KeyError, TypeError):
        pass
    raise NoDatabase("is not a database of coldchain")


def tables_of(stream: BinaryIO, head: FileHead) -> Tables:
    """The tables after *head*, as they were written.  Raises Damaged.

    They are read some lines at a time: what a whole file of ten thousand jobs leaves unused in
    memory is as much as its rows take.
    """
    begin = stream.tell()
    body = _Body(head.rest, stream)
    try:
        tables = rows.parse(body)
        if body.checksum == head.checksum:
            return tables
    except ValueError:
        pass
    stream.seek(begin)
    return _in_another_layout(head.rest + stream.read(), head)


class _Body:
    """The lines of a file but for the brace that ends it; and their checksum, once all are read."""

    def __init__(self, first: bytes, others: BinaryIO) -> None:
        self._first, self._others = first, others
        self.checksum = ""

    def __iter__(self) -> Iterator[bytes]:
        lines, checksum = [self._first], zlib.crc32(self._first)
        while following := self._others.readlines(_BLOCK):
            checksum = zlib.crc32(b"".join(following), checksum)
            yield from lines
            lines = following
        self.checksum = f"{checksum:08x}"
        last = lines.pop()
        yield from lines
        yield last[: last.rindex(b"}")]


def _in_another_layout(body: bytes, head: FileHead) -> Tables:
    """The same JSON as another program writes it.  Raises Damaged."""
    if head.checksum != f"{zlib.crc32(body):08x}":
        raise Damaged("is damaged (its checksum does not match)")
    try:
        return rows.packed(json.loads(b"{%s}" % body[: body.rindex(b"}")]))
    except ValueError:
        raise Damaged("is damaged (its lines are not those of a database)") from None


def pieces_of(kind: str, version: int, lines: Iterable[bytes]) -> list[bytes]:
    """The file that holds *lines* of tables, in pieces to be written one after the other."""
    body = [*lines, b"}\n"]
    checksum = 0
    for piece in body:
        checksum = zlib.crc32(piece, checksum)
    mark = {"kind": kind, "version": version, "crc32": f"{checksum:08x}"}
    head = _encode({FORMAT_TABLE: {"1": mark}}).encode("ascii")
    return [head[:-1], b"," if len(body) > 1 else b"", *body]
