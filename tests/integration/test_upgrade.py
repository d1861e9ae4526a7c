# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbook upgrade: batch by batch, and back where a new release does not work."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import waiting
import yaml
from playbooks import ROLE, Play, next_release

# What a service manager is to a runner: it starts again when it has ended, until its file is gone.
SUPERVISOR = """
touch "$0/supervised"
trap 'kill $runner' TERM
while [ -e "$0/supervised" ]; do "$0/bin/coldchain" serve & runner=$!; wait $runner; sleep 2; done
wait
"""


@pytest.fixture
def fleet(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A host with its runner at work, one whose turn does not come, and a bare one."""
    monkeypatch.setenv("ANSIBLE_PIPELINING", "true")
    homes = {"bare": tmp_path / "bare", "one": installed, "two": tmp_path / "two"}
    hosts = {name: {"coldchain_home": str(home)} for name, home in homes.items()}
    variables = {"ansible_connection": "local", "coldchain_become": False}
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(yaml.safe_dump({"fleet": {"hosts": hosts, "vars": variables}}))
    (tmp_path / "two" / "program").mkdir(parents=True)
    (tmp_path / "two" / "program" / "current").symlink_to("releases/none")
    with (tmp_path / "serve.log").open("wb") as log:
        words = ["/bin/sh", "-c", SUPERVISOR, str(installed)]
        supervisor = subprocess.Popen(words, stdout=log, stderr=log)
    waiting.until((installed / "lib" / "wake").exists, told=supervisor.poll)
    yield inventory
    (installed / "supervised").unlink()
    supervisor.terminate()
    waiting.ended(supervisor)


def release(home: Path) -> str:
    return (home / "program" / "current").readlink().name


def test_a_release_that_does_not_work_costs_one_host_a_minute(
    play: Play, fleet: Path, installed: Path, tmp_path: Path
) -> None:
    given = (f"--inventory={fleet}", "--limit=fleet")
    old = release(installed)
    refused = play("coldchain.freezer.upgrade", *given, coldchain_serial="half")
    assert refused.code != 0
    assert "coldchain_serial is a number of hosts from 1 on" in refused.output

    fault = tmp_path / "fault"
    fault.touch()
    broken = f'if __import__("os").path.exists("{fault}"): raise OSError("broken")'
    later = next_release(tmp_path, "later", "runner/serving.py", broken)
    template = later / ROLE / "templates" / "runner.conf.j2"
    template.write_text(template.read_text() + "later =\n")  # as of a release with one more
    stopped = play(
        "coldchain.freezer.upgrade", *given, collections=later, coldchain_upgrade_timeout=2
    )
    assert stopped.code != 0
    assert "again and is as it was before. No further batch" in stopped.output, stopped.output
    assert release(installed) == old
    assert "two " not in stopped.output.partition("RECAP")[2], "the next batch has not begun"

    fault.unlink()
    given = (given[0], "--limit=one,bare")
    upgraded = play("coldchain.freezer.upgrade", *given, collections=later, coldchain_serial=2)
    assert upgraded.code == 0, upgraded.output
    new = release(installed)
    assert f"{old} -> {new}" in upgraded.output
    assert not (tmp_path / "bare").exists()
    back = play("coldchain.freezer.upgrade", *given, collections=later, coldchain_rollback=True)
    assert back.code == 0, back.output
    assert f"{new} -> {old}" in back.output
