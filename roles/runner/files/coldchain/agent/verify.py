# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is what lies in a container still what was written, and what can be restored from it?"""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from coldchain.agent import container
from coldchain.agent.cipher import WrongPassword
from coldchain.agent.extraction import list_members
from coldchain.agent.info import Backup, Faults, one_series, series_of
from coldchain.agent.info import describe as describe_level
from coldchain.agent.layout import DATA, ENTRIES, MANIFEST, METADATA, Chain, Level, Series
from coldchain.agent.location import Location
from coldchain.agent.opening import open_storage
from coldchain.agent.options import Encryption
from coldchain.agent.parts import Packed, authenticate, checked_blocks, packed
from coldchain.agent.progress import Meter
from coldchain.agent.storage import Storage
from coldchain.errors import ColdchainError, DataError, JobFailed, UsageError

if TYPE_CHECKING:
    from coldchain.store.receipts import Receipt, Receipts

MODES = ("quick", "full", "sample")


class NothingThere(DataError):
    """The container holds no backup of the given names."""


#: engine_metadata and entries.gz: the next backup begins a new chain without them.
_SPARE = " (no restore needs it)"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    kind: missing (a level or a part), truncated, altered (also swapped, or a wrong password),
    unreadable (a small file), orphaned (data that no backup owns; harmless but it takes space).
    doubtful: perhaps only the password is wrong; spare: of a part that no restore needs.
    """

    hostname: str
    backup_name: str
    chain: int
    level: int
    kind: str
    message: str
    doubtful: bool = False
    spare: bool = False

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
    receipts: Receipts | None = None,
) -> Verification:
    """Look at the backups in a container (a path: on the local disk), without a name at all.

    quick: chains, commit markers and sizes; full: every byte against the manifest, the seal, and
    tar to its end; sample: so for *sample* levels drawn by chance, the others quick.  receipts:
    where the outcome is put down.  NothingThere when there is nothing to verify.
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
        raise NothingThere(
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
    read: set[tuple[Series, Level]] = set()
    doubted: set[tuple[Series, Level]] = set()  # perhaps only the password is wrong
    for series, dummy, level in found:
        one = (series, level)
        full = one in thorough
        noted = len(notes)
        bad = list(_level(storage, series, level, encryption if full else None, full, meter, notes))
        needed = [finding for finding in bad if not finding.spare]
        if needed:
            (doubted if all(finding.doubtful for finding in needed) else damaged).add(one)
        if full and len(notes) == noted:  # a note says that not all could be checked
            read.add(one)
        findings += bad
    # A password that opens one level of a name is the right one for the others.
    opened = {series for series, dummy in read - damaged - doubted}
    damaged |= {one for one in doubted if one[0] in opened}
    doubted -= damaged
    for series in names:
        findings += _gaps(storage, series)
        findings += _orphans(storage, series)
    outcome = _outcome(found, damaged, read - doubted)
    usable, lost = _points(storage, location, found, damaged | doubted, outcome)
    if receipts is not None:
        try:
            receipts.keep(location.key, outcome)
        except ColdchainError as error:
            notes.append(f"this verification is not kept: {error.message}")
    return Verification(
        mode, tuple(findings), usable, lost, len(found), len(thorough), tuple(notes)
    )


def _outcome(
    found: Sequence[tuple[Series, Chain, Level]],
    damaged: Collection[tuple[Series, Level]],
    read: Collection[tuple[Series, Level]],
) -> dict[str, dict[str, Receipt]]:
    from coldchain.store.receipts import DAMAGED, FULL, QUICK, SOUND, Receipt

    now = int(time.time())
    outcome: dict[str, dict[str, Receipt]] = {}
    for series, dummy, level in found:
        one = (series, level)
        how = FULL if one in read else QUICK
        result = DAMAGED if one in damaged else SOUND
        outcome.setdefault(series.host_name, {})[level.path] = Receipt(now, how, result)
    return outcome


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
    found = {finding.spare for finding in sizes}
    if not full:
        return
    if True not in found:
        yield from _spare_parts(storage, one)
    if any(finding.kind == "missing" and not finding.spare for finding in sizes):
        return
    try:
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
        if False not in found:
            finding = _finding(series, level, "altered", error.message)
            yield replace(finding, doubtful=isinstance(error, WrongPassword))


def _spare_parts(storage: Storage, one: Packed) -> Iterator[Finding]:
    for name in one.parts:
        if name != DATA:
            try:
                for dummy in checked_blocks(storage, one, name):
                    pass
            except (JobFailed, DataError) as error:
                finding = _finding(one.series, one.level, "altered", error.message + _SPARE)
                yield replace(finding, spare=True)


def _sizes(storage: Storage, one: Packed) -> Iterator[Finding]:
    if one.manifest is None and storage.size(one.path(ENTRIES)) is not None:
        # Ours, then.  A sealed level cannot be checked without it, and is not restored.
        text = f"{one.place}: {MANIFEST} is missing, and with it the sums of all parts"
        finding = _finding(one.series, one.level, "missing", text)
        yield replace(finding, spare=one.metadata.seal is None)
    for name in one.parts or (DATA,):
        size = storage.size(one.path(name))
        expected = one.parts.get(name)
        kind, text = "", ""
        if size is None:
            kind, text = "missing", "is missing"
        elif size == 0 and name == DATA:
            kind, text = "truncated", "is empty"
        elif expected is not None and size != expected.size:
            kind = "truncated" if size < expected.size else "altered"
            text = f"is {size} bytes long, {expected.size} were written"
        if kind:
            spare = name != DATA
            text = f"{one.place}: {name} {text}{_SPARE if spare else ''}"
            yield replace(_finding(one.series, one.level, kind, text), spare=spare)


def _gaps(storage: Storage, series: Series) -> Iterator[Finding]:
    for chain in container.chains(storage, series):
        dummy, missing = chain.lineage(chain.newest)
        for number in missing:
            text = f"level {number} of {series.host_name} (chain {chain.zero}) is missing"
            yield Finding(series.hostname, series.backup_name, chain.zero, number, "missing", text)


def _orphans(storage: Storage, series: Series) -> Iterator[Finding]:
    stranded = container.stranded(storage, series)
    for orphan in container.orphans(storage, series):
        text = f"{orphan.folder} belongs to no backup (written {orphan.age / 3600:.1f} hours ago);"
        if stranded:
            text += f" with its {METADATA} it could be restored; the action admin can remove it"
        else:
            text += " the next backup removes it when it is certainly abandoned"
        yield _finding(series, orphan.level, "orphaned", text)


def _points(
    storage: Storage,
    location: Location,
    found: Sequence[tuple[Series, Chain, Level]],
    damaged: Collection[tuple[Series, Level]],
    outcome: Mapping[str, Mapping[str, Receipt]],
) -> tuple[tuple[Backup, ...], tuple[Backup, ...]]:
    from coldchain.store.receipts import together

    usable: list[Backup] = []
    lost: list[Backup] = []
    faults: dict[tuple[Series, int], Faults] = {}
    for series, chain, level in found:
        known = faults.setdefault((series, chain.zero), {})
        one = describe_level(storage, location, series, chain, level, None, known)
        levels, missing = chain.lineage(level)
        results = [outcome[series.host_name][base.path] for base in levels]
        bad = [base for base in levels if (series, base) in damaged]
        if one.restorable and bad:
            reason = f"level {bad[0].number} ({bad[0].path}) could not be read"
            one = replace(one, restorable=False, reason=reason)
        one = replace(one, verified=None if missing else together(results))
        (usable if one.restorable else lost).append(one)
    return tuple(usable), tuple(lost)


def _finding(series: Series, level: Level, kind: str, message: str) -> Finding:
    return Finding(series.hostname, series.backup_name, level.zero, level.number, kind, message)
