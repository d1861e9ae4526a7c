# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the runs of a fleet took, from the JSON that the playbooks status and report write.

Imports nothing of ours: on a controller the lookup slots loads this file alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

WAY_OUT = "ansible-playbook coldchain.freezer.status -e coldchain_status_json=FILE"


def measured(files: Iterable[tuple[str, Any]]) -> dict[tuple[str, str], int]:
    """Seconds of the longest run that the files know of, by (host in the inventory, job_id).

    files: path and content of each.  Raises ValueError for a content that is something else.
    """
    found: dict[tuple[str, str], int] = {}
    for path, content in files:
        try:
            told_by = _of_report if isinstance(content["hosts"], dict) else _of_status
            for (host, job_id), seconds in told_by(content):
                key = (str(host), str(job_id))
                found[key] = max(found.get(key, 0), math.ceil(seconds))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError):
            raise ValueError(f"{path} is not what playbook status or report writes") from None
    return {key: seconds for key, seconds in found.items() if seconds > 0}


def _of_status(content: dict[str, Any]) -> Iterator[tuple[tuple[str, str], float]]:
    for host in content["hosts"]:
        status = host.get("status") or {}
        for job in status.get("jobs", ()):
            run = job.get("last_run") or {}
            took = (run.get("time_ended") or 0) - (run.get("time_started") or 0)
            yield (host["host"], job["job_id"]), took
        for history in status.get("runs", ()):
            column = history["columns"].index("seconds")
            for row in history["rows"]:
                yield (host["host"], history["job_id"]), row[column]


def _of_report(content: dict[str, Any]) -> Iterator[tuple[tuple[str, str], float]]:
    """The runs that a report lists singly."""
    hosts, jobs = content["hosts"], content["jobs"]
    names = [row[hosts["columns"].index("name")] for row in hosts["rows"]]
    places = [jobs["columns"].index(column) for column in ("host", "job_id", "recent")]
    for row in jobs["rows"]:
        host, job_id, recent = (row[place] for place in places)
        for seconds in recent[2] if recent else ():
            yield (names[host], job_id), seconds
