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

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from coldchain.core.errors import Problem
from coldchain.document.fields import LEVELS, Field
from coldchain.document.freezer_options import (
    IDENTITY,
    SECRETS,
    UNSUPPORTED,
    WITHOUT_EFFECT,
    says_nothing,
)
from coldchain.document.json_path import Place, json_path, shown
from coldchain.document.normalized import Normalized
from coldchain.document.value_forms import NOT_SET, is_null_as_text, normalize_value

# Old name -> today's name of the opposite; the sense was turned round in 2026.
INVERTED = {"no_incremental": "incremental"}

OLD_SPELLING = "is an old spelling"
_DAY = r"(?:mon|tue|wed|thu|fri|sat|sun)"
_DAYS = re.compile(rf"\s*{_DAY}(?:\s*[,-]\s*{_DAY})*\s*", re.IGNORECASE)
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
        opposite = INVERTED.get(name) if level == "freezer_action" else None
        if opposite is not None:
            field = index[opposite]
        if field is None:
            if not _dropped(name, item, level, (*place, key), modern):
                result[key] = item
            continue
        here = (*place, field.name)
        if item is None or is_null_as_text(field, item, here, modern):
            if level == "job_schedule":
                modern.empty_times.add(field.name)
            continue
        if field.name != key:
            hint = f'write "{field.name}"' + (" with the opposite value" if opposite else "")
            modern.warn((*place, key), f'"{key}" {OLD_SPELLING}', hint)
        convert = _nested if field.nested else normalize_value
        new = convert(field, item, here, modern)
        if new is NOT_SET:
            if unset is not None:
                unset.add(field.name)
            if level == "job_schedule":
                modern.empty_times.add(field.name)
            continue
        if opposite is not None and isinstance(new, bool):
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
_BESIDE = {"timeout": 'beside "freezer_action"', "priority": 'beside "job_actions"'}


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
        ] or NOT_SET
    if not isinstance(item, dict):
        return item
    new = _level(item, field.nested, place, modern)
    return new if new or field.name == "job_schedule" else NOT_SET


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
