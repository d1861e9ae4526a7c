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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

_HEADER = re.compile(rb"GNU tar-[^\n]{1,40}-2\n(-?\d{1,20})\0(\d{1,9})\0")
_RECORD = re.compile(
    rb"([01]\0-?\d{1,20}\0\d{1,9}\0\d{1,20}\0\d{1,20}\0([^\0]+)\0)((?:[^\0]+\0)*)\0\0"
)


@contextmanager
def memfd() -> Iterator[int]:
    """A descriptor of an empty file that never touches a disk."""
    descriptor = os.memfd_create("engine_metadata")
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def content(descriptor: int) -> bytes:
    """The whole file."""
    return b"".join(blocks(descriptor))


def blocks(descriptor: int, size: int = 1 << 20) -> Iterator[bytes]:
    """The whole file from its beginning, in blocks."""
    offset = 0
    while block := os.pread(descriptor, size, offset):
        offset += len(block)
        yield block


def append(descriptor: int, data: bytes) -> None:
    """Write all of *data*, however often that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def started(descriptor: int) -> int | None:
    """When the backup that wrote this began, POSIX nanoseconds; None when it is no snapshot."""
    match = _HEADER.match(os.pread(descriptor, 256, 0))
    return int(match[1]) * 10**9 + int(match[2]) if match else None


def files(descriptor: int) -> list[bytes] | None:
    """Everything but directories that the source held; None when this does not tell.

    The whole tree is in every level's file, unless the source was a single file.
    """
    data = content(descriptor)
    header = _HEADER.match(data)
    if header is None or header.end() == len(data):
        return None
    names, position = [], header.end()
    while match := _RECORD.match(data, position):
        position = match.end()
        folder = os.path.normpath(match[2])
        for entry in match[3].split(b"\0"):
            if entry[:1] in (b"Y", b"N"):
                names.append(os.path.normpath(os.path.join(folder, entry[1:])))
    return names if position == len(data) else None


def add_empty_directories(descriptor: int, folders: Mapping[bytes, os.stat_result]) -> None:
    """Record *folders* as they are, and empty, instead of what was known about them."""
    if not folders:
        return
    drop(descriptor, set(folders))
    os.lseek(descriptor, 0, os.SEEK_END)
    for name, status in folders.items():
        fields = b"0\0000\0000\0%d\0%d\0" % (status.st_dev, status.st_ino)
        append(descriptor, fields + name + b"\0\0\0")


#: Device and inode of a directory.
Identity = tuple[int, int]


def folders(descriptor: int) -> dict[bytes, Identity]:
    """The directories that the snapshot knows, as it names them; empty when it is none."""
    data = content(descriptor)
    header = _HEADER.match(data)
    known: dict[bytes, Identity] = {}
    position = header.end() if header else len(data)
    while match := _RECORD.match(data, position):
        position = match.end()
        device, inode = match[1].split(b"\0")[3:5]
        known[match[2]] = int(device), int(inode)
    return known


def records(descriptor: int) -> Iterator[tuple[bytes, list[bytes]]]:
    """Each directory with its entries, as tar notes them (see ``edit``)."""
    data = content(descriptor)
    header = _HEADER.match(data)
    position = header.end() if header else len(data)
    while match := _RECORD.match(data, position):
        position = match.end()
        yield match[2], match[3].split(b"\0")[:-1]


def renamed(before: Mapping[bytes, Identity], descriptor: int) -> tuple[bytes, bytes] | None:
    """(from, to) of a rename that tar has put into the level between *before* and *descriptor*.

    tar takes a new name for a rename as soon as it has seen device and inode under another one,
    also when both are there: a bind mount, or a link that is followed.
    """
    after = folders(descriptor)
    places: dict[Identity, bytes] = {}
    for names in (after, before):
        places.update((identity, name) for name, identity in names.items() if name in before)
    for name, identity in after.items():
        if name not in before and places.setdefault(identity, name) != name:
            return places[identity], name
    return None


def edit(descriptor: int, change: Callable[[bytes, list[bytes]], list[bytes] | None]) -> None:
    """Let *change* say for each folder which of its entries stay; None: all, as they are.

    Entries are names with tar's letter before: Y (stored by this level), N (older), D (directory).
    What tar does not find there it takes for new.  A format that we do not know stays as it is.
    """
    data = content(descriptor)
    header = _HEADER.match(data)
    if header is None:
        return
    parts, position, changed = [header[0]], header.end(), False
    while match := _RECORD.match(data, position):
        position = match.end()
        kept = change(match[2], match[3].split(b"\0")[:-1])
        if kept is None:
            parts.append(match[0])
        else:
            changed = True
            parts.append(match[1] + b"".join(entry + b"\0" for entry in kept) + b"\0\0")
    if changed and position == len(data):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        append(descriptor, b"".join(parts))


def clear(descriptor: int) -> None:
    """Let the snapshot be empty: tar then saves everything."""
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)


def drop(descriptor: int, folders: set[bytes]) -> None:
    """Drop the records of *folders*: the next level dumps everything in them again."""
    if not folders:
        return
    data = content(descriptor)
    header = _HEADER.match(data)
    if header is None:
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
