# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing the parts of one level: tar, compressor and openssl, every byte counted and hashed."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from coldchain.agent import cipher, snapshot, tar
from coldchain.agent.abort import undisturbed
from coldchain.agent.cipher import Part
from coldchain.agent.entries import Recorder
from coldchain.agent.layout import DATA
from coldchain.agent.loops import endless
from coldchain.agent.options import BackupOptions
from coldchain.agent.pipeline import Exit, Pipeline, Stage, failure
from coldchain.agent.progress import Meter
from coldchain.agent.report import count, shown
from coldchain.agent.storage import Draft
from coldchain.agent.tools import COMPRESSIONS
from coldchain.errors import JobFailed

#: What on_read_error: fail does not accept.
READ_ERRORS = (tar.UNREADABLE, "vanished while being read", tar.CHANGED)


#: They go into tar's argument vector, which has its limit.
MOST_LOOPS = 1000


@dataclass
class Tally:
    """What tar has read so far."""

    complaints: tar.Complaints = field(default_factory=lambda: tar.Complaints(tar.READING))
    files: int = 0
    bytes_read: int = 0


def container_inside(options: BackupOptions) -> str | None:
    """The container's member name when it lies below the source; "." when around it."""
    folder = options.common.location.folder
    if folder is None:
        return None
    root = os.path.realpath(folder)
    source = os.path.realpath(options.source)
    if os.path.commonpath([root, source]) == root:
        return "."
    if os.path.commonpath([root, source]) == source:
        return f"./{os.path.relpath(root, source)}"
    return None


def follows_links(options: BackupOptions) -> bool:
    return options.dereference in ("soft", "all")


def link_loops(options: BackupOptions) -> list[str]:
    """Members that tar would never come to the end of; JobFailed when they are too many to name."""
    if not follows_links(options) or not options.source.is_dir():
        return []
    folder = options.common.location.folder
    never = []
    with contextlib.suppress(OSError):
        if folder is not None:
            status = os.stat(folder)
            never.append((status.st_dev, status.st_ino))
    found = endless(options.source, never)
    if len(found) > MOST_LOOPS:
        raise JobFailed(
            f"dereference_symlink: {count(len(found), 'link')} below {options.source} lead back"
            f" to a directory that they lie in, the first: {shown(os.fsencode(found[0]))}",
            "leave dereference_symlink out, or back up the directories that need it by themselves",
        )
    return found


def most_bytes(source: Path) -> int:
    """What lies on the file system of *source*, which a backup does not leave; 0 when unknown."""
    try:
        status = os.statvfs(source)
    except OSError:
        return 0
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def write_archive(
    options: BackupOptions,
    draft: Draft,
    scheme: str | None,
    snar: int,
    skip: Sequence[str],
    recorder: Recorder,
    tally: Tally,
    meter: Meter,
) -> Part:
    """skip: exact member names that stay out."""
    folder, operand = _operand(options.source)
    reader, writer = os.pipe()
    try:
        argv = tar.create(
            folder,
            operand,
            snapshot=snar,
            index=writer,
            exclude=options.exclude,
            skip=skip,
            dereference=options.dereference,
        )
        stages = [
            Stage(argv, errors=_listen(tally, meter), pass_fds=(snar, writer)),
            Stage(COMPRESSIONS[options.compression].compressor()),
        ]
        if scheme is not None:
            assert options.encryption is not None
            pass_file = options.encryption.pass_file
            command = cipher.openssl(scheme, pass_file, cipher.ITERATIONS, decrypt=False)
            stages.append(Stage(command))
        with Pipeline(stages) as pipeline:
            with undisturbed():
                os.close(writer)
                writer = -1
            pipeline.read_blocks(reader, _count(tally, recorder, meter))
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


def write_file(
    options: BackupOptions, draft: Draft, name: str, scheme: str | None, descriptor: int
) -> Part:
    """Store the file behind *descriptor* as the part *name*, encrypted if it may be.

    Both kinds hold file names; but freezer-agent must be able to read its engine_metadata.
    """
    with _hashing(draft, name) as (sink, part):
        if cipher.covers(scheme, name):
            assert options.encryption is not None and scheme is not None
            pass_file = options.encryption.pass_file
            command = cipher.openssl(scheme, pass_file, cipher.ITERATIONS, decrypt=False)
            os.lseek(descriptor, 0, os.SEEK_SET)
            with Pipeline([Stage(command)], source=descriptor) as pipeline:
                for chunk in pipeline.chunks():
                    sink(chunk)
                bad = failure(pipeline.finish(), {})
            if bad is not None:
                raise JobFailed(bad.describe())
        else:
            for chunk in snapshot.blocks(descriptor):
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
            meter.tick()

    return take


def _count(tally: Tally, recorder: Recorder, meter: Meter) -> Callable[[bytes], None]:
    def take(listing: bytes) -> None:
        recorder.take(listing)
        files, bytes_read = tar.count_files(listing)
        tally.files += files
        tally.bytes_read += bytes_read
        meter.files = tally.files
        # An increment may read for minutes before it writes a byte.
        meter.tick()

    return take


def _check(exits: list[Exit], tally: Tally, options: BackupOptions) -> None:
    """JobFailed unless every stage did its work; tar's 1 only says that a file changed."""
    bad = failure(exits, {"tar": (1,)})
    if bad is not None:
        raise JobFailed(f"the backup failed: {bad.describe()}", "nothing was stored")
    left_out = [kind for kind, *dummy in tally.complaints.items() if kind != tar.CHANGED]
    if left_out and not options.source.is_dir():
        # What was asked for is one file, and it is not there.
        raise JobFailed(f"path_to_backup {options.source}: {left_out[0]}", "nothing was stored")
    if options.fail_on_read_error:
        for kind, number, names in tally.complaints.items():
            if kind in READ_ERRORS:
                raise JobFailed(
                    f"{count(number, 'entry')} {kind}, the first: {shown(names[0])}",
                    "on_read_error: warn would keep the backup without them",
                )
