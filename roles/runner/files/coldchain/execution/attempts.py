# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of one run: each attempt of an action, and the clean-up after a killed one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.execution import attempt_files, launch
from coldchain.execution.command import Command
from coldchain.execution.plan import ActionSpec
from coldchain.execution.process import Process
from coldchain.execution.run_log import RunLog
from coldchain.execution.supervision import Supervised

CLEAN_UP_TIMEOUT = 600.0
"""Seconds for removing what a killed action left: a restore's folder may hold millions of files."""

AttemptId = tuple[int, int]
"""Index of the action from 0, number of the attempt from 1."""


class Attempts:
    """Starts the processes of the run in *directory*, and finds them again after a restart.

    log: what their output is appended to; names: variables that they all see.
    """

    def __init__(
        self,
        directory: Path,
        log: RunLog,
        paths: Paths,
        settings: Settings,
        names: Mapping[str, str],
    ) -> None:
        self._directory, self._log = directory, log
        self._paths, self._settings, self._names = paths, settings, names

    def path(self, attempt: AttemptId) -> Path:
        """The path that the files of an attempt begin with."""
        return Path(f"{self._directory}/{attempt[0] + 1}.{attempt[1]}")

    def clean_up_path(self, attempt: AttemptId) -> Path:
        """The path that the files of the clean-up after an attempt begin with."""
        return self._directory / f"{attempt[0] + 1}.{attempt[1]}.clean-up"

    def begin(self, spec: ActionSpec, attempt: AttemptId) -> Supervised:
        """Start an attempt.  Raises a ColdchainError or OSError when it cannot be started."""
        executor, path = launch.executor_of(spec), self.path(attempt)
        command = executor.process(spec, self._paths, self._settings, path)
        process = self._start(command, executor.inherited(), path, attempt)
        return Supervised(
            process, grace=self._settings.grace, timeout=spec.timeout, spares=executor.spares
        )

    def find(self, spec: ActionSpec, attempt: AttemptId) -> Supervised | None:
        """What an earlier runner has begun, which may be over; None when it has not.

        Raises Unavailable when it cannot be found out whether it still runs.
        """
        path = self.path(attempt)
        if not attempt_files.has_begun(path):
            return None
        return Supervised.adopted(
            path,
            grace=self._settings.grace,
            timeout=spec.timeout,
            spares=launch.executor_of(spec).spares,
        )

    def begin_clean_up(self, spec: ActionSpec, attempt: AttemptId) -> Supervised:
        """Start the clean-up after a killed attempt, from its beginning.

        Raises a ColdchainError or OSError when it cannot be started.
        """
        path = self.clean_up_path(attempt)
        attempt_files.remove(path)
        command = launch.clean_up_of(spec, self._paths, path)
        inherited = launch.executor_of(spec).inherited()
        process = self._start(command, inherited, path, attempt)
        return Supervised(
            process, grace=self._settings.grace, timeout=CLEAN_UP_TIMEOUT, spares=False
        )

    def find_clean_up(self, attempt: AttemptId) -> Supervised | None:
        """The clean-up that was begun, if it runs or has ended; None: it has to begin (again)."""
        path = self.clean_up_path(attempt)
        if not attempt_files.has_begun(path):
            return None
        present = Supervised.adopted(
            path, grace=self._settings.grace, timeout=CLEAN_UP_TIMEOUT, spares=False
        )
        return None if present.over and present.vanished else present

    def _start(
        self,
        command: Command,
        inherited: Mapping[str, str],
        path: Path,
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
            path,
            command.argv,
            environment=environment,
            working_directory=command.working_directory,
            log=self._log,
        )
