# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions without a server: jobs of one session_id, whose runs of one slot have the same tag.

The tag is the slot in seconds since 1970, on every host the same; what belongs together is found by
it afterwards, and nobody has to coordinate anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coldchain.cli.context import Call
from coldchain.core.errors import DataError, UsageError
from coldchain.lifecycle import ABORTING, RUNNING
from coldchain.store import Run

_ALL = 1 << 30


def session_runs(call: Call) -> list[Run]:
    """The finished runs that --session and --tag ask for, the newest first, of JOB or of all jobs.

    Raises UsageError for a --tag without --session, DataError when no run is one of them.
    """
    arguments = call.arguments
    session, tag = arguments.session, arguments.tag
    if session is None:
        raise UsageError("--tag: of which session?", "name it: --session ID")
    job = getattr(arguments, "job", None)
    # What is not declared any more has left its record all the same.
    jobs = [job] if job is not None else sorted({*call.store.jobs(), *call.store.states()})
    runs = [
        run
        for job_id in jobs
        for run in call.store.history(job_id, _ALL)
        if run.get("session_id") == session and tag in (None, run.get("session_tag"))
    ]
    if not runs:
        tagged = "" if tag is None else f" with tag {tag}"
        whose = "on this host" if job is None else f"of job {job}"
        raise DataError(
            f"no run {whose} belongs to session {session!r}{tagged}",
            f"coldchain list --session {session} shows its jobs and its newest tag",
        )
    return sorted(runs, key=lambda run: (run["time_started"], run["run_id"]), reverse=True)


def written_points(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What the backups of *runs* reported: hostname, backup_name, chain, level, time_stamp, ..."""
    return [
        action["report"]
        for run in runs
        for action in run.get("actions", [])
        if isinstance(action.get("report"), dict) and "time_stamp" in action["report"]
    ]


def point_key(point: Mapping[str, Any]) -> tuple[object, ...]:
    """What tells one point in time from every other one on a host."""
    names = ("storage", "container", "hostname", "backup_name", "chain", "level", "time_stamp")
    return tuple(point.get(name) for name in names)


def summary(jobs: Sequence[Mapping[str, Any]], session: str) -> dict[str, Any]:
    """How the newest run of a session went on this host.

    jobs: those of the session as ``list`` shows them.  {"session_id", "session_tag", "result":
    running while one of them runs, fail when one has failed or was aborted, success when all have
    succeeded, "" when not all have run yet, "jobs": {job_id: its result with that tag, "" when it
    has none}}; session_tag is None before the first run.
    """
    last = {job["job_id"]: job["last_run"] or {} for job in jobs}
    tags = [run["session_tag"] for run in last.values() if run.get("session_id") == session]
    tag = max(tags, default=None)
    results = {
        job_id: str(run.get("result", ""))
        if tag is not None and run.get("session_id") == session and run.get("session_tag") == tag
        else ""
        for job_id, run in last.items()
    }
    if any(job["status"] in (ABORTING, RUNNING) for job in jobs):
        result = "running"
    elif {"fail", "aborted"} & set(results.values()):
        result = "fail"
    else:
        result = "success" if results and all(results.values()) else ""
    return {"session_id": session, "session_tag": tag, "result": result, "jobs": results}
