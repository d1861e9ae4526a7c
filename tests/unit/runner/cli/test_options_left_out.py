# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command does where an option is not given, and which words it cannot do without."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from coldchain.cli import entry
from coldchain.core.errors import UsageError

#: Command -> the fewest words that it takes.
FEWEST: dict[str, list[str]] = {
    "validate": [],
    "apply": ["FILE"],
    "status": [],
    "doctor": [],
    "list": [],
    "show": ["JOB"],
    "history": [],
    "log": ["JOB"],
    "next": ["JOB"],
    "explain": ["JOB"],
    "guard": ["JOB"],
    "simulate": ["FILE", "--days=1"],
    "convert": ["FILE"],
    "notify": [],
    "event": ["JOB", "start"],
    "run": ["JOB"],
    "serve": [],
    "backups": [],
    "restore": [],
    "verify": [],
    "metrics": [],
    "ledger": [],
    "agent": ["--config=FILE"],
    "selftest": [],
}
#: What is not "no" or "not given" then: as docs/reference/command.md tells it.
DEFAULTS: dict[str, dict[str, Any]] = {
    "event": {"timeout": 3600},
    "history": {"number": 20},
    "list": {"history": 0, "jobs": []},
    "next": {"number": 5},
    "restore": {"timeout": 3600, "paths": []},
    "selftest": {"rounds": 50},
    "simulate": {"duration": 600, "status": [], "slot": []},
}
#: Of these two at once make no sense.
EXCLUDE = [
    ("notify", ["--test", "--retry"]),
    ("notify", ["--test", "--deliver=all"]),
    ("verify", ["--full", "--sample=1"]),
]


def parsed(name: str, *words: str) -> argparse.Namespace:
    return entry._parser(name).parse_args([name, *words])


def test_every_command_is_looked_at() -> None:
    assert FEWEST.keys() == entry._COMMANDS.keys()


@pytest.mark.parametrize("name", FEWEST)
def test_what_holds_where_nothing_is_given(name: str) -> None:
    parser = entry._parser(name)
    arguments = vars(parser.parse_args([name, *FEWEST[name]]))
    command = parser.called
    assert command is not None
    given = {"command", "home", "json"}
    for action in command._actions:
        if action.required and action.nargs != "*":
            given.add(action.dest)
        elif action.nargs == 0 and action.dest in arguments and action.dest not in given:
            assert arguments.pop(action.dest) is False, action.dest
            option = action.option_strings[0]
            assert vars(parser.parse_args([name, *FEWEST[name], option]))[action.dest] is True
    told = {dest: value for dest, value in arguments.items() if dest not in given}
    defaults = DEFAULTS.get(name, {})
    assert told == {**dict.fromkeys(told, None), **defaults}
    assert (arguments["json"], arguments["home"]) == (False, None)


@pytest.mark.parametrize("name", [name for name, words in FEWEST.items() if words])
def test_what_a_command_cannot_do_without(name: str) -> None:
    words = FEWEST[name]
    for number in range(len(words)):
        with pytest.raises(UsageError) as refused:
            parsed(name, *words[:number], *words[number + 1 :])
        assert refused.value.hint == f"see coldchain {name} --help"


@pytest.mark.parametrize(("name", "words"), EXCLUDE)
def test_what_excludes_each_other(name: str, words: list[str]) -> None:
    for word in words:
        parsed(name, word)
    with pytest.raises(UsageError, match="not allowed with argument"):
        parsed(name, *words)


def test_options_that_may_be_given_again() -> None:
    arguments = parsed(
        *("simulate", "a", "b", "--days", "3660", "--slot=n=2", "--slot=a=b=1"),
        *("--status", "s", "--status", "t"),
    )
    assert arguments.files == ["a", "b"] and arguments.status == ["s", "t"]
    assert arguments.slot == [("n", 2), ("a=b", 1)]
    for name, words in (
        ("simulate", ["FILE", "--days", "3661"]),
        ("next", ["JOB", "-n", "10001"]),
        ("history", ["JOB", "-n", "0"]),
        ("selftest", ["--rounds", "0"]),
        ("status", ["--days", "0"]),
        ("verify", ["--sample", "0"]),
    ):
        with pytest.raises(UsageError):
            parsed(name, *words)
    assert parsed("next", "JOB", "-n", "10000").number == 10_000
    assert parsed("list", "--history", "0").history == 0
    assert parsed("event", "JOB", "stop", "--timeout", "0").timeout == 0
    assert parsed("selftest", "--seed", "0").seed == 0
