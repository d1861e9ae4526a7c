# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of all that the source held when a level was made, and was stored by then.

tar judges by time alone: older than the last backup is stored.  That is not so for what was left
out then, or could not be read, or lay below a mount, and not after a clock was set or other content
was put in the place.  So each level keeps this list (the part tree.gz), and the next one compares
the source with it.

    coldchain-tree-1
    FOLDER NUL (KIND SIZE " " MTIME " " CTIME " " NAME NUL)... NUL ...

FOLDER is "." or "./a/b"; KIND one of - d l p c b s; SIZE in bytes (devices: their number);
MTIME and CTIME in nanoseconds.  Of directories only the name counts: tar saves them every time.
KIND u is what could not be read, or came while tar was at work: it may be stored or not, and the
next level saves it.  A directory that has no FOLDER of its own could not be looked into.

A restore ends with what the list of its last level holds (``settled_tree``).
"""

from __future__ import annotations

import os
import stat
import weakref
import zlib
from collections.abc import Iterator, Mapping, MutableMapping

from coldchain.agent.engines.tar.stored import snapshot
from coldchain.core.errors import DataError

_HEADER = b"coldchain-tree-1\n"
_GZIP, _LEVEL, _PIECE = 31, 1, 1 << 20
_KINDS = {
    stat.S_IFREG: b"-",
    stat.S_IFDIR: b"d",
    stat.S_IFLNK: b"l",
    stat.S_IFIFO: b"p",
    stat.S_IFCHR: b"c",
    stat.S_IFBLK: b"b",
    stat.S_IFSOCK: b"s",
}
#: A list of names that hardly differ is compressed to a hundredth.
_LEAST, _RATIO = 1 << 22, 200
#: The kind of what may be stored or not.
UNKNOWN = b"u"


class Blocks(MutableMapping[bytes, bytes]):
    """The records of each folder, in a file in memory that is none of this process's own."""

    def __init__(self) -> None:
        self._file = os.memfd_create("tree")
        weakref.finalize(self, os.close, self._file)
        self._places: dict[bytes, tuple[int, int]] = {}
        self._end = 0

    def __getitem__(self, folder: bytes) -> bytes:
        offset, size = self._places[folder]
        return os.pread(self._file, size, offset)

    def __setitem__(self, folder: bytes, records: bytes) -> None:
        snapshot.append(self._file, records)
        self._places[folder] = self._end, len(records)
        self._end += len(records)

    def __delitem__(self, folder: bytes) -> None:
        del self._places[folder]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def largest(self) -> int:
        """Bytes of the records of the largest folder."""
        return max((size for _other, size in self._places.values()), default=0)


def record(status: os.stat_result, name: bytes, changed: int = 0) -> bytes:
    """The record of the thing *name*.

    changed: nanoseconds; what was changed later than its inode, was so then.
    """
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), b"-")
    if kind == b"d":
        return b"d0 0 0 %b\0" % name
    size = status.st_rdev if kind in b"cb" else status.st_size
    changed = max(changed, status.st_ctime_ns)
    return b"%b%d %d %d %b\0" % (kind, size, status.st_mtime_ns, changed, name)


def unknown(name: bytes) -> bytes:
    """The record of what may be stored or not."""
    return b"%b0 0 0 %b\0" % (UNKNOWN, name)


def split(record: bytes) -> tuple[bytes, bytes]:
    """(name, facts) of a record."""
    *facts, name = record.split(b" ", 3)
    if len(facts) != 3:
        raise DataError("tree.gz: not a record")
    return name, b" ".join(facts)


def names(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and name of each record in the *block* of a folder; DataError when it holds others."""
    for record in block.split(b"\0")[:-1]:
        name, facts = split(record)
        yield facts[:1], name


def write(blocks: Mapping[bytes, bytes], descriptor: int) -> None:
    """Write folders and their records, compressed, to *descriptor*."""
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP)
    snapshot.append(descriptor, packer.compress(_HEADER))
    for folder, block in blocks.items():
        snapshot.append(descriptor, packer.compress(b"%b\0%b\0" % (folder, block)))
    snapshot.append(descriptor, packer.flush())


def read(descriptor: int, largest: int, *, whole: bool = False) -> Iterator[tuple[bytes, bytes]]:
    """The folders in *descriptor* with their records; DataError when it is something else.

    largest: bytes of the records of the largest folder today.  Of one that held far more, which
    also a hostile list could say, not all records are told; whole: that is an error, too.
    """
    most = _LEAST + 2 * largest
    header, kept, held = True, [b""], 0
    for piece in _pieces(descriptor):
        ended = b"\0\0" in piece or (kept[-1].endswith(b"\0") and piece.startswith(b"\0"))
        if not ended:
            if held < most:
                kept.append(piece)
                held += len(piece)
            elif whole:
                raise DataError("tree.gz: a folder holds more than any does")
            else:
                # The rest of this folder is not wanted; its end may begin here.
                kept[-1] = kept[-1][:-1] + piece[-1:]
            continue
        text = b"".join([*kept, piece])
        if header:
            if not text.startswith(_HEADER):
                raise DataError("tree.gz: not a list of coldchain")
            text, header = text[len(_HEADER) :], False
        *folders, rest = text.split(b"\0\0")
        kept, held = [rest], len(rest)
        for block in folders:
            folder, _unused, records = block.partition(b"\0")
            yield folder, records + b"\0" if records else b""
    if header or kept != [b""]:
        raise DataError("tree.gz: ends in the middle")


def _pieces(descriptor: int) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(wbits=_GZIP)
    room = _LEAST + _RATIO * os.fstat(descriptor).st_size
    try:
        for block in snapshot.blocks(descriptor, _PIECE):
            while piece := unpacker.decompress(block, _PIECE):
                block = unpacker.unconsumed_tail
                room -= len(piece)
                if room < 0:
                    raise DataError("tree.gz: unpacks to more than any list")
                yield piece
    except zlib.error as error:
        raise DataError(f"tree.gz: {error}") from None
    if not unpacker.eof:
        raise DataError("tree.gz: ends in the middle")
