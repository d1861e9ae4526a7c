# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a finished run tells: one record, handed to everybody who wants to know.

Metrics, notifiers, the guard and the ledger are subscribers: each is a file of its own and a row
in the list that runner/subscribers.py makes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from coldchain.core.log_limit import LimitedLog
from coldchain.observe.findings import Finding

log = logging.getLogger(__name__)


class RunEnded(NamedTuple):
    """A run of a job that is over, on record, and whose state is on disk.

    record: the RUN as docs/reference/command.md describes it; document: the canonical document that
    the run was started with, whatever is declared now; previous: the RUN that the same job finished
    before, None for the first one that is known.
    """

    record: Mapping[str, Any]
    document: Mapping[str, Any]
    previous: Mapping[str, Any] | None = None

    @property
    def job_id(self) -> str:
        """The job whose run it was."""
        return str(self.record["job_id"])

    @property
    def run_id(self) -> str:
        """The run's own name, which its log has too."""
        return str(self.record["run_id"])

    @property
    def cause(self) -> str:
        """Why it began: schedule, event, catch-up or retry."""
        return str(self.record["cause"])

    @property
    def scheduled_for(self) -> str:
        """The slot that it ran for, an ISO instant in UTC."""
        return str(self.record["scheduled_for"])

    @property
    def time_started(self) -> float:
        """POSIX seconds."""
        return float(self.record["time_started"])

    @property
    def time_ended(self) -> float:
        """POSIX seconds; may lie before time_started when somebody set the clock meanwhile."""
        return float(self.record["time_ended"])

    @property
    def result(self) -> str:
        """success, fail or aborted."""
        return str(self.record["result"])

    @property
    def reason(self) -> str:
        """Why the run was ended from outside; "" when its actions decided."""
        return str(self.record.get("reason", ""))

    @property
    def actions(self) -> Sequence[Mapping[str, Any]]:
        """What became of each action: result, attempts, exit_code, message, times, and `report`
        where a backup, restore or admin action has told what it did."""
        actions: Sequence[Mapping[str, Any]] = self.record["actions"]
        return actions

    @property
    def findings(self) -> list[Finding]:
        """What the guard has found in it, beside its history."""
        return [Finding.from_dict(entry) for entry in self.record.get("findings", ())]


Subscriber = Callable[[RunEnded], None]
"""Is called once for each finished run; what it raises is logged and harms nobody else."""


@runtime_checkable
class Stepping(Protocol):
    """A subscriber that has something to do beside the runs."""

    def step(self) -> None:
        """Called with each tick of the runner's loop: must not wait for anything."""

    def close(self) -> None:
        """Called once, when the runner leaves."""


_logger = LimitedLog(log)


def stepping(subscribers: Sequence[object]) -> Sequence[Stepping]:
    """Those among *subscribers* that have something to do beside the runs."""
    return [subscriber for subscriber in subscribers if isinstance(subscriber, Stepping)]


def step(subscribers: Sequence[Stepping]) -> None:
    """Let each of *subscribers* go on."""
    for subscriber in subscribers:
        try:
            subscriber.step()
        except Exception:
            text = f"{type(subscriber).__qualname__} failed"
            _logger.exception(text, text)


def close(subscribers: Sequence[Stepping]) -> None:
    """Tell each of *subscribers* that the runner leaves."""
    for subscriber in subscribers:
        try:
            subscriber.close()
        except Exception:
            text = f"{type(subscriber).__qualname__} failed at the end"
            _logger.exception(text, text)


def publish(ended: RunEnded, subscribers: Sequence[Subscriber]) -> None:
    """Hand *ended* to each of *subscribers*; one that fails keeps no other from it."""
    for subscriber in subscribers:
        try:
            subscriber(ended)
        except Exception:
            name = getattr(subscriber, "__qualname__", type(subscriber).__qualname__)
            log.exception("job %s: %s failed after its run", ended.job_id, name)
