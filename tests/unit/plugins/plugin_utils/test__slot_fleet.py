# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The slots of an inventory: who is in them, what is in the way, and the plan."""

from __future__ import annotations

import json

import pytest
from ansible import constants
from ansible_collections.coldchain.freezer.plugins.plugin_utils._report import HOSTS, JOBS
from ansible_collections.coldchain.freezer.plugins.plugin_utils._slot_inventory import (
    Inventory,
    measures,
)
from ansible_collections.coldchain.freezer.plugins.plugin_utils._slot_plan import plan

NIGHTLY = {"nightly": {"at_once": 1, "within": "2 hours"}}


@pytest.fixture(autouse=True)
def _local_tmp(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path))


def job(job_id="www", slot="nightly", **fields):
    action = {"action": "exec", "command": ["true"]}
    return {
        "job_id": job_id,
        "slot": slot,
        "job_actions": [{"freezer_action": action}],
        "job_schedule": {"schedule_hour": 2, **fields},
    }


class Broken(dict):
    """The variables of a host that cannot be templated."""

    def __getitem__(self, key):
        raise ValueError("'secret_of_web9' is undefined")


def fleet(slots=None, status=(), count=3, **hosts):
    slots = NIGHTLY if slots is None else slots
    hostvars = {f"web{n}": {"freezer_jobs": [job()]} for n in range(count)}
    hostvars.update(hosts)
    variables = {"groups": {"all": list(hostvars)}, "hostvars": hostvars}
    return Inventory(variables, slots, list(status))


def problems(inventory, host="web0", **own):
    jobs = own.get("jobs", inventory.hostvars[host].get("freezer_jobs", []))
    return "\n".join(inventory.placed(host, jobs)["problems"])


def test_each_host_gets_its_place_and_all_agree():
    inventory = fleet()
    offsets = set()
    for host in inventory.hosts:
        placed = inventory.placed(host, [job(), job("other", slot="")])
        assert placed["problems"] == []
        (slotted, other) = placed["jobs"]
        assert other == job("other", slot="")
        assert slotted["job_schedule"]["schedule_splay"] == "2 hours"
        offsets.add(slotted["job_schedule"]["schedule_offset"])
    assert len(offsets) == 3
    wrapped = {"job": job()}
    placed = fleet(web0={"freezer_jobs": [wrapped]}).placed("web0", [wrapped])
    assert "schedule_offset" in placed["jobs"][0]["job"]["job_schedule"]
    assert "schedule_offset" not in wrapped["job"]["job_schedule"], "what was given stays"


def test_only_who_runs_the_job_counts():
    gone = {"freezer_jobs": [job()], "coldchain_state": "absent"}
    taken = {"freezer_jobs": [job()], "freezer_jobs_zz": [{"job_id": "www", "state": "absent"}]}
    assert fleet(count=1, gone=gone, taken=taken, empty={}).whole()[2] == fleet(count=1).whole()[2]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"slots": {}}, "coldchain_slots has no slot 'nightly'. Write it there with at_once"),
        ({"slots": {"nightyl": NIGHTLY["nightly"]}}, "did you mean nightyl?"),
        ({"slots": ["nightly"]}, "coldchain_slots must be a dictionary"),
        ({"slots": {"nightly": {"at_once": 0, "within": 60}}}, "nightly.at_once must be a whole"),
        ({"count": 30}, "30 runs of together 5 hours"),
        ({"count": 30}, "Write a within of 5 hours, or an at_once of 3"),
        (
            {"other": {"freezer_jobs": [job(schedule_hour=3)]}},
            "other/www (schedule_hour 3) than for web0/www (schedule_hour 2)",
        ),
        (
            {"web9": Broken(freezer_jobs=[])},
            "The jobs of web9 cannot be read, so nobody knows which slots they share",
        ),
        ({"web9": {"freezer_jobs": "{{ nothing }}"}}, "freezer_jobs is no list of job documents"),
        (
            {
                "a": {"freezer_jobs": [job()], "coldchain_slots": NIGHTLY},
                "b": {"freezer_jobs": [job()], "coldchain_slots": {"nightly": {"at_once": 2}}},
            },
            "coldchain_slots.nightly is not the same for a and b",
        ),
        ({"status": ["/nowhere/status.json"]}, "/nowhere/status.json cannot be read: No such file"),
    ],
)
def test_what_is_in_the_way_is_told_with_the_way_out(more, told):
    inventory = fleet(**more)
    try:
        assert told in problems(inventory)
    except ValueError as error:
        assert told in str(error)


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"slot": "nightly", "job_schedule": {}}, "has no job_id, which its place follows from"),
        (job(schedule_splay="1 hours"), "schedule_splay and slot exclude each other"),
        (job(**{"schedule-offset": 5}), "schedule_offset and slot exclude each other"),
        (job("mine"), "Declare it in group_vars or host_vars, not in the play"),
    ],
)
def test_what_is_wrong_with_a_job_of_the_host_itself(own, told):
    inventory = fleet()
    assert told in problems(inventory, jobs=[own])
    assert problems(inventory, host="web1") == "", "and the other hosts go on"


def test_a_measured_run_gets_its_time(tmp_path):
    run = {"time_started": 1000.5, "time_ended": 1000.5 + 3000}
    rows = {"job_id": "www", "columns": ["started", "seconds"], "rows": [[1, 1700], [2, 30]]}
    hosts = [
        {"host": "web0", "status": {"jobs": [{"job_id": "www", "last_run": run}]}},
        {"host": "web1", "status": {"jobs": [{"job_id": "www", "last_run": None}], "runs": [rows]}},
        {"host": "web2", "status": None},
    ]
    path = tmp_path / "status.json"
    path.write_text(json.dumps({"hosts": hosts}), encoding="utf-8")
    documents, slots, found, wrong, status = fleet(status=[str(path)]).whole()
    assert wrong == {}
    begins = {host: at // 600 for (host, _job), at in found["nightly"].items()}
    taken = [
        set(range(begins[h], begins[h] + n)) for h, n in (("web0", 5), ("web1", 3), ("web2", 1))
    ]
    assert len(set.union(*taken)) == 9
    shown = plan(documents, slots, found, wrong, status, days=2)
    assert (shown["held"], shown["problems"]) == (True, [])
    assert shown["calendar"]["slots"]["nightly"]["runs"] == 1
    written = {
        "hosts": {"columns": ["name"], "rows": [["web1"], ["web0"]]},
        "jobs": {
            "columns": ["host", "job_id", "daily", "recent"],
            "rows": [[0, "www", None, [[5, 9], "ss", [10, 1700], ""]], [1, "www", None, None]],
        },
    }
    assert measures.measured([("x", written)]) == {("web1", "www"): 1700}
    assert {"name"} <= set(HOSTS) and {"host", "job_id", "recent"} <= set(JOBS)
    for text in (
        "[]",
        "{",
        '{"hosts": {}}',
        '{"hosts": [1]}',
        '{"hosts": [{"host": "a", "status": {"jobs": 1}}]}',
    ):
        path.write_text(text, encoding="utf-8")
        assert "is not what playbook status or report writes" in problems_of(
            fleet(status=[str(path)])
        )


def problems_of(inventory):
    return "\n".join(inventory.whole()[3][""])


def test_the_plan_shows_every_place_and_why_a_promise_is_not_kept(tmp_path):
    host = {"freezer_jobs": [job(), {**job("long", slot=""), "lock": "disk"}]}
    host["freezer_jobs"][0]["lock"] = "disk"  # it waits for the other one, beyond its place
    shown = plan(*fleet().whole(), days=3)
    assert shown["held"] is True
    assert shown["table"][0] == "slot nightly: jobs 3, at most 1 at once, within 2 hours"
    assert [line.split()[1] for line in shown["table"][1:4]] != []
    assert shown["table"][4] == "slot nightly: the calendar of 3 days has at most 1 at once"
    assert {place["host"] for place in shown["slots"]["nightly"]["places"]} == {
        "web0",
        "web1",
        "web2",
    }

    documents, slots, found, wrong, status = fleet().whole()
    documents[0]["job_schedule"]["schedule_offset"] = documents[1]["job_schedule"][
        "schedule_offset"
    ]
    shown = plan(documents, slots, found, wrong, status, days=3)
    assert shown["held"] is False
    assert "Slot nightly: 2 runs at once on" in shown["problems"][0]
    assert "web0/www" in shown["problems"][0] and "web1/www" in shown["problems"][0]

    shown = plan(*fleet(slots={"nightly": {"at_once": 1, "within": "30 hours"}}).whole(), days=3)
    assert shown["held"] is False
    assert (
        "web0, job www: job_schedule.schedule_splay: is longer than the 1 day"
        in shown["problems"][0]
    )
    nobody = plan(*fleet(count=0).whole(), days=3)
    assert (nobody["held"], nobody["table"]) == (True, ["no job of the inventory is in a slot"])


def test_what_an_earlier_play_has_read_is_not_believed_for_ever():
    inventory = fleet(count=2)
    assert problems(inventory) == ""
    inventory.hostvars["web0"] = {"freezer_jobs": [job(schedule_hour=4)]}
    inventory.hostvars["web1"] = {"freezer_jobs": [job(schedule_hour=4)]}
    assert problems(inventory) == ""


def test_a_number_is_a_name_and_no_room_for_what_is_shared_is_no_matter(tmp_path, monkeypatch):
    hosts = {f"web{n}": {"freezer_jobs": [job(slot=5)]} for n in range(3)}
    slots = {5: NIGHTLY["nightly"]}
    hosts["web1"]["coldchain_slots"] = slots
    assert problems(fleet(slots, count=0, **hosts)) == ""
    (kept,) = tmp_path.iterdir()
    kept.write_text(kept.read_text()[:40])  # of a disk that was full
    assert problems(fleet(slots, count=0, **hosts)) == ""
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path / "gone"))
    assert problems(fleet(slots, count=0, **hosts)) == ""
