# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plays of the guides say the truth and do what the text around them says.

Every job document of the guides is declared by tests/unit/plugins/test_real_cli.py.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import waiting
import yaml
from playbooks import ROOT, Play

WAIT = {"event": "start", "wait": True, "timeout": 300}


def blocks(page: str) -> list[Any]:
    text = (ROOT / "docs" / "guide" / page).read_text(encoding="utf-8")
    return [yaml.safe_load(each) for each in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


@pytest.fixture
def home(installed: Path) -> Iterator[Path]:
    """An installation whose runner is at work."""
    runner = subprocess.Popen([installed / "bin" / "coldchain", "serve"], stderr=subprocess.DEVNULL)
    waiting.until((installed / "lib" / "wake").exists, told=runner.poll)
    yield installed
    runner.terminate()
    waiting.ended(runner)


def in_home(home: Path, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A play of the tasks; all modules find the installation as quick-start.md says."""
    (defaults,) = (each[0] for each in blocks("quick-start.md") if "module_defaults" in str(each))
    defaults["module_defaults"]["group/coldchain.freezer.coldchain"]["home"] = str(home)
    return [{**defaults, "gather_facts": False, "tasks": tasks}]


def test_the_morning_finds_the_host_that_is_not_protected(
    play: Play, home: Path, tmp_path: Path
) -> None:
    source = tmp_path / "www"
    backup = {"action": "backup", "path_to_backup": str(source), "backup_name": "www"}
    job = {"job_id": "www", "job_actions": [{"freezer_action": {**backup, "container": "www"}}]}
    job["job_schedule"] = {"schedule_interval": "1 days"}
    declare = {"name": "Declare", "coldchain.freezer.job": job}
    start = {"name": "Start", "coldchain.freezer.job_event": {"job_id": "www", **WAIT}}
    (own,) = blocks("morning.md")[0]
    asked = {"coldchain_home": str(home), "coldchain_become": False}
    files = {f"coldchain_status_{kind}": str(tmp_path / kind) for kind in ("json", "junit")}
    inventory = tmp_path / "inventory.yml"
    away = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9}
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"localhost": {}, "away": away}}}))

    # Declared, never run, and there is no such directory yet; nobody is at home in the other one.
    begun = play(in_home(home, [declare, start]))
    assert begun.code != 0 and begun.changed == 1, begun.output
    failed = play(
        "coldchain.freezer.status",
        f"--inventory={inventory}",
        **asked,
        **files,
        coldchain_status_days=1,
    )
    assert failed.code != 0
    away, needy = re.findall(r'"((?:away|localhost) .*)"', failed.output)
    assert re.match(r"away +unreachable +- ", away), failed.output
    assert re.match(r"localhost +not protected +0/1 +job www: failed: .* does not exist", needy)
    assert "2 of 2 hosts need somebody: away, localhost" in failed.output
    told = {host["host"]: host for host in json.loads((tmp_path / "json").read_text())["hosts"]}
    assert told["localhost"]["status"]["runs"][0]["rows"][0][2] == "fail"
    cases = ElementTree.parse(tmp_path / "junit").getroot().iter("testcase")
    assert {case.get("name") for case in cases if len(case)} == {"host", "job www"}
    stopped = play(in_home(home, own["tasks"]))
    assert stopped.code != 0 and "is not protected: job www: failed" in stopped.output

    source.mkdir()
    started = play(in_home(home, [start]))
    assert started.code == 0, started.output
    protected = play("coldchain.freezer.status", "--check", **asked)
    assert protected.code == 0, protected.output
    assert re.search(r"localhost +protected +1/1", protected.output)
    assert protected.changed == 0

    a_fleet_is_reported(play, asked, inventory, tmp_path)

    # And back: restore.md, with another target than /var/www.
    way_back, newest, read_in_full = (
        each for each in blocks("restore.md") if isinstance(each, list)
    )
    target = tmp_path / "restored"
    options = way_back[0]["coldchain.freezer.restore"]
    options["restore_abs_path"] = str(target)
    restored = play(in_home(home, [*newest, *way_back]))
    assert restored.code == 0, restored.output
    assert target.is_dir()
    assert "restored www as of " in restored.output

    another_host_would_restore_it(play, home, tmp_path)
    a_fleet_is_verified(play, home)

    verified = in_home(home, [newest[0], *read_in_full])
    again = play(verified)
    assert again.code == 0, again.output


def a_fleet_is_reported(play: Play, asked: dict[str, Any], inventory: Path, tmp_path: Path) -> None:
    """report.md: one file, whatever it has to say, and one name that is wrong."""
    page = tmp_path / "backups.html"
    wrong = {**asked, "coldchain_report": str(page), "coldchain_report_day": 7}
    refused = play("coldchain.freezer.report", **wrong)
    assert refused.code != 0 and "coldchain_report_day is not known here" in refused.output
    assert not page.exists()
    written = play(
        "coldchain.freezer.report",
        f"--inventory={inventory}",
        **asked,
        coldchain_report=str(page),
    )
    assert (written.code, written.changed) == (0, 0), written.output
    assert f"{page}: 1 of 2 hosts need somebody: away" in written.output
    assert page.read_text().startswith("<!doctype html>")
    report = json.loads(page.with_suffix(".json").read_text())
    away, here = (dict(zip(report["hosts"]["columns"], row)) for row in report["hosts"]["rows"])
    assert (away["state"], here["state"]) == ("unreachable", "protected")
    (job,) = (dict(zip(report["jobs"]["columns"], row)) for row in report["jobs"]["rows"])
    assert job["recent"][1] == "fs"


def another_host_would_restore_it(play: Play, home: Path, tmp_path: Path) -> None:
    """What is said before the backup of "web1" is carried to this host; tests/fleet carries it."""
    inventory = tmp_path / "more.yml"
    inventory.write_text("all: {hosts: {web1: {ansible_connection: local}}}")
    target = tmp_path / "carried-along"
    names = {"from": "web1", "job": "www", "target": str(target)}
    variables: dict[str, Any] = {f"coldchain_restore_{name}": each for name, each in names.items()}
    variables.update(coldchain_home=str(home), coldchain_become=False)

    def restore(*options: str, **more: Any) -> Any:
        given = {"coldchain_hosts": "localhost", **variables, **more}
        return play("coldchain.freezer.restore", f"--inventory={inventory}", *options, **given)

    looked = restore("--check")
    assert (looked.code, "would carry " in looked.output) == (0, True), looked.output
    assert not target.exists()
    refused = restore(coldchain_restore_path="a")
    assert refused.code != 0 and "no variable coldchain_restore_path" in refused.output
    for nobody in ({"coldchain_hosts": "wbe1"}, {"coldchain_restore_from": "wbe1"}):
        refused = restore(**nobody)
        assert refused.code != 0 and "wbe1" in refused.output, refused.output


def a_fleet_is_verified(play: Play, home: Path) -> None:
    """Every byte of one that has lost its end; retire.md's of a good one is test_fleet_guides'."""
    where = {"coldchain_home": str(home), "coldchain_become": False}
    (data,) = home.glob("backups/www/data/tar/*/*/*/data")
    whole = data.read_bytes()
    data.write_bytes(whole[:-1])
    damaged = play("coldchain.freezer.verify", coldchain_verify="full", **where)
    assert damaged.code != 0 and "localhost  damaged " in damaged.output
    data.write_bytes(whole)
    subprocess.run([home / "bin" / "coldchain", "verify", "--full"], check=True)


def test_a_host_tells_prometheus_what_monitoring_says(
    play: Play, installed: Path, tmp_path: Path
) -> None:
    (own,), _rules = blocks("monitoring.md")
    home, file = installed, tmp_path / "node" / "coldchain.prom"
    (role,) = own["roles"]
    assert Path(role["vars"]["coldchain_metrics_file"]).name == file.name
    role["vars"] = {"coldchain_home": str(home), "coldchain_metrics_file": str(file)}
    own["become"] = False
    file.parent.mkdir()
    configured = play([own])
    assert configured.code == 0, configured.output
    with subprocess.Popen(
        [home / "bin" / "coldchain", "serve"], stderr=subprocess.DEVNULL
    ) as runner:
        waiting.until(file.exists, told=runner.poll)
        runner.terminate()
    assert re.search(r"^coldchain_runner_up 0$", file.read_text(), re.MULTILINE)
