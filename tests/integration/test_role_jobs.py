# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role jobs, through the playbook site."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from conftest import Play


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


def test_lists_are_merged_in_the_order_of_their_names(play: Play, tmp_path: Path) -> None:
    home = tmp_path / "home"
    lists = {
        "freezer_jobs": [job("a", 1), job("b", 1), job("c", 1)],
        "freezer_jobs_web": [job("b", 2), job("d", 2)],
        "freezer_jobs_zz_host": [job("d", 3), {"job_id": "c", "state": "absent"}],
    }
    site = {"runner_home": str(home), "coldchain_become": False}
    first = play("coldchain.freezer.site", **site, **lists)
    assert first.code == 0, first.output
    assert declared(home) == {"a": "1", "b": "2", "d": "3"}
    again = play("coldchain.freezer.site", **site, **lists)
    assert (again.code, again.changed) == (0, 0), again.output

    without = play("coldchain.freezer.site", **site, freezer_jobs=[job("a", 1)])
    assert declared(home) == {"a": "1", "b": "2", "d": "3"}, without.output
    purged = play("coldchain.freezer.site", **site, freezer_jobs=[job("a", 1)], jobs_purge=True)
    assert declared(home) == {"a": "1"}, purged.output
    refused = play("coldchain.freezer.site", **site, jobs_purge=True)
    assert refused.code != 0
    assert declared(home) == {"a": "1"}
    emptied = play("coldchain.freezer.site", **site, jobs_purge=True, jobs_allow_empty=True)
    assert emptied.code == 0, emptied.output
    assert declared(home) == {}


def test_a_variable_that_is_no_list_is_named(play: Play, tmp_path: Path) -> None:
    refused = play(
        "coldchain.freezer.site",
        runner_home=str(tmp_path / "home"),
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
        runner_home=str(home),
        coldchain_become=False,
        freezer_jobs=[job("a", 1)],
    )
    assert predicted.code == 0, predicted.output
    assert not home.exists()
