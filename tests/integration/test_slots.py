# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slots through the playbooks, with the inventory of docs/guide/slots.md: homes on this machine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from playbooks import COLLECTIONS, ROOT, Play

GUIDE = (ROOT / "docs" / "guide" / "slots.md").read_text(encoding="utf-8")
HOSTS = [f"web{number}" for number in range(1, 6)]
LAUNCHER = """#!{python} -I
import sys
sys.path.insert(0, {runner!r})
from coldchain.cli import main
main(default_home={home!r})
"""


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """Five hosts that have the command already, with the variables of the guide."""
    runner = str(COLLECTIONS / "ansible_collections/coldchain/freezer/roles/runner/files")
    hosts = {}
    for name in HOSTS:
        home = tmp_path / name
        for folder in ("bin", "etc", "lib"):
            (home / folder).mkdir(parents=True, mode=0o700)
        text = LAUNCHER.format(python=sys.executable, runner=runner, home=str(home))
        (home / "bin" / "coldchain").write_text(text)
        (home / "bin" / "coldchain").chmod(0o755)
        hosts[name] = {"coldchain_home": str(home)}
    variables = {"ansible_connection": "local", "coldchain_become": False}
    for block in re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL):
        variables.update(yaml.safe_load(block))
    path = tmp_path / "inventory.yml"
    path.write_text(yaml.safe_dump({"web": {"hosts": hosts, "vars": variables}}))
    return path


def places(inventory: Path) -> dict[str, str]:
    """The offsets that hosts have declared."""
    found = {}
    for name in HOSTS:
        jobs = inventory.parent / name / "lib" / "jobs.json"
        told = re.findall(r'"schedule_offset": ?"([^"]*)"', jobs.read_text())
        found[name] = ", ".join(told)
    return found


def jobs_play(**keywords: object) -> list[dict[str, object]]:
    return [
        {"hosts": "web", "gather_facts": False, "roles": ["coldchain.freezer.jobs"], **keywords}
    ]


def test_a_place_is_the_same_whatever_the_play_is_limited_to(
    play: Play, inventory: Path, tmp_path: Path
) -> None:
    given = f"--inventory={inventory}"
    written = tmp_path / "plan.json"
    shown = play("coldchain.freezer.slots", given, coldchain_slots_json=str(written))
    assert shown.code == 0, shown.output
    (guide,) = re.findall(r"\n((?:    slot nightly: jobs|      \+\d).*?)\n\n", GUIDE, re.DOTALL)
    table = json.loads(written.read_text())["table"]
    assert [line.strip() for line in guide.splitlines()] == [line.strip() for line in table]

    # One host alone, two at a time, each at its own pace, by one process: the same places.
    assert play(jobs_play(), given, "--limit=web3").code == 0
    two = play(jobs_play(serial=2), given, "--limit=web2,web4,web3", "--forks=1")
    assert two.code == 0, two.output
    free = play(jobs_play(strategy="free"), given)
    assert free.code == 0, free.output
    assert free.output.count("changed=0 ") == 3, free.output
    planned = {
        place["host"]: f"{place['offset'] // 60} minutes"
        for place in json.loads(written.read_text())["slots"]["nightly"]["places"]
    }
    assert places(inventory) == planned
    told = subprocess.run(
        [tmp_path / "web1" / "bin" / "coldchain", "explain", "www"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "nightly: 10 minutes into its 2 hours" in told.stdout


def test_nothing_is_applied_where_a_slot_cannot_be_kept(play: Play, inventory: Path) -> None:
    given = f"--inventory={inventory}"
    tight = {"nightly": {"at_once": 1, "within": "40 minutes"}}
    refused = play(jobs_play(), given, "--limit=web1", coldchain_slots=tight)
    assert refused.code != 0
    assert "Write a within of 50 minutes, or an at_once of 2" in refused.output
    long = {"nightly": {"at_once": 1, "within": "25 hours"}}
    refused = play(jobs_play(), given, "--limit=web1", coldchain_slots=long)
    assert refused.code != 0
    assert "schedule_splay: is longer than the 23 hours between" in refused.output
    shutil.rmtree(inventory.parent / "web2")  # who cannot be asked has a place all the same
    in_play = {"vars": {"freezer_jobs_here": [{"job_id": "x", "slot": "nightly"}]}}
    refused = play(jobs_play(**in_play), given, "--limit=web1")
    assert refused.code != 0
    assert "Declare it in group_vars or host_vars, not in the play" in refused.output
    assert not (inventory.parent / "web1" / "lib" / "jobs.json").exists()
