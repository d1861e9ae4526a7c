# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner with 5, 1,000 and 10,000 jobs: start, memory, idle CPU, the command, lateness.

    .venv/bin/python tests/benchmarks/runner.py [JOBS ...]

A table of figure, goal and what was measured, the numbers of freezer-scheduler beside ours where it
can do the same.  It is taken from PATH, else from where the interoperability tests install it.
Wall-clock seconds are medians of REPEAT; those in brackets are the CPU's, which a busy machine
changes less.  The exit code says whether every goal was reached.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))

import guardian

# Whoever ends this in the middle leaves no runner behind.
guardian.start()

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "roles" / "runner" / "files"
# As a host runs it: isolated from the environment, its path set by the launcher.
LAUNCHER = "import sys; sys.path.insert(0, sys.argv.pop(1)); from coldchain.cli import main; main()"
COMMAND = [sys.executable, "-I", "-c", LAUNCHER, str(PACKAGE)]
BATCH = 1000
DUE = 100
REPEAT = 3
IDLE = 30.0
"""Seconds of watching; the kernel counts CPU time in hundredths."""

# (jobs, figure) -> what it has to be; * is any number of jobs
GOALS = {
    (5, "memory of serve, MB"): 22.0,
    (10000, "memory of serve, MB"): 90.0,
    (10000, "start until ready, s"): 1.5,
    (10000, "list --json, s"): 0.4,
    (10000, "apply of 1000 documents, s"): 1.0,
    (1000, "idle, % of a core"): 0.1,
    (10000, "100 jobs due at once: 99th begins after, s"): 1.0,
}


class Took(NamedTuple):
    """Wall-clock and CPU seconds."""

    wall: float
    cpu: float


class Table:
    """Prints a line for each figure and remembers whether a goal was missed."""

    def __init__(self) -> None:
        self.missed = 0
        print(f"{'jobs':>6}  {'figure':<44} {'goal':>6}  {'coldchain':<16} freezer-scheduler")

    def add(self, jobs: int, figure: str, ours: float | Took, theirs: str = "") -> None:
        goal = GOALS.get((jobs, figure))
        value = ours.wall if isinstance(ours, Took) else ours
        text = f"{value:.2f} ({ours.cpu:.2f})" if isinstance(ours, Took) else f"{value:.2f}"
        if goal is not None and value > goal:
            self.missed += 1
            text += "  MISSED"
        bound = "" if goal is None else f"{goal:g}"
        print(f"{jobs:>6}  {figure:<44} {bound:>6}  {text:<16} {theirs}".rstrip(), flush=True)


def backup(number: int) -> dict[str, Any]:
    return {
        "job_id": f"job-{number}",
        "description": f"nightly backup of part {number}",
        "job_actions": [
            {
                "freezer_action": {
                    "action": "backup",
                    "path_to_backup": f"/srv/data/{number}",
                    "backup_name": f"data-{number}",
                    "container": "nightly",
                    "max_level": 6,
                },
                "max_retries": 2,
            }
        ],
        "job_schedule": {
            "schedule_hour": str(number % 24),
            "schedule_minute": str(number % 60),
            "schedule_second": str(number % 59 + 1),
        },
    }


def due_at(number: int, instant: float) -> dict[str, Any]:
    text = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(instant))
    return {
        "job_id": f"due-{number}",
        # A path, as the first release left a name to the shell, which has a true of its own.
        "job_actions": [{"freezer_action": {"action": "exec", "command": ["/bin/true"]}}],
        "job_schedule": {"schedule_date": text},
    }


def command(home: Path, *words: str, given: Any = None) -> tuple[Took, str]:
    """What one call took, and what it said."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [*COMMAND, "--home", str(home), "--json", *words],
        input=None if given is None else json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
    )
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(wall, cpu), done.stdout


def median(took: list[Took]) -> Took:
    return Took(
        statistics.median(one.wall for one in took), statistics.median(one.cpu for one in took)
    )


@contextmanager
def started(words: list[str], sign: str, times: int = 1) -> Iterator[tuple[int, Took]]:
    """A process that has said *sign* so many times: its pid, and what that took."""
    began = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            times -= sign in line
            if times == 0:
                break
        yield process.pid, Took(time.perf_counter() - began, cpu(process.pid))
    finally:
        process.terminate()
        process.communicate()


def memory(pid: int) -> float:
    """Resident megabytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idleness(pid: int) -> float:
    """Percent of a core that *pid* uses while nothing is to do."""
    busy = cpu(pid)
    time.sleep(IDLE)
    return (cpu(pid) - busy) * 100 / IDLE


def measure(count: int, table: Table) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        for first in range(0, count, BATCH):
            batch = [backup(n) for n in range(first, min(first + BATCH, count))]
            apply, dummy = command(home, "apply", "-", given=batch)
        table.add(count, f"apply of {len(batch)} documents, s", apply)
        theirs = freezer(count)
        serve = [*COMMAND, "--home", str(home), "serve"]
        with started(serve, "runner ready") as (dummy, first_start):
            pass
        starts = []
        for number in range(REPEAT):
            with started(serve, "runner ready") as (pid, start):
                starts.append(start)
                if number < REPEAT - 1:
                    continue
                table.add(count, "first start until ready, s", first_start, theirs["start"])
                table.add(count, "start until ready, s", median(starts))
                time.sleep(2)
                idle = idleness(pid)
                table.add(count, "memory of serve, MB", memory(pid), theirs["memory"])
                table.add(count, "idle, % of a core", idle, theirs["idle"])
                lists = [command(home, "list")[0] for dummy in range(REPEAT)]
                table.add(count, "list --json, s", median(lists))
                ones = [command(home, "list", "job-1")[0] for dummy in range(REPEAT)]
                table.add(count, "list --json JOB, s", median(ones))
                lateness(home, pid, count, table)


def lateness(home: Path, pid: int, count: int, table: Table) -> None:
    """How late the first actions of DUE jobs of one second begin, with the default places."""
    instant = int(time.time()) + 8
    command(home, "apply", "-", given=[due_at(n, instant) for n in range(DUE)])
    names = [f"due-{n}" for n in range(DUE)]
    runs: list[dict[str, Any]] = []
    time.sleep(instant + 2 - time.time())  # to look meanwhile would take one of the cores
    while len(runs) < DUE:
        time.sleep(0.5)
        jobs = json.loads(command(home, "list", *names)[1])["jobs"]
        runs = [job["last_run"] for job in jobs if job["last_run"]]
    late = sorted(run["actions"][0]["time_started"] - instant for run in runs)
    figure = f"{DUE} jobs due at once:"
    table.add(count, f"{figure} median begins after, s", late[DUE // 2])
    table.add(count, f"{figure} 99th begins after, s", late[-2])
    table.add(count, f"memory of serve after {DUE} runs, MB", memory(pid))


def freezer(count: int) -> dict[str, str]:
    """The same documents in freezer-scheduler without an API: start, memory, idle."""
    installed = sorted(ROOT.glob("build/venvs/freezer*/bin/freezer-scheduler"))
    program = shutil.which("freezer-scheduler") or next(map(str, installed), None)
    if program is None:
        missing = "not here: make interop installs it"
        return {"start": missing, "memory": missing, "idle": missing}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(count):
            document = backup(number)
            document["job_schedule"]["event"] = "start"
            Path(scratch, f"{number}.conf").write_text(json.dumps(document))
        words = [program, "--no-api", "--no-daemon", "--conf", scratch, "start"]
        with started(words, "scheduler job with parameters", count) as (pid, start):
            time.sleep(2)
            return {
                "start": f"{start.wall:.2f} ({start.cpu:.2f})",
                "memory": f"{memory(pid):.2f}",
                "idle": f"{idleness(pid):.2f}",
            }


def main() -> int:
    table = Table()
    for count in [int(word) for word in sys.argv[1:]] or [5, 1000, 10000]:
        measure(count, table)
    return min(table.missed, 1)


if __name__ == "__main__":
    sys.exit(main())
