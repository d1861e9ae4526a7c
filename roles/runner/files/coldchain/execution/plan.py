# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which action comes next: a pure function of what is declared and what has happened.

Freezer's rules: an action runs when all before it succeeded, or when it is mandatory; a failure is
never healed by a later success; an action is tried max_retries + 1 times, but not again when it
was ended by SIGTERM, or can only fail again.  Because the plan is a function of the record, a
restarted runner goes on exactly where the one before it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Union

from coldchain.core.instants import parse_duration

SOFT_FAILURE = 75
"""EX_TEMPFAIL: the command says that trying again soon is of no use ("not now")."""
DEFAULT_RETRY_INTERVAL = 60
LONGEST_PAUSE = 3.2e9
"""Seconds: a century, which no duration in a document exceeds."""

SUCCESS, FAIL, ABORTED, SKIPPED = "success", "fail", "aborted", "skipped"


class ActionSpec(NamedTuple):
    """One entry of job_actions.  timeout in seconds (None: no limit); retry_jitter in seconds."""

    action: dict[str, Any]
    mandatory: bool = False
    max_retries: int = 0
    max_retries_interval: float = DEFAULT_RETRY_INTERVAL
    retry_backoff: float = 1.0
    retry_jitter: float = 0.0
    timeout: int | None = None

    @classmethod
    def of(cls, entry: dict[str, Any]) -> ActionSpec:
        """Read an entry of a canonical document."""
        timeout = entry.get("timeout")
        return cls(
            action=entry["freezer_action"],
            mandatory=entry.get("mandatory", False),
            max_retries=entry.get("max_retries", 0),
            max_retries_interval=entry.get("max_retries_interval", DEFAULT_RETRY_INTERVAL),
            retry_backoff=entry.get("retry_backoff", 1.0),
            retry_jitter=parse_duration(entry.get("retry_jitter", 0)),
            timeout=None if timeout is None else parse_duration(timeout),
        )

    @property
    def name(self) -> str:
        """The action's own name, as in freezer_action."""
        return str(self.action.get("action", "backup"))

    def pause(self, attempts: int, chance: float) -> float:
        """Seconds before the attempt after *attempts*; *chance* in [0, 1) draws the jitter."""
        try:
            grown = self.max_retries_interval * self.retry_backoff ** (attempts - 1)
        except OverflowError:  # more than a float holds, unless it is times nothing
            grown = LONGEST_PAUSE if self.max_retries_interval else 0.0
        return float(min(grown, LONGEST_PAUSE) + chance * self.retry_jitter)


class Attempt(NamedTuple):
    """A finished attempt.  ended: POSIX seconds; hopeless: no other attempt can end otherwise."""

    result: str
    exit_code: int | None
    ended: float
    hopeless: bool = False


class Begin(NamedTuple):
    """Start attempt number *attempt* (from 1) of action number *action* (from 0), not before
    *at*."""

    action: int
    attempt: int
    at: float = 0.0


class Skip(NamedTuple):
    """Pass over action number *action* (from 0): an earlier one failed."""

    action: int


class Done(NamedTuple):
    """The run is over."""

    result: str


Step = Union[Begin, Skip, Done]


def next_step(
    specs: Sequence[ActionSpec],
    attempts: Sequence[Sequence[Attempt]],
    skipped: Sequence[bool],
    *,
    aborted: bool,
    killed: bool,
    chance: float = 0.0,
) -> Step:
    """The step after what has happened so far.

    attempts, skipped: one entry an action.  aborted: the run was told to end, so only mandatory
    actions still run; killed: it was told so twice (or the runner stops), so none does.
    """
    results: list[str] = []
    for index, spec in enumerate(specs):
        done = attempts[index]
        if skipped[index]:
            continue
        troubled = aborted or any(result != SUCCESS for result in results)
        if done:
            last = done[-1]
            if _again(spec, done, aborted or killed):
                return Begin(index, len(done) + 1, last.ended + spec.pause(len(done), chance))
            results.append(last.result)
        elif killed or (troubled and not spec.mandatory):
            return Skip(index)
        else:
            return Begin(index, 1)
    return Done(overall(results, aborted))


def _again(spec: ActionSpec, done: Sequence[Attempt], ending: bool) -> bool:
    last = done[-1]
    return (
        last.result == FAIL
        and len(done) <= spec.max_retries
        and last.exit_code != SOFT_FAILURE
        and not last.hopeless
        and not ending
    )


def overall(results: Sequence[str], aborted: bool) -> str:
    """A failure is sticky; the last one that is no success names the result, as in Freezer."""
    if aborted:
        return ABORTED
    failures = [result for result in results if result != SUCCESS]
    return failures[-1] if failures else SUCCESS
