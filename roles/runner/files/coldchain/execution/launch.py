# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who executes an action: one row of a table for each kind of executor, chosen by the action."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from coldchain.agent.storages.kinds import STORAGES
from coldchain.core.errors import DataError, Unavailable, remedy
from coldchain.core.files import write_atomically
from coldchain.core.own_program import own_program
from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.execution.attempt_files import CONFIG, PROGRESS, RESULT, file_of
from coldchain.execution.command import Command, command
from coldchain.execution.plan import ActionSpec

_LEAVES_REMNANTS = ("backup", "restore", "admin")
_SERVICE_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "COLDCHAIN_RUNNER_LOCK")
# How storages are reached is told to the agent, not to the commands of jobs, which may run as users
# who must not know it.
_OF_STORAGES = (name for kind in STORAGES.values() for name in kind.credentials)
_NOT_FOR_COMMANDS = frozenset((*_SERVICE_VARIABLES, *_OF_STORAGES))
_RCLONE_VARIABLES = ("RCLONE_", "AWS_", "OS_", "ST_")  # which rclone reads by itself


class Executor(Protocol):
    """Runs the actions of a kind.

    spares: what a command of it leaves behind when it ends by itself is left alone.
    """

    spares: bool

    def process(self, spec: ActionSpec, paths: Paths, settings: Settings, attempt: Path) -> Command:
        """The process of an attempt; attempt: the path that its files begin with.

        Raises a ColdchainError when it cannot be started.
        """

    def inherited(self) -> dict[str, str]:
        """What its processes see of our own environment."""


def _check_folder(place: str) -> None:
    """Unavailable, with the reason, where no process can begin."""
    why, hint = "is no directory", "make it, or name another one"
    try:
        if stat.S_ISDIR(os.stat(place).st_mode):
            return
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        why, hint = f"cannot be entered: {error.strerror}", remedy(error)
    raise Unavailable(f"working_directory {place}: {why}", hint)


@lru_cache(maxsize=1)
def own_environment() -> Mapping[str, str]:
    """What commands see of our environment, as it is when the first of them begins: it stays so,
    and to decode it takes a run as long as to make a file."""
    return {
        name: text
        for name, text in os.environ.items()
        if name not in _NOT_FOR_COMMANDS and not name.startswith(_RCLONE_VARIABLES)
    }


class _Exec:
    """The command of the job, directly."""

    spares = True

    def process(self, spec: ActionSpec, paths: Paths, settings: Settings, attempt: Path) -> Command:
        """See Executor."""
        if not settings.allow_exec:
            raise DataError(
                "exec actions are switched off on this host (allow_exec)",
                "allow_exec = yes in the settings allows them",
            )
        process = command(spec.action)
        place = process.working_directory
        if place is not None:
            _check_folder(place)
        return process

    def inherited(self) -> dict[str, str]:
        """See Executor."""
        return {**own_environment()}


class _Agent:
    """``coldchain agent`` in a process of its own."""

    spares = False

    def process(self, spec: ActionSpec, paths: Paths, settings: Settings, attempt: Path) -> Command:
        """See Executor."""
        return _agent(spec, paths, attempt, "--progress", str(file_of(attempt, PROGRESS)))

    def inherited(self) -> dict[str, str]:
        """See Executor."""
        return {name: text for name, text in os.environ.items() if name not in _SERVICE_VARIABLES}


_EXECUTORS: Mapping[str, Executor] = {"exec": _Exec()}
_OURS: Executor = _Agent()


def executor_of(spec: ActionSpec) -> Executor:
    """Who executes the action."""
    return _EXECUTORS.get(spec.name, _OURS)


def clean_up_of(spec: ActionSpec, paths: Paths, attempt: Path) -> Command:
    """The process that removes what the killed agent of *spec* left; attempt: its own path."""
    return _agent(spec, paths, attempt, "--clean-up")


def needs_clean_up(spec: ActionSpec, report: Mapping[str, object]) -> bool:
    """An agent that got as far as its report has left nothing behind; exec is the job's own."""
    return spec.name in _LEAVES_REMNANTS and not report


def _agent(spec: ActionSpec, paths: Paths, attempt: Path, *options: str) -> Command:
    config = file_of(attempt, CONFIG)
    raw = json.dumps({"freezer_action": spec.action}).encode("ascii")
    write_atomically(config, raw, durable=False)
    words = [*own_program(paths.home), "agent", *options]
    words += ["--canonical", "--config", str(config), "--result", str(file_of(attempt, RESULT))]
    return Command(tuple(words), {}, None)
