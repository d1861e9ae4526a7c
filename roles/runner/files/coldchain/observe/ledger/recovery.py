# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the next entry of a ledger belongs, whatever became of the last one.

A writer may have ended at any of its steps, or left its entries uncounted for a while, and anybody
may have edited, removed or cut off a file.  What was never acknowledged is taken up or cut off; of
all else an entry tells, and it stays where it is (docs/decisions/086-ledger.md).
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, NamedTuple

from coldchain.core.digest import sha256_hex
from coldchain.core.files import cannot_write, write_all
from coldchain.observe.ledger.files import TAIL, LedgerFiles, gone
from coldchain.observe.ledger.format import (
    DAMAGED,
    FILE,
    HEAD,
    LONGEST,
    TORN,
    Head,
    aside,
    beyond,
    files_aside,
    is_torn,
    last_digest,
    number_of,
    opened,
)

_GENERATIONS = 5  # so many ledgers that were put aside are looked through for an entry


class Place(NamedTuple):
    """Where the next entry belongs.

    head: what it comes after; notes: what has to be said before it, each the fields of an entry of
    the ledger's own; uncounted: that head is not on disk yet, and has to be before there is
    another line.
    """

    head: Head
    notes: tuple[dict[str, Any], ...] = ()
    uncounted: bool = False


def place_of_next(files: LedgerFiles) -> Place:
    """Where the next entry belongs, once what was never acknowledged is cut off and the last line
    has an end; to be called by whoever has the lock.  Raises CannotWrite, Unavailable."""
    size = files.size_of(files.file)
    try:
        head = files.head()
    except ValueError:
        return _without_head(files, "the head was none")
    if head is None:
        if files_aside(files.lib):
            return _without_head(files, "the head was gone")
        place = _beyond(files, Head(), size) if size else _first(files)
        if place.head.entries > 1:  # more than what the first writer of all has left
            return _without_head(files, "the head was gone")
        return place
    if size is None and files.size_of(files.lib / aside(head.first)) == head.size > 0:
        # Put aside, and its writer ended then.
        return Place(before_next_file(head), uncounted=True)
    if size is not None and size >= head.size > 0 and not _ends_with(files, head):
        text = f"the line of {FILE} that {HEAD} was written for is another one"
        return _damaged(head._replace(size=_end_line(files, size)), text)
    if size == head.size or (size is None and head.size == 0):
        return Place(head)
    if size is not None and size > head.size:
        return _beyond(files, head, size)
    text = f"{FILE} had {size or 0} bytes of {head.size}: entries were taken away"
    after = head if size else before_next_file(head)
    return _damaged(after._replace(size=size or 0), text)


def before_next_file(head: Head) -> Head:
    """The same head before the first entry of another file."""
    return head._replace(first=head.entries + 1, size=0)


def _damaged(head: Head, text: str) -> Place:
    return Place(head, ({"did": DAMAGED, "text": text},))


def _first(files: LedgerFiles) -> Place:
    """Before the first entry of all, or of a ledger in the place of one that is gone."""
    known = files.known()
    return _damaged(Head(), gone(known)) if known else Place(Head())


def _ends_with(files: LedgerFiles, head: Head) -> bool:
    """Is the line before the head's end the one that the head was written for?"""
    with opened(files.file) as stream:
        return last_digest(stream, head.size) in (None, head.digest)


def _beyond(files: LedgerFiles, head: Head, size: int) -> Place:
    """After what lies beyond the head: entries that it does not count yet are taken up, what was
    never whole is cut off, and what is no entry stays where it is."""
    tail = files.read(head.size, min(LONGEST, size - head.size))
    after, rest = beyond(head, tail)
    if not rest and after.size == size:
        return Place(after, uncounted=True)
    if is_torn(rest) and len(tail) == size - head.size:
        _cut(files, after.size)
        text = "an entry was not whole when its writer ended: it was cut off"
        cut = {"bytes": len(rest), "sha256": sha256_hex(rest)}
        return Place(after, ({"did": TORN, "text": text, **cut},), uncounted=after != head)
    text = f"{FILE} had {size} bytes instead of {after.size}, which are no entries"
    return _damaged(after._replace(size=_end_line(files, size)), text)


def holds(files: LedgerFiles, head: Head) -> bool:
    """Is the last entry that *head* counts still there, where nothing on disk vouches for it?

    Others may have counted it, put its file aside, or begun another ledger since.
    """
    place, most = files, head.entries
    for _unused in range(_GENERATIONS):
        given_up = min(files_aside(place.lib), default=0) > head.entries  # else the chain tells
        if head.entries <= most and (given_up or _ends_with_that(place, head)):
            return True
        renewal = place.renewal()
        if renewal is None:
            return False
        most, digest, place = renewal
        if (most, digest) == (head.entries, head.digest):
            return True
        if not place.lib.is_dir():
            return False
    return False


def _ends_with_that(files: LedgerFiles, head: Head) -> bool:
    """Is the last entry that *head* counts where it was written?"""
    for path in (files.file, files.lib / aside(head.first)):
        with suppress(FileNotFoundError), opened(path) as stream:
            long_enough = os.fstat(stream.fileno()).st_size >= head.size
            if long_enough and last_digest(stream, head.size, patient=True) == head.digest:
                return True
    return False


def _without_head(files: LedgerFiles, why: str) -> Place:
    """Go on after the last line that looks like an entry."""
    number, digest = files.last_line()
    size = _end_line(files, files.size_of(files.file) or 0)
    begins = number_of(files.read(0, TAIL).split(b"\n")[0]) if size else 0
    head = Head(number, digest, begins or number + 1, size)
    return _damaged(head, f"{why}; entry {number} was the last one to be found")


def _cut(files: LedgerFiles, size: int) -> None:
    try:
        descriptor = files.open_file(os.O_WRONLY)
        try:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise cannot_write(files.file, error) from None


def _end_line(files: LedgerFiles, size: int) -> int:
    """The size of the file once its last line has an end."""
    if not size or files.read(size - 1, 1) == b"\n":
        return size
    try:
        descriptor = files.open_file(os.O_WRONLY | os.O_APPEND)
        try:
            write_all(descriptor, b"\n")
        finally:
            os.close(descriptor)
    except OSError as error:
        raise cannot_write(files.file, error) from None
    return size + 1
