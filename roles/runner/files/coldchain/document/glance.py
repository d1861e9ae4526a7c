# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a document has certainly nothing that the schema refuses, at a glance.

What the schema means, and what is wrong with a document, is jsonschema's to say.  Most documents
have nothing wrong with them: to see that takes a thirtieth of its time, and not its import.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from coldchain.document.schema import schema
from coldchain.document.vocabulary import Vocabulary

Glance = Callable[[Any], bool]


def is_plainly_right(document: object, vocabulary: Vocabulary) -> bool:
    """Whether jsonschema would certainly find nothing wrong with *document*; False: ask it."""
    return _glance(vocabulary)(document)


_CLASSES: Mapping[str, frozenset[type]] = MappingProxyType(
    {
        "string": frozenset({str}),
        "integer": frozenset({int}),
        "number": frozenset({int, float}),
        "boolean": frozenset({bool}),
        "object": frozenset({dict}),
        "array": frozenset({list}),
    }
)
_ANNOTATIONS = frozenset({"$schema", "title", "description", "default", "readOnly"})


@cache
def _glance(vocabulary: Vocabulary) -> Glance:
    return glance_of(schema(vocabulary))


def glance_of(part: Mapping[str, Any]) -> Glance:
    """A part of the schema as a function that is true of what certainly fits it."""
    rules = part.keys() - _ANNOTATIONS
    if rules == {"enum"} and all(isinstance(choice, str) for choice in part["enum"]):
        choices = frozenset(part["enum"])
        return lambda value: isinstance(value, str) and value in choices
    words = part.get("type", ())
    words = [words] if isinstance(words, str) else words
    if not words or not _CLASSES.keys() >= {*words}:
        return _never
    classes = frozenset().union(*(_CLASSES[word] for word in words))
    rules -= {"type"}
    if not rules:
        return lambda value: type(value) in classes
    if rules <= {"minimum", "maximum"} and classes <= _CLASSES["number"]:
        low, high = part.get("minimum", float("-inf")), part.get("maximum", float("inf"))
        return lambda value: type(value) in classes and low <= value <= high
    if rules == {"items"}:
        return _of_list(classes, glance_of(part["items"]))
    if classes == {dict} and rules <= {"properties", "additionalProperties", "required"}:
        fields = {name: glance_of(field) for name, field in part.get("properties", {}).items()}
        others = part.get("additionalProperties", False)
        other = glance_of(others) if isinstance(others, dict) else _never
        return _of_object(fields, other, frozenset(part.get("required", ())))
    return _never


def _never(_value: Any) -> bool:
    return False


def _of_list(classes: frozenset[type], item: Glance) -> Glance:
    def fits(value: Any) -> bool:
        kind = type(value)
        return kind in classes and (kind is not list or all(map(item, value)))

    return fits


def _of_object(fields: Mapping[str, Glance], other: Glance, required: frozenset[str]) -> Glance:
    def fits(value: Any) -> bool:
        if not isinstance(value, dict) or not required <= value.keys():
            return False
        for name, item in value.items():  # noqa: SIM110  # a generator takes twice as long
            if not fields.get(name, other)(item):
                return False
        return True

    return fits
