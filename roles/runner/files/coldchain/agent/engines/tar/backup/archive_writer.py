# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing the parts of one level: tar, compressor and openssl, every byte counted and hashed."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from coldchain.agent.engines.tar.backup.stream_end import Ending
from coldchain.agent.engines.tar.stored import cipher, gnu_tar, snapshot
from coldchain.agent.engines.tar.stored.cipher import Part
from coldchain.agent.engines.tar.stored.layout import DATA
from coldchain.agent.engines.tar.stored.member_index import Recorder
from coldchain.agent.options import BackupOptions
from coldchain.agent.process.pipeline import Exit, Pipeline, Stage, failure
from coldchain.agent.process.signals import defer_signals
from coldchain.agent.process.tools import COMPRESSIONS
from coldchain.agent.progress import Meter
from coldchain.agent.storages.base import Draft
from coldchain.core.errors import JobFailed
from coldchain.core.text import display_name, pluralize

#: What on_read_error: fail does not accept.
READ_ERRORS = (gnu_tar.UNREADABLE, gnu_tar.VANISHED, gnu_tar.CHANGED)

_NOTHING = "nothing was stored"
#: So much of an archive shows whether it is one.
_HEAD = 4096
#: No compressor makes less of the header of one member, and all make less of nothing.
_SMALLEST = 48
_BLOCK, _USTAR = 512, 257


class Tally:
    """What tar has read so far.

    members: lines of its listing; first: the name of the first one; files: those that are no
    directories, with bytes_read in all; written: bytes of archive, None until tar is done.
    """

    def __init__(self) -> None:
        self.complaints = gnu_tar.Complaints(gnu_tar.READING)
        self.members, self.files, self.bytes_read = 0, 0, 0
        self.first: bytes | None = None
        self.written: int | None = None


def write_archive(
    options: BackupOptions,
    draft: Draft,
    scheme: str | None,
    snar: int,
    skip: Sequence[str],
    recorder: Recorder,
    tally: Tally,
    meter: Meter,
    *,
    unchanged: bool = False,
) -> Part:
    """Write the archive of the source as the part "data" of *draft*.

    scheme: how it is encrypted; snar: the descriptor of the listed-incremental file; skip: exact
    member names that stay out; recorder and tally: are told what tar reads; unchanged: the source
    may turn out to be one file that has not changed, and the archive empty.  Raises JobFailed
    unless what was written is an archive of the source.
    """
    folder, operand = _operand(options.tree)
    head, ending = bytearray(), Ending(options.compression)
    reader, writer = os.pipe()
    try:
        argv = gnu_tar.create(
            folder,
            operand,
            snapshot=snar,
            index=writer,
            exclude=options.exclude,
            skip=skip,
            dereference=options.dereference,
        )
        tar = Stage(argv, errors=_listen(tally, meter), pass_fds=(snar, writer))
        with Pipeline([tar, *_packers(options, scheme, ending)]) as pipeline:
            with defer_signals():
                os.close(writer)
                writer = -1
            pipeline.read_blocks(reader, _count(tally, recorder, meter))
            with _hashing(draft, DATA) as (sink, part):
                for chunk in pipeline.chunks():
                    if len(head) < _HEAD:
                        head += chunk[:_HEAD]
                    if scheme is None:
                        ending.take(chunk)
                    sink(chunk)
                    meter.tick()
                _check(pipeline.finish(), tally, options)
                _check_listing(tally, operand, unchanged=unchanged)
                _check_head(bytes(head), options, scheme, empty=tally.members == 0)
                assert tally.written is not None
                if not ending.is_whole(tally.written):
                    raise _torn(options.compression)
        if scheme is not None:
            _check_size(part(), ending.size)
        return part()
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)


def _packers(options: BackupOptions, scheme: str | None, ending: Ending) -> Iterator[Stage]:
    """What makes the part "data" of an archive; *ending* sees what is not encrypted of it."""
    # What openssl makes of it shows no end any more.
    yield Stage(COMPRESSIONS[options.compression].compressor(), tap=ending.take)
    if scheme is not None:
        assert options.encryption is not None
        secret = options.encryption.secret
        yield cipher.openssl(scheme, secret, cipher.ITERATIONS, decrypt=False)


def write_file(
    options: BackupOptions, draft: Draft, name: str, scheme: str | None, descriptor: int
) -> Part:
    """Store the file behind *descriptor* as the part *name*, encrypted if it may be.

    Both kinds hold file names; but freezer-agent must be able to read its engine_metadata.
    """
    with _hashing(draft, name) as (sink, part):
        if cipher.covers(scheme, name):
            assert options.encryption is not None and scheme is not None
            secret = options.encryption.secret
            stage = cipher.openssl(scheme, secret, cipher.ITERATIONS, decrypt=False)
            os.lseek(descriptor, 0, os.SEEK_SET)
            with Pipeline([stage], source=descriptor) as pipeline:
                for chunk in pipeline.chunks():
                    sink(chunk)
                bad = failure(pipeline.finish(), {})
            if bad is not None:
                raise JobFailed(bad.describe())
            _check_size(part(), os.fstat(descriptor).st_size)
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
            """Store *chunk*, and count it."""
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
        """Sort one line of tar's standard error in."""
        position = gnu_tar.checkpoint(line)
        if position is None:
            written = gnu_tar.total(line)
            if written is None:
                tally.complaints.take(line)
            else:
                tally.written = written
        else:
            meter.bytes = position
            meter.tick()

    return take


def _count(tally: Tally, recorder: Recorder, meter: Meter) -> Callable[[bytes], None]:
    def take(listing: bytes) -> None:
        """Count the members in whole lines of the listing."""
        recorder.take(listing)
        if tally.first is None and (member := next(gnu_tar.members(listing), None)):
            tally.first = member.name
        tally.members += listing.count(b"\n")
        files, bytes_read = gnu_tar.count_files(listing)
        tally.files += files
        tally.bytes_read += bytes_read
        meter.files = tally.files
        # An increment may read for minutes before it writes a byte.
        meter.tick()

    return take


def _check(exits: list[Exit], tally: Tally, options: BackupOptions) -> None:
    """JobFailed unless every stage did its work; tar's 1 only says that a file changed."""
    bad = failure(exits, {"tar": (1,)} if tally.complaints.known_only() else {})
    if bad is not None:
        raise JobFailed(f"the backup failed: {bad.describe()}", _NOTHING)
    left_out = [kind for kind, *_rest in tally.complaints.items() if kind != gnu_tar.CHANGED]
    if left_out and not options.tree.is_dir():
        # What was asked for is one file, and it is not there.
        raise JobFailed(f"path_to_backup {options.tree}: {left_out[0]}", _NOTHING)


def check_policy(tally: Tally, options: BackupOptions) -> None:
    """JobFailed where something was not readable or changed, and ``on_read_error`` says so."""
    if options.fail_on_read_error:
        for kind, number, names in tally.complaints.items():
            if kind in READ_ERRORS:
                raise JobFailed(
                    f"{pluralize(number, 'entry')} {kind}, the first: {display_name(names[0])}",
                    "on_read_error: warn would keep the backup without them",
                )


def _check_listing(tally: Tally, operand: str, *, unchanged: bool) -> None:
    """JobFailed unless tar has listed the source and written an archive of it to the end."""
    root = b"./" if operand == "." else os.fsencode(operand)
    if tally.first != root and not (unchanged and tally.members == 0):
        what = "nothing" if tally.first is None else f"{display_name(tally.first)} first"
        raise JobFailed(f"the backup failed: tar listed {what}, not {display_name(root)}", _NOTHING)
    if not tally.written:
        raise JobFailed("the backup failed: tar did not say what it wrote", _NOTHING)


def _check_head(head: bytes, options: BackupOptions, scheme: str | None, *, empty: bool) -> None:
    """JobFailed unless the archive begins as one of its compression and scheme does.

    empty: there is nothing in it; any other is longer than what a compressor makes of no input.
    """
    plain = head
    if scheme is not None:
        assert options.encryption is not None
        secret = options.encryption.secret
        stage = cipher.openssl(scheme, secret, cipher.ITERATIONS, decrypt=True)
        with Pipeline([stage], feed=True) as pipeline:
            pipeline.write(head)
            pipeline.close_feed()
            plain = b"".join(pipeline.chunks())
            exits = pipeline.finish()
        if not head.startswith(cipher.MAGIC) or failure(exits, {}) is not None:
            raise JobFailed("the backup failed: openssl did not encrypt the archive", _NOTHING)
    sound = plain.startswith(COMPRESSIONS[options.compression].magic)
    if sound and not empty:
        sound = len(plain) >= _SMALLEST
        if options.compression == "gzip":
            try:
                start = zlib.decompressobj(wbits=31).decompress(plain, _BLOCK)
            except zlib.error:
                start = b""
            sound = sound and start[_USTAR : _USTAR + 5] == b"ustar"
    if not sound:
        raise JobFailed(
            f"the backup failed: {options.compression} did not write what it should", _NOTHING
        )


def _check_size(encrypted: Part, plain: int) -> None:
    """JobFailed unless openssl made what it makes of *plain* bytes: both ciphers are streams."""
    if encrypted.size != cipher.OVERHEAD + plain:
        raise _torn("openssl")


def _torn(program: str) -> JobFailed:
    return JobFailed(f"the backup failed: {program} did not write to the end", _NOTHING)
