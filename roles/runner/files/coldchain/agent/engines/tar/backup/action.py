# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action backup: one level of a chain, complete or not there at all."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING

from coldchain.agent.engines.tar.admin import remove
from coldchain.agent.engines.tar.backup import exclusion, source_tree, tree_changes
from coldchain.agent.engines.tar.backup.archive_writer import (
    Tally,
    check_policy,
    write_archive,
    write_file,
)
from coldchain.agent.engines.tar.backup.plan import Plan, check_metadata, plan_level
from coldchain.agent.engines.tar.backup.report import foresight_of, report_of
from coldchain.agent.engines.tar.backup.resume import reconcile
from coldchain.agent.engines.tar.backup.source_bounds import follows_links, lies_in_container
from coldchain.agent.engines.tar.restore import staging
from coldchain.agent.engines.tar.stored import cipher, container, gnu_tar, snapshot, tree_list
from coldchain.agent.engines.tar.stored.layout import (
    DATA,
    ENGINE_METADATA,
    ENTRIES,
    MANIFEST,
    TREE,
    Level,
    Series,
)
from coldchain.agent.engines.tar.stored.level_reader import statement
from coldchain.agent.engines.tar.stored.manifest import FILE, FOLDER, Manifest, Metadata
from coldchain.agent.engines.tar.stored.member_index import Recorder
from coldchain.agent.engines.tar.stored.soundness import Soundness
from coldchain.agent.modes.tree_checksum import checksum
from coldchain.agent.mounts import mounted_below
from coldchain.agent.options import BackupOptions
from coldchain.agent.progress import Meter
from coldchain.agent.report import Report
from coldchain.agent.storages.base import Draft, Storage
from coldchain.core.errors import CannotWrite, DataError
from coldchain.core.text import display_name, pluralize

if TYPE_CHECKING:
    from coldchain.agent.receipts import Receipts


class _Unusable(Exception):
    """The chain cannot be continued, as it proves only now: why."""


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
    if lies_in_container(options):
        raise DataError(
            f"path_to_backup {options.tree} lies inside the container",
            "choose a container outside of it",
        )
    empty = exclusion.total_pattern(options.exclude)
    if empty is not None:
        raise DataError(f"exclude: {empty!r} leaves out everything", "leave that pattern out")
    if options.encryption is not None:
        options.encryption.pass_file.read()  # what follows has no other one
    dry = options.common.dry_run
    series = Series.of(options.common)
    with nullcontext() if dry else storage.lock(series.host_name):
        if not dry:
            container.sweep(storage, series)
        soundness = Soundness(storage, series, options.common.location.key, receipts)
        check_metadata(options, storage)
        with snapshot.memfd() as snar, snapshot.memfd() as listed:
            plan = plan_level(options, storage, soundness, int(now()), snar, listed)
            if dry:
                return foresight_of(options, plan)
            if options.sync:
                meter.begin("writing the buffers out")
                os.sync()
            try:
                report = _write(options, storage, meter, plan, snar, listed, started, now)
            except _Unusable as rename:
                snapshot.clear(snar)
                plan = plan_level(
                    options, storage, soundness, int(now()), snar, listed, str(rename)
                )
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
        sum_before = checksum(
            options.tree,
            skip=plan.skip,
            left_out=staging.is_stage,
            follow=follows_links(options),
        )
    meter.begin("looking at the files")
    tree, differences = _look(options, plan, snar, listed)
    hollow = tuple(_hollow(options, storage, tree))
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
            (*plan.skip, *map(os.fsdecode, tree.stages)),
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
        replaced = source_tree.replaced(options.tree, tree, follow=follows_links(options))
        _tell_replaced(tally, replaced)
        check_policy(tally, options)
        tree_changes.settle(
            tree,
            differences,
            snar,
            unreadable=tally.complaints.unreadable,
            vanished=tally.complaints.vanished,
            replaced=replaced,
            first=plan.previous is None,
        )
        tree_list.write(tree.blocks, state)
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
        _commit(options, draft, series, manifest)
    _confirm(options, storage, plan.level)
    duration = time.monotonic() - started
    plan = plan._replace(warnings=(*plan.warnings, *hollow))
    return report_of(options, plan, manifest, tally, tree, differences, sum_before, duration)


def _tell_replaced(tally: Tally, replaced: set[bytes]) -> None:
    """Count the uppermost of the *replaced* folders as changed, unless tar has told of them."""
    told = tally.complaints.unreadable | tally.complaints.vanished
    for member in sorted(replaced):
        known = tree_changes.lies_in(member, told)
        if not known and not tree_changes.lies_in(os.path.dirname(member), replaced):
            tally.complaints.add(gnu_tar.CHANGED, member)


def _look(
    options: BackupOptions, plan: Plan, snar: int, listed: int
) -> tuple[source_tree.Tree, tree_changes.Differences]:
    """The source as it is, and what of it is not as the level before has it."""
    tree = source_tree.walk(
        options.tree,
        follow=follows_links(options),
        skip={os.fsencode(name) for name in plan.skip},
        excluded=exclusion.matcher(options.exclude),
    )
    _check_devices(options, tree)
    if plan.previous is None:
        return tree, tree_changes.Differences()
    assert plan.base is not None
    try:
        return tree, reconcile(options, tree, snar, listed, plan.base.facts)
    except DataError as error:
        raise _Unusable(error.message) from None


def _commit(options: BackupOptions, draft: Draft, series: Series, manifest: Manifest) -> None:
    """Write the manifest, and with its seal the marker that makes the draft a level."""
    seal = None
    if manifest.scheme == "strong":
        assert options.encryption is not None
        seal = cipher.seal(options.encryption.secret, statement(series, manifest))
    with draft.write(MANIFEST) as sink:
        sink(manifest.encode())
    draft.commit(Metadata(manifest.compression, manifest.scheme, seal).encode())


def _check_devices(options: BackupOptions, tree: source_tree.Tree) -> None:
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


def _hollow(options: BackupOptions, storage: Storage, tree: source_tree.Tree) -> Iterator[str]:
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
