# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action backup: one level of a chain, complete or not there at all."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from coldchain.agent import cipher, container, snapshot, tar
from coldchain.agent.admin import remove
from coldchain.agent.cipher import ITERATIONS, Part
from coldchain.agent.consistency import checksum
from coldchain.agent.continuity import resume
from coldchain.agent.layout import DATA, ENGINE_METADATA, MANIFEST, Level, newest_chain
from coldchain.agent.levels import next_level, previous_backup
from coldchain.agent.manifest import Manifest, Metadata
from coldchain.agent.options import BackupOptions
from coldchain.agent.pipeline import Exit, Pipeline, Stage, failure
from coldchain.agent.progress import Meter
from coldchain.agent.report import Report, count, shown, size
from coldchain.agent.storage import Draft, Storage
from coldchain.agent.tools import COMPRESSIONS
from coldchain.errors import DataError, JobFailed

#: What on_read_error: fail does not accept.
READ_ERRORS = ("not readable", "vanished while being read", "changed while being read")


@dataclass(frozen=True)
class Plan:
    """The level to write, what it is based on, and how it is encrypted."""

    level: Level
    previous: Level | None
    scheme: str | None
    warnings: tuple[str, ...]


@dataclass
class Tally:
    """What tar has read so far."""

    complaints: tar.Complaints = field(default_factory=lambda: tar.Complaints(tar.READING))
    files: int = 0
    bytes_read: int = 0


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
        with snapshot.memory() as snar:
            plan = _plan(options, storage, int(now()), snar)
            if dry:
                return _dry_report(options, plan)
            if options.sync:
                os.sync()
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
    if not os.path.lexists(source):
        raise JobFailed(f"path_to_backup {source} does not exist")
    if source.is_dir() and not os.access(source, os.R_OK | os.X_OK):
        raise JobFailed(
            f"path_to_backup {source} cannot be read by this user",
            "run the job as a user that can read it",
        )
    if _inside(options) == ".":
        raise DataError(f"path_to_backup {source} lies inside the container")


def _inside(options: BackupOptions) -> str | None:
    """The container's member name when it lies below the source; "." when around it."""
    root = os.path.realpath(options.common.container)
    source = os.path.realpath(options.source)
    if os.path.commonpath([root, source]) == root:
        return "."
    if os.path.commonpath([root, source]) == source:
        return f"./{os.path.relpath(root, source)}"
    return None


def _plan(options: BackupOptions, storage: Storage, now: int, snar: int) -> Plan:
    series = options.common.series
    chains = container.chains(storage, series)
    previous = previous_backup(chains, options.rules, now)
    warnings = []
    scheme = None
    if options.encryption is not None:
        scheme = options.encryption.scheme or "strong"
        exposed = cipher.exposure(options.encryption.pass_file)
        if exposed is not None:
            warnings.append(exposed)
    if previous is not None:
        chain = newest_chain(chains)
        assert chain is not None
        theirs, reason = resume(storage, options, chain, previous, now, snar)
        if reason is None:
            scheme = theirs
        else:
            warnings.append(f"a new chain is begun: {reason}")
            previous = None
            os.ftruncate(snar, 0)
    return Plan(next_level(chains, previous, now), previous, scheme, tuple(warnings))


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
    sum_before = checksum(options.source) if options.consistency_check else None
    meter.begin(f"writing level {plan.level.number}")
    tally = Tally()
    with storage.draft(series, plan.level) as draft:
        parts = {
            DATA: _archive(options, draft, plan, snar, tally, meter),
            ENGINE_METADATA: _snapshot(options, draft, plan, snar),
        }
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


def _archive(
    options: BackupOptions, draft: Draft, plan: Plan, snar: int, tally: Tally, meter: Meter
) -> Part:
    folder, operand = _operand(options.source)
    reader, writer = os.pipe()
    try:
        argv = tar.create(
            folder,
            operand,
            snapshot=snar,
            index=writer,
            exclude=options.exclude,
            skip=_inside(options),
            dereference=options.dereference,
        )
        stages = [
            Stage(argv, errors=_listen(tally, meter), pass_fds=(snar, writer)),
            Stage(COMPRESSIONS[options.compression].compressor()),
        ]
        if plan.scheme is not None:
            assert options.encryption is not None
            pass_file = options.encryption.pass_file
            command = cipher.openssl(plan.scheme, pass_file, ITERATIONS, decrypt=False)
            stages.append(Stage(command))
        with Pipeline(stages) as pipeline:
            os.close(writer)
            writer = -1
            pipeline.read_lines(reader, _count(tally, meter))
            with _hashing(draft, DATA) as (sink, part):
                for chunk in pipeline.chunks():
                    sink(chunk)
                    meter.tick()
                _check(pipeline.finish(), tally, options)
        return part()
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)


def _snapshot(options: BackupOptions, draft: Draft, plan: Plan, snar: int) -> Part:
    """Store tar's snapshot, encrypted under the scheme strong: it holds every file name."""
    with _hashing(draft, ENGINE_METADATA) as (sink, part):
        if plan.scheme == "strong":
            assert options.encryption is not None
            pass_file = options.encryption.pass_file
            command = cipher.openssl("strong", pass_file, ITERATIONS, decrypt=False)
            os.lseek(snar, 0, os.SEEK_SET)
            with Pipeline([Stage(command)], source=snar) as pipeline:
                for chunk in pipeline.chunks():
                    sink(chunk)
                bad = failure(pipeline.finish(), {})
            if bad is not None:
                raise JobFailed(bad.describe())
        else:
            for chunk in snapshot.blocks(snar):
                sink(chunk)
    return part()


@contextmanager
def _hashing(
    draft: Draft, name: str
) -> Iterator[tuple[Callable[[bytes], None], Callable[[], Part]]]:
    digest, total = hashlib.sha256(), 0
    with draft.write(name) as write:

        def sink(chunk: bytes) -> None:
            nonlocal total
            digest.update(chunk)
            total += len(chunk)
            write(chunk)

        yield sink, lambda: Part(digest.hexdigest(), total)


def _operand(source: Path) -> tuple[str, str]:
    """The folder to go to and what to archive there, as freezer-agent does it."""
    if source.is_dir():
        return os.fspath(source), "."
    return os.fspath(source.parent), source.name


def _listen(tally: Tally, meter: Meter) -> Callable[[bytes], None]:
    def take(line: bytes) -> None:
        position = tar.checkpoint(line)
        if position is None:
            tally.complaints.take(line)
        else:
            meter.bytes = position

    return take


def _count(tally: Tally, meter: Meter) -> Callable[[bytes], None]:
    def take(line: bytes) -> None:
        if line[:1] == b"d":
            return
        one = tar.member(line)
        if one is not None and one.kind != "d":
            tally.files += 1
            meter.files += 1
            if one.kind == "-":
                tally.bytes_read += one.size

    return take


def _check(exits: list[Exit], tally: Tally, options: BackupOptions) -> None:
    """JobFailed unless every stage did its work; tar's 1 only says that a file changed."""
    bad = failure(exits, {"tar": (1,)})
    if bad is not None:
        raise JobFailed(f"the backup failed: {bad.describe()}", "nothing was stored")
    if options.fail_on_read_error:
        for kind, number, names in tally.complaints.items():
            if kind in READ_ERRORS:
                raise JobFailed(
                    f"{count(number, 'entry')} {kind}, the first: {shown(names[0])}",
                    "on_read_error: warn would keep the backup without them",
                )


def _fields(options: BackupOptions, plan: Plan) -> dict[str, object]:
    series = options.common.series
    return {
        "container": os.fspath(options.common.container),
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
