# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that declares and asks, and says on standard output what was acknowledged."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

from coldchain.core.paths import Paths
from coldchain.store import Change, Store

TICKING = ("tick-1", "tick-2")
SCHEDULES: tuple[dict[str, str], ...] = (
    {"status": "stop"},
    {"schedule_month": "2", "schedule_day": "29"},
    {"schedule_month": "2", "schedule_day": "29", "status": "stop"},
)
"""Of the jobs that do not tick: seldom due, stopped, and enabled again by the next declaration."""
JOBS = tuple(f"job-{number}" for number in range(8))


def document(job_id: str, serial: int) -> dict[str, Any]:
    """A job that is quick to run; *serial* tells one declaration of it from another."""
    schedule: dict[str, Any] = dict(SCHEDULES[serial % len(SCHEDULES)])
    if job_id in TICKING:
        schedule = {"schedule_interval": "1 seconds"}
    return {
        "job_id": job_id,
        "description": f"serial {serial}",
        "job_actions": [{"freezer_action": {"action": "exec", "command": ["true"]}}],
        "job_schedule": schedule,
    }


def main(home: str, seed: str) -> None:
    """Work until killed.  Every line printed is a promise: it happened and is on disk."""
    store = Store.open(Paths.under(Path(home)), create=True)
    chance = random.Random(seed)
    serial = int(seed) * 1_000_000
    while True:
        serial += 1
        job_id = chance.choice(JOBS)
        if chance.random() < 0.6:
            _say({"intent": "declare", "job_id": job_id, "serial": serial})
            store.apply([Change(job_id, document(job_id, serial))])
            _say({"done": "declare", "job_id": job_id, "serial": serial})
        else:
            by = f"selftest-{serial}"
            store.add_event(job_id, chance.choice(("start", "stop")), by)
            _say({"done": "event", "job_id": job_id, "by": by})


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
