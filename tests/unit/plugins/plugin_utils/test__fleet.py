# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet at a glance: worst first, a line for each thing that needs somebody, in three forms."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.coldchain.freezer.plugins.filter.fleet_status import FilterModule

fleet_status = FilterModule().filters()["fleet_status"]


def answer(protected=True, alive=True, **problems):
    jobs = [{"job_id": name, "state": "ok"} for name in ("etc", "www")]
    findings = [
        {"severity": "critical", "about": about.replace("_", " "), "text": text, "remedy": "do"}
        for about, text in problems.items()
    ]
    minor = {"severity": "info", "about": "backup etc", "text": "never verified", "remedy": ""}
    return {
        "changed": False,
        "failed": False,
        "msg": "x",
        "host": "h",
        "protected": protected,
        "runner": {"alive": alive, "version": "1", "since": None},
        "jobs": jobs,
        "series": [{"job_id": "etc", "backup_name": "etc"}],
        "uncovered": [],
        "findings": [*findings, minor],
    }


FLEET = {
    "good": answer(),
    "bad": answer(False, job_www=f"failed: \x1b[31m]]> & <{'x' * 200}", backup_etc="lost"),
    "worse": answer(False, False, runner="no runner"),
    "bare": {"failed": False, "msg": "not installed\n(apply the role)", "changed": False},
    "away": {"unreachable": True, "msg": "no route"},
    "unasked": {},
}


def test_the_table_begins_with_the_worst():
    made = fleet_status(FLEET)
    lines = made["table"]
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == [
        *("HOST", "away", "bare", "unasked", "worse", "bad", "good"),
    ]
    assert len(lines) == 8  # bad has two
    (bad,) = (line for line in lines if line.startswith("bad"))
    assert "not protected  0/2" not in bad and "1/2" in bad and len(bad) < 220
    assert lines[1].endswith("no route") and lines[2].endswith("not installed (apply the role)")
    assert lines[-1].split() == ["good", "protected", "2/2"]
    assert made["protected"] is False
    assert made["summary"] == "5 of 6 hosts need somebody: away, bare, unasked, worse, bad"


def test_the_table_has_the_first_warnings_of_each_host():
    def warned(number):
        answered = answer()
        finding = {"severity": "warning", "about": "job etc", "text": "shrank", "remedy": "look"}
        answered["findings"] = [*[finding] * number, *answered["findings"]]
        return fleet_status({"h": answered})

    assert warned(1)["table"][1].split("  ")[-1].strip() == "warning: job etc: shrank"
    assert [len(warned(number)["table"]) for number in (0, 1, 4, 5, 9)] == [2, 2, 5, 5, 5]
    assert warned(9)["table"][-1].endswith(
        "and 6 more warnings (coldchain status shows them there)"
    )
    assert warned(9)["protected"] is True and 'failures="0"' in warned(9)["junit"]


def test_a_fleet_without_problems():
    made = fleet_status({"a": answer(), "b": {**answer(), "jobs": []}})
    assert (made["protected"], made["summary"]) == (True, "2 of 2 hosts are protected")
    assert made["table"][-1].split() == ["b", "protected", "0/0", "(no", "job)"]
    assert fleet_status({})["protected"] is True


def test_programs_get_all_of_it():
    made = json.loads(json.dumps(fleet_status(FLEET)["json"]))
    hosts = {host["host"]: host for host in made["hosts"]}
    assert hosts["away"] == {
        "host": "away",
        "state": "unreachable",
        "problems": [{"about": "host", "text": "no route", "remedy": ""}],
        "status": None,
    }
    assert hosts["bad"]["status"]["jobs"] == FLEET["bad"]["jobs"]
    assert "msg" not in hosts["bad"]["status"]
    assert hosts["good"]["problems"] == []


def test_junit_has_a_case_for_everything_that_was_looked_at():
    root = ElementTree.fromstring(fleet_status(FLEET)["junit"])
    suites = {suite.get("name"): suite for suite in root}
    names = [case.get("name") for case in suites["bad"]]
    assert names == ["host", "runner", "job etc", "job www", "backup etc"]
    failed = {case.get("name"): case[0].text for case in suites["bad"] if len(case)}
    assert failed.keys() == {"job www", "backup etc"} and failed["backup etc"] == "lost\ndo"
    assert {name: suite.get("failures") for name, suite in suites.items()} == {
        **dict.fromkeys(("away", "bare", "unasked", "worse"), "1"),
        "bad": "2",
        "good": "0",
    }


def test_what_is_no_dictionary_is_refused():
    with pytest.raises(AnsibleFilterError):
        fleet_status([])
