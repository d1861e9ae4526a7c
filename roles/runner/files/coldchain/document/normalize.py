# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From any spelling of a job document to today's, with a warning for what is old.

Understood are the names of every Freezer release, dashes for underscores, the ``{"job": ...}``
wrapper, a single action where a list belongs, numbers as text and text as numbers, and JSON
null and false for "not set" (Freezer makes the text "False" of the latter); such words as text
where no text belongs.  What is not understood stays as it is: the schema and the rules have the
messages for it.
"""

from __future__ import annotations

import dataclasses
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coldchain.core.errors import Problem
from coldchain.core.rates import NO_LIMIT
from coldchain.document.fields import LEVELS, Field
from coldchain.document.freezer_options import (
    IDENTITY,
    SECRETS,
    UNSUPPORTED,
    WITHOUT_EFFECT,
    says_nothing,
)
from coldchain.document.json_path import Place, json_path, shown

# Old name -> today's name of the opposite; the sense was turned round in 2026.
INVERTED = {"no_incremental": "incremental"}

OLD_SPELLING = "is an old spelling"
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_NULL = frozenset({"none", "null"})
_WHOLE = re.compile(r"\s*([+-]?[0-9]{1,18})(?:\.0{0,18})?\s*")
_DECIMAL = re.compile(r"\s*[+-]?[0-9]{1,18}(\.[0-9]{0,18})?\s*")
_DAY = r"(?:mon|tue|wed|thu|fri|sat|sun)"
_DAYS = re.compile(rf"\s*{_DAY}(?:\s*[,-]\s*{_DAY})*\s*", re.IGNORECASE)
_NOT_SET = object()
# Fields of an action for which somebody may have chosen a word that YAML takes for false; in all
# others false is Freezer's way to say nothing.
OWN_WORDS = frozenset({"backup_name", "container", "path_to_backup", "command", "user"})
_OF_CLIENTS = {"client", "client_id", "hostname", "description", "config_id", "supported_actions"}
_SHOWN = {"job", "progress", "stopped_by"}

_INDEX: dict[str, dict[str, Field]] = {
    level: {name: field for field in fields for name in (field.name, *field.aliases)}
    for level, fields in LEVELS.items()
}
JOB_ID = ("job_id", "job-id")
OPTIONS_HOLDERS = frozenset({"freezer_action", "freezer-action"})
_ACTIONS_HOLDERS = frozenset({"job_actions", "job-actions", "job_action", "job-action"})
# Whoever writes one of these does not mean a bare freezer_action.
_OF_JOBS = frozenset({"job_schedule", "job-schedule", "action_defaults", "action-defaults"})


@dataclass
class Normalized:
    """A document in today's spelling.

    unset: for each action, the options that it says are not set, so that action_defaults do not
    fill them; errors: contradictions that only the original spelling shows; empty_times: the
    fields of job_schedule that are there without a value; action: it was an action and no job.
    """

    document: Any = None
    warnings: list[Problem] = dataclasses.field(default_factory=list)
    errors: list[Problem] = dataclasses.field(default_factory=list)
    unset: dict[int, set[str]] = dataclasses.field(default_factory=dict)
    empty_times: set[str] = dataclasses.field(default_factory=set)
    action: bool = False

    def warn(self, place: Place, message: str, hint: str = "") -> None:
        """Add a warning about *place*; hint: what to write instead."""
        self.warnings.append(Problem(json_path(place), message, hint))


def normalize(raw: object) -> Normalized:
    """*raw* in today's spelling; *raw* itself is left alone."""
    modern = Normalized()
    document = _unwrap(raw, modern)
    if isinstance(document, dict):
        document = _level(document, "job", (), modern)
        schedule = document.get("job_schedule")
        if isinstance(schedule, dict):
            _schedule(schedule, modern)
        if "job_id" not in document and not modern.action:
            _derive_job_id(document, modern)
    modern.document = document
    return modern


def _unwrap(raw: object, modern: Normalized) -> object:
    # Beside the document of a job coldchain show prints what its run does and what stops it.
    if isinstance(raw, dict) and isinstance(raw.get("job"), dict) and raw.keys() <= _SHOWN:
        raw = raw["job"]
        modern.warn((), 'the {"job": ...} wrapper is an old form', "write the document itself")
    if isinstance(raw, dict) and not raw.keys() & _ACTIONS_HOLDERS:
        if _is_of_options(raw):
            name = {key: raw[key] for key in JOB_ID if key in raw}
            raw = {**name, "freezer_action": {k: v for k, v in raw.items() if k not in name}}
        if raw.keys() & OPTIONS_HOLDERS:
            modern.action = True
            modern.warn((), "an action is taken as a job of this one action", 'write "job_actions"')
            beside = {key: value for key, value in raw.items() if not _of_an_action(key)}
            action = {key: value for key, value in raw.items() if key not in beside}
            raw = {**beside, "job_actions": [action]}
    return raw


def kind_of(item: Mapping[str, Any]) -> str:
    """What Freezer has that object for: "job", "action", "session", "client", or "" for none."""
    if item.keys() & _ACTIONS_HOLDERS:
        return "job"
    if item.keys() & OPTIONS_HOLDERS:
        return "action"
    if "session_id" in item and ("jobs" in item or "schedule" in item):
        return "session"
    names = item.keys() - {"user_id", "project_id", "uuid", "_version"}
    if isinstance(item.get("client"), dict) or {"client_id", "hostname"} <= names <= _OF_CLIENTS:
        return "client"
    return "action" if "client_id" not in item and _is_of_options(item) else ""


def own_name(item: Mapping[str, Any]) -> Any:
    """The job_id of a raw document in either spelling, whatever it is; None when it has none."""
    return next((item[key] for key in JOB_ID if item.get(key) is not None), None)


def option(name: str) -> Field | None:
    """The field of a freezer_action that *name* means in any of its spellings."""
    return _INDEX["freezer_action"].get(INVERTED.get(name, name))


def _is_of_options(item: Mapping[str, Any]) -> bool:
    """Whether it is a bare freezer_action, and neither a job nor an action around one."""
    other = _ACTIONS_HOLDERS | OPTIONS_HOLDERS | _OF_JOBS
    return not item.keys() & other and any(_only_an_option(key) for key in item)


def _only_an_option(key: object) -> bool:
    """Whether *key* is an option of freezer-agent and no field of a job."""
    name = str(key).replace("-", "_")
    return name in _INDEX["freezer_action"] and name not in _INDEX["job"]


def _of_an_action(key: object) -> bool:
    name = str(key).replace("-", "_")
    return name == "action_id" or (name in _INDEX["job_action"] and name not in _INDEX["job"])


def _level(
    value: Mapping[str, Any],
    level: str,
    place: Place,
    modern: Normalized,
    unset: set[str] | None = None,
) -> dict[str, Any]:
    index = _INDEX[level]
    result: dict[str, Any] = {}
    for key, item in value.items():
        name = key
        field = index.get(name)
        if field is None and "-" in key:
            name = key.replace("-", "_")
            field = index.get(name)
        today = INVERTED.get(name) if level == "freezer_action" else None
        if today is not None:
            field = index[today]
        if field is None:
            if not _dropped(name, item, level, (*place, key), modern):
                result[key] = item
            continue
        here = (*place, field.name)
        if item is None or _null_as_text(field, item, here, modern):
            if level == "job_schedule":
                modern.empty_times.add(field.name)
            continue
        if field.name != key:
            hint = f'write "{field.name}"' + (" with the opposite value" if today else "")
            modern.warn((*place, key), f'"{key}" {OLD_SPELLING}', hint)
        new = _value(field, item, here, modern)
        if new is _NOT_SET:
            if unset is not None:
                unset.add(field.name)
            if level == "job_schedule":
                modern.empty_times.add(field.name)
            continue
        if today is not None and isinstance(new, bool):
            new = not new
        if field.name in result and result[field.name] != new:
            modern.errors.append(
                Problem(
                    json_path(here),
                    f"is given twice, with different values: {shown(result[field.name])}"
                    f" and {shown(new)}",
                    f'leave out "{key}"',
                )
            )
        result[field.name] = new
    return result


def _dropped(name: str, item: object, level: str, place: Place, modern: Normalized) -> bool:
    """Whether an option that only freezer-agent knows can be left out without a difference."""
    empty = says_nothing(name, item)
    if name in IDENTITY and level in ("freezer_action", "job_action"):
        if not empty:
            modern.warn(place, "is of Freezer's own database and is left out")
        return True
    if level == "job":
        return name == "user_credentials"
    if level != "freezer_action":
        return False
    if name in UNSUPPORTED or name in SECRETS:
        return empty
    if name not in WITHOUT_EFFECT:
        return False
    if not empty:
        modern.warn(
            place,
            "has no effect here and is left out",
            f'for a limit of ours write "{name}" {_BESIDE[name]}' if name in _BESIDE else "",
        )
    return True


_RULES = ("max_retries", "max_retries_interval", "mandatory")
_STOP = 'leave it out; only "stop" stops a job'
_BESIDE = {"timeout": 'beside "freezer_action"', "priority": 'beside "job_actions"'}


def _value(field: Field, item: Any, place: Place, modern: Normalized) -> Any:
    if field.nested:
        return _nested(field, item, place, modern)
    if field.type == "bool":
        switch = _switch(item, place, modern)
        # Unlike any other switch it is a schedule, and without it there is none.
        return _NOT_SET if field.name == "schedule_boot" and switch is False else switch
    blank = place[0] == "job_schedule" or field.type in ("int", "float")
    if isinstance(item, str) and (item == "" or (blank and item.isspace())):
        return _NOT_SET
    if field.name == "dereference_symlink" and str(item).strip().lower() == "true":
        modern.warn(place, "true means links of both kinds, as in Horizon's form", 'write "all"')
        return "all"
    if item is False:
        if place[-2:-1] != ("freezer_action",) or field.name in OWN_WORDS:
            hint = "leave it out, or write null; YAML takes no and off for false: quote a text"
            modern.warn(place, "false is taken as 'not set'", hint)
        return _NOT_SET
    if field.type == "str":
        if field.name == "status" and item in ("completed", "running", "aborting", "aborted"):
            modern.warn(
                place, f'"{item}" is a fact of Freezer\'s API and counts as scheduled', _STOP
            )
            return "scheduled"
        text = _as_text(item)
        return _NOT_SET if field.format == "rate" and text in NO_LIMIT else text
    if field.type in ("int", "float"):
        return _number(field, item, place, modern)
    if field.type == "dict":
        return _variables(item)
    if field.type == "list" and isinstance(item, (str, int)) and item is not True:
        item = [item]
    if isinstance(item, list):
        return [_as_text(element) for element in item] or _NOT_SET
    return _as_text(item)


def _variables(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    return {
        key: _as_text(element) for key, element in item.items() if element is not None
    } or _NOT_SET


def _nested(field: Field, item: Any, place: Place, modern: Normalized) -> Any:
    if field.elements == "dict":
        if isinstance(item, dict):
            modern.warn(place, "is one object where a list belongs", "write it in [ ]")
            item = [item]
        if not isinstance(item, list):
            return item
        if field.nested == "job_action":
            return [
                _action(element, (*place, number), modern) if isinstance(element, dict) else element
                for number, element in enumerate(item)
            ]
        return [
            _level(element, field.nested, (*place, number), modern)
            if isinstance(element, dict)
            else element
            for number, element in enumerate(item)
        ] or _NOT_SET
    if not isinstance(item, dict):
        return item
    new = _level(item, field.nested, place, modern)
    return new if new or field.name == "job_schedule" else _NOT_SET


def _action(item: Mapping[str, Any], place: Place, modern: Normalized) -> dict[str, Any]:
    unset: set[str] = set()
    options = next((item[key] for key in ("freezer_action", "freezer-action") if key in item), None)
    rest = {k: v for k, v in item.items() if k not in ("freezer_action", "freezer-action")}
    result = _level(rest, "job_action", place, modern)
    if isinstance(options, dict):
        options = _without_rules(options, rest, (*place, "freezer_action"), modern)
        result["freezer_action"] = _level(
            options, "freezer_action", (*place, "freezer_action"), modern, unset
        )
    elif options is not None:
        result["freezer_action"] = options
    modern.unset[int(place[-1])] = unset
    return result


def _without_rules(
    options: Mapping[str, Any], rest: Mapping[str, Any], place: Place, modern: Normalized
) -> dict[str, Any]:
    """*options* without what stands beside them just so: Horizon sends the fields of its form for
    max_retries, max_retries_interval and mandatory in both places when an action is edited."""
    kept = {}
    for key, item in options.items():
        if key in _RULES and key in rest and rest[key] == item:
            modern.warn((*place, key), 'stands beside "freezer_action" as well and is left out')
        else:
            kept[key] = item
    return kept


def switch_of(word: str) -> bool | None:
    """What a word says about a switch; None when it says nothing."""
    plain = word.strip().lower()
    return plain in _TRUE if plain in _TRUE or plain in _FALSE else None


def _switch(item: Any, place: Place, modern: Normalized) -> Any:
    if isinstance(item, str):
        value = switch_of(item)
        if value is not None:
            modern.warn(place, f"{shown(item)} is text", f"write {shown(value)} without quotes")
            return value
        return item if item.strip() else _NOT_SET
    if isinstance(item, int) and not isinstance(item, bool) and item in (0, 1):
        return bool(item)
    return item


def _as_text(item: Any) -> Any:
    """A number as the text that a person would write for it; anything else as it is."""
    if isinstance(item, bool) or not isinstance(item, (int, float)):
        return item
    return str(int(item)) if item == int(item) else repr(item)


def _null_as_text(field: Field, item: Any, place: Place, modern: Normalized) -> bool:
    """Whether *item* is null as text, where a text cannot be meant; the name of a job may be so."""
    if field.type not in ("bool", "int", "float") or not isinstance(item, str):
        return False
    null = item.strip().lower() in _NULL
    if null:
        modern.warn(place, f"{shown(item)} is text", "leave it out, or write null")
    return null


def _number(field: Field, item: Any, place: Place, modern: Normalized) -> Any:
    if isinstance(item, str):
        if item.strip().lower() == "false":  # Freezer's default of several numbers, as text
            modern.warn(
                place, f"{shown(item)} is taken as 'not set'", "leave it out, or write null"
            )
            return _NOT_SET
        whole = _WHOLE.fullmatch(item)
        if whole:
            return int(whole[1])
        if field.type == "int" or not _DECIMAL.fullmatch(item):
            return item
        item = float(item)
    if isinstance(item, float) and math.isfinite(item) and item == int(item):
        return int(item)
    return item


def _schedule(schedule: dict[str, Any], modern: Normalized) -> None:
    """Weekdays in the day-of-month field, as in Freezer's manual, which Freezer itself refuses."""
    days = schedule.get("schedule_day")
    if "schedule_day_of_week" not in schedule and isinstance(days, str) and _DAYS.fullmatch(days):
        schedule["schedule_day_of_week"] = schedule.pop("schedule_day")
        modern.warn(
            ("job_schedule", "schedule_day"),
            "holds days of the week",
            'write "schedule_day_of_week"',
        )


def _derive_job_id(document: dict[str, Any], modern: Normalized) -> None:
    candidates = [("description", document.get("description"))]
    actions = document.get("job_actions")
    options = [
        action.get("freezer_action")
        for action in (actions if isinstance(actions, list) else [])
        if isinstance(action, dict)
    ]
    for element in (*options, document.get("action_defaults")):
        if isinstance(element, dict):
            candidates.append(("backup_name", element.get("backup_name")))
    for source, text in candidates:
        name = _slug(text) if isinstance(text, str) else ""
        if name:
            document["job_id"] = name
            modern.warn(("job_id",), f'is missing; "{name}" is taken from the {source}', "write it")
            return


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text[:512]).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9_.]+", "-", plain.lower()).strip("-.")[:64].rstrip("-.")
