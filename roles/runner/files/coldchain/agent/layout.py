# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Freezer's layout of a container: names, levels and chains.  Pure: works on listings.

    CONTAINER/metadata/tar/HOST_NAME/ZERO/LEVEL_TS/metadata           the commit marker
    CONTAINER/data/tar/HOST_NAME/ZERO/LEVEL_TS/{data,engine_metadata,entries.gz,manifest.json}

HOST_NAME is "{hostname}_{backup_name}", ZERO the time of the chain's level 0 and LEVEL_TS
"{level}_{time}"; times are whole POSIX seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from coldchain.errors import DataError

ENGINE = "tar"
DATA, METADATA = "data", "metadata"
ENGINE_METADATA, MANIFEST, ENTRIES = "engine_metadata", "manifest.json", "entries.gz"

_NUMBER = re.compile(r"\d{1,18}")
_LEVEL = re.compile(r"(\d{1,9})_(\d{1,18})")


@dataclass(frozen=True)
class Series:
    """All chains of one backup name of one host: Freezer's HOST_NAME."""

    hostname: str
    backup_name: str

    def __post_init__(self) -> None:
        parts = self.host_name.split("/")
        unsafe = "\0" in self.host_name or any(part in ("", ".", "..") for part in parts)
        if unsafe or any(_NUMBER.fullmatch(part) for part in parts[1:]):
            raise DataError(
                f"{self.host_name!r} cannot name a directory of a container",
                "hostname and backup_name must not hold '..', empty or purely numeric parts"
                " between slashes",
            )

    @property
    def host_name(self) -> str:
        return f"{self.hostname}_{self.backup_name}"

    @property
    def metadata_folder(self) -> str:
        return f"{METADATA}/{ENGINE}/{self.host_name}"

    @property
    def data_folder(self) -> str:
        return f"{DATA}/{ENGINE}/{self.host_name}"

    def metadata_of(self, level: Level) -> str:
        """The folder whose file "metadata" makes *level* exist."""
        return f"{self.metadata_folder}/{level.zero}/{level.name}"

    def data_of(self, level: Level) -> str:
        """The folder with the parts of *level*."""
        return f"{self.data_folder}/{level.zero}/{level.name}"


@dataclass(frozen=True, order=True)
class Level:
    """One backup: level *number* of the chain that began at *zero*, taken at *time*."""

    zero: int
    number: int
    time: int

    @property
    def name(self) -> str:
        return f"{self.number}_{self.time}"

    @property
    def path(self) -> str:
        return f"{self.zero}/{self.name}"


@dataclass(frozen=True)
class Chain:
    """A level 0 and what was built on it, ordered by level number and time."""

    zero: int
    levels: tuple[Level, ...]

    @property
    def newest(self) -> Level:
        """The newest entry of the highest level: where the chain is continued or restored to."""
        return self.levels[-1]

    @property
    def newest_time(self) -> int:
        return max(level.time for level in self.levels)

    def until(self, instant: int) -> Chain | None:
        """The chain as it stood at *instant* (inclusive); None before its first level."""
        levels = tuple(level for level in self.levels if level.time <= instant)
        return Chain(self.zero, levels) if levels else None

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

    @cached_property
    def _numbered(self) -> dict[int, list[Level]]:
        found: dict[int, list[Level]] = {}
        for level in self.levels:
            found.setdefault(level.number, []).append(level)
        return found

    def lineage(self, point: Level) -> tuple[list[Level], list[int]]:
        """The levels to restore for *point*, 0 first, and the numbers that are missing."""
        found: list[Level] = []
        missing: list[int] = []
        for number in range(point.number):
            entry = self.of_number(number, point.time)
            if entry is None:
                missing.append(number)
            else:
                found.append(entry)
        return [*found, point], missing


def chain_times(names: Iterable[str]) -> list[int]:
    """The ZEROs among the *names* of a HOST_NAME folder, oldest first; others are ignored."""
    return sorted(int(name) for name in names if _NUMBER.fullmatch(name))


def parse_level(zero: int, name: str) -> Level | None:
    """The level that a folder name in ZERO stands for, or None."""
    match = _LEVEL.fullmatch(name)
    return Level(zero, int(match[1]), int(match[2])) if match else None


def chain_of(zero: int, names: Iterable[str]) -> Chain | None:
    """The chain behind the *names* in its ZERO folder; None when it holds no level."""
    levels = sorted(filter(None, (parse_level(zero, name) for name in names)))
    return Chain(zero, tuple(levels)) if levels else None


def newest_chain(chains: Iterable[Chain], instant: int | None = None) -> Chain | None:
    """The chain with the highest ZERO, as it stood at *instant* when one is given."""
    if instant is None:
        return max(chains, key=lambda chain: chain.zero, default=None)
    begun = [chain for chain in chains if chain.zero <= instant]
    newest = max(begun, key=lambda chain: chain.zero, default=None)
    return newest.until(instant) if newest else None
