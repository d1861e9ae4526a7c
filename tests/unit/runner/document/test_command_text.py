# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command as a text means what it means to a shell, or is refused; the shell is the oracle."""

from __future__ import annotations

import subprocess
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain.cli.vocabulary import vocabulary
from coldchain.core.command_text import CommandTextError, split_pipeline
from coldchain.document import Context, check

texts = st.text(st.sampled_from("ab.-'\"\\ \t|"), max_size=14)
MARK = "\x01"


def words_of_the_shell(lines: list[str]) -> list[list[str]]:
    """The words of each line, as /bin/sh reads them."""
    script = "\n".join(
        f"set -- {line}\nprintf '%s\\0' \"$@\"\nprintf '{MARK}\\0'" for line in lines
    )
    out = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True).stdout
    found = out.decode().split("\0")[:-1]
    result: list[list[str]] = [[]]
    for word in found:
        if word == MARK:
            result.append([])
        else:
            result[-1].append(word)
    return result[:-1]


@settings(max_examples=60)
@given(st.lists(texts, min_size=20, max_size=40))
def test_words_and_quotes_are_those_of_a_shell(lines: list[str]) -> None:
    accepted: list[tuple[str, list[str]]] = []
    for line in lines:
        try:
            stages = split_pipeline(line)
        except CommandTextError:
            continue
        if len(stages) == 1:
            accepted.append((line, stages[0]))
    shell = words_of_the_shell([line for line, _ in accepted])
    assert [words for _, words in accepted] == shell


@given(st.lists(texts, min_size=1, max_size=4))
def test_a_pipeline_is_its_commands(parts: list[str]) -> None:
    commands = []
    for part in parts:
        try:
            (command,) = split_pipeline(part)
        except (CommandTextError, ValueError):
            return
        commands.append(command)
    assert split_pipeline("|".join(f"{part} " for part in parts)) == commands


@pytest.mark.parametrize(
    "text",
    [
        *("echo hello > f && false", "cat < f", "a; b", "a & b", "a || b", "a |& b", "a | | b"),
        *("| a", "a |", "a $HOME", 'a "$HOME"', "a `b`", 'a "`b`"', "ls ~", "ls *.py", "ls a?"),
        *("(a)", "a (b", "a\nb", "'open", 'a "b', "a\\"),
    ],
)
def test_what_only_a_shell_understands_is_refused_with_both_ways_out(text: str) -> None:
    action = {"action": "exec", "command": text}
    context = Context(None, timezone.utc, datetime.now(timezone.utc), vocabulary())
    raw = {"job_id": "x", "freezer_action": action}
    (problem,) = check(raw, context).errors
    assert problem.path.endswith(".command")
    assert "list" in problem.hint
    assert "shell: true" in problem.hint or "quote" in problem.hint
    assert check({"job_id": "x", "freezer_action": {**action, "shell": True}}, context).valid
    as_list = {**action, "command": ["/bin/echo", text]}
    assert check({"job_id": "x", "freezer_action": as_list}, context).valid


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("mysqldump db | gzip", [["mysqldump", "db"], ["gzip"]]),
        ("grep a|b", [["grep", "a"], ["b"]]),
        ("grep 'a|b'", [["grep", "a|b"]]),
        ("echo a\\>b \\$x '$x' \"\\$x\"", [["echo", "a>b", "$x", "$x", "$x"]]),
        ("a \"\" ''", [["a", "", ""]]),
        ("a 'b\nc'\n", [["a", "b\nc"]]),
        ('a "b|c" | d', [["a", "b|c"], ["d"]]),
        ("a=1 b#c [x] {y}", [["a=1", "b#c", "[x]", "{y}"]]),
    ],
)
def test_what_a_text_means(text: str, commands: list[list[str]]) -> None:
    assert split_pipeline(text) == commands
