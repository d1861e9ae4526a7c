# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From any spelling of a job document to today's, with a warning for what is old.

Understood are the names of every Freezer release, dashes for underscores, the ``{"job": ...}``
wrapper, a single action where a list belongs, numbers as text and text as numbers, and JSON
null and false for "not set" (Freezer makes the text "False" of the latter).  What is not
understood stays as it is: the schema and the rules have the messages for it.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coldchain.document.fields import LEVELS, UNSUPPORTED, WITHOUT_EFFECT, Field
from coldchain.document.places import Place, json_path, shown
from coldchain.errors import Problem
from coldchain.rates import NO_LIMIT
from coldchain.storages import SECRETS

# Old name -> today's name of the opposite; the sense was turned round in 2026.
INVERTED = {"no_incremental": "incremental"}

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,18}\s*")
_DECIMAL = re.compile(r"\s*[+-]?[0-9]{1,18}(\.[0-9]{0,18})?\s*")
_DAY = r"(?:mon|tue|wed|thu|fri|sat|sun)"
_DAYS = re.compile(rf"\s*{_DAY}(?:\s*[,-]\s*{_DAY})*\s*", re.IGNORECASE)
_NOT_SET = object()
_SHOWN = {"job", "progress"}

_INDEX: dict[str, dict[str, Field]] = {
    level: {name: each for each in fields for name in (each.name, *each.old)}
    for level, fields in LEVELS.items()
}


@dataclass
class Modern:
    """A document in today's spelling.

    unset: for each action, the options that it says are not set, so that action_defaults do not
    fill them; errors: contradictions that only the original spelling shows.
    """

    document: Any = None
    warnings: list[Problem] = field(default_factory=list)
    errors: list[Problem] = field(default_factory=list)
    unset: dict[int, set[str]] = field(default_factory=dict)

    def warn(self, place: Place, message: str, hint: str = "") -> None:
        self.warnings.append(Problem(json_path(place), message, hint))


def modernise(raw: object) -> Modern:
    """*raw* in today's spelling; *raw* itself is left alone."""
    modern = Modern()
    document = _unwrap(raw, modern)
    if isinstance(document, dict):
        document = _level(document, "job", (), modern)
        schedule = document.get("job_schedule")
        if isinstance(schedule, dict):
            _schedule(schedule, modern)
        if "job_id" not in document:
            _derive_job_id(document, modern)
    modern.document = document
    return modern


def _unwrap(raw: object, modern: Modern) -> object:
    # "progress" is beside the document of a running job, as coldchain show prints it.
    if isinstance(raw, dict) and isinstance(raw.get("job"), dict) and raw.keys() <= _SHOWN:
        raw = raw["job"]
        modern.warn((), 'the {"job": ...} wrapper is an old form', "write the document itself")
    names = _INDEX["job_action"].keys()
    if isinstance(raw, dict) and "freezer_action" in raw and raw.keys() <= names:
        modern.warn((), "a bare action is taken as a job of this one action", 'write "job_actions"')
        raw = {"job_actions": [raw]}
    return raw


def _level(
    value: Mapping[str, Any],
    level: str,
    place: Place,
    modern: Modern,
    unset: set[str] | None = None,
) -> dict[str, Any]:
    index = _INDEX[level]
    result: dict[str, Any] = {}
    for key, item in value.items():
        name = key
        known = index.get(name)
        if known is None and "-" in key:
            name = key.replace("-", "_")
            known = index.get(name)
        today = INVERTED.get(name) if level == "freezer_action" else None
        if today is not None:
            known = index[today]
        if known is None:
            if not _dropped(name, item, level, (*place, key), modern):
                result[key] = item
            continue
        if item is None:
            continue
        here = (*place, known.name)
        if known.name != key:
            hint = f'write "{known.name}"' + (" with the opposite value" if today else "")
            modern.warn((*place, key), f'"{key}" is an old spelling', hint)
        new = _value(known, item, here, modern)
        if new is _NOT_SET:
            if unset is not None:
                unset.add(known.name)
            continue
        if today is not None and isinstance(new, bool):
            new = not new
        if known.name in result and result[known.name] != new:
            modern.errors.append(
                Problem(
                    json_path(here),
                    f"is given twice, with different values: {shown(result[known.name])}"
                    f" and {shown(new)}",
                    f'leave out "{key}"',
                )
            )
        result[known.name] = new
    return result


def _dropped(name: str, item: object, level: str, place: Place, modern: Modern) -> bool:
    """Whether an option that only freezer-agent knows can be left out without a difference."""
    if level not in ("freezer_action", "job"):
        return False
    empty = item is None or item is False or item in ("", -1)
    if name in UNSUPPORTED or name in SECRETS:
        return empty
    if name not in WITHOUT_EFFECT or (level == "job" and name != "user_credentials"):
        return False
    if not empty:
        modern.warn(
            place,
            "has no effect here and is left out",
            f'for a limit of ours write "{name}" {_BESIDE[name]}' if name in _BESIDE else "",
        )
    return True


_BESIDE = {"timeout": 'beside "freezer_action"', "priority": 'beside "job_actions"'}


def _value(known: Field, item: Any, place: Place, modern: Modern) -> Any:
    if known.fields:
        return _nested(known, item, place, modern)
    if known.type == "bool":
        return _switch(item, place, modern)
    if item == "" and isinstance(item, str):
        return _NOT_SET
    if item is False:
        modern.warn(place, "false is taken as 'not set'", "leave it out, or write null")
        return _NOT_SET
    if known.type == "str":
        if known.name == "status" and item == "completed":
            modern.warn(place, '"completed" is a word of Freezer\'s API', 'write "stop"')
            return "stop"
        text = _as_text(item)
        return _NOT_SET if known.form == "rate" and text in NO_LIMIT else text
    if known.type in ("int", "float"):
        return _number(known, item)
    if known.type == "dict":
        return _variables(item)
    if known.type == "list" and isinstance(item, (str, int)) and item is not True:
        item = [item]
    if isinstance(item, list):
        return [_as_text(each) for each in item] or _NOT_SET
    return _as_text(item)


def _variables(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    return {key: _as_text(each) for key, each in item.items() if each is not None} or _NOT_SET


def _nested(known: Field, item: Any, place: Place, modern: Modern) -> Any:
    if known.elements == "dict":
        if isinstance(item, dict):
            modern.warn(place, "is one object where a list belongs", "write it in [ ]")
            item = [item]
        if not isinstance(item, list):
            return item
        if known.fields == "job_action":
            return [
                _action(each, (*place, number), modern) if isinstance(each, dict) else each
                for number, each in enumerate(item)
            ]
        return [
            _level(each, known.fields, (*place, number), modern) if isinstance(each, dict) else each
            for number, each in enumerate(item)
        ] or _NOT_SET
    if not isinstance(item, dict):
        return item
    new = _level(item, known.fields, place, modern)
    return new if new or known.name == "job_schedule" else _NOT_SET


def _action(item: Mapping[str, Any], place: Place, modern: Modern) -> dict[str, Any]:
    unset: set[str] = set()
    options = next((item[key] for key in ("freezer_action", "freezer-action") if key in item), None)
    rest = {k: v for k, v in item.items() if k not in ("freezer_action", "freezer-action")}
    result = _level(rest, "job_action", place, modern)
    if isinstance(options, dict):
        result["freezer_action"] = _level(
            options, "freezer_action", (*place, "freezer_action"), modern, unset
        )
    elif options is not None:
        result["freezer_action"] = options
    modern.unset[int(place[-1])] = unset
    return result


def _switch(item: Any, place: Place, modern: Modern) -> Any:
    word = item.strip().lower() if isinstance(item, str) else item
    if word == "":
        return _NOT_SET
    if isinstance(word, str) and (word in _TRUE or word in _FALSE):
        value = word in _TRUE
        modern.warn(place, f"{shown(item)} is text", f"write {shown(value)} without quotes")
        return value
    if isinstance(item, int) and not isinstance(item, bool) and item in (0, 1):
        return bool(item)
    return item


def _as_text(item: Any) -> Any:
    """A number as the text that a person would write for it; anything else as it is."""
    if isinstance(item, bool) or not isinstance(item, (int, float)):
        return item
    return str(int(item)) if item == int(item) else repr(item)


def _number(known: Field, item: Any) -> Any:
    if isinstance(item, str):
        pattern = _WHOLE if known.type == "int" else _DECIMAL
        if not pattern.fullmatch(item):
            return item
        item = float(item) if "." in item else int(item)
    if isinstance(item, float) and math.isfinite(item) and item == int(item):
        return int(item)
    return item


def _schedule(schedule: dict[str, Any], modern: Modern) -> None:
    """Weekdays in the day-of-month field, as in Freezer's manual, which Freezer itself refuses."""
    days = schedule.get("schedule_day")
    if "schedule_day_of_week" not in schedule and isinstance(days, str) and _DAYS.fullmatch(days):
        schedule["schedule_day_of_week"] = schedule.pop("schedule_day")
        modern.warn(
            ("job_schedule", "schedule_day"),
            "holds days of the week",
            'write "schedule_day_of_week"',
        )


def _derive_job_id(document: dict[str, Any], modern: Modern) -> None:
    candidates = [("description", document.get("description"))]
    actions = document.get("job_actions")
    options = [
        action.get("freezer_action")
        for action in (actions if isinstance(actions, list) else [])
        if isinstance(action, dict)
    ]
    for each in (*options, document.get("action_defaults")):
        if isinstance(each, dict):
            candidates.append(("backup_name", each.get("backup_name")))
    for source, text in candidates:
        name = _slug(text) if isinstance(text, str) else ""
        if name:
            document["job_id"] = name
            modern.warn(("job_id",), f'is missing; "{name}" is taken from the {source}', "write it")
            return


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text[:512]).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9_.]+", "-", plain.lower()).strip("-.")[:64].rstrip("-.")
