# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what a compressor writes has its end, by the marks of its format: nothing is unpacked.

A compressor can end with 0 although its last bytes went nowhere.  gzip and xz tell at their end how
much they have packed, which is compared with what tar wrote.  bzip2 has a mark and a checksum
there.  zstd has neither, but the length of each block before it, by which the stream is walked.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Generator

#: So many of the last bytes are held: the index of xz for 200 GB, if it packs on several cores.
_HELD = 1 << 16
_BZIP2_END = 0x177245385090
_BZIP2_TRAILER = 11
_XZ_FOOTER, _XZ_HEADER = 12, 12
_ZSTD_FRAME, _ZSTD_SKIPPABLE = 0xFD2FB528, 0x184D2A50
_ZSTD_RLE, _ZSTD_RESERVED = 1, 3


class Ending:
    """Sees the bytes of one stream of *compression* go by; size: how many they were."""

    def __init__(self, compression: str) -> None:
        self.size = 0
        self._last: deque[bytes] = deque()
        self._held = 0
        self._walk = _ZstdWalk() if compression == "zstd" else None
        self._check = _CHECKS.get(compression)

    def take(self, piece: bytes) -> None:
        """See the next *piece*."""
        self.size += len(piece)
        if self._walk is not None:
            self._walk.take(piece)
            return
        self._last.append(piece)
        self._held += len(piece)
        while self._held - len(self._last[0]) >= _HELD:
            self._held -= len(self._last.popleft())

    def is_whole(self, packed: int) -> bool:
        """Whether the stream has its end, and tells of *packed* bytes in it where it tells any."""
        if self._walk is not None:
            return self._walk.ended
        assert self._check is not None
        return self._check(b"".join(self._last), self.size, packed)


def _gzip_ends(last: bytes, _size: int, packed: int) -> bool:
    return int.from_bytes(last[-4:], "little") == packed & 0xFFFFFFFF


def _bzip2_ends(last: bytes, _size: int, _packed: int) -> bool:
    """The mark and 32 bits of sum lie anywhere between bytes; zeros fill the last one."""
    bits = int.from_bytes(last[-_BZIP2_TRAILER:], "big")
    return any(
        (bits >> (32 + fill)) & ((1 << 48) - 1) == _BZIP2_END and not bits & ((1 << fill) - 1)
        for fill in range(8)
    )


def _xz_ends(last: bytes, size: int, packed: int) -> bool:
    footer = last[-_XZ_FOOTER:]
    if len(footer) < _XZ_FOOTER or not footer.endswith(b"YZ"):
        return False
    if zlib.crc32(footer[4:10]) != int.from_bytes(footer[:4], "little"):
        return False
    length = (int.from_bytes(footer[4:8], "little") + 1) * 4
    if length + _XZ_FOOTER > len(last):
        # Of many blocks; that the last of them went by is what the footer says.
        return length + _XZ_FOOTER < size
    index = last[-_XZ_FOOTER - length : -_XZ_FOOTER]
    if index[:1] != b"\0" or zlib.crc32(index[:-4]) != int.from_bytes(index[-4:], "little"):
        return False
    numbers = _varints(index[1:-4])
    count = next(numbers, 0)
    stored = told = 0
    for _block in range(count):
        stored += (next(numbers, 0) + 3) & ~3
        told += next(numbers, 0)
    return told == packed and _XZ_HEADER + stored + length + _XZ_FOOTER == size


def _varints(text: bytes) -> Generator[int, None, None]:
    """Numbers of seven bits a byte, the lowest first; the highest bit says that more follow."""
    number = shift = 0
    for byte in text:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield number
            number = shift = 0


_CHECKS: dict[str, Callable[[bytes, int, int], bool]] = {
    "gzip": _gzip_ends,
    "bzip2": _bzip2_ends,
    "xz": _xz_ends,
}


class _ZstdWalk:
    """Goes from header to header; ended: the last frame is complete, and nothing follows it."""

    def __init__(self) -> None:
        self._steps = self._walk()
        self._between, self._frames = True, 0
        self._wanted = next(self._steps)
        self._header = bytearray()

    @property
    def ended(self) -> bool:
        return self._between and not self._header and self._frames > 0

    def take(self, piece: bytes) -> None:
        position = 0
        while position < len(piece):
            if self._wanted < 0:
                step = min(-self._wanted, len(piece) - position)
                position += step
                self._wanted += step
                if self._wanted < 0:
                    return
                self._wanted = next(self._steps)
                continue
            header = piece[position : position + self._wanted - len(self._header)]
            position += len(header)
            self._header += header
            if len(self._header) == self._wanted:
                complete, self._header = bytes(self._header), bytearray()
                self._wanted = self._steps.send(complete)

    def _walk(self) -> Generator[int, bytes, None]:
        """Yields how many bytes of a header it wants; below zero: how many are of no concern."""
        while True:
            self._between = True
            magic = int.from_bytes((yield 4), "little")
            self._between = False
            if magic & ~0xF == _ZSTD_SKIPPABLE:
                length = int.from_bytes((yield 4), "little")
                if length:
                    yield -length
            elif magic == _ZSTD_FRAME:
                yield from self._frame()
                self._frames += 1
            else:
                while True:  # no frame: it never ends
                    yield -1

    @staticmethod
    def _frame() -> Generator[int, bytes, None]:
        (descriptor,) = yield 1
        single = descriptor & 0x20 != 0
        content = (1 if single else 0, 2, 4, 8)[descriptor >> 6]
        dictionary = (0, 1, 2, 4)[descriptor & 3]
        yield -(content + dictionary + (not single))
        last = False
        while not last:
            block = int.from_bytes((yield 3), "little")
            last, kind, length = bool(block & 1), block >> 1 & 3, block >> 3
            while kind == _ZSTD_RESERVED:  # no block either
                yield -1
            if kind == _ZSTD_RLE:
                length = 1
            if length:
                yield -length
        if descriptor & 4:
            yield -4
