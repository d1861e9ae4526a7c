# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source of a backup as it is now, in the records of tree_list.py."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from coldchain.agent.engines.tar.restore import staging
from coldchain.agent.engines.tar.stored import tree_list

#: Folder and name of an entry.
Place = tuple[bytes, bytes]


class Folder(NamedTuple):
    """What tells a directory from another one of its name; modified, changed: nanoseconds."""

    inode: int
    modified: int
    changed: int

    @classmethod
    def of(cls, status: os.stat_result) -> Folder:
        """The directory with this *status*."""
        return cls(status.st_ino, status.st_mtime_ns, status.st_ctime_ns)

    def stayed(self, now: Folder) -> bool:
        """Whether *now* is this directory, and it was not renamed since.

        What comes and goes in it changes both of its times, and a rename only one.
        """
        return self.inode == now.inode and (
            self.changed == now.changed or self.modified != now.modified
        )


class Tree:
    """The source as it is, by folder.

    blocks: the records of each folder, as they are written, none for what is mounted; folders:
    all directories; left_out: the records of what is excluded; stages: the members among that in
    which restores work, or were killed; elsewhere: members on other file systems that are no
    directories; links: all places of each file that has several names; entries: how many things of
    it that are no directories are stored; size: the bytes of the files among them, each counted
    once.
    """

    def __init__(self) -> None:
        self.blocks = tree_list.Blocks()
        self.folders: dict[bytes, Folder] = {}
        self.left_out: dict[bytes, dict[bytes, bytes]] = {}
        self.stages: list[bytes] = []
        self.elsewhere: list[bytes] = []
        self.links: dict[tuple[int, int], list[Place]] = {}
        self.entries = self.size = 0


def walk(
    source: Path,
    *,
    follow: bool = False,
    skip: Collection[bytes] = (),
    excluded: Callable[[bytes], bool] | None = None,
) -> Tree:
    """The tree below *source*, a directory or a single file, on its file system.

    follow: links are followed; skip: exact members that stay out; excluded: tells of others.
    """
    tree = Tree()
    top = os.fsencode(source)
    status = os.stat(top)
    if not stat.S_ISDIR(status.st_mode):
        link = os.lstat(top)
        shown = status if follow else link
        tree.blocks[b"."] = tree_list.record(shown, os.path.basename(top), link.st_ctime_ns)
        tree.entries, tree.size = 1, status.st_size
        return tree

    def stays_out(member: bytes) -> bool:
        """Whether somebody has said so."""
        return member in skip or (excluded is not None and excluded(member))

    tree.folders[b"."] = Folder.of(status)
    out = stays_out if skip or excluded is not None else None
    waiting = [(b".", top)]
    while waiting:
        folder, path = waiting.pop()
        try:
            with os.scandir(path) as listing:
                entries = list(listing)
        except OSError:  # tar tells what cannot be read
            continue
        waiting += _take_in(tree, folder, entries, status.st_dev, out, follow=follow)
    return tree


def _take_in(
    tree: Tree,
    folder: bytes,
    entries: Iterable[os.DirEntry[bytes]],
    device: int,
    stays_out: Callable[[bytes], bool] | None,
    *,
    follow: bool,
) -> list[tuple[bytes, bytes]]:
    """Put what lies in *folder* into the *tree*: its directories on this *device*, with their
    paths.

    stays_out: of which members, None of none.  A frequent kind of entry costs no call but its own.
    """
    inner = []
    records, folders, size = [], 0, 0
    for entry in entries:
        name = entry.name
        seen: os.stat_result | None
        try:
            seen = entry.stat(follow_symlinks=follow)
        except OSError:  # gone, or a followed link that leads nowhere
            seen = None
        stage = name.startswith(staging.STAGE) and staging.is_stage(entry.path)
        if stage or stays_out is not None:
            member = folder + b"/" + name
            if stage:
                tree.stages.append(member)
            if stage or (stays_out is not None and stays_out(member)):
                tree.left_out.setdefault(folder, {})[name] = (
                    tree_list.unknown(name) if seen is None else tree_list.record(seen, name)
                )
                continue
        if seen is None:  # tar tells
            continue
        kind = stat.S_IFMT(seen.st_mode)
        if kind == stat.S_IFDIR:
            member = folder + b"/" + name
            records.append(b"d0 0 0 %b\0" % name)
            folders += 1
            tree.folders[member] = Folder.of(seen)
            if seen.st_dev == device:
                inner.append((member, entry.path))
            else:
                tree.blocks[member] = b""
        elif seen.st_dev != device:
            tree.elsewhere.append(folder + b"/" + name)
        elif kind == stat.S_IFREG and seen.st_nlink == 1 and not follow:
            times = seen.st_mtime_ns, seen.st_ctime_ns
            size += seen.st_size
            records.append(b"-%d %d %d %b\0" % (seen.st_size, *times, name))
        else:
            records.append(tree_list.record(seen, name, _changed(entry) if follow else 0))
            if _is_first_name(tree, folder, name, seen) and kind == stat.S_IFREG:
                size += seen.st_size
    tree.blocks[folder] = b"".join(records)
    tree.entries += len(records) - folders
    tree.size += size
    return inner


def _changed(entry: os.DirEntry[bytes]) -> int:
    """When a link that is followed has changed: another target may look the same.  0: is none."""
    return entry.stat(follow_symlinks=False).st_ctime_ns if entry.is_symlink() else 0


def _is_first_name(tree: Tree, folder: bytes, name: bytes, status: os.stat_result) -> bool:
    """Note one of several names of a file: whether the *tree* had none of them."""
    if status.st_nlink <= 1:
        return True
    places = tree.links.setdefault((status.st_dev, status.st_ino), [])
    places.append((folder, name))
    return len(places) == 1


def replaced(source: Path, tree: Tree, *, follow: bool = False) -> set[bytes]:
    """The folders of *tree* that are gone from *source*, or renamed or others by now.

    What tar has read below them may be anything.
    """
    top = os.fsencode(source)
    found = set()
    for member, folder in tree.folders.items():
        try:
            status = os.stat(os.path.join(top, member), follow_symlinks=follow or member == b".")
        except OSError:
            found.add(member)
            continue
        if not stat.S_ISDIR(status.st_mode) or not folder.stayed(Folder.of(status)):
            found.add(member)
    return found
