# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is this a job document?  Every problem in one answer, each with a place and a remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from coldchain.core.errors import Problem
from coldchain.core.text import did_you_mean
from coldchain.document.canonical_form import canonical_of, facts_of
from coldchain.document.context import Context, Findings
from coldchain.document.fields import FORMATS, LEVELS
from coldchain.document.freezer_options import REMEDIES, SECRETS
from coldchain.document.glance import is_plainly_right
from coldchain.document.json_path import Place, json_path, shown
from coldchain.document.mistakes import hint_for_name, hint_for_time
from coldchain.document.normalize import INVERTED, kind_of, normalize
from coldchain.document.normalized import Normalized
from coldchain.document.rules import apply_rules
from coldchain.document.sanity import sanity_problems
from coldchain.document.schema import validator

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


class Checked(NamedTuple):
    """What is found of one document.

    document: the canonical form, None when there are errors; imported: see imported_facts.
    """

    document: dict[str, Any] | None
    errors: list[Problem]
    warnings: list[Problem]
    imported: Mapping[str, Any] = MappingProxyType({})

    @property
    def valid(self) -> bool:
        """Whether there are no errors."""
        return not self.errors


_NO_JOBS = {
    "session": "coldchain convert makes job documents of it and of its jobs",
    "client": "hosts are in the inventory here; coldchain convert passes it over",
}
#: What Freezer's API gives as one object with a list in it.
_NO_LISTS = {
    "actions": "coldchain convert makes a job document of each",
    "sessions": "coldchain convert makes job documents of them and of their jobs",
    "clients": "hosts are in the inventory here; coldchain convert passes it over",
    "backups": "what has been backed up is in the containers: coldchain backups lists it",
}
#: What an action is called that is run or looked at, but not declared.
NAMELESS = "undeclared"


def check(
    raw: object, context: Context, amend: Callable[[Normalized], None] = lambda modern: None
) -> Checked:
    """Check one job document, any JSON value at all; never raises.

    amend: may change an object in today's spelling before it is judged.

    Problems of one kind come in the order of the document's fields; a document that is valid
    here can be scheduled and executed as far as its text alone can tell.
    """
    errors = sanity_problems(raw)
    if errors:
        return Checked(None, errors, [])
    kind = kind_of(raw) if isinstance(raw, dict) else ""
    if kind in _NO_JOBS:
        return Checked(
            None, [Problem("$", f"is a {kind} of Freezer and no job", _NO_JOBS[kind])], []
        )
    if isinstance(raw, dict) and not kind:
        listed = next((key for key in _NO_LISTS if isinstance(raw.get(key), list)), None)
        if listed is not None:
            text = f"is a list of Freezer's {listed} and no job"
            return Checked(None, [Problem("$", text, _NO_LISTS[listed])], [])
    modern = normalize(raw)
    if not isinstance(modern.document, dict):
        return Checked(None, [no_document(modern.document)], [])
    name = context.job_id or (NAMELESS if modern.action and not context.declares else "")
    if name:
        modern.document.setdefault("job_id", name)
    amend(modern)
    errors = modern.errors
    bad: set[Place] = set()
    if not is_plainly_right(modern.document, context.vocabulary):
        schema_errors = validator(context.vocabulary).iter_errors(modern.document)
        errors.extend(islice(_problems(schema_errors, bad, action=modern.action), MOST_PROBLEMS))
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


def no_document(value: object) -> Problem:
    """What is wrong with *value*, which is no object."""
    return Problem("$", f"{shown(value)} is no job document", "write an object with job_actions")


def _sorted(problems: list[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda problem: _counting(problem.path))


def _counting(path: str) -> list[tuple[int, str]]:
    """A sort key that puts [10] behind [9]."""
    parts = re.split(r"\[([0-9]{1,9})\]", path)
    return [(int(part), "") if odd % 2 else (-1, part) for odd, part in enumerate(parts)]


def _problems(
    schema_errors: Iterable[ValidationError], bad: set[Place], *, action: bool
) -> Iterator[Problem]:
    """The schema's errors in our words; *bad* collects the places that are wrong.

    action: the document was an action and no job.
    """
    missing: set[Place] = set()
    for error in schema_errors:
        place: Place = tuple(error.absolute_path)
        value: Any = error.instance
        schema: Any = error.schema
        expected: Any = error.validator_value
        if error.validator == "additionalProperties":
            for key in [key for key in value if key not in schema["properties"]]:
                bad.add((*place, key))
                hint = _unknown_hint(place, key, value[key])
                yield Problem(json_path((*place, key)), _unknown(key), hint)
        elif error.validator == "required":
            for key in [key for key in expected if key not in value]:
                if (*place, key) not in missing:
                    missing.add((*place, key))
                    hint = _REQUIRED.get(key, f'add "{key}"')
                    if key == "job_id" and action:
                        hint = 'write one beside "freezer_action", or coldchain apply --job-id ID'
                    yield Problem(json_path((*place, key)), "is missing", hint)
        else:
            bad.add(place)
            yield _wrong_value(place, value, str(error.validator), expected)


_REQUIRED = {
    "job_id": "name the job, or describe it",
    "job_actions": "a job needs at least one action",
    "freezer_action": "say what to do",
}


def _wrong_value(place: Place, value: object, rule: str, expected: Any) -> Problem:
    path = json_path(place)
    if rule == "enum":
        choices = [str(choice) for choice in expected if choice]
        guess = did_you_mean(_plain(value), choices) if isinstance(value, str) else ""
        supported = f"supported: {', '.join(choices)}"
        return Problem(
            path, f"{shown(value)} is not supported", f"{guess} {supported}" if guess else supported
        )
    if rule == "minimum":
        return Problem(path, f"{shown(value)} is too small", f"at least {expected}")
    if rule == "maximum":
        return Problem(path, f"{shown(value)} is too large", f"at most {expected}")
    types = [expected] if isinstance(expected, str) else expected
    words = " or ".join(_TYPE_WORDS[name] for name in types)
    hint = f"write {words}"
    if place == ("job_schedule",):
        hint = hint_for_time("job_schedule", value) or hint
    if isinstance(value, bool) and "string" in types:
        # A name may be the word true; a time, a path or a rate never is.
        form = FORMATS.get(_format_of(place), "")
        hint = f"write {form}" if form else f'write it in quotes, as "{shown(value)}"'
    elif isinstance(value, list) and place[:1] == ("job_schedule",):
        form = _format_of(place)
        if form:
            hint = 'write one text, as "1,3,5"' if form == "cron" else f"write {FORMATS[form]}"
    return Problem(path, f"{shown(value)} is not {words}", hint)


def _unknown(key: str) -> str:
    if key == "state":
        return "is neither present nor absent, or there is no job_id beside it"
    if _plain(key) in SECRETS:
        return "is a secret, and job documents are shown and kept in many places"
    return "is not supported" if _plain(key) in REMEDIES else "is unknown"


def _plain(key: str) -> str:
    return key.lower().replace("-", "_")


def _unknown_hint(place: Place, key: str, value: object) -> str:
    level = _level_of(place)
    name = _plain(key)
    meant = hint_for_name(name, value) if level == "job_schedule" else ""
    if meant:
        return meant
    if name in SECRETS:
        return (
            f'put a line "{name.upper()}=..." into a file of mode 0600 and name it in'
            " credentials_file"
        )
    if name in REMEDIES:
        return REMEDIES[name]
    for other, fields in LEVELS.items():
        if other != level and any(field.name == name and not field.read_only for field in fields):
            where = f"beside {_BESIDE[other]}" if other in _BESIDE else f"into {other}"
            return f'"{name}" belongs {where}'
    names = {old: field.name for field in LEVELS[level] for old in field.aliases}
    names.update({field.name: field.name for field in LEVELS[level]})
    if level == "freezer_action":
        names.update({old: old for old in INVERTED})
    near = did_you_mean(name, names, likeness=0.7)
    if near or len(names) > 6:
        return near
    return f"known: {', '.join(names)}"


def _level_of(place: Place) -> str:
    level = "job"
    for step in place:
        for field in LEVELS[level]:
            if field.name == step and field.nested:
                level = field.nested
    return level


def _format_of(place: Place) -> str:
    """That of the field at *place*, "" where any text will do."""
    fields = LEVELS[_level_of(place[:-1])]
    form = next((field.format for field in fields if field.name == place[-1]), "")
    return "" if form in ("name", "texts") else form


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
