# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files that somebody else may have written: every type and every size is checked here."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection

from coldchain.agent.engines.tar.stored.layout import LATEST
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import DataError
from coldchain.core.text import display_name

#: Bytes of the largest small file; ours have a few hundred.
MOST = 1 << 20
_MOST_COUNT = 1 << 62
_LONGEST = 1 << 16
_HEX = re.compile(r"(?:[0-9a-f]{2}){1,64}")


def read_small(storage: Storage, path: str) -> bytes:
    """The file *path*; DataError when it cannot be read or is larger than MOST bytes."""
    size = storage.size(path)
    if size is not None and size > MOST:
        raise DataError(f"{shown(path)}: larger than {MOST} bytes", "the backup is damaged")
    with storage.open(path) as stream:
        data = b""
        while len(data) <= MOST and (chunk := stream.read(MOST + 1 - len(data))):
            data += chunk
    if len(data) > MOST:
        raise DataError(f"{shown(path)}: larger than {MOST} bytes", "the backup is damaged")
    return data


def shown(path: str) -> str:
    """*path* in one line without control characters, whoever named it."""
    return display_name(os.fsencode(path))


class Fields:
    """A JSON object in the file *path*; each answer is of the asked type, or a DataError."""

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise DataError(f"{shown(path)}: not a JSON object", "the backup is damaged")
        self._value, self._path = value, path

    @classmethod
    def parse(cls, data: bytes, path: str) -> Fields:
        """The fields of the JSON object in *data*.  Raises DataError."""
        try:
            return cls(json.loads(data), path)
        except (ValueError, RecursionError):
            return cls(None, path)

    def __contains__(self, name: str) -> bool:
        return name in self._value

    def text(self, name: str, default: str | None = None) -> str:
        """The field as a text that a file could be named with.  Raises DataError."""
        value = self._value.get(name, default)
        if isinstance(value, str) and len(value) <= _LONGEST and "\0" not in value:
            try:
                os.fsencode(value)
            except UnicodeEncodeError:
                pass
            else:
                return value
        raise self._wrong(name, "a text")

    def choice(self, name: str, choices: Collection[str], default: str | None = None) -> str:
        """The field as one of *choices*.  Raises DataError."""
        value = self.text(name, default)
        if value not in choices:
            raise self._wrong(name, "one of " + ", ".join(sorted(choices)))
        return value

    def optional(self, name: str) -> str | None:
        """A text, or None for null."""
        return None if self._value.get(name) is None else self.text(name)

    def count(self, name: str, most: int = _MOST_COUNT, least: int = 0) -> int:
        """A whole number from *least* to *most*."""
        value = self._value.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self._wrong(name, "a count")
        return value

    def moment(self, name: str) -> float:
        """POSIX seconds of a time that a date can show."""
        value = self._value.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._wrong(name, "a time")
        # What is not a number is not between two, either.
        if not 0 <= value <= LATEST:
            raise self._wrong(name, "a time")
        return float(value)

    def digest(self, name: str) -> str:
        """Bytes in hex, at most 64."""
        value = self.text(name)
        if not _HEX.fullmatch(value):
            raise self._wrong(name, "a checksum")
        return value

    def true(self, name: str) -> bool:
        """Whether the field is true, and not only something like it."""
        return self._value.get(name) is True

    def fields(self, name: str) -> Fields:
        """An object below this one."""
        return Fields(self._value.get(name), f"{self._path}: {name}")

    def names(self) -> list[str]:
        """The names of the fields."""
        return list(self._value)

    def _wrong(self, name: str, wanted: str) -> DataError:
        value = shown(repr(self._value.get(name))[:80])
        return DataError(
            f"{shown(self._path)}: {name} is {value}, not {wanted}", "the backup is damaged"
        )
