# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The small files that describe a level: Freezer's metadata and our manifest.

Both are read from places that others may have written: sizes are bounded and every field is
checked.  Freezer reads only the first line of metadata and ignores keys that it does not know.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import NamedTuple

from coldchain import __version__
from coldchain.agent.engines.tar.stored import cipher
from coldchain.agent.engines.tar.stored.cipher import Part, Seal
from coldchain.agent.engines.tar.stored.foreign import Fields, read_small, shown
from coldchain.agent.engines.tar.stored.layout import DATA, ENGINE, MANIFEST, PARTS, Level, Series
from coldchain.agent.process.tools import COMPRESSIONS
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import DataError

FORMAT = 2
#: What a source is: a directory, or one file.
FOLDER, FILE = "directory", "file"
KINDS = (FOLDER, FILE)


class Metadata(NamedTuple):
    """How a level is packed.  scheme: None (plain), "freezer" or "strong" (then with a seal)."""

    compression: str
    scheme: str | None
    seal: Seal | None = None

    def encode(self) -> bytes:
        """The content of the file metadata, as freezer-agent reads it."""
        fields: dict[str, object] = {
            "engine_name": ENGINE,
            "compression": self.compression,
            "encryption": self.scheme is not None,
        }
        if self.seal is not None:
            fields.update(encrypt_scheme=self.scheme, **self.seal.as_dict())
        return json.dumps(fields).encode("ascii")


class Parent(NamedTuple):
    """The level that another one was made on: its name, and the SHA-256 (hex) of its manifest.

    sha256 is None when it has no manifest: freezer-agent wrote it.
    """

    name: str
    sha256: str | None


class Manifest(NamedTuple):
    """What we know about a level beyond Freezer; sizes in bytes, created in POSIX seconds.

    members counts all entries of the archive, files those that are no directories; bytes_read is
    what was read from the files.  kind: of the source, KINDS; parent: None for a level 0.
    """

    hostname: str
    backup_name: str
    level: Level
    parent: Parent | None
    source: str
    kind: str
    compression: str
    scheme: str | None
    created: float
    members: int
    files: int
    bytes_read: int
    parts: Mapping[str, Part]
    warnings: Mapping[str, int]

    def encode(self) -> bytes:
        """The content of the file manifest.json."""
        fields = {
            "format": FORMAT,
            "coldchain": __version__,
            "hostname": self.hostname,
            "backup_name": self.backup_name,
            "chain": self.level.zero,
            "level": self.level.number,
            "time": self.level.time,
            "parent": self.parent and self.parent.name,
            "parent_sha256": self.parent and self.parent.sha256,
            "source": self.source,
            "kind": self.kind,
            "engine_name": ENGINE,
            "compression": self.compression,
            "encrypt_scheme": self.scheme,
            "created": round(self.created, 3),
            "members": self.members,
            "files": self.files,
            "bytes": self.bytes_read,
            "parts": {
                name: {"sha256": part.sha256, "size": part.size}
                for name, part in self.parts.items()
            },
            "warnings": dict(self.warnings),
        }
        return json.dumps(fields, indent=1, sort_keys=True).encode("ascii") + b"\n"


def read_metadata(storage: Storage, series: Series, level: Level) -> Metadata:
    """The commit marker of *level*; DataError names the file and what is wrong with it."""
    path = series.marker_of(level)
    fields = Fields.parse(read_small(storage, path).partition(b"\n")[0], path)
    compression = fields.choice("compression", COMPRESSIONS, "gzip")
    fields.choice("engine_name", (ENGINE,), ENGINE)
    if not fields.true("encryption"):
        return Metadata(compression, None)
    scheme = fields.choice("encrypt_scheme", ("freezer", "strong"), "freezer")
    if scheme == "freezer":
        return Metadata(compression, scheme)
    seal = Seal(
        fields.count("iterations", cipher.MOST_ITERATIONS, least=1),
        fields.digest("mac_salt"),
        fields.digest("mac_value"),
    )
    return Metadata(compression, scheme, seal)


def read_manifest(
    storage: Storage, series: Series, level: Level
) -> tuple[Manifest | None, str | None]:
    """Our manifest of *level* and its SHA-256 (hex).

    Both are None when freezer-agent wrote the level (or it was lost).  Raises DataError when it
    cannot be used.
    """
    path = f"{series.data_of(level)}/{MANIFEST}"
    if storage.size(path) is None:
        return None, None
    data = read_small(storage, path)
    return _manifest(Fields.parse(data, path), path), hashlib.sha256(data).hexdigest()


def _manifest(fields: Fields, path: str) -> Manifest:
    number = fields.count("format")
    if number != FORMAT:
        raise DataError(
            f"{shown(path)}: format {number} is not this program's ({FORMAT})",
            "another version of coldchain wrote it: use that one",
        )
    stored, complaints = fields.fields("parts"), fields.fields("warnings")
    parts = {}
    for name in PARTS:
        if name in stored or name == DATA:
            part = stored.fields(name)
            parts[name] = Part(part.digest("sha256"), part.count("size"))
    parent = None
    if fields.count("level") > 0:
        parent = Parent(fields.text("parent"), fields.optional("parent_sha256"))
    return Manifest(
        hostname=fields.text("hostname"),
        backup_name=fields.text("backup_name"),
        level=Level(fields.count("chain"), fields.count("level"), fields.count("time")),
        parent=parent,
        source=fields.text("source"),
        kind=fields.choice("kind", KINDS),
        compression=fields.choice("compression", COMPRESSIONS),
        scheme=fields.optional("encrypt_scheme"),
        created=fields.moment("created"),
        members=fields.count("members"),
        files=fields.count("files"),
        bytes_read=fields.count("bytes"),
        parts=parts,
        warnings={name: complaints.count(name) for name in complaints.names()},
    )
