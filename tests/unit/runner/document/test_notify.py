# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a document may say of whom to tell, and what of that is shown."""

from __future__ import annotations

from typing import Any

import pytest
from cli_command import Command, exec_job

from coldchain.document.fields import LEVELS
from coldchain.document.masking import holds_mask, masked
from coldchain.observe.notifiers.registry import KINDS, NOTIFIERS

URL = "https://hooks.example.org/services/T0/s3cret?x=s3cret"


def problems(command: Command, *entries: dict[str, Any]) -> list[tuple[str, str]]:
    answer = command.json("validate", "-", data=exec_job("j", notify=list(entries)))
    return [(it["path"], it["message"]) for it in (*answer["errors"], *answer["warnings"])]


@pytest.mark.parametrize(
    ("entry", "field", "message"),
    [
        ({"type": "mial"}, "type", '"mial" is not supported'),
        ({"type": "mail"}, "to", "is missing; mail needs it"),
        ({"type": "mail", "credentials_file": "x"}, "to", "is missing; mail needs it"),
        ({"type": "healthchecks"}, "url", "is missing; healthchecks needs it"),
        ({"type": "command", "command": "a | b"}, "command", "is a pipeline; one program is run"),
        ({"type": "command", "command": [""]}, "command", "has a blank name"),
        ({"type": "ntfy", "url": "ntfy.sh/x"}, "url", "is no URL"),
        ({"type": "ntfy", "url": "https://"}, "url", "is no URL"),
        ({"type": "ntfy", "url": "https://a b/"}, "url", "is no URL"),
        ({"type": "ntfy", "url": "https://u:p@x/"}, "url", "holds a password"),
        ({"type": "ntfy", "url": "https://x/(hidden)"}, "url", "(hidden) stands for a secret"),
        ({"type": "ntfy", "url": "http://x/y"}, "url", "is not encrypted"),
        ({"type": "ntfy", "url": URL, "to": "x"}, "to", "has no effect on ntfy"),
        ({"type": "ntfy", "url": URL, "tell": ["on"]}, "tell[0]", '"on" is not supported'),
        ({"type": "ntfy", "url": URL, "credentials_file": "../x"}, "credentials_file", "'../x' is"),
        ({"type": "ntfy", "url": URL, "events": ["start"]}, "events", "is unknown"),
    ],
)
def test_what_cannot_be_told_is_refused_where_it_stands(
    command: Command, entry: dict[str, Any], field: str, message: str
) -> None:
    found = dict(problems(command, entry))
    path = f"$.notify[0].{field}"
    assert path in found, found
    assert found[path].startswith(message) or message == "is unknown", found


def test_on_is_tell_also_where_yaml_takes_it_for_true(command: Command) -> None:
    for key in ("on", "true", "True"):
        job = exec_job("j", notify=[{"type": "mail", "to": "root", key: ["failure"]}])
        answer = command.json("validate", "-", data=job)
        assert answer["valid"], answer
        assert answer["document"]["notify"] == [{"type": "mail", "to": "root", "tell": ["failure"]}]
        assert any("tell" in str(warning) for warning in answer["warnings"])


def test_what_can_be_told_is_taken(command: Command) -> None:
    for entry in (
        {"type": "healthchecks", "credentials_file": "hc"},
        {"type": "webhook", "url": URL, "template": '{"text": "$title"}', "headers": {"A": 1}},
        {"type": "ntfy", "url": "http://127.0.0.1:8080/x", "tell": list(KINDS)},
        {"type": "mail", "to": "root"},
        {"type": "mail", "to": ["a@b"], "smtp_host": "m", "smtp_port": "25", "smtp_tls": "none"},
        {"type": "command", "command": "pager -x", "send_log": "yes"},
    ):
        assert [it for it in problems(command, entry) if "is text" not in it[1]] == []


def test_commands_are_refused_where_actions_that_run_commands_are(command: Command) -> None:
    settings = command.home / "etc" / "runner.conf"
    settings.parent.mkdir(mode=0o755)
    settings.write_text("[runner]\nallow_exec = no\n")
    found = problems(command, {"type": "command", "command": ["x"]})
    assert ("$.notify[0].type", "commands are switched off on this host") in found


def test_every_field_of_a_notifier_is_one_of_the_document() -> None:
    names = {field.name for field in LEVELS["notify"]}
    for notifier in NOTIFIERS.values():
        assert set(notifier.fields) <= names
        assert {name for group in notifier.required for name in group} <= set(notifier.fields)
        assert set(notifier.tell) <= set(KINDS)
    tell = next(field for field in LEVELS["notify"] if field.name == "tell")
    assert tell.choices == KINDS


def test_a_url_and_headers_are_shown_without_what_may_be_secret(command: Command) -> None:
    entry = {"type": "webhook", "url": URL, "headers": {"X-Key": "s3cret"}}
    document = {"notify": [entry]}
    shown = masked(document)["notify"][0]
    assert shown["url"] == "https://hooks.example.org/(hidden)"
    assert shown["headers"] == {"X-Key": "(hidden)"}
    assert holds_mask(shown["url"], "url")
    assert masked({"notify": [{"url": "https://x"}]}) == {"notify": [{"url": "https://x"}]}
    other = {"notify": [{**entry, "url": URL + "x"}]}
    assert masked(other, document)["notify"][0]["url"].endswith("/(hidden, changed)")
    assert command("apply", "-", data=exec_job("j", notify=[entry])) == 0
    said = command.out + command.err
    for words in (("show", "j"), ("list", "--documents"), ("notify",), ("--json", "notify")):
        assert command(*words) == 0
        said += command.out + command.err
    changed = exec_job("j", notify=[{**entry, "url": URL + "x"}])
    assert command("--json", "apply", "-", data=changed) == 0
    said += command.out + command.err
    assert "hooks.example.org" in said and "s3cret" not in said
    command("show", "j", "--show-secrets")
    assert "s3cret" in command.out
