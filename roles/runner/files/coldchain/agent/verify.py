# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is what lies in a container still what was written, and what can be restored from it?"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from coldchain.agent import container
from coldchain.agent.extraction import list_members
from coldchain.agent.info import Backup, one_series, series_of
from coldchain.agent.info import describe as describe_level
from coldchain.agent.layout import DATA, Chain, Level, Series
from coldchain.agent.location import Location
from coldchain.agent.opening import open_storage
from coldchain.agent.options import Encryption
from coldchain.agent.parts import Packed, authenticate, checked_blocks, packed
from coldchain.agent.progress import Meter
from coldchain.agent.storage import Storage
from coldchain.errors import DataError, JobFailed, UsageError

MODES = ("quick", "full", "sample")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    kind: missing (a level or a part), truncated, altered (also swapped, or a wrong password),
    unreadable (a small file), orphaned (data that no backup owns; harmless but it takes space).
    """

    hostname: str
    backup_name: str
    chain: int
    level: int
    kind: str
    message: str

    @property
    def harmless(self) -> bool:
        return self.kind == "orphaned"


@dataclass(frozen=True)
class Verification:
    """The outcome: *read* levels were read to their last byte, *checked* were looked at."""

    mode: str
    findings: tuple[Finding, ...]
    restorable: tuple[Backup, ...]
    lost: tuple[Backup, ...]
    checked: int
    read: int
    notes: tuple[str, ...]

    @property
    def sound(self) -> bool:
        return all(finding.harmless for finding in self.findings)

    def as_dict(self) -> dict[str, object]:
        return {
            "mode": self.mode,
            "sound": self.sound,
            "checked": self.checked,
            "read": self.read,
            "findings": [asdict(finding) for finding in self.findings],
            "restorable": [one.as_dict() for one in self.restorable],
            "lost": [one.as_dict() for one in self.lost],
            "notes": list(self.notes),
        }


def verify(
    place: Path | Location,
    hostname: str | None = None,
    backup_name: str | None = None,
    mode: str = "quick",
    *,
    sample: int = 0,
    pass_file: Path | None = None,
    meter: Meter | None = None,
) -> Verification:
    """Look at the backups in a container (a path: on the local disk), without a name at all.

    quick: chains, commit markers and sizes; full: every byte against the manifest, the seal, and
    tar to its end; sample: so for *sample* levels drawn by chance, the others quick.  DataError
    when there is nothing to verify.
    """
    if mode not in MODES or (mode == "sample" and sample < 1):
        raise UsageError("verify: choose quick, full or sample with a number of at least 1")
    location = place if isinstance(place, Location) else Location.local(place)
    storage = open_storage(location, series=one_series(hostname, backup_name))
    found: list[tuple[Series, Chain, Level]] = []
    names: list[Series] = []
    for host_name in container.host_names(storage):
        series = series_of(storage, host_name, hostname, backup_name)
        if series is not None:
            names.append(series)
            for chain in container.chains(storage, series):
                found += [(series, chain, level) for level in chain.levels]
    if not found:
        raise DataError(
            f"no backup to verify in {location}", "coldchain backups lists what a container holds"
        )
    thorough = set(_draw(found, mode, sample))
    if meter is not None:
        paths = [f"{series.data_of(level)}/{DATA}" for series, level in thorough]
        meter.begin(
            "reading" if thorough else "checking", sum(storage.size(path) or 0 for path in paths)
        )
    encryption = Encryption(pass_file) if pass_file else None
    findings: list[Finding] = []
    notes: list[str] = []
    damaged: set[tuple[Series, Level]] = set()
    for series, dummy, level in found:
        full = (series, level) in thorough
        bad = list(_level(storage, series, level, encryption if full else None, full, meter, notes))
        if bad:
            damaged.add((series, level))
        findings += bad
    for series in names:
        findings += _gaps(storage, series)
        findings += _orphans(storage, series)
    usable, lost = _points(storage, location, found, damaged)
    return Verification(
        mode, tuple(findings), usable, lost, len(found), len(thorough), tuple(notes)
    )


def _draw(
    found: Sequence[tuple[Series, Chain, Level]], mode: str, sample: int
) -> Iterable[tuple[Series, Level]]:
    levels = [(series, level) for series, dummy, level in found]
    if mode == "quick":
        return []
    return levels if mode == "full" else random.sample(levels, min(sample, len(levels)))


def _level(
    storage: Storage,
    series: Series,
    level: Level,
    encryption: Encryption | None,
    full: bool,
    meter: Meter | None,
    notes: list[str],
) -> Iterator[Finding]:
    try:
        one = packed(storage, series, level)
    except DataError as error:
        yield _finding(series, level, "unreadable", error.message)
        return
    sizes = list(_sizes(storage, one))
    yield from sizes
    if not full or any(finding.kind == "missing" for finding in sizes):
        return
    try:
        for name in one.parts:
            if name != DATA:
                for dummy in checked_blocks(storage, one, name):
                    pass
        if one.metadata.scheme is not None and encryption is None:
            notes.append(
                f"{one.place}: encrypted and no password given, so only its sum is checked"
            )
            for dummy in checked_blocks(storage, one, meter=meter):
                pass
            return
        authenticate(storage, one, encryption)
        list_members(storage, one, encryption, lambda line: None, meter=meter)
    except (JobFailed, DataError) as error:
        if not sizes:
            yield _finding(series, level, "altered", error.message)


def _sizes(storage: Storage, one: Packed) -> Iterator[Finding]:
    for name in one.parts or (DATA,):
        size = storage.size(one.path(name))
        expected = one.parts.get(name)
        if size is None:
            yield _finding(one.series, one.level, "missing", f"{one.place}: {name} is missing")
        elif size == 0 and name == DATA:
            yield _finding(one.series, one.level, "truncated", f"{one.place}: {name} is empty")
        elif expected is not None and size != expected.size:
            kind = "truncated" if size < expected.size else "altered"
            text = f"{one.place}: {name} is {size} bytes long, {expected.size} were written"
            yield _finding(one.series, one.level, kind, text)


def _gaps(storage: Storage, series: Series) -> Iterator[Finding]:
    for chain in container.chains(storage, series):
        dummy, missing = chain.lineage(chain.newest)
        for number in missing:
            text = f"level {number} of {series.host_name} (chain {chain.zero}) is missing"
            yield Finding(series.hostname, series.backup_name, chain.zero, number, "missing", text)


def _orphans(storage: Storage, series: Series) -> Iterator[Finding]:
    for orphan in container.orphans(storage, series):
        text = (
            f"{orphan.folder} belongs to no backup (written {orphan.age / 3600:.1f} hours ago);"
            " the next backup removes it when it is certainly abandoned"
        )
        yield _finding(series, orphan.level, "orphaned", text)


def _points(
    storage: Storage,
    location: Location,
    found: Sequence[tuple[Series, Chain, Level]],
    damaged: set[tuple[Series, Level]],
) -> tuple[tuple[Backup, ...], tuple[Backup, ...]]:
    usable: list[Backup] = []
    lost: list[Backup] = []
    for series, chain, level in found:
        one = describe_level(storage, location, series, chain, level)
        base, dummy = chain.lineage(level)
        fine = one.restorable and not any((series, other) in damaged for other in base)
        (usable if fine else lost).append(one)
    return tuple(usable), tuple(lost)


def _finding(series: Series, level: Level, kind: str, message: str) -> Finding:
    return Finding(series.hostname, series.backup_name, level.zero, level.number, kind, message)
