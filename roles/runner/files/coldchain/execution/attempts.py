# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of one run: each attempt of an action, and the clean-up after a killed one."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.execution import launch
from coldchain.execution.command import Command
from coldchain.execution.plan import ActionSpec
from coldchain.execution.process import Process
from coldchain.execution.supervision import Supervised

CLEAN_UP_TIMEOUT = 600.0
"""Seconds for removing what a killed action left: a restore's folder may hold millions of files."""

AttemptId = tuple[int, int]
"""Index of the action from 0, number of the attempt from 1."""


class Attempts:
    """Starts the processes of the run in *directory*, and finds them again after a restart.

    log: the file that their output is appended to; names: variables that they all see.
    """

    def __init__(
        self,
        directory: Path,
        log: Path,
        paths: Paths,
        settings: Settings,
        names: Mapping[str, str],
    ) -> None:
        self._directory, self._log = directory, log
        self._paths, self._settings, self._names = paths, settings, names

    def directory(self, attempt: AttemptId) -> Path:
        """The directory of an attempt."""
        return Path(f"{self._directory}/{attempt[0] + 1}.{attempt[1]}")

    def clean_up_directory(self, attempt: AttemptId) -> Path:
        """The directory of the clean-up after an attempt."""
        return self._directory / f"{attempt[0] + 1}.{attempt[1]}.clean-up"

    def begin(self, spec: ActionSpec, attempt: AttemptId) -> Supervised:
        """Start an attempt.  Raises a ColdchainError or OSError when it cannot be started."""
        executor, directory = launch.executor_of(spec), self.directory(attempt)
        command = executor.process(spec, self._paths, self._settings, directory)
        process = self._start(command, executor.inherited(), directory, attempt)
        return Supervised(
            process, grace=self._settings.grace, timeout=spec.timeout, spares=executor.spares
        )

    def find(self, spec: ActionSpec, attempt: AttemptId) -> Supervised | None:
        """What an earlier runner has begun, which may be over; None when it has not.

        Raises Unavailable when it cannot be found out whether it still runs.
        """
        directory = self.directory(attempt)
        if not directory.is_dir():
            return None
        return Supervised.adopted(
            directory,
            grace=self._settings.grace,
            timeout=spec.timeout,
            spares=launch.executor_of(spec).spares,
        )

    def begin_clean_up(self, spec: ActionSpec, attempt: AttemptId) -> Supervised:
        """Start the clean-up after a killed attempt, from its beginning.

        Raises a ColdchainError or OSError when it cannot be started.
        """
        directory = self.clean_up_directory(attempt)
        shutil.rmtree(directory, ignore_errors=True)
        command = launch.clean_up_of(spec, self._paths, directory)
        inherited = launch.executor_of(spec).inherited()
        process = self._start(command, inherited, directory, attempt)
        return Supervised(
            process, grace=self._settings.grace, timeout=CLEAN_UP_TIMEOUT, spares=False
        )

    def find_clean_up(self, attempt: AttemptId) -> Supervised | None:
        """The clean-up that was begun, if it runs or has ended; None: it has to begin (again)."""
        directory = self.clean_up_directory(attempt)
        if not directory.is_dir():
            return None
        present = Supervised.adopted(
            directory, grace=self._settings.grace, timeout=CLEAN_UP_TIMEOUT, spares=False
        )
        return None if present.over and present.vanished else present

    def _start(
        self,
        command: Command,
        inherited: Mapping[str, str],
        directory: Path,
        attempt: AttemptId,
    ) -> Process:
        environment = {
            **inherited,
            **command.environment,
            **self._names,
            "COLDCHAIN_ACTION": str(attempt[0] + 1),
            "COLDCHAIN_ATTEMPT_NUMBER": str(attempt[1]),
        }
        return Process.start(
            directory,
            command.argv,
            environment=environment,
            working_directory=command.working_directory,
            log=self._log,
        )
