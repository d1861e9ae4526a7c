# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second engine, for tests of the seam alone: every backup is a whole copy, of files or a stream.

CONTAINER/copies/all/HOST_NAME/TIME/{0,1,...}     the files
CONTAINER/copied/all/HOST_NAME/TIME/done          their names, sizes and sums, as JSON
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any

from coldchain.agent.engines.base import (
    ActionContext,
    Backup,
    Flaw,
    NothingThere,
    Query,
    Verification,
)
from coldchain.agent.modes.base import Stream, Target, Tree
from coldchain.agent.options import BackupOptions, Common, RestoreOptions
from coldchain.agent.report import Report
from coldchain.agent.storages.base import Storage
from coldchain.agent.storages.registry import open_storage
from coldchain.core.errors import JobFailed
from coldchain.core.instants import from_epoch, iso


class CopyEngine:
    def holds(self, folder: Path) -> bool:
        return os.path.isdir(folder / "copied" / "all")

    def leaves_out(self, exclude: Sequence[str]) -> None:
        return None

    def backup(self, options: BackupOptions, context: ActionContext) -> Report:
        common, storage = options.common, _storage(options.common, context)
        series = _series(common)
        with options.opened() as opened:
            if common.dry_run:
                return Report("backup", "would copy")
            with storage.lock(series):
                storage.discard_drafts(series)
                stamp = max([int(time.time()), *(moment + 1 for moment in _times(storage, series))])
                entries: list[dict[str, Any]] = []
                folder = f"copies/all/{series}/{stamp}"
                with storage.draft(series, folder, _marker(series, stamp)) as draft:
                    for name, stream in _files(opened):
                        digest, size = hashlib.sha256(), 0
                        with draft.write(str(len(entries))) as sink:
                            while chunk := stream.read(1 << 16):
                                digest.update(chunk)
                                size += len(chunk)
                                sink(chunk)
                        entry = {"name": name, "size": size, "sha256": digest.hexdigest()}
                        entries.append(entry)
                    if isinstance(opened.content, Stream):
                        opened.content.finish()
                    content = {"source": options.source.identity, "files": entries}
                    draft.commit(json.dumps(content).encode("ascii"))
        return Report("backup", f"copied {len(entries)} files", (), {"time_stamp": stamp})

    def restore(self, options: RestoreOptions, context: ActionContext) -> Report:
        common, storage = options.common, _storage(options.common, context)
        series = _series(common)
        last = options.until if options.until is not None else 1 << 40
        times = [stamp for stamp in _times(storage, series) if stamp <= last]
        if not times:
            raise JobFailed(f"no copy of {series} in {common.location}")
        entries = _entries(storage, series, times[-1])
        names = [entry["name"] for entry in entries]
        fields = {"files": len(names), "names": names, "directory": names != [""]}
        if not common.dry_run:
            with options.target.open() as content:
                for number, name in enumerate(names):
                    path = f"copies/all/{series}/{times[-1]}/{number}"
                    with storage.open(path) as source, _sink(content, name) as sink:
                        shutil.copyfileobj(source, sink)
                if isinstance(content, Stream):
                    content.finish()
        return Report("restore", f"restored {len(names)} files", (), fields)

    def remove(self, options: Common, context: ActionContext) -> Report:
        assert options.removal is not None
        storage, series = _storage(options, context), _series(options)
        cutoff = options.removal.cutoff(time.time())
        due = [stamp for stamp in _times(storage, series)[:-1] if stamp <= cutoff]
        with storage.lock(series):
            for stamp in () if options.dry_run else due:
                storage.remove(series, f"copied/all/{series}/{stamp}")
                storage.remove(series, f"copies/all/{series}/{stamp}")
        return Report("admin", f"removed {len(due)} copies", (), {"removed": list(map(str, due))})

    def points(self, query: Query, receipts: object = None) -> list[Backup]:
        storage = open_storage(query.location)
        backups = []
        for series in storage.names("copied/all"):
            hostname, _, backup_name = series.partition("_")
            if query.hostname in (None, hostname) and query.backup_name in (None, backup_name):
                times = _times(storage, series)
                backups += [_backup(storage, query, series, stamp) for stamp in times]
        return backups

    def verify(self, query: Query, check: str = "quick", **more: object) -> Verification:
        storage, backups = open_storage(query.location), self.points(query)
        if not backups:
            raise NothingThere(f"no copy in {query.location}")
        flaws: list[Flaw] = []
        usable: list[Backup] = []
        lost: list[Backup] = []
        for backup in backups:
            series, bad = f"{backup.hostname}_{backup.backup_name}", ""
            for number, entry in enumerate(_entries(storage, series, backup.time_stamp)):
                with storage.open(f"copies/all/{series}/{backup.time_stamp}/{number}") as stream:
                    if hashlib.sha256(stream.read()).hexdigest() != entry["sha256"]:
                        bad = f"{entry['name']} was altered"
            if bad:
                flaws.append(
                    Flaw(backup.hostname, backup.backup_name, backup.chain, 0, "altered", bad)
                )
            (lost if bad else usable).append(backup._replace(restorable=not bad, reason=bad))
        read = len(backups)
        return Verification(check, tuple(flaws), tuple(usable), tuple(lost), read, read, ())

    def clean_up(
        self, action: str, options: Common, target: Target | None, context: ActionContext
    ) -> Report:
        storage, series = _storage(options, context), _series(options)
        with storage.lock(series):
            removed = storage.discard_drafts(series)
        return Report(action, f"removed {removed} remnants", (), {"removed": removed})


def _series(common: Common) -> str:
    return f"{common.hostname}_{common.backup_name}"


def _storage(common: Common, context: ActionContext) -> Storage:
    return open_storage(common.location, context.locks)


def _marker(series: str, stamp: int) -> str:
    return f"copied/all/{series}/{stamp}/done"


def _times(storage: Storage, series: str) -> list[int]:
    return sorted(map(int, storage.names(f"copied/all/{series}")))


def _entries(storage: Storage, series: str, stamp: int) -> list[dict[str, Any]]:
    with storage.open(_marker(series, stamp)) as stream:
        entries: list[dict[str, Any]] = json.loads(stream.read())["files"]
    return entries


def _files(opened: BackupOptions) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and bytes of every file; a stream is one without a name."""
    if isinstance(opened.content, Stream):
        yield "", opened.content.file
        return
    for path in sorted(opened.tree.rglob("*")):
        if path.is_file():
            with path.open("rb") as stream:
                yield str(path.relative_to(opened.tree)), stream


def _sink(content: Tree | Stream, name: str) -> AbstractContextManager[IO[bytes]]:
    if isinstance(content, Stream):
        return nullcontext(content.file)
    path = content.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("wb")


def _backup(storage: Storage, query: Query, series: str, stamp: int) -> Backup:
    hostname, _, backup_name = series.partition("_")
    entries = _entries(storage, series, stamp)
    return Backup(
        storage=query.location.storage,
        container=query.location.container,
        hostname=hostname,
        backup_name=backup_name,
        chain=stamp,
        level=0,
        time=iso(from_epoch(stamp)),
        time_stamp=stamp,
        size=sum(entry["size"] for entry in entries),
        files=len(entries),
        engine="copy",
        compression="none",
        encrypted=False,
        encrypt_scheme=None,
        restorable=True,
        reason="",
    )
