# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON values as YAML for people: hosts have no YAML library, and writing needs little of one.

For variables of Ansible, what it would take for a template has the tag ``!unsafe``: a command may
well hold two braces.
"""

from __future__ import annotations

import json
import re
from typing import Any

# Words that no YAML, old or new, takes for anything but text: no number, date, boolean or null.
_PLAIN = re.compile(
    r"(?!(?i:y|n|yes|no|on|off|true|false|null|nan|inf)\Z)"
    r"/?[A-Za-z][A-Za-z0-9_./+@-]*(?: [A-Za-z0-9_./+@()-]+)*",
    re.ASCII,
)
_TEMPLATE = re.compile(r"\{[{%#]")


def to_yaml(value: Any, *, variables: bool = False) -> str:
    """*value* (JSON) as lines of block YAML, each with its line's end.

    variables: it is for Ansible to read.
    """
    lines: list[str] = []
    _write(value, "", "", variables, lines)
    return "".join(lines)


def _write(value: Any, head: str, pad: str, variables: bool, lines: list[str]) -> None:
    """Add *value* to the lines; head: what its first line begins with, pad: all others."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                lines.append(f"{head}{_scalar(key)}:\n")
                _write(item, f"{pad}  ", f"{pad}  ", variables, lines)
            else:
                lines.append(f"{head}{_scalar(key)}: {_scalar(item, variables)}\n")
            head = pad
    elif isinstance(value, list) and value:
        for item in value:
            _write(item, f"{head}- ", f"{pad}  ", variables, lines)
            head = pad
    else:
        lines.append(f"{head}{_scalar(value, variables)}\n")


def _scalar(value: Any, variables: bool = False) -> str:
    if isinstance(value, str):
        if _PLAIN.fullmatch(value):
            return value
        tag = "!unsafe " if variables and _TEMPLATE.search(value) else ""
        return f'{tag}"{"".join(map(_escaped, value))}"'
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return json.dumps(value)


def _escaped(character: str) -> str:
    """As YAML's double quotes want it; JSON writes what lies beyond 16 bits in two parts."""
    if character in '\\"':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08x}"
