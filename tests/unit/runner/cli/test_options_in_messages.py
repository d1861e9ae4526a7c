# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages name an option of the command line only to who has typed one, or with its command.

What the command says reaches users of the modules word for word, and they have options of their
own: "leave out --by-runner" is no advice for a task of a playbook.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from option_words import bare_options

import coldchain

PACKAGE = Path(coldchain.__file__).parent
# What is said of a command line that somebody has typed; modules type none.
TYPED = {"UsageError", "ArgumentTypeError", "add_argument", "add_argument_group", "sub", "replace"}


def text_of(node: ast.expr) -> str:
    """The text of a literal, with a word for what is filled in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "X"


def texts(node: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, text) of every literal that may be said to somebody else."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            function = child.func
            name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
            if name in TYPED:
                continue
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue  # a docstring
        if isinstance(child, (ast.JoinedStr, ast.Constant)):
            text = text_of(child)
            if " " in text.strip():  # else a word of a command line
                yield child.lineno, text
        elif not isinstance(child, ast.Expr) or not isinstance(child.value, ast.Constant):
            yield from texts(child)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("start it, or leave out --by-runner", ["--by-runner"]),
        ("coldchain verify --job X --full reads all of it", []),
        ("run it (coldchain --home DIR; in Ansible home: DIR)", []),
        ("coldchain list shows them; give --container", ["--container"]),
        ("--overwrite replaces it", ["--overwrite"]),
    ],
)
def test_what_a_bare_option_is(text: str, options: list[str]) -> None:
    assert bare_options(text) == options


def test_no_message_names_an_option_that_only_who_types_has() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {text}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, text in texts(ast.parse(path.read_text(encoding="utf-8")))
        if bare_options(text)
    ]
    assert found == []
