# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door to the command: what goes in, what comes out, and what is said when nothing does."""

from __future__ import annotations

import pytest
from ansible_collections.coldchain.freezer.plugins.module_utils import _cli
from ansible_collections.coldchain.freezer.plugins.modules import backup_info

MISSING = (
    "The coldchain runner is not installed on this host (no {0})."
    " Apply the role coldchain.freezer.runner{1} first."
)


def ask(run, host, **arguments):
    return run(backup_info, home=host.home, **arguments)


def test_arguments_reach_the_command_as_they_are(run, host):
    host.answers("backups", data={"backups": []})
    ask(run, host, container="~/x $HOME; 'ü'", backup_name="-b")
    assert host.calls == [
        [["--json", "backups", "--container=~/x $HOME; 'ü'", "--backup-name=-b"], None]
    ]


def test_a_refusal_is_the_commands_own_words_and_its_hint(run, host):
    host.refuses("backups", code=73, message="/x: cannot be read", hint="run as root")
    result = ask(run, host)
    assert result["failed"]
    assert result["msg"] == "/x: cannot be read (run as root)"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            {"code": 70, "out": "", "err": "Traceback\n  file\nKeyError: 'x'"},
            ["a bug of its own (exit code 70)", "KeyError: 'x'"],
        ),
        (
            {"code": 3, "out": "half {", "err": ""},
            ["coldchain backups: failed (exit code 3)", "half {"],
        ),
        ({"code": 0, "out": "fine", "err": ""}, ["the answer is not JSON (exit code 0)", "fine"]),
        ({"code": 0, "out": "[]", "err": ""}, ["the answer is not JSON"]),
        ({"code": -9, "out": "", "err": ""}, ["ended by signal 9"]),
    ],
)
def test_an_end_without_an_answer_is_told_with_what_there_was(run, host, answer, words):
    host.answers("backups", **answer)
    result = ask(run, host)
    assert result["failed"]
    for word in words:
        assert word in result["msg"]


def test_a_missing_runner_names_the_role(run, bare_host):
    result = ask(run, bare_host)
    command = bare_host.home + "/bin/coldchain"
    assert result["msg"] == MISSING.format(command, " with coldchain_home: " + bare_host.home)


def test_without_home_the_systems_command_is_called(run, monkeypatch, tmp_path):
    monkeypatch.setattr(_cli, "SYSTEM_COMMAND", str(tmp_path / "coldchain"))
    monkeypatch.setattr(_cli, "MOVED_COMMAND", str(tmp_path / "command"))
    assert run(backup_info)["msg"] == MISSING.format(tmp_path / "coldchain", "")
    (tmp_path / "command").symlink_to("/nowhere/coldchain")
    assert run(backup_info)["msg"] == MISSING.format("/nowhere/coldchain", "")


def test_a_command_that_cannot_be_run_is_not_taken_for_a_missing_one(run, host):
    (host.bin / "coldchain").write_text("#!/nowhere/python3\n")
    result = ask(run, host)
    assert result["msg"].startswith(
        host.home + "/bin/coldchain cannot be run: No such file or directory."
    )
    assert "coldchain.freezer.runner" in result["msg"]


@pytest.mark.parametrize(
    ("version", "noted"), [("0.0.9", True), ("0.1.0", False), ("0.10.0", False), ("1.0", False)]
)
def test_only_an_older_runner_is_noted_and_only_when_something_fails(
    run, host, monkeypatch, version, noted
):
    monkeypatch.setattr(_cli, "VERSION", "0.1.0")
    (host.bin / "version").write_text(version)
    host.refuses("backups", code=64, message="unknown command")
    message = ask(run, host)["msg"]
    assert ("The runner on this host is version " + version in message) is noted
    assert ("apply the role coldchain.freezer.runner to upgrade it" in message) is noted


def test_a_collection_that_does_not_know_its_version_gives_no_such_advice(run, host, monkeypatch):
    monkeypatch.setattr(_cli, "VERSION", "")
    (host.bin / "version").write_text("0.0.1")
    host.refuses("backups", code=64, message="unknown command")
    assert ask(run, host)["msg"] == "unknown command"
