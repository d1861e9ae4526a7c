# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TinyDB storage that loses nothing: atomic, durable, shared between processes.

TinyDB's own JSONStorage writes in place, without a lock: a kill or a full disk in the middle costs
the whole database, and two writers corrupt it within a few inserts (docs/decisions/001-store.md).
Here a commit is a new file (write, fsync, rename, fsync of the directory), made under a lock that
covers the whole read-modify-write; readers need no lock because a file never changes once it has
its name.  The generation before the last commit stays beside it as ``NAME.previous``.
What is in the file: file_format.py.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from tinydb.storages import Storage

from coldchain.core.errors import CannotWrite, DataError, TryAgain
from coldchain.core.files import (
    TEMPORARY,
    StrPath,
    cannot_read,
    cannot_write,
    open_new,
    open_ours,
    sync_open_directory,
    write_pieces,
)
from coldchain.core.locks import lock_within, open_lock
from coldchain.core.trusted_path import TrustedFolder
from coldchain.store import file_format, rows
from coldchain.store.file_format import Damage, Damaged, NoDatabase
from coldchain.store.migrations import current, migrated
from coldchain.store.rows import Tables

LOCK_TIMEOUT = 30.0
TIDY_TIMEOUT = 1.0
_ASIDE = ".damaged-"  # and the time, behind the name of a file that was put aside

log = logging.getLogger(__name__)


class AtomicJSONStorage(Storage):
    """One database file of the given *kind*; see the module's docstring.

    expendable: what it holds may be lost: a damaged file without an earlier generation counts as
    empty.  A damaged file, or one that is gone, is replaced by the next writer, who puts it aside.

    What ``read`` hands out and ``write`` takes may hold rows as plain mappings; kept are Rows.
    """

    def __init__(self, path: str | Path, kind: str, *, expendable: bool = False) -> None:
        self.path = Path(path)
        self._name = os.fspath(path)
        self._previous = Path(f"{path}.previous")
        self._lock_file = Path(f"{path}.lock")
        self._temporary, self._link = f"{path}{TEMPORARY}", f"{path}.link"
        self.kind = kind
        self._expendable, self._anew = expendable, False
        self._damage: Damage | None = None  # of the file that was read
        self.generation = 0
        """Counts the contents that were read or written here."""
        self._file: int | None = None  # open while its parse is cached: its inode cannot be reused
        self._identity: tuple[int, ...] | None = None
        self._version = current()  # of the file that was read
        self._tables: Tables | None = None
        self._lines = rows.Lines()  # of what was written last
        self._loaded = False
        self._depth = 0
        self._dirty = False
        self._lock: int | None = None
        self._folder = TrustedFolder(self.path.parent)  # for the lock, with each commit

    # -- reading -----------------------------------------------------------------------------

    def changed(self) -> bool:
        """Has the file been replaced since it was parsed?  One stat."""
        try:
            status = os.stat(self._name)
        except FileNotFoundError:
            return self._identity is not None
        except OSError as error:
            raise cannot_read(self.path, error) from None
        return _identity(status) != self._identity

    def replaced(self) -> bool:
        """Is the file not, or not whole, the one that was written or read here last?"""
        return not self._loaded or self.damaged or self.changed()

    @property
    def damaged(self) -> bool:
        """Was the file damaged or missing when it was read, and is it not put aside yet?"""
        return self._damage is not None

    def read(self) -> Tables | None:
        """What the file holds: inside a transaction what it held at its start, with its changes."""
        if not self._depth:  # inside a transaction it was refreshed at its start
            self._refresh()
        return self._tables

    def _refresh(self) -> None:
        # A writer reads a damaged file once more, to put it aside: else its commit would keep that
        # as the generation before.
        if not self._loaded or self.changed() or (self._damage and self._lock is not None):
            self._load()

    def _load(self) -> None:
        self._forget()  # never two parses in memory
        kept = self._previous.exists()  # asked first: the first two commits may come meanwhile
        try:
            descriptor = open_ours(self.path)
        except FileNotFoundError:
            if kept:
                self._use_previous(f"{self.path}: is missing", None)
            self._loaded = True
            return
        try:
            tables = self._parse(descriptor, self.path)
        except Damaged as damage:
            seen = _identity(os.fstat(descriptor))
            os.close(descriptor)
            self._use_previous(f"{self.path}: {damage}", seen)
            return
        except BaseException:
            os.close(descriptor)
            raise
        self._remember(descriptor, tables)

    def _parse(self, descriptor: int, path: Path) -> Tables:
        try:
            with open(descriptor, "rb", closefd=False) as stream:
                return self._tables_in(stream, path)
        except OSError as error:
            if error.errno == errno.EIO:  # a bad sector
                raise Damaged(f"is damaged ({error.strerror})") from None
            raise cannot_read(path, error) from None

    def _tables_in(self, stream: BinaryIO, path: Path) -> Tables:
        try:
            head = file_format.head_of(stream)
        except NoDatabase:
            if self._expendable or self._anew:
                raise Damaged("is not a database of coldchain") from None
            raise DataError(
                f"{path}: is not a database of coldchain",
                f"move it away; the runner keeps its {self.kind} there",
            ) from None
        if head.kind != self.kind:
            raise DataError(
                f"{path}: holds {head.kind!r}, expected {self.kind!r}", "put the files back"
            )
        if head.version > current():
            raise self._too_new(path, head.version)
        tables = file_format.tables_of(stream, head)
        self._version = head.version
        if head.version == current():
            return tables
        return rows.packed(migrated(head.kind, head.version, tables))

    def _too_new(self, path: Path, version: int) -> DataError:
        hint = "install the newer release again; nothing was changed"
        copy = self._copy(current())
        if copy.exists():
            hint += (
                f"\nor go back to how it was before that release, without what was written since:"
                f" mv {shlex.quote(str(copy))} {shlex.quote(str(self.path))}"
            )
        return DataError(
            f"{path}: has format {version}, this release reads up to {current()}", hint
        )

    def _use_previous(self, why: str, seen: tuple[int, ...] | None) -> None:
        """The last good generation; a writer also puts the damaged file aside.

        seen: what that file is known by, None where it is missing.  What has come in its place
        meanwhile is another one, and is read the next time.
        """
        previous = self._previous
        try:
            descriptor = open_ours(previous)
        except FileNotFoundError:
            way_out = f"or move it away to start with no {self.kind}"
            self._begin_anew(f"{why}, and there is no earlier generation {previous}", way_out, seen)
            return
        try:
            tables = self._parse(descriptor, previous)
        except Damaged as damage:
            os.close(descriptor)
            self._begin_anew(f"{why}, and {previous}: {damage}", "or move both away", seen)
            return
        aside = self._put_aside()
        log.error("%s; using the generation before it, %s%s", why, previous, aside)
        self._remember(descriptor, tables)
        if self._lock is not None:
            self._dirty = True  # the next commit makes it the current generation again
        else:
            self._damage = Damage(self.path, self.kind, why, used=previous)
            self._identity = seen  # so that a repaired one is noticed

    def _begin_anew(self, why: str, way_out: str, seen: tuple[int, ...] | None) -> None:
        """Nothing of it can be read.  Where nothing of it is worth a standstill, or who writes
        knows all of it, it counts as empty, and a writer puts it aside; else DataError."""
        if not (self._expendable or self._anew):
            raise DataError(why, f"restore {self.path} from a backup, {way_out}") from None
        lost = "all of it is written again" if self._anew else f"the {self.kind} in it are lost"
        log.error("%s; %s%s", why, lost, self._put_aside())
        self._tables, self._loaded, self._identity = None, True, None
        self.generation += 1
        if self._lock is not None:
            with contextlib.suppress(FileNotFoundError):
                self._previous.unlink()
            self._dirty = True
        else:
            self._damage, self._identity = Damage(self.path, self.kind, why), seen

    def _put_aside(self) -> str:
        """Let a writer rename the damaged file; what is to be said of that, "" where it was not
        done.  CannotWrite."""
        if self._lock is None:
            return ""
        aside = self.path.with_name(f"{self.path.name}{_ASIDE}{int(time.time())}")
        try:
            os.rename(self.path, aside)
        except FileNotFoundError:
            with contextlib.suppress(OSError):  # that it was gone is told for as long as this lies
                os.close(open_new(aside))
            return ""
        except OSError as error:
            raise cannot_write(self.path, error) from None
        return f"; the damaged file is now {aside}"

    def damages(self) -> list[Damage]:
        """What is to be known of damage to the file, that is or was; also as long as it lies beside
        it.  Raises what ``read`` does."""
        import glob  # which the runner does without

        self.read()
        found = [] if self._damage is None else [self._damage]
        aside = self.path.parent.glob(f"{glob.escape(self.path.name)}{_ASIDE}*")
        why = f"{self.path}: was damaged or missing"
        return found + [Damage(path, self.kind, why, aside=True) for path in sorted(aside)]

    def _copy(self, version: int) -> Path:
        return self.path.with_name(f"{self.path.name}.v{version}")

    def _remember(self, descriptor: int, tables: Tables) -> None:
        self._file, self._identity = descriptor, _identity(os.fstat(descriptor))
        self._tables, self._loaded = tables, True
        self.generation += 1

    def _forget(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file = self._identity = self._tables = None
        self._lines = rows.Lines()
        self._loaded = self._dirty = False
        self._damage = None
        self._version = current()

    # -- writing -----------------------------------------------------------------------------

    def write(self, data: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
        """Replace the content when the transaction ends; RuntimeError outside of one."""
        if not self._depth:
            raise RuntimeError("a write outside of transaction()")
        self._tables, self._dirty = rows.packed(data), True

    @contextmanager
    def transaction(self, timeout: float = LOCK_TIMEOUT, *, anew: bool = False) -> Iterator[None]:
        """Lock, read, let the caller change, commit once.  Any error leaves file and memory as
        they were.  TryAgain when another process holds the lock for *timeout* seconds.  anew: the
        caller writes all of it, so that nobody needs what cannot be read."""
        if self._depth:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            return
        self._lock, self._anew = self._acquire(timeout), anew
        try:
            self._refresh()
            if self._version < current() and self._tables is not None:
                self._dirty = True  # the first writer brings an older file to today's format
            self._depth = 1
            try:
                yield
                if self._dirty:
                    self._commit()
            except BaseException:
                self._forget()  # TinyDB changes the cached dicts before it calls write()
                raise
            finally:
                self._depth = 0
        finally:
            os.close(self._lock)  # releases the lock
            self._lock, self._anew = None, False

    def tidy(self) -> None:
        """Bring an older file to today's format, write one anew that was lost, and remove what a
        crash left of a commit."""
        if not (self.path.exists() or self._previous.exists()):
            return
        try:
            with self.transaction(timeout=TIDY_TIMEOUT):
                for remnant in (self._temporary, self._link):
                    Path(remnant).unlink(missing_ok=True)
        except TryAgain as error:  # somebody writes there: what looks like a remnant is not one
            log.warning("%s; its remnants stay until the next start", error.message)

    def _acquire(self, timeout: float) -> int:
        path = self._lock_file
        lock = open_lock(path, folder=self._folder)
        if not lock_within(lock, timeout):
            os.close(lock)
            raise TryAgain(
                f"{path}: held by another process for {timeout:.0f} s",
                f"try again; fuser {path} tells which one it is",
            )
        return lock

    def _commit(self) -> None:
        tables = self._tables or {}
        pieces = file_format.pieces_of(self.kind, current(), self._lines.of(tables))
        temporary = self._temporary
        descriptor = None
        try:
            descriptor = open_new(temporary)
            write_pieces(descriptor, pieces)
            os.fsync(descriptor)
            self._keep(self._previous)
            if self._version < current():
                self._keep(self._copy(self._version))
            reading = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
            os.close(descriptor)  # kept open for writing it would keep the file system writable
            descriptor = reading
            os.rename(temporary, self._name)
        except OSError as error:
            if descriptor is not None:
                os.close(descriptor)
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise cannot_write(self.path, error) from None
        if self._file is not None:
            os.close(self._file)
        self._dirty = False
        self._version = current()
        self._remember(descriptor, tables)
        try:
            sync_open_directory(self._folder.readable())
        except OSError as error:
            raise CannotWrite(
                f"{self.path}: was written, but the disk does not confirm it: {error.strerror}",
                "see the system log for the reason, and look at the result before you go on",
            ) from None

    def _keep(self, name: StrPath) -> None:
        """Let the present file stay under another name too."""
        try:
            try:
                os.link(self._name, self._link)
            except FileExistsError:  # of a writer that was killed
                os.unlink(self._link)
                os.link(self._name, self._link)
            os.rename(self._link, name)
        except FileNotFoundError:  # it is the first
            pass

    def close(self) -> None:
        """Forget the content and close the file."""
        self._forget()
        self._folder.close()

    def __del__(self) -> None:
        # A caller that reads once and goes on keeps no descriptor.
        if self._file is not None:
            os.close(self._file)
        self._folder.close()


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """Device and inode tell one commit from the next; the rest tells a file changed in place."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
