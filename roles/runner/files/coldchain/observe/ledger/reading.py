# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the ledger: its files as they are at one moment, and the entries in them."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, BinaryIO, NamedTuple

from coldchain.core.digest import sha256_hex
from coldchain.core.errors import ColdchainError, Unavailable
from coldchain.core.locks import lock_within
from coldchain.observe.ledger.files import LedgerFiles
from coldchain.observe.ledger.format import (
    HEAD,
    LOCK,
    LONGEST,
    OWN,
    RENEWED,
    Head,
    files_aside,
    number_of,
    opened,
)

_PATIENCE = 1.0  # seconds: whoever writes is done in a few milliseconds


class Opened(NamedTuple):
    """The files of the ledger at one moment: name, stream, bytes."""

    files: tuple[tuple[str, BinaryIO, int], ...]
    head: Head | None
    problem: str = ""
    strange: tuple[str, ...] = ()
    """What lies in the place of a file and is none."""


@contextmanager
def quiet(ledger: LedgerFiles) -> Iterator[None]:
    """Nobody writes within the block, where the lock can be had."""
    with ExitStack() as stack:
        with suppress(OSError, ColdchainError):
            lock = os.open(ledger.lib / LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            stack.callback(os.close, lock)
            lock_within(lock, _PATIENCE)
        yield


def open_all(ledger: LedgerFiles, stack: ExitStack) -> Opened:
    """Open what is there, so that it stays what it is, and read the head that goes with it."""
    files, strange = [], []
    with quiet(ledger):
        for path in [*files_aside(ledger.lib).values(), ledger.file]:
            with suppress(FileNotFoundError):
                if not stat.S_ISREG(path.lstat().st_mode):
                    strange.append(f"{path.name}: is not a file")
                    continue
                stream = stack.enter_context(opened(path))
                size = os.fstat(stream.fileno()).st_size
                files.append((path.name, stream, size))
        return Opened(tuple(files), *_head(ledger), tuple(strange))


def _head(ledger: LedgerFiles) -> tuple[Head | None, str]:
    """The head, and why there is none."""
    try:
        return ledger.head(), ""
    except (ValueError, ColdchainError) as error:
        return None, f"{HEAD}: {getattr(error, 'message', 'is not what coldchain wrote')}"


def entries(ledger: LedgerFiles) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Every entry that can be read, oldest first: the line and what it says.  Unavailable."""
    with ExitStack() as stack:
        opened = open_all(ledger, stack)
        if opened.strange:
            raise Unavailable(f"{ledger.lib}/{opened.strange[0]}", "move away what is there")
        for _unused, stream, size in opened.files:
            for line in lines_of(stream, size):
                with suppress(ValueError, RecursionError):
                    entry = json.loads(line)
                    if isinstance(entry, dict):
                        yield line.rstrip(b"\n"), entry


def lines_of(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """The lines in the first *size* bytes of a file, with their ends."""
    left = size
    while left > 0:
        line = stream.readline(min(LONGEST, left))
        if not line:
            return
        left -= len(line)
        yield line


def digest_of(ledger: LedgerFiles, number: int) -> str | None:
    """The digest that entry *number* has now; None where no such entry is there (any more).

    Raises Unavailable for files that cannot be read.
    """
    mark = b'"n":%d,' % number  # in every line of that number: the keys are sorted, without blanks
    after = b'"n":%d,' % (number + 1)
    with ExitStack() as stack:
        for place, (_name, stream, size) in enumerate(open_all(ledger, stack).files):
            for count, line in enumerate(lines_of(stream, size)):
                if mark in line and number_of(line) == number:
                    return sha256_hex(line.rstrip(b"\n"))
                if place == count == 0 and after in line and number_of(line) == number + 1:
                    # It was given up, but the first one that is kept was written after it.
                    return str(json.loads(line).get("prev"))
    return None


def renewed(ledger: LedgerFiles) -> str | None:
    """When the ledger was begun in the place of one that was put aside; None when it was not."""
    _unused, first = next(entries(ledger), (b"", {}))
    own = first.get("what") == OWN and first.get("did") == RENEWED
    return str(first.get("time")) if own else None
