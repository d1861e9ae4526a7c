# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The field table is the one source: schema and reference say the same, field by field."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from coldchain.document.fields import LEVELS, UNSUPPORTED, WITHOUT_EFFECT
from coldchain.document.schema import SCHEMA

ROOT = Path(__file__).parents[4]


def test_the_reference_is_current() -> None:
    written = (ROOT / "docs" / "reference" / "document.md").read_text(encoding="utf-8")
    tool = runpy.run_path(str(ROOT / "tools" / "generate_reference.py"))
    assert written == tool["reference"](), "run tools/generate_reference.py"


def level_schemas(schema: dict[str, Any], level: str) -> dict[str, dict[str, Any]]:
    """level -> its part of the schema, for *level* and all below it."""
    found = {level: schema}
    for field in LEVELS[level]:
        if field.fields:
            below = schema["properties"][field.name]
            found.update(level_schemas(below.get("items", below), field.fields))
    return found


def test_the_schema_has_every_field_of_the_table_and_no_other() -> None:
    schemas = level_schemas(SCHEMA, "job")
    assert set(schemas) == set(LEVELS)
    for level, fields in LEVELS.items():
        schema = schemas[level]
        assert list(schema["properties"]) == [field.name for field in fields]
        assert schema["additionalProperties"] is False
        assert schema.get("required", []) == [field.name for field in fields if field.required]
        for field in fields:
            part = schema["properties"][field.name]
            assert part.get("enum", []) == [*field.choices, *field.also]
            assert part.get("readOnly", False) == field.fact
            assert part["description"]


def test_no_name_has_two_meanings() -> None:
    for level, fields in LEVELS.items():
        names = [name for field in fields for name in (field.name, *field.old)]
        assert len(names) == len(set(names)), level
    known = {field.name for field in LEVELS["freezer_action"]}
    assert not known & (UNSUPPORTED | WITHOUT_EFFECT)
    assert not UNSUPPORTED & WITHOUT_EFFECT
