# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents for property tests, drawn from the runner's own field table."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

from coldchain.document.fields import LEVELS, Field
from coldchain.document.freezer_options import UNSUPPORTED, WITHOUT_EFFECT
from coldchain.document.normalize import INVERTED

SCHEDULES = (
    {},
    {"schedule_date": "2027-03-28T02:30:00"},
    {"schedule_date": "2027-03-28 02:30:00+02:00"},
    {"schedule_interval": "90 minutes"},
    {"schedule_interval": "continuous"},
    {"schedule_interval": "1 days", "schedule_start_date": "2015-06-02T16:20:00"},
    {"schedule_month": "1-6, 9-12", "schedule_day": "mon, wed, fri", "schedule_hour": "03"},
    {"schedule_day": "last fri", "schedule_minute": 25},
    {"schedule_day_of_week": "mon-fri", "schedule_hour": "*/2", "schedule_splay": "30 minutes"},
    {
        "schedule_hour": 7,
        "blackout": [{"start": "8:00", "end": "18:00", "day_of_week": "0 - 4"}],
        "missed": {"run": "all", "max_age": 7200, "not_after": "6:00"},
        "dst": {"gap": "skip"},
        "schedule_timezone": "Europe/Berlin",
    },
)

ACTIONS = (
    {"action": "backup", "path_to_backup": "/srv", "backup_name": "srv", "max_level": 6},
    {"path_to_backup": "~/x", "exclude": "*.tmp", "consistency_check": True, "upload_limit": "1M"},
    {"action": "restore", "restore_abs_path": "/srv", "restore_from_date": "2026-01-01 10:00"},
    {"action": "exec", "command": ["/bin/true"], "environment": {"B": "1", "A": 2}},
    {"action": "exec", "command": "echo 'a b'", "user": "nobody", "working_directory": "/"},
    {"action": "admin", "remove_older_than": 30.5, "force": True},
    {"action": "info", "container": "c", "hostname": "h"},
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 70),
    st.floats(),
    st.text(st.characters(codec=None), max_size=12),
    st.sampled_from(
        ["", "0", "*/5", "mon", "1-6, 9-12", "last", "5 minutes", "2026-11-25T00:00:00Z", "/x"]
    ),
)
json_values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=8), inner, max_size=4),
    ),
    max_leaves=12,
)
_NAMES = sorted(
    {name for fields in LEVELS.values() for each in fields for name in (each.name, *each.aliases)}
    | set(INVERTED)
    | UNSUPPORTED
    | WITHOUT_EFFECT
    | {"job", "freezer-action"}
)
# Anything that has the keys of a document, at the right or the wrong place.
crooked = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(_NAMES), inner, max_size=6),
    ),
    max_leaves=25,
)


@st.composite
def actions(draw: st.DrawFn) -> dict[str, Any]:
    action: dict[str, Any] = {"freezer_action": copy.deepcopy(draw(st.sampled_from(ACTIONS)))}
    extras = {"mandatory": True, "max_retries": 3, "max_retries_interval": 5, "timeout": "2 hours"}
    for name in draw(st.sets(st.sampled_from(sorted(extras)))):
        action[name] = extras[name]
    return action


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Valid documents in today's spelling."""
    document: dict[str, Any] = {
        "job_id": draw(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,12}", fullmatch=True)),
        "job_actions": draw(st.lists(actions(), min_size=1, max_size=3)),
        "job_schedule": copy.deepcopy(draw(st.sampled_from(SCHEDULES))),
    }
    extras = {
        "description": "täglich",
        "lock": "disk",
        "priority": -3,
        "max_duration": 86400,
        "session_tag": 7,
        "action_defaults": {"container": "c", "hostname": "h", "dry_run": False},
    }
    for name in draw(st.sets(st.sampled_from(sorted(extras)))):
        document[name] = copy.deepcopy(extras[name])
    return document


def _spelling(draw: st.DrawFn, field: Field, value: Any) -> tuple[str, Any]:
    """A (key, value) pair that says the same."""
    names = [field.name, field.name.replace("_", "-"), *field.aliases]
    values: list[Any] = [value]
    if field.type == "bool":
        values += [str(value), str(value).lower(), "yes" if value else "no"]
    elif field.type in ("int", "float"):
        values += [str(value), float(value)]
    elif field.format == "rate":
        values += [1048576, "1024K", " 1m "]
    elif field.format == "cron" and isinstance(value, str):
        values += [f" {value.upper()}  "]
    elif field.name == "exclude" and isinstance(value, str):
        values += [[value]]
    return draw(st.sampled_from(names)), draw(st.sampled_from(values))


@st.composite
def respelled(draw: st.DrawFn, value: Any) -> dict[str, Any]:
    """The document *value* once more: other names, types and order, one meaning."""
    return _respelled(draw, value, "job")


# No strategy for each level and field: to make them took longer than to draw.
def _respelled(draw: st.DrawFn, value: Any, level: str) -> dict[str, Any]:
    pairs = []
    for field in LEVELS[level]:
        if field.name not in value:
            continue
        item = value[field.name]
        if field.elements == "dict":
            pairs.append((field.name, [_respelled(draw, each, field.nested) for each in item]))
        elif field.nested:
            pairs.append((field.name, _respelled(draw, item, field.nested)))
        elif field.name == "incremental" and draw(st.booleans()):
            pairs.append(("no_incremental", not item))
        else:
            pairs.append(_spelling(draw, field, item))
    pairs += [
        (field.name, None)
        for field in draw(st.sets(st.sampled_from(LEVELS[level]), max_size=2))
        if field.name not in value and field.name != "action_defaults"
    ]
    result = dict(draw(st.permutations(pairs)))
    return {"job": result} if level == "job" and draw(st.booleans()) else result


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """A valid document with one to three places overwritten."""
    document = draw(documents())
    for _ in range(draw(st.integers(1, 3))):
        here: Any = document
        while True:
            keys = list(here) if isinstance(here, dict) else list(range(len(here)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if not isinstance(here[key], (dict, list)) or draw(st.booleans()):
                here[key] = draw(st.one_of(json_values, crooked))
                break
            here = here[key]
    return document
