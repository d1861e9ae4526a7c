# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs a runner to tell people: its memory, its CPU for each run, how soon it is told.

    .venv/bin/python tests/benchmarks/alerts.py

Three runners with five jobs each: one that tells nobody, one that tells of failures, recoveries and
silences (and all runs succeed), one that tells Healthchecks of each begin and end.  The CPU is that
of the runner alone, and in brackets with the processes that deliver.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from homes import Home, document
from receivers import Answer, Request, receiver

RUNS = 60
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pid: int) -> tuple[float, float]:
    """Seconds of a process, and with those of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own, children = (sum(map(int, fields[at : at + 2])) / _TICKS for at in (11, 13))
    return own, own + children


def memory(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def measure(name: str, notify: list[dict[str, object]]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        home = Home(Path(scratch, "home"), Path(scratch, "log"))
        (home.path / "etc").mkdir(parents=True, mode=0o700)
        home.path.chmod(0o700)
        home.log_file.touch()
        (home.path / "etc" / "runner.conf").write_text(f"[runner]\nnotify = {json.dumps(notify)}\n")
        jobs = [document(f"j{number}", "true", {"status": "stop"}) for number in range(5)]
        assert home.run("apply", "-", given=jobs)[0] == 0
        home.start()
        assert home.runner is not None
        pid = home.runner.pid
        home.run("event", "j0", "start", "--wait")
        before = cpu(pid)
        for number in range(RUNS):
            home.run("event", f"j{number % 5}", "start", "--wait")
        time.sleep(3)
        after = cpu(pid)
        own, all_of_it = ((late - early) / RUNS * 1000 for early, late in zip(before, after))
        print(f"{name:12} {memory(pid):5.1f} MB {own:6.1f} ms a run ({all_of_it:.1f} ms)")
        home.stop()


def latency(url: str, came: list[float]) -> None:
    """Seconds from the end of a run to its message, on a runner that was idle."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Home(Path(scratch, "home"), Path(scratch, "log"))
        home.path.mkdir(mode=0o700)
        home.log_file.touch()
        notify = [{"type": "webhook", "url": url}]
        home.run("apply", "-", given=document("j", "false", {"status": "stop"}, notify=notify))
        home.start()
        took = []
        for _turn in range(5):
            known = len(came)
            home.run("event", "j", "start", "--wait")
            home.until(lambda known=known: len(came) > known)
            took.append(came[-1] - home.runs("j")[0]["time_ended"])
            time.sleep(3)
        print("told after   ", " ".join(f"{seconds:.2f}" for seconds in took), "s")
        home.stop()


def main() -> None:
    with receiver() as server:
        came: list[float] = []

        def note(request: Request) -> Answer:
            came.append(time.time())
            return Answer()

        server.answers = note
        hook = {"type": "webhook", "url": server.url}
        measure("nobody", [])
        measure("failures", [hook, {"type": "mail", "to": "root"}])
        measure("every run", [{"type": "healthchecks", "url": server.url}, hook])
        latency(server.url, came)


if __name__ == "__main__":
    main()
