# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is what lies in a container still what was written, and what can be restored from it?"""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from coldchain.agent.engines.base import (
    CHECKS,
    Backup,
    Flaw,
    NothingThere,
    Query,
    Verification,
)
from coldchain.agent.engines.tar import container
from coldchain.agent.engines.tar.cipher import UnwantedScheme, WrongPassword
from coldchain.agent.engines.tar.extract import list_members
from coldchain.agent.engines.tar.fetch_group import NearLevels, open_spool
from coldchain.agent.engines.tar.info import asked, series_of, size_of
from coldchain.agent.engines.tar.info import describe as describe_level
from coldchain.agent.engines.tar.layout import (
    DATA,
    ENTRIES,
    MANIFEST,
    METADATA,
    Chain,
    Level,
    Series,
)
from coldchain.agent.engines.tar.level_fetch import checked_once
from coldchain.agent.engines.tar.level_reader import (
    StoredLevel,
    authenticate,
    checked_blocks,
    read_level,
)
from coldchain.agent.engines.tar.soundness import Soundness
from coldchain.agent.options import Encryption
from coldchain.agent.password_file import PasswordFile
from coldchain.agent.progress import Meter
from coldchain.agent.storages.base import Storage
from coldchain.agent.storages.location import Location
from coldchain.core.errors import ColdchainError, DataError, JobFailed, Unavailable, UsageError

if TYPE_CHECKING:
    from coldchain.agent.receipts import Receipt, Receipts

#: engine_metadata and entries.gz: the next backup begins a new chain without them.
_SPARE = " (no restore needs it)"


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
    location, hostname, backup_name = query.location, query.hostname, query.backup_name
    points: list[tuple[Series, Chain, Level]] = []
    names: list[Series] = []
    for host_name in container.host_names(storage):
        series = series_of(storage, host_name, hostname, backup_name)
        if series is not None:
            names.append(series)
            for chain in container.chains(storage, series):
                points += [(series, chain, level) for level in chain.levels]
    if not points:
        raise NothingThere(
            f"no backup to verify in {location}", "coldchain backups lists what a container holds"
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
    findings: list[Flaw] = []
    notes: list[str] = []
    damaged: set[tuple[Series, Level]] = set()
    read: set[tuple[Series, Level]] = set()
    doubted: set[tuple[Series, Level]] = set()  # perhaps only the password is wrong
    unwanted: set[tuple[Series, Level]] = set()  # of another scheme
    schemes = _Schemes(storage)
    # What lies here is read where it lies.
    remote = location.folder is None
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
            bad = list(
                _level(source, series, level, with_password, full, meter, notes, query.spool)
            )
            needed = [finding for finding in bad if not finding.spare]
            if needed:
                if all(finding.kind == "unsealed" for finding in needed):
                    unwanted.add(key)
                else:
                    (doubted if all(finding.doubtful for finding in needed) else damaged).add(key)
            if full and len(notes) == noted:  # a note says that not all could be checked
                read.add(key)
            findings += bad
    # A password that opens one level of a name is the right one for the others.
    opened = {series for series, _unused in read - damaged - doubted - unwanted}
    damaged |= {key for key in doubted if key[0] in opened}
    doubted -= damaged
    for series in names:
        findings += _gaps(storage, series)
        findings += _orphans(storage, series)
    outcome = _outcome(points, damaged, read - doubted - unwanted)
    usable, lost = _points(storage, location, points, damaged | doubted | unwanted, outcome)
    if receipts is not None:
        try:
            receipts.keep(location.key, outcome)
        except ColdchainError as error:
            notes.append(f"this verification is not kept: {error.message}")
    return Verification(
        check, tuple(findings), usable, lost, len(points), len(thorough), tuple(notes)
    )


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
    points: Sequence[tuple[Series, Chain, Level]],
    damaged: Collection[tuple[Series, Level]],
    read: Collection[tuple[Series, Level]],
) -> dict[str, dict[str, Receipt]]:
    from coldchain.agent.receipts import DAMAGED, FULL, QUICK, SOUND, Receipt

    now = int(time.time())
    outcome: dict[str, dict[str, Receipt]] = {}
    for series, _unused, level in points:
        key = (series, level)
        how = FULL if key in read else QUICK
        result = DAMAGED if key in damaged else SOUND
        outcome.setdefault(series.host_name, {})[level.path] = Receipt(now, how, result)
    return outcome


def _draw(
    points: Sequence[tuple[Series, Chain, Level]], check: str, sample: int
) -> Iterable[tuple[Series, Level]]:
    levels = [(series, level) for series, _unused, level in points]
    if check == "quick":
        return []
    return levels if check == "full" else random.sample(levels, min(sample, len(levels)))


def _level(
    storage: Storage,
    series: Series,
    level: Level,
    encryption: Encryption | None,
    full: bool,
    meter: Meter | None,
    notes: list[str],
    spool: Path | None,
) -> Iterator[Flaw]:
    try:
        stored = read_level(storage, series, level)
    except (DataError, Unavailable) as error:
        if isinstance(error, Unavailable):
            notes.append(_not_read(level))
        yield _finding(series, level, "unreadable", error.message)
        return
    sizes = list(_sizes(storage, stored))
    yield from sizes
    spare = {finding.spare for finding in sizes}
    if not full:
        return
    if True not in spare:
        yield from _spare_parts(storage, stored)
    if any(finding.kind in ("missing", "unreadable") and not finding.spare for finding in sizes):
        return
    try:
        if stored.metadata.scheme is not None and encryption is None:
            notes.append(
                f"{stored.place}: encrypted and no password given, so only its sum is checked"
            )
            for _unused in checked_blocks(storage, stored, meter=meter):
                pass
            return
        authenticate(storage, stored, encryption)
        with ExitStack() as stack:

            def source() -> Iterator[bytes]:
                return checked_blocks(storage, stored, meter=meter)

            if stored.metadata.seal is not None:
                folder = stack.enter_context(open_spool(spool))
                once = checked_once(storage, stored, folder, meter)
                list_members(stored, stack.enter_context(once), encryption, lambda line: None)
            else:
                list_members(stored, source, encryption, lambda line: None)
    except Unavailable as error:
        notes.append(_not_read(level))
        yield _finding(series, level, "unreadable", error.message)
    except (JobFailed, DataError) as error:
        if False not in spare:
            kind = "unsealed" if isinstance(error, UnwantedScheme) else "altered"
            text = f"{error.message} ({error.hint})" if kind == "unsealed" else error.message
            finding = _finding(series, level, kind, text)
            yield finding._replace(doubtful=isinstance(error, WrongPassword))


def _spare_parts(storage: Storage, stored: StoredLevel) -> Iterator[Flaw]:
    for name in stored.parts:
        if name != DATA:
            try:
                for _unused in checked_blocks(storage, stored, name):
                    pass
            except (JobFailed, DataError) as error:
                finding = _finding(stored.series, stored.level, "altered", error.message + _SPARE)
                yield finding._replace(spare=True)


def _sizes(storage: Storage, stored: StoredLevel) -> Iterator[Flaw]:
    if stored.manifest is None and _is_there(storage, stored.path(ENTRIES)):
        # Ours, then.  A sealed level cannot be checked without it, and is not restored.
        text = f"{stored.place}: {MANIFEST} is missing, and with it the sums of all parts"
        finding = _finding(stored.series, stored.level, "missing", text)
        yield finding._replace(spare=stored.metadata.seal is None)
    for name in stored.parts or (DATA,):
        expected = stored.parts.get(name)
        kind, text = "", ""
        try:
            size = storage.size(stored.path(name))
        except DataError as error:
            spare = name != DATA
            text = error.message + (_SPARE if spare else "")
            flaw = _finding(stored.series, stored.level, "unreadable", text)
            yield flaw._replace(spare=spare)
            continue
        if size is None:
            kind, text = "missing", "is missing"
        elif size == 0 and name == DATA:
            kind, text = "truncated", "is empty"
        elif expected is not None and size != expected.size:
            kind = "truncated" if size < expected.size else "altered"
            text = f"is {size} bytes long, {expected.size} were written"
        if kind:
            spare = name != DATA
            text = f"{stored.place}: {name} {text}{_SPARE if spare else ''}"
            yield _finding(stored.series, stored.level, kind, text)._replace(spare=spare)


def _is_there(storage: Storage, path: str) -> bool:
    try:
        return storage.size(path) is not None
    except DataError:
        return True


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
        yield _finding(series, orphan.level, "orphaned", text)


def _points(
    storage: Storage,
    location: Location,
    points: Sequence[tuple[Series, Chain, Level]],
    damaged: Collection[tuple[Series, Level]],
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
        bad = [base for base in lineage.levels if (series, base) in damaged]
        if backup.restorable and bad:
            reason = f"level {bad[0].number} ({bad[0].path}) could not be read"
            backup = backup._replace(restorable=False, reason=reason)
        backup = backup._replace(verified=None if lineage.problem else weakest(results))
        (usable if backup.restorable else lost).append(backup)
    return tuple(usable), tuple(lost)


def _not_read(level: Level) -> str:
    """What the storage does not give now may be sound: it is no finding that lasts."""
    return f"level {level.number} ({level.path}) could not be read, and was not checked"


def _finding(series: Series, level: Level, kind: str, message: str) -> Flaw:
    return Flaw(series.hostname, series.backup_name, level.zero, level.number, kind, message)
