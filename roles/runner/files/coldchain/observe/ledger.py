# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing the ledger: who did what, in lines that nobody can change unseen.

A line is on disk before the head that counts it: what is beyond the head was never acknowledged,
and what the head counts and is not there was taken away (docs/decisions/086-ledger.md).
"""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from coldchain.core.digest import sha256_hex
from coldchain.core.errors import ColdchainError, TryAgain
from coldchain.core.files import (
    cannot_read,
    cannot_write,
    sync_directory,
    write_all,
    write_atomically,
)
from coldchain.core.locks import lock_within
from coldchain.core.text import pluralize
from coldchain.observe.ledger_format import (
    DAMAGED,
    DROPPED,
    FILE,
    HEAD,
    HEAD_BYTES,
    LOCK,
    NOTHING,
    OWN,
    RENEWED,
    RESUMED,
    TORN,
    Act,
    Head,
    act,
    aside,
    beyond,
    files_aside,
    last_digest,
    line_of,
    number_of,
    opened,
)

FILE_BYTES = 8_388_608
"""From this size on the file is put aside and another one begun."""
FILES_ASIDE = 8
"""So many are kept beside it."""
PATIENCE = 10.0
"""Seconds that a command waits for the lock: whoever holds it writes two files."""
_BRIEFLY = 1.0
_TAIL = 4_194_304
_LONGEST = 67_108_864  # bytes of a line


def no_entry() -> int:
    """Nothing is known of a ledger that may be gone."""
    return 0


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


class Ledger:
    """The ledger in the directory *lib*; nothing is made before the first entry.

    known: so many entries there were once, as something else on this host knows that is not lost
    together with the ledger.
    """

    def __init__(self, lib: Path, known: Callable[[], int] = no_entry) -> None:
        self._known = known
        self.lib, self.file, self.head_file = lib, lib / FILE, lib / HEAD
        self._lock_file = os.fspath(lib / LOCK)
        self._left: _Left | None = None

    def write(self, done: Act, patience: float = PATIENCE) -> Head:
        """Add an entry, durably; the head that counts it.

        patience: seconds that another writer is waited for.  Raises TryAgain, CannotWrite,
        Unavailable; then nothing was added.
        """
        with self._locked(patience):
            head, notes = self._found()
            if notes and notes[0]["did"] == RESUMED:  # never two entries beyond the head
                self._write_head(head)
            for note in notes:
                head = self._append(head, act(OWN, note))
            if head.size >= FILE_BYTES:
                head = self._rotate(head)
            return self._append(head, done)

    def begin(self) -> int:
        """Make the ledger of a host that never had one, as somebody is about to write into it; how
        many entries it has then, 0 where that is not known.

        Whoever commits that number with something else lets ``known`` tell later that a ledger
        was removed, and after a crash between that and the entry nothing looks like it.
        """
        with suppress(ColdchainError, OSError, ValueError), self._locked(_BRIEFLY):
            head = self.head()
            if head is None and not self._files() and not self.known():
                head = Head()
                self._write_head(head)
            return 0 if head is None else max(1, head.entries)
        return 0

    def renew(self) -> tuple[Path | None, Head]:
        """Put the ledger aside, whatever it is like, and begin another one, whose first entry tells
        of it; where it is now, None when nothing was there, and the new head.

        Raises TryAgain, CannotWrite, Unavailable.
        """
        with self._locked(PATIENCE):
            before = self._last()
            known, place = max(self.known(), before.entries), self._put_aside()
            digest = before.digest if before.entries else None
            if place is not None:
                count = pluralize(before.entries, "entry")
                text = f"the ledger of {count} was put aside as {place.name}"
            else:
                text = f"there was no ledger: {gone(known)}" if known else "there was no ledger"
            fields = {"did": RENEWED, "text": text, "entries": known, "digest": digest}
            return place, self._append(Head(), act(OWN, fields))

    def _put_aside(self) -> Path | None:
        """Move all files into a new directory, if there are any."""
        files = self._files()
        if not files:
            return None
        name = f"ledger-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
        place, number = self.lib / name, 1
        while os.path.lexists(place):  # twice in one second, or the clock was set back
            number += 1
            place = self.lib / f"{name}-{number}"
        try:
            place.mkdir(mode=0o700)
            for path in files:
                os.rename(path, place / path.name)
            sync_directory(self.lib)
        except OSError as error:
            raise cannot_write(place, error) from None
        return place

    def _files(self) -> list[Path]:
        """All that the ledger consists of and that is there."""
        own = [path for path in (self.file, self.head_file) if os.path.lexists(path)]
        return [*files_aside(self.lib).values(), *own]

    def _last(self) -> Head:
        """The head, or what can be known of the last entry where there is none."""
        try:
            head = self.head()
        except ValueError:
            head = None
        if head is not None:
            return head
        number, digest = self._last_line()
        return Head(number, digest)

    def known(self) -> int:
        """So many entries there were once, as far as that can be found out; 0: none."""
        with suppress(ColdchainError, OSError):
            return self._known()
        return 0

    def head(self) -> Head | None:
        """The head; None when there is none yet.  ValueError, Unavailable."""
        try:
            with opened(self.head_file) as stream:
                return Head.decode(stream.read(4096))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise cannot_read(self.head_file, error) from None

    # -- under the lock ------------------------------------------------------------------------

    @contextmanager
    def _locked(self, patience: float) -> Iterator[None]:
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

    def _found(self) -> tuple[Head, list[dict[str, Any]]]:
        """Where the next entry belongs, and what has to be said before it: each the fields of an
        entry of the ledger's own."""
        if self._left is not None and self._left.is_there(self.file, self.head_file):
            return self._left.head, []
        size = self._size(self.file)
        try:
            head = self.head()
        except ValueError:
            return self._without_head("the head was none")
        if head is None:
            if files_aside(self.lib):
                return self._without_head("the head was gone")
            interrupted = self._beyond(Head(), size) if size else self._first()
            return interrupted or self._without_head("the head was gone")
        if size is None and self._size(self.lib / aside(head.first)) == head.size > 0:
            return self._begun(head), []  # put aside, and its writer ended then
        if size is not None and size >= head.size > 0 and not self._ends_with(head):
            text = f"the line of {FILE} that {HEAD} was written for is another one"
            return head._replace(size=self._ended(size)), [_damage(text)]
        if size == head.size or (size is None and head.size == 0):
            return head, []
        if size is not None and size > head.size:
            return self._beyond(head, size) or self._with_foreign(head, size)
        gone = f"{FILE} had {size or 0} bytes of {head.size}: entries were taken away"
        after = head if size else self._beside(head)
        return after._replace(size=size or 0), [_damage(gone)]

    def _first(self) -> tuple[Head, list[dict[str, Any]]]:
        """Before the first entry of all, or of a ledger in the place of one that is gone."""
        known = self.known()
        return Head(), [_damage(gone(known))] if known else []

    def _ends_with(self, head: Head) -> bool:
        """Is the line before the head's end the one that the head was written for?"""
        with opened(self.file) as stream:
            return last_digest(stream, head.size) in (None, head.digest)

    def _begun(self, head: Head) -> Head:
        """Begin another file; the head says so before there is a line in it."""
        head = self._beside(head)
        self._write_head(head)
        return head

    @staticmethod
    def _beside(head: Head) -> Head:
        """The same head before the first entry of another file."""
        return head._replace(first=head.entries + 1, size=0)

    def _beyond(self, head: Head, size: int) -> tuple[Head, list[dict[str, Any]]] | None:
        """After what a writer left that was interrupted before the head counted its entry; None
        where that is not all that is beyond the head."""
        if size - head.size > _LONGEST:
            return None
        tail = self._read(head.size, size - head.size)
        after, rest = beyond(head, tail)
        if after is not None and not rest:
            text = f"the writer of entry {after.entries} ended before the head counted it"
            return after, [{"did": RESUMED, "text": text}]
        if after is None and b"\n" not in rest:
            self._cut(head.size)
            text = "an entry was not whole when its writer ended: it was cut off"
            cut = {"bytes": len(rest), "sha256": sha256_hex(rest)}
            return head, [{"did": TORN, "text": text, **cut}]
        return None

    def _with_foreign(self, head: Head, size: int) -> tuple[Head, list[dict[str, Any]]]:
        """Go on after what is no entry and stays where it is."""
        text = f"{FILE} had {size} bytes instead of {head.size}, which are no entries"
        return head._replace(size=self._ended(size)), [_damage(text)]

    def _without_head(self, why: str) -> tuple[Head, list[dict[str, Any]]]:
        """Go on after the last line that looks like an entry."""
        number, digest = self._last_line()
        size = self._ended(self._size(self.file) or 0)
        begins = number_of(self._read(0, _TAIL).split(b"\n")[0]) if size else 0
        head = Head(number, digest, begins or number + 1, size)
        return head, [_damage(f"{why}; entry {number} was the last one to be found")]

    def _last_line(self) -> tuple[int, str]:
        """Number and digest of the last line that looks like an entry; 0 without any."""
        for path in reversed([*files_aside(self.lib).values(), self.file]):
            end = self._size(path) or 0
            lines = self._read(max(0, end - _TAIL), _TAIL, path).split(b"\n")
            last = next((line for line in reversed(lines) if number_of(line)), None)
            if last is not None:
                return number_of(last), sha256_hex(last)
        return 0, NOTHING

    def _append(self, head: Head, done: Act) -> Head:
        """First the line, then the head that counts it."""
        line = line_of(head, done)
        size, damaged = head.size + len(line) + 1, head.damaged
        if damaged is None and done.what == OWN and done.fields.get("did") == DAMAGED:
            damaged = head.entries + 1
        after = Head(head.entries + 1, sha256_hex(line), head.first, size, damaged)
        self._left = None
        try:
            descriptor = self._open(os.O_RDWR | os.O_APPEND | os.O_CREAT)
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
        head = self._begun(head)
        kept = list(files_aside(self.lib).items())
        if len(kept) <= FILES_ASIDE:
            return head
        stays = kept[-FILES_ASIDE]
        with stays[1].open("rb") as stream:
            first = stream.readline(_TAIL)
        with suppress(ValueError, KeyError, TypeError):
            through = {"through": stays[0] - 1, "digest": json.loads(first)["prev"]}
            text = f"the entries up to {stays[0] - 1} were given up, as they were too many"
            fields = {"did": DROPPED, "text": text, **through}
            head = self._append(head, act(OWN, fields))
            for _unused, path in kept[:-FILES_ASIDE]:
                path.unlink(missing_ok=True)
        return head

    # -- the file ------------------------------------------------------------------------------

    def _open(self, flags: int) -> int:
        """Open the file, which is one; OSError."""
        flags |= os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(self.file, flags, 0o600)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "is not a file")
        return descriptor

    @staticmethod
    def _size(path: Path) -> int | None:
        """Bytes of a file; None when it is not there."""
        try:
            return path.lstat().st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise cannot_read(path, error) from None

    def _read(self, begin: int, length: int, path: Path | None = None) -> bytes:
        path = path or self.file
        try:
            with opened(path) as stream:
                stream.seek(begin)
                return stream.read(length)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise cannot_read(path, error) from None

    def _cut(self, size: int) -> None:
        try:
            descriptor = self._open(os.O_WRONLY)
            try:
                os.ftruncate(descriptor, size)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise cannot_write(self.file, error) from None

    def _ended(self, size: int) -> int:
        """The size of the file once its last line has an end."""
        if not size or self._read(size - 1, 1) == b"\n":
            return size
        try:
            descriptor = self._open(os.O_WRONLY | os.O_APPEND)
            try:
                write_all(descriptor, b"\n")
            finally:
                os.close(descriptor)
        except OSError as error:
            raise cannot_write(self.file, error) from None
        return size + 1


def gone(known: int) -> str:
    """What is to be said of a ledger that had *known* entries and is not there."""
    return f"it once had {pluralize(known, 'entry')} or more, and was gone"


def _damage(text: str) -> dict[str, Any]:
    return {"did": DAMAGED, "text": text}
