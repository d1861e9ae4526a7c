# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""A job document as the text that a diff shows.

It reads as the YAML that the user wrote. PyYAML is not used: a host needs Python and nothing else.
"""

from __future__ import annotations

import json
import re
import typing as t

# Words that YAML reads as text and nothing else; everything else is quoted.
PLAIN = re.compile(
    r"^(?!(?:true|false|yes|no|on|off|null|y|n)$)[A-Za-z_/][A-Za-z0-9_./@+-]*(?: [A-Za-z0-9_./@+-]+)*$",
    re.IGNORECASE,
)

HIDDEN = "(hidden)"
HIDDEN_CHANGED = "(hidden, changed)"


def document_text(document: t.Mapping[str, t.Any] | None, calendar: t.Sequence[str] = ()) -> str:
    """The document, then its next runs; "" when there is none."""
    if not document:
        return ""
    lines = list(_mapping(document))
    if calendar:
        lines.append("# next runs:")
        lines.extend(f"#   {line}" for line in calendar)
    return "\n".join(lines) + "\n"


def masked(value: t.Any, before: t.Any = None) -> t.Any:
    """A document without the values of ``environment``; says which of them are not as they were in *before*.

    A diff goes to terminals and into the logs of CI. no_log would not do: Ansible then wipes each such value, perhaps
    "1" or "C", out of everything the module returns.
    """
    if isinstance(value, (list, tuple)):
        old = before if isinstance(before, (list, tuple)) else ()
        return [masked(item, old[i] if i < len(old) else None) for i, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    old = before if isinstance(before, dict) else {}
    return {
        name: _hidden(inner, old.get(name))
        if name == "environment" and isinstance(inner, dict)
        else masked(inner, old.get(name))
        for name, inner in value.items()
    }


def _hidden(values: t.Mapping[str, t.Any], before: t.Any) -> dict[str, str]:
    old = before if isinstance(before, dict) else {}
    return {
        name: HIDDEN_CHANGED if name in old and old[name] != value else HIDDEN
        for name, value in values.items()
    }


def _mapping(value: t.Mapping[str, t.Any], indent: str = "") -> t.Iterator[str]:
    for name, inner in value.items():
        yield from _entry(f"{indent}{_scalar(name)}:", inner, indent + "  ")


def _entry(start: str, value: t.Any, indent: str) -> t.Iterator[str]:
    if isinstance(value, dict) and value:
        yield start
        yield from _mapping(value, indent)
    elif isinstance(value, (list, tuple)) and value:
        yield start
        for element in value:
            yield from _element(element, indent)
    else:
        yield f"{start} {_scalar(value)}"


def _element(value: t.Any, indent: str) -> t.Iterator[str]:
    if not isinstance(value, dict) or not value:
        return _entry(indent + "-", value, indent + "  ")
    lines = list(_mapping(value, indent + "  "))
    return iter([indent + "- " + lines[0].lstrip(), *lines[1:]])


def _scalar(value: t.Any) -> str:
    if isinstance(value, str) and PLAIN.match(value):
        return value
    # JSON is YAML, but for characters that YAML takes as line breaks.
    return "".join(
        letter if letter.isprintable() else f"\\U{ord(letter):08x}"
        for letter in json.dumps(value, ensure_ascii=False)
    )
