# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""GNU tar's listed-incremental file (engine_metadata), kept in memory while tar works with it.

Format 2: the line "GNU tar-VERSION-2", then zero-terminated fields: the start of the backup
(seconds, nanoseconds), and for each directory nfs, mtime (2), device, inode, name, its entries, and
two zeros.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_HEADER = re.compile(rb"GNU tar-[^\n]{1,40}-2\n(-?\d{1,20})\0(\d{1,9})\0")
_RECORD = re.compile(
    rb"([01]\0-?\d{1,20}\0\d{1,9}\0\d{1,20}\0\d{1,20}\0([^\0]+)\0)((?:[^\0]+\0)*)\0\0"
)


@contextmanager
def memory() -> Iterator[int]:
    """A descriptor of an empty file that never touches a disk."""
    descriptor = os.memfd_create("engine_metadata")
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def content(descriptor: int) -> bytes:
    return b"".join(blocks(descriptor))


def blocks(descriptor: int, size: int = 1 << 20) -> Iterator[bytes]:
    """The whole file from its beginning, in blocks."""
    offset = 0
    while block := os.pread(descriptor, size, offset):
        offset += len(block)
        yield block


def append(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def started(descriptor: int) -> int | None:
    """When the backup that wrote this began, POSIX seconds; None when it is no snapshot."""
    match = _HEADER.match(os.pread(descriptor, 256, 0))
    return int(match[1]) if match else None


def files(descriptor: int) -> list[bytes] | None:
    """Everything but directories that the source held; None when this does not tell.

    The whole tree is in every level's file, unless the source was a single file.
    """
    data = content(descriptor)
    header = _HEADER.match(data)
    if header is None or header.end() == len(data):
        return None
    found, position = [], header.end()
    while match := _RECORD.match(data, position):
        position = match.end()
        folder = os.path.normpath(match[2])
        for entry in match[3].split(b"\0"):
            if entry[:1] in (b"Y", b"N"):
                found.append(os.path.normpath(os.path.join(folder, entry[1:])))
    return found if position == len(data) else None


def moved(descriptor: int, source: Path, *, follow: bool) -> set[bytes]:
    """The folders that are not in their places below *source* any more, as the snapshot names them.

    follow: links are followed.  Only the inode is compared, as tar does with --no-check-device.
    """
    data = content(descriptor)
    header = _HEADER.match(data)
    found: set[bytes] = set()
    position = header.end() if header else len(data)
    while match := _RECORD.match(data, position):
        position = match.end()
        path = os.path.join(os.fsencode(source), match[2])
        try:
            inode = os.stat(path, follow_symlinks=follow or match[2] == b".").st_ino
        except OSError:
            inode = 0
        if inode != int(match[1].split(b"\0")[4]):
            found.add(match[2])
    return found


def know(descriptor: int, folders: Mapping[bytes, os.stat_result]) -> None:
    """Record *folders* as they are, and empty, instead of what was known about them."""
    if not folders:
        return
    forget(descriptor, set(folders))
    os.lseek(descriptor, 0, os.SEEK_END)
    for name, status in folders.items():
        fields = b"0\0000\0000\0%d\0%d\0" % (status.st_dev, status.st_ino)
        append(descriptor, fields + name + b"\0\0\0")


def inodes(descriptor: int) -> dict[bytes, int]:
    """The directories that the snapshot knows, as it names them; empty when it is none."""
    data = content(descriptor)
    header = _HEADER.match(data)
    found: dict[bytes, int] = {}
    position = header.end() if header else len(data)
    while match := _RECORD.match(data, position):
        position = match.end()
        found[match[2]] = int(match[1].split(b"\0")[4])
    return found


def renamed(before: Mapping[bytes, int], descriptor: int) -> tuple[bytes, bytes] | None:
    """(from, to) of a rename that tar has put into the level between *before* and *descriptor*.

    tar takes a new name for a rename as soon as it has seen the inode under another one, also
    when both are there: a bind mount, or a link that is followed.
    """
    after = inodes(descriptor)
    known: dict[int, bytes] = {}
    for names in (after, before):
        known.update((inode, name) for name, inode in names.items() if name in before)
    for name, inode in after.items():
        if name not in before and known.setdefault(inode, name) != name:
            return known[inode], name
    return None


def forget(descriptor: int, folders: set[bytes]) -> None:
    """Drop the records of *folders*: the next level dumps everything in them again."""
    data = content(descriptor)
    header = _HEADER.match(data)
    if header is None or not folders:
        return
    kept, position = [header[0]], header.end()
    while match := _RECORD.match(data, position):
        position = match.end()
        if match[2] not in folders:
            kept.append(match[0])
    if position != len(data):
        # A format that we do not know: leave it as tar wrote it.
        return
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    append(descriptor, b"".join(kept))
