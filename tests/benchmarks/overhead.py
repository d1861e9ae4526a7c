# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What running costs: one action ``exec true`` beside freezer-agent's, and a retry that waits.

    .venv/bin/python tests/benchmarks/overhead.py

Ours is a run of a declared job by the real runner, with metrics_file: the seconds in its record,
and the CPU of runner and command together.  The memory is that of the processes that the action
needs beside the runner.
freezer-agent is the one that `make interop` installs, started as its scheduler starts it.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "helpers"), str(ROOT / "roles" / "runner" / "files")]

import guardian

# Whoever ends this in the middle leaves no runner behind.  Before anything copies the environment.
guardian.start()

from interop_keystone import keystone

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "roles" / "runner" / "files")}
COMMAND = [sys.executable, "-m", "coldchain"]
RUNS = 40
DUE = 100
ENTRIES = 300
PEAKS = "grep -h VmHWM /proc/$$/status /proc/$PPID/status"


def document(job_id: str, command: list[str], **entry: Any) -> dict[str, Any]:
    action = {"action": "exec", "command": command}
    return {"job_id": job_id, "job_actions": [{"freezer_action": action, **entry}]}


class Home:
    def __init__(self, place: Path) -> None:
        self.place = place

    def run(self, *words: str, given: Any = None) -> Any:
        done = subprocess.run(
            [*COMMAND, "--home", str(self.place), "--json", *words],
            input=None if given is None else json.dumps(given),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env=ENVIRONMENT,
        )
        return json.loads(done.stdout)

    def runs(self, job_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.run("history", job_id, "-n", "1000")["runs"]
        return found

    @contextlib.contextmanager
    def served(self) -> Iterator[int]:
        """The pid of the runner."""
        words = [*COMMAND, "--home", str(self.place), "serve"]
        with (self.place / "serve.log").open("wb") as log:
            runner = subprocess.Popen(words, stderr=log, env=ENVIRONMENT)
        try:
            while b"runner ready" not in (self.place / "serve.log").read_bytes():
                time.sleep(0.05)
            yield runner.pid
        finally:
            runner.terminate()
            runner.wait()


def cpu(pid: int) -> float:
    """Seconds of the process and of the children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def ours(home: Home) -> tuple[float, float, float]:
    """Of one action: seconds, CPU seconds, megabytes."""
    home.run("apply", "-", given=[document("peaks", ["sh", "-c", PEAKS])])
    with home.served() as pid:
        while not home.runs("peaks"):
            time.sleep(0.1)
        text = home.run("log", "peaks")["text"]
        peaks = [int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM")]
        before = cpu(pid)
        every = document("j", ["/bin/true"])
        every["job_schedule"] = {"schedule_interval": "continuous"}
        home.run("apply", "-", given=[every])
        while len(home.runs("j")) < RUNS:
            time.sleep(0.2)
        home.run("event", "j", "stop", "--wait")
        runs = home.runs("j")
        spent = (cpu(pid) - before) / len(runs)
    return (
        statistics.median(run["time_ended"] - run["time_started"] for run in runs),
        spent,
        sum(peaks) / 1024,
    )


def entry_of_a_run(lib: Path) -> tuple[float, float]:
    """What the ledger adds to a run, in the runner: CPU seconds and seconds."""
    from coldchain.observe.ledger.subscriber import RunLedger
    from coldchain.observe.records import RunEnded

    action = {"action": "exec", "result": "success", "report": {"action": "exec"}}
    times = {"time_started": 1.0, "time_ended": 2.0, "scheduled_for": "2026-11-24T00:00:00+00:00"}
    record = {"job_id": "j", "run_id": "r", "cause": "schedule", "result": "success", **times}
    ledger = RunLedger(lib)
    ledger(RunEnded({**record, "actions": [action]}, {}))
    cpu_began, began = time.process_time(), time.perf_counter()
    for _unused in range(ENTRIES):
        ledger(RunEnded({**record, "actions": [action]}, {}))
    return (
        (time.process_time() - cpu_began) / ENTRIES,
        (time.perf_counter() - began) / ENTRIES,
    )


def freezer_agent(scratch: Path) -> tuple[float, float, float] | None:
    program = next(iter(sorted(ROOT.glob("build/venvs/freezer*/bin/freezer-agent"))), None)
    if program is None:
        return None
    config = scratch / "action.ini"
    config.write_text(
        "[action]\naction = exec\ncommand = /bin/true\nstorage = local\nhostname = host\n"
        f"container = {scratch}\n"
    )
    found: list[tuple[float, float, float]] = []
    with keystone() as url:
        names = {"USERNAME": "u", "PASSWORD": "p", "PROJECT_NAME": "p", "IDENTITY_API_VERSION": "3"}
        names |= {"USER_DOMAIN_NAME": "Default", "PROJECT_DOMAIN_NAME": "Default", "AUTH_URL": url}
        environment = {f"OS_{name}": value for name, value in names.items()}
        environment |= {"PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(scratch)}
        while len(found) < 5:
            began = time.perf_counter()
            agent = subprocess.Popen(
                [program, "--config", config],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            dummy, status, usage = os.wait4(agent.pid, 0)
            agent.returncode = os.waitstatus_to_exitcode(status)
            assert agent.returncode == 0, f"freezer-agent ended with {agent.returncode}"
            found.append(
                (
                    time.perf_counter() - began,
                    usage.ru_utime + usage.ru_stime,
                    usage.ru_maxrss / 1024,
                )
            )
    return tuple(statistics.median(column) for column in zip(*found))


def beside_a_retry(home: Home) -> None:
    """One job that waits 60 s for its retry, with one place for all, and DUE jobs in one second."""
    (home.place / "etc").mkdir(mode=0o700, exist_ok=True)
    (home.place / "etc" / "runner.conf").write_text("[runner]\nconcurrent_jobs = 1\n")
    waiting = document("waiting", ["false"], max_retries=1, max_retries_interval=60)
    with home.served():
        home.run("apply", "-", given=[waiting])
        while home.run("list", "waiting")["jobs"][0]["status"] != "running":
            time.sleep(0.1)
        instant = int(time.time()) + 4
        date = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(instant))
        due = [document(f"due-{number}", ["true"]) for number in range(DUE)]
        for each in due:
            each["job_schedule"] = {"schedule_date": date}
        home.run("apply", "-", given=due)
        ended: list[float] = []
        while len(ended) < DUE:
            time.sleep(0.5)
            last = [job["last_run"] for job in home.run("list")["jobs"] if "due-" in job["job_id"]]
            ended = sorted(run["time_ended"] - instant for run in last if run)
        status = home.run("list", "waiting")["jobs"][0]["status"]
        home.run("event", "waiting", "abort", "--wait")
    print(
        f"{DUE} jobs due in one second, one at a time, beside one that waits 60 s for its retry"
        f" ({status}): the last has ended after {ended[-1]:.2f} s"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        home = Home(Path(scratch, "home"))
        (home.place / "etc").mkdir(mode=0o700, parents=True)
        metrics = home.place / "coldchain.prom"
        (home.place / "etc" / "runner.conf").write_text(f"[runner]\nmetrics_file = {metrics}\n")
        seconds, spent, memory = ours(home)
        print(f"exec true, coldchain:     {seconds:.4f} s, CPU {spent:.4f} s, {memory:.1f} MB")
        used, passed = entry_of_a_run(home.place / "lib")
        print(f"of which its entry in the ledger: {passed:.4f} s, CPU {used:.4f} s")
        theirs = freezer_agent(Path(scratch))
        if theirs is None:
            print("freezer-agent is not here (make interop installs it): not measured")
        else:
            print("exec true, freezer-agent: {:.4f} s, CPU {:.4f} s, {:.1f} MB".format(*theirs))
            times = [b / a for a, b in zip((seconds, spent, memory), theirs)]
            print("freezer-agent needs {:.0f}, {:.0f} and {:.0f} times as much".format(*times))
        beside_a_retry(Home(Path(scratch, "home")))


if __name__ == "__main__":
    main()
