# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real freezer-scheduler is taken over by playbook adopt, and given back by unadopt."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import guardian
import pytest
import waiting
from agent_points import catalogue
from interop_pair import Pair, grow, tree
from playbooks import Play, Played

SECRET = "hunter2-of-the-openrc"
PASSWORD = "hunter2-of-the-job"


class Site:
    """A host with a freezer-scheduler over a directory of jobs, as its users leave it."""

    def __init__(self, pair: Pair, play: Play) -> None:
        self.pair = pair
        self.jobs = pair.root / "etc freezer" / "conf.d"
        self.jobs.mkdir(parents=True)
        self.home = pair.root / "home"
        self.log = pair.root / "scheduler.log"
        self._play = play

    def job(self, name: str, action: dict[str, object], **schedule: object) -> Path:
        """A job as the scheduler keeps it: one file, with what the API has added."""
        path = self.jobs / f"job_{name}.conf"
        action = {"freezer_action": action, "max_retries": 1, "action_id": "f" * 32}
        document = {"job_id": name, "client_id": "p_host", "user_id": "u", "job_actions": [action]}
        path.write_text(json.dumps({**document, "job_schedule": schedule}, indent=4))
        return path

    def backup(self, **fields: object) -> dict[str, object]:
        """The action of the pair, with the container as the scheduler's directory leads to it."""
        action = {"action": "backup", "mode": "fs", "storage": "local", "hostname": "host"}
        action |= {"path_to_backup": "source", "container": "container", "backup_name": "docs"}
        return {**action, "incremental": True, "sync": False, **fields}

    def start(self) -> None:
        """The scheduler, as a child of nobody who would wait for it."""
        words = ["freezer-scheduler", "--scheduler-no-api", "--scheduler-no-daemon"]
        words[0] = str(self.pair.program.with_name(words[0]))
        with self.log.open("ab") as log:
            subprocess.run(
                ["sh", "-c", 'setsid "$@" & ', "sh", *words, "-f", "etc freezer/conf.d", "start"],
                cwd=self.pair.root,
                env={
                    "PATH": f"{self.pair.program.parent}:{os.environ['PATH']}",
                    "HOME": str(self.pair.root),
                    **self.pair.openrc,
                    "OS_PASSWORD": SECRET,
                    "PYTHONWARNINGS": "ignore",
                    guardian.VARIABLE: os.environ[guardian.VARIABLE],
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
            )
        waiting.until(self.pids, told=self.log.read_text)

    def pids(self) -> list[int]:
        """The schedulers that read this directory, found in another way than the playbook's."""
        listed = subprocess.run(
            ["ps", "-eww", "-o", "pid,args"], capture_output=True, text=True, check=True
        ).stdout
        lines = re.findall(r"^ *(\d+) \S*python\S* \S*freezer-scheduler .*", listed, re.MULTILINE)
        return [pid for pid in map(int, lines) if self._here(pid)]

    def _here(self, pid: int) -> bool:
        try:
            return Path(os.readlink(f"/proc/{pid}/cwd")) == self.pair.root.resolve()
        except OSError:
            return False

    def play(self, name: str, *options: str, **variables: object) -> Played:
        """One of the two playbooks on this host."""
        given = {"home": str(self.home), "become": False, "adopt_jobs_dir": str(self.jobs)}
        everything = {**{f"coldchain_{key}": value for key, value in given.items()}, **variables}
        played = self._play(f"coldchain.freezer.{name}", *options, **everything)
        assert SECRET not in played.output and PASSWORD not in played.output, played.output
        return played

    def apply(self, host_vars: Path) -> Played:
        """Role jobs, with the variables of this host in that directory."""
        inventory = host_vars.with_name("inventory")
        inventory.write_text("localhost\n")
        roles = [{"hosts": "all", "gather_facts": False, "roles": ["coldchain.freezer.jobs"]}]
        given = {"coldchain_home": str(self.home)}
        return self._play(roles, f"--inventory={inventory}", **given)

    def ours(self, *words: str) -> str:
        """The command of the installation."""
        program = self.home / "bin" / "coldchain"
        done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def declared(self) -> dict[str, dict[str, object]]:
        return {job["job_id"]: job for job in json.loads(self.ours("--json", "list"))["jobs"]}


@pytest.fixture
def site(pair: Pair, play: Play) -> Iterator[Site]:
    site = Site(pair, play)
    yield site
    for pid in site.pids():
        os.kill(pid, signal.SIGKILL)


def everything(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.long(40)
def test_a_scheduler_is_taken_over_and_given_back(site: Site) -> None:
    pair = site.pair
    grow(pair, 0)
    pair.freezer("backup", incremental=True)
    site.job("docs", site.backup(), schedule_interval="7 days", status="scheduled")
    exec_action = {"action": "exec", "command": "/bin/echo {{ nothing }}"}
    site.job("night", {**exec_action, "environment": {"P": PASSWORD}}, schedule_hour="3")
    # It has run when the scheduler began; here it must not run once more.
    site.job("once", site.backup(backup_name="once"))
    site.job("db", site.backup(mode="mysql", mysql_conf="/etc/my.conf"), schedule_hour="4")
    (site.jobs / "notes.txt").write_text("no job, and not read by the scheduler")
    site.start()
    (first,) = site.pids()
    before = everything(site.jobs)

    # One job cannot be had here: nothing happens.
    refused = site.play("adopt")
    assert refused.code != 0 and "job_db.conf: " in refused.output, refused.output
    assert "coldchain_adopt_skip" in refused.output
    assert site.pids() == [first] and not site.home.exists()

    skip = {"coldchain_adopt_skip": True}
    looked = site.play("adopt", "--check", **skip)
    assert looked.code == 0, looked.output
    planned = r"job docs \(interval 1 weeks\): .*: 1 level there, the newest 0 .* goes on"
    assert re.search(planned, looked.output), looked.output
    assert "once: has no time" in looked.output
    assert site.pids() == [first] and not site.home.exists()

    host_vars = pair.root / "host_vars"
    adopted = site.play("adopt", coldchain_adopt_host_vars=str(host_vars), **skip)
    assert adopted.code == 0, adopted.output
    assert "NO RUNNER IS AT WORK" in adopted.output, "nobody has started that of the home"
    assert not site.pids()
    jobs = site.declared()
    assert {name: job["status"] for name, job in jobs.items()} == {
        "docs": "scheduled",
        "night": "scheduled",
        "once": "stop",
    }
    (written,) = host_vars.rglob("*.yml")
    assert re.findall("job_id: (.*)", written.read_text()) == list(jobs)
    assert written.stat().st_mode & 0o077 == 0
    record = site.home / "lib" / "adopted.json"
    assert record.stat().st_mode & 0o077 == 0

    again = site.play("adopt", **skip)
    assert (again.code, again.changed) == (0, 0), again.output

    # What looks like a template is none, neither on the way here nor in the inventory.
    applied = site.apply(host_vars)
    assert (applied.code, applied.changed) == (0, 0), applied.output
    assert '"/bin/echo {{ nothing }}"' in site.ours("--json", "list", "--documents")

    # The chain goes on, and both read it.
    grow(pair, 1)
    site.ours("run", "docs")
    assert [one.level for one in catalogue(pair.container)] == [0, 1]

    given_back = site.play("unadopt")
    assert given_back.code == 0, given_back.output
    (second,) = site.pids()
    environment = Path(f"/proc/{second}/environ").read_bytes()
    assert f"OS_PASSWORD={SECRET}".encode() in environment
    assert everything(site.jobs) == before
    assert not site.declared() and not record.exists()
    again = site.play("unadopt")
    assert (again.code, again.changed) == (0, 0), again.output
    assert "Nothing was taken over" in again.output

    grow(pair, 2)
    pair.freezer("backup", incremental=True)
    assert [one.level for one in catalogue(pair.container)] == [0, 1, 2]
    pair.freezer("restore")
    assert tree(pair.target) == tree(pair.source)
