# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install, declare, look and restore with every supported ansible-core but .venv's, which does
everything else.  tools/fleet.sh makes their environments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import waiting
from playbooks import COLLECTIONS, ROOT

CORES = [path.name.partition("-")[2] for path in (ROOT / "build" / "venvs").glob("core-*")]
SCHEDULE = {"schedule_hour": "2", "schedule_timezone": "UTC"}
JOB = {"job_id": "etc", "slot": "nightly", "job_schedule": SCHEDULE}


def _play(
    core: str, variables: dict[str, t.Any], *playbooks: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            str(ROOT / "build" / "venvs" / f"core-{core}" / "bin" / "ansible-playbook"),
            "--inventory=localhost,",
            "--connection=local",
            f"--extra-vars={json.dumps(variables)}",
            *playbooks,
        ],
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DEPRECATION_WARNINGS": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("core", sorted(CORES))
def test_the_playbooks_with_ansible_core(core: str, tmp_path: Path) -> None:
    home, source, target = tmp_path / "home", tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "name").write_text(core)
    backup = {"action": "backup", "path_to_backup": str(source), "backup_name": "etc"}
    actions = [{"freezer_action": {**backup, "container": "etc"}}]
    start = [{"hosts": "all", "gather_facts": False, "tasks": []}]
    event = {"job_id": "etc", "event": "start", "wait": True, "home": str(home)}
    start[0]["tasks"] = [{"coldchain.freezer.job_event": event}]
    (tmp_path / "start.yml").write_text(json.dumps(start))
    variables = {
        "ansible_python_interpreter": sys.executable,
        "coldchain_home": str(home),
        "coldchain_become": False,
        "coldchain_hosts": "localhost",
        "freezer_jobs": [{**JOB, "job_actions": actions}],
        "coldchain_slots": {"nightly": {"at_once": 1, "within": "10 minutes"}},
        "coldchain_restore_job": "etc",
        "coldchain_restore_target": str(target),
    }

    def play(*playbooks: str) -> str:
        done = _play(core, variables, *playbooks)
        assert done.returncode == 0, done.stdout
        assert "DEPRECATION" not in done.stdout
        return done.stdout

    play("coldchain.freezer.site")
    runner = subprocess.Popen([home / "bin" / "coldchain", "serve"], stderr=subprocess.DEVNULL)
    try:
        waiting.until((home / "lib" / "wake").exists, told=runner.poll)
        names = (f"coldchain.freezer.{name}" for name in ("status", "restore", "slots", "upgrade"))
        said = play(str(tmp_path / "start.yml"), *names)
    finally:
        runner.terminate()
        waiting.ended(runner)
    assert "restored etc as of " in said
    assert "+0:00  localhost/etc" in said
    assert (target / "name").read_text() == core


@pytest.mark.parametrize("core", sorted(CORES))
def test_what_a_host_tells_is_no_template_on_the_controller(core: str, tmp_path: Path) -> None:
    """Somebody who owns a host must not own the controller by what his Python says of itself."""
    ran, python = tmp_path / "ran", tmp_path / "python"
    told = f"{{{{ lookup('ansible.builtin.pipe', 'touch {ran}') }}}}"
    python.write_text(f'#!/bin/sh\n[ "$1" = -V ] && echo "{told}" || echo tag=cpython-39\n')
    python.chmod(0o755)
    variables = {
        "ansible_python_interpreter": sys.executable,
        "coldchain_home": str(tmp_path / "home"),
        "coldchain_become": False,
        "coldchain_python": str(python),
        "coldchain_state": "present",
    }
    done = _play(core, variables, "--check", "--tags=coldchain_install", "coldchain.freezer.site")
    assert not ran.exists(), done.stdout
    assert "Would install release" in done.stdout
