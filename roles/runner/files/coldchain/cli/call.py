# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every command gets: its arguments, the installation, the output."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from coldchain.cli.output import Output
from coldchain.errors import DataError
from coldchain.paths import Paths
from coldchain.settings import Settings

if TYPE_CHECKING:
    from coldchain.store import JobRecord, State, Store


@dataclass(frozen=True)
class Call:
    """One call of the command."""

    arguments: argparse.Namespace
    paths: Paths
    output: Output

    @cached_property
    def settings(self) -> Settings:
        return Settings.load(self.paths)

    @cached_property
    def store(self) -> Store:
        """The store of an installation that is there; Unavailable when it is not."""
        return self.open_store(create=False)

    def open_store(self, *, create: bool) -> Store:
        from coldchain.store import Store

        return Store.open(self.paths, create=create)

    def record(self, job_id: str) -> JobRecord:
        """The declared job; DataError names the near ones when it is unknown."""
        record = self.store.job(job_id)
        if record is None:
            raise unknown_job(job_id, list(self.store.jobs()))
        return record

    def state(self, record: JobRecord) -> State:
        from coldchain.store import State

        return self.store.state(record.job_id) or State.initial(record)


def unknown_job(job_id: str, known: list[str]) -> DataError:
    from difflib import get_close_matches

    near = get_close_matches(job_id[:128], known, 3, 0.5)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    elif known:
        hint = "coldchain list shows the jobs"
    else:
        hint = "no job is declared here; see coldchain apply"
    return DataError(f"there is no job {job_id[:128]!r} on this host", hint)
