# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A storage of which some files were fetched already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from coldchain.agent.storages.base import PassedOn, Storage


class Near(PassedOn):
    """*storage*, but what is asked of *files* is read from their descriptors, as often as wanted.

    files: open files by path, private ones: nobody else can change them.  What the storage says of
    their sizes still counts.
    """

    def __init__(self, storage: Storage, files: Mapping[str, int]) -> None:
        super().__init__(storage)
        self._files = files

    def open(self, path: str) -> BinaryIO:
        """A stream of the file *path*, the storage's where it was not fetched."""
        descriptor = self._files.get(path)
        if descriptor is None:
            return self._storage.open(path)
        return open(f"/proc/self/fd/{descriptor}", "rb")

    def is_settled(self, path: str) -> bool:
        """What was fetched is; of the rest what the storage says."""
        return path in self._files or self._storage.is_settled(path)
