# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rounds of work and SIGKILL, with the oracle after each."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from coldchain.core.errors import ColdchainError
from coldchain.core.own_program import own_code, own_program
from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.selftest import oracle
from coldchain.selftest.worker import JOBS, TICKING, document
from coldchain.store import Change, Store

ALL = (*JOBS, *TICKING)
_WORK = "from coldchain.selftest.worker import main; main(*sys.argv[1:])"
# The oracle wants to see every run.
_SETTINGS = "[runner]\nhistory_runs = 1000000\nhistory_max_bytes = 1000000000000\n"
QUIET = 300.0
"""Seconds that the runner gets at the end to act on everything."""


@dataclass
class SelftestResult:
    """What was done and what did not hold."""

    directory: str
    seed: int
    rounds: int = 0
    kills: int = 0
    declarations: int = 0
    events: int = 0
    runs: int = 0
    violations: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


@dataclass
class _Promises:
    """What was acknowledged.  serials: of the declarations that a job may hold; events: who they
    are by."""

    serials: dict[str, set[int]]
    events: set[str] = field(default_factory=set)


def torture(
    home: Path,
    rounds: int,
    seed: int,
    progress: Callable[[SelftestResult], None] = lambda outcome: None,
) -> SelftestResult:
    """Torture an installation in *home* (made new) for *rounds* rounds.

    The same seed makes the same decisions; when a signal arrives is up to the machine all the same.
    """
    chance = random.Random(seed)
    paths = Paths.under(home)
    outcome = SelftestResult(str(home), seed)
    store = Store.open(paths, create=True)
    paths.settings.parent.mkdir(mode=0o700)
    paths.settings.write_text(_SETTINGS)
    store.apply([Change(job_id, document(job_id, 0)) for job_id in ALL])
    promises = _Promises({job_id: {0} for job_id in ALL})
    runner = _start_runner(home)
    try:
        for number in range(1, rounds + 1):
            if runner.poll() is not None:
                runner = _start_runner(home)
            worker = _start("worker", home, [*own_code(_WORK), str(home), str(number)])
            assert worker.stdout is not None
            first = worker.stdout.readline()  # it is at work now
            time.sleep(chance.uniform(0.0, 0.3))
            victims = chance.choice(([worker], [runner, worker], [worker, runner]))
            for victim in victims:
                victim.kill()
                outcome.kills += 1
            if worker.poll() is None:
                worker.kill()
            _hear(worker, first, promises, outcome)
            if not first:
                outcome.violations.append("the worker ended at once, and nothing was tried")
            outcome.violations += _check(home, store, promises)
            outcome.rounds = number
            progress(outcome)
            if outcome.violations:
                break
        if not outcome.violations:
            runner.kill()  # the last one must be the only one
            runner.wait()
            _settle(home, store, promises, outcome)
    finally:
        runner.kill()
        runner.wait()
    outcome.runs = sum(len(store.history(job_id, 1_000_000)) for job_id in ALL)
    store.close()
    return outcome


def _start_runner(home: Path) -> subprocess.Popen[bytes]:
    return _start("runner", home, [*own_program(home), "serve"])


def _start(name: str, home: Path, words: Sequence[str]) -> subprocess.Popen[bytes]:
    with _log(home, name).open("ab") as log:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if name == "worker" else log,
            stderr=log,
        )


def _log(home: Path, name: str) -> Path:
    return home / f"{name}.log"


def _hear(
    worker: subprocess.Popen[bytes], first: bytes, promises: _Promises, outcome: SelftestResult
) -> None:
    """Take in what a killed worker had said; its last declaration may or may not have happened."""
    assert worker.stdout is not None
    for raw in (first + worker.stdout.read()).splitlines():
        with contextlib.suppress(ValueError):  # the line in which it was killed
            line = json.loads(raw)
            if line.get("intent") == "declare":
                promises.serials[line["job_id"]].add(line["serial"])
            elif line.get("done") == "declare":
                promises.serials[line["job_id"]] = {line["serial"]}
                outcome.declarations += 1
            elif line.get("done") == "event":
                promises.events.add(line["by"])
                outcome.events += 1
    worker.stdout.close()
    worker.wait()


def _check(home: Path, store: Store, promises: _Promises) -> list[str]:
    try:
        return [
            *oracle.declarations(store, promises.serials),
            *oracle.events(store, promises.events, _log(home, "runner")),
            *oracle.one_result(store, ALL),
            *oracle.records_readable(store, ALL),
            *oracle.slots(store, TICKING),
        ]
    except ColdchainError as error:
        return [error.message]


def _settle(home: Path, store: Store, promises: _Promises, outcome: SelftestResult) -> None:
    """A last runner, left alone: everything promised must have happened in the end."""
    runner = _start_runner(home)
    deadline = time.monotonic() + QUIET
    try:
        while time.monotonic() < deadline:
            time.sleep(0.2)
            busy = [s for s in store.states().values() if s.queue or s.status == "running"]
            if not store.runner_alive():
                continue
            if not store.pending_events() and len(busy) <= len(TICKING):
                break
        else:
            outcome.violations.append(f"events were not acted on within {QUIET:.0f} s")
        runner.terminate()
        runner.wait(QUIET)
        outcome.violations += _check(home, store, promises)
        outcome.violations += oracle.armed(store, Settings.load(store.paths), time.time())
        unknown = [job_id for job_id in TICKING if store.state(job_id) is None]
        outcome.violations += [f"job {job_id}: the runner does not know it" for job_id in unknown]
        left = [entry.name for entry in os.scandir(store.paths.runs)]
        if left:
            outcome.violations.append(f"runs left without a result: {left}")
    finally:
        runner.kill()
        runner.wait()
