# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""True, a number and null as text mean the same by every door, or are refused by every door."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from cli_command import Command
from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain.document.fields import LEVELS, Field

WORDS = (
    *("True", "true", "YES", "on", "False", "false", "no", "off", "None", "null", "", " "),
    *("0", "1", "5", "5.0", " 7 ", "2.5", "-1", "99999999999", "1e3", "0x1", "٣", "nan"),
    *("maybe", "y", "t", "True False", "[]", "5 minutes"),
)
WRONG, ABSENT = object(), object()
#: Level -> where its fields stand in the document.
PLACES: dict[str, tuple[Any, ...]] = {
    "job": (),
    "guard": ("guard",),
    "job_schedule": ("job_schedule",),
    "notify": ("notify", 0),
    "job_action": ("job_actions", 0),
    "freezer_action": ("job_actions", 0, "freezer_action"),
}
FIELDS = [
    (level, field)
    for level, fields in LEVELS.items()
    for field in fields
    if field.type in ("bool", "int", "float")
]


def meant(field: Field, word: str) -> Any:
    """What the table in docs/reference/document.md says of *word*."""
    plain = word.strip().lower()
    if plain in ("", "none", "null"):
        return ABSENT
    if field.type == "bool":
        words = {**dict.fromkeys(("true", "yes", "on", "1"), True)}
        words.update(dict.fromkeys(("false", "no", "off", "0"), False))
        return words.get(plain, WRONG)
    if plain == "false":
        return ABSENT
    if re.fullmatch(r"-?[0-9]+(\.0)?", plain):
        return int(plain.partition(".")[0])
    return float(plain) if field.type == "float" and plain == "2.5" else WRONG


def with_value(level: str, name: str, value: Any) -> dict[str, Any]:
    action = {"action": "backup", "path_to_backup": "/srv", "backup_name": "b", "container": "/c"}
    document: dict[str, Any] = {
        "job_id": "x",
        "guard": {},
        "job_schedule": {"schedule_hour": "3", "schedule_timezone": "UTC"},
        "job_actions": [{"freezer_action": action}],
    }
    if level == "notify":
        document["notify"] = [{"type": "command", "command": ["true"]}]
    place: Any = document
    for step in PLACES[level]:
        place = place[step]
    if value is not ABSENT:
        place[name] = value
    return document


def judged(command: Command, document: Any) -> Any:
    """The canonical form, or the errors, of a document; every door has to be of this mind."""
    answer = command.json("validate", "-", data=document)
    for words in (["apply", "--check"], ["simulate", "--days", "1"], ["convert"]):
        told = command.json(*words, "-", data=document)
        assert command.code == (0 if answer["valid"] else 65), (words, told)
        if not answer["valid"] and words != ["convert"]:
            messages = [(error["path"], error["message"]) for error in told["error"]["errors"]]
            wanted = [(error["path"], error["message"]) for error in answer["errors"]]
            assert messages == wanted, words
    return answer["document"] if answer["valid"] else answer["errors"]


@pytest.mark.long
def test_a_word_means_the_same_by_every_door_or_is_refused(command: Command) -> None:
    @settings(max_examples=150)
    @given(st.sampled_from(FIELDS), st.sampled_from(WORDS))
    def one(where: tuple[str, Field], word: str) -> None:
        level, field = where
        value = meant(field, word)
        told = judged(command, with_value(level, field.name, word))
        if value is not WRONG:
            assert told == judged(command, with_value(level, field.name, value)), (field, word)
            return
        (error,) = told
        assert error["path"].endswith(f".{field.name}")
        assert word.encode("unicode_escape").decode() in error["message"]

    one()


def test_no_field_with_a_switch_or_a_number_is_left_out() -> None:
    assert {level for level, _field in FIELDS} == PLACES.keys()


ACTION_FIELDS = [field for level, field in FIELDS if level == "freezer_action"]


def ini(**options: str) -> bytes:
    lines = "".join(f"{name} = {word}\n" for name, word in options.items())
    return f"[action]\n{lines}".encode()


@pytest.mark.long
def test_a_word_in_an_ini_file_means_what_it_means_in_json(command: Command) -> None:
    @settings(max_examples=150)
    @given(st.sampled_from(ACTION_FIELDS), st.sampled_from(WORDS))
    def one(field: Field, word: str) -> None:
        document = with_value("freezer_action", field.name, word)
        action = copy.deepcopy(document["job_actions"][0]["freezer_action"])
        of_json = command.json("validate", "-", data={"job_id": "x", "freezer_action": action})
        of_ini = command.json("validate", "-", data=ini(**action))
        assert of_ini["valid"] is of_json["valid"], (field, word, of_ini, of_json)
        if of_json["valid"]:
            (one,), (other,) = (each["document"]["job_actions"] for each in (of_json, of_ini))
            assert one == other, (field, word)
        else:
            told, wanted = (
                [error["path"] for error in each["errors"]] for each in (of_ini, of_json)
            )
            assert told == wanted

    one()


TEXTS = ("true", "True", "1", "0", "2024", "yes", "no", "null", "on", "5.0", "false")


@pytest.mark.parametrize("word", TEXTS)
def test_a_text_in_an_ini_file_stays_a_text(command: Command, word: str) -> None:
    told = command.json("validate", "-", data=ini(action="exec", command=word, user=word))
    assert told["valid"], told
    (action,) = told["document"]["job_actions"]
    assert action["freezer_action"] == {"action": "exec", "command": word, "user": word}
    assert not any("not set" in warning["message"] for warning in told["warnings"])
    named = {"action": "backup", "path_to_backup": "/srv", "backup-name": word, "container": word}
    told = command.json("validate", "-", data=ini(**named))
    (action,) = told["document"]["job_actions"]
    assert action["freezer_action"]["backup_name"] == word
    assert action["freezer_action"]["container"] == word


def test_what_freezers_programs_write_for_nothing_is_nothing_in_an_ini_file(
    command: Command,
) -> None:
    base = {"action": "backup", "path_to_backup": "/srv"}
    nothing = {"hostname": "False", "encrypt_pass_file": "None", "exclude": "false"}
    nothing |= {"max_level": "False", "backup_name": "None", "lvm_srcvol": "None"}
    told = command.json("validate", "-", data=ini(**base, **nothing))
    (action,) = told["document"]["job_actions"]
    assert action["freezer_action"] == base
    refused = command.json("validate", "-", data=ini(action="exec", command="False"))
    assert [error["path"].rpartition(".")[2] for error in refused["errors"]] == ["command"]
