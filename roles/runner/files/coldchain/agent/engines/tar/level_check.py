# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is one level still what was written?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from coldchain.agent.engines.base import Flaw
from coldchain.agent.engines.tar.restore.foresight import Refused
from coldchain.agent.engines.tar.stored.cipher import UnwantedScheme, WrongPassword
from coldchain.agent.engines.tar.stored.fetch_group import open_spool
from coldchain.agent.engines.tar.stored.layout import DATA, ENTRIES, MANIFEST, Level, Series
from coldchain.agent.engines.tar.stored.level_fetch import Source, checked_once
from coldchain.agent.engines.tar.stored.level_reader import (
    StoredLevel,
    authenticate,
    checked_blocks,
    read_level,
)
from coldchain.agent.options import Encryption
from coldchain.agent.progress import Meter
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import DataError, JobFailed, Unavailable

#: engine_metadata and entries.gz: the next backup begins a new chain without them.
_SPARE = " (no restore needs it)"


def check_level(
    storage: Storage,
    series: Series,
    level: Level,
    encryption: Encryption | None,
    full: bool,
    meter: Meter | None,
    notes: list[str],
    spool: Path | None,
    read: Callable[[StoredLevel, Source, Encryption | None], None],
) -> Iterator[Flaw]:
    """What is wrong with the *level* in *storage*.

    full: read all of it, and not only its small files and sizes; notes: is told what could not be
    checked; spool: where a sealed level may lie meanwhile; read: lets tar read the level, and
    raises Refused when a restore would refuse it.
    """
    try:
        stored = read_level(storage, series, level)
    except (DataError, Unavailable) as error:
        if isinstance(error, Unavailable):
            notes.append(_not_read(level))
        yield flaw_of(series, level, "unreadable", error.message)
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
        _read_all(storage, stored, encryption, meter, notes, spool, read)
    except Unavailable as error:
        notes.append(_not_read(level))
        yield flaw_of(series, level, "unreadable", error.message)
    except Refused as error:
        yield flaw_of(series, level, "refused", f"{error.message} ({error.hint})")
    except (JobFailed, DataError) as error:
        if False not in spare:
            kind = "unsealed" if isinstance(error, UnwantedScheme) else "altered"
            text = f"{error.message} ({error.hint})" if kind == "unsealed" else error.message
            finding = flaw_of(series, level, kind, text)
            yield finding._replace(doubtful=isinstance(error, WrongPassword))


def _read_all(
    storage: Storage,
    stored: StoredLevel,
    encryption: Encryption | None,
    meter: Meter | None,
    notes: list[str],
    spool: Path | None,
    read: Callable[[StoredLevel, Source, Encryption | None], None],
) -> None:
    """Read the data of a level to its end, as a restore would; without the password that it needs,
    what can be read of it."""
    if stored.metadata.scheme is not None and encryption is None:
        notes.append(f"{stored.place}: encrypted and no password given, so only its sum is checked")
        for _unused in checked_blocks(storage, stored, meter=meter):
            pass
        return
    authenticate(storage, stored, encryption)
    if stored.metadata.seal is None:
        read(stored, lambda: checked_blocks(storage, stored, meter=meter), encryption)
        return
    with open_spool(spool) as folder, checked_once(storage, stored, folder, meter) as source:
        read(stored, source, encryption)


def _spare_parts(storage: Storage, stored: StoredLevel) -> Iterator[Flaw]:
    for name in stored.parts:
        if name != DATA:
            try:
                for _unused in checked_blocks(storage, stored, name):
                    pass
            except (JobFailed, DataError) as error:
                finding = flaw_of(stored.series, stored.level, "altered", error.message + _SPARE)
                yield finding._replace(spare=True)


def _sizes(storage: Storage, stored: StoredLevel) -> Iterator[Flaw]:
    if stored.manifest is None and _is_there(storage, stored.path(ENTRIES)):
        # Ours, then.  A sealed level cannot be checked without it, and is not restored.
        text = f"{stored.place}: {MANIFEST} is missing, and with it the sums of all parts"
        finding = flaw_of(stored.series, stored.level, "missing", text)
        yield finding._replace(spare=stored.metadata.seal is None)
    for name in stored.parts or (DATA,):
        expected = stored.parts.get(name)
        kind, text = "", ""
        try:
            size = storage.size(stored.path(name))
        except DataError as error:
            spare = name != DATA
            text = error.message + (_SPARE if spare else "")
            flaw = flaw_of(stored.series, stored.level, "unreadable", text)
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
            yield flaw_of(stored.series, stored.level, kind, text)._replace(spare=spare)


def _is_there(storage: Storage, path: str) -> bool:
    try:
        return storage.size(path) is not None
    except DataError:
        return True


def _not_read(level: Level) -> str:
    """What the storage does not give now may be sound: it is no finding that lasts."""
    return f"level {level.number} ({level.path}) could not be read, and was not checked"


def flaw_of(series: Series, level: Level, kind: str, message: str) -> Flaw:
    """A flaw of the *level*."""
    return Flaw(series.hostname, series.backup_name, level.zero, level.number, kind, message)
