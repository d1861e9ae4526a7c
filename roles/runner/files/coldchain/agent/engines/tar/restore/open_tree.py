# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Going through a tree that is open, in which others may be at work: no link is followed."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

from coldchain.core.errors import CannotWrite, remedy

#: To open a directory by its name, for reading.
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def folders(tree: int) -> Iterator[tuple[bytes, int, Iterator[os.DirEntry[str]]]]:
    """Every directory of the open *tree*: its relative name, a descriptor, and its entries.

    The entries have to be gone through; the directories among them come later.  No path is longer
    than the name in the tree, so that whatever tar can make can be reached.
    """
    waiting = [b""]

    def each(name: bytes, listing: Iterator[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
        for entry in listing:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(os.path.join(name, os.fsencode(entry.name)))
            yield entry

    while waiting:
        name = waiting.pop()
        descriptor = os.open(name or b".", OPEN_FOLDER, dir_fd=tree)
        try:
            with os.scandir(descriptor) as listing:
                yield name, descriptor, each(name, listing)
        finally:
            os.close(descriptor)


def kind(folder: int, name: bytes) -> int | None:
    """The kind of file that *name* is; None when it is not there."""
    try:
        return stat.S_IFMT(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None


def open_up(tree: int) -> dict[bytes, int]:
    """Let an ordinary user enter and change every directory of the open *tree*.

    Returns the relative names of those that had to be changed, each after those that it lies in,
    with their modes.
    """
    changed: dict[bytes, int] = {}
    waiting = [] if os.geteuid() == 0 else [b""]
    while waiting:
        name = waiting.pop()
        with contextlib.suppress(OSError):
            place = name or b"."
            mode = stat.S_IMODE(os.stat(place, dir_fd=tree, follow_symlinks=False).st_mode)
            if mode & 0o700 != 0o700:
                os.chmod(place, mode | 0o700, dir_fd=tree)
                changed[name] = mode
            descriptor = os.open(place, OPEN_FOLDER, dir_fd=tree)
            try:
                with os.scandir(descriptor) as entries:
                    waiting += [
                        os.path.join(name, os.fsencode(entry.name))
                        for entry in entries
                        if entry.is_dir(follow_symlinks=False)
                    ]
            finally:
                os.close(descriptor)
    return changed


def not_writable(path: str, error: OSError) -> CannotWrite:
    """No folder to restore into can be made in *path*."""
    rights = isinstance(error, PermissionError)
    way_out = "restore as a user that can write there" if rights else remedy(error)
    text = f"{path}: cannot be written: {error.strerror}"
    return CannotWrite(text, f"{way_out}, or restore somewhere else")
