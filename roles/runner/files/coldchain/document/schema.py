# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON Schema (draft 2020-12) of a job document in today's spelling.

Shape, types and choices only.  What a schema cannot say well (the cron grammar, dates, which
option needs which) is checked by the code that parses it, which also has the better messages.
Levels are shared Python dicts instead of ``$ref``: jsonschema resolves a ``$ref`` anew for every
instance, which makes it 1.5 times as slow.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from coldchain.document.fields import FORMS, LEVELS, Field

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

# Two numbers are as good as text where a person would write a number.
_NUMBER_TOO = ("cron", "duration", "interval", "rate")
_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}


def _level(name: str, title: str = "") -> dict[str, Any]:
    fields = LEVELS[name]
    level: dict[str, Any] = {"title": title} if title else {}
    level["type"] = "object"
    level["properties"] = {field.name: _field(field) for field in fields}
    level["additionalProperties"] = False
    required = [field.name for field in fields if field.required]
    if required:
        level["required"] = required
    return level


def _field(field: Field) -> dict[str, Any]:
    if field.elements == "dict":
        schema: dict[str, Any] = {"type": "array", "items": _shared(field.fields)}
    elif field.fields:
        schema = dict(_shared(field.fields))
    elif field.type == "list":
        schema = dict(_TEXTS)
    elif field.type == "dict":
        schema = {"type": "object", "additionalProperties": _TEXT}
    elif field.type == "raw":
        schema = {"type": ["string", "array"], "items": _TEXT}
    elif field.form in _NUMBER_TOO:
        schema = {"type": ["string", "integer"]}
    else:
        schema = {"type": _TYPES[field.type]}
    if field.choices:
        schema = {"enum": [*field.choices, *field.also]}
    if field.minimum is not None:
        schema["minimum"] = field.minimum
    if field.maximum is not None:
        schema["maximum"] = field.maximum
    schema["description"] = plain(" ".join(field.description))
    if field.form:
        schema["description"] += f" Write {FORMS[field.form]}."
    if field.default is not None:
        schema["default"] = field.default
    if field.fact:
        schema["readOnly"] = True
    return schema


@cache
def _shared(level: str) -> dict[str, Any]:
    return _level(level)


def plain(text: str) -> str:
    """*text* without Ansible's markup: C(x) and O(x) are x."""
    for mark in ("C(", "O("):
        while mark in text:
            before, dummy, rest = text.partition(mark)
            word, dummy, after = rest.partition(")")
            text = f"{before}{word}{after}"
    return text


SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    **_level("job", "Job document of coldchain.freezer"),
}


@cache
def validator() -> Draft202012Validator:
    """The one validator of this process; jsonschema is imported by whoever validates first."""
    from jsonschema import Draft202012Validator

    return Draft202012Validator(SCHEMA)
