# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the first and the second run of playbook site cost the controller.

    .venv/bin/python tests/benchmarks/fleet.py [HOSTS...]     # 5 20

CPU seconds (user and system) of ansible-playbook with all of its processes, beside a play without a
task.  As root on a machine
with podman and mmdebstrap the hosts are those of tests/bed, which boot systemd and are reached over
SSH; elsewhere they are homes on this machine, and the modules' own work is in the figures.  Needs
the collection in ANSIBLE_COLLECTIONS_PATH (make install).
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BED = Path(__file__).resolve().parents[1] / "bed" / "bed.sh"
EMPTY = [{"name": "Nothing", "hosts": "all", "gather_facts": False, "tasks": []}]
ACTION = {"action": "backup", "path_to_backup": "/etc", "backup_name": "etc", "container": "etc"}
JOB = {
    "job_id": "etc",
    "job_actions": [{"freezer_action": ACTION}],
    "job_schedule": {"schedule_hour": "2"},
}


@contextmanager
def booted(directory: Path, count: int) -> Iterator[Path]:
    """So many booted hosts; yields their inventory."""
    environment = {**os.environ, "BED_DIR": str(directory)}
    names = [f"h{number}:bookworm" for number in range(count)]
    try:
        subprocess.run([BED, "up", *names], env=environment, check=True, capture_output=True)
        yield directory / "hosts.ini"
    finally:
        subprocess.run([BED, "down"], env=environment, check=False, capture_output=True)


@contextmanager
def homes(directory: Path, count: int) -> Iterator[Path]:
    """So many homes on this machine; yields their inventory."""
    always = f"ansible_connection=local ansible_python_interpreter={sys.executable}"
    lines = [
        f"h{number} {always} coldchain_become=false coldchain_home={directory}/h{number}"
        for number in range(count)
    ]
    inventory = directory / "hosts.ini"
    inventory.write_text("\n".join([*lines, ""]), encoding="utf-8")
    yield inventory


def played(inventory: Path, playbook: str) -> tuple[float, str]:
    """CPU seconds of the controller, and what was printed."""
    variables = json.dumps({"freezer_jobs": [JOB]})
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        ["ansible-playbook", f"--inventory={inventory}", "--extra-vars", variables, playbook],
        env={**os.environ, "ANSIBLE_PIPELINING": "true", "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def measure(count: int) -> None:
    """Print a line for so many hosts."""
    real = os.geteuid() == 0 and all(map(shutil.which, ("podman", "runc", "mmdebstrap")))
    with tempfile.TemporaryDirectory(prefix="coldchain-") as scratch:
        empty = Path(scratch, "empty.json")
        empty.write_text(json.dumps(EMPTY), encoding="utf-8")
        with (booted if real else homes)(Path(scratch), count) as inventory:
            nothing, _unused = played(inventory, str(empty))
            first, _unused = played(inventory, "coldchain.freezer.site")
            second, said = played(inventory, "coldchain.freezer.site")
    lines = len(re.findall(r"^(?:ok|skipping|changed): ", said, re.MULTILINE)) / count
    share = (second - nothing) / (first - nothing)
    kind = "booted hosts" if real else "homes on this machine"
    print(
        f"{count} {kind}: empty play {nothing:.1f} s, first run {first:.1f} s,"
        f" second {second:.1f} s: {share:.0%} of the first above an empty play;"
        f" {lines:.0f} lines a host",
        flush=True,
    )


if __name__ == "__main__":
    for number in map(int, sys.argv[1:] or ("5", "20")):
        measure(number)
