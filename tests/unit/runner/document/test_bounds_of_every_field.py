# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every field at its bounds: the last value that is taken, the first that is not, and its remedy.

What a field takes is read from the table of fields, which the generated reference holds in place.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from coldchain.cli.vocabulary import vocabulary
from coldchain.document import Context, canonical, check, difference
from coldchain.document.checking import MOST_PROBLEMS, Checked
from coldchain.document.fields import LEVELS, Field, choices_of
from coldchain.document.json_path import shown
from coldchain.document.value_rules import LONGEST_DURATION

CONTEXT = Context(None, timezone.utc, datetime(2026, 11, 25, tzinfo=timezone.utc), vocabulary())
BACKUP = {"action": "backup", "path_to_backup": "/srv", "backup_name": "srv"}
NIGHTLY = {"schedule_hour": 3}
WINDOW = {"start": "02:00", "end": "03:00"}
#: Of the whole document, and of what it holds at each level: where it lies, what has to be there.
PLACES: dict[str, tuple[str, dict[str, Any]]] = {
    "job": ("$", {"job_id": "j", "job_schedule": NIGHTLY}),
    "job_schedule": ("$.job_schedule", NIGHTLY),
    "guard": ("$.guard", {}),
    "missed": ("$.job_schedule.missed", {}),
    "dst": ("$.job_schedule.dst", {}),
    "blackout": ("$.job_schedule.blackout[0]", WINDOW),
    "notify": ("$.notify[0]", {"type": "mail", "to": "root"}),
    "job_action": ("$.job_actions[0]", {"freezer_action": BACKUP}),
    "freezer_action": ("$.job_actions[0].freezer_action", BACKUP),
}


def document(level: str, fields: dict[str, Any]) -> dict[str, Any]:
    """A document that is sound but for *fields*, which stand at *level*."""
    part = {**PLACES[level][1], **fields}
    job: dict[str, Any] = {"job_id": "j", "job_actions": [{"freezer_action": BACKUP}]}
    if level == "job":
        return {**job, **part}
    if level in ("guard", "job_schedule"):
        return {**job, level: part}
    if level == "notify":
        return {**job, "notify": [part]}
    if level == "job_action":
        return {**job, "job_actions": [part]}
    if level == "freezer_action":
        return {**job, "job_actions": [{"freezer_action": part}]}
    schedule = {**NIGHTLY, level: [part] if level == "blackout" else part}
    return {**job, "job_schedule": schedule}


def judged(level: str, field: Field, value: Any) -> Checked:
    return check(document(level, {field.name: value}), CONTEXT)


def told(checked: Checked) -> list[tuple[str, str, str]]:
    return [(problem.path, problem.message, problem.hint) for problem in checked.errors]


def fields(**wanted: str) -> list[Any]:
    """Level and field of each that has these properties."""
    return [
        pytest.param(level, field, id=f"{level}.{field.name}")
        for level, all_fields in LEVELS.items()
        for field in all_fields
        if all(getattr(field, name) == value for name, value in wanted.items())
    ]


BOUNDED = [item for item in fields() if item.values[1].maximum is not None]


@pytest.mark.parametrize(("level", "field"), BOUNDED)
def test_a_number_at_its_bounds(level: str, field: Field) -> None:
    place = f"{PLACES[level][0]}.{field.name}"
    least, most = field.minimum, field.maximum
    assert least is not None and most is not None
    for number in (least, most, str(least), f" {most} ", float(most), f"{most}.0"):
        checked = judged(level, field, number)
        assert checked.errors == [], number
        assert checked.document == canonical(document(level, {field.name: int(float(number))}))
    for number in (least - 1, str(least - 1)):
        assert told(judged(level, field, number)) == [
            (place, f"{least - 1} is too small", f"at least {least}")
        ]
    for number in (most + 1, str(most + 1)):
        assert told(judged(level, field, number)) == [
            (place, f"{most + 1} is too large", f"at most {most}")
        ]
    between = least + 0.5
    words = "" if field.type == "float" else f"{between} is not a whole number"
    assert [message for _path, message, _hint in told(judged(level, field, between))] == (
        [words] if words else []
    )
    long = "1" * 19  # no number of ours has so many digits
    kind = "a number" if field.type == "float" else "a whole number"
    assert told(judged(level, field, long)) == [(place, f'"{long}" is not {kind}', f"write {kind}")]


@pytest.mark.parametrize(("level", "field"), fields(format="name"))
def test_a_name_at_its_bounds(level: str, field: Field) -> None:
    place = f"{PLACES[level][0]}.{field.name}"
    for name in ("a", "_", "0", "a.b-c_d", "x" * 128, "None"):
        assert judged(level, field, name).errors == [], name
    for name in ("x" * 129, ".a", "-a", "a b", "a/b", "a\n", "\u00e4"):
        hint = "write letters, digits and . _ - (at most 128, the first one no dot or dash)"
        assert told(judged(level, field, name)) == [(place, f"{shown(name)} is no name", hint)]


@pytest.mark.parametrize(
    ("level", "field"),
    [item for item in fields(format="duration") if item.values[0] in ("job", "job_action")],
)
def test_a_duration_at_its_bounds(level: str, field: Field) -> None:
    place = f"{PLACES[level][0]}.{field.name}"
    for text in (LONGEST_DURATION, f"{LONGEST_DURATION} seconds", 1, "1 seconds"):
        assert judged(level, field, text).errors == [], text
    more = LONGEST_DURATION + 1
    assert told(judged(level, field, more)) == [
        (place, f'"{more}" is more than a century', "write a shorter one")
    ]
    assert told(judged(level, field, "0 hours")) == [
        (place, "leaves no time at all", "leave it out, or write a longer one")
    ]
    assert told(judged(level, field, "two moons")) == [
        (place, '"two moons" is no duration', 'write it as "30 minutes"')
    ]


def test_a_century_is_what_a_duration_may_be() -> None:
    assert LONGEST_DURATION == 100 * 365.25 * 86400


@pytest.mark.parametrize(("level", "field"), fields(format="path"))
def test_a_path_is_absolute(level: str, field: Field) -> None:
    for path in ("/", "/a b", "~/a", "~root/a"):
        assert judged(level, field, path).errors == [], path
    for path in ("a", "./a", " /a"):
        assert told(judged(level, field, path)) == [
            (
                f"{PLACES[level][0]}.{field.name}",
                f'"{path}" is no absolute path',
                "start it with /",
            )
        ]


@pytest.mark.parametrize(
    ("level", "field"),
    [item for item in fields() if choices_of(item.values[1], vocabulary())],
)
def test_a_choice_that_there_is_not(level: str, field: Field) -> None:
    choices = [*choices_of(field, vocabulary()), *field.accepts]
    element = "[0]" if field.type == "list" else ""
    (problem,) = judged(level, field, ["no-such"] if element else "no-such").errors
    assert problem.path == f"{PLACES[level][0]}.{field.name}{element}"
    assert problem.message == '"no-such" is not supported'
    assert problem.hint == f"supported: {', '.join(filter(None, choices))}"


#: For each kind of field a value of another kind, and what is said of that.
OTHERS: dict[str, tuple[Any, str]] = {
    "bool": ("maybe", '"maybe" is not true or false'),
    "int": ("many", '"many" is not a whole number'),
    "float": ("many", '"many" is not a number'),
    "str": ({"a": "b"}, "an object is not text"),
    "number too": ({"a": "b"}, "an object is not text or a whole number"),
    "raw": ({"a": "b"}, "an object is not text or a list"),
    "list": ({"a": "b"}, "an object is not a list"),
    "dict": ("text", '"text" is not an object'),
}


@pytest.mark.parametrize(
    ("level", "field"),
    [item for item in fields(elements="") if not choices_of(item.values[1], vocabulary())],
)
def test_a_value_of_another_kind(level: str, field: Field) -> None:
    number_too = field.format in ("cron", "duration", "interval", "rate")
    value, words = OTHERS["number too" if number_too else field.type]
    (problem,) = judged(level, field, value).errors
    assert problem.path == f"{PLACES[level][0]}.{field.name}"
    assert problem.message == words
    assert problem.hint == f"write {words.partition(' is not ')[2]}"


# -- what each kind of field makes of words and numbers --------------------------------------------

TEXT = "is text"
NOT_SET = "is taken as 'not set'"
STEP, OPTION = "job_action", "freezer_action"


@pytest.mark.parametrize(
    ("level", "name", "given", "means", "warned"),
    [
        *((STEP, "mandatory", word, True, TEXT) for word in ("true", "YES", " on ", "1")),
        *((STEP, "mandatory", word, False, TEXT) for word in ("false", "No", " off ", "0")),
        *((STEP, "mandatory", value, bool(value), "") for value in (0, 1, True, False)),
        *((STEP, "mandatory", value, None, "") for value in ("", "  ", None)),
        *((STEP, "mandatory", word, None, TEXT) for word in ("None", " null ")),
        *((STEP, "max_retries", value, 7, "") for value in (7, 7.0, "7", "+7", " 7.00 ", "07")),
        *((STEP, "max_retries", value, None, "") for value in ("", " ", None)),
        *((STEP, "max_retries", word, None, TEXT) for word in ("null", "NONE")),
        (STEP, "max_retries", False, None, "false is taken as 'not set'"),
        (STEP, "max_retries", "False", None, NOT_SET),
        *((STEP, "retry_backoff", value, 1.5, "") for value in (1.5, "1.5", " +1.50")),
        *((STEP, "retry_backoff", value, 2, "") for value in (2, 2.0, "2", "2.")),
        *((OPTION, "hostname", value, "5", "") for value in (5, 5.0, "5")),
        (OPTION, "hostname", 5.5, "5.5", ""),
        (OPTION, "hostname", " ", " ", ""),
        (OPTION, "hostname", "null", "null", ""),
        *((OPTION, "hostname", value, None, "") for value in ("", None, False)),
        (OPTION, "container", False, None, "false is taken as 'not set'"),
        (OPTION, "user", "", None, "is empty: the command runs as whoever the runner is"),
        ("job", "lock", "", None, "is empty: nothing keeps the job from running beside others"),
        ("job", "description", False, None, "false is taken as 'not set'"),
        ("job_schedule", "schedule_minute", " ", None, ""),
        (OPTION, "exclude", "*.log", ["*.log"], ""),
        (OPTION, "exclude", 5, ["5"], ""),
        (OPTION, "exclude", ["a", 5, 5.0], ["a", "5", "5"], ""),
        (OPTION, "exclude", [], None, ""),
        (OPTION, "upload_limit", -1, None, ""),
        (OPTION, "upload_limit", "0", None, ""),
        (OPTION, "dereference_symlink", " True ", "all", "true means links of both kinds"),
    ],
)
def test_what_a_value_means(level: str, name: str, given: Any, means: Any, warned: str) -> None:
    checked = check(document(level, {name: given}), CONTEXT)
    assert checked.errors == []
    part: Any = checked.document
    for step in {"job": (), "job_schedule": ("job_schedule",)}.get(level, ("job_actions", 0)):
        part = part[step]
    part = part[OPTION] if level == OPTION else part
    assert part.get(name) == means and (name in part) == (means is not None)
    assert not isinstance(means, bool) or isinstance(part[name], bool)
    place = f"{PLACES[level][0]}.{name}"
    own = [problem for problem in checked.warnings if problem.path == place]
    idle = "has no effect"  # of what goes with it, which is not in the document
    words = [problem.message for problem in own if idle not in problem.message]
    assert len(words) == bool(warned) and warned in "".join(words)


def test_a_decimal_for_a_program_is_warned_of() -> None:
    """In YAML, version 1.10 without quotes is the number 1.1, and a variable is not shown."""
    action = {"action": "exec", "command": ["x", 1.1, 5, "1.10"], "environment": {"A": 1.1, "B": 2}}
    checked = check({"job_id": "j", "job_actions": [{OPTION: action}]}, CONTEXT)
    assert checked.document is not None
    place = "$.job_actions[0].freezer_action"
    assert [(problem.path, problem.message) for problem in checked.warnings] == [
        (f"{place}.command[1]", "is a number, whose last zeros are gone"),
        (f"{place}.environment.A", "is a number, whose last zeros are gone"),
    ]


# -- where something is cut -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("description", "job_id"),
    [
        ("x" * 64, "x" * 64),
        ("x" * 65, "x" * 64),
        ("x" * 63 + " y", "x" * 63),
        ("!" * 511 + "x", "x"),
        ("!" * 512 + "x", "srv"),
        ("-.a.-", "a"),
        ("\u00c4 B_c.9", "a-b_c.9"),
    ],
)
def test_a_name_that_is_made_of_a_description(description: str, job_id: str) -> None:
    raw = {"description": description, "job_actions": [{"freezer_action": BACKUP}]}
    checked = check(raw, CONTEXT)
    assert checked.document is not None and checked.document["job_id"] == job_id


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x" * 60, f'"{"x" * 60}"'),
        ("x" * 61, f'"{"x" * 59}...'),
        (2**200 - 1, str(2**200 - 1)),
        (2**200, "a number of more than 60 digits"),
        ([], "a list"),
        ((1,), "a list"),
        ({}, "an object"),
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        (b"x", "a bytes"),
    ],
)
def test_a_value_as_it_is_quoted(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    ("mistakes", "listed"),
    [
        (MOST_PROBLEMS - 1, MOST_PROBLEMS - 1),
        (MOST_PROBLEMS, MOST_PROBLEMS + 1),
        (5 * MOST_PROBLEMS, MOST_PROBLEMS + 1),
    ],
)
def test_so_many_problems_are_told(mistakes: int, listed: int) -> None:
    raw = document("job", {f"zz{number}": 1 for number in range(mistakes)})
    errors = check(raw, CONTEXT).errors
    assert len(errors) == listed
    more = "has more than 200 problems; these are the first"
    assert (errors[-1].message == more) == (listed > mistakes or mistakes > MOST_PROBLEMS)


@pytest.mark.parametrize(
    ("level", "name", "hint"),
    [
        ("job_schedule", "weekday", "did you mean schedule_day_of_week?"),
        ("job_schedule", "cron_dow", "did you mean schedule_day_of_week?"),
        ("job_schedule", "day_of_the_week", "did you mean schedule_day_of_week?"),
        ("job_schedule", "window", ""),
        ("job_schedule", "schedule_hours", "did you mean schedule_hour?"),
        ("job", "retry_backoff", '"retry_backoff" belongs beside "freezer_action"'),
        ("job", "path_to_backup", '"path_to_backup" belongs into freezer_action'),
        ("job_action", "schedule_hour", '"schedule_hour" belongs into job_schedule'),
        ("freezer_action", "lock", '"lock" belongs beside "job_actions"'),
        ("freezer_action", "exit_status", ""),
        ("missed", "zzz", "known: run, max_age, not_after"),
        ("blackout", "until", "known: start, end, day_of_week, timezone"),
        ("guard", "zzz", ""),
    ],
)
def test_what_is_said_of_a_field_that_there_is_not(level: str, name: str, hint: str) -> None:
    (problem,) = check(document(level, {name: "1"}), CONTEXT).errors
    assert (problem.path, problem.message) == (f"{PLACES[level][0]}.{name}", "is unknown")
    assert problem.hint == hint


YEAR = 31_536_000


@pytest.mark.parametrize(
    ("retries", "interval", "backoff", "refused"),
    [
        (2, YEAR // 1000 - 1, 1000, False),  # the last wait is of so many seconds: 1000 times that
        (2, YEAR // 1000 + 1, 1000, True),
        (1, YEAR, 1000, False),  # one wait only, which nothing has made longer yet
        (3, 31, 1000, False),
        (3, 32, 1000, True),
        (10_000, YEAR, 1, False),
        (10_000, 0, 1000, False),
        (22, None, 2, True),  # of 60 seconds
        (20, None, 2, False),
    ],
)
def test_no_wait_between_attempts_is_longer_than_a_year(
    retries: int, interval: int | None, backoff: int, refused: bool
) -> None:
    fields = {"max_retries": retries, "retry_backoff": backoff, "max_retries_interval": interval}
    text = f"{backoff} makes the last of {retries} waits longer than a year"
    hint = "write a smaller retry_backoff or max_retries"
    expected = [("$.job_actions[0].retry_backoff", text, hint)] if refused else []
    assert told(check(document("job_action", fields), CONTEXT)) == expected


@pytest.mark.parametrize(
    ("client", "sound"),
    [
        ("host1", True),
        ("a" * 32 + "_host1", True),
        ("0123456789ABCDEFabcdef0123456789_host1", True),
        ("a" * 31 + "_host1", False),
        ("a" * 33 + "_host1", False),
        ("g" * 32 + "_host1", False),
        ("a" * 32 + "_host2", False),
        ("a" * 32 + "_", False),
        ("Host1", False),
    ],
)
def test_which_client_a_host_is(client: str, sound: bool) -> None:
    own = Context("host1", timezone.utc, CONTEXT.now, vocabulary())
    place = "$.client_id"
    text = f'the document is for {shown(client)}, this host is "host1"'
    hint = "leave client_id out, or set client_id in the host's settings"
    assert told(check(document("job", {"client_id": client}), own)) == (
        [] if sound else [(place, text, hint)]
    )


@pytest.mark.parametrize(
    ("name", "sound"),
    [
        *(("a", True), ("a/b", True), ("0", True), ("0/a1", True), ("a/1a", True), ("...", True)),
        *(("a/1", False), ("a/b/007", False), ("/a", False), ("a/", False), ("a//b", False)),
        *((".", False), ("..", False), ("a/..", False), ("a/./b", False)),
    ],
)
@pytest.mark.parametrize("field", ["backup_name", "hostname"])
def test_a_name_that_is_a_directory_of_a_container(field: str, name: str, sound: bool) -> None:
    place = f"{PLACES[OPTION][0]}.{field}"
    text = f'"{name}" cannot name a directory of a container'
    hint = "write it without .. and without empty or numeric parts between slashes"
    assert told(check(document(OPTION, {field: name}), CONTEXT)) == (
        [] if sound else [(place, text, hint)]
    )


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        *((name, "") for name in ("A", "KEYS", "MONKEY", "a b", "PASS")),
        *(
            (name, "secret")
            for name in ("DB_PASSWORD", "passwd", "My_Token", "X_KEY", "Credential")
        ),
        *((name, "no name") for name in ("", "A=B", "=")),
    ],
)
def test_a_variable_that_seems_to_hold_a_secret(name: str, problem: str) -> None:
    options = {"action": "exec", "command": ["true"], "environment": {name: "x"}}
    job = {"job_id": "j", "job_actions": [{"freezer_action": options}]}
    checked = check(job, CONTEXT)
    assert [told_of.message for told_of in checked.errors] == (
        ["is no name of a variable"] if problem == "no name" else []
    )
    assert [told_of.message for told_of in checked.warnings] == (
        ["a secret in a job document can be read by whoever reads the document"]
        if problem == "secret"
        else []
    )


@pytest.mark.parametrize(
    ("options", "idle"),
    [
        ({"max_level": 3, "always_level": 3}, "always_level"),
        ({"max_level": 2, "always_level": 3}, "always_level"),
        ({"max_level": 4, "always_level": 3}, "max_level"),
        ({"max_level": 4}, ""),
        ({"always_level": 3}, ""),
        ({"max_level": 1, "always_level": 0}, "always_level"),  # no limit
        ({"force": True}, "force"),
        ({"force": True, "remove_older_than": 5}, ""),
        ({"force": True, "remove_before_date": "2026-01-01"}, ""),
        ({"force": True, "remove_ahead": True}, ""),
        ({"force": False}, ""),
        ({"exclude": "*.log, *.pyc"}, "exclude"),
        ({"exclude": "a,b"}, ""),
        ({"exclude": "a, b"}, ""),
        ({"exclude": "a\nb"}, "exclude"),
        ({"exclude": ["/a"]}, "exclude"),
        ({"exclude": ["a/"]}, "exclude"),
        ({"exclude": ["./a"]}, ""),
        ({"ssh_port": 22}, ""),  # what Freezer's forms say of every action
        ({"ssh_port": 23}, "ssh_port"),
        ({"overwrite": False}, ""),
        ({"overwrite": True}, "overwrite"),
        ({"command": "true"}, "command"),
    ],
)
def test_which_options_of_a_backup_have_no_effect(options: dict[str, Any], idle: str) -> None:
    checked = check(document(OPTION, options), CONTEXT)
    assert checked.errors == []
    place = f"{PLACES[OPTION][0]}."
    assert [told_of.path for told_of in checked.warnings] == ([place + idle] if idle else [])


@pytest.mark.parametrize(
    ("fields", "idle"),
    [
        *(({name: 2}, name) for name in ("max_retries_interval", "retry_jitter", "retry_backoff")),
        ({"max_retries": 1, "max_retries_interval": 2, "retry_jitter": 2}, ""),
        ({"max_retries": 1, "retry_backoff": 2}, "retry_backoff"),
        ({"max_retries": 2, "retry_backoff": 2}, ""),
        ({"max_retries": 0, "retry_jitter": 0, "max_retries_interval": 0}, ""),
    ],
)
def test_which_retries_have_no_effect(fields: dict[str, Any], idle: str) -> None:
    checked = check(document(STEP, fields), CONTEXT)
    assert checked.errors == []
    place = f"{PLACES[STEP][0]}."
    assert [told_of.path for told_of in checked.warnings] == ([place + idle] if idle else [])


RESTORE = {"action": "restore", "restore_abs_path": "/srv", "backup_name": "srv"}
SAME = "writes the same backup as action 0"


@pytest.mark.parametrize(
    ("first", "second", "told_of"),
    [
        (BACKUP, BACKUP, [SAME]),
        (BACKUP, {**BACKUP, "path_to_backup": "/etc"}, [SAME]),
        (BACKUP, {**BACKUP, "backup_name": "other"}, []),
        (BACKUP, {**BACKUP, "hostname": "other"}, []),
        (BACKUP, {**BACKUP, "container": "other"}, []),
        (BACKUP, RESTORE, []),
        (RESTORE, RESTORE, []),
        # What has no effect writes nothing either.
        ({**RESTORE, "path_to_backup": "/a"}, {**RESTORE, "path_to_backup": "/b"}, []),
    ],
)
def test_which_actions_write_the_same_backup(
    first: dict[str, Any], second: dict[str, Any], told_of: list[str]
) -> None:
    actions = [{"freezer_action": options} for options in (first, second)]
    checked = check({"job_id": "j", "job_actions": actions}, CONTEXT)
    assert checked.errors == []
    found = [problem for problem in checked.warnings if "same backup" in problem.message]
    assert [problem.message for problem in found] == told_of
    assert {problem.path for problem in found} <= {"$.job_actions[1].freezer_action"}


# -- what differs, and who is told -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "places"),
    [
        ({}, {}, []),
        ({"a": 1, "b": {"c": [1]}}, {"b": {"c": [1]}, "a": 1}, []),
        (
            {"a": 1, "b": {"c": 1, "e": {"f": 1}}},
            {"b": {"c": 2, "e": {"f": 1, "g": 2}}, "d": 0},
            [("a", 1, None), ("b.c", 1, 2), ("b.e.g", None, 2), ("d", None, 0)],
        ),
        ({"a": {"b": 1}}, {"a": 1}, [("a", {"b": 1}, 1)]),
        ({"a": 1}, {"a": {"b": 1}}, [("a", 1, {"b": 1})]),
        ({"a": [1, 2]}, {"a": [2, 1]}, [("a", [1, 2], [2, 1])]),
        ({"a": [{"b": 1}]}, {"a": [2]}, [("a", [{"b": 1}], [2])]),
        ({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 3, "c": 2}]}, [("a[0].b", 1, 3)]),
        (
            {"a": [{"b": 1}]},
            {"a": [{"b": 2}, {"c": 3}]},
            [("a[0].b", 1, 2), ("a[1]", None, {"c": 3})],
        ),
        ({"a": [{"b": 1}, {"c": 3}]}, {"a": [{"b": 1}]}, [("a[1]", {"c": 3}, None)]),
        ({"a": []}, {"a": [{"b": 1}]}, [("a[0]", None, {"b": 1})]),
        ({"a": True}, {"a": 1}, [("a", True, 1)]),
        ({"a": 0}, {"a": False}, [("a", 0, False)]),
        ({"a": 1}, {"a": 1.0}, []),
    ],
)
def test_every_place_that_differs(before: Any, after: Any, places: list[Any]) -> None:
    assert difference(before, after) == places
    wrapped = [(f"x.{path}", old, new) for path, old, new in places]
    assert difference(before, after, "x") == wrapped


HOOK = {"type": "webhook", "url": "https://h/x"}


@pytest.mark.parametrize(
    ("entry", "errors", "warnings"),
    [
        ({"type": "mail", "to": "root"}, [], []),
        ({"type": "mail"}, ["to"], []),
        ({"type": "mail", "to": "root", "url": "https://h"}, [], ["url"]),
        ({"type": "mail", "to": "root", "command": "true"}, [], ["command"]),
        ({**HOOK, "tell": ["failure"]}, [], []),
        ({**HOOK, "to": "root"}, [], ["to"]),
        ({**HOOK, "url": "http://h/x"}, [], ["url"]),
        ({**HOOK, "url": "http://localhost:1/x"}, [], []),
        ({**HOOK, "url": "http://127.0.0.1/x"}, [], []),
        ({**HOOK, "url": "http://[::1]:8/x"}, [], []),
        ({**HOOK, "url": "ftp://h/x"}, ["url"], []),
        ({**HOOK, "url": "https:///x"}, ["url"], []),
        ({**HOOK, "url": "h/x"}, ["url"], []),
        ({**HOOK, "url": "https://h/a b"}, ["url"], []),
        ({**HOOK, "url": "https://u:p@h/x"}, ["url"], []),
        ({**HOOK, "url": "https://h/x?a@b"}, [], []),
        ({**HOOK, "url": "https://h#a@b"}, [], []),
        ({**HOOK, "credentials_file": "a/b"}, ["credentials_file"], []),
        ({"type": "webhook"}, ["url"], []),
        ({"type": "webhook", "credentials_file": "/c"}, [], []),
        ({"type": "command", "command": ["a", "b|c"]}, [], []),
        ({"type": "command", "command": "a 'b c'"}, [], []),
        ({"type": "command", "command": "a | b"}, ["command"], []),
        ({"type": "command", "command": [" "]}, ["command"], []),
        ({"type": "command", "command": "a 'b"}, ["command"], []),
    ],
)
def test_what_is_wrong_with_who_is_told(
    entry: dict[str, Any], errors: list[str], warnings: list[str]
) -> None:
    job = {**document("job", {}), "notify": [entry]}
    checked = check(job, CONTEXT)
    for found, names in ((checked.errors, errors), (checked.warnings, warnings)):
        assert [problem.path for problem in found] == [f"$.notify[0].{name}" for name in names]
        assert all(problem.message and problem.hint for problem in found)
    off = check(job, CONTEXT._replace(allow_exec=False))
    switched_off = ["$.notify[0].type"] if entry["type"] == "command" else []
    assert [problem.path for problem in off.errors if problem.path.endswith("type")] == switched_off
