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

from coldchain.document.fields import FORMATS, LEVELS, Field, choices_of
from coldchain.document.vocabulary import Vocabulary

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

# Two numbers are as good as text where a person would write a number.
_NUMBER_TOO = ("cron", "duration", "interval", "rate")
_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}


def _level(name: str, vocabulary: Vocabulary, title: str = "") -> dict[str, Any]:
    fields = LEVELS[name]
    level: dict[str, Any] = {"title": title} if title else {}
    level["type"] = "object"
    level["properties"] = {field.name: _field(field, vocabulary) for field in fields}
    level["additionalProperties"] = False
    required = [field.name for field in fields if field.required]
    if required:
        level["required"] = required
    return level


def _field(field: Field, vocabulary: Vocabulary) -> dict[str, Any]:
    if field.elements == "dict":
        part: dict[str, Any] = {"type": "array", "items": _shared(field.nested, vocabulary)}
    elif field.nested:
        part = dict(_shared(field.nested, vocabulary))
    elif field.type == "list":
        part = dict(_TEXTS)
    elif field.type == "dict":
        part = {"type": "object", "additionalProperties": _TEXT}
    elif field.type == "raw":
        part = {"type": ["string", "array"], "items": _TEXT}
    elif field.format in _NUMBER_TOO:
        part = {"type": ["string", "integer"]}
    else:
        part = {"type": _TYPES[field.type]}
    choices = choices_of(field, vocabulary)
    if choices and field.type == "list":
        part = {"type": "array", "items": {"enum": [*choices]}}
    elif choices:
        part = {"enum": [*choices, *field.accepts]}
    if field.minimum is not None:
        part["minimum"] = field.minimum
    if field.maximum is not None:
        part["maximum"] = field.maximum
    part["description"] = plain(" ".join(field.description))
    if field.format:
        part["description"] += f" Write {FORMATS[field.format]}."
    if field.default is not None:
        part["default"] = field.default
    if field.read_only:
        part["readOnly"] = True
    return part


@cache
def _shared(level: str, vocabulary: Vocabulary) -> dict[str, Any]:
    return _level(level, vocabulary)


def plain(text: str) -> str:
    """*text* without Ansible's markup: C(x) and O(x) are x."""
    for mark in ("C(", "O("):
        while mark in text:
            before, _unused, rest = text.partition(mark)
            word, _unused, after = rest.partition(")")
            text = f"{before}{word}{after}"
    return text


@cache
def schema(vocabulary: Vocabulary) -> dict[str, Any]:
    """The schema of a job document that uses the names in *vocabulary*."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_level("job", vocabulary, "Job document of coldchain.freezer"),
    }


@cache
def validator(vocabulary: Vocabulary) -> Draft202012Validator:
    """The one validator of this process; jsonschema is imported by whoever validates first."""
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema(vocabulary))
