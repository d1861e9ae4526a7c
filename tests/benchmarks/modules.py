# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One `jobs` task beside `ansible.builtin.cron` in a loop: same host, same connection, one run.

    .venv/bin/python tests/benchmarks/modules.py [JOBS [CRON_ENTRIES]]

Needs the collection in ANSIBLE_COLLECTIONS_PATH (make install) and the command `crontab`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "roles" / "runner" / "files"

JOBS = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Declare
      coldchain.freezer.jobs:
        home: {home}
        jobs: "{{{{ lookup('file', '{home}/documents.json') | from_json }}}}"
"""
CRON = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Declare
      ansible.builtin.cron:
        name: "job {{{{ item }}}}"
        cron_file: {home}/crontab
        user: root
        hour: "3"
        minute: "{{{{ item % 60 }}}}"
        job: "true"
      loop: "{{{{ range({count}) | list }}}}"
      loop_control: {{label: ""}}
"""


def play(home: Path, text: str) -> float:
    """Seconds of one ansible-playbook."""
    (home / "play.yml").write_text(text)
    began = time.perf_counter()
    words = ["ansible-playbook", "-i", "localhost,", str(home / "play.yml")]
    words += ["-e", f"ansible_python_interpreter={sys.executable}"]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ})
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.perf_counter() - began


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    entries = int(sys.argv[2]) if len(sys.argv) > 2 else 30
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        (home / "bin").mkdir()
        launcher = home / "bin" / "coldchain"
        launcher.write_text(
            f'#!/bin/sh\nPYTHONPATH={PACKAGE} exec {sys.executable} -m coldchain "$@"\n'
        )
        launcher.chmod(0o755)
        documents = [
            {
                "job_id": f"job-{n}",
                "job_actions": [{"freezer_action": {"action": "exec", "command": "true"}}],
                "job_schedule": {"schedule_hour": "3", "schedule_minute": str(n % 60)},
            }
            for n in range(count)
        ]
        (home / "documents.json").write_text(json.dumps(documents))
        first = play(home, JOBS.format(home=home))
        before = sorted((p, p.stat().st_mtime_ns) for p in (home / "lib").rglob("*"))
        again = play(home, JOBS.format(home=home))
        after = sorted((p, p.stat().st_mtime_ns) for p in (home / "lib").rglob("*"))
        print(f"jobs: {count} in one task {first:.2f} s, unchanged {again:.2f} s", end="")
        print(f" (files written by the unchanged run: {len(set(after) - set(before))})")
        if shutil.which("crontab") is None:
            sys.exit("crontab is not installed: ansible.builtin.cron was not measured")
        nothing = play(home, CRON.format(home=home, count=0))
        cron = play(home, CRON.format(home=home, count=entries))
        ours, theirs = (first - nothing) / count, (cron - nothing) / entries
        print(f"cron: {entries} in a loop {cron:.2f} s; ansible-playbook alone {nothing:.2f} s")
        times = theirs / ours
        print(f"per job: ours {ours * 1000:.1f} ms, cron {theirs * 1000:.1f} ms: {times:.0f} times")


if __name__ == "__main__":
    main()
