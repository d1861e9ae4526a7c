# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action backup: one level of a chain, complete or not there at all."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from coldchain.agent import cipher, container, snapshot, tar
from coldchain.agent.admin import remove
from coldchain.agent.archive import (
    Tally,
    container_inside,
    follows_links,
    link_loops,
    write_archive,
    write_file,
)
from coldchain.agent.consistency import checksum
from coldchain.agent.continuity import resume
from coldchain.agent.entries import Recorder
from coldchain.agent.layout import (
    DATA,
    ENGINE_METADATA,
    ENTRIES,
    MANIFEST,
    METADATA,
    Chain,
    Level,
    newest_chain,
)
from coldchain.agent.levels import next_level, previous_backup
from coldchain.agent.manifest import Manifest, Metadata, read_manifest
from coldchain.agent.options import BackupOptions
from coldchain.agent.progress import Meter
from coldchain.agent.report import Report, count, shown, size
from coldchain.agent.storage import Storage
from coldchain.errors import DataError, JobFailed


@dataclass(frozen=True)
class Plan:
    """The level to write, what it is based on, and how it is encrypted.

    skip: exact names of members that stay out; expected: bytes of archive, judged by the last
    full backup; 0 when nobody can tell.
    """

    level: Level
    previous: Level | None
    scheme: str | None
    warnings: tuple[str, ...]
    skip: tuple[str, ...]
    expected: int = 0


class _Renames(Exception):
    """The level just written renames a directory, and so cannot be trusted: which."""


#: Headers and padding of one file in an archive, about.
_PER_FILE = 1792


def backup(
    options: BackupOptions,
    storage: Storage,
    meter: Meter,
    now: Callable[[], float] = time.time,
) -> Report:
    """Write the next level; a dry run only says which one it would be."""
    started = time.monotonic()
    _check_source(options)
    if options.encryption is not None:
        cipher.password(options.encryption.pass_file)
    dry = options.common.dry_run
    with nullcontext() if dry else storage.lock(options.common.series):
        if not dry:
            container.sweep(storage, options.common.series)
        _check_metadata(options, storage)
        with snapshot.memory() as snar:
            plan = _plan(options, storage, int(now()), snar)
            if dry:
                return _dry_report(options, plan)
            if options.sync:
                meter.begin("writing the buffers out")
                os.sync()
            try:
                report = _write(options, storage, meter, plan, snar, started, now)
            except _Renames as found:
                os.ftruncate(snar, 0)
                plan = _plan(options, storage, int(now()), snar, str(found))
                report = _write(options, storage, meter, plan, snar, started, now)
        removed: list[str] = []
        if options.common.removal is not None:
            removed = remove(storage, options.common, now())
    return Report(
        report.action,
        report.message + (f"; removed {count(len(removed), 'chain')}" if removed else ""),
        report.warnings,
        {**report.fields, "removed": removed},
    )


def _check_source(options: BackupOptions) -> None:
    source = options.source
    try:
        os.lstat(source)
    except (FileNotFoundError, NotADirectoryError):
        raise JobFailed(f"path_to_backup {source} does not exist") from None
    except OSError as error:
        raise JobFailed(f"path_to_backup {source} cannot be looked at: {error.strerror}") from None
    if source.is_dir() and not os.access(source, os.R_OK | os.X_OK):
        raise JobFailed(
            f"path_to_backup {source} cannot be read by this user",
            "run the job as a user that can read it",
        )
    if container_inside(options) == ".":
        raise DataError(f"path_to_backup {source} lies inside the container")


def _check_metadata(options: BackupOptions, storage: Storage) -> None:
    """A backup would bury, and the next one remove, what only lacks its metadata."""
    series = options.common.series
    levels = 0 if storage.names(METADATA) else container.stranded(storage, series)
    if levels:
        raise DataError(
            f"{options.common.location}: {series.data_folder} holds {levels} complete levels, but"
            f" there is no {METADATA}: it was lost",
            f"bring {METADATA} back, or move {series.data_folder} away",
        )


def _plan(options: BackupOptions, storage: Storage, now: int, snar: int, broken: str = "") -> Plan:
    """broken: why the chain cannot be continued, when that is known already."""
    series = options.common.series
    chains = container.chains(storage, series)
    previous = previous_backup(chains, options.rules, now)
    warnings = []
    scheme = None
    if options.encryption is not None:
        scheme = options.encryption.scheme or "strong"
        warnings += cipher.doubts(options.encryption.pass_file)
    if previous is not None:
        chain = newest_chain(chains)
        assert chain is not None
        theirs, reason = (
            (None, broken) if broken else resume(storage, options, chain, previous, now, snar)
        )
        if reason is None:
            scheme = theirs
        else:
            warnings.append(f"a new chain is begun: {reason}")
            previous = None
            os.ftruncate(snar, 0)
    if options.consistency_check and options.exclude:
        warnings.append(
            "consistency_check covers what exclude leaves out, too: a restore will not have its sum"
        )
    inside = container_inside(options)
    loops = [name for name in link_loops(options) if name != inside]
    if loops:
        first = ", ".join(shown(os.fsencode(name)) for name in loops[:3])
        more = f" and {len(loops) - 3} more" if loops[3:] else ""
        warnings.append(f"left out, as following it would never end: {first}{more}")
    skip = (*loops, *([] if inside is None else [inside]))
    expected = _expected(options, storage, chains) if previous is None else 0
    level = next_level(chains, previous, now)
    taken = {one.level.time for one in container.orphans(storage, series)}
    while level.time in taken:
        level = next_level(chains, previous, level.time + 1)
    return Plan(level, previous, scheme, tuple(warnings), skip, expected)


def _expected(options: BackupOptions, storage: Storage, chains: Sequence[Chain]) -> int:
    """How large the last full backup of the same source was, before compression."""
    for chain in reversed(chains):
        try:
            manifest = read_manifest(storage, options.common.series, chain.levels[0])
        except DataError:
            continue
        if manifest is not None and manifest.level.number == 0:
            same = manifest.source == os.fspath(options.source)
            return manifest.bytes_read + manifest.files * _PER_FILE if same else 0
    return 0


def _write(
    options: BackupOptions,
    storage: Storage,
    meter: Meter,
    plan: Plan,
    snar: int,
    started: float,
    now: Callable[[], float],
) -> Report:
    series = options.common.series
    created = now()
    sum_before = None
    if options.consistency_check:
        meter.begin("summing up the files")
        sum_before = checksum(options.source, skip=plan.skip, follow=follows_links(options))
    meter.begin(f"writing level {plan.level.number}", plan.expected, estimated=True)
    tally = Tally()
    known = snapshot.inodes(snar)
    with storage.draft(series, plan.level) as draft, snapshot.memory() as listed:
        recorder = Recorder(listed)
        archive = write_archive(
            options, draft, plan.scheme, snar, plan.skip, recorder, tally, meter
        )
        recorder.close()
        moved = snapshot.renamed(known, snar) if plan.previous else None
        if moved is not None:
            then, new = map(shown, moved)
            raise _Renames(f"{new} is the directory that {then} is or was")
        unread = tally.complaints.folders.get(tar.UNREADABLE)
        if unread:
            # tar notes a file that it could not read as saved: the whole chain would lack it.
            snapshot.forget(snar, unread)
        parts = {DATA: archive}
        for name, descriptor in ((ENGINE_METADATA, snar), (ENTRIES, listed)):
            parts[name] = write_file(options, draft, name, plan.scheme, descriptor)
        seal = None
        if plan.scheme == "strong":
            assert options.encryption is not None
            text = cipher.statement(series.host_name, plan.level.path, options.compression, parts)
            seal = cipher.seal(cipher.password(options.encryption.pass_file), text)
        manifest = Manifest(
            hostname=series.hostname,
            backup_name=series.backup_name,
            level=plan.level,
            source=os.fspath(options.source),
            compression=options.compression,
            scheme=plan.scheme,
            created=created,
            files=tally.files,
            bytes_read=tally.bytes_read,
            parts=parts,
            warnings=dict(tally.complaints.counts),
        )
        with draft.write(MANIFEST) as sink:
            sink(manifest.encode())
        draft.commit(Metadata(options.compression, plan.scheme, seal).encode())
    return _report(options, plan, manifest, tally, sum_before, time.monotonic() - started)


def _fields(options: BackupOptions, plan: Plan) -> dict[str, object]:
    series = options.common.series
    return {
        **options.common.location.as_fields(),
        "hostname": series.hostname,
        "backup_name": series.backup_name,
        "chain": plan.level.zero,
        "level": plan.level.number,
        "curr_backup_level": plan.level.number,
        "time_stamp": plan.level.time,
        "compression": options.compression,
        "encrypt_scheme": plan.scheme,
    }


def _report(
    options: BackupOptions,
    plan: Plan,
    manifest: Manifest,
    tally: Tally,
    consistency: str | None,
    duration: float,
) -> Report:
    stored = sum(part.size for part in manifest.parts.values())
    message = (
        f"level {plan.level.number} of {options.common.series.backup_name}:"
        f" {count(manifest.files, 'file')}, {size(manifest.bytes_read)} read,"
        f" {size(stored)} stored in {duration:.1f} s"
    )
    read_errors = {
        kind: {"count": number, "names": [shown(name) for name in names]}
        for kind, number, names in tally.complaints.items()
    }
    fields = {
        **_fields(options, plan),
        "files": manifest.files,
        "bytes": manifest.bytes_read,
        "size": stored,
        "duration": round(duration, 3),
        "read_errors": read_errors,
    }
    if consistency is not None:
        fields["consistency_checksum"] = consistency
    return Report("backup", message, (*plan.warnings, *tally.complaints.describe()), fields)


def _dry_report(options: BackupOptions, plan: Plan) -> Report:
    base = f"based on level {plan.previous.number}" if plan.previous else "a new chain"
    message = (
        f"dry run: would write level {plan.level.number} of"
        f" {options.common.series.backup_name} ({base}); nothing was written"
    )
    fields = {**_fields(options, plan), "dry_run": True}
    return Report("backup", message, plan.warnings, fields)
