# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a killed backup or restore left is gone when its run is on record, not only later."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import PATIENCE

from coldchain.execution import attempts, launch
from coldchain.execution.command import Command
from coldchain.runner import daemon
from coldchain.store import Change

# Python complains about a child that is left running, which is the point in some of these tests.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Bench:
    """A source, a container and a target; with ``hang`` there, compression never ends."""

    def __init__(self, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.host, self.root = host, host.paths.home / "bench"
        self.source, self.container = self.root / "source", self.root / "container"
        self.target, self.hang = self.root / "deep" / "er" / "target", self.root / "hang"
        self.hangs = self.root / "hangs"  # from then on
        self.source.mkdir(parents=True)
        (self.source / "file").write_bytes(os.urandom(100_000))
        shim = self.root / "bin" / "gzip"
        shim.parent.mkdir()
        real = shutil.which("gzip")
        shim.write_text(
            "#!/bin/sh\n"
            f"if test -e {self.hang}; then touch {self.hangs}; exec sleep 3600; fi\n"
            f'exec {real} "$@"\n'
        )
        shim.chmod(0o755)
        monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")

    def declare(self, action: str, **fields: Any) -> None:
        names = {"container": str(self.container), "backup_name": "docs", "sync": False}
        places = {"backup": {"path_to_backup": str(self.source)},
                  "restore": {"restore_abs_path": str(self.target)}}  # fmt: skip
        entry = {"freezer_action": {"action": action, **names, **places[action]}, **fields}
        document = {"job_id": action, "job_actions": [entry], "job_schedule": {}}
        self.host.store.apply([Change(action, document)])

    def remnants(self) -> list[str]:
        """Everything of a level in the making, of a restore's folder, and of attempts."""
        walk = os.walk(self.root)  # unlike glob it goes on where something is removed meanwhile
        paths = [Path(top, name) for top, names, files in walk for name in (*names, *files)]
        wanted = "container/*/.coldchain/*", "data/tar/*/*/*", ".coldchain-restore-*"
        found = [path for path in paths if any(path.match(pattern) for pattern in wanted)]
        known = {path.name for path in paths if path.match("metadata/tar/*/*/*")}
        return [str(path) for path in found if path.name not in known]

    def agent(self) -> int:
        """The pid of the agent at work, once it has begun to write and hangs."""
        self.host.until(lambda: self.hangs.exists() and self.remnants())
        (run,) = self.host.runner.runs.values()
        self.host.until(lambda: run.process)
        children = Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children")
        return int(children.read_text().split()[0])


@pytest.fixture
def bench(host: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(host, monkeypatch)
    yield made
    # The runner is at work: it may be about to write a file, or to remove a directory, of which
    # Path.glob makes an error.
    for file in map(Path, glob.glob(f"{host.paths.runs}/*/*.pid")):
        with contextlib.suppress(
            ProcessLookupError, PermissionError, FileNotFoundError, IndexError
        ):
            os.killpg(int(file.read_text().split()[0]), signal.SIGKILL)


def only_action(run: dict[str, Any]) -> dict[str, Any]:
    (action,) = run["actions"]
    return action


@pytest.mark.parametrize("action", ["backup", "restore"])
@pytest.mark.parametrize("how", ["agent killed", "stopped and aborted", "timed out"])
def test_nothing_is_left_after_the_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, action: str, how: str
) -> None:
    host = bench.host
    host.start()
    bench.declare("backup")
    host.runs("backup")
    bench.hang.touch()
    bench.declare(action, **({"timeout": "1 hours"} if how == "timed out" else {}))
    if action == "backup":
        host.event("backup", "start")
    agent = bench.agent()
    if how == "agent killed":
        os.kill(agent, signal.SIGKILL)
    else:
        os.kill(agent, signal.SIGSTOP)  # it does not see TERM: only KILL ends it
    if how == "stopped and aborted":
        host.event(action, "abort")
    if how == "timed out":
        real = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: real() + 3600)
    run = host.runs(action, 2 if action == "backup" else 1)[0]
    assert bench.remnants() == []
    ended = only_action(run)
    assert ended["clean_up"]["result"] == "success", ended
    assert "remnant" in ended["clean_up"]["message"]
    assert run["result"] == ("aborted" if how == "stopped and aborted" else "fail")
    assert (run["actions"][0]["message"] == "timed out after 3600 s") == (how == "timed out")
    assert "clean-up: success" in host.paths.run_log(action, run["run_id"]).read_text()
    host.settled(action)


def test_an_agent_that_had_time_to_clean_up_needs_no_other(bench: Bench) -> None:
    bench.host.start(grace=3600)
    bench.hang.touch()
    bench.declare("backup")
    bench.agent()
    bench.host.event("backup", "abort")
    (run,) = bench.host.runs("backup")
    assert bench.remnants() == [] and "clean_up" not in only_action(run)
    assert run["result"] == "aborted"


def test_an_agent_that_vanished_with_the_host_is_cleaned_up_after_at_the_start(
    bench: Bench,
) -> None:
    host = bench.host
    bench.hang.touch()
    bench.declare("backup")
    host.start()
    bench.agent()
    group = next(iter(host.runner.runs.values())).process.pid
    host.stop(signal.SIGUSR2)
    os.killpg(group, signal.SIGKILL)
    os.waitpid(group, 0)
    assert bench.remnants()
    host.start()
    (run,) = host.runs("backup")
    assert bench.remnants() == []
    assert "vanished" in only_action(run)["message"]
    assert only_action(run)["clean_up"]["result"] == "success"


def test_the_next_attempt_begins_after_the_clean_up(bench: Bench) -> None:
    host = bench.host
    host.start()
    bench.hang.touch()
    bench.declare("backup", max_retries=1, max_retries_interval=0)
    agent = bench.agent()
    bench.hang.unlink()
    os.kill(agent, signal.SIGKILL)
    (run,) = host.runs("backup")
    assert (run["result"], only_action(run)["attempts"]) == ("success", 2)
    log = host.paths.run_log("backup", run["run_id"]).read_text()
    assert log.index("clean-up: success") < log.index("attempt 2")
    assert bench.remnants() == []


def _replace_clean_up(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr(launch, "clean_up_of", lambda *dummy: Command(("sh", "-c", line), {}, None))


def test_a_clean_up_has_a_limit_and_its_failure_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "CLEAN_UP_TIMEOUT", 0.5)
    _replace_clean_up(monkeypatch, "trap '' TERM; sleep 3600; sleep 3600")
    bench.host.start()
    bench.hang.touch()
    bench.declare("backup")
    os.kill(bench.agent(), signal.SIGKILL)
    (run,) = bench.host.runs("backup")
    assert only_action(run)["clean_up"]["result"] == "fail"
    assert "its clean-up failed: timed out after 0.5 s" in only_action(run)["message"]


def test_a_clean_up_survives_the_runner_and_a_second_abort(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, flag, gate = bench.host, bench.root / "cleaning", bench.host.gate()
    _replace_clean_up(monkeypatch, f"echo x >> {flag}; {gate.line}")
    host.start()
    bench.hang.touch()
    bench.declare("backup")
    os.kill(bench.agent(), signal.SIGSTOP)
    for _ in range(2):
        host.event("backup", "abort")
        host.until(lambda: not host.store.pending_events())
    host.until(flag.exists)
    host.event("backup", "abort")
    host.until(lambda: not host.store.pending_events())
    host.stop(signal.SIGUSR2)
    host.start()
    gate.open()
    (run,) = host.runs("backup")
    assert only_action(run)["clean_up"]["result"] == "success"
    assert flag.read_text() == "x\n", "it was adopted, not begun again"
    assert run["result"] == "aborted"


def test_a_stop_does_not_wait_for_a_long_clean_up_which_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, done = bench.host, bench.root / "done"
    monkeypatch.setattr(daemon, "STOP_FOR_CLEAN_UP", 0.5)
    _replace_clean_up(monkeypatch, f"until test -e {done}; do sleep 0.1; done; echo cleaned")
    host.start(stop_timeout=1)
    bench.hang.touch()
    bench.declare("backup")
    os.kill(bench.agent(), signal.SIGSTOP)
    assert host.stop(within=PATIENCE + 3) == 0
    assert host.store.history("backup", 1) == []
    done.touch()
    host.start()
    (run,) = host.runs("backup")
    assert (run["result"], run["reason"]) == ("aborted", "the runner was stopped")
    assert only_action(run)["clean_up"]["result"] == "success"


def test_a_clean_up_that_the_host_took_down_is_begun_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, flag = bench.host, bench.root / "cleaning"
    _replace_clean_up(monkeypatch, f"echo x >> {flag}; test $(wc -l < {flag}) = 2 || sleep 3600")
    host.start()
    bench.hang.touch()
    bench.declare("backup")
    os.kill(bench.agent(), signal.SIGKILL)
    host.until(lambda: flag.exists() and flag.read_text())
    (run,) = host.runner.runs.values()
    group = host.until(lambda: run.process).pid
    host.stop(signal.SIGUSR2)
    os.killpg(group, signal.SIGKILL)
    os.waitpid(group, 0)
    host.start()
    (recorded,) = host.runs("backup")
    assert only_action(recorded)["clean_up"]["result"] == "success"
    assert flag.read_text() == "x\nx\n"
