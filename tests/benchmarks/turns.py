# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run costs the runner of this checkout and of others, in turns.

    .venv/bin/python tests/benchmarks/turns.py [--jobs N] [--warm N] [--turns N] CHECKOUT ...

A runner for each, the first one being what the others are compared with: 20 jobs of `/bin/true`, of
which one is due every three seconds, after 60 runs of each unless told otherwise.  The clock skips
the waits.  The runners take turns of eight runs, because a busy machine changes all figures, and
begin anew in other directories ROUNDS times, because a disk does, too: where a file system has room
decides what it costs to make a file.  TMPDIR says on which one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import selectors
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))

import guardian

# Whoever ends this in the middle leaves no runner behind.
guardian.start()

ROUNDS, TURN, APART = 4, 8, 3
LAUNCHER = "import sys; sys.path.insert(0, sys.argv.pop(1)); from coldchain.cli import main; main()"


def serve(package: str, home: str) -> None:
    """A runner that goes on for so many runs as each line of standard input says, and answers what
    they cost: seconds of its own, and of its children."""
    skipped, real = [0.0], (time.time, time.monotonic, time.clock_gettime)
    time.time = lambda: real[0]() + skipped[0]
    time.monotonic = lambda: real[1]() + skipped[0]
    time.clock_gettime = lambda clock: real[2](clock) + skipped[0]
    answers = os.fdopen(os.dup(1), "w")
    log = os.open(f"{home}/runner.log", os.O_WRONLY | os.O_CREAT)
    for number in (1, 2):
        os.dup2(log, number)
    sys.path.insert(0, package)
    from coldchain.cli import main
    from coldchain.runner import daemon

    select, ended = selectors.EpollSelector.select, [0]

    def loop(runner: Any) -> int:
        def skip(self: Any, timeout: float | None = None) -> Any:
            if timeout and not runner.active.busy():
                skipped[0] += timeout
                timeout = 0
            return select(self, timeout)

        def process_ended(pidfd: int) -> None:
            ended[0] += 1
            take(pidfd)

        take, runner.active.process_ended = runner.active.process_ended, process_ended
        selectors.EpollSelector.select = skip
        for line in sys.stdin:
            until, began = ended[0] + int(line), spent()
            while ended[0] < until or runner.active.busy():
                runner.wait(daemon.TICK)
                runner.tick()
            print(json.dumps([now - then for now, then in zip(spent(), began)]), file=answers)
            answers.flush()
        return 0

    daemon.Runner.loop = loop
    sys.argv = ["coldchain", "--home", home, "serve"]
    main()


def spent() -> tuple[float, float]:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time(), children.ru_utime + children.ru_stime


class Measured:
    """The runner of a checkout, with its jobs."""

    def __init__(self, checkout: str, jobs: int) -> None:
        self.package = str(Path(checkout).resolve() / "roles" / "runner" / "files")
        self.scratch = tempfile.TemporaryDirectory()
        self.home = self.scratch.name
        start = time.time() + 30
        command = [sys.executable, "-I", "-c", LAUNCHER, self.package]
        subprocess.run(
            [*command, "--home", self.home, "apply", "-"],
            input=json.dumps([job(number, jobs, start) for number in range(jobs)]),
            stdout=subprocess.DEVNULL,
            text=True,
            check=True,
        )
        words = [sys.executable, __file__, "--serve", self.package, self.home]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, number: int) -> list[float]:
        """Milliseconds a run: of the runner, and of its processes."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(number, file=self.process.stdin, flush=True)
        return [1000 * each / number for each in json.loads(self.process.stdout.readline())]

    def close(self) -> None:
        self.process.communicate()
        self.scratch.cleanup()


def job(number: int, jobs: int, start: float) -> dict[str, Any]:
    first = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(start + number * APART))
    return {
        "job_id": f"j{number}",
        # A path, as the first release left a name to the shell, which has a true of its own.
        "job_actions": [{"freezer_action": {"action": "exec", "command": ["/bin/true"]}}],
        "job_schedule": {
            "schedule_interval": f"{jobs * APART} seconds",
            "schedule_start_date": first,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkouts", nargs="+")
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--warm", type=int, default=60, help="runs of each job before the first")
    parser.add_argument("--turns", type=int, default=12, help="of eight runs, in each round")
    given = parser.parse_args()
    costs: dict[str, list[list[float]]] = {checkout: [] for checkout in given.checkouts}
    for _round in range(ROUNDS):
        runners = {checkout: Measured(checkout, given.jobs) for checkout in costs}
        for runner in runners.values():
            runner.run(given.warm * given.jobs)
        for turn in range(given.turns):
            for checkout in list(costs)[:: 1 if turn % 2 else -1]:
                costs[checkout].append(runners[checkout].run(TURN))
        for runner in runners.values():
            runner.close()
    first = costs[given.checkouts[0]]
    print("ms a run, and of pairs of turns the median ratio to the first; with the processes")
    for checkout, found in costs.items():
        own = statistics.median(cost[0] for cost in found)
        ratio = statistics.median(cost[0] / before[0] for cost, before in zip(found, first))
        whole = statistics.median(sum(cost) / sum(before) for cost, before in zip(found, first))
        print(f"{own:6.2f}  {ratio:5.2f}  {whole:5.2f}  {checkout}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:])
    else:
        main()
