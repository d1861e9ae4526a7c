# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing one level: the source is looked at, tar reads it, and the last step makes it a level."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from coldchain.agent.engines.tar.backup import exclusion, source_tree, tree_changes
from coldchain.agent.engines.tar.backup.archive_writer import (
    Tally,
    check_policy,
    write_archive,
    write_file,
)
from coldchain.agent.engines.tar.backup.plan import Plan, plan_level
from coldchain.agent.engines.tar.backup.resume import reconcile
from coldchain.agent.engines.tar.backup.source_bounds import follows_links
from coldchain.agent.engines.tar.restore import staging
from coldchain.agent.engines.tar.stored import cipher, container, gnu_tar, snapshot, tree_list
from coldchain.agent.engines.tar.stored.cipher import Part
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
from coldchain.agent.storages.base import Draft, Storage
from coldchain.core.errors import CannotWrite, DataError
from coldchain.core.text import display_name


class UnusableChain(Exception):
    """The chain cannot be continued, as it proves only now: why."""


class _Source(NamedTuple):
    """The source as it was looked at.  kind: FOLDER or FILE; differences: from the level before."""

    kind: str
    tree: source_tree.Tree
    differences: tree_changes.Differences


class Written(NamedTuple):
    """A level that is in the container, and what has been seen while it was written.

    warnings: of what it lacks; checksum: over the source's files, None when none was asked for.
    """

    manifest: Manifest
    tally: Tally
    tree: source_tree.Tree
    differences: tree_changes.Differences
    warnings: tuple[str, ...]
    checksum: str | None


class LevelWriter(NamedTuple):
    """What all steps of a backup work with.

    snar, listed: descriptors of memory files for tar's snapshot and the list of entries of the
    level that is continued, which ``plan`` fills and ``write`` goes on from.
    """

    options: BackupOptions
    storage: Storage
    soundness: Soundness
    meter: Meter
    snar: int
    listed: int
    now: Callable[[], float]

    def plan(self, broken: str = "") -> Plan:
        """The level to write.  broken: why the chain cannot be continued, when that is known.

        Raises DataError.
        """
        if broken:
            snapshot.clear(self.snar)
        now = int(self.now())
        return plan_level(
            self.options, self.storage, self.soundness, now, self.snar, self.listed, broken
        )

    def write(self, plan: Plan) -> Written:
        """Write the level of *plan*, which is there as a whole afterwards, or not at all.

        Raises UnusableChain, DataError, JobFailed, CannotWrite.
        """
        options, meter = self.options, self.meter
        series, created = Series.of(options.common), self.now()
        summed = self._checksum(plan) if options.consistency_check else None
        meter.begin("looking at the files")
        source = self._look(plan)
        hollow = tuple(_hollow(options, self.storage, source.tree))
        meter.begin(f"writing level {plan.level.number}", plan.expected, estimated=True)
        tally = Tally()
        folder, marker = series.data_of(plan.level), series.marker_of(plan.level)
        with self.storage.draft(series.host_name, folder, marker) as draft:
            parts = self._store(draft, plan, source, tally)
            manifest = Manifest(
                hostname=series.hostname,
                backup_name=series.backup_name,
                level=plan.level,
                parent=plan.parent,
                source=options.source.identity,
                kind=source.kind,
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
        _confirm(options, self.storage, plan.level)
        return Written(manifest, tally, source.tree, source.differences, hollow, summed)

    def _checksum(self, plan: Plan) -> str:
        self.meter.begin("summing up the files")
        return checksum(
            self.options.tree,
            skip=plan.skip,
            left_out=staging.is_stage,
            follow=follows_links(self.options),
        )

    def _look(self, plan: Plan) -> _Source:
        """The source as it is, and what of it is not as the level before has it."""
        options, differences = self.options, tree_changes.Differences()
        tree = source_tree.walk(
            options.tree,
            follow=follows_links(options),
            skip={os.fsencode(name) for name in plan.skip},
            excluded=exclusion.matcher(options.exclude),
        )
        _check_devices(options, tree)
        if plan.previous is not None:
            assert plan.base is not None
            try:
                differences = reconcile(options, tree, self.snar, self.listed, plan.base.facts)
            except DataError as error:
                raise UnusableChain(error.message) from None
        return _Source(FOLDER if options.tree.is_dir() else FILE, tree, differences)

    def _store(self, draft: Draft, plan: Plan, source: _Source, tally: Tally) -> Mapping[str, Part]:
        """Write all parts of the level; *tally* gets what tar has read."""
        options, snar, tree = self.options, self.snar, source.tree
        follow = follows_links(options)
        known = snapshot.folders(snar)
        with snapshot.memfd() as entries, snapshot.memfd() as state:
            recorder = Recorder(entries)
            archive = write_archive(
                options,
                draft,
                plan.scheme,
                snar,
                (*plan.skip, *map(os.fsdecode, tree.stages)),
                recorder,
                tally,
                self.meter,
                unchanged=(
                    plan.previous is not None
                    and source.kind == FILE
                    and not source.differences.fresh
                ),
            )
            recorder.close()
            moved = snapshot.renamed(known, snar) if plan.previous else None
            if moved is not None:
                then, new = map(display_name, moved)
                raise UnusableChain(f"{new} is the directory that {then} is or was")
            # tar notes what it left out or could not read as saved: the whole chain would lack it.
            replaced = source_tree.replaced(options.tree, tree, follow=follow)
            _tell_replaced(tally, replaced)
            check_policy(tally, options)
            tree_changes.settle(
                tree,
                source.differences,
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
        return parts


def _tell_replaced(tally: Tally, replaced: set[bytes]) -> None:
    """Count the uppermost of the *replaced* folders as changed, unless tar has told of them."""
    known = tree_changes.within(tally.complaints.unreadable | tally.complaints.vanished)
    lower = tree_changes.within(replaced)
    for member in sorted(replaced):
        if not known(member) and not lower(os.path.dirname(member)):
            tally.complaints.add(gnu_tar.CHANGED, member)


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
