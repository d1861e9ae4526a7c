# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program of the administrator's: the message on its standard input, secrets in its variables.

With it Apprise, a chat, a ticket system or a pager is a line of configuration.
"""

from __future__ import annotations

import json
import os
import shutil

from coldchain.core.command_text import CommandTextError, split_pipeline
from coldchain.core.text import printable
from coldchain.observe.notifiers.base import Task, Undelivered
from coldchain.observe.notifiers.program import run

_LONGEST_VARIABLE = 20_000  # characters: Linux takes 128 kB; the message itself has all


def send(task: Task) -> str:
    """Run the command; its exit code has to be 0."""
    words = _words(task)
    message = {**task.message, **({"log": task.log} if task.log else {})}
    environment = {
        **os.environ,
        "COLDCHAIN_KIND": str(message["kind"]),
        "COLDCHAIN_HOST": str(message["host"]),
        "COLDCHAIN_JOB_ID": str(message.get("job_id") or ""),
        "COLDCHAIN_RUN_ID": str(message.get("run_id") or ""),
        "COLDCHAIN_TITLE": str(message["title"]),
        "COLDCHAIN_TEXT": task.body[:_LONGEST_VARIABLE],
        **task.credentials,
    }
    program = shutil.which(words[0], path=environment.get("PATH", os.defpath))
    if program is None:
        raise Undelivered(f"command: there is no program {printable(words[0])!r} on this host")
    raw = json.dumps(message).encode() + b"\n"
    environment = {name: text.replace("\0", "") for name, text in environment.items()}
    run(task.watched, [program, *words[1:]], raw, environment, words[0])
    return "exit code 0"


def _words(task: Task) -> list[str]:
    value = task.entry["command"]
    if isinstance(value, (list, tuple)):
        return [str(word) for word in value]
    try:
        stages = split_pipeline(str(value))
    except CommandTextError as error:
        raise Undelivered(f"command: {error.message}", refused=True) from None
    if len(stages) != 1:
        raise Undelivered("command: one program is run; write a script", refused=True)
    return stages[0]
