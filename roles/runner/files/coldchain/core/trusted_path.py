# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Going to a place on disk step by step, and who else could have led the way elsewhere.

A path is a promise of everybody who can rename something on it.  What is opened here stays what it
was, whatever its names become.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from coldchain.core.changers import changers, listed_writers, user_name, writers
from coldchain.core.errors import KnownRemedy

_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = _STEP | os.O_DIRECTORY
_MOST_LINKS = 40


class Way(NamedTuple):
    """The way to a directory that may not be there yet.

    path: without links; folder: descriptor of the deepest directory that is there; missing: the
    names below it; parent: descriptor of the directory that *folder* lies in, None for the root;
    others: who but root and this user could rename what lies on the way (user id or ANYBODY), and
    in which directory; lure: the first link on it that somebody else made, or could have made.
    """

    path: str
    folder: int
    missing: tuple[str, ...]
    parent: int | None
    others: Mapping[int, str] = MappingProxyType({})
    lure: str | None = None

    @property
    def name(self) -> str:
        """The last name of the path; empty for the root."""
        return os.path.basename(self.path)


@contextmanager
def walk(path: str | os.PathLike[str]) -> Iterator[Way]:
    """The way to *path*, which is absolute; its descriptors are open within the block.

    Raises NotADirectoryError when something else is on it, OSError when it cannot be gone.
    """
    with ExitStack() as stack:

        def keep(descriptor: int) -> int:
            stack.callback(os.close, descriptor)
            return descriptor

        yield _walk(os.path.abspath(path), keep)


@contextmanager
def descend(start: Way, path: str) -> Iterator[Way]:
    """The way on from the directory *start*, to *path* below it; as ``walk``, but for the parent.

    Who could have led elsewhere before *start* still counts.
    """
    way = enter(start, path)
    try:
        yield way
    finally:
        os.close(way.folder)


def enter(start: Way | None, path: str) -> Way:
    """As ``descend``; its descriptor is the caller's to close.  Without *start* from the root."""
    walker = _Walker(start)
    try:
        return walker.go(path)
    except BaseException:
        walker.close()
        raise


def _walk(path: str, keep: Callable[[int], int]) -> Way:
    way = enter(None, path)
    keep(way.folder)
    if way.missing or way.path == "/":
        return way
    return way._replace(parent=keep(os.open("..", _FOLDER, dir_fd=way.folder)))


class _Walker:
    """Goes down a path step by step, with two descriptors at the most.

    start: where it begins, the root without one.
    """

    def __init__(self, start: Way | None = None) -> None:
        self._others: dict[int, str] = {}
        self._lure: str | None = None
        self._path = ""  # of where it is; nothing for the root
        if start is not None:
            self._path = start.path.rstrip("/")
            self._others, self._lure = dict(start.others), start.lure
        self._links = 0
        self._ours = {0, os.geteuid()}
        self._start = os.open("/", _FOLDER) if start is None else start.folder
        self._keeps_start = start is not None
        self._folder = self._start
        self._status = os.fstat(self._folder)

    def go(self, path: str) -> Way:
        """As far as there are directories; who asks has to close the descriptor of the way."""
        todo = deque(_names(path))
        while todo:
            name = todo.popleft()
            if name == "..":
                self._enter("..", self._path.rpartition("/")[0])
                continue
            with contextlib.suppress(NotADirectoryError, FileNotFoundError):
                self._enter(name, f"{self._path}/{name}")
                continue
            try:
                step = os.open(name, _STEP, dir_fd=self._folder)
            except FileNotFoundError:
                missing = (name, *todo)
                if ".." in missing:
                    raise
                self._note(None)
                return self._way(missing)
            try:
                status = os.fstat(step)
                aim = os.readlink("", dir_fd=step) if stat.S_ISLNK(status.st_mode) else None
            finally:
                os.close(step)
            if aim is not None:
                self._follow(path, name, status, aim)
                todo.extendleft(reversed(_names(aim)))
                continue
            whole = f"{self._path}/{name}"
            if not stat.S_ISDIR(status.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), whole)
            self._enter(name, whole)
        return self._way(())

    def close(self) -> None:
        """Let go of where it is."""
        if self._folder != self._start or not self._keeps_start:
            os.close(self._folder)

    def _way(self, missing: tuple[str, ...]) -> Way:
        if self._folder == self._start and self._keeps_start:
            self._folder = os.open(".", _FOLDER, dir_fd=self._start)
        path = "/".join((self._path, *missing)) or "/"
        return Way(path, self._folder, missing, None, self._others, self._lure)

    def _follow(self, path: str, name: str, status: os.stat_result, aim: str) -> None:
        self._links += 1
        if self._links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if self._note(status) or status.st_uid not in self._ours:
            self._lure = self._lure or f"{self._path}/{name}"
        if aim.startswith("/"):
            self._enter("/", "")

    def _enter(self, name: str, path: str) -> None:
        """Go to *name*; only that, and not a look at it, mounts what is to be mounted there."""
        inner = os.open(name, _FOLDER, dir_fd=self._folder)
        status = os.fstat(inner)
        if name not in ("/", ".."):
            self._note(status)
        # A signal may come between any two steps: what is closed is nobody's by then.
        left, self._folder, self._path, self._status = self._folder, inner, path, status
        if left != self._start or not self._keeps_start:
            os.close(left)

    def _note(self, following: os.stat_result | None) -> bool:
        """Note who could put something else in the place of what follows; is there somebody?"""
        listed = listed_writers(self._folder, self._status)
        users = writers(self._status, following, listed) - self._ours
        for user in users:
            self._others.setdefault(user, self._path or "/")
        return bool(users)


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]


def open_file(path: str | os.PathLike[str], flags: int, mode: int = 0o600) -> int:
    """Open the file *path*, for which *flags* may make it with *mode*; never waits.

    Raises OSError, whose text says it: a link in its place, no file, or, for root, a link on the
    way that somebody else made or could have made.
    """
    folder, name = os.path.split(os.path.abspath(path))
    trusted = TrustedFolder(folder)
    try:
        return trusted.open_file(name, flags, mode)
    finally:
        trusted.close()


def open_often(path: str, flags: int) -> int:
    """``open_file`` for whoever opens files in the directories of one again and again: this process
    keeps that one open.  To go the way each time takes as long as all else of a run's log."""
    whole = path if path.startswith("/") else os.path.abspath(path)
    folder, _slash, name = whole.rpartition("/")
    top, _slash, inner = folder.rpartition("/")
    try:
        return _kept(top or "/").open_below(inner, name, flags)
    except NotADirectoryError:  # a link, which may be root's own
        return open_file(path, flags)


def make_often(path: str) -> None:
    """Make the directory *path* (0700), see ``open_often``; OSError, also where it is there."""
    top, _slash, name = path.rpartition("/")
    with _kept(top or "/").entered() as folder:
        os.mkdir(name, 0o700, dir_fd=folder)


@lru_cache(maxsize=1)
def _kept(path: str) -> TrustedFolder:
    return TrustedFolder(path)


class TrustedFolder:
    """A directory that files are opened in again and again, as ``open_file`` opens one.

    The way to it is gone once, and anew when its path leads to another directory than it did: to
    go it takes four system calls for each name on it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.path.abspath(path)
        self._folder = self._readable = -1
        self._identity: tuple[int, int] | None = None  # of what is open
        self._others: Collection[int] = ()  # who could rename what lies on the way

    def open_file(self, name: str, flags: int, mode: int = 0o600) -> int:
        """See the function of that name."""
        self._go()
        return _open_in(self._folder, self._others, self._path, name, flags, mode)

    @contextmanager
    def entered(self) -> Iterator[int]:
        """``open_folder`` of it."""
        self._go()
        yield self._folder

    def open_below(self, inner: str, name: str, flags: int, mode: int = 0o600) -> int:
        """``open_file`` for the file *name* of the directory *inner* of this one.

        Raises NotADirectoryError, too, where that is a link.
        """
        self._go()
        path = f"{self._path}/{inner}"
        try:
            folder = os.open(inner, _FOLDER, dir_fd=self._folder)
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from None
        try:
            return _open_in(folder, self._before(folder), path, name, flags, mode)
        finally:
            os.close(folder)

    def _before(self, folder: int) -> Iterator[int]:
        """Who could rename the open *folder*, which lies in this one, or what is before it."""
        yield from self._others
        yield from changers(self._folder, os.fstat(folder))

    def readable(self) -> int:
        """A descriptor for reading of the directory that the last file was opened in, whatever has
        come in its place; it is closed with ours."""
        if self._readable < 0:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            self._readable = os.open(os.curdir, flags, dir_fd=self._folder)
        return self._readable

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the directory; to open a file goes the way again."""
        for descriptor in (self._folder, self._readable):
            if descriptor >= 0:
                os.close(descriptor)
        self._folder, self._readable, self._identity = -1, -1, None

    def _go(self) -> None:
        if self._identity is not None:
            # As long as it is open, no other directory can have its number.
            status = os.stat(self._path)
            if (status.st_dev, status.st_ino) == self._identity:
                return
            self.close()
        with walk(self._path) as way:
            if way.missing:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._path)
            refuse_lure(way)
            status = os.fstat(way.folder)
            self._others = tuple(way.others)
            self._folder = os.dup(way.folder)
            self._identity = status.st_dev, status.st_ino


@contextmanager
def open_folder(path: str | os.PathLike[str]) -> Iterator[int]:
    """A descriptor of the directory *path*, to reach what lies in it from there.

    Raises OSError as ``open_file`` does.
    """
    with walk(path) as way:
        refuse_lure(way)
        if way.missing:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
        yield way.folder


def make_folder(path: str | os.PathLike[str], mode: int, above: int) -> None:
    """Make the directory *path* with *mode*, and those above it with the mode *above*.

    What is there stays as it is.  Raises OSError as ``open_file`` does.
    """
    with walk(path) as way, ExitStack() as stack:
        make_missing(way, stack, mode, above)


def make_missing(
    way: Way, stack: ExitStack, mode: int, above: int, made: Callable[[int], None] | None = None
) -> Way:
    """The whole *way*, whose descriptors *stack* closes; see ``make_folder``.

    made: is called with the descriptor of each directory in which one was made.
    """
    refuse_lure(way)
    for name in way.missing:
        with contextlib.suppress(FileExistsError):  # another one was as quick
            os.mkdir(name, mode if len(way.missing) == 1 else above, dir_fd=way.folder)
        if made is not None:
            made(way.folder)
        here = way.path.split("/")[: -len(way.missing)]
        at = way._replace(path="/".join(here), missing=())
        way = stack.enter_context(descend(at, "/".join(way.missing)))
        refuse_lure(way)
    if way.missing:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), way.path)
    return way


def open_below(way: Way, name: str, flags: int, mode: int = 0o600) -> int:
    """``open_file`` for the file *name* of the directory that *way* leads to."""
    refuse_lure(way)
    return _open_in(way.folder, way.others, way.path, name, flags, mode)


def _open_in(
    folder: int, others: Iterable[int], folder_path: str, name: str, flags: int, mode: int
) -> int:
    """others: who could rename what lies on the way to the open *folder*, mostly not asked for."""
    path = f"{folder_path}/{name}"
    wanted = flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(name, wanted, mode, dir_fd=folder)
    except OSError as error:
        text = {errno.ELOOP: "is a link", errno.ENXIO: "is not a file"}.get(error.errno or 0)
        raise OSError(error.errno, text or error.strerror, path) from None
    status = os.fstat(descriptor)
    strange = None
    if not stat.S_ISREG(status.st_mode):
        strange = "is not a file"
    elif status.st_nlink > 1 and os.geteuid() == 0:
        makers = {*others, *changers(folder, status)} - {0}
        if makers:
            strange = f"has another name, and {user_name(min(makers))} may have made this one"
    if strange is not None:
        os.close(descriptor)
        raise OSError(errno.EINVAL, strange, path)
    return descriptor


def refuse_lure(way: Way) -> None:
    """Lure when root would follow a link that somebody else made, or could have made."""
    if way.lure is not None and os.geteuid() == 0:
        raise Lure(errno.ELOOP, f"is a link to {way.path} that somebody else made", way.lure)


class Lure(KnownRemedy):
    """A link on the way is not to be followed."""

    hint = "name the directory that it leads to, or give the link to root (chown -h)"
