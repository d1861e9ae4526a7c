# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup declared_jobs: what the lists of a host come to, and what is wrong with them."""

from __future__ import annotations

import pytest
from ansible import constants
from ansible_collections.coldchain.freezer.plugins.lookup import declared_jobs

NIGHTLY = {"nightly": {"at_once": 1, "within": "2 hours"}}


class AsItIs:
    """A templar where nothing is a template."""

    @staticmethod
    def template(value):
        return value


def declared(variables, **options):
    lookup = declared_jobs.LookupModule.__new__(declared_jobs.LookupModule)
    given = {"state": "present", "slots": {}, "status": [], "ignore_old_names": False, **options}
    lookup._templar = AsItIs()
    lookup.set_options = lambda var_options, direct: None
    lookup.get_option = given.__getitem__
    (found,) = lookup.run([], variables)
    return found


def job(job_id="www", **fields):
    return {"job_id": job_id, "job_schedule": {"schedule_hour": 2}, **fields}


def test_the_later_list_has_the_last_word_and_the_place_stays():
    nameless = {"job_actions": []}
    found = declared(
        {
            "freezer_jobs_web": [job("b", x=2), job("d")],
            "freezer_jobs": [job("a"), nameless, job("b", x=1)],
            "freezer_jobs_Zz": (job("d", state="absent"),),
            "freezer_jobsmith": "of another role",
            "my_freezer_jobs": 7,
        }
    )
    wanted = [job("a"), job("b", x=2), job("d", state="absent"), nameless]
    assert found == {"jobs": wanted, "problems": []}
    assert declared({}) == {"jobs": [], "problems": []}


@pytest.mark.parametrize(
    "value", ["hunter2", "", {"job_id": "a"}, 7, None, [job(), "hunter2"], [["a"]]]
)
def test_what_is_no_list_of_documents_is_named_and_not_shown(value):
    found = declared({"freezer_jobs": [job()], "freezer_jobs_x": value})
    assert found["problems"] == ["freezer_jobs_x must be a list of job documents."]
    assert found["jobs"] == []
    assert declared({"freezer_jobs": value}, state="absent")["problems"] == []


def test_an_old_name_is_told_with_the_new_one_unless_it_is_another_role_s():
    old = {"jobs_purge": True, "jobs_home": "/srv/x", "jobs_of_mine": 1}
    for state in ("present", "absent"):
        (problem,) = declared(old, state=state)["problems"]
        assert "jobs_home is coldchain_home, jobs_purge is coldchain_jobs_purge." in problem
    assert declared(old, ignore_old_names=True)["problems"] == []


def test_a_job_in_a_slot_gets_its_place_and_no_other_host_is_asked_without(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    own = {"freezer_jobs": [job(slot="nightly"), job("other")]}
    assert declared({"freezer_jobs": [job("other")]})["jobs"] == [job("other")]
    fleet = {"groups": {"all": ["web1"]}, "hostvars": {"web1": own}, "inventory_hostname": "web1"}
    (problem,) = declared({**own, **fleet}, slots=NIGHTLY, status=["/none.json"])["problems"]
    assert "/none.json cannot be read" in problem
    found = declared({**own, **fleet}, slots=NIGHTLY)
    assert found["problems"] == []
    assert found["jobs"][0]["job_schedule"]["schedule_splay"] == "2 hours"
    assert found["jobs"][1] == job("other")
    (problem,) = declared({**own, **fleet})["problems"]
    assert "coldchain_slots has no slot 'nightly'" in problem
