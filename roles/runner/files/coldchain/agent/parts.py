# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a level's stored files: checksums, seals and decryption."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from coldchain.agent import cipher, snapshot
from coldchain.agent.cipher import Part
from coldchain.agent.layout import DATA, Level, Series
from coldchain.agent.manifest import Manifest, Metadata, read_manifest, read_metadata
from coldchain.agent.options import Encryption
from coldchain.agent.pipeline import CHUNK, Pipeline, Stage, failure
from coldchain.agent.progress import Meter
from coldchain.agent.storage import Storage
from coldchain.agent.tools import COMPRESSIONS
from coldchain.errors import DataError, JobFailed


@dataclass(frozen=True)
class Packed:
    """A level together with what is known about how it is packed."""

    series: Series
    level: Level
    metadata: Metadata
    manifest: Manifest | None

    @property
    def place(self) -> str:
        return f"level {self.level.number} of {self.series.host_name} ({self.level.path})"

    def path(self, name: str) -> str:
        return f"{self.series.data_of(self.level)}/{name}"

    @property
    def parts(self) -> Mapping[str, Part]:
        return self.manifest.parts if self.manifest else {}


def packed(storage: Storage, series: Series, level: Level) -> Packed:
    """Read the small files of *level*; DataError when they are damaged."""
    metadata = read_metadata(storage, series, level)
    manifest = read_manifest(storage, series, level)
    if manifest is not None and manifest.level != level:
        raise DataError(
            f"{series.data_of(level)} holds the parts of level {manifest.level.path}",
            "the folders of two levels were swapped or one was copied",
        )
    return Packed(series, level, metadata, manifest)


def decryptor(one: Packed, encryption: Encryption | None) -> list[Stage]:
    """The stage that decrypts *one*: none for a plain level; JobFailed without a password."""
    scheme = one.metadata.scheme
    if scheme is None:
        return []
    if encryption is None:
        raise JobFailed(
            f"{one.place} is encrypted and no encrypt_pass_file is given",
            "name the file whose first line is the password",
        )
    cipher.password(encryption.pass_file)  # openssl's own complaint would not name the option
    iterations = one.metadata.seal.iterations if one.metadata.seal else 0
    return [Stage(cipher.openssl(scheme, encryption.pass_file, iterations, decrypt=True))]


def unpackers(one: Packed, encryption: Encryption | None) -> list[Stage]:
    """The stages from stored data to a tar stream."""
    compression = COMPRESSIONS[one.metadata.compression]
    return [*decryptor(one, encryption), Stage(compression.decompressor())]


def authenticate(storage: Storage, one: Packed, encryption: Encryption | None) -> None:
    """Check the seal of a strong level against its manifest; JobFailed when it does not fit.

    The scheme freezer has no seal: only whether the archive's first bytes make sense is checked.
    The manifest's checksums are thereby trusted; the parts themselves are compared with them
    when they are read.
    """
    decryptor(one, encryption)
    wanted = encryption.scheme if encryption else None
    if wanted is not None and wanted != one.metadata.scheme:
        # Whoever can write the container could replace a sealed level by one without a seal.
        raise JobFailed(
            f"{one.place} has encrypt_scheme {one.metadata.scheme}, {wanted} was asked for",
            "leave out encrypt_scheme to restore what there is",
        )
    seal = one.metadata.seal
    if seal is None:
        if encryption is not None and one.metadata.scheme is not None:
            _check_beginning(storage, one, encryption)
        return
    assert encryption is not None
    if one.manifest is None:
        raise JobFailed(
            f"{one.place}: the manifest is missing, so the seal cannot be checked",
            "docs/recovery.md shows how to restore it by hand",
        )
    text = cipher.statement(
        one.series.host_name, one.level.path, one.metadata.compression, one.parts
    )
    cipher.check(seal, cipher.password(encryption.pass_file), text, one.place)


def _check_beginning(storage: Storage, one: Packed, encryption: Encryption) -> None:
    if not password_fits(storage, one, encryption):
        raise cipher.WrongPassword(
            f"{one.place}: the password in {encryption.pass_file} does not fit, or its beginning"
            " was altered",
            "check encrypt_pass_file; coldchain verify tells which parts are damaged",
        )


def checked_blocks(
    storage: Storage, one: Packed, name: str = DATA, meter: Meter | None = None
) -> Iterator[bytes]:
    """The stored bytes of part *name*; at the end JobFailed unless they are what was written."""
    digest, size = hashlib.sha256(), 0
    with storage.open(one.path(name)) as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            if meter is not None:
                meter.bytes += len(chunk)
                meter.tick()
            yield chunk
    expected = one.parts.get(name)
    if expected is None:
        return
    if size != expected.size:
        raise JobFailed(
            f"{one.place}: {name} is {size} bytes long, {expected.size} were written",
            "coldchain verify tells which points in time can still be restored",
        )
    if digest.hexdigest() != expected.sha256:
        raise JobFailed(
            f"{one.place}: {name} was altered (its SHA-256 is not the one in the manifest)",
            "coldchain verify tells which points in time can still be restored",
        )


def load(
    storage: Storage, one: Packed, name: str, encryption: Encryption | None, target: int
) -> None:
    """Write the level's part *name* to the descriptor *target*, decrypted."""
    if not cipher.covers(one.metadata.scheme, name):
        for chunk in checked_blocks(storage, one, name):
            snapshot.append(target, chunk)
        return
    with Pipeline(decryptor(one, encryption), feed=True, target=target) as pipeline:
        for chunk in checked_blocks(storage, one, name):
            pipeline.write(chunk)
        bad = failure(pipeline.finish(), {})
    if bad is not None:
        raise JobFailed(f"{one.place}: {name} cannot be decrypted: {bad.describe()}")


def password_fits(storage: Storage, one: Packed, encryption: Encryption) -> bool:
    """Whether a freezer-encrypted level begins like an archive under this password.

    The scheme has no check of its own; the first bytes of a compressed stream are known.
    """
    magic = COMPRESSIONS[one.metadata.compression].magic
    with storage.open(one.path(DATA)) as stream:
        head = stream.read(4096)
    with Pipeline(decryptor(one, encryption), feed=True) as pipeline:
        pipeline.write(head)
        pipeline.close_feed()
        plain = b"".join(pipeline.chunks())
        pipeline.finish()
    return plain.startswith(magic)
