# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One container, two programs: what either writes, the other continues and restores."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
import waiting
from agent_points import catalogue, verify
from interop_pair import Pair, grow, tree

from coldchain.core.instants import from_epoch, iso

#: Who begins -> compression of each chain, and whether it is encrypted: each of these with each.
TURNS = {
    "ours": (("gzip", False), ("bzip2", True), ("xz", False)),
    "freezer": (("gzip", True), ("bzip2", False), ("xz", True)),
}


def _next_second(pair: Pair) -> None:
    """Wait until the newest level's second is over: freezer-agent does not look whether it is."""
    newest = max(one.time_stamp for one in catalogue(pair.container))
    time.sleep(max(newest + 1.05 - time.time(), 0))


def _both_restore(pair: Pair, **secret: object) -> None:
    expected = tree(pair.source)
    pair.ours("restore", **secret)
    assert tree(pair.target) == expected
    # It knows one scheme, and no field that names it.
    pair.freezer("restore", **{k: v for k, v in secret.items() if k != "encrypt_scheme"})
    assert tree(pair.target) == expected


def _secret(pair: Pair, encrypted: bool) -> dict[str, object]:
    if not encrypted:
        return {}
    path = pair.root / "password"
    path.write_text("first line\nsecond line\n")
    path.chmod(0o600)
    return {"encrypt_pass_file": str(path)}


@pytest.mark.parametrize("first", TURNS)
def test_chains_written_in_turns(pair: Pair, first: str) -> None:
    turns = ["ours", "freezer"] if first == "ours" else ["freezer", "ours"]
    for step in range(4):
        grow(pair, step)
        for compression, encrypted in TURNS[first]:
            fields = {"incremental": True, "compression": compression, **_secret(pair, encrypted)}
            if turns[step % 2] == "ours":
                scheme = {"encrypt_scheme": "freezer"} if encrypted else {}
                report = pair.ours("backup", backup_name=compression, **fields, **scheme)
                assert report.fields["level"] == step, report.warnings
            else:
                pair.freezer("backup", backup_name=compression, **fields)
        _next_second(pair)
    for compression, encrypted in TURNS[first]:
        found = catalogue(pair.container, backup_name=compression)
        assert [one.level for one in found] == [0, 1, 2, 3]
        secret = _secret(pair, encrypted)
        scheme = {"encrypt_scheme": "freezer"} if encrypted else {}
        assert verify(
            pair.container,
            backup_name=compression,
            mode="full",
            pass_file=Path(str(secret["encrypt_pass_file"])) if encrypted else None,
            scheme="freezer" if encrypted else None,
        ).sound
        _both_restore(pair, backup_name=compression, **secret, **scheme)


# freezer-agent counts from the newest level, we count from level 0 (docs/reference): alike are "not
# yet" and "every time".
RULES: tuple[tuple[dict[str, float], list[int]], ...] = (
    ({"max_level": 2}, [0, 1, 2, 0]),
    ({"always_level": 1}, [0, 1, 1, 1]),
    ({"always_level": 2}, [0, 1, 2, 2]),
    ({"max_level": 2, "always_level": 1}, [0, 1, 1, 1]),
    ({"restart_always_level": 1}, [0, 1, 2, 3]),
    ({"restart_always_level": 0.000001}, [0, 0, 0, 0]),
)


@pytest.mark.parametrize("writers", ["fofo", "ofof"])
def test_level_rules_are_the_same(pair: Pair, writers: str) -> None:
    """Either program decides at each step, and is followed by the other one."""
    for step, writer in enumerate(writers):
        grow(pair, step)
        write = pair.ours if writer == "o" else pair.freezer
        for number, (rules, _levels) in enumerate(RULES):
            write("backup", incremental=True, backup_name=f"rules{number}", **rules)
        _next_second(pair)
    for number, (rules, levels) in enumerate(RULES):
        name = f"rules{number}"
        found = catalogue(pair.container, backup_name=name)
        assert [one.level for one in sorted(found, key=lambda one: one.time_stamp)] == levels, rules
        if "always_level" not in rules:
            _both_restore(pair, backup_name=name)
        else:
            # Of several entries of one level freezer-agent takes whichever the directory lists
            # last.
            pair.ours("restore", backup_name=name)
            assert tree(pair.target) == tree(pair.source)


def test_not_incremental_begins_a_chain_each_time(pair: Pair) -> None:
    grow(pair, 0)
    pair.ours("backup")
    _next_second(pair)
    pair.freezer("backup")
    assert [one.level for one in catalogue(pair.container)] == [0, 0]
    _both_restore(pair)


def test_both_go_back_to_a_date(pair: Pair) -> None:
    states = []
    for step in range(4):
        grow(pair, step)
        states.append(tree(pair.source))
        writer = pair.ours if step % 2 else pair.freezer
        writer("backup", incremental=True)
        _next_second(pair)
    # One that either has written: the first is where all begin, the last where they end anyway.
    for one, expected in list(zip(catalogue(pair.container), states))[1:3]:
        when = iso(from_epoch(one.time_stamp))
        pair.ours("restore", restore_from_date=when)
        assert tree(pair.target) == expected
        pair.freezer("restore", restore_from_date=when)
        assert tree(pair.target) == expected


@pytest.mark.parametrize("mode", ["soft", "hard", "all"])
def test_links_are_followed_alike(pair: Pair, mode: str) -> None:
    grow(pair, 0)
    # Followed, a link to a directory of the same tree makes an archive that GNU tar cannot
    # extract as freezer-agent asks it to, whoever wrote it.
    (pair.source / "symlink").unlink()
    (pair.root / "outside").write_text("outside")
    (pair.source / "to outside").symlink_to(pair.root / "outside")
    pair.ours("backup", backup_name="ours", dereference_symlink=mode)
    pair.freezer("backup", backup_name="freezer", dereference_symlink=mode)
    pair.ours("restore", backup_name="ours")
    mine = tree(pair.target)
    pair.ours("restore", backup_name="freezer")
    assert tree(pair.target) == mine
    pair.freezer("restore", backup_name="ours")
    assert tree(pair.target) == mine


def test_one_pattern_excludes_alike(pair: Pair) -> None:
    for name in ("a.log", "b.txt", "sub.log"):
        (pair.source / name).write_text("x")
    (pair.source / "d").mkdir()
    (pair.source / "d" / "c.log").write_text("x")
    pair.ours("backup", backup_name="ours", exclude="*.log")
    pair.freezer("backup", backup_name="freezer", exclude="*.log")
    pair.freezer("restore", backup_name="ours")
    mine = tree(pair.target)
    assert sorted(mine) == [b".", b"b.txt", b"d"]
    pair.ours("restore", backup_name="freezer")
    assert tree(pair.target) == mine


def test_a_single_file(pair: Pair) -> None:
    pair = replace(pair, forks=None)  # as freezer-scheduler starts it
    path = pair.source / "only"
    for step in range(4):
        path.write_text(f"version {step}" * (step + 1))
        writer = pair.ours if step % 2 else pair.freezer
        writer("backup", incremental=True, path_to_backup=str(path))
        _next_second(pair)
    for reader in (pair.ours, pair.freezer):
        reader("restore")
        assert (pair.target / "only").read_text() == "version 3" * 4


def test_either_removes_what_the_other_wrote(pair: Pair) -> None:
    grow(pair, 0)
    pair.ours("backup", backup_name="a")
    pair.freezer("backup", backup_name="b")
    _next_second(pair)
    pair.freezer("admin", backup_name="a", remove_older_than=0)
    pair.ours("admin", backup_name="b", remove_older_than=0, force=True)
    assert catalogue(pair.container) == []
    assert not list(pair.container.glob("data/tar/*/*"))


def test_another_hosts_backup(pair: Pair) -> None:
    grow(pair, 0)
    pair.ours("backup", hostname="there")
    pair.freezer("restore", hostname="there")
    assert tree(pair.target) == tree(pair.source)


def test_what_a_killed_run_left_does_not_disturb_freezer(pair: Pair) -> None:
    (pair.source / "large").write_bytes(os.urandom(30 << 20))
    child = pair.ours_in_a_process("backup", upload_limit="500K")

    def writing() -> bool:
        parts = pair.container.glob("data/.coldchain/*/*/data")
        return any(path.stat().st_size for path in parts)

    waiting.until(writing, told=child.poll)
    child.kill()
    waiting.ended(child)
    (pair.source / "large").unlink()
    grow(pair, 0)
    for step in range(2):
        pair.freezer("backup", incremental=True)
        _next_second(pair)
        assert len(catalogue(pair.container)) == step + 1
    pair.ours("backup", incremental=True)
    _both_restore(pair)


def test_strong_encryption_is_refused_by_freezer_without_harm(pair: Pair) -> None:
    # The one thing that freezer-agent cannot read; it neither restores nor continues it.
    secret = _secret(pair, True)
    grow(pair, 0)
    pair.ours("backup", incremental=True, **secret)
    _next_second(pair)
    code, _ = pair.try_freezer("restore", **secret)
    assert code != 0
    assert not pair.target.exists() or not os.listdir(pair.target)
    code, _ = pair.try_freezer("backup", incremental=True, **secret)
    assert code != 0
    assert len(catalogue(pair.container)) == 1
    pair.ours("restore", **secret)
    assert tree(pair.target) == tree(pair.source)
