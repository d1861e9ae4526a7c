# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""coldchain agent --clean-up: removes what killed actions left, and nothing else."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from agent_bench import Bench

from coldchain.agent.action import perform
from coldchain.agent.engines.tar.stored.layout import Level, Series
from coldchain.agent.storages.local import LocalStorage
from coldchain.cli import run


def clean_up(bench: Bench, action: str, **fields: object) -> int:
    defaults = {"container": str(bench.container), "backup_name": "docs", "hostname": "host"}
    report = perform(
        {"action": action, **defaults, **fields},
        containers_dir=bench.root,
        client_id="client",
        remnants=True,
    )
    removed = report.fields.get("removed", 0)
    assert isinstance(removed, int)
    return removed


def half_written(bench: Bench, name: str) -> Path:
    """A draft as a killed backup of series *name* leaves it."""
    storage, series = LocalStorage(bench.container), Series("host", name)
    level = Level(100, 0, 100)
    with storage.draft(series.host_name, series.data_of(level), series.marker_of(level)) as draft:
        with draft.write("data") as sink:
            sink(b"half")
        folder = draft.folder.parent
        kept = folder.with_name("kept")
        folder.rename(kept)
    kept.rename(folder)
    return folder


def test_only_the_series_own_remnants_go(bench: Bench) -> None:
    (bench.source / "file").write_text("text")
    bench.backup()
    before = bench.files()
    mine, other = half_written(bench, "docs"), half_written(bench, "other")
    assert clean_up(bench, "backup", path_to_backup=str(bench.source)) == 1
    assert not mine.exists() and other.exists()
    assert clean_up(bench, "backup", path_to_backup=str(bench.source)) == 0
    assert clean_up(bench, "backup", backup_name="other") == 1
    assert {name for name in bench.files() if ".lock" not in name} == {
        name for name in before if ".lock" not in name
    }
    assert bench.catalogue()[0].restorable


def test_a_living_writer_is_left_alone(bench: Bench) -> None:
    mine = half_written(bench, "docs")
    with LocalStorage(bench.container).lock("host_docs"):
        assert clean_up(bench, "backup") == 0
    assert mine.exists()


def test_a_dry_run_and_a_command_have_nothing_to_remove(bench: Bench) -> None:
    mine = half_written(bench, "docs")
    assert clean_up(bench, "backup", dry_run=True) == 0
    config = bench.root / "config"
    command = {"action": "exec", "command": ["touch", str(bench.root / "ran")]}
    config.write_text(json.dumps({"freezer_action": command}))
    assert run(["--home", str(bench.root), "agent", "--clean-up", "--config", str(config)]) == 0
    assert mine.exists() and not (bench.root / "ran").exists()


def test_a_restore_s_folder_goes_wherever_it_was_begun(bench: Bench) -> None:
    target = bench.root / "new" / "and" / "deep"
    stale = [bench.root / ".coldchain-restore-00000001", target / ".coldchain-restore-00000002"]
    living = bench.root / ".coldchain-restore-00000003"
    foreign = bench.root / "new" / ".coldchain-restore-file"
    for folder in (*stale, living):
        (folder / "tree").mkdir(parents=True)
        (folder / "coldchain-restore").touch()
        folder.chmod(0o700)
    foreign.write_text("a file of somebody")
    descriptor = os.open(living, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert clean_up(bench, "restore", restore_abs_path=str(target)) == 2
    os.close(descriptor)
    assert not any(folder.exists() for folder in stale)
    assert living.exists() and foreign.exists() and target.is_dir()
