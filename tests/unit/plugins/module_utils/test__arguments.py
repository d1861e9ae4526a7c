# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module logs, what -vvv shows, and what becomes of options that Ansible refuses."""

from __future__ import annotations

import json
import random

import pytest
from ansible.module_utils import basic
from ansible_collections.coldchain.freezer.plugins.modules import job, job_info, jobs

SECRET = "hunter2"


def exec_job(**more):
    action = {"action": "exec", "command": ["true"], "environment": {"PGPASSWORD": SECRET}}
    return dict({"job_id": "db", "job_actions": [{"freezer_action": action}]}, **more)


def misplaced():
    """Documents with a secret at places where Ansible expects none, and where it expects one."""
    action = exec_job()["job_actions"][0]
    yield exec_job()
    yield exec_job(environment={"PGPASSWORD": SECRET})
    yield exec_job(action_defaults={"environment": {"A": SECRET}})
    yield exec_job(action_defaults={"enviroment": {"A": SECRET}})
    yield exec_job(job_actions=SECRET)
    yield exec_job(job_actions=[SECRET])
    yield exec_job(job_actions=[{"freezer_action": {"environment": [SECRET]}}])
    yield exec_job(job_actions=[{"freezer_action": {"environment": f"A={SECRET}"}}])
    yield {"job_id": "db", "job_action": [action]}
    yield {"job_id": "db", "job-actions": [action]}


@pytest.fixture
def syslog(monkeypatch):
    """Every line that goes to the host's log."""
    lines = []
    monkeypatch.setattr(basic, "HAS_SYSLOG", True)
    monkeypatch.setattr(basic, "has_journal", False)
    monkeypatch.setattr(basic.syslog, "syslog", lambda level, text: lines.append(text))
    return lines


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("number", range(len(list(misplaced()))))
def test_no_secret_of_a_document_is_logged_or_shown(run, host, syslog, listed, number):
    document = list(misplaced())[number]
    entry = {"job_id": "db", "change": "unchanged", "before": None, "after": None, "next_runs": []}
    host.answers("apply", data={"changed": False, "jobs": [entry]})
    module, arguments = (jobs, {"jobs": [document]}) if listed else (job, document)
    result = run(module, home=host.home, **arguments)
    assert host.calls[0][1] == {"jobs": [document]}
    assert SECRET not in json.dumps(result)
    assert syslog
    assert SECRET not in "".join(syslog)
    told = result["invocation"]["module_args"]
    assert told["home"] == host.home
    assert set(told) == {"home", *arguments}


def test_a_refusal_of_another_option_shows_no_secret_either(run, host, syslog):
    host.answers("apply", data={"changed": False, "jobs": []})
    for module, arguments in (
        (jobs, {"jobs": [exec_job()], "purge": "perhaps"}),
        (job, exec_job()),
    ):
        result = run(module, home=host.home, show_secrets="perhaps", **arguments)
        assert result["failed"]
        assert SECRET not in json.dumps(result) + "".join(syslog)
    result = run(jobs, home=host.home, jobs=[exec_job()], purgee=True)
    assert "purgee" in result["msg"]
    assert SECRET not in json.dumps(result) + "".join(syslog)
    # What is wrong with the documents is asked for all the same, and only that.
    assert [call[0] for call in host.calls] == [["--json", "apply", "--check", "-"]] * 3


def test_hidden_values_are_not_wiped_out_of_everything_else(run, host):
    action = {"action": "exec", "command": ["true"], "environment": {"A": "1", "B": "db", "C": "e"}}
    document = exec_job(job_actions=[{"freezer_action": action}])
    told = dict(document, job_actions=[{"freezer_action": dict(action, environment={})}])
    entry = {"job_id": "db", "change": "created", "before": None, "after": told, "next_runs": ["1"]}
    host.answers("apply", data={"changed": True, "jobs": [entry]})
    assert run(job, home=host.home, **document)["job"] == entry


@pytest.mark.parametrize("module", [job, jobs, job_info])
def test_secrets_are_asked_for(run, host, module):
    entry = {"job_id": "db", "change": "unchanged", "before": None, "after": None, "next_runs": []}
    host.answers("apply", data={"changed": False, "jobs": [entry]})
    host.answers("list", data={"jobs": [], "unknown": [], "runner_alive": True})
    arguments = {job: exec_job(), jobs: {"jobs": [exec_job()]}, job_info: {"documents": True}}[
        module
    ]
    run(module, home=host.home, **arguments)
    run(module, home=host.home, show_secrets=True, **arguments)
    assert ["--show-secrets" in call[0] for call in host.calls] == [False, True]


def anything(source, depth):
    kind = source.randrange(8 if depth else 6)
    if kind < 6:
        return source.choice(["a", "", "No", "1", 1, 0, -1, 1.5, True, False, None, [], {}, "ü\n"])
    if kind == 6:
        return [anything(source, depth - 1) for number in range(source.randrange(4))]
    names = ["job_actions", "freezer_action", "environment", "job_schedule", "x", "dst", "lock"]
    return {source.choice(names): anything(source, depth - 1) for number in range(3)}


# ansible-test gives each test a process of its own: not one for each document.
@pytest.mark.parametrize("part", range(5))
def test_documents_reach_the_command_as_they_were_written(run, host, part):
    entry = {"job_id": "db", "change": "unchanged", "before": None, "after": None, "next_runs": []}
    host.answers("apply", data={"changed": False, "jobs": [entry]})
    fields = ["job_actions", "job_schedule", "action_defaults", "lock", "priority", "no_such"]
    documents = []
    for seed in range(part, 200, 5):
        source = random.Random(seed)
        document = {source.choice(fields): anything(source, 3) for number in range(4)}
        document["job_id"] = "db"
        run(job, home=host.home, **document)
        documents.append(document)
    assert [told for dummy, told in host.calls] == [{"jobs": [each]} for each in documents]
    run(jobs, home=host.home, jobs=[*documents, "no job"])
    assert host.calls[-1][1] == {"jobs": [*documents, "no job"]}
