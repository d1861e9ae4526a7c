# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action restore: all levels into a private folder, checked, then moved into place."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from coldchain.agent.engines.tar import (
    container,
    gnu_tar,
    member_index,
    placing,
    settled_tree,
    snapshot,
    staging,
    tree_list,
)
from coldchain.agent.engines.tar.admin import remove, would_remove
from coldchain.agent.engines.tar.extract import Seen, extract_all, list_members
from coldchain.agent.engines.tar.extract_guard import Names, below
from coldchain.agent.engines.tar.fetch_group import NearLevels, open_spool
from coldchain.agent.engines.tar.foresight import check_links
from coldchain.agent.engines.tar.layout import (
    DATA,
    ENGINE_METADATA,
    ENTRIES,
    Chain,
    Level,
    Series,
)
from coldchain.agent.engines.tar.level_fetch import LevelFetcher, checked_once
from coldchain.agent.engines.tar.level_list import open_list
from coldchain.agent.engines.tar.level_reader import (
    Altered,
    StoredLevel,
    authenticate,
    checked_blocks,
    load,
)
from coldchain.agent.engines.tar.link_model import above, plain
from coldchain.agent.engines.tar.manifest import FOLDER
from coldchain.agent.engines.tar.soundness import Soundness
from coldchain.agent.modes.tree_checksum import checksum
from coldchain.agent.modes.tree_preview import LISTED, preview
from coldchain.agent.options import RestoreOptions
from coldchain.agent.progress import Meter
from coldchain.agent.report import Report
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import ColdchainError, DataError, JobFailed
from coldchain.core.instants import from_epoch, iso
from coldchain.core.text import (
    did_you_mean,
    display_name,
    format_bytes,
    path_text,
    pluralize,
    text_path,
)

if TYPE_CHECKING:
    from coldchain.agent.receipts import Receipts

_ARMED = stat.S_ISUID | stat.S_ISGID


def restore(
    options: RestoreOptions,
    storage: Storage,
    meter: Meter,
    spool: Path,
    receipts: Receipts | None = None,
) -> Report:
    """Restore the newest point not later than ``until``; a dry run lists the members.

    spool: where a dry run may keep a level while it looks at it; receipts: what verifications on
    this host have found.
    """
    started = time.monotonic()
    levels = _levels(options, storage, receipts)
    _check_place(options)
    refused = ""
    try:
        staging.check_target(
            options.directory, overwrite=options.overwrite, trust=options.trust_target
        )
    except DataError as error:
        if not options.common.dry_run:
            raise
        refused = f"{error.message}; {error.hint}" if error.hint else error.message
    trusted: list[str] = []
    for level in levels:
        trusted += authenticate(storage, level, options.encryption)
    total = sum(storage.size(level.path(DATA)) or 0 for level in levels)
    paths = _paths(options, storage, levels, meter, spool)
    if options.common.dry_run:
        report = _dry_run(options, storage, levels, paths, meter, spool, receipts)
        told = [f"a restore would be refused: {refused}"] if refused else []
        fields = {**report.fields, "refused": refused}
        said = (*told, *trusted, *report.warnings)
        return Report(report.action, report.message, said, fields)
    seen = Seen(track_owners=os.geteuid() != 0)
    point = levels[-1].level
    when = iso(from_epoch(levels[-1].moment))
    with (
        _naming_the_way_out(options, storage, receipts),
        staging.stage(
            options.directory, overwrite=options.overwrite, trust=options.trust_target
        ) as stage,
        LevelFetcher(storage, levels, stage.private, meter) as fetcher,
    ):
        warnings = [
            *trusted,
            *extract_all(
                storage,
                fetcher,
                levels,
                options.encryption,
                paths,
                stage,
                meter,
                seen,
                options.numeric_owner,
            ),
        ]
        modes = staging.open_up(stage.descriptor)
        selected = below(paths) if paths else staging.everything
        surplus, differing = settled_tree.end(
            stage.descriptor, fetcher.near, levels[-1], options.encryption, selected
        )
        warnings += differing
        if paths:
            _prune(stage.descriptor, paths, f"as of {when}")
        foreign = _foreign_owners(seen, numeric=options.numeric_owner)
        files, restored, owners, changed = _measure(stage.descriptor, disarm=bool(foreign))
        warnings += changed
        if seen.root and not paths:
            owners.add(os.fstat(stage.descriptor).st_uid)
        if options.trust_target:
            warnings += stage.trusted()
        else:
            stage.check_owners(owners)
        restored_sum = checksum(Path(os.fsdecode(stage.tree))) if options.checksum else None
        if restored_sum != options.checksum:
            raise JobFailed(
                "the restored files do not have the given consistency_checksum: nothing was kept",
                "the source had changed while it was backed up, or the checksum is another one's",
            )
        # Where the backup has no directory of its own, the target's owner and mode stay.
        wanted = selected if seen.root or paths else _below_top
        placing.place(stage, whole=seen.root and not paths, wanted=wanted, modes=modes)
    if foreign:
        first = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if foreign[3:] else "")
        warnings.append(f"what belonged to {first} is yours now: only root can give files away")
    removed, kept = _remove_old(options, storage, receipts, levels[0].level.zero)
    warnings += kept
    place = str(options.directory)
    if place != stage.way.path:
        place += f" ({stage.way.path})"
    message = (
        f"restored {options.common.backup_name} as of {when} (level {point.number}):"
        f" {pluralize(files, 'file')}, {format_bytes(restored)}"
        f" in {time.monotonic() - started:.1f} s"
        f" to {place}" + (f"; removed {pluralize(len(removed), 'chain')}" if removed else "")
    )
    fields = {
        **_fields(options, levels),
        "removed": removed,
        "files": files,
        "bytes": restored,
        "size": total,
        "surplus": surplus,
        "containment": list(seen.containment),
        "duration": round(time.monotonic() - started, 3),
    }
    return Report("restore", message, tuple(warnings), fields)


def _check_place(options: RestoreOptions) -> None:
    """A container holds backups, and what else lies in it goes with them or is taken for some."""
    folder = options.common.location.folder
    target = os.path.realpath(options.directory)
    if folder is not None and os.path.commonpath([os.path.realpath(folder), target]) == (
        os.path.realpath(folder)
    ):
        raise DataError(
            f"restore_abs_path {options.directory} lies inside the container",
            "choose a directory outside of it",
        )


def _remove_old(
    options: RestoreOptions, storage: Storage, receipts: Receipts | None, restored: int
) -> tuple[list[str], list[str]]:
    """What the action removes after a restore, as Freezer does: (removed chains, warnings).

    Never the chain *restored*; and files that are back are no failure because of it.
    """
    if options.common.removal is None:
        return [], []
    try:
        with storage.lock(Series.of(options.common).host_name):
            return remove(storage, options.common, time.time(), receipts, restored), []
    except ColdchainError as error:
        return [], [f"old chains were not removed: {error.message}"]


def _levels(
    options: RestoreOptions, storage: Storage, receipts: Receipts | None
) -> list[StoredLevel]:
    """The levels to extract in order; JobFailed names what is missing and what there is."""
    series = Series.of(options.common)
    chains = container.chains(storage, series)
    if not chains:
        raise _no_match(options, storage)
    soundness = Soundness(storage, series, options.common.location.key, receipts)
    chain = soundness.as_of(chains, options.until)
    if chain is None:
        assert options.until is not None
        oldest = min(soundness.moment(level) for chain in chains for level in chain.levels)
        raise JobFailed(
            f"no backup of {series.host_name} is as old as {iso(from_epoch(options.until))}",
            f"the oldest one is of {iso(from_epoch(oldest))}",
        )
    lineage = soundness.lineage(chain, chain.newest)
    if lineage.problem:
        raise JobFailed(f"{series.host_name}: {lineage.problem}", _instead(soundness, chains))
    try:
        levels = [soundness.stored(level) for level in lineage.levels]
    except DataError as error:
        error.hint = "; ".join(filter(None, (error.hint, _instead(soundness, chains))))
        raise
    fault = next(filter(None, map(soundness.fault, lineage.levels)), "")
    if fault:
        raise JobFailed(f"{series.host_name}: {fault}", _instead(soundness, chains))
    return levels


def _no_match(options: RestoreOptions, storage: Storage) -> JobFailed:
    series, location = Series.of(options.common), options.common.location
    host_names = container.host_names(storage)
    prefix, suffix = f"{series.hostname}_", f"_{series.backup_name}"
    own = [name[len(prefix) :] for name in host_names if name.startswith(prefix)]
    elsewhere = [name[: -len(suffix)] for name in host_names if name.endswith(suffix)]
    # Only what can be written as backup_name: of the two names in one that lie there, no more.
    hint = did_you_mean(series.backup_name.removeprefix(prefix), own, most=3)
    if hint:
        pass
    elif elsewhere:
        hint = f"written by other hosts: {', '.join(elsewhere[:10])}; hostname says by which"
    elif host_names:
        hint = f"there are (HOSTNAME_BACKUP-NAME): {', '.join(host_names[:10])}"
    elif location.folder is not None and not location.folder.is_dir():
        hint = "there is no such directory; coldchain backups lists the containers of the jobs"
    else:
        hint = "the container holds no backup"
    return JobFailed(f'No matching backup name "{series.host_name}" found in {location}', hint)


@contextlib.contextmanager
def _naming_the_way_out(
    options: RestoreOptions, storage: Storage, receipts: Receipts | None
) -> Iterator[None]:
    """Where a level turns out to be altered, say which point can be restored instead."""
    try:
        yield
    except Altered as error:
        series = Series.of(options.common)
        soundness = Soundness(storage, series, options.common.location.key, receipts)
        chains = container.chains(storage, series)
        error.hint = _instead(soundness, chains, error.level)
        raise


def _instead(soundness: Soundness, chains: Sequence[Chain], without: Level | None = None) -> str:
    """The newest point that can be restored, where the wanted one cannot."""
    newest = soundness.newest(chains, without=without)
    if newest is None:
        return "coldchain verify tells what is wrong with the others"
    when = iso(from_epoch(soundness.moment(newest)))
    return f"the newest that can be restored: restore_from_date {when}"


def _paths(
    options: RestoreOptions,
    storage: Storage,
    levels: Sequence[StoredLevel],
    meter: Meter,
    spool: Path,
) -> list[bytes]:
    """restore_paths relative to the backed up directory, normalised.

    A path with a backslash is what a dry run shows so, where the backup has that, and otherwise
    the name as it stands there.
    """
    manifest = levels[-1].manifest
    source = None if manifest is None else os.path.normpath(os.fsencode(manifest.source))
    known: set[bytes] | None = None
    paths = []
    for text in options.paths:
        literal = _within(os.fsencode(text), source)
        shown = text_path(text) if "\\" in text else None
        meant = literal if shown is None or b"\0" in shown else _within(shown, source)
        if meant != literal:
            if known is None:
                files, _unused, folders = _names(options, storage, levels, meter, spool)
                known = files | folders
            meant = meant if meant in known else literal
        if meant in (b"", b"."):
            return []
        if meant.partition(b"/")[0] == b"..":
            raise JobFailed(f"restore_paths: {text!r} lies outside of what was backed up")
        paths.append(meant)
    return paths


def _within(path: bytes, source: bytes | None) -> bytes:
    path = os.path.normpath(path)
    above = b"" if source is None else source.rstrip(b"/") + b"/"
    if source is not None and os.path.isabs(path) and (path + b"/").startswith(above):
        path = os.path.relpath(path, source)
    return path.lstrip(b"/")


def _dry_run(
    options: RestoreOptions,
    storage: Storage,
    levels: Sequence[StoredLevel],
    paths: list[bytes],
    meter: Meter,
    spool: Path,
    receipts: Receipts | None,
) -> Report:
    """The names that a restore would bring."""
    last = levels[-1]
    selected = below(paths) if paths else staging.everything
    remote = options.common.location.folder is None
    keys = [(level.series, level.level) for level in levels if remote]
    with NearLevels(storage, keys, spool, meter, (ENTRIES,)) as near:

        def source(level: StoredLevel) -> Storage:
            """The storage, with the list of the level at hand."""
            return near.of(level.series, level.level)

        told = check_links(source, levels, options.encryption)
        files, directory, folders = _names(options, storage, levels, meter, spool)
        if paths:
            files = {name for name in files if selected(name)}
        chosen, needed = _stored(options, source, levels, files)
    for path in paths:
        single = below([path])
        if path not in folders and not any(map(single, chosen)):
            raise _not_there(path, f"as of {iso(from_epoch(last.level.time))}")
    files_there = sorted(chosen)
    compared = preview(options.directory, files_there, selected)
    names = [path_text(name) for name in files_there[:LISTED]]
    number = len(files_there)
    point = iso(from_epoch(last.moment))
    message = (
        f"dry run: would restore {pluralize(number, 'file')}"
        + (f" ({format_bytes(needed)})" if needed is not None else "")
        + " of"
        f" {options.common.backup_name} as of {point} (level {last.level.number})"
        f" to {options.directory}: {compared.text()}; nothing was written"
    )
    removed: list[str] = []
    if options.common.removal is not None:
        removed = would_remove(storage, options.common, time.time(), receipts, last.level.zero)
        message += f"; would remove {pluralize(len(removed), 'chain')}"
    fields = {
        **_fields(options, levels),
        "dry_run": True,
        "removed": removed,
        "files": number,
        "bytes": needed,
        "directory": directory,
        "names": names,
        **compared.as_fields(),
    }
    return Report("restore", message, (*told, *_too_small(options.directory, needed)), fields)


def _too_small(target: Path, needed: int | None) -> tuple[str, ...]:
    """A warning when the files do not fit beside what is there: they are moved when all are.

    needed: bytes, None when that is not known.  Holes and compression may make them fit yet.
    """
    place = Path(os.path.realpath(target))
    while not place.is_dir() and place != place.parent:
        place = place.parent
    try:
        free = shutil.disk_usage(place).free
    except OSError:
        return ()
    if needed is None or needed <= free:
        return ()
    return (
        f"{format_bytes(needed)} are to be restored, and {place} has {format_bytes(free)} free",
    )


def _names(
    options: RestoreOptions,
    storage: Storage,
    levels: Sequence[StoredLevel],
    meter: Meter,
    spool: Path,
) -> tuple[set[bytes], bool, set[bytes]]:
    """The files that a restore brings, whether in a directory or alone, and directories.

    They are in the list of the last level; without one in tar's small snapshot, or else the archive
    is read.
    """
    with contextlib.suppress(DataError, JobFailed):
        return _listed(options, storage, levels)
    last = levels[-1]
    if last.manifest is None or gnu_tar.UNREADABLE not in last.manifest.warnings:
        with snapshot.memfd() as snar, contextlib.suppress(DataError, JobFailed):
            load(storage, last, ENGINE_METADATA, options.encryption, snar)
            listed = snapshot.files(snar)
            if listed is not None:
                return set(listed), True, set(map(plain, snapshot.folders(snar)))
    names = Names()
    later = last.level.number > 0
    meter.begin("listing", storage.size(last.path(DATA)) or 0)
    with contextlib.ExitStack() as stack:

        def source() -> Iterator[bytes]:
            return checked_blocks(storage, last, meter=meter)

        if last.metadata.seal is not None:
            folder = stack.enter_context(open_spool(spool))
            once = checked_once(storage, last, folder, meter)
            list_members(last, stack.enter_context(once), options.encryption, names.take, later)
        else:
            list_members(last, source, options.encryption, names.take, later)
    return set(names.files()), names.directory, names.folders


def _listed(
    options: RestoreOptions, storage: Storage, levels: Sequence[StoredLevel]
) -> tuple[set[bytes], bool, set[bytes]]:
    """``_names`` by the lists of levels; DataError or JobFailed when they do not tell."""
    files, folders = set(), set()
    for folder, block in settled_tree.contents(storage, levels, options.encryption):
        folders.add(folder)
        for kind, name in tree_list.names(block):
            if kind == b"d":
                folders.add(os.path.join(folder, name))
            elif kind != b"s":
                files.add(os.path.join(folder, name))
    manifest = levels[-1].manifest
    return files, manifest is not None and manifest.kind == FOLDER, folders


def _stored(
    options: RestoreOptions,
    source: Callable[[StoredLevel], Storage],
    levels: Sequence[StoredLevel],
    names: set[bytes],
) -> tuple[Collection[bytes], int | None]:
    """Which of *names* are stored (sockets are not) and their bytes, by the lists of entries.

    When a level has no list: all of them, and None.  *names* is used up: a copy of a set of
    100,000 would cost as much memory as all the rest.
    """
    total = 0
    stored: list[bytes] = []
    for level in reversed(levels):
        if not names:
            break
        with open_list(source(level), level, options.encryption) as listed:
            if listed is None:
                names.update(stored)
                return names, None
            linked: set[bytes] = set()
            for entry in member_index.read(listed):
                name = plain(entry.name)
                if entry.kind != "d" and name in names:
                    names.remove(name)
                    stored.append(name)
                    total += entry.size
                    if entry.target is not None and entry.kind == "h":
                        linked.add(plain(entry.target))
            # The content of a link to a name that is not wanted is under that name.
            linked.difference_update(stored)
            if linked:
                others = member_index.read(listed)
                total += sum(other.size for other in others if plain(other.name) in linked)
    return stored, total


def _fields(options: RestoreOptions, levels: Sequence[StoredLevel]) -> dict[str, object]:
    series, point = Series.of(options.common), levels[-1].level
    return {
        **options.common.location.as_fields(),
        "hostname": series.hostname,
        "backup_name": series.backup_name,
        "restore_abs_path": os.fspath(options.directory),
        "chain": point.zero,
        "level": point.number,
        "curr_backup_level": point.number,
        "time": iso(from_epoch(levels[-1].moment)),
        "time_stamp": point.time,
    }


def _below_top(name: bytes) -> bool:
    return name != b""


def _not_there(path: bytes, point: str) -> JobFailed:
    return JobFailed(
        f"restore_paths: {path_text(path)} is not in the backup {point}",
        "a dry run lists what is; an earlier restore_from_date may hold it",
    )


def _prune(tree: int, paths: Sequence[bytes], point: str) -> None:
    """Keep only the selected *paths* of the open *tree*; JobFailed when one is not there."""
    for path in paths:
        if not all(map(partial(_is_folder, tree), above(path))) or _kind(tree, path) is None:
            raise _not_there(path, point)
    selected = below(paths)
    waiting = [b""]
    while waiting:
        folder = waiting.pop()
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(folder or b".", flags, dir_fd=tree)
        try:
            for name in map(os.fsencode, os.listdir(descriptor)):
                inner = os.path.join(folder, name)
                if selected(inner):
                    continue
                if not _is_folder(descriptor, name):
                    os.unlink(name, dir_fd=descriptor)
                elif any(path.startswith(inner + b"/") for path in paths):
                    waiting.append(inner)
                else:
                    shutil.rmtree(b"/proc/self/fd/%d/%s" % (descriptor, name))
        finally:
            os.close(descriptor)


def _kind(folder: int, name: bytes) -> int | None:
    """The kind of file that *name* is; None when it is not there."""
    try:
        return stat.S_IFMT(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_folder(folder: int, name: bytes) -> bool:
    return _kind(folder, name) == stat.S_IFDIR


def _measure(tree: int, *, disarm: bool) -> tuple[int, int, set[int], list[str]]:
    """Files, bytes and user ids in the open *tree*; device nodes are taken out and described.

    A device node from an archive gives whoever may open it the device behind, so it is only
    made by hand.  disarm: files belong to another user than they did; one that ran as its owner
    would let everybody act as that user.
    """
    files = total = 0
    owners = set()
    warnings = []
    armed = []
    for folder, descriptor, entries in staging.folders(tree):
        before = os.fstat(descriptor)
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            owners.add(status.st_uid)
            kind = stat.S_IFMT(status.st_mode)
            if kind in (stat.S_IFBLK, stat.S_IFCHR):
                os.unlink(entry.name, dir_fd=descriptor)
                os.utime(descriptor, ns=(before.st_atime_ns, before.st_mtime_ns))
                node = display_name(os.path.join(folder, os.fsencode(entry.name)))
                letter = "b" if kind == stat.S_IFBLK else "c"
                number = f"{os.major(status.st_rdev)} {os.minor(status.st_rdev)}"
                warnings.append(f"device node not restored: mknod {node} {letter} {number}")
            elif kind != stat.S_IFDIR:
                files += 1
                total += status.st_size if kind == stat.S_IFREG else 0
                if disarm and kind == stat.S_IFREG and status.st_mode & _ARMED:
                    mode = stat.S_IMODE(status.st_mode) & ~_ARMED
                    os.chmod(entry.name, mode, dir_fd=descriptor)
                    armed.append(display_name(os.path.join(folder, os.fsencode(entry.name))))
    if armed:
        first = ", ".join(armed[:3]) + (f" and {len(armed) - 3} more" if armed[3:] else "")
        warnings.append(f"setuid and setgid not restored, the owner is another one: {first}")
    return files, total, owners, warnings


def _foreign_owners(seen: Seen, *, numeric: bool) -> list[str]:
    """Whose files an ordinary user cannot restore as theirs: user/group as tar shows them."""
    if os.geteuid() == 0:
        return []
    # In a container the user may have no name; tar then shows the number, too.
    user, group = str(os.geteuid()), str(os.getegid())
    if not numeric:
        with contextlib.suppress(KeyError):
            user = pwd.getpwuid(os.geteuid()).pw_name
        with contextlib.suppress(KeyError):
            group = grp.getgrgid(os.getegid()).gr_name
    return sorted(seen.owners - {f"{user}/{group}"})
