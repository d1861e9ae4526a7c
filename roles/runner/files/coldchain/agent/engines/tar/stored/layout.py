# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Freezer's layout of a container: names, levels and chains.  Pure: works on listings.

    CONTAINER/metadata/tar/HOST_NAME/ZERO/LEVEL_TS/metadata           the commit marker
    CONTAINER/data/tar/HOST_NAME/ZERO/LEVEL_TS/{data,engine_metadata,...}

HOST_NAME is "{hostname}_{backup_name}", ZERO the time of the chain's level 0 and LEVEL_TS
"{level}_{time}"; times are whole POSIX seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from coldchain.agent.storages.base import Access
from coldchain.core.errors import DataError
from coldchain.core.instants import DAY

if TYPE_CHECKING:
    from coldchain.agent.options import Common

ENGINE = "tar"
DATA, METADATA = "data", "metadata"
ENGINE_METADATA, MANIFEST = "engine_metadata", "manifest.json"
ENTRIES, TREE = "entries.gz", "tree.gz"
#: What a manifest has sums of.
PARTS = (DATA, ENGINE_METADATA, ENTRIES, TREE)

#: The last second that a date can show, of the year 9999.
LATEST = 253402300799
_LAST_YEAR = LATEST - 365 * DAY
_DIGITS = re.compile(r"[0-9]{1,18}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,11}")
_LEVEL = re.compile(r"(0|[1-9][0-9]{0,8})_(0|[1-9][0-9]{0,11})")


class _Series(NamedTuple):
    hostname: str
    backup_name: str


class Series(_Series):
    """All chains of one backup name of one host: Freezer's HOST_NAME."""

    __slots__ = ()

    def __new__(cls, hostname: str, backup_name: str) -> Series:
        """Raises DataError when the two cannot name a directory."""
        if not cls.is_safe(hostname, backup_name):
            raise DataError(
                f"{f'{hostname}_{backup_name}'!r} cannot name a directory of a container",
                "hostname and backup_name must not hold '..', empty or purely numeric parts"
                " between slashes",
            )
        return super().__new__(cls, hostname, backup_name)

    @staticmethod
    def is_safe(hostname: str, backup_name: str) -> bool:
        """Whether the two can name a directory of a container."""
        parts = f"{hostname}_{backup_name}".split("/")
        bad = any("\0" in part or part in ("", ".", "..") for part in parts)
        return not bad and not any(_DIGITS.fullmatch(part) for part in parts[1:])

    @classmethod
    def of(cls, options: Common) -> Series:
        """The series that an action writes or reads."""
        return cls(options.hostname, options.backup_name)

    @property
    def host_name(self) -> str:
        """Freezer's HOST_NAME."""
        return f"{self.hostname}_{self.backup_name}"

    @property
    def metadata_folder(self) -> str:
        """The folder of all commit markers."""
        return f"{METADATA}/{ENGINE}/{self.host_name}"

    @property
    def data_folder(self) -> str:
        """The folder of all parts."""
        return f"{DATA}/{ENGINE}/{self.host_name}"

    def metadata_of(self, level: Level) -> str:
        """The folder whose file "metadata" makes *level* exist."""
        return f"{self.metadata_folder}/{level.zero}/{level.name}"

    def marker_of(self, level: Level) -> str:
        """The file that makes *level* exist."""
        return f"{self.metadata_of(level)}/{METADATA}"

    def data_of(self, level: Level) -> str:
        """The folder with the parts of *level*."""
        return f"{self.data_folder}/{level.zero}/{level.name}"


class Level(NamedTuple):
    """One backup: level *number* of the chain that began at *zero*, taken at *time*."""

    zero: int
    number: int
    time: int

    @property
    def name(self) -> str:
        """LEVEL_TS, the name of its folder."""
        return f"{self.number}_{self.time}"

    @property
    def named(self) -> int:
        """When it was made by what its names tell: no level is older than its chain."""
        return max(self.zero, self.time)

    @property
    def path(self) -> str:
        """ZERO/LEVEL_TS, its name in the series."""
        return f"{self.zero}/{self.name}"


class _Chain(NamedTuple):
    zero: int
    levels: tuple[Level, ...]


class Chain(_Chain):  # without __slots__: a cached property needs a place
    """A level 0 and what was built on it, ordered by level number and time."""

    @property
    def newest(self) -> Level:
        """The newest entry of the highest level: where the chain is continued or restored to."""
        return self.levels[-1]

    @property
    def newest_time(self) -> int:
        """The time of the newest level, POSIX seconds."""
        return max(level.time for level in self.levels)

    @property
    def latest(self) -> int:
        """The latest time that its name and those of its levels tell, POSIX seconds."""
        return max(self.zero, self.newest_time)

    @property
    def is_last(self) -> bool:
        """Whether it is dated so late that nothing could follow it: no clock was right then."""
        return self.latest >= _LAST_YEAR

    @property
    def order(self) -> tuple[bool, int]:
        """Which of two chains is the newer one: that with the greater order."""
        return not self.is_last, self.zero

    def of_number(self, number: int, before: int) -> Level | None:
        """The entry of level *number* that a backup taken at *before* was based on.

        Several entries of one level exist after always_level; the newest not later than *before*
        counts.  Only a clock that was set back leaves no such entry: then the earliest one.
        """
        entries = self._numbered.get(number, [])
        earlier = [level for level in entries if level.time <= before]
        if earlier:
            return earlier[-1]
        return entries[0] if entries else None

    def named(self, name: str) -> Level | None:
        """The level with this name, None without one."""
        return self._named.get(name)

    @cached_property
    def _named(self) -> dict[str, Level]:
        return {level.name: level for level in self.levels}

    @cached_property
    def _numbered(self) -> dict[int, list[Level]]:
        numbered: dict[int, list[Level]] = {}
        for level in self.levels:
            numbered.setdefault(level.number, []).append(level)
        return numbered


def access(series: Series | None, expected: int = 0) -> Access:
    """How a container is used: *series* is the only one that will be looked at (None: all);
    expected: the most bytes that a part may have, 0 when that cannot be told."""
    markers, parts = (f"{METADATA}/{ENGINE}",), (f"{DATA}/{ENGINE}",)
    if series is None:
        roots: tuple[tuple[str, ...], ...] = ((*markers, *parts),)
    else:
        # The others are asked about only when there is no such series.
        roots = ((series.metadata_folder, series.data_folder), markers, parts)
    return Access(roots, _neighbours, expected)


def _neighbours(path: str) -> tuple[Sequence[str], Sequence[str]]:
    """The small files of one HOST_NAME are read together."""
    steps = path.split("/")
    small = (METADATA, MANIFEST)
    if steps[-1] not in small:
        return (), ()
    host_name = "/".join(steps[2:-3])
    return tuple(f"{tree}/{ENGINE}/{host_name}" for tree in (METADATA, DATA)), small


def chain_times(names: Iterable[str]) -> list[int]:
    """The ZEROs among the *names* of a HOST_NAME folder, oldest first; others are ignored."""
    numbers = (int(name) for name in names if _NUMBER.fullmatch(name))
    return sorted(number for number in numbers if number <= LATEST)


def parse_level(zero: int, name: str) -> Level | None:
    """The level that a folder name in ZERO stands for, or None."""
    match = _LEVEL.fullmatch(name)
    if match is None or int(match[2]) > LATEST:
        return None
    return Level(zero, int(match[1]), int(match[2]))


def chain_of(zero: int, names: Iterable[str]) -> Chain | None:
    """The chain behind the *names* in its ZERO folder; None when it holds no level."""
    levels = sorted(filter(None, (parse_level(zero, name) for name in names)))
    return Chain(zero, tuple(levels)) if levels else None


def newest_chain(chains: Iterable[Chain]) -> Chain | None:
    """The chain with the highest ZERO."""
    return max(chains, key=attrgetter("order"), default=None)
