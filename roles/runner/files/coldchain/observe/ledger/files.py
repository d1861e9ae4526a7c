# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a ledger: what there is of it, and what can be known of what there was."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from coldchain.core.digest import sha256_hex
from coldchain.core.errors import ColdchainError
from coldchain.core.files import cannot_read
from coldchain.core.text import pluralize
from coldchain.observe.ledger.format import (
    FILE,
    HEAD,
    LONGEST,
    NOTHING,
    RENEWED,
    Head,
    beyond,
    files_aside,
    is_count,
    number_of,
    opened,
)

TAIL = 4_194_304
"""So many bytes are searched for the last entry, or the end of the first."""


def no_entry() -> int:
    """Nothing is known of a ledger that may be gone."""
    return 0


def gone(known: int) -> str:
    """What is to be said of a ledger that had *known* entries and is not there."""
    return f"it once had {pluralize(known, 'entry')} or more, and was gone"


class Renewal(NamedTuple):
    """What the first entry of a ledger tells of the one before: its entries, the digest of the last
    one, and where it is."""

    entries: int
    digest: str
    before: LedgerFiles


class LedgerFiles:
    """What lies in the directory *lib* of a ledger; nothing is made that is not there.

    known: so many entries there were once, as something else on this host knows that is not lost
    together with the ledger; home: where ledgers are put aside, *lib* without.
    """

    def __init__(
        self, lib: Path, known: Callable[[], int] = no_entry, home: Path | None = None
    ) -> None:
        self._known, self.home = known, home or lib
        self.lib, self.file, self.head_file = lib, lib / FILE, lib / HEAD

    def head(self) -> Head | None:
        """The head; None when there is none yet.  ValueError, Unavailable."""
        try:
            with opened(self.head_file) as stream:
                return Head.decode(stream.read(4096))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise cannot_read(self.head_file, error) from None

    def known(self) -> int:
        """So many entries there were once, as far as that can be found out; 0: none."""
        with suppress(ColdchainError, OSError):
            return self._known()
        return 0

    def present(self) -> list[Path]:
        """All that the ledger consists of and that is there."""
        own = [path for path in (self.file, self.head_file) if os.path.lexists(path)]
        return [*files_aside(self.lib).values(), *own]

    def last(self) -> Head:
        """The head after the last entry, or what can be known of that where there is none.

        Raises Unavailable.
        """
        try:
            head = self.head()
        except ValueError:
            head = None
        if head is not None:  # and what it does not count yet
            return beyond(head, self.read(head.size, LONGEST))[0]
        number, digest = self.last_line()
        return Head(number, digest)

    def last_line(self) -> tuple[int, str]:
        """Number and digest of the last line that looks like an entry; 0 without any."""
        for path in reversed([*files_aside(self.lib).values(), self.file]):
            end = self.size_of(path) or 0
            lines = self.read(max(0, end - TAIL), TAIL, path).split(b"\n")
            last = next((line for line in reversed(lines) if number_of(line)), None)
            if last is not None:
                return number_of(last), sha256_hex(last)
        return 0, NOTHING

    def ending(self) -> bytes:
        """The last bytes of the lines, TAIL of each of the two newest files, also of the ledger
        before this one.  Unavailable."""
        renewal, ends = self.renewal(), []
        before = [renewal.before] if renewal is not None and renewal.before.lib.is_dir() else []
        for place in [*before, self]:
            for path in [*list(files_aside(place.lib).values())[-1:], place.file]:
                ends.append(self.read(max(0, (self.size_of(path) or 0) - TAIL), TAIL, path))
        return b"".join(ends)

    def renewal(self) -> Renewal | None:
        """What was put aside when this ledger was begun; None when nothing was.  Unavailable."""
        older = files_aside(self.lib)
        first = self.read(0, TAIL, next(iter(older.values()), None)).partition(b"\n")[0]
        try:
            entry = json.loads(first)
            place = self.home / os.path.basename(entry["aside"])
            known = entry["did"] == RENEWED and is_count(entry["entries"])
            found = entry["entries"], str(entry["digest"])
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return Renewal(*found, LedgerFiles(place, home=self.home)) if known else None

    def open_file(self, flags: int) -> int:
        """Open the file that is written to; OSError, also where something else is there."""
        flags |= os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(self.file, flags, 0o600)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "is not a file")
        return descriptor

    @staticmethod
    def size_of(path: Path) -> int | None:
        """Bytes of a file; None when it is not there."""
        try:
            return path.lstat().st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise cannot_read(path, error) from None

    def read(self, begin: int, length: int, path: Path | None = None) -> bytes:
        """Bytes of the file that is written to, or of *path*; none when it is not there."""
        path = path or self.file
        try:
            with opened(path) as stream:
                stream.seek(begin)
                return stream.read(length)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise cannot_read(path, error) from None
