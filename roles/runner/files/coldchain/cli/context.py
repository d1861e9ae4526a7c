# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every command gets: its arguments, the installation, the output."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from coldchain.cli.output import Output
from coldchain.core import host_zone
from coldchain.core.errors import ColdchainError, UnknownJob
from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.core.text import did_you_mean

if TYPE_CHECKING:
    from coldchain.store import JobRecord, State, Store


class Call:
    """One call of the command."""

    def __init__(self, arguments: argparse.Namespace, paths: Paths, output: Output) -> None:
        self.arguments, self.paths, self.output = arguments, paths, output

    @cached_property
    def settings(self) -> Settings:
        """The host's settings, in the zone that its runner works in."""
        settings = Settings.load(self.paths, host_zone.read(self.paths.zone))
        judge(self.paths, settings)
        if settings.zone_problem:
            self.output.note(f"warning: times are read in UTC: {settings.zone_problem}")
        return settings

    @cached_property
    def store(self) -> Store:
        """The store of an installation that is there; Unavailable when it is not."""
        return self.open_store(create=False)

    def open_store(self, *, create: bool) -> Store:
        """The store; create: make it where it is not there, else Unavailable."""
        from coldchain.store import WRITTEN_AGAIN, Store

        return Store.open(self.paths, create=create, patience=WRITTEN_AGAIN)

    def record(self, job_id: str) -> JobRecord:
        """The declared job, or one that was removed and whose last run goes on, or what is run
        once; UnknownJob names the near ones when there is none."""
        record = self.store.job(job_id)
        if record is None:
            state = self.store.state(job_id)
            if state is None or not (state.active or state.one_off):
                raise unknown_job(job_id, list(self.store.jobs()))
            record = self.undeclared(job_id, state)
        return record

    def put_down(self, what: str, fields: Mapping[str, Any]) -> None:
        """Put into the ledger what this command has done; what keeps it from that is told, and
        stops nothing.  Where nothing is installed, there is no ledger."""
        from coldchain.observe.ledger.format import act
        from coldchain.observe.ledger.writer import Ledger

        if not self.paths.lib.is_dir():
            return
        try:
            Ledger(self.paths.lib, self._ledger_entries).write(act(what, fields))
        except (ColdchainError, OSError) as error:
            text = getattr(error, "message", str(error)).partition("; nothing was")[0]
            self.output.note(f"warning: this is done, but not in the ledger: {text}")

    def begin_ledger(self) -> int:
        """For ``Store.declare``: see Ledger.begin."""
        from coldchain.observe.ledger.writer import Ledger

        return Ledger(self.paths.lib, self._ledger_entries).begin()

    def _ledger_entries(self) -> int:
        """How many the state knows of; the store is opened only where somebody has to know."""
        return self.store.ledger_entries()

    def undeclared(self, job_id: str, state: State) -> JobRecord:
        """Of a removed job whose last run goes on, or of what is run once (State.one_off): the
        document of the run, or of the one that comes first."""
        from coldchain.execution import runfile
        from coldchain.store import JobRecord

        document: dict[str, Any] = {"job_id": job_id, "job_actions": [], "job_schedule": {}}
        with contextlib.suppress(ValueError, ColdchainError):
            if state.active:
                document = runfile.read(self.paths.runs / str(state.run_id))[0]
            elif state.queue:
                document = state.queue[0].get("document", document)
        created = state.created or 0.0
        anchor = state.armed_anchor or created
        return JobRecord(job_id, document, state.revision, created, created, anchor)


def judge(paths: Paths, settings: Settings) -> None:
    """What the type of a setting cannot say; DataError."""
    if settings.notify:
        from coldchain.observe.notifiers.target import host_targets

        host_targets(paths, settings)


def unknown_job(job_id: str, job_ids: list[str]) -> UnknownJob:
    """The error for a job that is not among the *known* ones; it names those that are near."""
    hint = did_you_mean(job_id[:128], job_ids, most=3, likeness=0.5)
    if not hint and job_ids:
        hint = "coldchain list shows the jobs"
    elif not hint:
        hint = "no job is declared here; see coldchain apply"
    return UnknownJob(f"there is no job {job_id[:128]!r} on this host", hint)
