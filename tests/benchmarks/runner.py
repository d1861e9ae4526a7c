# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner with 5, 1,000 and 10,000 jobs: start, memory, idle CPU, the command, lateness.

    .venv/bin/python tests/benchmarks/runner.py [JOBS ...]

With freezer-scheduler in PATH, its start and memory with as many jobs stand beside ours.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[2] / "roles" / "runner" / "files"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PACKAGE)}
COMMAND = [sys.executable, "-m", "coldchain"]
DUE = 100


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
        "job_actions": [{"freezer_action": {"action": "exec", "command": ["true"]}}],
        "job_schedule": {"schedule_date": text},
    }


def command(home: Path, *words: str, given: Any = None) -> tuple[float, str]:
    """Seconds of one call, and what it said."""
    began = time.perf_counter()
    done = subprocess.run(
        [*COMMAND, "--home", str(home), "--json", *words],
        input=None if given is None else json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
        env=ENVIRONMENT,
    )
    return time.perf_counter() - began, done.stdout


def start(words: list[str], sign: str) -> tuple[subprocess.Popen[str], float]:
    """A process and the seconds until it said *sign* on standard error."""
    began = time.perf_counter()
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert process.stderr is not None
    for line in process.stderr:
        if sign in line:
            break
    return process, time.perf_counter() - began


def memory(pid: int) -> float:
    """Resident megabytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(count: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        (home / "etc").mkdir(mode=0o700)
        conf = home / "etc" / "runner.conf"
        conf.write_text("[runner]\nconcurrent_jobs = 16\n")
        for first in range(0, count, 1000):
            batch = [backup(n) for n in range(first, min(first + 1000, count))]
            took, _ = command(home, "apply", "-", given=batch)
        print(f"{count} jobs: apply of the last {len(batch)}: {took:.2f} s", end="")
        runner, first_start = start([*COMMAND, "--home", str(home), "serve"], "runner ready")
        runner.terminate()
        runner.communicate()
        runner, second = start([*COMMAND, "--home", str(home), "serve"], "runner ready")
        try:
            print(f"; first start {first_start:.2f} s, later {second:.2f} s", end="")
            print(f", RSS {memory(runner.pid):.1f} MB", end="", flush=True)
            before = cpu(runner.pid)
            time.sleep(10)
            print(f", idle {(cpu(runner.pid) - before) * 10:.2f} % of a core")
            listed = statistics.median(command(home, "list")[0] for _ in range(5))
            one = statistics.median(command(home, "list", "job-1")[0] for _ in range(5))
            print(f"  list: {listed:.3f} s, of one job: {one:.3f} s")
            lateness(home, runner.pid)
        finally:
            runner.terminate()
            runner.communicate()


def lateness(home: Path, pid: int) -> None:
    """How late DUE jobs of one second begin and are done."""
    instant = int(time.time()) + 8
    command(home, "apply", "-", given=[due_at(n, instant) for n in range(DUE)])
    runs: list[dict[str, Any]] = []
    while len(runs) < DUE:
        time.sleep(0.5)
        jobs = json.loads(command(home, "list")[1])["jobs"]
        runs = [job["last_run"] for job in jobs if job["job_id"].startswith("due-")]
        runs = [run for run in runs if run]
    late = sorted(run["time_started"] - instant for run in runs)
    print(
        f"  {DUE} jobs due in one second begin after {late[0]:.2f} s (first),"
        f" {late[DUE // 2]:.2f} s (median), {late[-2]:.2f} s (99th of 100)"
        f"; RSS {memory(pid):.1f} MB"
    )


def freezer(count: int) -> None:
    """The same number of documents in freezer-scheduler without an API."""
    program = shutil.which("freezer-scheduler")
    if program is None:
        print("freezer-scheduler is not in PATH: not measured")
        return
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(count):
            document = backup(number)
            document["job_schedule"]["event"] = "start"
            Path(scratch, f"{number}.conf").write_text(json.dumps(document))
        words = [program, "--no-api", "--no-daemon", "--conf", scratch, "start"]
        scheduler, took = start(words, "Starting")
        time.sleep(5)
        held = memory(scheduler.pid)
        print(f"freezer-scheduler, {count} jobs: RSS {held:.1f} MB, start {took:.1f} s")
        scheduler.kill()
        scheduler.communicate()


def main() -> None:
    for count in [int(word) for word in sys.argv[1:]] or [5, 1000, 10000]:
        measure(count)
    freezer(1000)


if __name__ == "__main__":
    main()
