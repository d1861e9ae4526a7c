# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of what a level stores: tar's own listing, compressed, beside the archive.

It answers in a moment what would take reading the archive, also to ``zcat``: kind and mode, owner,
size, time in UTC, and the name in C's quotes, one line an entry.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

from coldchain.agent.engines.tar.stored import gnu_tar, snapshot

#: gzip's container; level 1 costs a fiftieth of a second for 20,000 entries.
_GZIP, _LEVEL = 31, 1
_PIECE = 1 << 17
#: A listing of names that hardly differ is compressed to a hundredth.
_LEAST, _RATIO = 1 << 22, 200


class Recorder:
    """Compresses a listing, block by block, into *descriptor*."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._packer = zlib.compressobj(_LEVEL, wbits=_GZIP)

    def take(self, listing: bytes) -> None:
        """Add the whole lines of *listing*."""
        snapshot.append(self._descriptor, self._packer.compress(listing))

    def close(self) -> None:
        """Write what is still held back."""
        snapshot.append(self._descriptor, self._packer.flush())


def read(descriptor: int) -> Iterator[gnu_tar.Member]:
    """The entries in *descriptor*; zlib.error when it holds something else.

    Also for one that would unpack to far more than any listing does.
    """
    room = _LEAST + _RATIO * os.fstat(descriptor).st_size
    unpacker, rest = zlib.decompressobj(wbits=_GZIP), b""
    for block in snapshot.blocks(descriptor):
        # A block unpacks to twenty times its size, and each piece is copied several times.
        while listing := unpacker.decompress(block, _PIECE):
            block = unpacker.unconsumed_tail
            room -= len(listing)
            if room < 0 or len(rest) > _PIECE:
                raise zlib.error("not a listing")
            lines, newline, rest = (rest + listing).rpartition(b"\n")
            yield from gnu_tar.members(lines + newline)
