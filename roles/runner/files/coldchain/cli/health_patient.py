# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checks of ``coldchain doctor`` look at."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldchain.agent.storages.kinds import LOCAL
from coldchain.cli.context import Call
from coldchain.cli.scopes import Scope, scope_of
from coldchain.core.errors import ColdchainError
from coldchain.store import JobRecord, Run

if TYPE_CHECKING:
    from coldchain.runner.outlook import Outlook


class Patient:
    """The host: its installation, and the jobs that are declared on it."""

    RUNS = 20
    """So many runs of a job are read."""

    def __init__(self, call: Call, runs: Mapping[str, list[Run]] | None = None) -> None:
        """runs: the newest ones of jobs, where they are known already.

        DataError when the settings cannot be understood, Unavailable when nothing is installed.
        """
        self.call, self.paths, self.settings = call, call.paths, call.settings
        self.store = call.store
        self.now = time.time()
        self._runs = dict(runs or {})

    @cached_property
    def records(self) -> Mapping[str, JobRecord]:
        """The declared jobs, in the order of their names."""
        return dict(sorted(self.store.jobs().items()))

    @cached_property
    def outlooks(self) -> Mapping[str, Outlook]:
        """What the runner will make of each job."""
        from coldchain.cli.preview import outlook_of

        return {
            job_id: outlook_of(record, self.store, self.settings, self.now)
            for job_id, record in self.records.items()
        }

    @cached_property
    def local_containers(self) -> Mapping[Path, str]:
        """The directories that jobs write backups to, and one job of each."""
        found: dict[Path, str] = {}
        for job_id, options in self.actions("backup"):
            if options.get("storage", LOCAL) == LOCAL:
                scope = self.scope(options)
                if scope is not None and scope.location.folder is not None:
                    found.setdefault(scope.location.folder, job_id)
        return found

    def scope(self, options: Mapping[str, Any]) -> Scope | None:
        """What an action writes or reads; None where this host cannot use the place, which
        ``status`` and ``--storages`` tell."""
        try:
            return scope_of(self.call, options)
        except ColdchainError:
            return None

    def runs(self, job_id: str) -> list[Run]:
        """The newest runs of a job, the newest first."""
        if job_id not in self._runs:
            self._runs[job_id] = self.store.history(job_id, self.RUNS)
        return self._runs[job_id][: self.RUNS]

    def actions(self, *kinds: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Job and canonical options of each action of these kinds, or of all, that may run."""
        for job_id, record in self.records.items():
            for entry in record.document["job_actions"]:
                options = entry["freezer_action"]
                if not record.stopped and (not kinds or options["action"] in kinds):
                    yield job_id, options


def some_of(jobs: list[str]) -> str:
    """Some jobs, for people: three of them by name."""
    return ", ".join(jobs[:3]) + (f" and {len(jobs) - 3} more" if jobs[3:] else "")
