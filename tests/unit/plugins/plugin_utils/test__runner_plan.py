# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role runner has to do on a host, from what the host says of itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.coldchain.freezer.plugins.action.runner_plan import SPEC
from ansible_collections.coldchain.freezer.plugins.plugin_utils import _runner_plan as plans
from ansible_collections.coldchain.freezer.plugins.plugin_utils._runner_look import (
    UNIT_FILE,
    keeps_secrets,
    look_of,
    places_of,
    words,
)

ROLE = Path(__file__).resolve().parents[4] / "roles" / "runner"
OURS = "1.0.0-ours"
SECRET = {"name": "s3", "content": "KEY=hunter2"}
FILE = {"name": "openrc", "path": "/etc/keystone/openrc"}
FACTS = {
    "python": "/usr/bin/python3",
    "tag": "cpython-311",
    "seen": "/usr/bin/python3 (Python 3.11.2)",
    "system": "debian",
    "tar": "gnu",
    "uid": "0",
    "current": OURS,
    "previous": "",
    "releases": OURS,
    "busy": "",
    "containers": "",
    "locked": "",
    "missing": "",
    "serving": "",
    "systemd": "yes",
    "pid": "1",
    "unit": "yes",
    "end": "yes",
}


def options(**given):
    return {name: given.get(name, about.get("default")) for name, about in SPEC.items()}


def looked(lines=(), **facts):
    """The look at a host that says this."""
    told = [f"{name}={value}" for name, value in {**FACTS, **facts}.items()]
    return look_of("\n".join([*lines, *told]))


def todo(given, look, files=None):
    places = places_of(given["home"], given["command"])
    if given["state"] == "absent":
        return plans.todo_when_absent(given, places, look)
    releases = plans.releases_of(places, look.host, OURS, rollback=given["rollback"])
    contents = dict.fromkeys((places.command, places.settings), "text\n") | (files or {})
    return plans.todo_when_present(given, places, releases, contents, look)


def needs(given, things=(), **facts):
    """All that is in the way of the role on a host that says this."""
    places, host = places_of(given["home"], given["command"]), looked(**facts).host
    found = plans.findings(given, places, host, [])
    releases = plans.releases_of(places, host, OURS, rollback=given["rollback"])
    return found + plans.needs(given, places, releases, host, things)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"home": "/srv/a=b"},
        {"command": "/opt/coldchain/bin/coldchain", "credentials": [SECRET, FILE]},
        {"service_enabled": False, "service_state": "stopped"},
        {"state": "absent"},
        {"state": "absent", "purge_data": True, "home": "/srv/x"},
    ],
)
def test_whatever_a_host_does_not_say_is_to_do_and_nothing_else(given):
    given = options(**given)
    files = {} if given["home"] else {UNIT_FILE: "unit\n"}
    lines = [line for line in todo(given, looked(), files) if line != "credentials"]
    kept = [f"secret=600 {plans.digest('KEY=hunter2' + chr(10))} s3"] * bool(given["credentials"])
    assert lines and todo(given, looked([*lines, *kept]), files) == []
    for line in lines:
        others = [other for other in lines if other != line]
        assert todo(given, looked([*others, *kept]), files) == [line]
        other = line.rpartition("=")[0] + "=other"
        assert todo(given, looked([*others, other, *kept]), files) == [line]


def test_the_release_that_shall_be_current_is_to_do_until_it_is():
    wanted = f"current={OURS}"
    assert wanted in todo(options(), looked(current="old"))
    assert wanted in todo(options(), looked(current=""))
    assert wanted not in todo(options(), looked())


@pytest.mark.parametrize(
    ("kept", "same"),
    [
        (["600 {} s3"], True),
        ([], False),
        (["644 {} s3"], False),
        (["600 0000 s3"], False),
        (["600 {} s4"], False),
        (["600 {} s3", "600 {} by-hand"], False),
        (["none none s3"], False),
        (["600 {} s3", "none none /"], False),
    ],
)
def test_credentials_are_as_they_shall_be_or_to_do(kept, same):
    given = options(home="/srv/x", credentials=[SECRET])
    lines = [line for line in todo(given, looked()) if line != "credentials"]
    told = [f"secret={secret}".format(plans.digest("KEY=hunter2\n")) for secret in kept]
    assert todo(given, looked([*lines, *told])) == ([] if same else ["credentials"])
    look = looked([*lines, *told])
    assert "secret" not in look.host and plans.digest("KEY=hunter2\n") not in str(look.host)


def test_the_newline_of_a_key_is_kept_and_one_is_added():
    for content in ("x", "x\n"):
        given = options(home="/srv/x", credentials=[{"name": "a", "content": content}])
        lines = [line for line in todo(given, looked()) if line != "credentials"]
        told = f"secret=600 {plans.digest('x' + chr(10))} a"
        assert todo(given, looked([*lines, told])) == []


@pytest.mark.parametrize(
    ("facts", "rollback", "expected"),
    [
        ({"current": "", "releases": ""}, False, (OURS, "", [])),
        ({"current": "old", "releases": "old"}, False, (OURS, "old", [])),
        ({"previous": "old", "releases": f"old {OURS} older"}, False, (OURS, "old", ["older"])),
        ({"previous": "old", "releases": "a b", "busy": "b"}, False, (OURS, "old", ["a"])),
        ({"previous": "old", "releases": f"old {OURS}"}, True, ("old", OURS, [])),
        ({"current": "old", "previous": OURS, "releases": f"old {OURS}"}, True, ("old", OURS, [])),
        ({"current": "", "releases": ""}, True, ("", "", [])),
    ],
)
def test_the_releases_that_follow(facts, rollback, expected):
    host = looked(**facts).host
    found = plans.releases_of(places_of("", ""), host, OURS, rollback=rollback)
    assert (found.release, found.previous, found.outdated) == expected
    assert found.release_dir == f"/opt/coldchain/releases/{expected[0]}"


@pytest.mark.parametrize(
    ("given", "facts", "told"),
    [
        ({"home": "somewhere"}, {}, 'coldchain_home must be an absolute path other than /, not "s'),
        ({"home": "/"}, {}, "coldchain_home must be an absolute path"),
        ({"command": "coldchain"}, {}, 'coldchain_command must be an absolute path, not "coldc'),
        ({}, {"uid": "1000"}, "Apply the role with become: true, or set coldchain_home"),
        ({}, {"systemd": "no"}, "This host does not run systemd. Set coldchain_home"),
        ({}, {"python": "", "seen": ""}, "Found: nothing. Install one (apt install python3) and"),
        ({}, {"python": "", "system": "plan9"}, "(Python 3.11.2). Install one and, if it is"),
        ({}, {"python": "", "system": "rocky rhel"}, "(dnf install python3.11)"),
        ({}, {"tar": ""}, "(no tar was found): install the package tar (apt install tar)."),
        ({}, {"tar": "other", "system": "alpine"}, "(another tar was found): install the package"),
        ({}, {"locked": "/usr/local/bin"}, "This cannot be written: /usr/local/bin. Mount it"),
        (
            {"rollback": True},
            {},
            f"this host has no other release than {OURS}. Set coldchain_rollb",
        ),
        ({"rollback": True}, {"current": ""}, "no other release than the one to be installed."),
    ],
)
def test_what_is_in_the_way_is_told_with_the_way_out(given, facts, told):
    (finding,) = needs(options(**given), ["something"], **facts)
    assert told in finding


def test_everything_is_told_at_once_and_a_home_needs_neither_root_nor_systemd():
    facts = {"uid": "7", "systemd": "no", "python": "", "tar": "", "locked": "/"}
    assert len(needs(options(rollback=True), ["something"], **facts)) == 6
    assert needs(options(home="/srv/x"), uid="7", systemd="no") == []
    assert needs(options(), locked="/usr") == [], "where nothing is to do nothing is written"


@pytest.mark.parametrize(
    ("credentials", "home", "missing", "told"),
    [
        ([{"name": "a/b", "content": "hunter2"}, SECRET], "", "", '"a/b" cannot be the name of'),
        ([{"content": "hunter2"}], "", "", '"" cannot be the name of a credential'),
        ([{"name": "a\n", "content": "hunter2"}], "", "", r'"a\n" cannot be'),
        ([SECRET, SECRET], "", "", "a name is there twice: s3, s3."),
        ([{"name": "a"}], "", "", "a must have either content or path, and not an empty one."),
        ([{"name": "a", "content": ""}], "", "", "a must have either content or path"),
        ([{"name": "a", "content": None}], "", "", "a must have either content or path"),
        ([{**SECRET, "path": "/x"}], "", "", "s3 must have either content or path"),
        ([FILE], "/srv/x", "", "openrc: with coldchain_home there is no systemd to load it."),
        ([{"name": "a", "path": "etc/x"}], "", "", "a: path must be absolute, without blanks"),
        ([{"name": "a", "path": "/e x"}], "", "", "a: path must be absolute, without blanks"),
        ([FILE], "", "/etc/keystone/openrc", "no such file on this host: /etc/keystone/openrc."),
    ],
)
def test_credentials_are_refused_by_name_only(credentials, home, missing, told):
    (finding,) = plans.bad_credentials(credentials, places_of(home, ""), missing)
    assert finding.startswith("coldchain_credentials: ") and told in finding
    assert "hunter2" not in finding
    assert plans.bad_credentials([SECRET, FILE], places_of("", ""), "") == []


def test_an_old_name_is_told_with_the_new_one_unless_it_is_another_role_s():
    places, host = places_of("", ""), looked().host
    names = ["runner_state", "runner_of_mine", "runner_home"]
    (finding,) = plans.findings(options(), places, host, names)
    assert "runner_home is coldchain_home, runner_state is coldchain_state." in finding
    assert plans.findings(options(ignore_old_names=True), places, host, names) == []
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    assert set(plans.OLD_NAMES.values()) <= defaults.keys()


def test_the_promise_of_check_mode():
    settings = "# x\n[runner]\nclient_id = web1\ntimezone = \ngrace = 10\n"
    said = plans.promise(options(credentials=[SECRET]), places_of("", ""), OURS, settings)
    assert said.startswith(f"Would install release {OURS} in /opt/coldchain, the command /usr/l")
    assert "/bin/coldchain, 1 credentials and the settings /etc/coldchain/runner.conf" in said
    assert said.endswith(
        "(client_id = web1, grace = 10) and coldchain-runner.service, enabled and started."
    )
    given = options(home="/srv/x", service_enabled=False)
    said = plans.promise(given, places_of("/srv/x", ""), OURS, settings)
    assert said.endswith("/srv/x/etc/runner.conf (client_id = web1, grace = 10).")


def test_a_look_that_did_not_come_to_its_end_is_none():
    assert look_of("") is None
    assert look_of("python=/x\nend=yes, said somebody else") is None
    assert look_of("python=/x\r\nend=yes\r\n").host == {"python": "/x", "end": "yes"}


def test_a_path_may_have_any_character():
    look = look_of("mode:/a=b=755\ndigest:/a=b/c=\nseen=a=b\nend=yes")
    assert look.host["mode:/a=b"] == "755" and look.host["digest:/a=b/c"] == ""
    assert look.host["seen"] == "a=b"


def test_digests_of_secrets_are_asked_for_where_there_are_some():
    for given, asked in (
        ({"credentials": [SECRET]}, "/etc/coldchain/credentials"),
        ({"credentials": [FILE]}, ""),
        ({"credentials": [SECRET], "state": "absent"}, ""),
    ):
        given = options(**given)
        assert words(given, places_of("", ""))[-1] == asked
        assert keeps_secrets(given) is bool(asked)
        assert "hunter2" not in str(words(given, places_of("", "")))


def test_the_names_of_the_role_are_those_that_its_first_task_returns():
    """And the templates use none that the action does not give them."""
    variables = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
    returned = re.findall(r"__runner_plan\.(?:places\.)?(\w+)", str(variables))
    places = places_of("", "")
    known = {*places._fields, *plans.Releases._fields, "host", "todo"}
    assert set(returned) == known
    for name, value in variables.items():
        plain = re.fullmatch(r"{{ __runner_plan\.(?:places\.)?(\w+) }}", str(value))
        if plain is not None:
            assert plain[1] == name.removeprefix("__runner_")
    given = {f"__runner_{name}" for name in (*places._fields, "host", "loaded")}
    for path in (ROLE / "templates").iterdir():
        assert set(re.findall(r"__runner_\w+", path.read_text())) <= given
