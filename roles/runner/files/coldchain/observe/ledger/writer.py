# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing the ledger: who did what, in lines that nobody can change unseen.

A line is on disk before the head that counts it: what is beyond the head is new, or was never
acknowledged, and what the head counts and is not there was taken away
(docs/decisions/086-ledger.md).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from coldchain.core.errors import ColdchainError, TryAgain
from coldchain.core.files import cannot_write, sync_directory, write_all, write_atomically
from coldchain.core.locks import lock_within
from coldchain.observe.ledger.files import TAIL, LedgerFiles, no_entry
from coldchain.observe.ledger.format import (
    DAMAGED,
    DROPPED,
    HEAD_BYTES,
    LOCK,
    OWN,
    Act,
    Head,
    act,
    aside,
    files_aside,
    line_of,
)
from coldchain.observe.ledger.recovery import before_next_file, holds, place_of_next

FILE_BYTES = 8_388_608
"""From this size on the file is put aside and another one begun."""
FILES_ASIDE = 8
"""So many are kept beside it."""
PATIENCE = 10.0
"""Seconds that a command waits for the lock: whoever holds it writes two files."""
_BRIEFLY = 1.0


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """What is another one as soon as somebody writes to the file, or puts another in its place:
    the time of its last change is the kernel's, and nobody can set it."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


class _Left(NamedTuple):
    """How a writer has left the ledger: the head, and what both files are known by."""

    head: Head
    of_file: tuple[int, ...]
    of_head: tuple[int, ...]

    def is_there(self, file: Path, head_file: Path) -> bool:
        """Has nobody touched it since?  Then there is nothing to be read again."""
        try:
            files = os.lstat(file), os.lstat(head_file)
        except OSError:
            return False
        return (self.of_file, self.of_head) == (_identity(files[0]), _identity(files[1]))


class Ledger(LedgerFiles):
    """The ledger in the directory *lib*; nothing is made before the first entry.

    known: see LedgerFiles.
    """

    def __init__(self, lib: Path, known: Callable[[], int] = no_entry) -> None:
        super().__init__(lib, known)
        self._lock_file = os.fspath(lib / LOCK)
        self._left: _Left | None = None
        self._uncounted: Head | None = None
        """After what this writer left uncounted, until it is known what became of that."""

    def write(self, done: Act, patience: float = PATIENCE, *, later: bool = False) -> Head:
        """Add an entry, durably; the head that counts it.

        patience: seconds that another writer is waited for; later: leave it to ``count``, or to the
        next one who writes, to wait for the disk and to count it.  Raises TryAgain, CannotWrite,
        Unavailable; then nothing was added.
        """
        with self.locked(patience):
            head = self._present()
            if head.size >= FILE_BYTES:
                head = self._rotate(self._counted(head))
            left = self._left
            if later and left is not None and left.head == head:
                return self._append_uncounted(left, done)
            head, self._uncounted = self.append(head, done), None
            return head

    def count(self, patience: float = PATIENCE) -> Head:
        """Count, durably, what was written before; the head on disk.

        Raises TryAgain, CannotWrite, Unavailable.
        """
        with self.locked(patience):
            return self._counted(self._present())

    def begin(self) -> int:
        """Make the ledger of a host that never had one, as somebody is about to write into it; how
        many entries it has then, 0 where that is not known.

        Whoever commits that number with something else lets ``known`` tell later that a ledger
        was removed, and after a crash between that and the entry nothing looks like it.
        """
        with suppress(ColdchainError, OSError, ValueError), self.locked(_BRIEFLY):
            head = self.head()
            if head is None and not self.present() and not self.known():
                head = Head()
                self._write_head(head)
            return 0 if head is None else max(1, head.entries)
        return 0

    # -- under the lock ------------------------------------------------------------------------

    @contextmanager
    def locked(self, patience: float = PATIENCE) -> Iterator[None]:
        """Nobody else writes within the block.

        patience: seconds that another writer is waited for.  Raises TryAgain, CannotWrite.
        """
        path = self._lock_file
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            lock = os.open(path, flags, 0o600)
        except OSError as error:
            raise cannot_write(path, error) from None
        try:
            if not lock_within(lock, patience):
                raise TryAgain(
                    f"{path}: held by another process for {patience:.0f} s",
                    f"fuser {path} tells which one it is",
                )
            yield
        finally:
            os.close(lock)

    def _present(self) -> Head:
        """The head that the next entry comes after, once all is said that belongs before it."""
        left = self._left
        if left is not None and left.is_there(self.file, self.head_file):
            return left.head
        place, self._left = place_of_next(self), None
        head = place.head
        if place.uncounted:
            head = self._made_durable(head)
        for note in place.notes:
            head = self.append(head, act(OWN, note))
        if self._uncounted is not None and not holds(self, self._uncounted):
            number = self._uncounted.entries
            text = f"entry {number} was altered or taken away before it was counted"
            head = self.append(head, act(OWN, {"did": DAMAGED, "text": text}))
        self._uncounted = None
        return head

    def _counted(self, head: Head) -> Head:
        """*head*, once it is on disk."""
        if self._uncounted is not None:
            head, self._uncounted = self._made_durable(head), None
        return head

    def _made_durable(self, head: Head) -> Head:
        """First the lines, then the head that counts them."""
        self._left = None
        try:
            descriptor = self.open_file(os.O_RDWR)
            try:
                os.fdatasync(descriptor)
                self._left = _Left(head, _identity(os.fstat(descriptor)), self._write_head(head))
            finally:
                os.close(descriptor)
        except FileNotFoundError:  # nothing was written since it was put aside
            self._write_head(head)
        except OSError as error:
            raise cannot_write(self.file, error) from None
        return head

    def _append_uncounted(self, left: _Left, done: Act) -> Head:
        """Add an entry after what was left, and wait for nothing."""
        line, head = line_of(left.head, done), left.head
        try:
            descriptor = self.open_file(os.O_RDWR | os.O_APPEND)
            try:
                try:
                    write_all(descriptor, line + b"\n")
                except OSError:
                    with suppress(OSError):
                        os.ftruncate(descriptor, head.size)
                        self._left = left._replace(of_file=_identity(os.fstat(descriptor)))
                    raise
                of_file = _identity(os.fstat(descriptor))
            finally:
                os.close(descriptor)
        except OSError as error:
            raise cannot_write(self.file, error) from None
        after = head.after(line)
        self._left, self._uncounted = _Left(after, of_file, left.of_head), after
        return after

    def append(self, head: Head, done: Act) -> Head:
        """Add an entry after *head*, within ``locked``: first the line, then the head that counts
        it, which is returned.  Raises CannotWrite."""
        line = line_of(head, done)
        telling = done.what == OWN and done.fields.get("did") == DAMAGED
        after = head.after(line, damage=telling)
        self._left = None
        try:
            descriptor = self.open_file(os.O_RDWR | os.O_APPEND | os.O_CREAT)
            try:
                try:
                    write_all(descriptor, line + b"\n")
                    os.fdatasync(descriptor)
                    if head.size == 0:
                        sync_directory(self.lib)
                    of_head = self._write_head(after)
                    self._left = _Left(after, _identity(os.fstat(descriptor)), of_head)
                except (OSError, ColdchainError):
                    if self._is_head(after):  # only that it is durable is not known
                        return after
                    with suppress(OSError):
                        os.ftruncate(descriptor, head.size)
                    raise
            finally:
                os.close(descriptor)
        except OSError as error:
            raise cannot_write(self.file, error) from None
        return after

    def _write_head(self, head: Head) -> tuple[int, ...]:
        """In place, where there is one to write over: that needs no room and one wait for the disk
        instead of two.  Returns what the file is known by.  CannotWrite."""
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            descriptor = os.open(self.head_file, flags)
        except OSError:
            descriptor = -1
        try:
            if descriptor < 0 or os.fstat(descriptor).st_size != HEAD_BYTES:
                write_atomically(self.head_file, head.encode())
                return _identity(os.lstat(self.head_file))
            os.pwrite(descriptor, head.encode(), 0)
            os.fdatasync(descriptor)
            return _identity(os.fstat(descriptor))
        except OSError as error:
            raise cannot_write(self.head_file, error) from None
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _is_head(self, head: Head) -> bool:
        try:
            return self.head() == head
        except (ValueError, ColdchainError):
            return False

    def _rotate(self, head: Head) -> Head:
        """Put the file aside; of those that lie there, only the newest are kept."""
        try:
            os.rename(self.file, self.lib / aside(head.first))
            sync_directory(self.lib)
        except OSError as error:
            raise cannot_write(self.lib / aside(head.first), error) from None
        head = before_next_file(head)
        self._write_head(head)
        kept = list(files_aside(self.lib).items())
        if len(kept) <= FILES_ASIDE:
            return head
        stays = kept[-FILES_ASIDE]
        with stays[1].open("rb") as stream:
            first = stream.readline(TAIL)
        with suppress(ValueError, KeyError, TypeError):
            through = {"through": stays[0] - 1, "digest": json.loads(first)["prev"]}
            text = f"the entries up to {stays[0] - 1} were given up, as they were too many"
            fields = {"did": DROPPED, "text": text, **through}
            head = self.append(head, act(OWN, fields))
            for _unused, path in kept[:-FILES_ASIDE]:
                path.unlink(missing_ok=True)
        return head
