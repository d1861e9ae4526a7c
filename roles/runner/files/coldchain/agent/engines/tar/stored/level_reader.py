# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a level's stored files: checksums, seals and decryption."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO, NamedTuple

from coldchain.agent.engines.tar.stored import cipher, snapshot
from coldchain.agent.engines.tar.stored.cipher import Part
from coldchain.agent.engines.tar.stored.foreign import shown
from coldchain.agent.engines.tar.stored.layout import DATA, Level, Series
from coldchain.agent.engines.tar.stored.manifest import (
    Manifest,
    Metadata,
    read_manifest,
    read_metadata,
)
from coldchain.agent.options import Encryption
from coldchain.agent.process.pipeline import CHUNK, Pipeline, Stage, failure
from coldchain.agent.process.tools import COMPRESSIONS
from coldchain.agent.progress import Meter
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import DataError, JobFailed

#: Clocks that differ by so many seconds agree, and the name of a level with its making.
SAME = 300
#: Bytes of the largest snapshot or list: that of some ten million files.
_MOST_HELD = 1 << 30
_PLAIN = "a backup that is not encrypted is restored without encrypt_pass_file"


class StoredLevel(NamedTuple):
    """A level together with what is known about how it is packed.

    digest: SHA-256 (hex) of the manifest, None without one.
    """

    series: Series
    level: Level
    metadata: Metadata
    manifest: Manifest | None
    digest: str | None

    @property
    def moment(self) -> int:
        """When it was made, POSIX seconds; the time in its name may be later, and wrong."""
        if self.manifest is None or abs(self.manifest.created - self.level.time) <= SAME:
            return self.level.named
        return int(self.manifest.created)

    @property
    def place(self) -> str:
        """The level in words, for messages."""
        return f"level {self.level.number} of {shown(self.series.host_name)} ({self.level.path})"

    def path(self, name: str) -> str:
        """Where the part *name* lies in the container."""
        return f"{self.series.data_of(self.level)}/{name}"

    @property
    def parts(self) -> Mapping[str, Part]:
        """Size and sum of each part by its name; none without a manifest."""
        return self.manifest.parts if self.manifest else {}


def read_level(storage: Storage, series: Series, level: Level) -> StoredLevel:
    """Read the small files of *level*; DataError when they are damaged."""
    metadata = read_metadata(storage, series, level)
    manifest, digest = read_manifest(storage, series, level)
    if manifest is not None and manifest.level != level:
        raise DataError(
            f"{series.data_of(level)} holds the parts of level {manifest.level.path}",
            "the folders of two levels were swapped or one was copied",
        )
    if manifest is not None:
        for told, what in (
            (manifest.compression == metadata.compression, "compression"),
            (manifest.scheme == metadata.scheme, "encrypt_scheme"),
            (
                Series.is_safe(manifest.hostname, manifest.backup_name)
                and f"{manifest.hostname}_{manifest.backup_name}" == series.host_name,
                "name",
            ),
        ):
            if not told:
                raise DataError(
                    f"level {level.number} of {shown(series.host_name)} ({level.path}) was altered:"
                    f" metadata and manifest tell another {what}"
                )
    return StoredLevel(series, level, metadata, manifest, digest)


def statement(series: Series, manifest: Manifest) -> bytes:
    """What the seal of a level of *series* authenticates."""
    parent = manifest.parent
    made_on = None if parent is None else f"{parent.name} {parent.sha256}"
    return cipher.statement(
        series.host_name,
        manifest.level.path,
        manifest.compression,
        manifest.created,
        made_on,
        manifest.parts,
    )


def decryptor(stored: StoredLevel, encryption: Encryption | None) -> list[Stage]:
    """The stage that decrypts *stored*: none for a plain level; JobFailed without a password."""
    scheme = stored.metadata.scheme
    if scheme is None:
        return []
    if encryption is None:
        raise JobFailed(
            f"{stored.place} is encrypted and no encrypt_pass_file is given",
            "name the file whose first line is the password",
        )
    iterations = stored.metadata.seal.iterations if stored.metadata.seal else 0
    return [cipher.openssl(scheme, encryption.secret, iterations, decrypt=True)]


def unpackers(stored: StoredLevel, encryption: Encryption | None) -> list[Stage]:
    """The stages from stored data to a tar stream."""
    compression = COMPRESSIONS[stored.metadata.compression]
    return [*decryptor(stored, encryption), Stage(compression.decompressor())]


def authenticate(storage: Storage, stored: StoredLevel, encryption: Encryption | None) -> list[str]:
    """Check the seal of a strong level against its manifest: what was taken upon trust, in words.

    With a password every level must be sealed under it, unless another scheme is named, or levels
    without a seal are accepted in so many words: whoever can write the container could put them
    there.  The scheme freezer has no seal: only whether the archive's first bytes make sense is
    checked.  The manifest's checksums are thereby trusted; the parts themselves are compared with
    them when they are read.  Raises UnwantedScheme, WrongPassword, or another JobFailed.
    """
    decryptor(stored, encryption)
    scheme, warnings = stored.metadata.scheme, []
    if encryption is not None and scheme != encryption.wanted:
        if encryption.wanted != "strong":
            raise cipher.UnwantedScheme(
                f"{stored.place} {_packing(scheme)}, and encrypt_scheme {encryption.wanted} was"
                " asked for",
                "a chain has one encrypt_scheme; leave it out for a chain of strong levels"
                if scheme == "strong"
                else _PLAIN,
            )
        if not encryption.accept_unsealed:
            raise cipher.UnwantedScheme(
                f"{stored.place} {_packing(scheme)}: it has no seal, and with a password every"
                " level must have one, or somebody else could have written it",
                "encrypt_scheme: freezer reads chains of freezer-agent, which have none;"
                " accept_unsealed: true takes levels without a seal as they are; " + _PLAIN,
            )
        warnings.append(
            f"accept_unsealed: {stored.place} has no seal; nobody can tell who wrote it"
        )
    seal = stored.metadata.seal
    if seal is None:
        if encryption is not None and stored.metadata.scheme is not None:
            _check_beginning(storage, stored, encryption)
        return warnings
    assert encryption is not None
    if stored.manifest is None:
        raise JobFailed(
            f"{stored.place}: the manifest is missing, so the seal cannot be checked",
            "docs/recovery.md shows how to restore it by hand",
        )
    text = statement(stored.series, stored.manifest)
    cipher.check(seal, encryption.secret, text, stored.place)
    return warnings


def _packing(scheme: str | None) -> str:
    return "is not encrypted" if scheme is None else f"has encrypt_scheme {scheme}"


def _check_beginning(storage: Storage, stored: StoredLevel, encryption: Encryption) -> None:
    if not password_fits(storage, stored, encryption):
        raise cipher.WrongPassword(
            f"{stored.place}: the password in {encryption.pass_file} does not fit, or its beginning"
            " was altered",
            "check encrypt_pass_file; coldchain verify tells which parts are damaged",
        )


class Altered(JobFailed):
    """The stored bytes of *level* are not those that were written."""

    def __init__(self, message: str, level: Level) -> None:
        super().__init__(
            message, "coldchain verify tells which points in time can still be restored"
        )
        self.level = level


def checked_blocks(
    storage: Storage, stored: StoredLevel, name: str = DATA, meter: Meter | None = None
) -> Iterator[bytes]:
    """The stored bytes of part *name*; at the end JobFailed unless they are what was written.

    Not a byte is read beyond the first that was not written.
    """
    expected = stored.parts.get(name)
    told = storage.size(stored.path(name)) if expected is None else expected.size
    with storage.open(stored.path(name)) as stream:
        yield from check_blocks(stored, name, _at_most(stream, (told or 0) + 1), told or 0, meter)


def _at_most(stream: BinaryIO, left: int) -> Iterator[bytes]:
    while left > 0 and (chunk := stream.read(min(CHUNK, left))):
        left -= len(chunk)
        yield chunk


def check_blocks(
    stored: StoredLevel,
    name: str,
    blocks: Iterable[bytes],
    told: int | None = None,
    meter: Meter | None = None,
) -> Iterator[bytes]:
    """*blocks*, said to be part *name*; at the end JobFailed unless they are what was written.

    told: the bytes that a part without a sum may have (None: any).
    """
    digest, size = hashlib.sha256(), 0
    expected = stored.parts.get(name)
    for chunk in blocks:
        digest.update(chunk)
        size += len(chunk)
        if meter is not None:
            meter.bytes += len(chunk)
            meter.tick()
        yield chunk
    if expected is None:
        if told is not None and size > told:
            raise JobFailed(f"{stored.place}: {name} grows while it is read", "try again")
        return
    if size != expected.size:
        raise Altered(
            f"{stored.place}: {name} is {size} bytes long, {expected.size} were written",
            stored.level,
        )
    if digest.hexdigest() != expected.sha256:
        raise Altered(
            f"{stored.place}: {name} was altered (its SHA-256 is not the one in the manifest)",
            stored.level,
        )


def load(
    storage: Storage, stored: StoredLevel, name: str, encryption: Encryption | None, target: int
) -> None:
    """Write the level's part *name*, which is held in memory, to *target*, decrypted.

    Raises DataError when it is larger than any that a backup makes.
    """
    if (storage.size(stored.path(name)) or 0) > _MOST_HELD:
        raise DataError(f"{stored.place}: {name} is too large", "the backup is damaged")
    if not cipher.covers(stored.metadata.scheme, name):
        for chunk in checked_blocks(storage, stored, name):
            snapshot.append(target, chunk)
        return
    with snapshot.memfd() as sealed:
        # Not a byte of a sealed level is decrypted before it is known to be ours.
        for chunk in checked_blocks(storage, stored, name):
            snapshot.append(sealed, chunk)
        os.lseek(sealed, 0, os.SEEK_SET)
        stages = decryptor(stored, encryption)
        with Pipeline(stages, source=sealed, target=target) as pipeline:
            bad = failure(pipeline.finish(), {})
    if bad is not None:
        raise JobFailed(f"{stored.place}: {name} cannot be decrypted: {bad.describe()}")


def password_fits(storage: Storage, stored: StoredLevel, encryption: Encryption) -> bool:
    """Whether a freezer-encrypted level begins like an archive under this password.

    The scheme has no check of its own; the first bytes of a compressed stream are known.
    """
    magic = COMPRESSIONS[stored.metadata.compression].magic
    with storage.open(stored.path(DATA)) as stream:
        head = stream.read(4096)
    with Pipeline(decryptor(stored, encryption), feed=True) as pipeline:
        pipeline.write(head)
        pipeline.close_feed()
        plain = b"".join(pipeline.chunks())
        pipeline.finish()
    return plain.startswith(magic)
