# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a document is judged against, and what the judgement finds."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from coldchain.core.errors import DataError, Problem
from coldchain.document.json_path import Place, json_path
from coldchain.document.vocabulary import Vocabulary
from coldchain.schedule import Trigger

_ENDS = {"schedule_date", "schedule_end_date"}


_PROJECT_CLIENT = re.compile(r"[0-9a-fA-F]{32}_(.+)", re.DOTALL)


def host_of(document: Mapping[str, Any], here: str) -> str:
    """The client_id of the host that a document is for, without the project that Freezer's API has
    before it; *here* where it names no other."""
    client = str(document.get("client_id", here))
    project = None if client == here else _PROJECT_CLIENT.fullmatch(client)
    return client if project is None else project[1]


class Context(NamedTuple):
    """What a document is checked against.

    client_id: the host's own, None when any client will do; host: then the one that documents are
    for which name none; zone: of naive dates; now: aware;
    vocabulary: the names that documents may use;
    allow_exec: whether the host runs exec actions; last_duration: seconds that the last run of
    the job with this id took, None when there was none; anchor: what (job_id, canonical schedule)
    counts from when the job is declared with that schedule already, None when it is not, so that
    it counts from now; job_id: the name of a document that has none, "" when it has to have one;
    declares: the document becomes a job of the host, which an action does under its name only;
    variables: names of those that are set where the actions will run; foresee: tells of a job_id
    and its canonical schedule, which ends, whether the runner will run it, None where no runner is
    known.
    """

    client_id: str | None
    zone: tzinfo
    now: datetime
    vocabulary: Vocabulary
    allow_exec: bool = True
    last_duration: Callable[[str], float | None] = lambda job_id: None
    anchor: Callable[[str, Mapping[str, Any]], datetime | None] = lambda job_id, schedule: None
    job_id: str = ""
    declares: bool = False
    variables: Collection[str] = ()
    foresee: Callable[[str, Mapping[str, Any]], bool] | None = None
    host: str = ""

    def will_run(self, job_id: str, schedule: Mapping[str, Any], trigger: Trigger) -> bool:
        """Whether a canonical schedule leads to a run, once the job is declared with it."""
        coming = trigger.next(self.now) is not None
        # What has no end runs: to foresee that of a thousand documents takes a fifth of the time.
        endless = not _ENDS & schedule.keys()
        if self.foresee is None or (coming and endless):
            return coming
        return self.foresee(job_id, schedule)

    def for_a_run(self, job_id: str, variables: Collection[str]) -> Context:
        """The same for a document that is run here and now (see job_id, variables)."""
        return self._replace(job_id=job_id, variables=frozenset(variables))


class Findings:
    """What is wrong with one document.

    bad: the places that the schema has refused and that are gone from the document.
    """

    def __init__(
        self, errors: list[Problem], warnings: list[Problem], bad: Collection[Place]
    ) -> None:
        self.errors, self.warnings, self.bad = errors, warnings, bad

    def error(self, place: Place, message: str, hint: str = "") -> None:
        """Add an error at *place*; hint: what to write instead."""
        self.errors.append(Problem(json_path(place), message, hint))

    def warn(self, place: Place, message: str, hint: str = "") -> None:
        """Add a warning about *place*; hint: what to write instead."""
        self.warnings.append(Problem(json_path(place), message, hint))

    def refused(self, place: Place) -> bool:
        """Whether the schema has refused what stands at *place* of an action, or its default."""
        return place in self.bad or ("action_defaults", place[-1]) in self.bad

    def any_refused(self, within: Place) -> bool:
        """Whether the schema has refused anything at *within* or below."""
        return any(place[: len(within)] == within for place in self.bad)

    @contextmanager
    def reported(self, place: Place) -> Iterator[None]:
        """Turn the agent's own complaint about one option into an error at *place*."""
        try:
            yield
        except DataError as error:
            self.error(place, error.message.partition(": ")[2], error.hint)
