# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that were given, and options that are refused."""

from __future__ import annotations

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.coldchain.freezer.plugins.module_utils._arguments import (
    findings,
    given,
    job_options,
)

DOCUMENTS = [
    {"job_id": "a", "job_actions": [{"freezer_action": {"action": "exec", "command": ["true"]}}]},
    {
        "job_id": "a",
        "description": "d",
        "session_tag": 0,
        "priority": -1,
        "action_defaults": {"container": "c", "exclude": ["*.o", "a,b"]},
        "job_actions": [
            {
                "freezer_action": {"path_to_backup": "/x", "incremental": False, "max_level": 0},
                "mandatory": False,
                "retry_backoff": 1.5,
            },
            {
                "freezer_action": {
                    "action": "exec",
                    "command": "a 'b c'",
                    "environment": {"A": "1"},
                    "shell": True,
                }
            },
        ],
        "job_schedule": {
            "schedule_hour": "3",
            "missed": {"run": "all"},
            "dst": {"gap": "skip"},
            "blackout": [{"start": "08:00", "end": "18:00"}],
            "status": "stop",
        },
    },
]


def validated(values):
    """What a module finds in its parameters: every option of every level filled with None."""
    result = ArgumentSpecValidator(job_options()).validate(values)
    assert result.error_messages == []
    return result.validated_parameters


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_is_sent_is_what_was_given(document):
    assert given(job_options(), validated(document)) == dict(document, state="present")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_ansible_accepts_has_no_findings(document):
    assert list(findings(job_options(), document)) == []
    assert list(findings(job_options(), validated(document))) == []


def test_an_older_spelling_is_sent_under_the_modern_name():
    params = validated(
        {
            "job_id": "a",
            "job_action": [
                {
                    "freezer_action": {"src_file": "/x", "max_backup_level": 3},
                    "max_retry_interval": 9,
                }
            ],
        }
    )
    assert given(job_options(), params)["job_actions"] == [
        {"freezer_action": {"path_to_backup": "/x", "max_level": 3}, "max_retries_interval": 9}
    ]


def test_false_for_a_text_is_not_set_and_false_for_a_switch_is_false():
    params = validated(
        {
            "job_id": "a",
            "job_actions": [
                {
                    "freezer_action": {
                        "hostname": False,
                        "log_file": False,
                        "max_cpu_priority": False,
                    }
                }
            ],
        }
    )
    assert given(job_options(), params)["job_actions"] == [
        {"freezer_action": {"max_priority": False}}
    ]


@pytest.mark.parametrize(
    ("values", "path", "words"),
    [
        (
            {"job_actions": [{}, {"freezer_action": {"containr": "c"}}]},
            "job_actions[1].freezer_action.containr",
            "did you mean container?",
        ),
        (
            {"job_actions": [{"freezer_action": {"restore-abs-path": "/x"}}]},
            "job_actions[0].freezer_action.restore-abs-path",
            "restore_abs_path?",
        ),
        ({"job_schedule": {"dst": {"zzz": 1}}}, "job_schedule.dst.zzz", "known are gap, overlap"),
        ({"job_schedule": {"dst": {"gap": "bogus"}}}, "job_schedule.dst.gap", "bogus"),
        (
            {"job_actions": [{"freezer_action": {"max_level": "many"}}]},
            "job_actions[0].freezer_action.max_level",
            "many",
        ),
        ({"job_actions": [{}]}, "job_actions[0].freezer_action", "is required"),
        ({"job_actions": ["backup"]}, "job_actions[0]", "must be a mapping"),
        (
            {"job_actions": {"freezer_action": []}},
            "job_actions[0].freezer_action",
            "must be a mapping",
        ),
        (
            {"job_schedule": {"blackout": [{"start": "08:00"}]}},
            "job_schedule.blackout[0].end",
            "is required",
        ),
        ({"job_schedule": "daily"}, "job_schedule", "must be a mapping"),
    ],
)
def test_a_finding_names_the_place(values, path, words):
    found = {
        place: message + " " + hint
        for place, message, hint in findings(job_options(), dict(values, job_id="a"))
    }
    assert words in found[path]
