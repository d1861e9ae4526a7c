# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending the restore of a chain with what its last level held, as its list tells.

tar removes what a directory does not hold any more at a later level.  It leaves what was excluded
or mounted over by then, and what went behind its back: earlier levels bring that, as it was at some
time.  What the last level could not read stays as earlier levels have it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence

from coldchain.agent.engines.tar.restore import open_tree
from coldchain.agent.engines.tar.restore.extract_guard import below, everything
from coldchain.agent.engines.tar.restore.link_model import above, plain
from coldchain.agent.engines.tar.stored import snapshot, tree_list
from coldchain.agent.engines.tar.stored.layout import TREE
from coldchain.agent.engines.tar.stored.level_reader import StoredLevel, load
from coldchain.agent.options import Encryption
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import DataError, JobFailed
from coldchain.core.text import display_name, pluralize

#: Bytes of a record without its name, at most about.
_RECORD = 80
#: Of half a million files in one folder.
_LARGEST = 1 << 25
#: What a restore may not bring although the level has it: sockets never, devices by hand.
_NOT_BROUGHT = b"scb"


class Unlisted:
    """In what a restored tree differs from the list, by relative name.

    surplus: what the last level did not hold, directories with all that is in them; missing: what
    it held and no archive brought.
    """

    def __init__(self) -> None:
        self.surplus: list[bytes] = []
        self.missing: list[bytes] = []

    def told(self, level: int) -> Iterator[str]:
        """The differences, as warnings about the restored *level*."""
        if self.surplus:
            yield (
                f"{pluralize(len(self.surplus), 'name')} of earlier levels not restored, level"
                f" {level} did not hold them: {_some(self.surplus)}"
            )
        if self.missing:
            yield (
                f"{pluralize(len(self.missing), 'name')} that level {level} lists not in the"
                f" archives: {_some(self.missing)}"
            )


def contents(
    storage: Storage,
    levels: Sequence[StoredLevel],
    encryption: Encryption | None,
    largest: int = _LARGEST,
) -> Iterator[tuple[bytes, bytes]]:
    """The folders that the last of *levels* held, by relative name, with their records.

    What lies in a directory that it could not read is told by the level before.  largest: bytes of
    the records of the largest folder.  Raises DataError or JobFailed when a list cannot be used,
    DataError when the last level has none.
    """
    wanted: Callable[[bytes], bool] = everything
    for level in reversed(levels):
        unread = []
        if TREE not in level.parts:
            if level is levels[-1]:
                raise DataError(f"{level.place} has no {TREE}")
            return
        with snapshot.memfd() as listed:
            load(storage, level, TREE, encryption, listed)
            for name, block in tree_list.read(listed, largest, whole=True):
                folder = plain(name)
                if wanted(folder):
                    yield folder, block
                    unread += [
                        os.path.join(folder, name)
                        for kind, name in tree_list.names(block)
                        if kind == tree_list.UNKNOWN
                    ]
        if not unread:
            return
        wanted = below(unread)


def compare(
    tree: int,
    storage: Storage,
    level: StoredLevel,
    encryption: Encryption | None,
    selected: Callable[[bytes], bool],
) -> Unlisted:
    """In what the open *tree*, of which only *selected* names are wanted, differs from *level*.

    Raises what ``contents`` does.
    """
    there, largest = set(), 0
    for folder, _unused, entries in open_tree.folders(tree):
        there.add(folder)
        largest = max(largest, sum(_RECORD + len(entry.name) for entry in entries))
    found = Unlisted()
    for folder, block in contents(storage, [level], encryption, largest):
        # No way leads there but through directories, and no list names a folder twice.
        if folder not in there:
            continue
        there.remove(folder)
        present = set(map(os.fsencode, _listdir(tree, folder)))
        for kind, name in tree_list.names(block):
            if name in present:
                if kind != b"s":
                    present.remove(name)
            elif kind not in _NOT_BROUGHT + tree_list.UNKNOWN:
                member = os.path.join(folder, name)
                if selected(member):
                    found.missing.append(member)
        found.surplus += [os.path.join(folder, name) for name in sorted(present)]
    # A list may tell of what lies in a directory that it does not have.
    gone = set(found.surplus)
    found.surplus = [name for name in found.surplus if gone.isdisjoint(above(name))]
    found.missing = [name for name in found.missing if gone.isdisjoint(above(name))]
    return found


def end(
    tree: int,
    storage: Storage,
    level: StoredLevel,
    encryption: Encryption | None,
    selected: Callable[[bytes], bool],
) -> tuple[int, list[str]]:
    """Remove from the open *tree* what *level*, the last one, did not hold: (how much, warnings).

    Without a list of the level, freezer-agent's have none, everything stays.
    """
    if level.manifest is None:
        return 0, []
    try:
        found = compare(tree, storage, level, encryption, selected)
    except (DataError, JobFailed) as error:
        why = f"{error.message}: what had been left out by then is not told from what was not"
        return 0, [why]
    for member in found.surplus:
        _remove(tree, member)
    found.surplus = list(filter(selected, found.surplus))
    return len(found.surplus), list(found.told(level.level.number))


def _listdir(tree: int, folder: bytes) -> list[str]:
    descriptor = _open(tree, folder)
    try:
        return os.listdir(descriptor)
    finally:
        os.close(descriptor)


def _open(tree: int, folder: bytes) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(folder or b".", flags, dir_fd=tree)


def _remove(tree: int, member: bytes) -> None:
    folder, name = os.path.split(member)
    descriptor = _open(tree, folder)
    try:
        before = os.fstat(descriptor)
        path = b"/proc/self/fd/%d/%s" % (descriptor, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(name, dir_fd=descriptor)
        os.utime(descriptor, ns=(before.st_atime_ns, before.st_mtime_ns))
    finally:
        os.close(descriptor)


def _some(names: Sequence[bytes]) -> str:
    first = ", ".join(map(display_name, names[:3]))
    return first + (f" and {len(names) - 3} more" if names[3:] else "")
