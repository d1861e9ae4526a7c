# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plays of the guides say the truth and do what the text around them says.

Every job document of the guides is declared by tests/unit/plugins/test_real_cli.py.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, Play

WAIT = {"event": "start", "wait": True, "timeout": 300}


def blocks(page: str) -> list[Any]:
    text = (ROOT / "docs" / "guide" / page).read_text(encoding="utf-8")
    return [yaml.safe_load(each) for each in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


@pytest.fixture
def home(play: Play, tmp_path: Path) -> Iterator[Path]:
    """An installation whose runner is at work."""
    home = tmp_path / "home"
    role = [{"hosts": "all", "gather_facts": False, "roles": ["coldchain.freezer.runner"]}]
    installed = play(role, runner_home=str(home))
    assert installed.code == 0, installed.output
    runner = subprocess.Popen([home / "bin" / "coldchain", "serve"], stderr=subprocess.DEVNULL)
    while not (home / "lib" / "wake").exists():
        assert runner.poll() is None
        time.sleep(0.05)
    yield home
    runner.terminate()
    runner.wait(300)


def in_home(home: Path, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A play of the tasks; all modules find the installation as quick-start.md says."""
    (defaults,) = (each[0] for each in blocks("quick-start.md") if "module_defaults" in str(each))
    defaults["module_defaults"]["group/coldchain.freezer.coldchain"]["home"] = str(home)
    return [{**defaults, "gather_facts": False, "tasks": tasks}]


def test_the_status_play_finds_the_host_that_is_not_protected(
    play: Play, home: Path, tmp_path: Path
) -> None:
    source = tmp_path / "www"
    backup = {"action": "backup", "path_to_backup": str(source), "backup_name": "www"}
    job = {"job_id": "www", "job_actions": [{"freezer_action": {**backup, "container": "www"}}]}
    job["job_schedule"] = {"schedule_interval": "1 days"}
    declare = {"name": "Declare", "coldchain.freezer.job": job}
    start = {"name": "Start", "coldchain.freezer.job_event": {"job_id": "www", **WAIT}}
    (status,) = blocks("status.md")[0]
    look = in_home(home, status["tasks"])

    assert play(in_home(home, [declare])).code == 0
    never_run = play(look)
    assert never_run.code != 0
    assert "www: there is no backup that could be restored" in never_run.output

    assert play(in_home(home, [start])).code != 0, "there is no such directory yet"
    failed = play(look)
    assert failed.code != 0
    assert "www: fail; coldchain log www says why" in failed.output

    source.mkdir()
    started = play(in_home(home, [start]))
    assert started.code == 0, started.output
    protected = play(look)
    assert protected.code == 0, protected.output

    # And back: restore.md, with another target than /var/www.
    way_back, newest, read_in_full = (
        each for each in blocks("restore.md") if isinstance(each, list)
    )
    target = tmp_path / "restored"
    options = way_back[0]["coldchain.freezer.job"]["job_actions"][0]["freezer_action"]
    options["restore_abs_path"] = str(target)
    restored = play(in_home(home, [*newest, *way_back]))
    assert restored.code == 0, restored.output
    assert target.is_dir()

    verified = in_home(home, [newest[0], *read_in_full])
    assert play(verified).code != 0
    subprocess.run([home / "bin" / "coldchain", "verify", "--full"], check=True)
    again = play(verified)
    assert again.code == 0, again.output
