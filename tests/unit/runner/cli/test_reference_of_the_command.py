# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/reference/command.md has every command and option, and no other."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from coldchain.agent.storages.kinds import FIELDS
from coldchain.cli import entry

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "command.md"
COMMANDS = list(entry._COMMANDS)
#: Told once for all commands, above or below the table.
EVERYWHERE = {"-h", "--help", "--home", "--json", "--storage", "--credentials-file"}
EVERYWHERE |= {f"--{name.replace('_', '-')}" for name in FIELDS}


def options(name: str) -> set[str]:
    """The options of a command that its row has to name."""
    parser = entry._parser(name)
    commands = next(
        action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
    )
    shown = [a for a in commands.choices[name]._actions if a.help != argparse.SUPPRESS]
    return {word for action in shown for word in action.option_strings} - EVERYWHERE


def row(name: str) -> str:
    """The first row of a command: what it does and takes."""
    table = PAGE.read_text().partition("## Commands")[2].partition("Where a container")[0]
    return next(line for line in table.splitlines() if re.match(rf"\| `{name}\b", line))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_row_of_a_command_names_its_options_and_no_other(name):
    text = row(name)
    named = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text))
    if "options of `backups`" in text:
        named |= options("backups") & options(name)
    assert named - EVERYWHERE == options(name)


def test_the_table_has_no_other_command():
    table = PAGE.read_text().partition("## Commands")[2].partition("Where a container")[0]
    assert re.findall(r"^\| `([a-z]+)", table, re.M) != []
    assert set(re.findall(r"^\| `([a-z]+)", table, re.M)) == set(COMMANDS)
