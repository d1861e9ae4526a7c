# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is told of a finished run.  A new one is a file of its own and a row of ``subscribers``."""

from __future__ import annotations

import logging

from coldchain.core.errors import ColdchainError
from coldchain.core.log_limit import LimitedLog
from coldchain.observe.ledger.subscriber import RunLedger
from coldchain.observe.records import RunEnded, Subscriber
from coldchain.runner.alerts import Alerts
from coldchain.store import Bounds, Store

log = logging.getLogger(__name__)


def subscribers(
    store: Store, bounds: Bounds, alerts: Alerts, ledger: RunLedger
) -> list[Subscriber]:
    """Those of every runner, in the order in which they are told.

    store: the database of the host; bounds: how much history is kept; alerts: tells people;
    ledger: puts runs down.
    """
    return [
        alerts,
        HistoryBounds(store, bounds),
        ledger,
    ]


class HistoryBounds:
    """Drops what is too much of a job's history after each of its runs."""

    def __init__(self, store: Store, bounds: Bounds) -> None:
        self._store, self._bounds = store, bounds
        self._troubles = LimitedLog(log)

    def __call__(self, ended: RunEnded) -> None:
        try:
            self._store.bound_history(ended.job_id, ended.run_id, self._bounds)
        except (ColdchainError, OSError) as error:  # the next run of the job tries again
            text = f"job {ended.job_id}: its history keeps too much: {error}"
            self._troubles.say("history", text, cause=getattr(error, "hint", ""))
        else:
            self._troubles.over("history", "histories are kept within their bounds again")
