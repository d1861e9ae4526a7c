# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an action tells when it is done: a line for people and fields for machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True)
class Report:
    """The outcome of a successful action; *fields* depend on it and are JSON."""

    action: str
    message: str
    warnings: tuple[str, ...] = ()
    fields: Mapping[str, object] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        return {
            "action": self.action,
            "message": self.message,
            "warnings": list(self.warnings),
            **self.fields,
        }


def size(number: float) -> str:
    """Bytes for people: 3.4 MB (powers of 1000)."""
    power = 0
    while number >= 999.5 and power < len(_UNITS) - 1:
        number /= 1000
        power += 1
    return f"{number:.{1 if power else 0}f} {_UNITS[power]}"


def count(number: int, noun: str) -> str:
    """1 file, 2 files, 3 entries."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("y") else f"{number} {noun}s"


def shown(name: bytes) -> str:
    """A file name for people, on one line: what is not UTF-8 or moves a cursor becomes \\xNN."""
    text = name.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
