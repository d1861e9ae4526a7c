# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module status_info: one question, the command's answer, whatever its exit code."""

from __future__ import annotations

import json

import pytest
from ansible_collections.coldchain.freezer.plugins.modules import status_info

FAILED = {"severity": "critical", "about": "job www", "text": "failed: no space", "remedy": ""}


def status(protected=True, findings=(), alive=True):
    return {
        "host": "web1",
        "time": "2026-11-25T06:30:00+00:00",
        "protected": protected,
        "runner": {"alive": alive, "version": None, "since": None},
        "jobs": [{"job_id": "www"}],
        "series": [],
        "uncovered": [],
        "findings": list(findings),
        "ledger": None,
    }


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize(
    ("code", "answer", "line"),
    [
        (0, status(), "web1 is protected: 1 job"),
        (0, {**status(), "jobs": []}, "web1 is protected: but no job is declared"),
        (
            1,
            status(False, [FAILED, FAILED]),
            "web1 is not protected: job www: failed: no space; and 1 more",
        ),
        (69, status(False, alive=False), "web1 is not protected"),
    ],
)
def test_an_unprotected_host_is_an_answer(run, host, code, answer, line, check):
    host.answers("status", data=answer, code=code)
    result = run(status_info, check=check, home=host.home)
    assert (result["failed"], result["changed"], result["msg"]) == (False, False, line)
    assert {name: result[name] for name in answer} == answer
    assert host.calls == [[["--json", "status"], None]]


def test_days_are_asked_for(run, host):
    host.answers("status", "--days", "30", data={**status(), "runs": []})
    assert run(status_info, home=host.home, days=30)["runs"] == []
    text = run(status_info, home=host.home, days=30, as_text=True)
    assert json.loads(text["text"]) == {**status(), "runs": []} and text["msg"]
    assert "days: 0 is too small" in run(status_info, home=host.home, days=0)["msg"]


def test_an_entry_of_the_ledger_is_asked_for(run, host):
    told = {"head": "b", "entries": 9, "entry": {"number": 7, "digest": "a"}, "renewed": None}
    host.answers("status", "--ledger-entry", "7", data={**status(), "ledger": told})
    assert run(status_info, home=host.home, ledger_entry=7)["ledger"] == told
    wrong = run(status_info, home=host.home, ledger_entry=0)
    assert wrong["failed"] and "ledger_entry: 0 is too small" in wrong["msg"]


def test_a_refusal_is_a_failure(run, host):
    host.refuses(
        "status", code=69, message="/var/lib/coldchain: there is no runner", hint="install"
    )
    result = run(status_info, home=host.home)
    assert result["failed"] and "there is no runner (install)" in result["msg"]


def test_a_missing_runner_fails_but_lets_check_mode_go_on(run, bare_host):
    assert "coldchain.freezer.runner" in run(status_info, home=bare_host.home)["msg"]
    result = run(status_info, check=True, home=bare_host.home)
    assert (result["failed"], result["protected"], result["jobs"]) == (False, False, [])
    assert "not installed" in result["msg"] and len(result["warnings"]) == 1
