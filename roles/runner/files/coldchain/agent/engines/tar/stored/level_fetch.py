# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stored data of levels, checked before they are used, and no others in their place.

What others can change, a server's answer say, is fetched once, into files without a name.
"""

from __future__ import annotations

import os
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial

from coldchain.agent.engines.tar.stored import fetch_group, snapshot
from coldchain.agent.engines.tar.stored.fetch_group import FetchGroup, close_all, free_bytes
from coldchain.agent.engines.tar.stored.layout import DATA, TREE, Level
from coldchain.agent.engines.tar.stored.level_reader import (
    StoredLevel,
    check_blocks,
    checked_blocks,
)
from coldchain.agent.process.signals import allow_signals, defer_signals
from coldchain.agent.progress import Meter
from coldchain.agent.storages.base import Storage
from coldchain.agent.storages.near import Near
from coldchain.core.errors import CannotWrite, DataError
from coldchain.core.files import write_all
from coldchain.core.text import format_bytes

#: Bytes that an entry of a level takes on a disk beside its content.
_ENTRY = 8192

#: Begins to read the stored data of a level.
Source = Callable[[], Iterable[bytes]]


@contextmanager
def checked_once(
    storage: Storage,
    level: StoredLevel,
    folder: int,
    meter: Meter | None = None,
    again: Meter | None = None,
) -> Iterator[Source]:
    """The stored data of the *level*, checked before they are used, and no others in their place.

    What others can change, a server's answer say, is fetched once, into a file without a name in
    the open *folder*.  A sealed level that is read in its place is read for its check first.
    meter: of that reading, again: of those after it, where the storage is asked again.
    Raises JobFailed when they are not what was written, CannotWrite when there is no room.
    """
    if storage.is_settled(level.path(DATA)):
        if level.metadata.seal is not None:
            # Not a byte of a sealed level is decrypted before it is known to be ours.
            for _unused in checked_blocks(storage, level, meter=meter):
                pass
        yield lambda: checked_blocks(storage, level, meter=again)
        return
    check_room([level], storage, folder)
    with _nameless(folder) as descriptor:
        for chunk in checked_blocks(storage, level, meter=meter):
            try:
                write_all(descriptor, chunk)
            except OSError as error:
                raise _no_room(level, error) from None
        yield lambda: snapshot.blocks(descriptor)


class LevelFetcher:
    """The levels of a restore, each checked when its turn comes; some are looked at before that.

    Those that have to be fetched come in groups, small levels together; and the next group comes
    while this one is used, if the disk has room for both.  Leaving its ``with`` block ends that.
    folder: where what was fetched lies; nobody else can enter it.
    """

    def __init__(
        self, storage: Storage, levels: Sequence[StoredLevel], folder: int, meter: Meter
    ) -> None:
        self._storage, self._folder, self._meter = storage, folder, meter
        self._left = deque(levels)
        self._most = check_room(levels, storage, folder)
        self._kept: dict[Level, tuple[ExitStack, Source]] = {}
        self._groups: deque[list[StoredLevel]] | None = None
        self._coming: FetchGroup | None = None
        self._expected: list[StoredLevel] = []
        self._here: dict[str, int] = {}
        self._last = levels[-1]
        #: What came with the levels beside their data is here.
        self.near = Near(storage, self._here)

    def __enter__(self) -> LevelFetcher:
        return self

    def __exit__(self, *exception: object) -> None:
        with defer_signals():
            if self._coming is not None:
                self._coming.end()
            close_all(self._here)
            for stack, _unused in self._kept.values():
                stack.close()

    def look(self, level: StoredLevel) -> Source:
        """The *level* before the first one has its turn: what it says is no more than a plan.

        freezer-agent's have no list of their entries, so that all of it is fetched; it is kept
        where there is room.
        """
        size = sum(_fetched(self._storage, [level]))
        if not size or size + self._most > free_bytes(self._folder):
            return partial(checked_blocks, self._storage, level)
        stack = ExitStack()
        source = stack.enter_context(self._once(level))
        self._kept[level.level] = stack, source
        return source

    def _once(self, level: StoredLevel) -> AbstractContextManager[Source]:
        return checked_once(self._storage, level, self._folder, self._meter, self._meter)

    @contextmanager
    def checked(self, level: StoredLevel) -> Iterator[Source]:
        """The stored data of *level*, the next one in the order that was given.

        Raises as ``checked_once`` does.
        """
        if self._groups is None:
            together = max(self._most, min(fetch_group.TOGETHER, self._spare() - self._most))
            self._groups = deque(self._grouped(together))
        if self._coming is None and self._groups and level is self._groups[0][0]:
            self._split(self._groups)
            self._begin(self._groups)
        if self._coming is not None and level is self._expected[0]:
            with defer_signals():
                with allow_signals():
                    self._coming.arrive(self._moved)
                self._here.update(self._coming.open())
                self._coming = None
            for one in self._expected:
                if one.path(DATA) not in self._here:
                    text = f"{one.path(DATA)} has vanished"
                    raise DataError(text, "the backup is incomplete")
            if self._groups and self._size(self._groups[0]) <= self._spare():
                self._begin(self._groups)
        path = level.path(DATA)
        descriptor = self._here.get(path)
        if descriptor is None:
            stack, source = self._kept.pop(level.level, (ExitStack(), None))
            with stack:
                yield source or stack.enter_context(self._once(level))
        else:
            for _unused in check_blocks(level, DATA, snapshot.blocks(descriptor)):
                pass
            yield lambda: snapshot.blocks(descriptor)
            os.close(self._here.pop(path))
        self._left.popleft()

    def _begin(self, groups: deque[list[StoredLevel]]) -> None:
        """Begin to fetch the next group, unless the storage would rather not."""
        group = groups.popleft()
        paths = [*(level.path(DATA) for level in group), *self._beside(group)]
        with defer_signals():
            try:
                self._coming = FetchGroup.begin(self._storage, paths, self._folder)
            except OSError as error:
                raise _no_room(group[0], error) from None
        self._expected = group

    def _moved(self, number: int) -> None:
        """Count what came."""
        self._meter.bytes += number
        self._meter.tick()

    def _beside(self, group: Sequence[StoredLevel]) -> list[str]:
        """What is fetched with the levels of *group*: what a restore ends with."""
        return [self._last.path(TREE)] if self._last in group and TREE in self._last.parts else []

    def _split(self, groups: deque[list[StoredLevel]]) -> None:
        """Take the levels of the next group one by one where they do not fit together any more."""
        if self._size(groups[0]) > free_bytes(self._folder):
            groups.extendleft([level] for level in reversed(groups.popleft()))
            check_room(groups[0], self._storage, self._folder)

    def _grouped(self, most: int) -> Iterator[list[StoredLevel]]:
        """The levels to fetch, in groups of not more than *most* bytes."""
        group: list[StoredLevel] = []
        for level in self._left:
            if level.level in self._kept or self._storage.is_settled(level.path(DATA)):
                continue
            if group and (
                len(group) == fetch_group.MOST_TOGETHER or self._size([*group, level]) > most
            ):
                yield group
                group = []
            group.append(level)
        if group:
            yield group

    def _size(self, levels: Sequence[StoredLevel]) -> int:
        total = sum(self._storage.size(level.path(DATA)) or 0 for level in levels)
        for path in self._beside(levels):
            with suppress(DataError):  # then the restore does without
                total += self._storage.size(path) or 0
        return total

    def _spare(self) -> int:
        """Bytes of the disk that nothing will need: none when that cannot be told."""
        manifests = [level.manifest for level in self._left]
        needed = sum(m.bytes_read + m.members * _ENTRY for m in manifests if m is not None)
        return 0 if None in manifests else max(0, free_bytes(self._folder) - needed)


def check_room(levels: Sequence[StoredLevel], storage: Storage, folder: int) -> int:
    """The bytes that the largest of *levels* takes for a while on the file system of *folder*.

    Those that are read in their place take none.  Raises CannotWrite when it has no room for them.
    """
    most = max(_fetched(storage, levels), default=0)
    free = free_bytes(folder)
    if most > free:
        where = os.readlink(f"/proc/self/fd/{folder}")
        raise CannotWrite(
            f"a level of {format_bytes(most)} has to be fetched, and {where} has room for"
            f" {format_bytes(free)}",
            "make room there; nothing was restored",
        )
    return most


def _fetched(storage: Storage, levels: Iterable[StoredLevel]) -> Iterator[int]:
    """The bytes of those that are not read in their place."""
    for level in levels:
        if not storage.is_settled(level.path(DATA)):
            yield storage.size(level.path(DATA)) or 0


def _no_room(level: StoredLevel, error: OSError) -> CannotWrite:
    return CannotWrite(
        f"{level.place} cannot be kept while it is used: {error.strerror}",
        "make room; nothing was restored",
    )


@contextmanager
def _nameless(folder: int) -> Iterator[int]:
    """A new file in *folder* that nobody else can open."""
    try:
        descriptor = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=folder)
    except OSError:
        # A file system that cannot do that, or a kernel before 3.11.
        name = f"level-{secrets.token_hex(4)}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=folder)
        os.unlink(name, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
