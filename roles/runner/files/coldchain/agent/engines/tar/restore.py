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
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from coldchain.agent.engines.tar import (
    placing,
    settled_tree,
    staging,
)
from coldchain.agent.engines.tar.admin import remove
from coldchain.agent.engines.tar.dry_run import dry_run
from coldchain.agent.engines.tar.extract import Seen, extract_all
from coldchain.agent.engines.tar.extract_guard import below
from coldchain.agent.engines.tar.layout import (
    DATA,
    Series,
)
from coldchain.agent.engines.tar.level_fetch import LevelFetcher
from coldchain.agent.engines.tar.level_reader import (
    authenticate,
)
from coldchain.agent.engines.tar.link_model import above
from coldchain.agent.engines.tar.selected_paths import not_there, selected_paths
from coldchain.agent.engines.tar.wanted_point import (
    levels_of_point,
    naming_the_way_out,
    report_fields,
)
from coldchain.agent.modes.tree_checksum import checksum
from coldchain.agent.options import RestoreOptions
from coldchain.agent.progress import Meter
from coldchain.agent.report import Report
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import ColdchainError, DataError, JobFailed
from coldchain.core.instants import from_epoch, iso
from coldchain.core.text import (
    display_name,
    format_bytes,
    pluralize,
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
    levels = levels_of_point(options, storage, receipts)
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
    paths = selected_paths(options, storage, levels, meter, spool)
    if options.common.dry_run:
        report = dry_run(options, storage, levels, paths, meter, spool, receipts)
        told = [f"a restore would be refused: {refused}"] if refused else []
        fields = {**report.fields, "refused": refused}
        said = (*told, *trusted, *report.warnings)
        return Report(report.action, report.message, said, fields)
    seen = Seen(track_owners=os.geteuid() != 0)
    point = levels[-1].level
    when = iso(from_epoch(levels[-1].moment))
    with (
        naming_the_way_out(options, storage, receipts),
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
        **report_fields(options, levels),
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


def _below_top(name: bytes) -> bool:
    return name != b""


def _prune(tree: int, paths: Sequence[bytes], point: str) -> None:
    """Keep only the selected *paths* of the open *tree*; JobFailed when one is not there."""
    for path in paths:
        if not all(map(partial(_is_folder, tree), above(path))) or _kind(tree, path) is None:
            raise not_there(path, point)
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
