# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One container on a server, two programs: as test_interop.py, away from the local disk."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, Pair
from test_interop import _grow, _tree

from coldchain.agent.info import catalogue
from coldchain.agent.location import location
from coldchain.agent.options import Fields
from coldchain.agent.verify import verify

# The servers are those of `make storages`, which installs them.
sys.path.insert(0, str(ROOT / "tests" / "storages"))
from storage_servers import Makers, Server

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


@pytest.mark.parametrize("first", ["ours", "freezer"])
def test_a_chain_written_in_turns_on_a_server(pair: Pair, makers: Makers, first: str) -> None:
    server = _start(makers.ssh_openssh(f"ssh-{first}"))
    try:
        fields = {**server.fields, "container": server.container.format("c")}
        turns = ["ours", "freezer"] if first == "ours" else ["freezer", "ours"]
        for step in range(4):
            _grow(pair, step)
            if turns[step % 2] == "ours":
                report = pair.ours("backup", incremental=True, **fields)
                assert report.fields["level"] == step, report.warnings
            else:
                pair.freezer("backup", incremental=True, **_known_to_freezer(fields))
            time.sleep(SECOND)
        place = location(Fields(fields), pair.root)
        assert [one.level for one in catalogue(place)] == [0, 1, 2, 3]
        assert verify(place, mode="full").sound
        _both_restore_from(pair, fields)
        pair.freezer("admin", remove_older_than=0, **_known_to_freezer(fields))
        assert catalogue(place) == []
    finally:
        server.kill()


def _known_to_freezer(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name != "ssh_known_hosts"}


def _both_restore_from(pair: Pair, fields: dict[str, object]) -> None:
    expected = _tree(pair.source)
    pair.ours("restore", **fields)
    assert _tree(pair.target) == expected
    pair.freezer("restore", **_known_to_freezer(fields))
    assert _tree(pair.target) == expected


def test_freezer_agent_restores_ours_from_s3(pair: Pair, makers: Makers) -> None:
    """One way only: freezer-agent 19.0.0 itself cannot write there (len() of a file)."""
    server = _start(makers.s3_moto())
    try:
        fields = {**server.fields, "container": "bucket", **_secret_half(server)}
        for step in range(3):
            _grow(pair, step)
            pair.ours("backup", incremental=True, **fields)
            time.sleep(SECOND)
        _both_restore_from(pair, fields)
        code, output = pair.try_freezer("backup", incremental=True, **fields)
        assert code != 0 and "has no len()" in output
        assert len(catalogue(location(Fields(fields), pair.root))) == 3
    finally:
        server.kill()


def _secret_half(server: Server) -> dict[str, object]:
    return {"secret_key": server.secrets["SECRET_KEY"]}
