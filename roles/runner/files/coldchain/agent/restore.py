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
import zlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from coldchain.agent import container, entries, snapshot, staging, tar
from coldchain.agent.admin import remove, would_remove
from coldchain.agent.consistency import checksum
from coldchain.agent.extraction import Seen, extract_all, list_members
from coldchain.agent.info import Faults, restorable
from coldchain.agent.inspection import Names, plain
from coldchain.agent.layout import DATA, ENGINE_METADATA, ENTRIES, Chain, Series, newest_chain
from coldchain.agent.options import RestoreOptions
from coldchain.agent.parts import Packed, authenticate, checked_blocks, load, packed
from coldchain.agent.progress import Meter
from coldchain.agent.report import Report, count, shown, size
from coldchain.agent.storage import Storage
from coldchain.errors import ColdchainError, DataError, JobFailed
from coldchain.instants import from_epoch, iso

_ARMED = stat.S_ISUID | stat.S_ISGID
#: A dry run lists so many names; all are counted.
LISTED = 1000


def restore(options: RestoreOptions, storage: Storage, meter: Meter) -> Report:
    """Restore the newest point not later than ``until``; a dry run lists the members."""
    started = time.monotonic()
    levels = _levels(options, storage)
    _check_place(options)
    refused = ""
    try:
        whole = staging.check_target(options.target, overwrite=options.overwrite)
    except DataError as error:
        if not options.common.dry_run:
            raise
        refused = error.message
    for one in levels:
        authenticate(storage, one, options.encryption)
    total = sum(storage.size(one.path(DATA)) or 0 for one in levels)
    paths = _paths(options, levels)
    if options.common.dry_run:
        report = _dry_run(options, storage, levels, paths, meter)
        told = (f"a restore would be refused: {refused}",) if refused else ()
        return Report(report.action, report.message, told, report.fields)
    sealed = [one for one in levels if one.metadata.seal is not None]
    if sealed:
        meter.begin("checking", sum(storage.size(one.path(DATA)) or 0 for one in sealed))
    for one in sealed:
        # Not a byte of a sealed level is decrypted before it is known to be ours.
        for dummy in checked_blocks(storage, one, meter=meter):
            pass
    seen = Seen(track_owners=os.geteuid() != 0)
    point = levels[-1].level
    when = iso(from_epoch(point.time))
    with staging.stage(options.target) as stage:
        warnings = extract_all(storage, levels, options.encryption, paths, stage.tree, meter, seen)
        modes = staging.open_up(stage.tree)
        if paths:
            _prune(stage.tree, paths, f"as of {when}")
        foreign = _foreign_owners(seen)
        files, restored, changed = _measure(stage.tree, disarm=bool(foreign))
        warnings += changed
        found = checksum(Path(os.fsdecode(stage.tree))) if options.checksum else None
        if found != options.checksum:
            raise JobFailed(
                "the restored files do not have the given consistency_checksum: nothing was kept",
                "the source had changed while it was backed up, or the checksum is another one's",
            )
        # Where the backup has no directory of its own, the target's owner and mode stay.
        every = staging.everything if seen.root else _below_top
        wanted = _below(paths) if paths else every
        staging.place(stage, whole=whole and seen.root and not paths, wanted=wanted, modes=modes)
    if foreign:
        first = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if foreign[3:] else "")
        warnings.append(f"what belonged to {first} is yours now: only root can give files away")
    removed, kept = _remove_old(options, storage, levels[0].level.zero)
    warnings += kept
    message = (
        f"restored {options.common.series.backup_name} as of {when} (level {point.number}):"
        f" {count(files, 'file')}, {size(restored)} in {time.monotonic() - started:.1f} s"
        f" to {options.target}" + (f"; removed {count(len(removed), 'chain')}" if removed else "")
    )
    fields = {
        **_fields(options, levels),
        "removed": removed,
        "files": files,
        "bytes": restored,
        "size": total,
        "duration": round(time.monotonic() - started, 3),
    }
    return Report("restore", message, tuple(warnings), fields)


def _check_place(options: RestoreOptions) -> None:
    """A container holds backups, and what else lies in it goes with them or is taken for some."""
    folder = options.common.location.folder
    target = os.path.realpath(options.target)
    if folder is not None and os.path.commonpath([os.path.realpath(folder), target]) == (
        os.path.realpath(folder)
    ):
        raise DataError(
            f"restore_abs_path {options.target} lies inside the container",
            "choose a directory outside of it",
        )


def _remove_old(
    options: RestoreOptions, storage: Storage, restored: int
) -> tuple[list[str], list[str]]:
    """What the action removes after a restore, as Freezer does: (removed chains, warnings).

    Never the chain *restored*; and files that are back are no failure because of it.
    """
    if options.common.removal is None:
        return [], []
    try:
        with storage.lock(options.common.series):
            return remove(storage, options.common, time.time(), restored), []
    except ColdchainError as error:
        return [], [f"old chains were not removed: {error.message}"]


def _levels(options: RestoreOptions, storage: Storage) -> list[Packed]:
    """The levels to extract in order; JobFailed names what is missing and what there is."""
    series = options.common.series
    chains = container.chains(storage, series)
    if not chains:
        raise _no_match(options, storage)
    chain = newest_chain(chains, options.until)
    if chain is None:
        assert options.until is not None
        raise JobFailed(
            f"no backup of {series.host_name} is as old as {iso(from_epoch(options.until))}",
            f"the oldest one is of {iso(from_epoch(chains[0].zero))}",
        )
    levels, missing = chain.lineage(chain.newest)
    if missing:
        raise JobFailed(
            f"{series.host_name}: level {missing[0]} of chain {chain.zero} is missing",
            _instead(storage, series, chains),
        )
    found = [packed(storage, series, level) for level in levels]
    for one in found:
        stored, expected = storage.size(one.path(DATA)), one.parts.get(DATA)
        if stored is None:
            raise DataError(f"{one.place}: its data is missing", _instead(storage, series, chains))
        if expected is not None and stored != expected.size:
            raise JobFailed(
                f"{one.place}: {DATA} is {stored} bytes long, {expected.size} were written",
                _instead(storage, series, chains),
            )
    return found


def _no_match(options: RestoreOptions, storage: Storage) -> JobFailed:
    wanted, location = options.common.series.host_name, options.common.location
    there = container.host_names(storage)
    from difflib import get_close_matches

    near = get_close_matches(wanted, there, 3, 0.6)
    if near:
        hint = f"did you mean {' or '.join(near)} (HOSTNAME_BACKUP-NAME)?"
    elif there:
        hint = f"there are (HOSTNAME_BACKUP-NAME): {', '.join(there[:10])}"
    elif location.folder is not None and not location.folder.is_dir():
        hint = "there is no such directory; coldchain backups lists the containers of the jobs"
    else:
        hint = "the container holds no backup"
    return JobFailed(f'No matching backup name "{wanted}" found in {location}', hint)


def _instead(storage: Storage, series: Series, chains: Sequence[Chain]) -> str:
    """The newest point that can be restored, where the wanted one cannot."""
    faults: dict[int, Faults] = {chain.zero: {} for chain in chains}
    points = [(level.time, level, chain) for chain in chains for level in chain.levels]
    for moment, level, chain in sorted(points, key=lambda point: point[:2], reverse=True):
        if not restorable(storage, series, chain, level, faults[chain.zero]):
            return f"the newest that can be restored: restore_from_date {iso(from_epoch(moment))}"
    return "coldchain verify tells what is wrong with the others"


def _paths(options: RestoreOptions, levels: Sequence[Packed]) -> list[bytes]:
    """restore_paths relative to the backed up directory, normalised."""
    manifest = levels[-1].manifest
    found = []
    for text in options.paths:
        path = os.path.normpath(text)
        if manifest is not None and os.path.isabs(path):
            source = os.path.normpath(manifest.source)
            if path == source or path.startswith(source.rstrip("/") + "/"):
                path = os.path.relpath(path, source)
        path = path.lstrip("/")
        if path in ("", "."):
            return []
        if path.split("/")[0] == "..":
            raise JobFailed(f"restore_paths: {text!r} lies outside of what was backed up")
        found.append(os.fsencode(path))
    return found


def _dry_run(
    options: RestoreOptions,
    storage: Storage,
    levels: Sequence[Packed],
    paths: list[bytes],
    meter: Meter,
) -> Report:
    """The names that a restore would bring."""
    last = levels[-1]
    wanted = _below(paths) if paths else staging.everything
    found, directory = _names(options, storage, last, meter)
    if paths:
        found = {name for name in found if wanted(name)}
    chosen, needed = _stored(options, storage, levels, found)
    names = sorted(map(shown, chosen))
    point = iso(from_epoch(last.level.time))
    message = (
        f"dry run: would restore {count(len(names), 'file')}"
        + (f" ({size(needed)})" if needed is not None else "")
        + " of"
        f" {options.common.series.backup_name} as of {point} (level {last.level.number})"
        f" to {options.target}; nothing was written"
    )
    removed: list[str] = []
    if options.common.removal is not None:
        removed = would_remove(storage, options.common, time.time(), last.level.zero)
        message += f"; would remove {count(len(removed), 'chain')}"
    fields = {
        **_fields(options, levels),
        "dry_run": True,
        "removed": removed,
        "files": len(names),
        "bytes": needed,
        "directory": directory,
        "names": names[:LISTED],
    }
    return Report("restore", message, (), fields)


def _names(
    options: RestoreOptions, storage: Storage, last: Packed, meter: Meter
) -> tuple[set[bytes], bool]:
    """The files that the newest level leaves, and whether in a directory or alone.

    They are in tar's small snapshot, or else the archive is read: a snapshot lacks the folders
    whose files could not all be read.
    """
    if last.manifest is None or tar.UNREADABLE not in last.manifest.warnings:
        with snapshot.memory() as snar, contextlib.suppress(DataError):
            load(storage, last, ENGINE_METADATA, options.encryption, snar)
            found = snapshot.files(snar)
            if found is not None:
                return set(found), True
    names = Names()
    later = last.level.number > 0
    meter.begin("listing", storage.size(last.path(DATA)) or 0)
    list_members(storage, last, options.encryption, names.take, incremental=later, meter=meter)
    return set(names.files()), names.directory


def _stored(
    options: RestoreOptions, storage: Storage, levels: Sequence[Packed], names: set[bytes]
) -> tuple[Collection[bytes], int | None]:
    """Which of *names* are stored (sockets are not) and their bytes, by the lists of entries.

    When a level has no list: all of them, and None.  *names* is used up: a copy of a set of
    100,000 would cost as much memory as all the rest.
    """
    total, stored = 0, []
    for one in reversed(levels):
        if not names:
            break
        with snapshot.memory() as listed:
            try:
                load(storage, one, ENTRIES, options.encryption, listed)
                for entry in entries.read(listed):
                    name = plain(entry.name)
                    if entry.kind != "d" and name in names:
                        names.remove(name)
                        stored.append(name)
                        total += entry.size
            except (DataError, zlib.error):
                names.update(stored)
                return names, None
    return stored, total


def _fields(options: RestoreOptions, levels: Sequence[Packed]) -> dict[str, object]:
    series, point = options.common.series, levels[-1].level
    return {
        **options.common.location.as_fields(),
        "hostname": series.hostname,
        "backup_name": series.backup_name,
        "restore_abs_path": os.fspath(options.target),
        "chain": point.zero,
        "level": point.number,
        "curr_backup_level": point.number,
        "time_stamp": point.time,
    }


def _below_top(name: bytes) -> bool:
    return name != b""


def _below(paths: Sequence[bytes]) -> Callable[[bytes], bool]:
    def wanted(name: bytes) -> bool:
        return any(name == path or name.startswith(path + b"/") for path in paths)

    return wanted


def _prune(tree: bytes, paths: Sequence[bytes], point: str) -> None:
    """Keep only the selected *paths*; JobFailed when one of them is not there."""
    for path in paths:
        if not os.path.lexists(os.path.join(tree, path)):
            raise JobFailed(
                f"restore_paths: {shown(path)} is not in the backup {point}",
                "a dry run lists what is; an earlier restore_from_date may hold it",
            )
    wanted = _below(paths)

    def visit(folder: bytes, name: bytes) -> None:
        for entry in list(os.scandir(folder)):
            inner = os.path.join(name, entry.name)
            if wanted(inner):
                continue
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder and any(path.startswith(inner + b"/") for path in paths):
                visit(entry.path, inner)
            elif is_folder:
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)

    visit(tree, b"")


def _measure(tree: bytes, *, disarm: bool) -> tuple[int, int, list[str]]:
    """Files and bytes in *tree*; device nodes are taken out and described.

    A device node from an archive gives whoever may open it the device behind, so it is only
    made by hand.  disarm: files belong to another user than they did; one that ran as its owner
    would let everybody act as that user.
    """
    files = total = 0
    told = []
    armed = []
    waiting = [tree]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                kind = stat.S_IFMT(status.st_mode)
                if kind == stat.S_IFDIR:
                    waiting.append(entry.path)
                elif kind in (stat.S_IFBLK, stat.S_IFCHR):
                    os.unlink(entry.path)
                    node = shown(os.path.relpath(entry.path, tree))
                    letter = "b" if kind == stat.S_IFBLK else "c"
                    number = f"{os.major(status.st_rdev)} {os.minor(status.st_rdev)}"
                    told.append(f"device node not restored: mknod {node} {letter} {number}")
                else:
                    files += 1
                    total += status.st_size if kind == stat.S_IFREG else 0
                    if disarm and kind == stat.S_IFREG and status.st_mode & _ARMED:
                        os.chmod(entry.path, stat.S_IMODE(status.st_mode) & ~_ARMED)
                        armed.append(shown(os.path.relpath(entry.path, tree)))
    if armed:
        first = ", ".join(armed[:3]) + (f" and {len(armed) - 3} more" if armed[3:] else "")
        told.append(f"setuid and setgid not restored, the owner is another one: {first}")
    return files, total, told


def _foreign_owners(seen: Seen) -> list[str]:
    """Whose files an ordinary user cannot restore as theirs: user/group as tar shows them."""
    if os.geteuid() == 0:
        return []
    # In a container the user may have no name; tar then shows the number, too.
    user, group = str(os.geteuid()), str(os.getegid())
    with contextlib.suppress(KeyError):
        user = pwd.getpwuid(os.geteuid()).pw_name
    with contextlib.suppress(KeyError):
        group = grp.getgrgid(os.getegid()).gr_name
    return sorted(seen.owners - {f"{user}/{group}"})
