# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Can this be restored?  One answer, for all who ask: listings, retention, backups, restores.

It is given without reading data: from the small files, from sizes, and from what verifications on
this host have found.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from coldchain.agent.engines.tar.stored.layout import DATA, Chain, Level, Series
from coldchain.agent.engines.tar.stored.level_reader import SAME, StoredLevel, read_level
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import ColdchainError, DataError, Unavailable
from coldchain.core.instants import from_epoch, iso

if TYPE_CHECKING:
    from coldchain.agent.receipts import Receipt, Receipts


class Lineage(NamedTuple):
    """The levels that a point is restored from, 0 first, and why they are not all there, or ""."""

    levels: tuple[Level, ...]
    problem: str


class _Ancestry(NamedTuple):
    """What is known of a level together with all that it was made on.

    gap: why they are not all there; fault: what is wrong with the first one that has a fault;
    schemes: how they are packed; receipts: of each one, the first damage and the weakest.
    """

    gap: str
    fault: str
    schemes: frozenset[str]
    damage: Receipt | None
    weakest: Receipt | None


class Soundness:
    """What is known of the levels of one series; each is looked at once.

    place: the container's key in *receipts*; without receipts only what a look shows counts;
    lenient: for an answer to people, to whom what a storage does not give just now is one bad line.
    """

    def __init__(
        self,
        storage: Storage,
        series: Series,
        place: str = "",
        receipts: Receipts | None = None,
        *,
        lenient: bool = False,
    ) -> None:
        self._storage, self._series = storage, series
        self._place, self._receipts = place, receipts
        self._lenient = lenient
        self._stored: dict[Level, StoredLevel | ColdchainError] = {}
        self._faults: dict[Level, str] = {}
        #: By the chain's identity: a chain of a thousand levels is compared level by level.
        self._ancestries: dict[int, tuple[Chain, dict[Level, _Ancestry]]] = {}

    def stored(self, level: Level) -> StoredLevel:
        """The small files of *level*; DataError when they cannot be used."""
        if level not in self._stored:
            try:
                self._stored[level] = read_level(self._storage, self._series, level)
            except DataError as error:
                self._stored[level] = error
            except Unavailable as error:
                if not self._lenient:
                    raise
                self._stored[level] = DataError(error.message, error.hint)
        stored = self._stored[level]
        if isinstance(stored, ColdchainError):
            raise stored
        return stored

    def lineage(self, chain: Chain, point: Level) -> Lineage:
        """The levels to restore for *point*, from the parent that each of them names.

        A level without our manifest was made on the newest one of the next lower number before it.
        """
        levels = [point]
        while levels[0].number > 0:
            level = levels[0]
            parent, problem = self._parent(chain, level)
            if parent is None:
                return Lineage(tuple(levels), problem)
            levels.insert(0, parent)
        return Lineage(tuple(levels), "")

    def gap(self, chain: Chain, level: Level) -> str:
        """Why the level that *level* was made on is not there, "" when it is."""
        return "" if level.number == 0 else self._parent(chain, level)[1]

    def parent(self, chain: Chain, level: Level) -> Level | None:
        """The level that *level* was made on; None of a level 0, and where it is not there."""
        return None if level.number == 0 else self._parent(chain, level)[0]

    def _parent(self, chain: Chain, level: Level) -> tuple[Level | None, str]:
        number = level.number - 1
        try:
            manifest = self.stored(level).manifest
        except DataError:
            manifest = None  # which is told as the level's own fault
        if manifest is None or manifest.parent is None:
            guess = chain.of_number(number, level.time)
            return guess, "" if guess else f"level {number} of chain {chain.zero} is missing"
        named = manifest.parent
        parent = chain.named(named.name)
        if parent is None or parent.number != number:
            return (
                None,
                f"level {number} ({named.name}), which {level.name} was made on, is missing",
            )
        try:
            digest = self.stored(parent).digest
        except DataError:
            return parent, ""
        # A manifest that was lost is told by verify; what it belonged to is still there.
        if None not in (named.sha256, digest) and named.sha256 != digest:
            return (
                None,
                f"level {number} ({named.name}) is not the one that {level.name} was made on",
            )
        return parent, ""

    def problem(self, chain: Chain, point: Level) -> str:
        """Why *point* cannot be restored; "" when, for all that is known, it can."""
        found = self._ancestry(chain, point)
        if found.gap or found.fault:
            return found.gap or found.fault
        if len(found.schemes) > 1:
            schemes = " and ".join(sorted(found.schemes))
            return f"altered: one chain has one encrypt_scheme, not {schemes}"
        return (
            "" if found.damage is None else f"found damaged at {iso(from_epoch(found.damage.time))}"
        )

    def fault(self, level: Level) -> str:
        """What is wrong with *level* alone, as far as a look shows; "" for nothing."""
        if level not in self._faults:
            self._faults[level] = self._look(level)
        return self._faults[level]

    def moment(self, level: Level) -> int:
        """When *level* was made, POSIX seconds: by the clock of then.

        The time in its name is later than that of every level before, and so stays wrong for good
        after one backup under a clock that was ahead.
        """
        try:
            return self.stored(level).moment
        except DataError:
            return level.named

    def holds_files(self, level: Level) -> bool:
        """Whether *level* stores anything but directories, as far as it is known."""
        try:
            manifest = self.stored(level).manifest
        except DataError:
            return False
        return manifest is None or manifest.files > 0

    def newest_moment(self, chain: Chain) -> int:
        """The latest of its levels' moments."""
        return max(map(self.moment, chain.levels))

    def as_of(self, chains: Iterable[Chain], instant: int | None) -> Chain | None:
        """The newest of *chains* that had begun at *instant*, with its levels until then.

        And with those that the last of them was made on, which a clock that was ahead may have
        dated later.  Without an instant the newest as it is; None when none had begun.
        """
        for chain in sorted(chains, key=attrgetter("order"), reverse=True):
            if instant is None:
                return chain
            levels = [level for level in chain.levels if self.moment(level) <= instant]
            if levels:
                kept = {*levels, *self.lineage(chain, levels[-1]).levels}
                return Chain(chain.zero, tuple(level for level in chain.levels if level in kept))
        return None

    def ahead(self, chains: Iterable[Chain], now: float) -> list[Level]:
        """The levels that were made later than *now*: the clock was wrong then, or is."""
        return [
            level for chain in chains for level in chain.levels if self.moment(level) > now + SAME
        ]

    def verified(self, chain: Chain, point: Level) -> Receipt | None:
        """The verification of *point* with all that it builds on; None when one never was."""
        found = self._ancestry(chain, point)
        return None if found.gap else found.weakest

    def newest(
        self, chains: Iterable[Chain], instant: int | None = None, without: Level | None = None
    ) -> Level | None:
        """The newest point that can be restored, not later than *instant*; None without one.

        without: a level that has just been read and is not what was written.
        """
        points = [(level, chain) for chain in chains for level in chain.levels]
        points.sort(key=lambda point: (self.moment(point[0]), point[0].time), reverse=True)
        for level, chain in points:
            early = instant is None or self.moment(level) <= instant
            if not early or self.problem(chain, level):
                continue
            if without is None or without not in self.lineage(chain, level).levels:
                return level
        return None

    def _look(self, level: Level) -> str:
        try:
            stored = self.stored(level)
            size = self._storage.size(stored.path(DATA))
        except DataError as error:
            return error.message
        expected = stored.parts.get(DATA)
        if size is None:
            return f"data of level {level.number} ({level.path}) is missing"
        if size == 0 or (expected is not None and expected.size != size):
            return f"data of level {level.number} ({level.path}) has not its full size"
        if level.number == 0 and stored.manifest is not None and stored.manifest.members == 0:
            return f"level 0 ({level.path}) holds nothing"
        return ""

    def _ancestry(self, chain: Chain, point: Level) -> _Ancestry:
        """Of *point*: each level of a chain is looked at once, however many are built on it."""
        known = self._ancestries.setdefault(id(chain), (chain, {}))[1]
        waiting = [] if point in known else [point]
        while waiting:
            level = waiting[-1]
            parent, gap = (None, "") if level.number == 0 else self._parent(chain, level)
            if parent is not None and parent not in known:
                waiting.append(parent)
                continue
            known[level] = self._joined(level, gap, None if parent is None else known[parent])
            waiting.pop()
        return known[point]

    def _joined(self, level: Level, gap: str, before: _Ancestry | None) -> _Ancestry:
        from coldchain.agent.receipts import damage_found, weakest

        fault = self.fault(level)
        schemes: frozenset[str] = frozenset()
        if not fault:
            schemes = frozenset({self.stored(level).metadata.scheme or "plain"})
        receipt = None
        if self._receipts is not None:
            receipt = self._receipts.of(self._place, self._series.host_name, level.path)
        if before is None:
            return _Ancestry(gap, fault, schemes, damage_found([receipt]), weakest([receipt]))
        return _Ancestry(
            before.gap,
            before.fault or fault,
            before.schemes | schemes,
            damage_found([before.damage, receipt]),
            weakest([before.weakest, receipt]),
        )
