# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The small files that describe a level: Freezer's metadata and our manifest.

Both are read from places that others may have written: sizes are bounded and every field is
checked.  Freezer reads only the first line of metadata and ignores keys that it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coldchain import __version__
from coldchain.agent.cipher import Part, Seal
from coldchain.agent.layout import (
    DATA,
    ENGINE,
    ENGINE_METADATA,
    ENTRIES,
    MANIFEST,
    METADATA,
    Level,
    Series,
)
from coldchain.agent.storage import Storage
from coldchain.agent.tools import COMPRESSIONS
from coldchain.errors import DataError

FORMAT = 1
_LIMIT = 1 << 20


@dataclass(frozen=True)
class Metadata:
    """How a level is packed.  scheme: None (plain), "freezer" or "strong" (then with a seal)."""

    compression: str
    scheme: str | None
    seal: Seal | None = None

    def encode(self) -> bytes:
        fields: dict[str, object] = {
            "engine_name": ENGINE,
            "compression": self.compression,
            "encryption": self.scheme is not None,
        }
        if self.seal is not None:
            fields.update(encrypt_scheme=self.scheme, **self.seal.as_dict())
        return json.dumps(fields).encode("ascii")


@dataclass(frozen=True)
class Manifest:
    """What we know about a level beyond Freezer; sizes in bytes, created in POSIX seconds.

    files and bytes_read count what was read into this level.
    """

    hostname: str
    backup_name: str
    level: Level
    source: str
    compression: str
    scheme: str | None
    created: float
    files: int
    bytes_read: int
    parts: Mapping[str, Part]
    warnings: Mapping[str, int]

    def encode(self) -> bytes:
        fields = {
            "format": FORMAT,
            "coldchain": __version__,
            "hostname": self.hostname,
            "backup_name": self.backup_name,
            "chain": self.level.zero,
            "level": self.level.number,
            "time": self.level.time,
            "source": self.source,
            "engine_name": ENGINE,
            "compression": self.compression,
            "encrypt_scheme": self.scheme,
            "created": round(self.created, 3),
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
    path = f"{series.metadata_of(level)}/{METADATA}"
    fields = _object(_read(storage, path).partition(b"\n")[0], path)
    compression = fields.get("compression", "gzip")
    if compression not in COMPRESSIONS:
        raise DataError(f"{path}: unknown compression {compression!r}")
    if fields.get("engine_name", ENGINE) != ENGINE:
        raise DataError(f"{path}: engine {fields['engine_name']!r} is not {ENGINE}")
    if fields.get("encryption") is not True:
        return Metadata(compression, None)
    scheme = fields.get("encrypt_scheme", "freezer")
    if scheme == "freezer":
        return Metadata(compression, scheme)
    if scheme != "strong":
        raise DataError(f"{path}: unknown encrypt_scheme {scheme!r}")
    return Metadata(compression, scheme, Seal.parse(fields, path))


def read_manifest(storage: Storage, series: Series, level: Level) -> Manifest | None:
    """Our manifest of *level*; None when freezer-agent wrote the level (or it was lost)."""
    path = f"{series.data_of(level)}/{MANIFEST}"
    if storage.size(path) is None:
        return None
    fields = _object(_read(storage, path), path)
    try:
        if fields["format"] != FORMAT:
            raise DataError(
                f"{path}: format {fields['format']!r} is newer than this program",
                "update coldchain on this host",
            )
        parts = {
            name: Part(_text(part["sha256"]), _count(part["size"]))
            for name, part in fields["parts"].items()
            if name in (DATA, ENGINE_METADATA, ENTRIES)
        }
        if DATA not in parts:
            raise KeyError(DATA)
        return Manifest(
            hostname=_text(fields["hostname"]),
            backup_name=_text(fields["backup_name"]),
            level=Level(_count(fields["chain"]), _count(fields["level"]), _count(fields["time"])),
            source=_text(fields["source"]),
            compression=_text(fields["compression"]),
            scheme=fields["encrypt_scheme"],
            created=float(fields["created"]),
            files=_count(fields["files"]),
            bytes_read=_count(fields["bytes"]),
            parts=parts,
            warnings={str(name): _count(n) for name, n in fields["warnings"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: not a manifest of coldchain: {error!r}") from None


def _read(storage: Storage, path: str) -> bytes:
    with storage.open(path) as stream:
        data = b""
        while len(data) <= _LIMIT and (chunk := stream.read(_LIMIT)):
            data += chunk
    if len(data) > _LIMIT:
        raise DataError(f"{path}: larger than {_LIMIT} bytes")
    return data


def _object(data: bytes, path: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise DataError(f"{path}: not a JSON object", "the backup is damaged")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"{value!r} is not a count")
    return value
