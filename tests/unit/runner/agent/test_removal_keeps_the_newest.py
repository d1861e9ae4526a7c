# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When every chain is old enough to go, the newest one that can be restored stays."""

from __future__ import annotations

from typing import Any

import pytest
from agent_chains import age


def chains(bench: Any) -> list[tuple[int, bool]]:
    """What is left: the days since each chain's newest level, and whether that is restorable."""
    newest = {}
    for backup in sorted(bench.catalogue(), key=lambda one: one.time_stamp):
        newest[backup.chain] = backup
    last = max(backup.time_stamp for backup in newest.values())
    return [
        (round((last - backup.time_stamp) / 86400), backup.restorable) for backup in newest.values()
    ]


@pytest.mark.parametrize("dry_run", [False, True])
def test_of_several_good_chains(bench: Any, dry_run: bool) -> None:
    age(bench, {0: [40, 35], 1: [30], 2: [20, 15, 12], 3: [10]})
    assert len(chains(bench)) == 4
    removed = bench.perform("admin", remove_older_than=1, dry_run=dry_run).fields["removed"]
    newest = max(bench.catalogue(), key=lambda one: one.time_stamp)
    assert len(removed) == 3 and not any(name.startswith(str(newest.chain)) for name in removed)
    assert [days for days, good in chains(bench) if good] == ([25, 20, 2, 0] if dry_run else [0])


def test_of_chains_whose_newest_is_broken(bench: Any) -> None:
    age(bench, {0: [40], 1: [30], 2: [20]})
    max(bench.container.glob("data/tar/host_docs/*/0_*/data")).unlink()
    kept = sorted({one.chain for one in bench.catalogue()})[1]
    bench.perform("admin", remove_older_than=1)
    assert {one.chain for one in bench.catalogue() if one.restorable} == {kept}


def test_of_a_source_that_is_not_mounted_any_more(bench: Any) -> None:
    (bench.source / "f").write_text("x")
    assert bench.backup().warnings == ()
    (bench.source / "f").unlink()
    (told,) = bench.backup().warnings
    assert told.endswith(
        "is empty, and earlier backups of it hold files: is something not mounted?"
    )
    bench.perform("admin", remove_before_date="2100-01-01")
    assert [one.files for one in bench.catalogue()] == [1]
    (bench.source / "f").write_text("x")
    (told,) = bench.backup(exclude=["[a-z]"]).warnings
    assert told == "nothing is stored: exclude leaves out all that is there"
    assert bench.backup().warnings == ()
    bench.perform("admin", remove_before_date="2100-01-01")
    assert [one.files for one in bench.catalogue()] == [1]
