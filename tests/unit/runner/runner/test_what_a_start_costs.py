# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is loaded at a start has no garbage in it, so that nobody has to look for some meanwhile."""

from __future__ import annotations

import gc
from typing import Any

from coldchain.runner.jobs import Jobs
from coldchain.store import Store


def test_loading_leaves_nothing_to_collect(host: Any) -> None:
    schedules: list[Any] = [
        {},
        {"schedule_hour": "3", "schedule_splay": "1 hour", "missed": {"run": "all"}},
        {"schedule_interval": "5 minutes"},
        {"schedule_interval": "continuous"},
        {"schedule_boot": True},
        {"schedule_minute": "*", "blackout": [{"start": "08:00", "end": "18:00"}]},
        {"schedule_hour": "25"},  # which no host can use
    ]
    for number, schedule in enumerate(schedules * 3):
        host.declare(f"j{number}", "true", schedule=schedule)

    def load() -> Jobs:
        jobs = Jobs(Store.open(host.paths, create=True), host.settings)
        jobs.reload()
        jobs.states.commit()
        return jobs

    load()  # with all that is imported or made once
    gc.collect()
    gc.disable()
    try:
        jobs = load()
        assert gc.collect() == 0
    finally:
        gc.enable()
    assert len(jobs.states) == len(schedules) * 3
    jobs.store.close()
