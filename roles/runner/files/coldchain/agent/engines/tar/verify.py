# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is what lies in a container still what was written, and what can be restored from it?"""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from coldchain.agent.engines.base import CHECKS, Backup, Flaw, NothingThere, Query, Verification
from coldchain.agent.engines.tar.info import asked, series_of, size_of
from coldchain.agent.engines.tar.info import describe as describe_level
from coldchain.agent.engines.tar.level_check import check_level, flaw_of
from coldchain.agent.engines.tar.restore.foresight import Foresight, kernel_holds
from coldchain.agent.engines.tar.stored import container
from coldchain.agent.engines.tar.stored.fetch_group import NearLevels
from coldchain.agent.engines.tar.stored.layout import DATA, METADATA, Chain, Level, Series
from coldchain.agent.engines.tar.stored.level_fetch import Source
from coldchain.agent.engines.tar.stored.level_reader import StoredLevel, read_level
from coldchain.agent.engines.tar.stored.soundness import Soundness
from coldchain.agent.options import Encryption
from coldchain.agent.password_file import PasswordFile
from coldchain.agent.progress import Meter
from coldchain.agent.storages.base import Storage
from coldchain.agent.storages.location import Location
from coldchain.core.errors import ColdchainError, DataError, Unavailable, UsageError

if TYPE_CHECKING:
    from coldchain.agent.receipts import Receipt, Receipts


def verify(
    query: Query,
    check: str = "quick",
    *,
    sample: int = 0,
    pass_file: Path | None = None,
    meter: Meter | None = None,
    receipts: Receipts | None = None,
) -> Verification:
    """Look at the backups in a container.

    quick: chains, commit markers and sizes; full: every byte against the manifest, the seal, and
    tar to its end; sample: so for *sample* levels drawn by chance, the others quick.  receipts:
    where the outcome is put down.  NothingThere when there is nothing to verify.
    """
    if check not in CHECKS or (check == "sample" and sample < 1):
        raise UsageError("verify: choose quick, full or sample with a number of at least 1")
    with asked(query) as storage:
        return _verify(storage, query, check, sample, pass_file, meter, receipts)


def _verify(
    storage: Storage,
    query: Query,
    check: str,
    sample: int,
    pass_file: Path | None,
    meter: Meter | None,
    receipts: Receipts | None,
) -> Verification:
    names = _names(storage, query)
    points = [
        (series, chain, level)
        for series in names
        for chain in container.chains(storage, series)
        for level in chain.levels
    ]
    if not points:
        raise NothingThere(
            f"no backup to verify in {query.location}",
            "coldchain backups lists what a container holds",
        )
    thorough = set(_draw(points, check, sample))
    if meter is not None:
        paths = [f"{series.data_of(level)}/{DATA}" for series, level in thorough]
        meter.begin(
            "reading" if thorough else "checking", sum(size_of(storage, path) for path in paths)
        )
    encryption = None
    if pass_file is not None:
        encryption = Encryption(PasswordFile(pass_file), query.scheme, query.accept_unsealed)
    verdicts, findings, notes = _look(storage, query, points, thorough, encryption, meter)
    for series in names:
        findings += _gaps(storage, series)
        findings += _orphans(storage, series)
    outcome = _outcome(points, verdicts)
    usable, lost = _points(storage, query.location, points, verdicts, outcome)
    if receipts is not None:
        try:
            receipts.keep(query.location.key, outcome)
        except ColdchainError as error:
            notes.append(f"this verification is not kept: {error.message}")
    return Verification(
        check, tuple(findings), usable, lost, len(points), len(thorough), tuple(notes)
    )


def _names(storage: Storage, query: Query) -> list[Series]:
    """What the container holds of what was asked for."""
    found = (
        series_of(storage, host_name, query.hostname, query.backup_name)
        for host_name in container.host_names(storage)
    )
    return [series for series in found if series is not None]


def _look(
    storage: Storage,
    query: Query,
    points: Sequence[tuple[Series, Chain, Level]],
    thorough: Collection[tuple[Series, Level]],
    encryption: Encryption | None,
    meter: Meter | None,
) -> tuple[_Verdicts, list[Flaw], list[str]]:
    """Look at each level, at all of those that are *thorough*: what they are worth, what is wrong
    with them, and what could not be checked."""
    findings: list[Flaw] = []
    notes: list[str] = []
    verdicts = _Verdicts()
    schemes = _Schemes(storage)
    readers = _Readers(storage, query.spool)
    # What lies here is read where it lies.
    remote = query.location.folder is None
    fetched = [(one, at) for one, _unused, at in points if remote and (one, at) in thorough]
    with NearLevels(storage, fetched, query.spool, meter) as near:
        for series, chain, level in points:
            key = (series, level)
            full = key in thorough
            noted = len(notes)
            with_password = encryption if full else None
            if full and not query.encrypted and schemes.of(series, chain) == {None}:
                # The password is for others.
                with_password = None
            source = near.of(series, level) if full else storage
            read = partial(readers.read, series, chain, level)
            bad = list(
                check_level(
                    source, series, level, with_password, full, meter, notes, query.spool, read
                )
            )
            # A note says that not all could be checked.
            verdicts.add(key, bad, read=full and len(notes) == noted)
            findings += bad
    verdicts.settle()
    return verdicts, findings, notes


class _Verdicts:
    """What the levels that were looked at are worth.

    read: all of it was, and is what was written or damaged; damaged: is not what was written, or
    nothing that is restored; refused: those of them that a restore would refuse; doubted: perhaps
    only the password is wrong; unwanted: of another scheme.
    """

    def __init__(self) -> None:
        self.read: set[tuple[Series, Level]] = set()
        self.damaged: set[tuple[Series, Level]] = set()
        self.refused: set[tuple[Series, Level]] = set()
        self.doubted: set[tuple[Series, Level]] = set()
        self.unwanted: set[tuple[Series, Level]] = set()

    def add(self, key: tuple[Series, Level], found: Sequence[Flaw], *, read: bool) -> None:
        """The flaws that were found in a level; read: all of it was."""
        needed = [flaw for flaw in found if not flaw.spare]
        if needed:
            if all(flaw.kind == "unsealed" for flaw in needed):
                self.unwanted.add(key)
            else:
                (self.doubted if all(flaw.doubtful for flaw in needed) else self.damaged).add(key)
                if all(flaw.kind == "refused" for flaw in needed):
                    self.refused.add(key)
        if read:
            self.read.add(key)

    def settle(self) -> None:
        """Judge what is doubted by the others: all of them were looked at."""
        # A password that opens one level of a name is the right one for the others.
        opened = {series for series, _unused in self.read - self.bad}
        self.damaged |= {key for key in self.doubted if key[0] in opened}
        self.doubted -= self.damaged
        self.read -= self.doubted | self.unwanted

    @property
    def bad(self) -> set[tuple[Series, Level]]:
        """Those that cannot be restored, as far as is known."""
        return self.damaged | self.doubted | self.unwanted


class _Readers:
    """What reads levels as a restore would, those of a chain one after the other.

    spool: where it is tried what the kernel gives.
    """

    def __init__(self, storage: Storage, spool: Path | None) -> None:
        self._storage = storage
        self._held = kernel_holds(spool)
        self._series: tuple[Series, Soundness] | None = None
        self._chain: tuple[Series, int, Foresight] | None = None

    def read(
        self,
        series: Series,
        chain: Chain,
        level: Level,
        stored: StoredLevel,
        source: Source,
        encryption: Encryption | None,
    ) -> None:
        """Read *level* as Foresight does."""
        if self._series is None or self._series[0] != series:
            self._series = series, Soundness(self._storage, series, lenient=True)
        if self._chain is None or self._chain[:2] != (series, chain.zero):
            self._chain = series, chain.zero, Foresight(self._held)
        self._chain[2].read(self._series[1].parent(chain, level), stored, source, encryption)


class _Schemes:
    """The encryption of each chain's levels; None stands for none."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known: dict[tuple[Series, int], set[str | None]] = {}

    def of(self, series: Series, chain: Chain) -> set[str | None]:
        """Those of the levels whose small files can be read."""
        key = (series, chain.zero)
        if key not in self._known:
            self._known[key] = set()
            for level in chain.levels:
                with suppress(DataError, Unavailable):
                    metadata = read_level(self._storage, series, level).metadata
                    self._known[key].add(metadata.scheme)
        return self._known[key]


def _outcome(
    points: Sequence[tuple[Series, Chain, Level]], verdicts: _Verdicts
) -> dict[str, dict[str, Receipt]]:
    from coldchain.agent.receipts import DAMAGED, FULL, QUICK, SOUND, Receipt

    now = int(time.time())
    outcome: dict[str, dict[str, Receipt]] = {}
    for series, _unused, level in points:
        key = (series, level)
        how = FULL if key in verdicts.read else QUICK
        result = DAMAGED if key in verdicts.damaged else SOUND
        outcome.setdefault(series.host_name, {})[level.path] = Receipt(now, how, result)
    return outcome


def _draw(
    points: Sequence[tuple[Series, Chain, Level]], check: str, sample: int
) -> Iterable[tuple[Series, Level]]:
    levels = [(series, level) for series, _unused, level in points]
    if check == "quick":
        return []
    return levels if check == "full" else random.sample(levels, min(sample, len(levels)))


def _gaps(storage: Storage, series: Series) -> Iterator[Flaw]:
    soundness = Soundness(storage, series, lenient=True)
    for chain in container.chains(storage, series):
        gaps = {soundness.gap(chain, level): level.number - 1 for level in chain.levels}
        for problem, number in gaps.items():
            if problem:
                text = f"{series.host_name}: {problem}"
                yield Flaw(series.hostname, series.backup_name, chain.zero, number, "missing", text)


def _orphans(storage: Storage, series: Series) -> Iterator[Flaw]:
    stranded = container.stranded(storage, series)
    for orphan in container.orphans(storage, series):
        text = f"{orphan.folder} belongs to no backup (written {orphan.age / 3600:.1f} hours ago);"
        if stranded:
            text += f" with its {METADATA} it could be restored; the action admin can remove it"
        else:
            text += " the next backup removes it when it is certainly abandoned"
        yield flaw_of(series, orphan.level, "orphaned", text)


def _points(
    storage: Storage,
    location: Location,
    points: Sequence[tuple[Series, Chain, Level]],
    verdicts: _Verdicts,
    outcome: Mapping[str, Mapping[str, Receipt]],
) -> tuple[tuple[Backup, ...], tuple[Backup, ...]]:
    from coldchain.agent.receipts import weakest

    usable: list[Backup] = []
    lost: list[Backup] = []
    soundnesses: dict[Series, Soundness] = {}
    for series, chain, level in points:
        soundness = soundnesses.setdefault(series, Soundness(storage, series, lenient=True))
        backup = describe_level(storage, location, series, soundness, chain, level)
        lineage = soundness.lineage(chain, level)
        results = [outcome[series.host_name][base.path] for base in lineage.levels]
        bad = [base for base in lineage.levels if (series, base) in verdicts.bad]
        if backup.restorable and bad:
            what = "is refused" if (series, bad[0]) in verdicts.refused else "could not be read"
            reason = f"level {bad[0].number} ({bad[0].path}) {what}"
            backup = backup._replace(restorable=False, reason=reason)
        backup = backup._replace(verified=None if lineage.problem else weakest(results))
        (usable if backup.restorable else lost).append(backup)
    return tuple(usable), tuple(lost)
