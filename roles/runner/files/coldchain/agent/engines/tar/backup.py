# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action backup: one level of a chain, complete or not there at all."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

from coldchain.agent.engines.tar import (
    cipher,
    container,
    exclusion,
    gnu_tar,
    snapshot,
    tree_list,
)
from coldchain.agent.engines.tar.admin import remove
from coldchain.agent.engines.tar.archive_writer import (
    Tally,
    container_inside,
    follows_links,
    link_loops,
    write_archive,
    write_file,
)
from coldchain.agent.engines.tar.layout import (
    DATA,
    ENGINE_METADATA,
    ENTRIES,
    MANIFEST,
    METADATA,
    TREE,
    Chain,
    Level,
    Series,
    newest_chain,
)
from coldchain.agent.engines.tar.level_reader import statement
from coldchain.agent.engines.tar.levels import next_level, previous_backup
from coldchain.agent.engines.tar.manifest import FILE, FOLDER, Manifest, Metadata, Parent
from coldchain.agent.engines.tar.member_index import Recorder
from coldchain.agent.engines.tar.resume import Base, reconcile, resume
from coldchain.agent.engines.tar.soundness import Soundness
from coldchain.agent.modes.tree_checksum import checksum
from coldchain.agent.mounts import mounted_below
from coldchain.agent.options import BackupOptions
from coldchain.agent.progress import Meter
from coldchain.agent.report import Report
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import CannotWrite, DataError
from coldchain.core.instants import from_epoch, iso
from coldchain.core.text import display_name, format_bytes, pluralize

if TYPE_CHECKING:
    from coldchain.agent.receipts import Receipts


class Plan(NamedTuple):
    """The level to write, what it is based on, and how it is encrypted.

    skip: exact names of members that stay out; expected: bytes of archive, judged by the last
    full backup; 0 when nobody can tell.
    """

    level: Level
    previous: Level | None
    parent: Parent | None
    base: Base | None
    scheme: str | None
    warnings: tuple[str, ...]
    skip: tuple[str, ...]
    expected: int = 0


class _Unusable(Exception):
    """The chain cannot be continued, as it proves only now: why."""


#: Headers and padding of one file in an archive, about.
_PER_FILE = 1792


def backup(
    options: BackupOptions,
    storage: Storage,
    meter: Meter,
    receipts: Receipts | None = None,
    now: Callable[[], float] = time.time,
) -> Report:
    """Write the next level; a dry run only says which one it would be.

    receipts: what verifications on this host have found.
    """
    started = time.monotonic()
    if container_inside(options) == ".":
        raise DataError(f"path_to_backup {options.tree} lies inside the container")
    empty = exclusion.everything(options.exclude)
    if empty is not None:
        raise DataError(f"exclude: {empty!r} leaves out everything", "leave that pattern out")
    if options.encryption is not None:
        cipher.password(options.encryption.pass_file)
    dry = options.common.dry_run
    series = Series.of(options.common)
    with nullcontext() if dry else storage.lock(series.host_name):
        if not dry:
            container.sweep(storage, series)
        soundness = Soundness(storage, series, options.common.location.key, receipts)
        _check_metadata(options, storage)
        with snapshot.memfd() as snar, snapshot.memfd() as listed:
            plan = _plan(options, storage, soundness, int(now()), snar, listed)
            if dry:
                return _dry_report(options, plan)
            if options.sync:
                meter.begin("writing the buffers out")
                os.sync()
            try:
                report = _write(options, storage, meter, plan, snar, listed, started, now)
            except _Unusable as rename:
                snapshot.clear(snar)
                plan = _plan(options, storage, soundness, int(now()), snar, listed, str(rename))
                report = _write(options, storage, meter, plan, snar, listed, started, now)
        removed: list[str] = []
        if options.common.removal is not None:
            removed = remove(storage, options.common, now(), receipts)
    return Report(
        report.action,
        report.message + (f"; removed {pluralize(len(removed), 'chain')}" if removed else ""),
        report.warnings,
        {**report.fields, "removed": removed},
    )


def _check_metadata(options: BackupOptions, storage: Storage) -> None:
    """A backup would bury, and the next one remove, what only lacks its metadata."""
    series = Series.of(options.common)
    levels = 0 if storage.names(METADATA) else container.stranded(storage, series)
    if levels:
        raise DataError(
            f"{options.common.location}: {series.data_folder} holds {levels} complete levels, but"
            f" there is no {METADATA}: it was lost",
            f"bring {METADATA} back, or move {series.data_folder} away",
        )


def _plan(
    options: BackupOptions,
    storage: Storage,
    soundness: Soundness,
    now: int,
    snar: int,
    listed: int,
    broken: str = "",
) -> Plan:
    """broken: why the chain cannot be continued, when that is known already."""
    series = Series.of(options.common)
    chains = container.chains(storage, series)
    _check_name(options, soundness, chains)
    previous = previous_backup(chains, options.rules, now, soundness.moment)
    warnings = []
    scheme = None
    base = None
    if options.encryption is not None:
        scheme = options.encryption.wanted
        warnings += cipher.doubts(options.encryption.pass_file)
    if previous is not None:
        chain = newest_chain(chains)
        assert chain is not None
        found = broken or resume(storage, options, soundness, chain, previous, snar, listed)
        if isinstance(found, Base):
            base = found
            scheme = base.scheme
        else:
            warnings.append(f"a new chain is begun: {found}")
            previous = None
            snapshot.clear(snar)
    warnings += _ahead(soundness, chains, now)
    if options.consistency_check and options.exclude:
        warnings.append(
            "consistency_check covers what exclude leaves out, too: a restore will not have its sum"
        )
    inside = container_inside(options)
    loops = [name for name in link_loops(options) if name != inside]
    if loops:
        first = ", ".join(display_name(os.fsencode(name)) for name in loops[:3])
        more = f" and {len(loops) - 3} more" if loops[3:] else ""
        warnings.append(f"left out, as following it would never end: {first}{more}")
    skip = (*loops, *([] if inside is None else [inside]))
    expected = _expected(options, soundness, chains) if previous is None else 0
    level = next_level(chains, previous, now)
    taken = {orphan.level.time for orphan in container.orphans(storage, series)}
    while level.time in taken:
        level = next_level(chains, previous, level.time + 1)
    parent = None
    if previous is not None:
        parent = Parent(previous.name, soundness.stored(previous).digest)
    return Plan(level, previous, parent, base, scheme, tuple(warnings), skip, expected)


def _ahead(soundness: Soundness, chains: Sequence[Chain], now: int) -> Iterator[str]:
    """What is dated later than now, as a warning."""
    ahead = soundness.ahead(chains, now)
    if ahead:
        newest = iso(from_epoch(max(map(soundness.moment, ahead))))
        yield (
            f"dated ahead of now: {pluralize(len(ahead), 'level')}, up to {newest}: the clock was"
            " wrong then, or is wrong now; the action admin with remove_ahead removes such chains"
        )


def _check_name(options: BackupOptions, soundness: Soundness, chains: Sequence[Chain]) -> None:
    """Host "a" with name "b_c", and host "a_b" with name "c", have one directory."""
    mine = options.common.hostname, options.common.backup_name
    for chain in reversed(chains):
        try:
            manifest = soundness.stored(chain.newest).manifest
        except DataError:
            continue
        if manifest is not None and (manifest.hostname, manifest.backup_name) != mine:
            raise DataError(
                f"{options.common.location}: {Series.of(options.common).host_name} holds backups of"
                f" host {manifest.hostname} named {manifest.backup_name}",
                "choose another backup_name, or a container of its own",
            )


def _expected(options: BackupOptions, soundness: Soundness, chains: Sequence[Chain]) -> int:
    """How large the last full backup of the same source was, before compression."""
    for chain in reversed(chains):
        try:
            manifest = soundness.stored(chain.levels[0]).manifest
        except DataError:
            continue
        if manifest is not None and manifest.level.number == 0:
            same = manifest.source == options.source.identity
            return manifest.bytes_read + manifest.files * _PER_FILE if same else 0
    return 0


def _write(
    options: BackupOptions,
    storage: Storage,
    meter: Meter,
    plan: Plan,
    snar: int,
    listed: int,
    started: float,
    now: Callable[[], float],
) -> Report:
    series = Series.of(options.common)
    created = now()
    sum_before = None
    if options.consistency_check:
        meter.begin("summing up the files")
        sum_before = checksum(options.tree, skip=plan.skip, follow=follows_links(options))
    meter.begin("looking at the files")
    tree = tree_list.walk(
        options.tree,
        follow=follows_links(options),
        skip={os.fsencode(name) for name in plan.skip},
        excluded=exclusion.matcher(options.exclude),
    )
    _check_devices(options, tree)
    hollow = tuple(_hollow(options, storage, tree))
    differences = tree_list.Differences()
    if plan.previous is not None:
        assert plan.base is not None
        try:
            differences = reconcile(options, tree, snar, listed, plan.base.facts)
        except DataError as error:
            raise _Unusable(error.message) from None
    meter.begin(f"writing level {plan.level.number}", plan.expected, estimated=True)
    tally = Tally()
    kind = FOLDER if options.tree.is_dir() else FILE
    known = snapshot.folders(snar)
    folder, marker = series.data_of(plan.level), series.marker_of(plan.level)
    with (
        storage.draft(series.host_name, folder, marker) as draft,
        snapshot.memfd() as entries,
        snapshot.memfd() as state,
    ):
        recorder = Recorder(entries)
        archive = write_archive(
            options,
            draft,
            plan.scheme,
            snar,
            plan.skip,
            recorder,
            tally,
            meter,
            unchanged=plan.previous is not None and kind == FILE and not differences.fresh,
        )
        recorder.close()
        moved = snapshot.renamed(known, snar) if plan.previous else None
        if moved is not None:
            then, new = map(display_name, moved)
            raise _Unusable(f"{new} is the directory that {then} is or was")
        # tar notes what it left out or could not read as saved: the whole chain would lack it.
        tree_list.settle(
            tree,
            differences,
            snar,
            unreadable=tally.complaints.unreadable,
            vanished=tally.complaints.vanished,
            first=plan.previous is None,
        )
        tree_list.write(tree, state)
        for member in tree.elsewhere:
            tally.complaints.add(gnu_tar.ELSEWHERE, member)
        parts = {DATA: archive}
        for name, descriptor in ((ENGINE_METADATA, snar), (ENTRIES, entries), (TREE, state)):
            parts[name] = write_file(options, draft, name, plan.scheme, descriptor)
        manifest = Manifest(
            hostname=series.hostname,
            backup_name=series.backup_name,
            level=plan.level,
            parent=plan.parent,
            source=options.source.identity,
            kind=kind,
            compression=options.compression,
            scheme=plan.scheme,
            created=created,
            members=tally.members,
            files=tally.files,
            bytes_read=tally.bytes_read,
            parts=parts,
            warnings=dict(tally.complaints.counts),
        )
        seal = None
        if plan.scheme == "strong":
            assert options.encryption is not None
            secret = cipher.password(options.encryption.pass_file)
            seal = cipher.seal(secret, statement(series, manifest))
        with draft.write(MANIFEST) as sink:
            sink(manifest.encode())
        draft.commit(Metadata(options.compression, plan.scheme, seal).encode())
    _confirm(options, storage, plan.level)
    duration = time.monotonic() - started
    plan = plan._replace(warnings=(*plan.warnings, *hollow))
    return _report(options, plan, manifest, tally, tree, differences, sum_before, duration)


def _check_devices(options: BackupOptions, tree: tree_list.Tree) -> None:
    """DataError where tar would take a file for another file system's although it is none's."""
    mounts = mounted_below(options.tree) if tree.elsewhere else {}
    for member in tree.elsewhere:
        path = os.path.join(os.fsencode(options.tree), member)
        if member not in mounts and not os.path.islink(path):
            raise DataError(
                f"path_to_backup {options.tree}: files have other device numbers than their"
                f" directories, as {display_name(member)}: tar would leave them out",
                "an overlay of several file systems is like that: mount it with -o xino=on, or back"
                " up the directories that it is made of",
            )


def _hollow(options: BackupOptions, storage: Storage, tree: tree_list.Tree) -> Iterator[str]:
    """That a level will hold nothing, although something was meant, as warnings."""
    if options.tree.is_symlink() and not options.tree.is_dir() and not follows_links(options):
        yield (
            f"path_to_backup {options.tree} is a link, and only the link is stored: name the file,"
            " or dereference_symlink: soft"
        )
    if tree.blocks.get(b"."):
        return
    if options.exclude and b"." in tree.left_out:
        yield "nothing is stored: exclude leaves out all that is there"
        return
    series = Series.of(options.common)
    soundness = Soundness(storage, series)
    if any(
        map(
            soundness.holds_files,
            (level for chain in container.chains(storage, series) for level in chain.levels),
        )
    ):
        yield (
            f"path_to_backup {options.tree} is empty, and earlier backups of it hold files: is"
            " something not mounted?"
        )


def _confirm(options: BackupOptions, storage: Storage, level: Level) -> None:
    """CannotWrite unless the container lists *level*, just written, as one to restore."""
    series = Series.of(options.common)
    chains = container.chains(storage, series)
    chain = next((chain for chain in chains if level in chain.levels), None)
    reason = "it is not listed"
    if chain is not None:
        reason = Soundness(storage, series).problem(chain, level)
    if reason:
        raise CannotWrite(
            f"level {level.number} ({level.path}) was written to {options.common.location}, but it"
            f" cannot be restored from there: {reason}",
            "coldchain verify tells more; nothing older was removed",
        )


def _fields(options: BackupOptions, plan: Plan) -> dict[str, object]:
    series = Series.of(options.common)
    return {
        **options.common.location.as_fields(),
        "hostname": series.hostname,
        "backup_name": series.backup_name,
        "source": options.source.identity,
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
    tree: tree_list.Tree,
    differences: tree_list.Differences,
    consistency: str | None,
    duration: float,
) -> Report:
    stored = sum(part.size for part in manifest.parts.values())
    message = (
        f"level {plan.level.number} of {options.common.backup_name}:"
        f" {pluralize(manifest.files, 'file')}, {format_bytes(manifest.bytes_read)} read,"
        f" {format_bytes(stored)} stored in {duration:.1f} s"
    )
    read_errors = {
        kind: {"count": number, "names": [display_name(name) for name in names]}
        for kind, number, names in tally.complaints.items()
    }
    fields = {
        **_fields(options, plan),
        "files": manifest.files,
        "bytes": manifest.bytes_read,
        "size": stored,
        "archive_bytes": tally.written,
        "entries": tree.entries,
        "source_bytes": tree.size,
        "changed": manifest.files if plan.previous is not None else None,
        "free_bytes": _free(options),
        "manifest_sha256": hashlib.sha256(manifest.encode()).hexdigest(),
        "duration": round(duration, 3),
        "read_errors": read_errors,
    }
    if consistency is not None:
        fields["consistency_checksum"] = consistency
    warnings = (*plan.warnings, *_told(differences), *tally.complaints.describe())
    return Report("backup", message, warnings, fields)


def _free(options: BackupOptions) -> int | None:
    """Bytes that are left in a local container, None where that cannot be known."""
    folder = options.common.location.folder
    try:
        space = None if folder is None else os.statvfs(folder)
    except OSError:
        return None
    return None if space is None else space.f_bavail * space.f_frsize


def _told(differences: tree_list.Differences) -> Iterator[str]:
    """What the comparison with the last level has shown, for people."""
    old, stale = differences.old, differences.stale
    if old:
        yield (
            f"{pluralize(len(old), 'entry')} older than the last level, but not stored as now,"
            f" saved again: {_some(old)}"
        )
    if stale:
        yield (
            f"{pluralize(len(stale), 'entry')} left out now, while earlier levels of the chain hold"
            f" them: a restore of this level or a later one does not bring them: {_some(stale)}"
        )


def _some(names: Sequence[bytes]) -> str:
    first = ", ".join(map(display_name, names[:3]))
    return first + (f" and {len(names) - 3} more" if names[3:] else "")


def _dry_report(options: BackupOptions, plan: Plan) -> Report:
    base = f"based on level {plan.previous.number}" if plan.previous else "a new chain"
    message = (
        f"dry run: would write level {plan.level.number} of"
        f" {options.common.backup_name} ({base}); nothing was written"
    )
    fields = {**_fields(options, plan), "dry_run": True}
    return Report("backup", message, plan.warnings, fields)
