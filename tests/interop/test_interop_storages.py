# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One container on a server, two programs: as test_interop.py, away from the local disk."""

from __future__ import annotations

import os
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from agent_points import catalogue, verify
from interop_keystone import keystone
from interop_pair import ROOT, Pair, grow, tree
from storage_servers import Makers, Server

from coldchain.agent.fields import Fields
from coldchain.agent.storages.location import location

#: freezer-agent's level times are whole seconds and it does not look whether one is taken.
SECOND = 1.05


@pytest.fixture(scope="module")
def makers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Makers]:
    venv = Path(os.environ.get("COLDCHAIN_STORAGES_VENV", ROOT / "build" / "venvs" / "storages"))
    if not (venv / "bin" / "rclone").exists():
        pytest.skip(f"{venv} has no rclone and no servers: run make storages")
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{venv / 'bin'}:{before}"
    yield Makers(tmp_path_factory.mktemp("servers"), venv)
    os.environ["PATH"] = before


def _start(server: Server | str) -> Server:
    if isinstance(server, str):
        pytest.skip(server)
    server.start()
    return server


@pytest.fixture(scope="module")
def ssh(makers: Makers) -> Iterator[Server]:
    server = _start(makers.ssh_openssh())
    yield server
    server.kill()


@pytest.mark.parametrize("first", ["ours", "freezer"])
def test_a_chain_written_in_turns_on_a_server(pair: Pair, ssh: Server, first: str) -> None:
    fields = {**ssh.fields, "container": ssh.container.format(first)}
    turns = ["ours", "freezer"] if first == "ours" else ["freezer", "ours"]
    for step in range(4):
        grow(pair, step)
        if turns[step % 2] == "ours":
            report = pair.ours("backup", incremental=True, **fields)
            assert report.fields["level"] == step, report.warnings
        else:
            pair.freezer("backup", incremental=True, **_known_to_freezer(fields))
        time.sleep(SECOND)
    place = location(Fields(fields), pair.root)
    found = verify(place, mode="full")
    assert found.sound and [one.level for one in found.restorable] == [0, 1, 2, 3]
    _both_restore_from(pair, fields)
    pair.freezer("admin", remove_older_than=0, **_known_to_freezer(fields))
    assert catalogue(place) == []


def _known_to_freezer(fields: dict[str, object]) -> dict[str, object]:
    ours = ("ssh_known_hosts", "credentials_file")
    known = {name: value for name, value in fields.items() if name not in ours}
    if fields["storage"] == "s3":  # there the secret stands in the action itself
        text = Path(str(fields["credentials_file"])).read_text()
        known["secret_key"] = text.partition("=")[2].strip()
    return known


def _both_restore_from(pair: Pair, fields: dict[str, object]) -> None:
    expected = tree(pair.source)
    pair.ours("restore", **fields)
    assert tree(pair.target) == expected
    pair.freezer("restore", **_known_to_freezer(fields))
    assert tree(pair.target) == expected


def test_freezer_agent_restores_ours_from_s3(pair: Pair, makers: Makers) -> None:
    """One way only: freezer-agent 19.0.0 itself cannot write there (len() of a file)."""
    server = _start(makers.s3_moto())
    try:
        credentials = pair.root / "credentials"
        credentials.write_text(f"SECRET_KEY={server.secrets['SECRET_KEY']}\n")
        credentials.chmod(0o600)
        fields = {**server.fields, "container": "bucket", "credentials_file": str(credentials)}
        for step in range(2):
            grow(pair, step)
            pair.ours("backup", incremental=True, **fields)
            time.sleep(SECOND)
        _both_restore_from(pair, fields)
        code, output = pair.try_freezer("backup", incremental=True, **_known_to_freezer(fields))
        assert code != 0 and "has no len()" in output
        assert len(catalogue(location(Fields(fields), pair.root))) == 2
    finally:
        server.kill()


@pytest.fixture(scope="module")
def swift(makers: Makers) -> Iterator[Server]:
    server = _start(makers.swift())
    yield server
    server.kill()


@pytest.mark.parametrize("first", ["ours", "freezer"])
def test_a_chain_written_in_turns_on_swift(pair: Pair, swift: Server, first: str) -> None:
    """Both ask a Keystone for a token, with one openrc; freezer-agent writes segments."""
    with keystone(lambda: _login(swift)) as auth_url:
        both = replace(pair, auth_url=auth_url)
        openrc = both.root / "openrc"
        openrc.write_text("".join(f"export {name}={one}\n" for name, one in both.openrc.items()))
        openrc.chmod(0o600)
        fields = {**swift.fields, "container": first, "credentials_file": str(openrc)}
        turns = ["ours", "freezer"] if first == "ours" else ["freezer", "ours"]
        for step in range(4):
            grow(both, step)
            (both.source / "large").write_bytes(os.urandom(300_000))
            if turns[step % 2] == "ours":
                report = both.ours("backup", incremental=True, **fields)
                assert report.fields["level"] == step, report.warnings
            else:
                known = _known_to_freezer(fields)
                both.freezer("backup", incremental=True, max_segment_size=100_000, **known)
            time.sleep(SECOND)
        segments = [name for name in _objects(swift, first) if "/segments/" in name]
        assert len(segments) >= 6
        place = location(Fields(fields), both.root)
        found = catalogue(place)
        assert [one.level for one in found] == [0, 1, 2, 3]
        assert all(one.restorable and one.size > 300_000 for one in found)
        assert verify(place, mode="full").sound
        _both_restore_from(both, fields)
        if first == "ours":
            both.freezer("admin", remove_older_than=0, **_known_to_freezer(fields))
        else:
            both.ours("admin", remove_older_than=0, force=True, **fields)
        assert catalogue(place) == []
        assert _objects(swift, first) == []
        # Our segments lie in another container, of which freezer-agent does not know.
        ours = [
            f"data/tar/host_docs/{one.chain}/{one.level}_{one.time_stamp}" for one in found[::2]
        ]
        names = _objects(swift, f"{first}_segments")
        left = sorted({name.rpartition("/data/")[0] for name in names})
        assert left == (ours if first == "ours" else [])


def _login(server: Server) -> tuple[str, str]:
    secrets = server.secrets
    login = {"X-Auth-User": secrets["OS_USERNAME"], "X-Auth-Key": secrets["OS_PASSWORD"]}
    request = urllib.request.Request(secrets["OS_AUTH_URL"], headers=login)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.headers["X-Auth-Token"], answer.headers["X-Storage-Url"]


def _objects(server: Server, container: str) -> list[str]:
    token, account = _login(server)
    request = urllib.request.Request(f"{account}/{container}", headers={"X-Auth-Token": token})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode().splitlines()
