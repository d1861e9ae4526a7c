# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every document, and for everything that is none."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from document_strategies import crooked, damaged, documents, json_values, respelled
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain.cli.vocabulary import vocabulary
from coldchain.core.instants import parse_instant
from coldchain.document import Context, canonical, check, checking, difference, is_same
from coldchain.document.glance import glance_of, is_plainly_right
from coldchain.document.normalize import normalize
from coldchain.schedule import build

NOW = datetime(2026, 11, 25, 1, 2, 3, tzinfo=timezone.utc)
CONTEXT = Context("host1", timezone.utc, NOW, vocabulary())

few = settings(max_examples=examples(120, 1000))


def answers(raw: Any) -> None:
    """check() says something usable about *raw*, and what it accepts can be scheduled."""
    checked = check(raw, CONTEXT)
    assert checked.valid == (checked.document is not None)
    for problem in [*checked.errors, *checked.warnings]:
        assert problem.path.startswith("$")
        assert problem.message
        assert "Traceback" not in problem.message
    json.dumps([problem.as_dict() for problem in checked.errors])
    if checked.document is not None:
        document = json.loads(json.dumps(checked.document, allow_nan=False))
        assert check(document, CONTEXT).document == document
        trigger = build(document["job_schedule"], zone=timezone.utc, created=NOW, key="h/j")
        trigger.next(NOW)
        trigger.describe()


@few
@given(json_values)
def test_any_json_value_gets_an_answer(raw: Any) -> None:
    answers(raw)


@pytest.mark.long
@few
@given(crooked)
def test_any_arrangement_of_known_keys_gets_an_answer(raw: Any) -> None:
    answers(raw)
    answers({"job_id": "x", "job_actions": raw, "job_schedule": raw})


@pytest.mark.long
@few
@given(damaged())
def test_a_damaged_document_gets_an_answer(raw: Any) -> None:
    answers(raw)


FULL: dict[str, Any] = {
    "job_id": "a",
    "client_id": "host1",
    "session_id": "s",
    "lock": "l",
    "priority": 1,
    "notify": [
        {"type": "ntfy", "url": "https://ntfy.example/x", "tell": ["failure"]},
        {"type": "mail", "to": ["a@example.org"]},
        {"type": "command", "command": ["/bin/true"]},
    ],
    "action_defaults": {"container": "/c"},
    "job_actions": [
        {
            "freezer_action": {
                "action": "backup",
                "path_to_backup": "/srv",
                "exclude": ["*.x"],
                "environment": {"A": "1"},
            },
            "max_retries": 1,
            "mandatory": True,
        },
        {"freezer_action": {"action": "exec", "command": ["true"], "user": "root"}},
    ],
    "job_schedule": {
        "schedule_hour": "3",
        "schedule_splay": "5 minutes",
        "missed": {"run": "all", "max_age": "3 hours"},
        "blackout": [{"start": "01:00", "end": "02:00", "day_of_week": "mon"}],
        "dst": {"gap": "skip", "overlap": "both"},
    },
}
ODD: list[Any] = [None, 5, "", "x", [], {}, [None], [5], [[]], [{}], {"x": None}]


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document, without the document itself."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in pairs:
        yield (*place, key)
        if isinstance(item, (dict, list)):
            yield from places(item, (*place, key))


@pytest.mark.parametrize("place", list(places(FULL)), ids=lambda place: ".".join(map(str, place)))
def test_every_place_of_a_document_may_hold_anything(place: tuple[Any, ...]) -> None:
    assert not check(FULL, CONTEXT).errors
    for value in ODD:
        document = holder = copy.deepcopy(FULL)
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = value
        answers(document)


@pytest.mark.long
@few
@given(documents())
def test_a_valid_document_is_accepted_and_left_alone(document: dict[str, Any]) -> None:
    before = copy.deepcopy(document)
    checked = check(document, CONTEXT)
    assert checked.errors == []
    assert document == before
    assert checked.document == canonical(document)


@pytest.mark.long
@few
@given(documents())
def test_the_canonical_form_is_its_own_canonical_form(document: dict[str, Any]) -> None:
    once = canonical(document)
    again = check(once, CONTEXT)
    assert again.errors == []
    assert again.document == once
    assert json.dumps(again.document) == json.dumps(once)


@pytest.mark.long
@few
@given(st.data())
def test_spellings_of_one_meaning_have_one_canonical_form(data: st.DataObject) -> None:
    document = data.draw(documents())
    other = data.draw(respelled(document))
    checked = check(other, CONTEXT)
    assert checked.errors == []
    assert json.dumps(checked.document) == json.dumps(canonical(document))


@pytest.mark.long
@few
@given(documents(), documents())
def test_difference_is_empty_for_equal_documents_only(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    before, after = canonical(one), canonical(other)
    assert difference(before, before) == []
    assert is_same(before, copy.deepcopy(before))
    assert is_same(before, after) == (difference(before, after) == [])
    assert (difference(before, after) == []) == (json.dumps(before) == json.dumps(after))


@pytest.mark.long
@few
@given(documents())
def test_json_schema_accepts_every_canonical_form(document: dict[str, Any]) -> None:
    from coldchain.document.schema import validator

    assert list(validator(vocabulary()).iter_errors(canonical(document))) == []


def deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = {"job_actions": [value]}
    return value


@pytest.mark.parametrize(
    "value",
    [
        10**30,
        -(10**5000),
        float("nan"),
        float("inf"),
        "\ud800",
        "a\0b",
        "x" * 1_000_000,
        deep(5000),
        b"bytes",
        {1: 2},
        {"\udcff": 1},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_no_document_may_hold_is_refused_wherever_it_stands(value: Any) -> None:
    action = {"action": "backup", "path_to_backup": value}
    for raw in (
        value,
        [value],
        {"description": value},
        {"job_id": "x", "job_actions": [{"freezer_action": action}]},
        {"job_id": "x", "job_actions": [], "job_schedule": {"schedule_hour": value}},
    ):
        checked = check(raw, CONTEXT)
        assert checked.errors
        json.dumps([problem.as_dict() for problem in checked.errors]).encode()


def test_a_document_of_nothing_but_mistakes_is_answered_at_once() -> None:
    raw = {"job_actions": [{"freezer_action": {"mod": "fs"}, "x": 1} for _ in range(20_000)]}
    raw.update({f"key{number}": 1 for number in range(20_000)})
    checked = check(raw, CONTEXT)
    assert 200 <= len(checked.errors) <= 220
    last = checked.errors[-1]
    assert (last.path, last.message) == ("$", "has more than 200 problems; these are the first")


def test_a_thousand_actions_are_no_problem() -> None:
    action = {"freezer_action": {"action": "exec", "command": ["true"]}}
    assert check({"job_id": "x", "job_actions": [action] * 1000}, CONTEXT).valid


def test_no_instant_of_a_canonical_form_depends_on_the_zone_of_the_reader() -> None:
    text = canonical(
        {
            "job_id": "x",
            "job_actions": [
                {
                    "freezer_action": {
                        "action": "restore",
                        "restore_abs_path": "/x",
                        "restore_from_date": "2026-01-01 12:00:00 +02:00",
                    }
                }
            ],
        }
    )["job_actions"][0]["freezer_action"]["restore_from_date"]
    assert parse_instant(text, timezone.utc) == datetime(2026, 1, 1, 10, tzinfo=timezone.utc)


def test_the_schema_is_a_valid_schema() -> None:
    from jsonschema import Draft202012Validator

    from coldchain.document.schema import schema

    ours = schema(vocabulary())
    Draft202012Validator.check_schema(ours)
    assert json.loads(json.dumps(ours)) == ours


@few
@given(st.one_of(json_values, crooked, damaged(), documents()))
def test_what_is_plainly_right_has_nothing_that_the_schema_refuses(raw: Any) -> None:
    from coldchain.document.schema import validator

    for document in (raw, normalize(raw).document):
        if is_plainly_right(document, vocabulary()):
            assert not list(validator(vocabulary()).iter_errors(document))


def test_a_part_of_a_schema_that_is_not_understood_is_plainly_right_for_nothing() -> None:
    parts: list[dict[str, Any]] = [
        *({}, {"const": 1}, {"enum": [1]}, {"type": "null"}, {"type": "string", "pattern": "x"}),
        {"type": ["string", "integer"], "minimum": 1},
    ]
    for part in parts:
        assert not any(map(glance_of(part), (1, "x", [], {}, None)))


def test_a_sound_document_is_accepted_without_asking_jsonschema(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Importing it takes longer than all that a command does with one document."""
    monkeypatch.setattr(checking, "validator", None)
    checked = check(FULL, CONTEXT)
    assert checked.valid
    assert check(checked.document, CONTEXT).document == checked.document


def test_the_document_package_reads_no_clock_and_no_file() -> None:
    source = Path(check.__code__.co_filename).parent
    for path in source.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        for word in ("import time", "import os", ".now(", "open(", "pathlib"):
            assert word not in text, f"{path.name}: {word}"


def test_the_package_has_the_names_that_it_lists_and_no_others() -> None:
    from coldchain import document

    assert all(hasattr(document, name) for name in document.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        document.nonsense  # noqa: B018
