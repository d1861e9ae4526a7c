# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One form for every spelling of one meaning: what is stored, compared and shown.

Today's names in the order of the field table; action_defaults merged into the actions; nothing
that says "not set"; one way to write a duration, an instant, a cron field and a number.  What a
run has left in the document is not part of it: see ``imported_facts``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from coldchain.core.instants import UTC, in_largest_unit, iso, parse_duration, parse_instant
from coldchain.core.rates import parse_rate, rate_text
from coldchain.document.fields import LEVELS, Field, fields_of
from coldchain.document.normalize import normalize
from coldchain.document.normalized import Normalized

_MADE_APART = frozenset({"action_defaults", "job_actions", "job_schedule"})
LEVEL_OPTIONS = ("max_level", "always_level", "restart_always_level")
STOP = "stop"

_RESULTS = ("success", "fail", "aborted")
_OFFSET = re.compile(r"(Z|z|[+-]\d{2}:?\d{2})$")
_CLOCK = re.compile(r"\d:\d{2}(:\d{2})?")


def canonical(document: object) -> dict[str, Any]:
    """The canonical form of a document that ``check`` accepts; always has job_schedule."""
    return canonical_of(normalize(document))


def canonical_of(modern: Normalized) -> dict[str, Any]:
    """The canonical form of a valid document that is already in today's spelling."""
    document = modern.document
    rest = {name: value for name, value in document.items() if name not in _MADE_APART}
    result = _level(rest, "job")
    options = iter(expanded(modern))
    result["job_actions"] = [
        _level({**action, "freezer_action": next(options)}, "job_action")
        for action in document["job_actions"]
    ]
    result["job_schedule"] = canonical_schedule(document.get("job_schedule", {}))
    return {field.name: result[field.name] for field in LEVELS["job"] if field.name in result}


def canonical_schedule(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical form of a job_schedule in today's spelling."""
    result = _level(schedule, "job_schedule")
    result.pop("status", None)
    if stopped(schedule):
        result["status"] = STOP
    return result


def expanded(modern: Normalized) -> list[dict[str, Any]]:
    """The options of each action with action_defaults filled in and what follows from them."""
    defaults = modern.document.get("action_defaults", {})
    result = []
    for number, action in enumerate(modern.document["job_actions"]):
        unset = modern.unset.get(number, set())
        filled = {name: value for name, value in defaults.items() if name not in unset}
        result.append(_complete(filled, action))
    return result


def _complete(defaults: Mapping[str, Any], action: object) -> dict[str, Any]:
    own = action.get("freezer_action") if isinstance(action, dict) else None
    options = {"action": "backup", **defaults, **(own or {})}
    if options.get("incremental") is False:
        # Horizon's form says so of every backup without levels.
        options = {k: v for k, v in options.items() if k not in LEVEL_OPTIONS or v != 0}
    if any(name in options for name in LEVEL_OPTIONS):
        options.setdefault("incremental", True)
    return options


def stopped(schedule: Mapping[str, Any]) -> bool:
    """Whether the document wants the job kept without running it.

    Only its status says so; Freezer's manual lets the event start outweigh that.
    """
    return schedule.get("status") == STOP and schedule.get("event") != "start"


def imported_facts(document: object) -> dict[str, Any]:
    """What earlier runs elsewhere have left in *document*.

    {"result": "success", "time_created": s, "time_started": s, "time_ended": s,
    "schedule_time": text}, each only where it says something; seconds since 1970.
    """
    modern = normalize(document).document
    schedule = modern.get("job_schedule", {}) if isinstance(modern, dict) else {}
    return facts_of(schedule) if isinstance(schedule, dict) else {}


def facts_of(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """What runs have left in a schedule, and what of it can be believed."""
    facts: dict[str, Any] = {}
    if schedule.get("result") in _RESULTS:
        facts["result"] = schedule["result"]
    for name in ("time_created", "time_started", "time_ended"):
        seconds = schedule.get(name)
        if isinstance(seconds, int) and not isinstance(seconds, bool) and seconds > 0:
            facts[name] = seconds
    if isinstance(schedule.get("schedule_time"), str):
        facts["schedule_time"] = schedule["schedule_time"]
    return facts


def difference(before: object, after: object, path: str = "") -> list[tuple[str, Any, Any]]:
    """(path, old, new) of every place that differs between two canonical documents.

    None stands for "not there".  path is like "job_actions[0].freezer_action.container".
    """
    return list(_differences(before, after, path))


def is_same(before: object, after: object) -> bool:
    """Whether two canonical documents have no difference."""
    # Mostly they are the same to the letter, which Python tells in a tenth of the time.
    return repr(before) == repr(after) or next(_differences(before, after, ""), None) is None


def _differences(before: Any, after: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _differences(
                before.get(key), after.get(key), f"{path}.{key}" if path else str(key)
            )
    elif isinstance(before, list) and isinstance(after, list) and _of_objects(before, after):
        for number in range(max(len(before), len(after))):
            yield from _differences(
                before[number] if number < len(before) else None,
                after[number] if number < len(after) else None,
                f"{path}[{number}]",
            )
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        yield path, before, after


def _of_objects(*lists: list[Any]) -> bool:
    return all(isinstance(item, dict) for items in lists for item in items)


def _level(value: Mapping[str, Any], level: str) -> dict[str, Any]:
    return {
        field.name: _normal(field, value[field.name])
        for field in fields_of(value, level)
        if not field.read_only
    }


def _normal(field: Field, value: Any) -> Any:
    if field.nested:
        if field.elements == "dict":
            return [_level(item, field.nested) for item in value if isinstance(item, dict)]
        return _level(value, field.nested)
    if field.format == "texts" and field.name == "exclude" and isinstance(value, str):
        return [value]
    if field.type == "dict":
        return dict(sorted(value.items()))
    normalise = _NORMAL.get(field.format)
    return normalise(value) if normalise and isinstance(value, str) else value


def _duration(text: str) -> str:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return text
    number, unit = in_largest_unit(seconds)
    return f"{number} {unit}"


def _rate(text: str) -> str:
    try:
        return rate_text(parse_rate(text))
    except ValueError:
        return text


def _interval(text: str) -> str:
    word = text.strip().lower()
    return word if word == "continuous" else _duration(text)


def _instant(text: str) -> str:
    """With an offset: the instant in UTC.  Without: the wall time, whose zone is told elsewhere."""
    text = text.strip()
    try:
        instant = parse_instant(text, UTC)
    except ValueError:
        return text
    if _OFFSET.search(text):
        return iso(instant)
    return instant.replace(tzinfo=None).isoformat()


@lru_cache(maxsize=1024)  # a host's jobs have few of them, again and again
def _cron(text: str) -> str:
    text = re.sub(r"\s*([,/-])\s*", r"\1", " ".join(text.lower().split()))
    return re.sub(r"(?<![0-9a-z:])0+(?=[0-9])", "", text)


def _clock(text: str) -> str:
    text = text.strip()
    return f"0{text}" if _CLOCK.fullmatch(text) else text


_NORMAL: Mapping[str, Callable[[str], str]] = {
    "duration": _duration,
    "interval": _interval,
    "instant": _instant,
    "cron": _cron,
    "rate": _rate,
    "clock": _clock,
    "zone": str.strip,
}
