# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is this a job document?  Every problem in one answer, each with a place and a remedy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from coldchain.document.canonical_form import canonical_of, facts_of
from coldchain.document.fields import LEVELS, UNSUPPORTED
from coldchain.document.limits import unsound
from coldchain.document.places import Place, did_you_mean, json_path, shown
from coldchain.document.rules import Context, Findings, apply_rules
from coldchain.document.schema import validator
from coldchain.document.spelling import INVERTED, modernise
from coldchain.errors import Problem
from coldchain.storages import SECRETS

if TYPE_CHECKING:
    from jsonschema import ValidationError

_TYPE_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
}
# A document of nothing but mistakes must not take minutes: a guess at a word takes 0.1 ms.
MOST_PROBLEMS = 200
_BESIDE = {"job": '"job_actions"', "job_action": '"freezer_action"'}


@dataclass(frozen=True)
class Checked:
    """document: the canonical form, None when there are errors; imported: see imported_facts."""

    document: dict[str, Any] | None
    errors: list[Problem]
    warnings: list[Problem]
    imported: dict[str, Any] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        return not self.errors


def check(raw: object, context: Context) -> Checked:
    """Check one job document, any JSON value at all; never raises.

    Problems of one kind come in the order of the document's fields; a document that is valid
    here can be scheduled and executed as far as its text alone can tell.
    """
    errors = unsound(raw)
    if errors:
        return Checked(None, errors, [])
    modern = modernise(raw)
    if not isinstance(modern.document, dict):
        return Checked(None, [_no_document(modern.document)], [])
    errors = modern.errors
    bad: set[Place] = set()
    errors.extend(islice(_problems(validator().iter_errors(modern.document), bad), MOST_PROBLEMS))
    if len(errors) >= MOST_PROBLEMS:
        errors.append(Problem("$", f"has more than {MOST_PROBLEMS} problems; these are the first"))
        return Checked(None, errors, _sorted(modern.warnings))
    _take_out(modern.document, bad)
    findings = Findings(errors, modern.warnings, bad)
    apply_rules(modern, context, findings)
    if errors:
        return Checked(None, _sorted(errors), _sorted(modern.warnings))
    facts = facts_of(modern.document.get("job_schedule", {}))
    return Checked(canonical_of(modern), [], _sorted(modern.warnings), facts)


def _no_document(value: object) -> Problem:
    return Problem("$", f"{shown(value)} is no job document", "write an object with job_actions")


def _sorted(problems: list[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda problem: _counting(problem.path))


def _counting(path: str) -> list[tuple[int, str]]:
    """A sort key that puts [10] behind [9]."""
    parts = re.split(r"\[([0-9]{1,9})\]", path)
    return [(int(part), "") if odd % 2 else (-1, part) for odd, part in enumerate(parts)]


def _problems(found: Iterable[ValidationError], bad: set[Place]) -> Iterator[Problem]:
    """The schema's errors in our words; *bad* collects the places that are wrong."""
    missing: set[Place] = set()
    for error in found:
        place: Place = tuple(error.absolute_path)
        value: Any = error.instance
        schema: Any = error.schema
        wanted: Any = error.validator_value
        if error.validator == "additionalProperties":
            for key in [key for key in value if key not in schema["properties"]]:
                bad.add((*place, key))
                hint = _unknown_hint(place, key)
                yield Problem(json_path((*place, key)), _unknown(key), hint)
        elif error.validator == "required":
            for key in [key for key in wanted if key not in value]:
                if (*place, key) not in missing:
                    missing.add((*place, key))
                    yield Problem(
                        json_path((*place, key)), "is missing", _REQUIRED.get(key, f'add "{key}"')
                    )
        else:
            bad.add(place)
            yield _wrong_value(place, value, str(error.validator), wanted)


_REQUIRED = {
    "job_id": "name the job, or describe it",
    "job_actions": "a job needs at least one action",
    "freezer_action": "say what to do",
}


def _wrong_value(place: Place, value: object, rule: str, wanted: Any) -> Problem:
    path = json_path(place)
    if rule == "enum":
        choices = [str(choice) for choice in wanted if choice]
        guess = did_you_mean(value, choices) if isinstance(value, str) else ""
        supported = f"supported: {', '.join(choices)}"
        return Problem(
            path, f"{shown(value)} is not supported", f"{guess} {supported}" if guess else supported
        )
    if rule == "minimum":
        return Problem(path, f"{shown(value)} is too small", f"at least {wanted}")
    if rule == "maximum":
        return Problem(path, f"{shown(value)} is too large", f"at most {wanted}")
    types = [wanted] if isinstance(wanted, str) else wanted
    words = " or ".join(_TYPE_WORDS[name] for name in types)
    hint = f"write {words}"
    if isinstance(value, bool) and "string" in types:
        hint = f'write it in quotes, as "{shown(value)}"'
    elif isinstance(value, list) and place[-1:] and str(place[-1]).startswith("schedule_"):
        hint = 'write one text, as "1,3,5"'
    return Problem(path, f"{shown(value)} is not {words}", hint)


def _unknown(key: str) -> str:
    if _plain(key) in SECRETS:
        return "is a secret, and job documents are shown and kept in many places"
    return "is not supported" if key in UNSUPPORTED else "is unknown"


def _plain(key: str) -> str:
    return key.lower().replace("-", "_")


def _unknown_hint(place: Place, key: str) -> str:
    level = _level_of(place)
    name = _plain(key)
    if name in SECRETS:
        return (
            f'put a line "{name.upper()}=..." into a file of mode 0600 and name it in'
            " credentials_file"
        )
    if key in UNSUPPORTED:
        return "leave it out; docs/reference/document.md lists what is supported"
    for other, fields in LEVELS.items():
        if other != level and any(field.name == name and not field.fact for field in fields):
            where = f"beside {_BESIDE[other]}" if other in _BESIDE else f"into {other}"
            return f'"{name}" belongs {where}'
    names = {old: field.name for field in LEVELS[level] for old in field.old}
    names.update({field.name: field.name for field in LEVELS[level]})
    if level == "freezer_action":
        names.update({old: old for old in INVERTED})
    near = did_you_mean(key, names)
    if near or len(names) > 6:
        return near
    return f"known: {', '.join(names)}"


def _level_of(place: Place) -> str:
    level = "job"
    for step in place:
        for each in LEVELS[level]:
            if each.name == step and each.fields:
                level = each.fields
    return level


def _take_out(document: dict[str, Any], bad: set[Place]) -> None:
    """Remove the places; an element of a list becomes None, so that no other one moves."""
    for place in bad:
        parent: Any = document
        for step in place[:-1]:
            parent = parent.get(step) if isinstance(parent, Mapping) else parent[step]
            if not isinstance(parent, (dict, list)):
                break
        if isinstance(parent, list):
            parent[int(place[-1])] = None
        elif isinstance(parent, dict):
            parent.pop(place[-1], None)
