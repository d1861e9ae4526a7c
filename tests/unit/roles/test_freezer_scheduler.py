# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbooks adopt and unadopt send to a host, against stand-ins.

tests/interop has the real scheduler.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import waiting

SCRIPT = Path(__file__).parents[3] / "playbooks" / "files" / "freezer_scheduler.py"
# Sleeps as a child would that nobody waits for; with "work", a child of its own is at work.
STAND_IN = """\
import subprocess, sys, time
if "work" in sys.argv:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
time.sleep(600)
"""
SYSTEMCTL = """\
#!/bin/sh
echo "$*" >> "$UNITS/calls"
case "$1" in
list-unit-files) (cd "$UNITS" && ls) | sed -n 's/service$/service enabled/p' ;;
show) echo "ExecStart={ path=/usr/bin/freezer-scheduler }" ;;
is-active) cat "$UNITS/state" ;;
disable) mv "$UNITS/$2" "$UNITS/$2.off" ;;
enable) [ -e "$UNITS/$2" ] || mv "$UNITS/$2.off" "$UNITS/$2" ;;
esac
"""


class Host:
    """A directory in which stand-ins run, and the script."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.jobs = root / "conf.d"
        self.jobs.mkdir()
        self.record = root / "adopted.json"
        self.program = root / "freezer-scheduler"
        self.program.write_text(STAND_IN)
        self.started: list[subprocess.Popen[bytes]] = []

    def scheduler(self, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        """A stand-in that does what its words say."""
        command = [sys.executable, str(self.program), *words]
        variables = {**os.environ, **environment}
        process = subprocess.Popen(command, cwd=self.root, env=variables)
        self.started.append(process)
        executed = Path(f"/proc/{process.pid}/cmdline")
        waiting.until(lambda: b"freezer-scheduler" in executed.read_bytes())
        return process

    def run(self, command: str, *words: str, code: int = 0, here: bool = True) -> dict[str, Any]:
        """The answer of the script; here: only the schedulers of this directory count."""
        limit = ["--jobs-dir", str(self.jobs)] if here and command in ("look", "stop") else []
        done = subprocess.run(
            [sys.executable, SCRIPT, command, self.record, *limit, *words],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def pids(self) -> list[int]:
        return [one["pid"] for one in self.run("look")["schedulers"]]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    for pid in host.pids():
        os.kill(pid, 9)
    for process in host.started:
        process.kill()
        waiting.ended(process)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    specification = importlib.util.spec_from_file_location("freezer_scheduler", SCRIPT)
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_directory_is_found_as_the_scheduler_finds_it(host: Host) -> None:
    settings = host.root / "scheduler.conf"
    settings.write_text(
        "[other]\njobs_dir = /no\n[scheduler]\n# jobs_dir = /no\njobs-dir = conf.d\n"
    )
    ways: list[tuple[list[str], dict[str, str]]] = [
        (["-f", "conf.d", "start"], {}),
        (["--scheduler-jobs_dir=conf.d", "--no-api", "start"], {}),
        (["--conf", str(host.jobs) + "/", "start"], {"FREEZER_SCHEDULER_CONF_D": "/elsewhere"}),
        (["--config-file", "scheduler.conf", "restart"], {}),
        (["--config-file=/none", "start"], {"FREEZER_SCHEDULER_CONF_D": "conf.d"}),
        (["-f", "~/conf.d", "start"], {"HOME": str(host.root)}),
    ]
    for words, environment in ways:
        process = host.scheduler(*words, **environment)
        (found,) = host.run("look")["schedulers"]
        assert (found["pid"], found["cwd"]) == (process.pid, str(host.root)), words
        assert found["api"] is ("--no-api" not in words)
        process.kill()
        waiting.ended(process)


def test_what_only_looks_like_a_scheduler_is_left_alone(host: Host) -> None:
    host.scheduler("-f", "conf.d", "status")
    host.scheduler("-f", "elsewhere", "start")
    named = [sys.executable, "-c", "import time; time.sleep(600)", "freezer-scheduler", "start"]
    host.started.append(subprocess.Popen(named, cwd=host.root))
    (host.jobs / "a.CONF").write_text("{}")
    (host.jobs / "b.json").write_text("{}")
    (host.jobs / "d.conf").mkdir()
    (host.jobs / os.fsdecode(b"\xff.conf")).write_bytes(b"\xff")
    found = host.run("look")
    assert found["schedulers"] == []
    assert [Path(file["name"]).name for file in found["files"]] == ["a.CONF", "\ufffd.conf"]
    assert found["files"][1]["error"] == "is not UTF-8"


def test_what_was_stopped_is_started_as_it_was(host: Host) -> None:
    process = host.scheduler("-f", "conf.d", "start", OS_PASSWORD="secret", TZ=":Asia/Tokyo")
    assert host.run("look")["zone"] == "Asia/Tokyo"
    assert "secret" not in json.dumps(host.run("look"))
    assert host.run("stop", "--job", "b", "--job", "a") == {"changed": True}
    waiting.ended(process)
    assert host.record.stat().st_mode & 0o077 == 0
    # Again: what it had found is not forgotten, and the jobs of both are known.
    assert host.run("stop", "--job", "c") == {"changed": False}
    host.run("note")
    assert host.run("look")["record"]["jobs"] == ["a", "b", "c"]
    assert host.run("look")["record"]["state"] == "adopted"
    assert host.run("start") == {"changed": True}
    (pid,) = host.pids()
    assert b"OS_PASSWORD=secret" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1:-1]
    assert words == [os.fsencode(host.program), b"-f", b"conf.d", b"start"]
    assert os.readlink(f"/proc/{pid}/cwd") == str(host.root)
    assert host.run("start") == {"changed": False}
    assert host.pids() == [pid]


def test_a_backup_is_waited_for_and_else_nothing_is_stopped(host: Host) -> None:
    process = host.scheduler("-f", "conf.d", "work", "start")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    waiting.until(children.read_text)
    (child,) = map(int, children.read_text().split())
    try:
        refused = host.run("stop", "--timeout", "0", code=1)
        assert "is at work still" in refused["error"]
        assert process.poll() is None
        # What playbook adopt does then starts no second one.
        assert host.run("start", "--keep") == {"changed": False}
        assert host.pids() == [process.pid]
    finally:
        os.kill(child, 9)


def test_a_start_in_vain_says_so_and_keeps_the_record(host: Host) -> None:
    process = host.scheduler("-f", "conf.d", "start")
    host.run("stop")
    waiting.ended(process)
    host.program.unlink()
    assert "has ended with 2" in host.run("start", code=1)["error"]
    assert host.record.exists()


def test_a_record_of_something_else_is_an_error(host: Host) -> None:
    for text in ("{", "[]", '{"jobs": 1}'):
        host.record.write_text(text)
        assert str(host.record) in host.run("look", code=1)["error"]
    host.record.unlink()


def test_units_are_stopped_disabled_and_brought_back(
    host: Host,
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    units = host.root / "units"
    units.mkdir()
    (units / "systemctl").write_text(SYSTEMCTL)
    (units / "systemctl").chmod(0o755)
    for name in ("freezer-scheduler.service", "other-freezer-scheduler.service"):
        (units / name).touch()
    monkeypatch.setenv("UNITS", str(units))
    monkeypatch.setenv("PATH", f"{units}:{os.environ['PATH']}")
    process = host.scheduler("-f", "conf.d", "start")
    # Whatever else runs on this machine is not the test's.
    seen = script.look_at
    monkeypatch.setattr(script, "unit_of", lambda place: "freezer-scheduler.service")
    monkeypatch.setattr(script, "look_at", lambda pid: seen(pid) if pid == process.pid else None)

    monkeypatch.setattr(script, "SETTLED", 0.0)

    def run(*words: str, code: int = 0) -> Any:
        monkeypatch.setattr(sys, "argv", ["script", words[0], str(host.record), *words[1:]])
        assert script.main() == code
        return json.loads(capsys.readouterr().out)

    found = run("look")
    assert found["schedulers"][0]["unit"] == "freezer-scheduler.service"
    assert found["units"] == ["freezer-scheduler.service", "other-freezer-scheduler.service"]
    (units / "calls").unlink()
    assert run("stop") == {"changed": True}
    waiting.ended(process)
    waiting.ended(process)
    calls = (units / "calls").read_text().splitlines()
    for name in found["units"]:
        assert calls.index(f"disable {name}") < calls.index(f"stop {name}")
    assert run("look")["units"] == []
    assert run("stop") == {"changed": False}
    (units / "state").write_text("activating\n")
    assert "activating" in run("start", code=1)["error"]
    assert host.record.exists()
    (units / "state").write_text("active\n")
    (units / "calls").unlink()
    assert run("start") == {"changed": True}
    assert set((units / "calls").read_text().splitlines()) == {
        "enable freezer-scheduler.service",
        "start freezer-scheduler.service",
        "is-active freezer-scheduler.service",
        "enable other-freezer-scheduler.service",
    }
