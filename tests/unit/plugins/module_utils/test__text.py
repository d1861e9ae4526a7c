# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A diff shows YAML that means the document: PyYAML, which a host need not have, is the oracle."""

from __future__ import annotations

import random

import pytest
import yaml
from ansible_collections.coldchain.freezer.plugins.module_utils._text import document_text, masked

WORDS = [
    "a",
    "/srv",
    "yes",
    "No",
    "null",
    "~",
    "",
    " ",
    "1",
    "03",
    "1e3",
    "0x1f",
    "2026-11-24",
    "12:30",
    "18:00",
    "a: b",
    "a #b",
    "-x",
    "*",
    "&a",
    "!t",
]
WORDS += [
    "ü",
    "line\nline",
    "tab\t",
    '"',
    "'",
    "\\",
    "{",
    "[x]",
    "a, b",
    "%d",
    "@",
    "`",
    "true",
    "OFF",
    "y",
    "<<",
    "=",
    "a b",
    "mon-fri",
    "*.iso",
    "\u2028",
    "\U0001f600\n\ue000",
    ".5",
    "_",
]


def anything(source: random.Random, depth: int) -> object:
    kind = source.randrange(8 if depth else 6)
    if kind < 3:
        return source.choice(WORDS)
    if kind < 6:
        return source.choice([0, -1, 7, 1.5, True, False, None, [], {}])
    if kind == 6:
        return [anything(source, depth - 1) for dummy in range(source.randrange(4))]
    return mapping(source, depth - 1)


def mapping(source: random.Random, depth: int) -> dict[str, object]:
    return {source.choice(WORDS): anything(source, depth) for dummy in range(source.randrange(5))}


@pytest.mark.parametrize("seed", range(300))
def test_the_text_is_yaml_that_means_the_document(seed):
    document = mapping(random.Random(seed), 4)
    assert (yaml.safe_load(document_text(document)) or {}) == document


def test_it_reads_like_the_users_own():
    document = {
        "job_id": "db",
        "job_actions": [
            {"freezer_action": {"action": "exec", "command": ["true", "-x"]}, "mandatory": True}
        ],
        "job_schedule": {"schedule_hour": "3"},
    }
    assert document_text(document, ["2026-11-25 03:00 CET"]).splitlines() == [
        "job_id: db",
        "job_actions:",
        "  - freezer_action:",
        "      action: exec",
        "      command:",
        '        - "true"',
        '        - "-x"',
        "    mandatory: true",
        "job_schedule:",
        '  schedule_hour: "3"',
        "# next runs:",
        "#   2026-11-25 03:00 CET",
    ]


def test_no_document_is_no_text():
    assert document_text(None, ["2026-11-25 03:00 CET"]) == ""


def test_a_difference_tells_that_a_variable_changes_and_not_its_value():
    def document(**variables):
        action = {"action": "exec", "command": ["env"], "environment": variables}
        return {"job_id": "a", "job_actions": [{"freezer_action": action}]}

    before = document(KEPT="top secret", CHANGED="old secret", GONE="gone secret")
    after = document(KEPT="top secret", CHANGED="new secret", NEW="fresh secret")
    assert masked(before) == document(KEPT="(hidden)", CHANGED="(hidden)", GONE="(hidden)")
    assert masked(after, before) == document(
        KEPT="(hidden)", CHANGED="(hidden, changed)", NEW="(hidden)"
    )
    assert masked(after) == masked(document(KEPT="1", CHANGED="2", NEW="3"))
    assert masked(None) is None


def test_defaults_for_all_actions_are_hidden_too():
    """Without a runner the diff shows the document as it was written, not the canonical form."""
    document = {"action_defaults": {"environment": {"A": "secret"}}, "job_actions": []}
    assert "secret" not in document_text(masked(document))
