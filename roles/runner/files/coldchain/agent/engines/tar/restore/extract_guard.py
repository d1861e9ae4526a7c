# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a level's listing and the restored tree hold that matters for extracting the next one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from coldchain.agent.engines.tar.restore.link_model import above, plain
from coldchain.agent.engines.tar.restore.open_tree import folders
from coldchain.agent.engines.tar.stored import gnu_tar


class Names:
    """Everything but directories, as a level's listing shows it to be after that level.

    directory: the listing has the backed up directory itself, not just a file; folders: all
    directories.
    """

    def __init__(self) -> None:
        self.directory = False
        self.folders: set[bytes] = set()
        self._members: set[bytes] = set()
        self._listed: set[bytes] = set()
        self._folder: bytes | None = None

    def files(self) -> set[bytes]:
        """The relative names of the files."""
        # A directory's list names what was left out because it is unchanged, too.
        return self._listed or self._members

    def take(self, listing: bytes) -> None:
        """Add what whole lines of the listing show."""
        for line in listing.split(b"\n"):
            if self._folder is not None and line[:2] in (b"Y ", b"N "):
                self._listed.add(os.path.join(self._folder, line[2:]))
                continue
            member = gnu_tar.member(line)
            if member is not None and member.kind == "d":
                self._folder = plain(member.name)
                self.folders.add(self._folder)
                self.directory = self.directory or not self._folder
            elif member is not None:
                self._members.add(plain(member.name))


def links(tree: int) -> Iterator[bytes]:
    """The names of all symbolic links below the open directory *tree*, relative to it."""
    for folder, _unused, entries in folders(tree):
        for entry in entries:
            if entry.is_symlink():
                yield os.path.join(folder, os.fsencode(entry.name))


def below(paths: Sequence[bytes]) -> Callable[[bytes], bool]:
    """Whether a name is one of *paths* or lies in one of them."""
    return lambda name: any(name == path or name.startswith(path + b"/") for path in paths)


def everything(dummy: bytes) -> bool:
    """Every name is wanted."""
    return True


def selection(paths: Iterable[bytes]) -> gnu_tar.Members:
    """tar's members for the wanted *paths*, with the directories above for their own sake."""
    paths = list(paths)
    whole = [b"./" + path for path in paths]
    folders = {b"./", *(b"./" + folder for path in paths for folder in above(path))}
    return gnu_tar.Members(
        tuple(os.fsdecode(name) for name in whole),
        tuple(os.fsdecode(name) for name in sorted(folders)),
    )
