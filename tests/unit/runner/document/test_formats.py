# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each format of a text has good and bad examples; a bad one is refused at its place."""

from __future__ import annotations

from typing import Any

import pytest

from coldchain.cli.vocabulary import vocabulary
from coldchain.core.instants import UTC, parse_instant
from coldchain.document import Context, check
from coldchain.document.masking import HIDDEN

CONTEXT = Context("web1", UTC, parse_instant("2026-05-01T00:00:00Z", UTC), vocabulary())
BACKUP = {"action": "backup", "path_to_backup": "/srv", "backup_name": "srv"}
OPTIONS = "$.job_actions[0].freezer_action"


def problems(action: dict[str, Any], beside: dict[str, Any], job: dict[str, Any]) -> list[str]:
    entry = {"freezer_action": {**BACKUP, **action}, **beside}
    document = {"job_id": "j", "job_actions": [entry], **job}
    return [problem.path for problem in check(document, CONTEXT).errors]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("upload_limit", ["1", "512K", "1.5M", 500000], ["fast", "12X", "1e6", "0.0001K"]),
        ("download_limit", ["2G", -1, "-1"], ["K", "1 MB"]),
        ("container", ["c", "a/b", "/srv/c"], ["..", "a/../b", "/../c"]),
        ("backup_name", ["srv", "a.b", "a/b"], ["..", "a/..", "/a", "a//b", "a/12"]),
    ],
)
def test_options(name: str, good: list[object], bad: list[object]) -> None:
    for value in good:
        assert problems({name: value}, {}, {}) == [], value
    for value in bad:
        assert problems({name: value}, {}, {}) == [f"{OPTIONS}.{name}"], value


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("timeout", ["1 seconds", 1, "100 days"], ["soon", 0, "0 minutes", "37000 days"]),
    ],
)
def test_beside_an_action(name: str, good: list[object], bad: list[object]) -> None:
    for value in good:
        assert problems({}, {name: value}, {}) == [], value
    for value in bad:
        assert problems({}, {name: value}, {}) == [f"$.job_actions[0].{name}"], value


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("job_id", ["a", "a.b-c_d", "0"], ["a b", "a/b", "..", "\u00e4"]),
        ("lock", ["disk", "l.1"], ["a b", "/"]),
        ("max_duration", ["1 hours"], ["0", "an hour"]),
    ],
)
def test_of_a_job(name: str, good: list[object], bad: list[object]) -> None:
    for value in good:
        assert problems({}, {}, {name: value}) == [], value
    for value in bad:
        assert problems({}, {}, {name: value}) == [f"$.{name}"], value


def test_what_stands_for_a_hidden_secret_is_no_value() -> None:
    action = {"action": "exec", "command": ["true"], "environment": {"A": HIDDEN}}
    document = {"job_id": "j", "job_actions": [{"freezer_action": action}]}
    ((path, message),) = [(p.path, p.message) for p in check(document, CONTEXT).errors]
    assert path == f"{OPTIONS}.environment" and "secret that was not shown" in message
    action["environment"] = {"A": "value"}
    assert check(document, CONTEXT).errors == []
