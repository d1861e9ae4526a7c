# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The field table is the one source: schema and reference say the same, field by field."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from coldchain.cli.vocabulary import vocabulary
from coldchain.document.fields import LEVELS, choices_of
from coldchain.document.freezer_options import IDENTITY, SECRETS, UNSUPPORTED, WITHOUT_EFFECT
from coldchain.document.schema import schema

ROOT = Path(__file__).parents[4]


def test_the_reference_is_current() -> None:
    written = (ROOT / "docs" / "reference" / "document.md").read_text(encoding="utf-8")
    tool = runpy.run_path(str(ROOT / "tools" / "generate_reference.py"))
    assert written == tool["reference"](), "run tools/generate_reference.py"


def level_schemas(schema: dict[str, Any], level: str) -> dict[str, dict[str, Any]]:
    """level -> its part of the schema, for *level* and all below it."""
    found = {level: schema}
    for field in LEVELS[level]:
        if field.nested:
            below = schema["properties"][field.name]
            found.update(level_schemas(below.get("items", below), field.nested))
    return found


def test_the_schema_has_every_field_of_the_table_and_no_other() -> None:
    schemas = level_schemas(schema(vocabulary()), "job")
    assert set(schemas) == set(LEVELS)
    for level, fields in LEVELS.items():
        ours = schemas[level]
        assert list(ours["properties"]) == [field.name for field in fields]
        assert ours["additionalProperties"] is False
        assert ours.get("required", []) == [field.name for field in fields if field.required]
        for field in fields:
            part = ours["properties"][field.name]
            enum = part["items"] if field.type == "list" and field.choices else part
            assert enum.get("enum", []) == [*choices_of(field, vocabulary()), *field.accepts]
            assert part.get("readOnly", False) == field.read_only
            assert part["description"]
            bounds = (field.minimum, field.maximum, field.default)
            assert tuple(map(part.get, ("minimum", "maximum", "default"))) == bounds


def test_no_name_has_two_meanings() -> None:
    for level, fields in LEVELS.items():
        names = [name for field in fields for name in (field.name, *field.aliases)]
        assert len(names) == len(set(names)), level
    known = {field.name for field in LEVELS["freezer_action"]}
    assert not known & (UNSUPPORTED | WITHOUT_EFFECT)
    assert not known & IDENTITY
    assert not UNSUPPORTED & WITHOUT_EFFECT


def test_what_the_table_says_of_storages_is_what_the_agent_knows() -> None:
    words = vocabulary()
    fields = {field.name: field for field in LEVELS["freezer_action"]}
    for kind, name in (("modes", "mode"), ("engines", "engine_name"), ("storages", "storage")):
        assert fields[name].default == words.choices(kind)[0]
    assert words.secrets <= SECRETS
    assert fields.keys() >= {*words.storage_fields, "credentials_file"}
