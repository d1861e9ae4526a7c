# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option that takes a number, a duration or a date: what it cannot use is refused by name."""

from __future__ import annotations

import json

import pytest
from cli_command import Command, timed_job
from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain.cli import entry

#: Metavar -> what the option takes; every other one takes a text, a name or a place.
KINDS = {
    "N": "number",
    "SECONDS": "number",
    "PORT": "number",
    "T": "number",
    "INSTANT": "instant",
    "DURATION": "duration",
    "NAME=N": "slot",
    "N:DIGEST": "seen",
}
#: What makes the rest of a command line sound; {home} is an installation with the document j.json.
BESIDE: dict[str, list[str]] = {
    "next": ["j"],
    "history": ["j"],
    "event": ["j", "start", "--check"],
    "status": [],
    "list": [],
    "backups": ["--storage", "ftp", "--container", "c"],
    "verify": ["--container", "{home}/c"],
    "simulate": ["{home}/j.json", "--days", "1"],
    "restore": ["--job", "j", "--dry-run"],
    "ledger": [],
    "selftest": ["--directory", "{home}/none"],
}


def options() -> list[tuple[str, str, str]]:
    """(command, option, kind) of every option with a value that is no choice of words."""
    found = []
    for name in entry._COMMANDS:
        parser = entry._parser(name).called
        assert parser is not None
        for action in parser._actions:
            if not action.option_strings or action.nargs == 0 or action.choices:
                continue
            metavar = str(action.metavar or action.dest.upper())
            if metavar in KINDS:
                found.append((name, action.option_strings[-1], KINDS[metavar]))
            else:
                assert action.type in (None, str), (name, action.option_strings)
    return found


OPTIONS = options()
NEVER = [
    *("", " ", "-1", "-0", "+5", "1e3", "0x10", "NaN", "nan", "inf", "-inf", "1_000", "1,5", "1.5"),
    *("٣", "\uff11", "²", "9" * 5000, "null", "True", "5 parsecs", "٣ days", "yesterday"),
    *("2026-13-01", "2026-02-30", "٢٠٢٦-01-01", "0000-01-01", "2026-01-01T25:00", "99999-01-01"),
    *("0001-01-01", "9999-12-31T23:59:59-23:59", "2026-01-01T00:00:00+99:99", "n=0", "n=-1", "n="),
    *("=3", "n=٣", "n=" + "9" * 30, "0:" + "g" * 64, "٣:" + "0" * 64, "9" * 16 + ":" + "0" * 64),
]
PERHAPS = {
    "number": ["0", "1", "00", "65536", "999999999", "999999999999"],
    "instant": ["1970-01-01", "9998-12-31T23:59:59", "2026-03-29T02:30", "2026-01-01 00:00:00Z"],
    "duration": ["0", "1", "90 minutes", "1 day", "999999999 seconds", "999999999 weeks"],
    "slot": ["n=1", "n=999999999", "a=b=2"],
    "seen": ["0:" + "0" * 64, "1:" + "a" * 64],
}


def called(command: Command, name: str, option: str, value: str) -> tuple[int, str]:
    beside = [word.format(home=command.home) for word in BESIDE[name]]
    if name == "ledger" and option == "--seen":
        beside = ["verify"]
    given = [f"{option}={value}"] if option.startswith("--") else [option, value]
    code = command("--json", name, *beside, *given)
    assert "Traceback" not in command.err, command.err
    return code, command.out + command.err


@pytest.fixture
def at_home(command: Command) -> Command:
    """An installation with one job."""
    document = timed_job("j", schedule_hour="3", schedule_timezone="UTC")
    action = {"action": "backup", "path_to_backup": "/srv", "container": str(command.home / "c")}
    document["job_actions"] = [{"freezer_action": action}]
    (command.home / "j.json").write_text(json.dumps(document))
    assert command("apply", str(command.home / "j.json")) == 0
    return command


@pytest.mark.long
def test_what_an_option_cannot_use_is_refused_by_its_name(at_home: Command) -> None:
    @settings(max_examples=200)
    @given(st.sampled_from(OPTIONS), st.sampled_from(NEVER))
    def one(where: tuple[str, str, str], value: str) -> None:
        name, option, _kind = where
        code, told = called(at_home, name, option, value)
        assert code in (64, 65), (where, value, told)
        assert option in told, (where, value, told)
        assert len(told) < 1000

    one()


@pytest.mark.long
def test_what_an_option_can_use_is_used_or_refused_by_its_name(at_home: Command) -> None:
    """Whatever lies between: no traceback, no bug of ours, and an end."""

    @settings(max_examples=100)
    @given(st.sampled_from(OPTIONS), st.data())
    def one(where: tuple[str, str, str], data: st.DataObject) -> None:
        name, option, kind = where
        value = data.draw(st.sampled_from(PERHAPS[kind]))
        code, told = called(at_home, name, option, value)
        assert code in (0, 1, 64, 65, 69, 73), (where, value, told)
        if code == 64:
            assert option in told, (where, value, told)

    one()
