# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``apply`` does to the declared jobs, to come to what is wanted.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from coldchain.core.errors import Problem
from coldchain.document import is_same
from coldchain.store import Change, JobRecord


class Accepted(NamedTuple):
    """One accepted document."""

    document: dict[str, Any]
    warnings: Sequence[Problem] = ()
    imported: Mapping[str, Any] = MappingProxyType({})

    @property
    def job_id(self) -> str:
        """The name of the job."""
        return str(self.document["job_id"])


class Entry(NamedTuple):
    """What apply does to one job; before and after are None where there is no job."""

    job_id: str
    change: str
    before: JobRecord | None
    after: Accepted | None

    @property
    def declared(self) -> Change:
        """What is written into the store for it."""
        if self.after is None:
            return Change(self.job_id, None)
        return Change(self.job_id, self.after.document, self.after.imported)


def plan(
    accepted: Sequence[Accepted],
    absent: Sequence[str],
    present: Mapping[str, JobRecord],
    *,
    purge: bool,
) -> list[Entry]:
    """What is to be done to come from *present* to what is wanted; pure."""
    entries = []
    for proposal in accepted:
        before = present.get(proposal.job_id)
        if before is None:
            change = "created"
        else:
            change = "unchanged" if is_same(before.document, proposal.document) else "updated"
        entries.append(Entry(proposal.job_id, change, before, proposal))
    kept = {proposal.job_id for proposal in accepted}
    gone = list(dict.fromkeys(absent))
    if purge:
        gone += sorted(set(present) - kept - set(gone))
    for job_id in gone:
        before = present.get(job_id)
        entries.append(Entry(job_id, "removed" if before else "unchanged", before, None))
    return entries
