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
_PLAIN = re.compile(r"/?[A-Za-z][A-Za-z0-9_./+@-]*(?: [A-Za-z0-9_./+@()-]+)*", re.ASCII)
_TEMPLATE = re.compile(r"\{[{%#]")
_WORDS = re.compile(r"(?:y|n|yes|no|on|off|true|false|null|nan|inf)", re.IGNORECASE)


def to_yaml(value: Any, indent: int = 0, *, variables: bool = False) -> str:
    """*value* (JSON) as lines of block YAML, each with its line's end.

    variables: it is for Ansible to read.
    """
    pad = " " * indent
    lines = []
    if isinstance(value, dict) and value:
        for key, item in value.items():
            lines.append(f"{pad}{_scalar(key)}:{_below(item, indent + 2, variables)}")
    elif isinstance(value, list) and value:
        for item in value:
            text = to_yaml(item, indent + 2, variables=variables)
            lines.append(f"{pad}- {text[indent + 2 :]}")
    else:
        lines.append(f"{pad}{_scalar(value, variables)}\n")
    return "".join(lines)


def _below(item: Any, indent: int, variables: bool) -> str:
    if isinstance(item, (dict, list)) and item:
        return f"\n{to_yaml(item, indent, variables=variables)}"
    return f" {_scalar(item, variables)}\n"


def _scalar(value: Any, variables: bool = False) -> str:
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and not _WORDS.fullmatch(value)
        tag = "!unsafe " if variables and _TEMPLATE.search(value) else ""
        return value if plain else f'{tag}"{"".join(map(_escaped, value))}"'
    return json.dumps(value)


def _escaped(character: str) -> str:
    """As YAML's double quotes want it; JSON writes what lies beyond 16 bits in two parts."""
    if character in '\\"':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08x}"
