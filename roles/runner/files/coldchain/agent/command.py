# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action exec: a command without a shell, unless the job says ``shell: true``."""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass

from coldchain.agent.options import Fields
from coldchain.agent.report import Report
from coldchain.agent.tools import executable
from coldchain.errors import DataError, JobFailed, Unavailable


@dataclass(frozen=True)
class Command:
    """A process to start: its argument vector, what to add to the environment, and where."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    working_directory: str | None


def argv(action: Mapping[str, object]) -> list[str]:
    """Only the argument vector of an exec action (see ``command``)."""
    return list(command(action).argv)


def command(action: Mapping[str, object]) -> Command:
    """The process behind an exec action; DataError or Unavailable when there can be none."""
    fields = Fields(action)
    words = _words(action.get("command"), shell=fields.flag("shell"))
    environment = _environment(action.get("environment"))
    user = fields.text("user")
    if user:
        prefix, its_own = _as_user(user)
        words, environment = [*prefix, *words], {**its_own, **environment}
    return Command(
        tuple(words),
        environment,
        fields.text("working_directory") or None,
    )


def run(action: Mapping[str, object]) -> Report:
    """Run the command with our own stdout and stderr; JobFailed unless it exits with 0."""
    wanted = command(action)
    started = time.monotonic()
    try:
        code = subprocess.run(
            wanted.argv,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd=wanted.working_directory,
            env={**os.environ, **wanted.environment},
        ).returncode
    except OSError as error:
        raise JobFailed(
            f"{wanted.argv[0]} cannot be started: {error.strerror}",
            "check command and working_directory",
        ) from None
    if code:
        how = f"exit code {code}" if code > 0 else f"signal {-code}"
        raise JobFailed(f"{wanted.argv[0]} ended with {how}")
    duration = time.monotonic() - started
    message = f"{wanted.argv[0]} ended with exit code 0 after {duration:.1f} s"
    return Report("exec", message, (), {"exit_code": 0, "duration": round(duration, 3)})


def _words(value: object, *, shell: bool) -> list[str]:
    if isinstance(value, str) and value.strip():
        if shell:
            return ["/bin/sh", "-c", value]
        try:
            return shlex.split(value)
        except ValueError as error:
            raise DataError(
                f"command: {value!r} cannot be split into words: {error}",
                "quote it like a shell would want it, or give a list of words",
            ) from None
    if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
        if shell:
            raise DataError("command: a list of words needs no shell", "leave out shell: true")
        return list(value)
    raise DataError("command is missing", "a line, or a list of words")


def _environment(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise DataError("environment: not a mapping of names to texts")
    found = {}
    for name, text in value.items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise DataError(f"environment: {name!r} cannot be the name of a variable")
        if isinstance(text, bool) or not isinstance(text, (str, int, float)):
            raise DataError(f"environment: the value of {name} is not a text", "quote it")
        found[name] = str(text)
    return found


def _as_user(user: str) -> tuple[list[str], dict[str, str]]:
    """What to put before the words, and the variables that systemd's User= would set."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise DataError(f"user: this host has no user {user!r}") from None
    if entry.pw_uid == os.geteuid():
        return [], {}
    if os.geteuid() != 0:
        raise Unavailable(
            f"user: only root can run a command as {user}",
            "run the runner as root, or as this user",
        )
    ids = ["--reuid", str(entry.pw_uid), "--regid", str(entry.pw_gid), "--init-groups"]
    names = {"HOME": entry.pw_dir, "LOGNAME": user, "USER": user, "SHELL": entry.pw_shell}
    return [executable("setpriv"), *ids, "--"], {name: text for name, text in names.items() if text}
