# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A runner under steady load: does it grow, does it fall behind?

    .venv/bin/python tests/benchmarks/endurance.py [MINUTES [RUNS_AN_HOUR [JOBS]]]

10,000 jobs, 2,000 runs an hour for 60 minutes unless told otherwise.  Half of the runs are those of
ten busy jobs, so that histories are bounded all the time, the other half those of 200 jobs in turn;
all others wait for their day.  One run in ten is a backup, one in fifty fails, the rest is ``exec
true``.  A line every minute, and at the end first, last and largest value, and the slope after the
first quarter: until then jobs get the first last run of their life.
"""

from __future__ import annotations

import calendar
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))

import guardian

# Whoever ends this in the middle leaves no runner behind.
guardian.start()

PACKAGE = Path(__file__).resolve().parents[2] / "roles" / "runner" / "files"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PACKAGE)}
COMMAND = [sys.executable, "-m", "coldchain"]
BUSY, IN_TURN = 10, 200
SAMPLE = 15.0  # seconds
LEAD = 60  # seconds until the first slot
MEASURES = ("RSS MB", "descriptors", "database MB", "logs MB")


def action(number: int, source: Path) -> dict[str, Any]:
    if number % 50 == 49:
        return {"action": "exec", "command": ["false"]}
    if number % 10 == 9:
        return {
            "action": "backup",
            "path_to_backup": str(source),
            "backup_name": f"part-{number}",
            "container": f"container-{number % 7}",
            "max_level": 6,
        }
    return {"action": "exec", "command": ["true"]}


def documents(jobs: int, an_hour: int, start: float, source: Path) -> Iterator[dict[str, Any]]:
    """Slots every 3600 / an_hour seconds, by turns a busy job's and another one's."""
    pause = 3600 / an_hour
    for number in range(jobs):
        if number < BUSY:
            first, period = 2 * number * pause, 2 * BUSY * pause
        elif number < BUSY + IN_TURN:
            first, period = (2 * (number - BUSY) + 1) * pause, 2 * IN_TURN * pause
        else:
            first, period = 86400.0, 86400.0
        date = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(start + first))
        yield {
            "job_id": f"job-{number}",
            "description": f"part {number} of a large host",
            "job_actions": [{"freezer_action": action(number, source)}],
            "job_schedule": {
                "schedule_interval": f"{round(period)} seconds",
                "schedule_start_date": date,
            },
        }


def apply(home: Path, batch: Sequence[dict[str, Any]]) -> None:
    subprocess.run(
        [*COMMAND, "--home", str(home), "--json", "apply", "-"],
        input=json.dumps(batch),
        stdout=subprocess.DEVNULL,
        text=True,
        check=True,
        env=ENVIRONMENT,
    )


def disk(folder: Path) -> float:
    """Megabytes that *folder* takes on the disk."""
    blocks = 0
    for where, dummy, names in os.walk(folder):
        for name in names:
            try:
                blocks += os.lstat(os.path.join(where, name)).st_blocks
            except FileNotFoundError:
                continue
    return blocks * 512 / 1e6


def sample(home: Path, pid: int) -> tuple[float, ...]:
    status = Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()
    return (
        int(status[0]) / 1024,
        len(os.listdir(f"/proc/{pid}/fd")),
        disk(home / "lib"),
        disk(home / "log"),
    )


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Least squares, per hour."""
    count = len(times)
    middle, mean = sum(times) / count, sum(values) / count
    spread = sum((at - middle) ** 2 for at in times)
    rise = sum((at - middle) * (value - mean) for at, value in zip(times, values))
    return 3600 * rise / spread if spread else 0.0


def history(home: Path, start: float) -> tuple[int, list[float], int]:
    """Runs still on record, how late they began, and slots on record as skipped."""
    late: list[float] = []
    skipped = 0
    for path in (home / "log").glob("*/history.jsonl"):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if "run_id" in entry:
                slot = time.strptime(entry["scheduled_for"][:19], "%Y-%m-%dT%H:%M:%S")
                began = entry["actions"][0]["time_started"]
                late.append(began - max(start, calendar.timegm(slot)))
            else:
                skipped += entry["skipped"]
    return len(late), sorted(late), skipped


def main() -> None:
    given = [int(word) for word in sys.argv[1:]]
    minutes, an_hour, jobs = [*given, *(60, 2000, 10000)[len(given) :]]
    with tempfile.TemporaryDirectory() as scratch:
        home, source = Path(scratch), Path(scratch, "source")
        source.mkdir()
        for number in range(20):
            (source / f"file-{number}").write_bytes(os.urandom(5000))
        (home / "etc").mkdir(mode=0o700)
        conf = home / "etc" / "runner.conf"
        conf.write_text("[runner]\nconcurrent_jobs = 16\nhistory_runs = 20\ntimezone = UTC\n")
        start = float(int(time.time()) + LEAD + jobs // 200)
        batch = list(documents(jobs, an_hour, start, source))
        for first in range(0, jobs, 1000):
            apply(home, batch[first : first + 1000])
        words = [*COMMAND, "--home", str(home), "serve"]
        with (home / "serve.log").open("wb") as log:
            runner = subprocess.Popen(words, stderr=log, env=ENVIRONMENT)
        try:
            time.sleep(max(0.0, start - time.time()))
            watch(home, runner.pid, start, minutes, an_hour)
        finally:
            runner.terminate()
            runner.wait()


def watch(home: Path, pid: int, start: float, minutes: int, an_hour: int) -> None:
    times: list[float] = []
    samples: list[tuple[float, ...]] = []
    spent = cpu(pid)
    while time.time() < start + minutes * 60:
        times.append(time.time() - start)
        samples.append(sample(home, pid))
        if len(samples) % int(60 / SAMPLE) == 1:
            told = ", ".join(f"{n} {v:.1f}" for n, v in zip(MEASURES, samples[-1]))
            print(f"{times[-1] / 60:5.1f} min: {told}", flush=True)
        time.sleep(SAMPLE)
    spent = cpu(pid) - spent
    log = (home / "serve.log").read_text()
    begun, ended = log.count(" begins ("), log.count(" ended: ")
    wanted = int(minutes * 60 / (3600 / an_hour))
    kept, late, skipped = history(home, start)
    warm = len(times) // 4
    for number, name in enumerate(MEASURES):
        values = [one[number] for one in samples]
        print(
            f"{name:12} first {values[0]:8.2f}, last {values[-1]:8.2f}, largest {max(values):8.2f},"
            f" slope {slope(times[warm:], values[warm:]):+8.3f} an hour"
        )
    print(
        f"{minutes} min at {an_hour} runs an hour: {wanted} slots, {begun} runs begun, {ended}"
        f" ended, {skipped} slots skipped, {kept} runs kept; the first action began"
        f" {late[len(late) // 2]:.2f} s (median), {late[len(late) * 99 // 100]:.2f} s (99 of 100)"
        f" after its slot; the runner took {spent:.1f} s of CPU,"
        f" {1000 * spent / max(begun, 1):.1f} ms a run"
    )


if __name__ == "__main__":
    main()
