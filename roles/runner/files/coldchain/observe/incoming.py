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
from typing import NamedTuple

from coldchain.core.errors import ColdchainError, TryAgain
from coldchain.core.files import cannot_read, write_all
from coldchain.core.locks import NoLocks, lock_within
from coldchain.core.trusted_path import TrustedFolder

_PATIENCE = 1.0  # seconds: whoever writes a line is done at once
_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Incoming:
    """The file of lines in the directory *place*; each is the name of a message, a blank, and the
    message, which has no line break."""

    def __init__(self, place: Path) -> None:
        self._path = place / "incoming"
        self._kept = TrustedFolder(place)

    def add(self, name: str, message: bytes) -> bool:
        """Add a line; it survives the death of this process, not a power cut.

        Returns False where that cannot be done: somebody takes the lines out just now, there is no
        directory yet, or the disk does not take it.
        """
        try:
            with self._open(os.O_CREAT | os.O_APPEND) as descriptor:
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
                found = _split(_content(descriptor))
                return {line.name: line.message for line in found if line.name}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise cannot_read(self._path, error) from None

    def take(self, file: Callable[[str, bytes], None]) -> None:
        """Give each message to *file*, and let go of the lines.

        What *file* does not take, raising CannotWrite, stays for the next time; nothing is done
        while somebody else holds the file for long.  Raises Unavailable.
        """

        def take_from(descriptor: int) -> None:
            taken: list[_Line] = []
            try:
                for line in _split(_content(descriptor)):
                    if line.name:
                        file(line.name, line.message)
                        taken.append(line)
            except ColdchainError:
                for line in taken:
                    _overwrite(descriptor, line)
            else:
                os.ftruncate(descriptor, 0)

        self._change(take_from)

    def replace(self, name: str, by: str = "") -> None:
        """Give the message *name* another name, as long as that, or, without, let go of it: where
        it lies, which a full disk does not hinder.  Raises TryAgain, Unavailable."""

        def replace_in(descriptor: int) -> None:
            for line in _split(_content(descriptor)):
                if line.name == name:
                    _overwrite(descriptor, line, by)

        if name in self.lines() and not self._change(replace_in):
            raise TryAgain(f"{self._path}: held by another process", "fuser tells which one it is")

    def _change(self, change: Callable[[int], None]) -> bool:
        """Let *change* have the file, where there are lines; False where another process holds it.

        Raises Unavailable.
        """
        try:
            if os.lstat(self._path).st_size:
                with self._open() as descriptor:
                    if not lock_within(descriptor, _PATIENCE):
                        return False
                    change(descriptor)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise cannot_read(self._path, error) from None
        return True

    @contextmanager
    def _open(self, more: int = 0) -> Iterator[int]:
        """Raises FileNotFoundError, also for what is no file or somebody else could have written:
        a message says which command is to be called; and other OSErrors."""
        with self._kept.entered() as folder:
            if more == 0 and not stat.S_ISREG(os.lstat(self._path.name, dir_fd=folder).st_mode):
                raise FileNotFoundError
            descriptor = os.open(self._path.name, _FLAGS | more, 0o600, dir_fd=folder)
        try:
            status = os.fstat(descriptor)
            others = status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o022
            if others or not stat.S_ISREG(status.st_mode):
                raise FileNotFoundError
            yield descriptor
        finally:
            os.close(descriptor)


class _Line(NamedTuple):
    """A message in the file: where it begins there, and what it says."""

    begin: int
    name: str
    message: bytes


def _content(descriptor: int) -> bytes:
    return b"".join(iter(lambda: os.read(descriptor, 1 << 20), b""))


def _split(raw: bytes) -> Iterator[_Line]:
    """All whole lines."""
    begin = 0
    for line in raw.split(b"\n")[:-1]:
        name, _blank, message = line.partition(b" ")
        yield _Line(begin, name.decode("ascii", "replace"), message)
        begin += len(line) + 1


def _overwrite(descriptor: int, line: _Line, name: str = "") -> None:
    """Put *name*, as long as the one of the line, in its place; without, no line is left."""
    raw = name.encode("ascii") or b"\n" * (len(line.name) + 1 + len(line.message))
    os.pwrite(descriptor, raw, line.begin)
