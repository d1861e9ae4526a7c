# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus' text format: what monitoring sees of a host (docs/reference/metrics.md).  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from coldchain.observe.tally import RESULTS, Tally

_GAUGE, _COUNTER = "gauge", "counter"
#: Metric -> its type and what it tells.
METRICS: dict[str, tuple[str, str]] = {
    "coldchain_build_info": (_GAUGE, "1, with the version of the program and of its Python."),
    "coldchain_updated_timestamp_seconds": (_GAUGE, "When these metrics were made."),
    "coldchain_runner_up": (_GAUGE, "1 if a runner was at work then."),
    "coldchain_runner_start_time_seconds": (_GAUGE, "When that runner began."),
    "coldchain_clock_trusted": (_GAUGE, "1 if the runner believes the clock of the host."),
    "coldchain_ledger_entries": (_GAUGE, "How many entries the ledger has."),
    "coldchain_ledger_intact": (_GAUGE, "0 if a look at the ledger finds it altered or locked."),
    "coldchain_container_free_bytes": (
        _GAUGE,
        "Space left in a local container, as of the last backup into it.",
    ),
    "coldchain_job_state": (_GAUGE, "1 for the state that coldchain status tells of the job."),
    "coldchain_job_needs_attention": (_GAUGE, "1 if somebody has to do something about the job."),
    "coldchain_job_next_run_timestamp_seconds": (_GAUGE, "When the job is due next."),
    "coldchain_job_expect_success_within_seconds": (
        _GAUGE,
        "The age that the last success of the job may have.",
    ),
    "coldchain_job_runs_total": (_COUNTER, "Finished runs of the job by result."),
    "coldchain_job_retries_total": (_COUNTER, "Attempts of the job's actions after the first."),
    "coldchain_job_last_run_timestamp_seconds": (_GAUGE, "When the last run of the job ended."),
    "coldchain_job_last_run_duration_seconds": (_GAUGE, "How long the last run of the job took."),
    "coldchain_job_last_run_success": (_GAUGE, "1 if the last run of the job succeeded."),
    "coldchain_job_last_success_timestamp_seconds": (
        _GAUGE,
        "When the last successful run of the job ended.",
    ),
    "coldchain_job_last_success_read_bytes": (
        _GAUGE,
        "What the actions of the last success read from files, or restored.",
    ),
    "coldchain_job_last_success_files": (
        _GAUGE,
        "Files that the actions of the last success stored or restored.",
    ),
    "coldchain_job_last_success_stored_bytes": (
        _GAUGE,
        "What the backups of the last success take in their container.",
    ),
    "coldchain_job_last_verify_timestamp_seconds": (
        _GAUGE,
        "When a backup of the job was last verified and found sound on this host.",
    ),
    "coldchain_job_verify_damaged": (
        _GAUGE,
        "1 if the last verification of a level of the job's backups found damage.",
    ),
}


class HostFacts(NamedTuple):
    """What the metrics tell of the host itself.

    now, since: POSIX seconds, of these facts and of the runner's start; ledger: the number of
    its entries and whether it looks whole, None without; free: bytes by container.
    """

    now: float
    version: str
    python: str
    up: bool
    since: float | None
    clock_trusted: bool
    ledger: tuple[int, bool] | None
    free: Mapping[str, int]


class JobFacts(NamedTuple):
    """What the metrics tell of one job.

    state, needs: see JobStatus; next_run: POSIX seconds; within: seconds; verified: POSIX seconds
    of the newest sound verification; damaged: None when there was none at all.
    """

    job_id: str
    state: str
    needs: bool
    next_run: float | None
    within: float | None
    tally: Tally
    verified: float | None
    damaged: bool | None


_Add = Callable[[str, str, "float | None"], None]  # a metric, its labels as text, its value


def exposition(host: HostFacts, jobs: Sequence[JobFacts]) -> bytes:
    """The text of all metrics, those of one name together."""
    lines: dict[str, list[str]] = {name: [] for name in METRICS}

    def add(name: str, labels: str, value: float | None) -> None:
        if value is not None:
            lines[name].append(f"{name}{labels} {_number(value)}")

    _host(host, add)
    for job in jobs:
        _job(job, add)
    text = []
    for name, samples in lines.items():
        if samples:
            kind, told = METRICS[name]
            text += [f"# HELP {name} {told}", f"# TYPE {name} {kind}", *samples]
    return ("\n".join(text) + "\n").encode("utf-8", "backslashreplace")


def _host(host: HostFacts, add: _Add) -> None:
    add("coldchain_build_info", labels(version=host.version, python=host.python), 1)
    add("coldchain_updated_timestamp_seconds", "", host.now)
    add("coldchain_runner_up", "", host.up)
    add("coldchain_runner_start_time_seconds", "", host.since)
    add("coldchain_clock_trusted", "", host.clock_trusted)
    if host.ledger is not None:
        add("coldchain_ledger_entries", "", host.ledger[0])
        add("coldchain_ledger_intact", "", host.ledger[1])
    for container, free in sorted(host.free.items()):
        add("coldchain_container_free_bytes", labels(container=container), free)


def _job(job: JobFacts, add: _Add) -> None:
    mine, tally = labels(job_id=job.job_id), job.tally
    add("coldchain_job_state", labels(job_id=job.job_id, state=job.state), 1)
    add("coldchain_job_needs_attention", mine, job.needs)
    add("coldchain_job_next_run_timestamp_seconds", mine, job.next_run)
    add("coldchain_job_expect_success_within_seconds", mine, job.within)
    for result in RESULTS:
        counted = labels(job_id=job.job_id, result=result)
        add("coldchain_job_runs_total", counted, getattr(tally, result))
    add("coldchain_job_retries_total", mine, tally.retries)
    add("coldchain_job_last_run_timestamp_seconds", mine, tally.ended)
    add("coldchain_job_last_run_duration_seconds", mine, tally.seconds)
    if tally.result:
        add("coldchain_job_last_run_success", mine, tally.result == RESULTS[0])
    add("coldchain_job_last_success_timestamp_seconds", mine, tally.good)
    add("coldchain_job_last_success_read_bytes", mine, tally.read)
    add("coldchain_job_last_success_files", mine, tally.files)
    add("coldchain_job_last_success_stored_bytes", mine, tally.stored)
    add("coldchain_job_last_verify_timestamp_seconds", mine, job.verified)
    add("coldchain_job_verify_damaged", mine, job.damaged)


_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def labels(**values: str) -> str:
    """Labels as the format wants them, whatever their values are."""
    return "{" + ",".join(f'{k}="{v.translate(_ESCAPES)}"' for k, v in values.items()) + "}"


def _number(value: float) -> str:
    """An integer where it is one; milliseconds of the rest."""
    number = float(value)
    return str(int(number)) if number == int(number) else repr(round(number, 3))


def verifications(
    containers: Mapping[str, Mapping[str, Mapping[str, Iterable[object]]]],
    series: Iterable[tuple[str, str]],
) -> tuple[float | None, bool | None]:
    """When a level of one of *series* was last found sound, and whether another is damaged.

    containers: what ``verified.json`` holds (agent/receipts.py); the place of a remote container
    has its server after what the report of a run tells.
    """
    times, damaged, known = [], False, False
    for place, name in series:
        for key, hosts in containers.items():
            if key != place and not key.startswith(f"{place} "):
                continue
            for when, _how, result in hosts.get(name, {}).values():
                known = True
                if result == "sound" and isinstance(when, (int, float)):
                    times.append(float(when))
                elif result == "damaged":
                    damaged = True
    return max(times, default=None), damaged if known else None
