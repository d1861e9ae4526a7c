# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of from-freezer.md and from-cron.md do what the text around them says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cli_command import PACKAGE

ROOT = Path(__file__).parents[4]
JOB = {
    "job_id": "4822e482fcbb439189a1ad616ac0a72f",
    "client_id": "26b4ea367ac64702868653912e9428cc_db1.example.org",
    "job_actions": [
        {
            "freezer_action": {
                "action": "backup",
                "mode": "fs",
                "path_to_backup": "/srv/db",
                "backup_name": "db",
                "container": "nightly",
                "encrypt_pass_file": "/root/key",
            }
        }
    ],
    "job_schedule": {"schedule_interval": "1 days", "schedule_start_date": "2027-06-02T16:20:00"},
}
CRONTAB = "17 * * * * root cd / && run-parts /etc/cron.hourly\n0 3 1-7 * 0 root /opt/backup.sh\n"


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment in which the guide's commands find ours, and crontab(1) a crontab."""
    programs = tmp_path / "bin"
    programs.mkdir()
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    for name, line in (
        ("coldchain", f'exec {sys.executable} -m coldchain --home {home} "$@"'),
        ("crontab", "echo '*/5 * * * * /opt/ping'"),
    ):
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(PACKAGE)}


def test_the_commands_of_the_guide_work(shell: dict[str, str], tmp_path: Path) -> None:
    guide = "".join(
        (ROOT / "docs" / "guide" / f"from-{page}.md").read_text("utf-8")
        for page in ("freezer", "cron")
    )
    etc = tmp_path / "etc"
    for path, content in (
        ("freezer/scheduler/conf.d/job_1.conf", json.dumps(JOB)),
        ("crontab", CRONTAB),
        ("cron.d/php", "@daily www-data php /var/www/cron.php\n"),
    ):
        (etc / path).parent.mkdir(parents=True, exist_ok=True)
        (etc / path).write_text(content)
    blocks = re.findall(r"```bash\n(.*?)```", guide, re.DOTALL)
    assert len(blocks) == 4
    *blocks, plays = blocks  # Ansible's, tried by tests/integration/test_fleet_guides.py
    assert "ansible-playbook" in plays
    said = ""
    for block in blocks:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.replace("/etc/", f"{etc}/")],
            env=shell,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        said += done.stdout + done.stderr
    declared = (tmp_path / "host_vars" / "db1" / "freezer_jobs.yml").read_text()
    assert "storage: swift" in declared
    assert "encrypt_scheme: freezer" in declared
    assert f"{JOB['job_id']}" in said, "the plan names the job"
    jobs = (tmp_path / "cron_jobs.yml").read_text()
    assert 'schedule_day: "1-7,sun"' in jobs
    assert "user: www-data" in jobs
    assert "shell: true" in jobs
    assert "/opt/ping" in (tmp_path / "my_jobs.yml").read_text()
