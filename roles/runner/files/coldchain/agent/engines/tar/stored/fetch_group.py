# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a storage that are fetched together, into files without names.

A remote storage starts a program, and asks its server several things, for each file otherwise.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from coldchain.agent.engines.tar.stored.layout import PARTS, Level, Series
from coldchain.agent.process.signals import allow_signals, defer_signals
from coldchain.agent.progress import Meter
from coldchain.agent.storages.base import Arrival, Storage
from coldchain.agent.storages.held_directory import HeldDirectory
from coldchain.agent.storages.near import Near
from coldchain.core.changers import changers, user_name
from coldchain.core.errors import ColdchainError, Unavailable
from coldchain.core.files import cannot_write
from coldchain.core.fixed_modes import mount_remedy

#: So many levels, of so many bytes together, are fetched by one program.
MOST_TOGETHER, TOGETHER = 32, 64 << 20
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class FetchGroup:
    """Files on their way into a folder of their own, with their names."""

    def __init__(
        self, paths: Sequence[str], folder: int, arrival: Arrival, stack: ExitStack
    ) -> None:
        self._paths = paths
        self._folder, self._arrival, self._stack = folder, arrival, stack

    @classmethod
    def begin(cls, storage: Storage, paths: Sequence[str], above: int) -> FetchGroup | None:
        """Begin to fetch *paths* into a new folder in the open one *above*.

        None when the storage does not fetch several at once.  Raises OSError where no folder can be
        made.
        """
        with ExitStack() as stack:
            folder = stack.enter_context(_private_folder(above))
            fetching = storage.fetch(paths, folder)
            if fetching is None:
                return None
            arrival = stack.enter_context(fetching)
            return cls(paths, folder, arrival, stack.pop_all())

    def arrive(self, moved: Callable[[int], None]) -> None:
        """Wait until all of them are there; *moved* is told every now and then of more bytes."""
        self._arrival(moved)

    def open(self) -> dict[str, int]:
        """Descriptors of what has come, by path; the files have no names any more.

        This is over with it.
        """
        found: dict[str, int] = {}
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            for path in self._paths:
                with suppress(OSError):
                    found[path] = os.open(path, flags, dir_fd=self._folder)
        except BaseException:
            close_all(found)
            raise
        finally:
            self.end()
        return found

    def end(self) -> None:
        """Stop what is under way, and remove the names of all that has come."""
        self._stack.close()


class NearLevels:
    """The *levels* of a remote storage, which are read in their order, a few at hand at a time.

    Those that are large, or that there is no room for, are read from the storage; so is what
    cannot be fetched with others, for that is how one learns which it is.  spool: the private
    directory for them, which is made when it is not there; None: a temporary one;
    parts: what is fetched of each.  Leaving its ``with`` block lets them go.
    """

    def __init__(
        self,
        storage: Storage,
        levels: Sequence[tuple[Series, Level]],
        spool: Path | None,
        meter: Meter | None,
        parts: Sequence[str] = PARTS,
    ) -> None:
        self._storage, self._spool, self._meter = storage, spool, meter
        self._parts = parts
        self._stack = ExitStack()
        self._above: int | None = None
        self._groups = {key: group for group in self._grouped(levels) for key in group.keys}
        self._group: _Levels | None = None
        self._files: dict[str, int] = {}

    def __enter__(self) -> NearLevels:
        return self

    def __exit__(self, *exception: object) -> None:
        with defer_signals():
            self._let_go()
            self._stack.close()

    def of(self, series: Series, level: Level) -> Storage:
        """From where to read the *level*: the storage, or what was fetched of it."""
        group = self._groups.get((series, level))
        if group is None:
            return self._storage
        if group is not self._group:
            self._let_go()
            self._group = group
            with suppress(ColdchainError, OSError):
                self._fetch(group)
        return Near(self._storage, self._files)

    def _fetch(self, group: _Levels) -> None:
        with defer_signals():
            if self._above is None:
                self._above = self._stack.enter_context(open_spool(self._spool))
            if free_bytes(self._above) < 2 * group.size:
                return
            coming = FetchGroup.begin(self._storage, group.paths, self._above)
            if coming is None:
                return
            try:
                with allow_signals():
                    coming.arrive(lambda number: self._meter.tick() if self._meter else None)
                self._files = coming.open()
            finally:
                coming.end()

    def _let_go(self) -> None:
        with defer_signals():
            files, self._files = self._files, {}
            close_all(files)

    def _grouped(self, levels: Sequence[tuple[Series, Level]]) -> Iterator[_Levels]:
        keys: list[tuple[Series, Level]] = []
        paths: list[str] = []
        total = 0
        for series, level in levels:
            every = [f"{series.data_of(level)}/{name}" for name in self._parts]
            sizes = {path: self._storage.size(path) for path in every}
            size = sum(filter(None, sizes.values()))
            if size > TOGETHER:
                continue
            if keys and (len(keys) == MOST_TOGETHER or total + size > TOGETHER):
                yield _Levels(keys, paths, total)
                keys, paths, total = [], [], 0
            keys.append((series, level))
            paths += [path for path, there in sizes.items() if there is not None]
            total += size
        if keys:
            yield _Levels(keys, paths, total)


class _Levels(NamedTuple):
    """What is fetched at once."""

    keys: list[tuple[Series, Level]]
    paths: list[str]
    size: int


@contextmanager
def open_spool(folder: Path | None) -> Iterator[int]:
    """A descriptor of the private directory *folder*, which is made when it is not there.

    Without one, of a temporary directory.  Raises CannotWrite, Unavailable where others can write.
    """
    from tempfile import TemporaryDirectory, gettempdir

    with ExitStack() as stack:
        try:
            if folder is None:
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="coldchain-")))
            with closing(HeldDirectory(folder)) as spool:
                spool.make()
                with spool.folder("") as way:
                    descriptor = os.open(".", FOLDER, dir_fd=way.folder)
        except OSError as error:
            raise cannot_write(folder or Path(gettempdir()), error) from None
        stack.callback(os.close, descriptor)
        others = changers(descriptor, None) - {0, os.geteuid()}
        if others:
            mend = (
                mount_remedy(f"/proc/self/fd/{descriptor}")
                or f"chmod go-w {shlex.quote(str(folder))}"
            )
            raise Unavailable(
                f"{folder}: {user_name(min(others))} can change what is used from there",
                f"{mend}, or name another spool_dir in the settings",
            )
        yield descriptor


def free_bytes(folder: int) -> int:
    """What the file system of the open *folder* has room for."""
    status = os.fstatvfs(folder)
    return status.f_bavail * status.f_frsize


def close_all(files: dict[str, int]) -> None:
    """Close the descriptors of *files*, and forget them."""
    while files:
        os.close(files.popitem()[1])


@contextmanager
def _private_folder(above: int) -> Iterator[int]:
    """A descriptor of a new folder in the open one *above*; it goes with all that it holds."""
    name = f"levels-{secrets.token_hex(4)}"
    os.mkdir(name, 0o700, dir_fd=above)
    try:
        folder = os.open(name, FOLDER, dir_fd=above)
        try:
            yield folder
        finally:
            os.close(folder)
    finally:
        shutil.rmtree(f"/proc/self/fd/{above}/{name}", ignore_errors=True)
