# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What in a target would stop a restore, for a dry run: in the words of the restore."""

from __future__ import annotations

import contextlib
import errno
import os
from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from coldchain.agent.engines.tar.restore import placing
from coldchain.agent.engines.tar.restore.link_model import above
from coldchain.agent.engines.tar.restore.open_tree import OPEN_FOLDER, not_writable
from coldchain.agent.mounts import mount_points
from coldchain.core.errors import ColdchainError


def collision(
    target: Path,
    files: Sequence[bytes],
    folders: Collection[bytes],
    selected: Callable[[bytes], bool],
    paths: Sequence[bytes],
) -> str:
    """Why a merge of *files*, in order, and *folders* into *target* would be refused; "".

    selected, paths: what is restored at all.  What cannot be read is not told, nor what others
    change meanwhile.
    """
    place = os.path.realpath(target)
    try:
        _check_writable(place)
        with contextlib.suppress(OSError):
            descriptor = os.open(place, OPEN_FOLDER)
            try:
                leading = {folder for path in paths for folder in above(path)}
                brought = {name for name in folders if selected(name)} | leading | {b""}
                _Target(os.fsencode(place), files, brought).check(descriptor, b"")
            finally:
                os.close(descriptor)
    except ColdchainError as error:
        return f"{error.message}; {error.hint}"
    return ""


def _check_writable(place: str) -> None:
    """CannotWrite where neither the target nor the directory that it lies in may be changed."""
    places = [place, os.path.dirname(place)] if os.path.isdir(place) else [place]
    while not os.path.isdir(places[0]):
        places = [os.path.dirname(places[0])]
    read_only = os.statvfs(places[0]).f_flag & os.ST_RDONLY
    if read_only or not any(os.access(one, os.W_OK | os.X_OK) for one in places):
        number = errno.EROFS if read_only else errno.EACCES
        raise not_writable(places[0], OSError(number, os.strerror(number)))


class _Target:
    """A target that holds something, and what shall come into it."""

    def __init__(self, path: bytes, files: Sequence[bytes], folders: Collection[bytes]) -> None:
        self._path, self._files, self._folders = path, files, folders
        self._filled = {os.path.dirname(name) for name in folders if name}
        self._mounts = set(mount_points(path))

    def check(self, folder: int, name: bytes) -> None:
        """Raise JobFailed as the restore does for what lies in the open *folder*, *name* in it."""
        path = os.path.join(self._path, name) if name else self._path
        placing.check_mutable(b".", folder, os.fstat(folder), path)
        for entry in map(os.fsencode, os.listdir(folder)):
            member = os.path.join(name, entry)
            is_folder = member in self._folders
            if not is_folder and not self._is_file(member):
                continue
            full = os.path.join(self._path, member)
            if full in self._mounts:
                if is_folder and not self._holds(member):
                    continue
                raise placing.mounted(full)
            status = os.stat(entry, dir_fd=folder, follow_symlinks=False)
            placing.check_mutable(entry, folder, status, full)
            with contextlib.suppress(NotADirectoryError):
                inner = os.open(entry, OPEN_FOLDER, dir_fd=folder)
                try:
                    if is_folder:
                        self.check(inner, member)
                    elif os.listdir(inner):
                        raise placing.in_the_way(full)
                finally:
                    os.close(inner)

    def _is_file(self, name: bytes) -> bool:
        at = bisect_left(self._files, name)
        return at < len(self._files) and self._files[at] == name

    def _holds(self, name: bytes) -> bool:
        """Whether the backup has anything in the directory *name*."""
        at = bisect_left(self._files, name + b"/")
        below = at < len(self._files) and self._files[at].startswith(name + b"/")
        return below or name in self._filled
