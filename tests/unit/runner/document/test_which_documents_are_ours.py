# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A document for another client, or one that says two things at once, is refused."""

from __future__ import annotations

from typing import Any

import pytest

from coldchain.cli.vocabulary import vocabulary
from coldchain.core.instants import UTC, parse_instant
from coldchain.document import Context, check
from coldchain.document.fields import LEVELS

NOW = parse_instant("2026-05-01T00:00:00+00:00", UTC)
PROJECT = "0123456789abcdefABCDEF0123456789"
BACKUP = {"action": "backup", "path_to_backup": "/srv", "backup_name": "srv"}
OPTIONS = "$.job_actions[0].freezer_action"


def refused(action: dict[str, Any] = BACKUP, **fields: Any) -> list[tuple[str, str]]:
    """Path and message of what is wrong with a document on the host web1."""
    document = {"job_id": "j", "job_actions": [{"freezer_action": action}], **fields}
    checked = check(document, Context("web1", UTC, NOW, vocabulary()))
    return [(problem.path, problem.message) for problem in checked.errors]


@pytest.mark.parametrize("client_id", ["web1", f"{PROJECT}_web1"])
def test_our_name_is_ours_with_and_without_a_project(client_id: str) -> None:
    assert refused() == refused(client_id=client_id) == []


@pytest.mark.parametrize(
    "client_id",
    [
        "web2",
        f"{PROJECT}_web2",
        f"{PROJECT}_web11",
        f"{PROJECT}_{PROJECT}_web1",
        f"{PROJECT[:31]}_web1",
        f"{PROJECT[:31]}g_web1",
        f"{PROJECT}web1",
        f"{PROJECT}_",
    ],
)
def test_any_other_name_is_not(client_id: str) -> None:
    ((path, message),) = refused(client_id=client_id)
    assert path == "$.client_id" and "this host is" in message


# Each option that has more than one spelling, with two values that both are good alone.
PAIRS = [
    (field.name, other, first, second)
    for field in LEVELS["freezer_action"]
    for first, second in [
        {"int": (1, 2), "float": (1, 2), "bool": (True, False)}.get(
            field.type, ("2026-01-01", "2026-01-02")
        )
    ]
    for other in (*field.aliases, field.name.replace("_", "-"))
    if other != field.name
    and field.name
    in (
        "hostname",
        "max_level",
        "always_level",
        "remove_before_date",
        "max_priority",
        "backup_name",
        "path_to_backup",
        "hostname",
    )
]


@pytest.mark.parametrize(("name", "other", "first", "second"), PAIRS)
def test_two_spellings_with_different_values_are_refused(
    name: str, other: str, first: Any, second: Any
) -> None:
    rest = {key: value for key, value in BACKUP.items() if key != name}
    for both in ({name: first, other: second}, {other: first, name: second}):
        twice = [item for item in refused({**rest, **both}) if "given twice" in item[1]]
        assert [path for path, _ in twice] == [f"{OPTIONS}.{name}"]
    for value in (first, second):
        assert refused({**rest, name: value, other: value}) == refused({**rest, name: value})


def test_an_option_and_its_opposite_contradict_each_other_when_they_are_equal() -> None:
    for value in (True, False):
        ((path, message),) = refused({**BACKUP, "incremental": value, "no_incremental": value})
        assert path == f"{OPTIONS}.incremental" and "given twice" in message
        assert refused({**BACKUP, "incremental": value, "no_incremental": not value}) == []
