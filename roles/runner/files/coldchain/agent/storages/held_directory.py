# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory that is opened once, and everything below it reached from there.

Whoever can rename something in a container or above it can change what a path means between two
looks at it; what is open stays what it was.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import stat
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from coldchain.core.changers import user_name, who_gains
from coldchain.core.files import sync_open_directory
from coldchain.core.trusted_path import Way, descend, enter, make_missing, refuse_lure, walk

_FOLDER_MODE = 0o700
#: So many folders are kept open for the next looks, or an eighth of what this process may open, but
#: always more than there are folders above each other.
_MOST_OPEN, _LEAST_OPEN = 64, 16
_LISTED = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class HeldDirectory:
    """The directory *path*; it need not be there before it is made.

    No link that somebody else made, or could have made, is followed by root: Lure.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        #: What is open, by its name; the directory itself has none.
        self._open: dict[str, Way] = {}
        weakref.finalize(self, _close, self._open)
        limit, _unused = resource.getrlimit(resource.RLIMIT_NOFILE)
        small = limit != resource.RLIM_INFINITY and limit < 8 * _MOST_OPEN
        self._most_open = max(_LEAST_OPEN, limit // 8) if small else _MOST_OPEN

    def close(self) -> None:
        """Let go of it; it is opened anew when it is used again."""
        _close(self._open)

    def forget(self) -> None:
        """Look anew at what lies in it."""
        top = self._open.pop("", None)
        _close(self._open)
        if top is not None:
            self._open[""] = top

    def make(self) -> None:
        """Make the directory itself, and those above it."""
        with walk(self.path) as way, ExitStack() as stack:
            _make(way, stack)

    def look(self, folder: str) -> Way:
        """The open *folder*, as ``folder`` has it, until a few others are looked at.

        Who looks at one folder looks at what lies in it and beside it.
        """
        way = self._open.get(folder)
        if way is None and not folder:
            way = self._open[""] = self._there(enter(None, os.path.abspath(self.path)))
        elif way is None:
            above, _unused, name = folder.rpartition("/")
            start = self.look(above)
            if len(self._open) >= self._most_open:
                self.forget()
                start = self.look(above)
            way = self._open[folder] = self._there(enter(start, name), folder)
        return way

    @contextmanager
    def folder(self, folder: str) -> Iterator[Way]:
        """The open *folder*; FileNotFoundError when it is not there."""
        with descend(self.look(""), folder) as way:
            refuse_lure(way)
            if way.missing:
                raise _missing(self.path / folder)
            yield way

    @contextmanager
    def parent(self, path: str) -> Iterator[tuple[int, str, Way]]:
        """The open folder that *path* lies in, its name there, and the way to the folder."""
        above, _unused, name = path.rpartition("/")
        with self.folder(above) as way:
            yield way.folder, name, way

    def check(self, folder: str) -> None:
        """Lure when root would follow somebody else's link to *folder*, which need not be there."""
        with descend(self.look(""), folder) as way:
            refuse_lure(way)

    @contextmanager
    def made(self, folder: str) -> Iterator[Way]:
        """The open *folder*, which is made where it is not there, durable and private."""
        with descend(self.look(""), folder) as way, ExitStack() as stack:
            yield _make(way, stack)

    def _there(self, way: Way, folder: str = "") -> Way:
        """*way*, unless it does not lead to its end, or root must not go it."""
        try:
            refuse_lure(way)
            if way.missing:
                raise _missing(self.path / folder)
        except OSError:
            os.close(way.folder)
            raise
        return way


def _close(ways: dict[str, Way]) -> None:
    while ways:
        os.close(ways.popitem()[1].folder)


def _make(way: Way, stack: ExitStack) -> Way:
    """The whole *way*; each new directory is private, whatever the umask is, and durable."""
    return make_missing(way, stack, _FOLDER_MODE, _FOLDER_MODE, sync_folder)


def _missing(path: Path) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))


def entries(folder: int) -> list[str]:
    """The names in the open *folder*."""
    listed = os.open(".", _LISTED, dir_fd=folder)
    try:
        return os.listdir(listed)
    finally:
        os.close(listed)


def sync_folder(folder: int) -> None:
    """Make renames in the open *folder* durable."""
    listed = os.open(".", _LISTED, dir_fd=folder)
    try:
        sync_open_directory(listed)
    finally:
        os.close(listed)


def remove_tree(folder: int, name: str) -> None:
    """Remove *name* in the open *folder*, and what it holds; of a link only the link."""
    if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        shutil.rmtree(f"/proc/self/fd/{folder}/{name}")
    else:
        os.unlink(name, dir_fd=folder)


def check_file(folder: int, file: os.stat_result) -> None:
    """OSError when the *file*, which lies in the open *folder*, must not be read.

    Others who could put it there would learn from us what they may not read themselves.
    """
    if stat.S_ISLNK(file.st_mode):
        raise OSError(errno.ELOOP, "is a link")
    gains = who_gains(folder, file)
    if gains is not None:
        raise OSError(
            errno.EPERM,
            f"belongs to {user_name(file.st_uid)}, and {user_name(gains)} could have put it there"
            " without being allowed to read it: let one user own both it and its directory (chown)",
        )
