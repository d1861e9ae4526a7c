# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program of the administrator's: the message on its standard input, secrets in its variables.

With it Apprise, a chat, a ticket system or a pager is a line of configuration.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile

from coldchain.core.command_text import CommandTextError, split_pipeline
from coldchain.core.text import printable
from coldchain.observe.notifiers.base import Task, Undelivered

LONGEST = 25.0
"""Seconds that a command may take."""
_LONGEST_VARIABLE = 20_000  # characters: Linux takes 128 kB; the message itself has all
_SAID = 200  # bytes of what it has said that are kept


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
    with tempfile.TemporaryFile() as said:
        try:
            # Not a pipe: what a command leaves behind would keep it open.
            child = subprocess.Popen(
                [program, *words[1:]],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=subprocess.STDOUT,
                env={name: text.replace("\0", "") for name, text in environment.items()},
                start_new_session=True,
            )
        except OSError as error:
            raise Undelivered(f"{words[0]}: {error.strerror}") from None
        try:
            child.communicate(raw, timeout=LONGEST)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise Undelivered(f"{words[0]} took longer than {LONGEST:g} s") from None
        said.seek(max(0, said.seek(0, os.SEEK_END) - _SAID))
        text = printable(said.read().decode("utf-8", "replace").strip())
    if child.returncode:
        how = f"{words[0]} ended with {child.returncode}"
        raise Undelivered(f"{how}: {text}" if text else how)
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
