# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Freezer's level rules, against a model written from its documentation alone."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import BinaryIO

import pytest
from agent_bench import Bench
from agent_chains import set_ahead
from hypothesis import given
from hypothesis import strategies as st

from coldchain.agent.engines.tar.backup.levels import DAY, next_level, previous_backup
from coldchain.agent.engines.tar.stored.layout import Chain, Level, chain_of, chain_times
from coldchain.agent.options import LevelRules
from coldchain.agent.storages.local import LocalStorage

RULES = st.builds(
    LevelRules,
    incremental=st.sampled_from([True, True, True, False]),
    max_level=st.integers(0, 3),
    always_level=st.integers(0, 3),
    restart_always_level=st.sampled_from([0, 0, 0.5, 1, 7]),
)


@dataclass
class Model:
    """A container as lists: chains of (number, time, base), the newest last."""

    chains: list[list[tuple[int, int, int | None]]] = field(default_factory=list)

    def expect(self, rules: LevelRules, now: int) -> tuple[int, int | None]:
        """(number, time of the level it is based on) by the seven rules, one by one."""
        if not rules.incremental:
            return 0, None
        if not self.chains:
            return 0, None
        chain = self.chains[-1]
        highest = max(number for number, _, _ in chain)
        newest = {number: time for number, time, _ in chain}
        if rules.max_level and rules.max_level <= highest:
            return 0, None
        if rules.always_level and rules.always_level < highest:
            return 0, None
        if rules.restart_always_level:
            begun = min(time for _, time, _ in chain)
            if now > begun + rules.restart_always_level * DAY:
                return 0, None
        if rules.always_level and rules.always_level == highest:
            return highest, newest[highest - 1]
        return highest + 1, newest[highest]


def _chains(model: Model) -> list[Chain]:
    found = []
    for chain in model.chains:
        zero = chain[0][1]
        # Listings come in any order and with foreign names.
        names = [f"{number}_{time}" for number, time, _ in reversed(chain)] + ["lost+found"]
        one = chain_of(zero, names)
        assert one is not None
        found.append(one)
    return found


@given(st.lists(st.tuples(RULES, st.integers(-2 * DAY, 4 * DAY)), min_size=1, max_size=25))
def test_levels_follow_the_model(steps: list[tuple[LevelRules, int]]) -> None:
    model, now, latest = Model(), 1_700_000_000, 0
    for rules, passed in steps:
        now += passed
        chains = _chains(model)
        previous = previous_backup(chains, rules, now)
        level = next_level(chains, previous, now)
        number, base = model.expect(rules, now)
        assert level.number == number
        assert (previous.time if previous else None) == base
        # A clock that was set back never makes a backup look older than the last one.
        assert level.time > latest
        latest = level.time
        if number == 0:
            assert level.zero == level.time
            model.chains.append([])
        model.chains[-1].append((number, level.time, base))


@given(st.lists(st.tuples(RULES, st.integers(1, 4 * DAY)), min_size=1, max_size=25))
def test_a_lineage_is_what_each_level_was_based_on(steps: list[tuple[LevelRules, int]]) -> None:
    chains: list[Chain] = []
    bases: dict[Level, Level | None] = {}
    now = 1_700_000_000
    for rules, passed in steps:
        now += passed
        previous = previous_backup(chains, rules, now)
        level = next_level(chains, previous, now)
        bases[level] = previous
        kept = [chain for chain in chains if chain.zero != level.zero]
        old = next((chain.levels for chain in chains if chain.zero == level.zero), ())
        chains = [*kept, Chain(level.zero, tuple(sorted([*old, level])))]
    for chain in chains:
        for point in chain.levels:
            # What is taken for the parent of a level that does not name it.
            guess = chain.of_number(point.number - 1, point.time) if point.number else None
            assert guess == bases[point]


@pytest.mark.parametrize(
    ("rules", "numbers", "later", "expected"),
    [
        ({"restart_always_level": 7}, [0, 1], 7 * DAY, 2),
        ({"restart_always_level": 7}, [0, 1], 7 * DAY + 1, 0),
        ({"restart_always_level": 0.5}, [0], DAY // 2, 1),
        ({"restart_always_level": 0.5}, [0], DAY // 2 + 1, 0),
        ({"restart_always_level": 0}, [0], 10**6 * DAY, 1),
        ({"always_level": 1}, [0], 1, 1),
        ({"always_level": 1}, [0, 1, 1], 1, 1),
        ({"always_level": 1}, [0, 1, 2], 1, 0),
        ({"always_level": 0}, [0, 1, 2], 1, 3),
        ({"always_level": 2, "restart_always_level": 1}, [0, 1, 2], DAY, 2),
        ({"always_level": 2, "restart_always_level": 1}, [0, 1, 2], DAY + 1, 0),
        ({"max_level": 2}, [0, 1], 1, 2),
        ({"max_level": 2}, [0, 1, 2], 1, 0),
        ({"max_level": 0}, [0, 1, 2], 1, 3),
        ({}, [0], 10**6 * DAY, 1),
        ({"max_level": 1, "always_level": 1}, [0, 1], 1, 0),
    ],
)
def test_rules_at_their_borders(
    rules: dict[str, float], numbers: list[int], later: int, expected: int
) -> None:
    zero = 1_700_000_000
    names = [f"{number}_{zero + place}" for place, number in enumerate(numbers)]
    chain = chain_of(zero, names)
    assert chain is not None
    chosen = LevelRules(incremental=True, **rules)
    previous = previous_backup([chain], chosen, zero + later)
    assert next_level([chain], previous, zero + later).number == expected


def test_foreign_names_in_the_tree_are_ignored() -> None:
    assert chain_times(["12", ".lock", "x", "7", "1_2", ""]) == [7, 12]
    assert chain_of(7, [".x", "0_7", "1_", "a_b", "1_9"]) == Chain(
        7, (Level(7, 0, 7), Level(7, 1, 9))
    )
    assert chain_of(7, ["junk"]) is None


def test_the_report_tells_the_true_level(bench: Bench) -> None:
    numbers = [bench.backup(max_level=2).fields["curr_backup_level"] for _ in range(5)]
    assert numbers == [0, 1, 2, 0, 1]


def test_always_level_repeats_the_level_and_the_newest_entry_counts(bench: Bench) -> None:
    for number in range(5):
        (bench.source / f"f{number}").write_text("x")
        bench.backup(always_level=2)
    assert [one.level for one in bench.catalogue()] == [0, 1, 2, 2, 2]
    bench.restore()
    assert len(os.listdir(bench.target)) == 5


def test_a_clock_set_right_loses_nothing_and_begins_no_chain(bench: Bench) -> None:
    """It was ahead at level 0: tar takes all that is changed until then for old."""
    (bench.source / "stays").write_text("s")
    first = bench.level().fields
    set_ahead(bench, 3600)
    (bench.source / "changed").write_text("x")
    report = bench.level()
    assert report.fields["level"] == 1
    assert report.fields["files"] == 1
    assert report.fields["time_stamp"] > first["time_stamp"]
    assert "1 entry older than the last level" in report.warnings[0]
    assert "./changed" in report.warnings[0]
    bench.restore()
    assert sorted(os.listdir(bench.target)) == ["changed", "stays"]


def test_two_runs_in_one_second_are_two_levels(bench: Bench) -> None:
    stamps = [bench.backup().fields["time_stamp"] for _ in range(3)]
    assert len(set(stamps)) == 3


def test_another_source_or_key_begins_a_new_chain_and_says_so(bench: Bench) -> None:
    bench.level()
    other = bench.root / "other"
    other.mkdir()
    report = bench.level(path_to_backup=str(other))
    assert report.fields["level"] == 0
    assert "path_to_backup" in report.warnings[0]
    report = bench.level(path_to_backup=str(other), encrypt_pass_file=str(bench.pass_file))
    assert report.fields["level"] == 0
    for scheme in ("freezer", "strong"):
        secret = {"encrypt_pass_file": str(bench.pass_file), "encrypt_scheme": scheme}
        bench.level(backup_name=scheme, **secret)
        assert bench.level(backup_name=scheme, **secret).fields["level"] == 1
        # Without a scheme a password means strong.
        report = bench.level(backup_name=scheme, encrypt_pass_file=str(bench.pass_file))
        kept = report.fields["level"], report.fields["encrypt_scheme"]
        assert kept == ((2, "strong") if scheme == "strong" else (0, "strong"))
        assert bool(report.warnings) == (scheme == "freezer")
        if scheme == "freezer":
            assert "the chain's encrypt_scheme is freezer" in report.warnings[0]
            bench.level(backup_name=scheme, **secret)
        bench.pass_file.write_text("another\n")
        report = bench.level(backup_name=scheme, **secret)
        assert report.fields["level"] == 0
        assert "password" in report.warnings[0]
        bench.pass_file.write_text("correct horse\n")


def test_a_long_chain_is_looked_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(8):
        (bench.source / f"{number}").touch()
        bench.level()
    opened = []
    genuine = LocalStorage.open

    def counting(self: LocalStorage, path: str) -> BinaryIO:
        opened.append(path)
        return genuine(self, path)

    monkeypatch.setattr(LocalStorage, "open", counting)
    assert len(bench.catalogue()) == 8
    # Marker and manifest of each level: once to judge it, once to describe it; and for the name.
    assert len(opened) <= 8 * 4 + 2


@pytest.mark.parametrize("scheme", [None, "freezer"])
def test_levels_without_our_files_are_continued(bench: Bench, scheme: str | None) -> None:
    """As freezer-agent leaves them: the archive's listing stands for the list."""
    secret = {"encrypt_pass_file": str(bench.pass_file), "encrypt_scheme": scheme} if scheme else {}
    for name in ("stays", "changes", "goes"):
        (bench.source / name).write_text(name)
    os.link(bench.source / "stays", bench.source / "also")
    (bench.source / "link").symlink_to("stays")
    bench.level(**secret, exclude="left out")
    for name in ("manifest.json", "entries.gz", "tree.gz"):
        next(bench.container.glob(f"data/tar/*/*/*/{name}")).unlink()
    status = (bench.source / "changes").stat()
    (bench.source / "goes").unlink()
    report = bench.level(**secret)
    assert (report.fields["level"], report.fields["files"], report.warnings) == (1, 0, ())
    for name in ("manifest.json", "entries.gz", "tree.gz"):
        next(bench.container.glob(f"data/tar/*/*/1_*/{name}")).unlink()
    (bench.source / "changes").write_text("CHANGES and is longer")
    os.utime(bench.source / "changes", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert bench.level(**secret).fields["level"] == 2
    bench.restore(**secret)
    assert sorted(os.listdir(bench.target)) == ["also", "changes", "link", "stays"]
    assert (bench.target / "changes").read_text() == "CHANGES and is longer"


def test_a_byte_order_mark_in_the_password_is_told(bench: Bench) -> None:
    bench.pass_file.write_bytes(b"\xef\xbb\xbfcorrect horse\n")
    report = bench.backup(encrypt_pass_file=str(bench.pass_file))
    assert "byte order mark" in report.warnings[0]
    bench.restore(encrypt_pass_file=str(bench.pass_file))


def test_a_list_that_cannot_be_read_begins_a_new_chain(bench: Bench) -> None:
    (bench.source / "f").write_text("x")
    bench.level()
    path = next(bench.container.glob("data/tar/*/*/*/tree.gz"))
    forged = gzip.compress(b"not a list at all")
    path.write_bytes(forged)
    manifest = path.with_name("manifest.json")
    fields = json.loads(manifest.read_text())
    fields["parts"]["tree.gz"] = {
        "sha256": hashlib.sha256(forged).hexdigest(),
        "size": len(forged),
    }
    manifest.write_text(json.dumps(fields))
    report = bench.level()
    assert report.fields["level"] == 0
    assert "tree.gz: ends in the middle" in report.warnings[0]
