# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever writes the record of a host anew is seen by the next report, whatever came after."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_command import Command
from playbooks import Play

from coldchain.core.digest import canonical_json, sha256_hex
from coldchain.observe.ledger.format import FILE, HEAD, NOTHING, Head

JOB = {"job_actions": [{"freezer_action": {"action": "exec", "command": "true"}}]}


class Host:
    """One of several installations on this machine."""

    def __init__(self, command: Command) -> None:
        self.command, self.home, self.lib = command, command.home, command.home / "lib"

    def __call__(self, *words: str, data: object = None) -> None:
        assert self.command(*words, data=data) == 0, self.command.err

    def works(self, times: int = 1) -> None:
        """As many entries as that, of jobs that are declared."""
        for number in range(times):
            document = {**JOB, "job_id": "j", "description": f"{self.entries} {number}"}
            self("apply", "-", data=document)

    @property
    def entries(self) -> int:
        return Head.decode((self.lib / HEAD).read_bytes()).entries if self._has() else 0

    def _has(self) -> bool:
        return (self.lib / HEAD).exists()

    def rewrites(self) -> None:
        """Another user has done the first thing, and all that follows is made to fit."""
        digest, made = NOTHING, []
        for number, line in enumerate((self.lib / FILE).read_bytes().splitlines()):
            entry = {**json.loads(line), "prev": digest}
            if number == 0:
                entry["who"] = {"user": "mallory", "uid": 1000}
            made.append(canonical_json(entry))
            digest = sha256_hex(made[-1])
        text = b"".join(line + b"\n" for line in made)
        (self.lib / FILE).write_bytes(text)
        (self.lib / HEAD).write_bytes(Head(len(made), digest, 1, len(text)).encode())
        self("ledger", "verify")  # as whole as it was


def rows(report: Path) -> dict[str, dict[str, Any]]:
    table = json.loads(report.with_suffix(".json").read_text())["hosts"]
    hosts = (dict(zip(table["columns"], row, strict=True)) for row in table["rows"])
    return {host["name"]: host for host in hosts}


def test_a_history_that_was_written_anew_is_told_by_the_next_report(
    play: Play,
    installed: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ("edited", "grown", "older", "renewed", "whole", "new")
    hosts = {name: Host(Command(tmp_path / name, capsys, monkeypatch)) for name in names}
    for host in hosts.values():
        shutil.copytree(installed, host.home, symlinks=True)
        for link in (host.home / "bin").iterdir():
            text = link.read_text()
            link.unlink()
            link.write_text(text.replace(str(installed), str(host.home)))
            link.chmod(0o755)
        if host.home.name != "new":
            host.works(5)
    inventory, report = tmp_path / "inventory.yml", tmp_path / "backups.html"
    local = {"ansible_connection": "local", "coldchain_become": False}
    each = {name: {**local, "coldchain_home": str(host.home)} for name, host in hosts.items()}
    inventory.write_text(yaml.safe_dump({"all": {"hosts": each}}))
    asked = {"coldchain_report": str(report), "coldchain_become": False}

    def reported(**more: Any) -> tuple[int, str]:
        made = play("coldchain.freezer.report", f"--inventory={inventory}", **asked, **more)
        return made.code, made.output

    older = shutil.copytree(hosts["older"].lib, tmp_path / "kept")
    hosts["older"].works(2)
    code, said = reported()
    assert code == 0, said
    before = {name: row["entries"] for name, row in rows(report).items()}

    hosts["edited"].rewrites()
    hosts["edited"].works()
    hosts["grown"].rewrites()
    hosts["grown"].works(9)
    shutil.rmtree(hosts["older"].lib)
    shutil.copytree(older, hosts["older"].lib)
    hosts["older"].works(4)
    hosts["renewed"]("ledger", "renew")
    hosts["renewed"].works(7)
    hosts["whole"].works(3)
    hosts["new"].works(3)
    code, said = reported()
    assert code != 0
    told = {name: row["altered"] and row["altered"][1] for name, row in rows(report).items()}
    assert told["whole"] is told["new"] is None, told
    assert told["edited"] == told["grown"]
    for name, entry in (("edited", before["edited"]), ("older", before["older"])):
        anew = f"its ledger was written anew: entry {entry} is another one than it was before"
        assert told[name] == anew and f"{name}: {anew}" in said
    assert "a new one began on" in told["renewed"] and told["renewed"] in said
    assert not [row["notes"] for row in rows(report).values() if "ledger" in str(row["notes"])]

    # It stays so, until somebody has looked.
    accepted = ["edited", "grown", "older"]
    hosts["edited"].works()
    code, said = reported(coldchain_report_accept=accepted)
    assert code != 0 and "renewed: " in said and "edited: " not in said
    hosts["edited"].works()
    code, said = reported(coldchain_report_accept=["renewed"])
    assert code == 0, said
