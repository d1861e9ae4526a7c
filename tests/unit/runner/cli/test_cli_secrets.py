# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a document keeps secret is shown to nobody who has not asked for it."""

from __future__ import annotations

import copy
import json
from typing import Any

from cli_command import Command
from hypothesis import given
from hypothesis import strategies as st

from coldchain.document.masking import HIDDEN, HIDDEN_CHANGED, masked

SECRETS = ("hunter2", "s3cr3t", "t0ken", "pa55")


def job(last: str = "pa55", **fields: Any) -> dict[str, Any]:
    words = ["dump", "--password=s3cr3t", f"--password='{last}'", "http://me:t0ken@host/x"]
    action = {
        "action": "exec",
        "command": words,
        "environment": {"PGPASSWORD": "hunter2", "MODE": "fast"},
    }
    return {
        "job_id": "dump",
        "job_actions": [{"freezer_action": action}],
        "job_schedule": {"schedule_hour": 3},
        **fields,
    }


def holds_secrets(text: str) -> bool:
    return any(secret in text for secret in (*SECRETS, "fast"))


def test_nothing_shows_a_secret_that_was_not_asked_for(command: Command) -> None:
    told = []
    for words, data in (
        (["apply", "-"], job()),
        (["--json", "apply", "-", "--check"], job(lock="x")),
        (["apply", "-"], job("changed", lock="x")),
        (["--json", "apply", "-"], job()),
        (["show", "dump"], None),
        (["--json", "show", "dump"], None),
        (["list", "--documents"], None),
        (["--json", "list", "--documents"], None),
        (["explain", "dump"], None),
        (["--json", "apply", "-", "--purge", "--allow-empty", "--check"], {"jobs": []}),
    ):
        assert command(*words, data=data) == 0
        told.append(command.out + command.err)
    assert not any(holds_secrets(text) for text in told)
    assert "--password=(hidden)" in told[4]


def test_they_are_shown_to_whoever_asks(command: Command) -> None:
    environment = job()["job_actions"][0]["freezer_action"]["environment"]
    entry = command.json("apply", "-", "--show-secrets", data=job())["jobs"][0]
    shown = command.json("show", "dump", "--show-secrets")["job"]
    (listed,) = command.json("list", "--documents", "--show-secrets")["jobs"]
    for document in (entry["after"], shown, listed["document"]):
        options = document["job_actions"][0]["freezer_action"]
        assert options["environment"] == environment
        assert options["command"] == job()["job_actions"][0]["freezer_action"]["command"]
    assert not holds_secrets(json.dumps(entry["diff"]))
    assert command.json("apply", "-", data=shown)["jobs"][0]["change"] == "unchanged"


def test_a_change_of_a_secret_is_told_without_it(command: Command) -> None:
    command.json("apply", "-", data=job())
    changed = job("other")
    changed["job_actions"][0]["freezer_action"]["environment"]["PGPASSWORD"] = "other"
    entry = command.json("apply", "-", "--check", data=changed)["jobs"][0]
    options = entry["after"]["job_actions"][0]["freezer_action"]
    assert options["environment"] == {"MODE": HIDDEN, "PGPASSWORD": HIDDEN_CHANGED}
    assert options["command"][1:3] == ["--password=(hidden)", "--password='(hidden, changed)'"]
    assert entry["diff"]["before"] != entry["diff"]["after"]
    assert "other" not in json.dumps(entry)


def test_a_document_that_lacks_its_secrets_is_refused(command: Command) -> None:
    command.json("apply", "-", data=job())
    shown = command.json("show", "dump")["job"]
    error = command.error("apply", "-", data=shown)
    assert [each["path"].rpartition(".")[2] for each in error["errors"]] == [
        "command",
        "environment",
    ]
    assert "--show-secrets" in error["errors"][0]["hint"]
    fine = {
        "job_id": "x",
        "description": "the (hidden) files",
        "freezer_action": {"action": "info"},
    }
    assert command("validate", "-", data=fine) == 0


@given(
    st.dictionaries(st.text("AB", min_size=1), st.text("xyz", min_size=3), max_size=3), st.data()
)
def test_masks_differ_where_and_only_where_the_values_do(
    values: dict[str, str], data: st.DataObject
) -> None:
    others = {name: data.draw(st.sampled_from([text, text + "w"])) for name, text in values.items()}
    before, after = {"environment": values}, {"environment": others}
    kept = copy.deepcopy(after)
    shown = masked(after, before)["environment"]
    assert after == kept
    for name, text in values.items():
        assert shown[name] == (HIDDEN if others[name] == text else HIDDEN_CHANGED)
    assert masked(before) == {"environment": dict.fromkeys(values, HIDDEN)}
