# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action exec: a command without a shell, unless the job says ``shell: true``."""

from __future__ import annotations

import os
import pwd
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from coldchain.agent.fields import Fields
from coldchain.agent.process.tools import executable
from coldchain.agent.report import Report
from coldchain.core.command_text import CommandTextError, split_pipeline
from coldchain.core.errors import DataError, JobFailed, NoProgram, Unavailable

#: What shells do themselves, and what is mostly no program.
_BUILTINS = (
    *(".", ":", "alias", "cd", "eval", "exec", "exit", "export", "read", "return", "set", "shift"),
    *("source", "times", "trap", "type", "ulimit", "umask", "unalias", "unset", "wait"),
)


class Command(NamedTuple):
    """A process to start: its argument vector, what to add to the environment, and where."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    working_directory: str | None


#: Runs a pipeline and ends as a shell with pipefail does, by the signal itself where it was one.
#: Its arguments: for each command the number of its words, and the words.
_PIPELINE = r"""
import os, signal, sys
words, stages = sys.argv[1:], []
while words:
    end = 1 + int(words[0])
    stages.append(words[1:end])
    words = words[end:]
for name in ("SIGPIPE", "SIGXFSZ", "SIGINT"):
    signal.signal(getattr(signal, name), signal.SIG_DFL)
children, source = [], None
for number, stage in enumerate(stages):
    following, sink = os.pipe() if number + 1 < len(stages) else (None, None)
    child = os.fork()
    if child == 0:
        try:
            if source is not None:
                os.dup2(source, 0)
            if sink is not None:
                os.dup2(sink, 1)
            os.execv(stage[0], stage)
        except OSError as error:
            os.write(2, os.fsencode(f"{stage[0]}: cannot be started: {error.strerror}\n"))
        os._exit(126)
    children.append(child)
    for descriptor in (source, sink):
        if descriptor is not None:
            os.close(descriptor)
    source = following
failed = 0
for child, stage in zip(children, stages):
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        failed = code
        how = f"exit code {code}" if code > 0 else f"signal {-code}"
        os.write(2, os.fsencode(f"{stage[0]} ended with {how}\n"))
if failed < 0 and failed != -signal.SIGPIPE:
    signal.signal(-failed, signal.SIG_DFL)
    os.kill(os.getpid(), -failed)
os._exit(failed if failed >= 0 else 128 - failed)
"""


def stages(action: Mapping[str, object]) -> list[list[str]]:
    """The words of each command of an exec action, before its program is looked for.

    Raises DataError for a text that is no pipeline: it was declared when any text was taken.
    """
    value = action.get("command")
    if isinstance(value, list):
        return [[str(word) for word in value]]
    if Fields(action).flag("shell"):
        return [["/bin/sh", "-c", str(value)]]
    try:
        return split_pipeline(str(value))
    except CommandTextError as error:
        raise DataError(f"command: {error.message}", error.hint) from None


def command(action: Mapping[str, object]) -> Command:
    """The process behind an exec action; the first word of its vector is a path.

    Raises DataError or Unavailable when there can be none, NoProgram when there is none.
    """
    fields = Fields(action)
    commands = stages(action)
    own = action.get("environment")
    environment = dict(own) if isinstance(own, Mapping) else {}
    user = fields.text("user")
    place = _directory(fields.text("working_directory"), user)
    search = environment.get("PATH", os.environ.get("PATH", os.defpath))
    for words in commands:
        words[0] = program_path(words[0], search, place)
    words = commands[0] if len(commands) == 1 else _pipeline(commands)
    if user:
        prefix, its_own = _as_user(user)
        words, environment = [*prefix, *words], {**its_own, **environment}
    return Command(tuple(words), environment, place)


def _directory(path: str | None, user: str | None) -> str | None:
    """A working_directory with the home of whom the command runs as in the place of a ~."""
    if not path:
        return None
    if user and (path == "~" or path.startswith("~/")):
        path = f"~{user}{path[1:]}"
    return os.path.expanduser(path)


def program_path(name: str, search: str, place: str | None) -> str:
    """The absolute path of a program: no shell takes that for a command of its own.

    name: as in a command; search: the PATH in which a name without a slash is looked up; place: the
    directory from which a relative path leads, None for ours.  Raises NoProgram when there is none.
    """
    if name[:1] == "/" and os.access(name, os.X_OK) and os.path.isfile(name):
        return name
    folders = [""] if "/" in name else [folder or "." for folder in search.split(os.pathsep)]
    for folder in folders:
        if folder[:1] == "/":
            path = f"{folder}/{name}"
        else:
            path = os.path.join(place or os.getcwd(), folder, name)
        if os.access(path, os.X_OK) and os.path.isfile(path):  # in most folders there is none
            return path
    if "/" not in name:
        hint = f"looked for in {search}"
        if name in _BUILTINS:
            hint = f"{name} is a command of shells: with shell: true they understand it"
        raise NoProgram(f"command: there is no program {name!r} on this host", hint)
    path = os.path.join(place or os.getcwd(), name)
    if os.path.isfile(path):
        raise NoProgram(f"command: {path} cannot be executed", f"chmod +x {shlex.quote(path)}")
    raise NoProgram(f"command: there is no program {path}", "install it, or correct command")


def run(action: Mapping[str, object]) -> Report:
    """Run the command with our own stdout and stderr; JobFailed unless it exits with 0."""
    import subprocess  # which the runner, with 0.3 MB of its memory, does without

    wanted = command(action)
    program = "the pipeline" if _PIPELINE in wanted.argv else wanted.argv[0]
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
            f"{program} cannot be started: {error.strerror}",
            "check command and working_directory",
        ) from None
    if code:
        how = f"exit code {code}" if code > 0 else f"signal {-code}"
        raise JobFailed(f"{program} ended with {how}")
    duration = time.monotonic() - started
    message = f"{program} ended with exit code 0 after {duration:.1f} s"
    return Report("exec", message, (), {"exit_code": 0, "duration": round(duration, 3)})


def _pipeline(commands: Sequence[Sequence[str]]) -> list[str]:
    counted = [[str(len(words)), *words] for words in commands]
    return [
        sys.executable,
        "-I",
        "-S",
        "-c",
        _PIPELINE,
        *(word for part in counted for word in part),
    ]


def _as_user(user: str) -> tuple[list[str], dict[str, str]]:
    """What to put before the words, and the variables that systemd's User= would set."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise DataError(
            f"user: this host has no user {user!r}", "create the user, or name another one"
        ) from None
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
