# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a scheduler's jobs: what has run does not run again, and finds what it found."""

from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.coldchain.freezer.plugins.filter.adoption_plan import adoption_plan
from ansible_collections.coldchain.freezer.plugins.plugin_utils import _adoption

NOW = 1_795_795_200.0  # 2026-11-27T16:00:00Z
BACKUP = {
    "action": "backup",
    "storage": "local",
    "path_to_backup": "/etc",
    "container": "/ct",
    "backup_name": "etc",
    "incremental": True,
}
SCHEDULE = {"schedule_hour": "3"}


def found(*jobs, **fields):
    files = [
        {"name": f"/conf.d/{number}.conf", "text": job if isinstance(job, str) else json.dumps(job)}
        for number, job in enumerate(jobs)
    ]
    nothing = {"schedulers": [], "containers": {}, "zone": "", "user": "root", "me": "root"}
    return {**nothing, "host": "web1", "cwd": "/srv", "home": "/home/f", "files": files, **fields}


def job(name, schedule=None, **fields):
    return {
        "job_id": name,
        "job_schedule": SCHEDULE if schedule is None else schedule,
        "job_actions": [{"freezer_action": {**BACKUP, **fields}}],
    }


def planned(*jobs, client_id="", credentials_file="", **fields):
    return _adoption.plan(
        found(*jobs, **fields), client_id=client_id, credentials_file=credentials_file, now=NOW
    )


def options(plan):
    return [document["job_actions"][0]["freezer_action"] for document in plan["documents"]]


def test_what_has_run_does_not_run_again():
    plan = planned(
        job("none", {}),
        job("over", {"schedule_date": "2026-11-27T15:30:00Z"}),
        # Wherever the host is, it may be over.
        job("near", {"schedule_date": "2026-11-27T20:00:00"}),
        job("coming", {"schedule_date": "2026-12-24T18:00:00"}),
        job("cron", {**SCHEDULE, "status": "completed", "result": "fail", "event": "start"}),
        job("stopped", {**SCHEDULE, "status": "stop"}),
    )
    assert {each["job_id"]: each["job_schedule"].get("status") for each in plan["documents"]} == {
        "none": "stop",
        "over": "stop",
        "near": "stop",
        "coming": None,
        "cron": None,
        "stopped": "stop",
    }
    assert not any("event" in each["job_schedule"] for each in plan["documents"])
    assert sum("declared stopped" in note for note in plan["notes"]) == 3


def test_paths_lead_where_they_led():
    plan = planned(
        job("a", container="~/ct", path_to_backup="data"),
        job("b", container=None),
        job("c", hostname="other"),
        client_id="web1.example.org",
    )
    assert [each["container"] for each in options(plan)] == [
        "/home/f/ct",
        "/srv/freezer_backups",
        "/ct",
    ]
    assert options(plan)[0]["path_to_backup"] == "/srv/data"
    # The series is called after the host's own name.
    assert [each["hostname"] for each in options(plan)] == ["web1", "web1", "other"]


def test_what_convert_refuses_is_not_adopted_and_what_it_reads_is():
    """The last of two values counted, and behind a byte order mark no path was made absolute."""
    text = json.dumps(job("a", path_to_backup="data"))
    plan = planned("\ufeff" + text, text[:-1] + ', "description": "x", "description": "y"}')
    assert [each["path_to_backup"] for each in options(plan)] == ["/srv/data"]
    (skipped,) = plan["skipped"]
    assert skipped["reason"].startswith('"description" is given twice')


def test_the_chain_is_told():
    series = {"/ct": {"web1_etc": [3, 2, 1_795_700_000]}}
    plan = planned(job("a"), job("b", incremental=False), job("c", hostname="x"), containers=series)
    first, second, third = plan["lines"]
    assert "3 levels there, the newest 2 of 2026-11-26T13:33:20Z; the next one goes on" in first
    assert "a new chain each time" in second
    assert third.endswith("nothing of it is there, a new chain begins")


def test_secrets_are_asked_for_and_never_shown():
    jobs = [
        job("swift", storage="swift", container="c"),
        job("key", storage="ssh", ssh_host="h", ssh_username="u", ssh_key="/k"),
        job("word", storage="ssh", ssh_host="h", ssh_username="u", ssh_password="hunter2"),
    ]
    plan = planned(*jobs)
    assert [each["job_id"] for each in plan["documents"]] == ["key"]
    assert {each["source"] for each in plan["skipped"]} == {"job swift", "/conf.d/2.conf"}
    assert "coldchain_adopt_credentials_file" in str(plan["skipped"])
    given = planned(*jobs, credentials_file="/etc/openrc")
    assert [each.get("credentials_file") for each in options(given)] == ["/etc/openrc", None]
    assert "hunter2" not in str(plan) + str(given)


def test_commands_do_not_become_roots():
    command = {"action": "exec", "command": "/bin/true", "container": None, "incremental": None}
    command |= {"storage": None, "path_to_backup": None, "backup_name": None}
    plan = planned(job("a", **command), user="freezer", zone="Asia/Tokyo")
    assert options(plan)[0]["user"] == "freezer"
    assert plan["documents"][0]["job_schedule"]["schedule_timezone"] == "Asia/Tokyo"
    assert any("as freezer" in note for note in plan["notes"])
    assert "user" not in options(planned(job("a", **command)))[0]


def test_what_is_no_job_is_named_by_its_file():
    plan = planned("{", "[1", job("a", mode="nova"), files_too=None)
    assert {each["source"] for each in plan["skipped"]} == {f"/conf.d/{n}.conf" for n in range(3)}
    unread = {"name": "/conf.d/x.conf", "error": "is not UTF-8"}
    plan = _adoption.plan(found(files=[unread]), now=NOW)
    assert plan["skipped"] == [{"source": "/conf.d/x.conf", "reason": "is not UTF-8"}]


def test_schedulers_that_cannot_be_taken_over_are_named():
    one = {"pid": 7, "elsewhere": True, "jobs_dir": "/a", "cwd": "/", "user": "root", "zone": ""}
    plan = planned(
        job("a"), schedulers=[one, {**one, "elsewhere": False, "jobs_dir": "/b", "cwd": "/x"}]
    )
    assert "pid 7" in plan["problems"][0]
    assert "/a, /b" in plan["problems"][1]


def test_without_the_runners_code_there_is_no_plan(monkeypatch):
    monkeypatch.setattr(_adoption, "ask", lambda words, text: (70, None))
    with pytest.raises(AnsibleFilterError, match="cannot run on the controller"):
        adoption_plan(found(job("a")))
    with pytest.raises(AnsibleFilterError, match="not what was found"):
        adoption_plan([])
