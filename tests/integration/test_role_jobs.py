# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role jobs, through the playbook site."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from playbooks import COLLECTIONS, Play, Played

COLLECTION = Path("ansible_collections/coldchain/freezer")


def job(job_id: str, hour: int, **fields: object) -> dict[str, object]:
    return {
        "job_id": job_id,
        "job_actions": [{"freezer_action": {"action": "exec", "command": ["true"]}}],
        "job_schedule": {"schedule_hour": str(hour)},
        **fields,
    }


def declared(home: Path) -> dict[str, str]:
    """Which jobs there are, and the hour of each."""
    out = subprocess.run(
        [home / "bin" / "coldchain", "--json", "list", "--documents"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return {
        entry["job_id"]: entry["document"]["job_schedule"]["schedule_hour"]
        for entry in json.loads(out)["jobs"]
    }


def test_lists_are_merged_in_the_order_of_their_names(play: Play, installed: Path) -> None:
    home = installed
    lists = {
        "freezer_jobs": [job("a", 1), job("b", 1), job("c", 1)],
        "freezer_jobs_web": [job("b", 2), job("d", 2)],
        "freezer_jobs_zz_host": [job("d", 3), {"job_id": "c", "state": "absent"}],
    }
    site = {"coldchain_home": str(home), "coldchain_become": False}
    first = play("coldchain.freezer.site", **site, **lists)
    assert first.code == 0, first.output
    assert declared(home) == {"a": "1", "b": "2", "d": "3"}
    again = play("coldchain.freezer.site", **site, **lists)
    assert (again.code, again.changed) == (0, 0), again.output
    assert len(re.findall(r"^(?:ok|skipping|changed): ", again.output, re.MULTILINE)) <= 10

    without = play("coldchain.freezer.site", **site, freezer_jobs=[job("a", 1)])
    assert declared(home) == {"a": "1", "b": "2", "d": "3"}, without.output
    assert "these jobs of the host, and they go on running: b, d." in without.output
    purged = play(
        "coldchain.freezer.site", **site, freezer_jobs=[job("a", 1)], coldchain_jobs_purge=True
    )
    assert declared(home) == {"a": "1"}, purged.output
    refused = play("coldchain.freezer.site", **site, coldchain_jobs_purge=True)
    assert refused.code != 0
    assert declared(home) == {"a": "1"}
    emptied = play(
        "coldchain.freezer.site", **site, coldchain_jobs_purge=True, coldchain_jobs_allow_empty=True
    )
    assert emptied.code == 0, emptied.output
    assert declared(home) == {}


def test_a_variable_that_is_no_list_is_named(play: Play, installed: Path) -> None:
    refused = play(
        "coldchain.freezer.site",
        coldchain_home=str(installed),
        coldchain_become=False,
        freezer_jobs_web="not a list",
    )
    assert refused.code != 0
    assert "freezer_jobs_web must be a list of job documents" in refused.output


def test_check_mode_before_anything_is_there(play: Play, tmp_path: Path) -> None:
    home = tmp_path / "home"
    predicted = play(
        "coldchain.freezer.site",
        "--check",
        "--diff",
        coldchain_home=str(home),
        coldchain_become=False,
        freezer_jobs=[job("a", 1)],
    )
    assert predicted.code == 0, predicted.output
    assert predicted.changed == 2, "the release and the jobs"
    assert f"in {home}/program" in predicted.output
    assert len(predicted.output.splitlines()) < 60, predicted.output
    assert not home.exists()


def test_an_old_name_is_an_error_that_names_the_new_one(play: Play, installed: Path) -> None:
    site = {"coldchain_home": str(installed), "coldchain_become": False}
    refused = play("coldchain.freezer.site", **site, runner_state="absent")
    assert refused.code != 0
    assert "runner_state is coldchain_state" in refused.output
    refused = play("coldchain.freezer.site", **site, jobs_purge=True)
    assert refused.code != 0
    assert "jobs_purge is coldchain_jobs_purge" in refused.output
    others = play(
        "coldchain.freezer.site", **site, runner_state="started", coldchain_ignore_old_names=True
    )
    assert (others.code, others.changed) == (0, 0), others.output


def test_each_tag_does_its_part_alone_and_needs_nothing_else_of_the_artifact(
    play: Play, tmp_path: Path
) -> None:
    home, collections = tmp_path / "home", tmp_path / "collections"
    shutil.copytree(COLLECTIONS, collections)
    for path in (collections / COLLECTION).iterdir():
        if path.name not in ("meta", "plugins", "roles", "playbooks", "MANIFEST.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    site = {"coldchain_home": str(home), "coldchain_become": False, "freezer_jobs": [job("a", 1)]}

    def tagged(part: str, **more: object) -> Played:
        given = {**site, **more}
        return play("coldchain.freezer.site", f"--tags={part}", collections=collections, **given)

    assert tagged("coldchain_install").code == 0
    assert (home / "bin" / "coldchain").exists()
    assert not (home / "etc" / "runner.conf").exists()
    configured = tagged("coldchain_configure", coldchain_client_id="other")
    assert configured.code == 0, configured.output
    assert "client_id = other" in (home / "etc" / "runner.conf").read_text()
    declare = tagged("coldchain_jobs")
    assert declare.code == 0, declare.output
    assert declared(home) == {"a": "1"}
