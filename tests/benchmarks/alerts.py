# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs a runner to tell people: its memory, its CPU for each run, how soon it is told.

    .venv/bin/python tests/benchmarks/alerts.py [ROUNDS]

Four runners with five jobs each, which take turns, because a busy machine changes all figures: one
with everything off that can be (the ledger cannot), one that tells of failures, recoveries and
silences (and all runs succeed), one that tells Healthchecks of each begin and end, and one with
everything on: that, the guard and metrics_file.  Medians of the rounds; in brackets by how much
they differ from the first one's in the same rounds.  A command asks for each run: its request is in
all of them.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

import guardian

# Whoever ends this in the middle leaves no runner behind.  Before anything copies the environment.
guardian.start()

from homes import Home, document
from receivers import Answer, Request, receiver

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 24


def cpu(pid: int) -> tuple[float, float]:
    """Seconds of a process, and with those of its children that have ended."""
    own = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return own, own + sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


class Measured:
    """A runner with five jobs, and what each round of their runs cost it."""

    def __init__(self, name: str, place: Path, notify: list[dict[str, object]], *, all_on: bool):
        self.name, self.home = name, Home(place / "home", place / "log")
        place.mkdir()
        (self.home.path / "etc").mkdir(parents=True, mode=0o700)
        self.home.path.chmod(0o700)
        self.home.log_file.touch()
        conf = f"[runner]\nnotify = {json.dumps(notify)}\n"
        if all_on:
            conf += f"metrics_file = {self.home.path}/coldchain.prom\n"
        (self.home.path / "etc" / "runner.conf").write_text(conf)
        guard = {"guard": {"enabled": all_on}}
        jobs = [document(f"j{n}", "true", {"status": "stop"}, **guard) for n in range(5)]
        assert self.home.run("apply", "-", given=jobs)[0] == 0
        self.home.start()
        self.rounds: list[tuple[float, float]] = []
        self.run_all()
        self.rounds.clear()

    def run_all(self) -> None:
        """One run of each job, and what that cost: milliseconds a run."""
        assert self.home.runner is not None
        before = cpu(self.home.runner.pid)
        for number in range(5):
            self.home.run("event", f"j{number}", "start", "--wait")
        after = cpu(self.home.runner.pid)
        own, together = ((late - early) / 5 * 1000 for early, late in zip(before, after))
        self.rounds.append((own, together))

    def tell(self, first: Measured) -> None:
        """Its figures, and how they differ from those of the *first* one in the same rounds."""
        assert self.home.runner is not None and first.home.runner is not None
        own, together = (statistics.median(column) for column in zip(*self.rounds))
        more = statistics.median(a[0] - b[0] for a, b in zip(self.rounds, first.rounds))
        megabytes = memory(self.home.runner.pid)
        larger = megabytes - memory(first.home.runner.pid)
        print(
            f"{self.name:14} {own:5.2f} ms a run ({more:+.2f}; with those who deliver"
            f" {together:.1f}), {megabytes:.1f} MB ({larger:+.1f})"
        )


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
        hook: dict[str, object] = {"type": "webhook", "url": server.url}
        mail: dict[str, object] = {"type": "mail", "to": "root"}
        pings: dict[str, object] = {"type": "healthchecks", "url": server.url}
        with tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch)
            measured = [
                Measured("off", place / "off", [], all_on=False),
                Measured("failures", place / "failures", [hook, mail], all_on=False),
                Measured("every run", place / "pings", [pings, hook], all_on=False),
                Measured("everything", place / "all", [pings, hook], all_on=True),
            ]
            for _turn in range(ROUNDS):
                for runner in measured:
                    runner.run_all()
            for runner in measured:
                runner.tell(measured[0])
            for runner in measured:
                runner.home.stop()
        latency(server.url, came)


if __name__ == "__main__":
    main()
