# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard at work in the runner: each run is looked at before it is put on record."""

from __future__ import annotations

import logging

from coldchain.observe import guard
from coldchain.observe.guard import Sample
from coldchain.store import Document, Run, Store

_NEWEST = 8
"""So many runs of a job mostly tell that there is nothing to find; then no others are read."""
_REMEMBERED = 120 * _NEWEST
"""Runs that stay in memory, about 0.5 kB each: those of jobs that run again and again."""

log = logging.getLogger(__name__)


class Guarding:
    """Says what is unusual about runs, of which it remembers those of the newest jobs."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, list[Sample]] = {}
        self._number = 0  # of all runs in it

    def look(self, run: Run, document: Document) -> list[dict[str, str]]:
        """The findings about *run*, which has ended and is not on record yet, in their JSON form.

        document: what it was started with.  A history that cannot be read, and an error of ours,
        harm no run: there is no finding then.
        """
        try:
            return self._look(run, document)
        except Exception:
            log.exception("job %s: its run could not be compared with those before", run["job_id"])
            return []

    def _look(self, run: Run, document: Document) -> list[dict[str, str]]:
        checks = guard.wanted(document)
        if not checks or "request" in run:
            return []
        job_id, sample = run["job_id"], guard.sample_of(run)
        known = self._known.pop(job_id, None)
        if known is not None:
            self._number -= len(known)
        else:
            known = self._recorded(job_id, _NEWEST)
        # It is there already when it is recorded a second time.
        before = [old for old in known if old.run_id != sample.run_id]
        found: list[dict[str, str]] = []
        if len(known) < _NEWEST or not guard.is_usual(sample, before):
            if len(known) >= _NEWEST:
                every = self._recorded(job_id, guard.KNOWN)
                before = [old for old in every if old.run_id != sample.run_id]
            found = guard.entries(job_id, sample.run_id, guard.judge(sample, before, checks))
        self._known[job_id] = [sample, *before[: _NEWEST - 1]]
        self._number += len(self._known[job_id])
        while self._number > _REMEMBERED:
            self._number -= len(self._known.pop(next(iter(self._known))))
        for finding in found:
            log.warning("job %s: %s", job_id, finding["text"])
        return found

    def _recorded(self, job_id: str, limit: int) -> list[Sample]:
        return [guard.sample_of(old) for old in self._store.history(job_id, limit)]
