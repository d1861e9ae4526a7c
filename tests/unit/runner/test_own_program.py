# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each process that the program starts of itself runs from its release, as on a host that has the
libraries nowhere else, whatever lies in the directory and in the environment of whoever called."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import releases
import waiting
from waiting import PATIENCE

import coldchain

PACKAGE = Path(coldchain.__file__).parent
STARTS = PATIENCE + 20  # a Python, and what it imports
#: Where a Python is started, in which a door below gets to.
STARTED_BY = {"core/own_program.py", "agent/process/contain.py", "execution/command.py"}
NOT_OURS = ("coldchain", "tinydb", "schedule", "jsonschema", "attr", "json", "sitecustomize")


class Host(NamedTuple):
    """A release on a host.  cwd, environment: of whoever calls its command."""

    command: Path
    home: Path
    cwd: Path
    environment: dict[str, str]

    def process(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.command, *words],
            cwd=self.cwd,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def __call__(self, *words: str, job: dict[str, Any] | None = None) -> str:
        """What the command prints, which has to succeed."""
        if job is not None:
            path = self.home / "job.json"
            path.write_text(json.dumps(job))
            words = (*words, str(path))
        process = self.process(*words)
        text, _unused = waiting.output(process, STARTS)
        assert process.returncode == 0, text
        return str(text)

    @contextmanager
    def runner(self) -> Iterator[subprocess.Popen[str]]:
        process = self.process("serve")
        try:
            waiting.until(lambda: self.alive(), STARTS, told=lambda: process.poll(), pause=0.1)
            yield process
        finally:
            process.terminate()
            waiting.output(process, STARTS)

    def alive(self) -> bool:
        return bool(json.loads(self("list", "--json"))["runner_alive"])


def a_job(*actions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    steps = [{"freezer_action": action} for action in actions]
    return {"job_id": "j", "job_actions": steps, "job_schedule": {"status": "stop"}, **fields}


def tree(host: Host) -> dict[str, str]:
    (host.home / "tree").mkdir()
    (host.home / "tree" / "file").write_text("content")
    place = {"container": str(host.home / "c"), "backup_name": "t", "storage": "local"}
    return {"action": "backup", "path_to_backup": str(host.home / "tree"), **place}


def _message(host: Host) -> None:
    notify = [{"type": "command", "command": ["tee", str(host.home / "told")], "tell": ["success"]}]
    host("apply", job=a_job({"action": "exec", "command": ["true"]}, notify=notify))
    with host.runner():
        host("event", "j", "start")
        told = host.home / "told"
        waiting.until(
            lambda: told.exists() and told.read_text(), STARTS, told=lambda: host("notify")
        )


def _backup(host: Host) -> None:
    host("run", job=a_job(tree(host)))
    assert "t" in host("backups", "--container", str(host.home / "c"))


def _restore(host: Host) -> None:
    host("run", job=a_job(tree(host)))
    words = ("--container", str(host.home / "c"), "--backup-name", "t")
    host("restore", *words, "--restore-abs-path", str(host.home / "back"))
    assert (host.home / "back" / "file").read_text() == "content"


def _pipeline(host: Host) -> None:
    told = str(host.home / "told")
    host("run", job=a_job({"action": "exec", "command": f"echo 'a b' | tee {told}"}))
    assert Path(told).read_text() == "a b\n"


def _itself_anew(host: Host) -> None:
    host("apply", job=a_job(tree(host)))
    with host.runner() as runner:
        seen = (host.home / "lib" / "runner.json").read_text()
        runner.send_signal(signal.SIGHUP)
        path = host.home / "lib" / "runner.json"
        waiting.until(lambda: path.read_text() != seen, STARTS)
        assert host.alive() and runner.poll() is None
        host("event", "j", "start")
        waiting.until(lambda: (host.home / "c").exists(), STARTS)


def _torture(host: Host) -> None:
    text = host("selftest", "--rounds", "1", "--directory", str(host.home))
    assert text.endswith(": 0 violations\n"), text


@pytest.fixture(scope="module", name="program")
def _program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("program")
    python = releases.bare_python(place / "python")
    release = releases.lay_out(place)
    has_none = subprocess.run([python, "-I", "-c", "import tinydb"], stderr=subprocess.DEVNULL)
    assert has_none.returncode and (release / "vendor" / "tinydb").is_dir()
    (place / "not ours").mkdir()
    for name in NOT_OURS:
        (place / "not ours" / f"{name}.py").write_text(f"raise SystemExit('{name} is not ours')\n")
    return place


#: The environments of whoever calls; what lies in its directory is not ours but in the first.
ENVIRONMENTS = {
    "plain": {},
    "safe-path": {"PYTHONPATH": "", "PYTHONSAFEPATH": "1", "PYTHONOPTIMIZE": "2"},
    "misled": {"PYTHONPATH": "NOT OURS", "PYTHONHOME": "NOT OURS", "PYTHONSTARTUP": "NOT OURS"},
}


@pytest.fixture(name="host")
def _host(program: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Host:
    home, not_ours = tmp_path / "home", program / "not ours"
    home.mkdir(mode=0o700)
    command = releases.command_of(program, program / "python" / "bin" / "python3", home)
    told = ENVIRONMENTS[request.param]
    more = {name: text.replace("NOT OURS", str(not_ours)) for name, text in told.items()}
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COLDCHAIN"))}
    cwd = not_ours if told else tmp_path
    return Host(command, home, cwd, {**kept, **more, "TZ": "UTC"})


#: What gets to each place where a process of ours is started.
DOORS = [_message, _backup, _restore, _pipeline, _itself_anew, _torture]


@pytest.mark.parametrize(
    ("host", "through"),
    [
        # Where nothing misleads, one will do: it reloads the runner, which starts an action.
        ("plain", _itself_anew),
        *((told, through) for told in ("safe-path", "misled") for through in DOORS),
    ],
    indirect=["host"],
)
def test_each_process_of_ours_runs_from_its_release(
    host: Host, through: Callable[[Host], None]
) -> None:
    through(host)


def test_no_python_is_started_elsewhere() -> None:
    """A new place belongs into STARTED_BY, and what gets there among the doors above."""
    naming = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"\b(sys\.executable|multiprocessing|runpy)\b", path.read_text("utf-8"))
    }
    assert naming == STARTED_BY
