# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The renames of directories in an archive, read without GNU tar.

Not imported before it is needed: tarfile is slow to load.
"""

from __future__ import annotations

import tarfile
from typing import BinaryIO

from coldchain.agent.engines.tar.restore.link_model import plain

_LONGEST_LIST = 1 << 26
_UTF8, _BYTES = "utf-8", "surrogateescape"
_NAME, _MAGIC, _GNU = slice(0, 100), slice(257, 265), b"ustar  \0"


class _Header(tarfile.TarInfo):
    """Takes the times in headers of GNU's incremental archives for no part of the name."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if buf[_MAGIC] == _GNU:
            header.name = bytes(buf[_NAME]).partition(b"\0")[0].decode(encoding, errors)
        return header


def renames(stream: BinaryIO) -> dict[bytes, list[bytes]] | None:
    """By directory, the records of its list in the archive *stream* that rename.

    tar's listing cannot say it: there a file's name with a newline in it looks like one.  Of an R
    also what follows, which has to be a T.  None: what the lists hold cannot be told.
    """
    found: dict[bytes, list[bytes]] = {}
    size = 0
    try:
        with tarfile.open(
            fileobj=stream,
            mode="r|",
            ignore_zeros=True,
            tarinfo=_Header,
            encoding=_UTF8,
            errors=_BYTES,
        ) as archive:
            while (entry := archive.next()) is not None:
                # Else all of them would be kept.  A public way, stream=True, is in Python 3.13.
                archive.members.clear()  # type: ignore[attr-defined]
                lists = [entry.pax_headers.get("GNU.dumpdir", "").encode(_UTF8, _BYTES)]
                if entry.type == b"D":
                    content = archive.extractfile(entry)
                    if content is None or entry.size > _LONGEST_LIST:
                        return None
                    lists.append(content.read())
                records: list[bytes] = []
                for record in b"\0".join(lists).split(b"\0"):
                    begun = bool(records) and records[-1].startswith(b"R")
                    if begun or record.startswith((b"R", b"T", b"X")):
                        records.append(record)
                        size += len(record) + 1
                if size > _LONGEST_LIST:
                    return None
                if records:
                    found.setdefault(plain(entry.name.encode(_UTF8, _BYTES)), []).extend(records)
    except (tarfile.TarError, OSError, LookupError, ValueError, ArithmeticError):
        return None
    return found
