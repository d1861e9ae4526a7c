# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mount whose server is gone: whatever needs it names it, and how to go on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_command import Command, exec_job
from homes import needs_root

pytestmark = needs_root
WHY, REMEDY = "Transport endpoint is not connected", "the mount is dead: mount it again"


def kill_mount(place: Path) -> None:
    """Let *place* be a FUSE mount whose server has ended."""
    place.mkdir(exist_ok=True)
    try:
        server = os.open("/dev/fuse", os.O_RDWR)
    except OSError:
        pytest.skip("needs /dev/fuse")
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0"
    words = ["mount", "-t", "fuse", "-o", options, "gone", str(place)]
    try:
        if subprocess.run(words, pass_fds=[server], check=False).returncode:
            pytest.skip("needs a kernel with FUSE")
    finally:
        os.close(server)


@pytest.fixture
def dead(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "dead"
    kill_mount(place)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_whatever_needs_a_dead_mount_tells_that_it_is_dead(
    command: Command, dead: Path, tmp_path: Path
) -> None:
    (tmp_path / "source").mkdir()
    where = {"action": "backup", "backup_name": "x", "path_to_backup": str(tmp_path / "source")}
    place = {"container": str(tmp_path / "container")}

    def refused(document: object, *words: str) -> None:
        assert command(*(words or ("run", "-")), data=document) != 0
        assert str(dead) in command.err and WHY in command.err and REMEDY in command.err

    assert command("agent", "--config", "-", data={**where, **place}) == 0
    for target in (dead, dead / "below"):
        refused({**where, "container": str(target)}, "agent", "--config", "-")
        refused({**where, **place, "path_to_backup": str(target)}, "agent", "--config", "-")
        restore = {**where, **place, "action": "restore", "restore_abs_path": str(target)}
        for dry_run in (True, False):
            refused({**restore, "dry_run": dry_run}, "agent", "--config", "-")
        job = exec_job("x", "true")
        job["job_actions"][0]["freezer_action"]["working_directory"] = str(target)
        assert command("run", "-", data=job) == 1
        assert f"working_directory {target}: cannot be entered: {WHY}" in command.err


@pytest.mark.parametrize("name", ["lib", "log"])
def test_an_installation_on_a_dead_mount_is_named(command: Command, name: str) -> None:
    assert command("apply", "-", data=exec_job("x")) == 0
    place = command.home / name
    kill_mount(place)
    try:
        for words in ("list", "doctor", "event x start", "apply -", "serve"):
            assert command(*words.split(), data=exec_job("x")) != 0
            assert f"{place}: " in command.err and WHY in command.err, words
            assert REMEDY in command.err
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
