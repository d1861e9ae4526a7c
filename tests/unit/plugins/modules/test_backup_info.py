# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module backup_info: one question, the command's answer."""

from __future__ import annotations

import pytest
from ansible_collections.coldchain.freezer.plugins.modules import backup_info

BACKUP = {
    "container": "/c",
    "hostname": "h",
    "backup_name": "b",
    "level": 0,
    "restorable": True,
    "reason": "",
}


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({}, []),
        ({"container": "c", "backup_name": "b"}, ["--container=c", "--backup-name=b"]),
        ({"hostname": "h", "job_id": "j"}, ["--hostname=h", "--job=j"]),
    ],
)
def test_every_option_has_its_argument(run, host, options, arguments):
    host.answers("backups", data={"backups": [BACKUP]})
    result = run(backup_info, home=host.home, **options)
    assert host.calls == [[["--json", "backups", *arguments], None]]
    assert (result["changed"], result["backups"]) == (False, [BACKUP])


@pytest.mark.parametrize("check", [False, True])
def test_a_job_of_an_earlier_task_is_awaited_in_check_mode_only(run, host, check):
    error = {"code": 65, "message": "there is no job j", "hint": "", "errors": []}
    host.answers("backups", code=65, data={"error": dict(error, unknown_job=True)})
    result = run(backup_info, check=check, home=host.home, job_id="j")
    assert (result["failed"], result.get("backups")) == (not check, [] if check else None)
    said = result["warnings"][0] if check else result["msg"]
    assert said.startswith("there is no job j")


def test_a_missing_runner_lets_check_mode_go_on(run, bare_host):
    result = run(backup_info, check=True, home=bare_host.home)
    assert (result["failed"], result["backups"], len(result["warnings"])) == (False, [], 1)
