# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of every day that were put in just now: a line each, at the end of one file.

To make a file of each of them costs the runner several times as much.  The process that delivers
makes files of the lines: what becomes of a message is told by its file's name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from coldchain.core.errors import ColdchainError
from coldchain.core.files import cannot_read, write_all
from coldchain.core.locks import NoLocks, lock_within
from coldchain.core.trusted_path import TrustedFolder

_PATIENCE = 1.0  # seconds: whoever writes a line is done at once
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Incoming:
    """The file of lines in the directory *place*; each is the name of a message, a blank, and the
    message, which has no line break."""

    def __init__(self, place: Path) -> None:
        self._path = place / "incoming"
        self._kept = TrustedFolder(place)
        self._taken: set[str] = set()  # by this process, from lines that are still there

    def add(self, name: str, message: bytes) -> bool:
        """Add a line; it survives the death of this process, not a power cut.

        Returns False where that cannot be done: somebody takes the lines out just now, there is no
        directory yet, or the disk does not take it.
        """
        try:
            with self._open(os.O_CREAT) as descriptor:
                if not lock_within(descriptor):
                    return False
                size = os.fstat(descriptor).st_size
                try:
                    # What a power cut has left of the line before comes to its end with the first.
                    write_all(descriptor, b"\n%s %s\n" % (name.encode("ascii"), message))
                except OSError:
                    with suppress(OSError):
                        os.ftruncate(descriptor, size)
                    raise
        except (OSError, NoLocks):
            return False
        return True

    def lines(self) -> dict[str, bytes]:
        """The messages by name.  Unavailable."""
        try:
            if not os.lstat(self._path).st_size:
                return {}
            with self._open() as descriptor:
                return self._lines(descriptor)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise cannot_read(self._path, error) from None

    def take(self, file: Callable[[str, bytes], None]) -> None:
        """Give each message to *file*, and let go of the lines once all are taken.

        What *file* does not take, raising CannotWrite, is given to it again the next time; nothing
        is done while somebody else holds the file for long.  Raises Unavailable.
        """
        try:
            if not os.lstat(self._path).st_size:
                return
            with self._open() as descriptor:
                if not lock_within(descriptor, _PATIENCE):
                    return
                try:
                    for name, message in self._lines(descriptor).items():
                        if name not in self._taken:
                            file(name, message)
                            self._taken.add(name)
                except ColdchainError:
                    return
                os.ftruncate(descriptor, 0)
                self._taken.clear()
        except FileNotFoundError:
            return
        except OSError as error:
            raise cannot_read(self._path, error) from None

    @contextmanager
    def _open(self, more: int = 0) -> Iterator[int]:
        """Raises FileNotFoundError, also for what is no file, and other OSErrors."""
        with self._kept.entered() as folder:
            if more == 0 and not stat.S_ISREG(os.lstat(self._path.name, dir_fd=folder).st_mode):
                raise FileNotFoundError
            descriptor = os.open(self._path.name, _FLAGS | more, 0o600, dir_fd=folder)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FileNotFoundError
            yield descriptor
        finally:
            os.close(descriptor)

    @staticmethod
    def _lines(descriptor: int) -> dict[str, bytes]:
        raw = b"".join(iter(lambda: os.read(descriptor, 1 << 20), b""))
        found = (line.partition(b" ") for line in raw.split(b"\n")[:-1])
        return {name.decode("ascii", "replace"): message for name, _blank, message in found if name}
