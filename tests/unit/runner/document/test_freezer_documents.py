# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Freezer's own programs write goes in as it is, or is refused by name."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

import pytest
from freezer_tables import OPTIONS, PROJECT, api_action, api_job, horizon_actions

from coldchain.cli.vocabulary import vocabulary
from coldchain.core.errors import DataError
from coldchain.document import Checked, Context, canonical, check
from coldchain.document.checking import NAMELESS
from coldchain.document.fields import LEVELS
from coldchain.document.freezer_options import (
    IDENTITY,
    OF_THE_LOG,
    REMEDIES,
    SECRETS,
    WITHOUT_EFFECT,
)
from coldchain.document.ini import is_ini, parse_ini
from coldchain.document.normalize import INVERTED

NOW = datetime(2026, 11, 25, 1, 2, 3, tzinfo=timezone.utc)
BACKUP = {"action": "backup", "path_to_backup": "/srv", "backup_name": "srv"}
OPTION = "$.job_actions[0].freezer_action.{}"
FIELDS = {
    name for field in LEVELS["freezer_action"] for name in (field.name, *field.aliases)
} | set(INVERTED)


def checked(raw: Any) -> Checked:
    return check(raw, Context("web1", timezone.utc, NOW, vocabulary()))


def job(**options: Any) -> dict[str, Any]:
    return {"job_id": "j", "job_actions": [{"freezer_action": {**BACKUP, **options}}]}


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_something_becomes_of_every_option(name: str) -> None:
    kinds = [FIELDS, WITHOUT_EFFECT, REMEDIES.keys(), SECRETS, IDENTITY]
    assert sum(name in kind for kind in kinds) == 1


@pytest.mark.parametrize("name", sorted(OPTIONS.keys() - BACKUP.keys()))
def test_an_option_that_says_nothing_is_dropped_in_silence(name: str) -> None:
    plain = canonical(job())
    for spelling in (name, name.replace("_", "-")):
        for value in (OPTIONS[name], None, "", False):
            answer = checked(job(**{spelling: value}))
            assert answer.errors == []
            told = {problem.message for problem in answer.warnings}
            old = f'"{spelling}" is an old spelling'
            assert told <= {old} or (name in WORDS and value is False)
            document = answer.document
            assert document is not None
            options = document["job_actions"][0]["freezer_action"]
            if options.get(name) in (OPTIONS[name], str(OPTIONS[name]), False):
                options.pop(name, None)
            assert document == plain


@pytest.mark.parametrize("name", sorted(REMEDIES))
@pytest.mark.parametrize("action", ["backup", "restore", "info", "admin", "exec"])
def test_what_would_change_something_is_refused_by_name(name: str, action: str) -> None:
    needs = {
        "restore": {"restore_abs_path": "/x"},
        "admin": {"remove_older_than": 3},
        "exec": {"command": ["true"]},
    }
    raw = {"action": action, **(BACKUP if action == "backup" else needs.get(action, {}))}
    for value in ("something", 7, [True]):
        answer = checked({"job_id": "j", "freezer_action": {**raw, "action": action, name: value}})
        assert [problem.path for problem in answer.errors] == [OPTION.format(name)]
        assert answer.errors[0].message == "is not supported"
        assert answer.errors[0].hint == REMEDIES[name]


@pytest.mark.parametrize("name", sorted(WITHOUT_EFFECT - OF_THE_LOG))
def test_what_changes_nothing_here_is_told(name: str) -> None:
    answer = checked(job(**{name: "something"}))
    assert answer.document == canonical(job())
    assert [problem.path for problem in answer.warnings] == [OPTION.format(name)]


def declared(raw: dict[str, Any]) -> dict[str, Any]:
    answer = checked(raw)
    assert answer.errors == []
    assert answer.document is not None
    return answer.document


#: YAML takes no for false, and no may be the name of a container.
WORDS = ("container", "command")

SCHEDULES = [
    {"schedule_interval": "50 minutes"},
    {"schedule_hour": "3", "schedule_start_date": "2026-01-01T00:00:00"},
    {},
]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_job_of_the_api_is_the_job_that_was_put_into_it(schedule: dict[str, Any]) -> None:
    actions = [BACKUP, {"action": "exec", "command": "true"}, {**BACKUP, "mode": None}]
    raw = api_job(actions, schedule, "web1")
    document = declared(raw)
    plain = declared(
        {
            "job_id": raw["job_id"],
            "description": "Test-0001",
            "job_actions": [
                {"freezer_action": options, "max_retries": 5, "max_retries_interval": 6}
                for options in actions
            ],
            "job_schedule": schedule,
        }
    )
    for name in ("client_id", "user_id", "project_id", "session_tag"):
        document.pop(name, None)
    assert document == plain
    notes = [problem for problem in checked(raw).warnings if "Freezer's own" in problem.message]
    assert len(notes) == 3 * len(actions)


def test_an_action_of_the_api_is_a_job_of_one_action() -> None:
    raw = {**api_action(BACKUP), "_version": 1}
    document = declared(raw)
    assert document["job_id"] == NAMELESS
    assert document["project_id"] == PROJECT
    (action,) = document["job_actions"]
    assert action == {"freezer_action": BACKUP, "max_retries": 5, "max_retries_interval": 6}
    to_declare = Context("web1", timezone.utc, NOW, vocabulary(), declares=True)
    assert [problem.path for problem in check(raw, to_declare).errors] == ["$.job_id"]
    assert check({**raw, "job_id": "look"}, to_declare).errors == []
    bare = declared({**BACKUP, "job_id": "look"})
    assert (bare["job_id"], bare["job_actions"]) == ("look", [{"freezer_action": BACKUP}])


@pytest.mark.parametrize("action", list(horizon_actions()))
def test_an_action_of_horizons_form_is_taken(action: dict[str, Any]) -> None:
    form = action["freezer_action"]
    answer = checked({"job_id": "j", "job_actions": [action]})
    assert answer.errors == []
    assert answer.document is not None
    options = answer.document["job_actions"][0]["freezer_action"]
    assert options.get("dereference_symlink") == ("all" if form["dereference_symlink"] else None)
    assert bool(options.get("incremental")) == (form["max_level"] == 3)
    told = {problem.path.rpartition(".")[2] for problem in answer.warnings}
    assert told <= {"no_incremental", "restore_from_host", "dereference_symlink"}


@pytest.mark.parametrize("word", ["none", "None"])
def test_no_links_is_a_choice_of_freezer_agent_and_says_nothing(word: str) -> None:
    document = declared({**BACKUP, "job_id": "look", "dereference_symlink": word})
    assert document["job_actions"] == [{"freezer_action": BACKUP}]


def test_the_rules_of_an_action_that_was_edited_in_horizon_count_once() -> None:
    rules = {"max_retries": 3, "max_retries_interval": 60, "mandatory": True}
    raw = job(**rules)
    raw["job_actions"][0].update(rules)
    answer = checked(raw)
    assert answer.errors == [] and answer.document is not None
    (action,) = answer.document["job_actions"]
    assert action == {
        "freezer_action": canonical(job())["job_actions"][0]["freezer_action"],
        **rules,
    }
    assert {problem.path for problem in answer.warnings} == {OPTION.format(name) for name in rules}
    raw["job_actions"][0]["max_retries"] = 2
    (error,) = checked(raw).errors
    assert error.path == OPTION.format("max_retries") and "beside" in error.hint


def test_a_job_of_no_session_has_no_tag_to_tell_of() -> None:
    answer = checked(api_job([BACKUP], {}, "web1"))
    assert "$.session_tag" not in {problem.path for problem in answer.warnings}


@pytest.mark.parametrize(
    ("exclude", "told"),
    [
        ("*.log, *.pyc", True),
        ("*.log,*.pyc", True),
        ("./cache\n./tmp", True),
        (["*.log", "*.pyc"], False),
        ("*,v", False),
    ],
)
def test_several_patterns_in_one_text_are_told(exclude: object, told: bool) -> None:
    answer = checked(job(exclude=exclude))
    assert [problem.hint for problem in answer.warnings] == ["write a list of patterns"] * told


@pytest.mark.parametrize("argv", [[""], [" ", "x"]])
def test_a_program_without_a_name_is_refused_in_a_list_too(argv: list[str]) -> None:
    action = {"action": "exec", "command": argv}
    (error,) = checked({"job_id": "j", "job_actions": [{"freezer_action": action}]}).errors
    assert error.message == "has a blank name"


def test_a_password_file_of_horizons_form_never_makes_a_plain_backup() -> None:
    (problem,) = checked(job(encryption_password="/root/key")).errors
    assert "encrypt_pass_file" in problem.hint


def test_an_action_with_a_schedule_is_a_job_of_one_action() -> None:
    schedule = {"schedule_hour": 3}
    document = declared({"job_id": "x", "freezer_action": BACKUP, "job_schedule": schedule})
    job_actions = [{"freezer_action": BACKUP}]
    assert document == canonical(
        {"job_id": "x", "job_actions": job_actions, "job_schedule": schedule}
    )


@pytest.mark.parametrize(
    ("text", "ini"),
    [
        ("[action]\naction = backup\n", True),
        ("# [old]\n; of freezer-agent\n\n  [job:daily] # why\nx = 1\n", True),
        ("[default];\n", True),
        ("[ default ]\n", True),
        ("", False),
        ("# [action]\n", False),
        ("action = backup\n[action]\n", False),
        ("[{}]\n", False),
        ('["a"]\n', False),
        ("[1, 2]\n", False),
        ("[null,]\n", False),
        ("[ true , 1\n]", False),
        ("[null]\naction = backup\n", True),
        ("[job:null, true]\n", True),
    ],
)
def test_what_is_a_configuration_file_of_freezer_agent(text: str, ini: bool) -> None:
    assert is_ini(text) is ini


def test_all_sections_of_a_configuration_file_are_one_action() -> None:
    text = "[a]\nmax-level = 3\nsync = False\nuser = None\n[b]\nmax_level = 3\n[storage:x]\nc = 1"
    assert parse_ini(text) == {
        "freezer_action": {"max_level": "3", "sync": False, "user": None, "c": "1"}
    }


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        (
            "[a]\nx-y = 1\n[b]\nx_y = 2",
            'x_y is given twice.*"1" in \\[a\\] and "2" in \\[b\\]',
            "two",
        ),
        ("[a]\nx = 1\nX = 1", r"x is given twice in \[a\], again in line 3", "leave out"),
        ("[a]\nx = 1\n[a]", r"\[a\] begins twice, again in line 3", "one section"),
        ("[storage:a]\nx = 1\n[storage:b]", "several storages: storage:a, storage:b", "each"),
        ("[DEFAULT]\naction = backup\n", r"options in \[DEFAULT\] alone", r"write \[default\]"),
        ("nonsense", "^not INI: ", r"section \[action\]"),
        ("[a]\n = x =\n[b", "^not INI: ", "section"),
    ],
)
def test_what_is_wrong_with_a_configuration_file(text: str, words: str, hint: str) -> None:
    with pytest.raises(DataError, match=words) as refused:
        parse_ini(text)
    assert re.search(hint, refused.value.hint)
    assert "<string>" not in refused.value.message and "\n" not in refused.value.message
