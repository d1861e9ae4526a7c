# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Levels made by hand: what they tell, which points stand, and what a removal takes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain.agent.engines.tar import admin
from coldchain.agent.engines.tar.backup.levels import DAY, next_level
from coldchain.agent.engines.tar.stored import container
from coldchain.agent.engines.tar.stored.cipher import Part, Seal
from coldchain.agent.engines.tar.stored.foreign import MOST, Fields, read_small
from coldchain.agent.engines.tar.stored.layout import (
    LATEST,
    PARTS,
    Chain,
    Level,
    Series,
    chain_of,
    chain_times,
    newest_chain,
    parse_level,
)
from coldchain.agent.engines.tar.stored.manifest import (
    Manifest,
    Metadata,
    Parent,
    read_manifest,
    read_metadata,
)
from coldchain.agent.engines.tar.stored.soundness import Soundness
from coldchain.agent.options import Common, Removal
from coldchain.agent.storages.local import LocalStorage
from coldchain.agent.storages.location import Location
from coldchain.core.errors import DataError, JobFailed

SERIES = Series("host", "docs")
SUM = hashlib.sha256(b"x").hexdigest()
ZERO = 1_700_000_000


def manifest(level: Level, **fields: Any) -> Manifest:
    made = Manifest(
        hostname="host", backup_name="docs", level=level, parent=None, source="/srv",
        kind="directory", compression="gzip", scheme=None, created=float(level.time), members=3,
        files=2, bytes_read=7, parts={"data": Part(SUM, 1)}, warnings={},
    )  # fmt: skip
    return made._replace(**fields)


def put(root: Path, level: Level, **fields: Any) -> str:
    """A level in the container, one byte of data; the digest of its manifest."""
    if level.number and "parent" not in fields:
        fields["parent"] = Parent("0_0", None)
    raw = manifest(level, **fields).encode()
    data, marker = root / SERIES.data_of(level), root / SERIES.marker_of(level)
    data.mkdir(parents=True)
    marker.parent.mkdir(parents=True)
    (data / "data").write_bytes(b"x")
    (data / "manifest.json").write_bytes(raw)
    marker.write_bytes(Metadata("gzip", None).encode())
    return hashlib.sha256(raw).hexdigest()


def options(**fields: Any) -> Common:
    made = Common(
        location=Location.local("/c"), mode="fs", hostname="host",
        backup_name="docs", dry_run=False, max_priority=False, log_file=None, force=False,
        removal=Removal(),
    )  # fmt: skip
    return made._replace(**fields)


def zeros(root: Path) -> list[int]:
    return [chain.zero for chain in container.chains(LocalStorage(root), SERIES)]


# -- names ------------------------------------------------------------------------------------


@given(st.integers(0, LATEST), st.integers(0, 10**9 - 1), st.integers(0, LATEST))
def test_the_name_of_a_level_is_read_again(zero: int, number: int, time: int) -> None:
    level = Level(zero, number, time)
    assert parse_level(zero, level.name) == level and level.path == f"{zero}/{number}_{time}"
    assert SERIES.data_of(level) == f"data/tar/host_docs/{zero}/{number}_{time}"
    assert SERIES.marker_of(level) == f"metadata/tar/host_docs/{zero}/{number}_{time}/metadata"
    for name in (f"0{level.name}", f"{number}_{LATEST + 1}", f"{level.name}x", f"x{level.name}"):
        assert parse_level(zero, name) is None
    assert chain_times([str(zero), f"0{zero}", "x", str(LATEST + 1)]) == [zero]


@pytest.mark.parametrize(
    ("hostname", "backup_name", "safe"),
    [
        ("h", "b", True), ("h", "a/b", True), ("h", "a/7", False), ("h", "7", True),
        ("7", "7", True), ("7/h", "b", True), ("h", "../b", True), ("h", "a/../b", False),
        ("h", "a//b", False), ("h", "a/", False),
        ("h", "a/./b", False), ("h", "a\0", False), ("h/7", "b", True), ("h/7/", "b", False),
    ],
)  # fmt: skip
def test_a_series_names_a_directory_and_no_chain(
    hostname: str, backup_name: str, safe: bool
) -> None:
    assert Series.is_safe(hostname, backup_name) == safe
    if safe:
        assert Series(hostname, backup_name).host_name == f"{hostname}_{backup_name}"
    else:
        with pytest.raises(DataError):
            Series(hostname, backup_name)


LEVELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), min_size=1, unique=True)


@given(LEVELS, st.integers(-1, 21), st.integers(0, 4))
def test_a_chain_as_it_stood(entries: list[tuple[int, int]], instant: int, number: int) -> None:
    chain = chain_of(0, [f"{level}_{time}" for level, time in entries])
    assert chain is not None and [(e.number, e.time) for e in chain.levels] == sorted(entries)
    assert chain.newest_time == max(time for _, time in entries)
    assert chain.newest == chain.levels[-1]
    base = chain.of_number(number, instant)
    of_it = sorted(time for level, time in entries if level == number)
    wanted = ([*of_it[:1], *[time for time in of_it if time <= instant]])[-1:]
    assert ([] if base is None else [base.time]) == wanted
    assert chain_of(0, ["lost+found"]) is None


@given(st.sets(st.integers(0, 9), max_size=4))
def test_the_newest_chain_is_the_last_that_had_begun(begun: set[int]) -> None:
    newest = newest_chain(Chain(zero, (Level(zero, 0, zero),)) for zero in begun)
    assert (None if newest is None else newest.zero) == max(begun, default=None)


def test_a_new_level_is_later_than_all_and_no_later_than_a_date_can_be() -> None:
    chain = Chain(5, (Level(5, 0, 5), Level(5, 1, 9)))
    assert next_level([], None, 7) == Level(7, 0, 7)
    assert next_level([chain], None, 7) == Level(10, 0, 10)
    assert next_level([chain], chain.levels[0], 20) == Level(5, 1, 20)
    for last in (Chain(6, (Level(6, 0, LATEST),)), Chain(LATEST - 1, (Level(LATEST - 1, 0, 5),))):
        assert next_level([last], None, 7) == Level(7, 0, 7)
        assert next_level([last, chain], None, 6) == Level(10, 0, 10)
        assert newest_chain([last, chain]) == chain
        assert newest_chain([last]) == last
    assert next_level([Chain(7, (Level(7, 0, LATEST),))], None, 7) == Level(8, 0, 8)


# -- small files ------------------------------------------------------------------------------

COUNTS = st.integers(0, 2**40)


@settings(max_examples=40)
@given(
    number=st.integers(0, 3),
    parent=st.none() | st.just(SUM),
    kind=st.sampled_from(["directory", "file"]),
    scheme=st.sampled_from([None, "freezer", "strong"]),
    created=st.integers(0, 2 * 10**12).map(lambda number: number / 1000),
    counts=st.tuples(COUNTS, COUNTS, COUNTS),
    more=st.sets(st.sampled_from(PARTS[1:])),
    warnings=st.dictionaries(st.sampled_from(["changed", "vanished"]), COUNTS),
)
def test_a_manifest_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    number: int,
    parent: str | None,
    kind: str,
    scheme: str | None,
    created: float,
    counts: tuple[int, int, int],
    more: set[str],
    warnings: dict[str, int],
) -> None:
    root = tmp_path_factory.mktemp("container")
    level = Level(ZERO, number, ZERO + number)
    made = manifest(
        level,
        parent=Parent("0_1", parent) if number else None,
        kind=kind,
        scheme=scheme,
        created=created,
        members=counts[0],
        files=counts[1],
        bytes_read=counts[2],
        parts={name: Part(SUM, counts[0]) for name in ("data", *sorted(more))},
        warnings=warnings,
    )
    folder = root / SERIES.data_of(level)
    folder.mkdir(parents=True)
    assert read_manifest(LocalStorage(root), SERIES, level) == (None, None)
    raw = made.encode()
    (folder / "manifest.json").write_bytes(raw)
    told = read_manifest(LocalStorage(root), SERIES, level)
    assert told == (made, hashlib.sha256(raw).hexdigest())


@pytest.mark.parametrize(
    "made",
    [
        Metadata("gzip", None),
        Metadata("xz", "strong", Seal(1000, "00ff", "abcd")),
    ],
)
def test_a_commit_marker_is_read_as_it_was_written(tmp_path: Path, made: Metadata) -> None:
    level = Level(ZERO, 0, ZERO)
    path = tmp_path / SERIES.marker_of(level)
    path.parent.mkdir(parents=True)
    path.write_bytes(made.encode() + b"\nwhat freezer does not read")
    assert read_metadata(LocalStorage(tmp_path), SERIES, level) == made


_STRONG = {"encryption": True, "encrypt_scheme": "strong", "mac_salt": "00", "mac_value": "00"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", Metadata("gzip", None)),
        ('{"encryption": true}', Metadata("gzip", "freezer")),
        ('{"encryption": 1, "compression": "xz"}', Metadata("xz", None)),
        ('{"encryption": "yes", "encrypt_scheme": "strong"}', Metadata("gzip", None)),
        ('{"encryption": true, "encrypt_scheme": "strong"}', None),
        ('{"encryption": true, "encrypt_scheme": "rot13"}', None),
        # The library that derives the key refuses to do it no times.
        (json.dumps({**_STRONG, "iterations": 1}), Metadata("gzip", "strong", Seal(1, "00", "00"))),
        (json.dumps({**_STRONG, "iterations": 0}), None),
        ('{"compression": "zip"}', None),
        ('{"engine_name": "rsync"}', None),
        ("[]", None),
        ("", None),
    ],
)
def test_the_commit_markers_of_others(tmp_path: Path, text: str, told: Metadata | None) -> None:
    level = Level(ZERO, 0, ZERO)
    path = tmp_path / SERIES.marker_of(level)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    if told is None:
        with pytest.raises(DataError):
            read_metadata(LocalStorage(tmp_path), SERIES, level)
    else:
        assert read_metadata(LocalStorage(tmp_path), SERIES, level) == told


@pytest.mark.parametrize(
    ("asked", "good", "bad"),
    [
        ("count", [0, 1, 1 << 62], [-1, (1 << 62) + 1, True, 1.0, "1", None]),
        ("moment", [0, 0.5, LATEST], [-0.001, LATEST + 1, True, "1", None]),
        ("digest", ["00", "ab" * 64], ["", "0", "ab" * 65, "AB", "zz", 7, None]),
        ("text", ["", "x", "ü" * 100, "x" * 65536], ["a\0", "x" * 65537, 5, None, "\ud800"]),
        ("optional", ["", "x", None], ["a\0", 5]),
    ],
)
def test_each_field_is_of_its_type_or_an_error(asked: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert getattr(Fields({"x": value}, "path"), asked)("x") == value
    for value in bad:
        with pytest.raises(DataError, match="path: x is ") as caught:
            getattr(Fields({"x": value}, "path"), asked)("x")
        assert caught.value.hint == "the backup is damaged"
    fields = Fields({"x": {"y": 1}}, "path")
    assert fields.fields("x").count("y") == 1 and fields.names() == ["x"] and "y" not in fields
    with pytest.raises(DataError, match="not a JSON object"):
        fields.fields("y")


@pytest.mark.parametrize("extra", [0, 1])
def test_a_small_file_is_small(tmp_path: Path, extra: int) -> None:
    (tmp_path / "x").write_bytes(b"x" * (MOST + extra))
    if extra:
        with pytest.raises(DataError, match="larger than 1048576 bytes"):
            read_small(LocalStorage(tmp_path), "x")
    else:
        assert len(read_small(LocalStorage(tmp_path), "x")) == MOST


@pytest.mark.parametrize("format_", [1, 3, "2", None])
def test_a_manifest_of_another_version_is_not_guessed_at(tmp_path: Path, format_: object) -> None:
    put(tmp_path, Level(ZERO, 0, ZERO))
    path = tmp_path / SERIES.data_of(Level(ZERO, 0, ZERO)) / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "format": format_}))
    with pytest.raises(DataError, match="format"):
        read_manifest(LocalStorage(tmp_path), SERIES, Level(ZERO, 0, ZERO))


# -- points -----------------------------------------------------------------------------------


def lineage(root: Path) -> tuple[Soundness, Chain]:
    """Two levels on a level 0."""
    zero, first, second = (Level(ZERO, n, ZERO + n) for n in range(3))
    digest = put(root, zero)
    digest = put(root, first, parent=Parent(zero.name, digest))
    put(root, second, parent=Parent(first.name, digest))
    storage = LocalStorage(root)
    return Soundness(storage, SERIES), container.chains(storage, SERIES)[0]


def test_a_point_stands_on_all_that_it_names(tmp_path: Path) -> None:
    soundness, chain = lineage(tmp_path)
    assert soundness.lineage(chain, chain.newest).levels == chain.levels
    assert [soundness.problem(chain, level) for level in chain.levels] == ["", "", ""]
    assert [soundness.gap(chain, level) for level in chain.levels] == ["", "", ""]
    assert soundness.newest([chain]) == chain.newest
    assert soundness.newest([chain], ZERO + 1) == chain.levels[1]
    assert soundness.newest([chain], ZERO - 1) is None
    assert soundness.newest([chain], without=chain.levels[1]) == chain.levels[0]
    assert soundness.newest_moment(chain) == ZERO + 2
    assert soundness.as_of([chain], ZERO - 1) is None
    assert soundness.as_of([chain], None) == chain
    then = soundness.as_of([chain], ZERO + 1)
    assert then is not None and then.levels == chain.levels[:2]


@pytest.mark.parametrize(
    ("harm", "problems"),
    [
        ("gone", ["is missing"]),
        ("empty", ["has not its full size"]),
        ("longer", ["has not its full size"]),
        ("no data", ["is missing"]),
        ("another", ["is not the one that"]),
        ("manifest", ["not a JSON object"]),
    ],
)
def test_what_harms_a_level_harms_all_above_it(
    tmp_path: Path, harm: str, problems: list[str]
) -> None:
    _, chain = lineage(tmp_path)
    middle = chain.levels[1]
    data = tmp_path / SERIES.data_of(middle)
    if harm == "gone":
        chain = Chain(chain.zero, (chain.levels[0], chain.levels[2]))
    elif harm == "no data":
        (data / "data").unlink()
    elif harm == "another":
        path = data / "manifest.json"
        path.write_bytes(path.read_bytes() + b" ")
    elif harm == "manifest":
        (data / "manifest.json").write_text("[]")
    else:
        (data / "data").write_bytes(b"" if harm == "empty" else b"xx")
    soundness = Soundness(LocalStorage(tmp_path), SERIES)
    top = soundness.problem(chain, chain.newest)
    assert problems[0] in top, top
    assert soundness.problem(chain, chain.levels[0]) == ""
    assert soundness.newest([chain]) == (middle if harm == "another" else chain.levels[0])


def test_a_level_zero_of_nothing_is_no_point(tmp_path: Path) -> None:
    put(tmp_path, Level(ZERO, 0, ZERO), members=0)
    storage = LocalStorage(tmp_path)
    (chain,) = container.chains(storage, SERIES)
    assert "holds nothing" in Soundness(storage, SERIES).problem(chain, chain.newest)


@pytest.mark.parametrize(("off", "told"), [(0, 0), (2, 0), (-2, 0), (DAY, DAY), (-DAY, -DAY)])
def test_a_level_was_made_when_its_clock_said_so(tmp_path: Path, off: int, told: int) -> None:
    level = Level(ZERO, 0, ZERO)
    put(tmp_path, level, created=float(ZERO + off))
    storage = LocalStorage(tmp_path)
    soundness = Soundness(storage, SERIES)
    assert abs(soundness.moment(level) - ZERO - told) <= (0 if abs(off) != 2 else 2)
    chains = container.chains(storage, SERIES)
    assert soundness.ahead(chains, ZERO + told) == []
    assert soundness.ahead(chains, ZERO + told - DAY) == [level]


# -- removal ----------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    chains=st.lists(
        st.tuples(st.integers(1, 3), st.sampled_from(["good", "good", "newest", "all"])),
        min_size=1,
        max_size=4,
    ),
    cutoff=st.integers(0, 5),
    force=st.booleans(),
    in_use=st.none() | st.integers(0, 3),
)
def test_whole_old_chains_go_and_the_last_good_one_never(
    tmp_path_factory: pytest.TempPathFactory,
    chains: list[tuple[int, str]],
    cutoff: int,
    force: bool,
    in_use: int | None,
) -> None:
    """Chain n begins at day n; of a harmed one the newest level, or each, has no data."""
    root = tmp_path_factory.mktemp("container")
    for day, (count, harm) in enumerate(chains):
        zero, digest, name = ZERO + day * DAY, "", ""
        for number in range(count):
            level = Level(zero, number, zero + number * 60)
            parent = Parent(name, digest) if number else None
            digest, name = put(root, level, parent=parent), level.name
            if harm == "all" or (harm == "newest" and number == count - 1):
                (root / SERIES.data_of(level) / "data").unlink()
    storage, before = LocalStorage(root), ZERO + cutoff * DAY - DAY // 2
    shared = options(force=force, removal=Removal(before=before))
    kept_one = None if in_use is None else ZERO + in_use * DAY
    due = {day for day in range(len(chains)) if day < cutoff and day != in_use}
    if not force:
        states = ["good" if h == "good" else "part" if h == "newest" and c > 1 else "bad"
                  for c, h in chains]  # fmt: skip
        for state in ("good", "part"):
            days = [day for day, told in enumerate(states) if told in ("good", state)]
            if days:
                if set(days) <= due:
                    due.discard(max(days))
                break
    names = admin.would_remove(storage, shared, ZERO, None, kept_one)
    assert zeros(root) == [ZERO + day * DAY for day in range(len(chains))]
    assert admin.remove(storage, shared, ZERO, None, kept_one) == names
    assert zeros(root) == [ZERO + day * DAY for day in range(len(chains)) if day not in due]
    assert [int(name.split()[0]) for name in names] == [ZERO + day * DAY for day in sorted(due)]
    assert chain_times(storage.names(SERIES.data_folder)) == zeros(root), "their data, too"


@pytest.mark.parametrize("ahead", [False, True])
def test_what_is_dated_ahead_goes_only_where_that_is_asked_for(tmp_path: Path, ahead: bool) -> None:
    for day in (0, 1, 5):
        put(tmp_path, Level(ZERO + day * DAY, 0, ZERO + day * DAY))
    shared = options(removal=Removal(ahead=ahead))
    removed = admin.remove(LocalStorage(tmp_path), shared, float(ZERO + 2 * DAY))
    assert zeros(tmp_path) == [ZERO + day * DAY for day in ((0, 1) if ahead else (0, 1, 5))]
    assert [name.split()[0] for name in removed] == ([str(ZERO + 5 * DAY)] if ahead else [])


def test_a_removal_names_what_it_took_and_nothing_is_an_error(tmp_path: Path) -> None:
    first = Level(ZERO, 0, ZERO)
    digest = put(tmp_path, first)
    put(tmp_path, Level(ZERO, 1, ZERO + 60), parent=Parent(first.name, digest))
    put(tmp_path, Level(ZERO + DAY, 0, ZERO + DAY))
    shared = options(location=Location.local(tmp_path), removal=Removal(before=ZERO + 60))
    name = f"{ZERO} (2023-11-14T22:13:20+00:00 to 2023-11-14T22:14:20+00:00, 2 levels)"
    storage = LocalStorage(tmp_path)
    dry = admin.admin(shared._replace(dry_run=True), storage)
    assert dry.message == "dry run: would remove 1 chain"
    assert (dry.fields["removed"], dry.fields["dry_run"]) == ([name], True)
    told = admin.admin(shared, storage)
    assert told.message == "removed 1 chain of host_docs"
    assert (told.fields["removed"], told.fields["dry_run"]) == ([name], False)
    assert (told.fields["hostname"], told.fields["backup_name"]) == ("host", "docs")
    assert zeros(tmp_path) == [ZERO + DAY]
    with pytest.raises(JobFailed, match='no backup "host_other" in '):
        admin.admin(shared._replace(backup_name="other"), storage)


@pytest.mark.parametrize(("age", "goes"), [(0, True), (-60, False)])
@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("good", [False, True])
def test_levels_of_no_chain_go_as_old_ones_where_a_good_chain_stays(
    tmp_path: Path, age: int, goes: bool, force: bool, good: bool
) -> None:
    stray, other = Level(ZERO, 0, ZERO), Level(ZERO + DAY, 0, ZERO + DAY)
    put(tmp_path, stray)
    put(tmp_path, other)
    (tmp_path / SERIES.marker_of(stray)).unlink()
    (tmp_path / SERIES.metadata_of(stray)).rmdir()
    if not good:
        (tmp_path / SERIES.data_of(other) / "data").unlink()
    shared = options(force=force, removal=Removal(before=ZERO + age))
    admin.remove(LocalStorage(tmp_path), shared, ZERO)
    gone = goes and (good or force)
    assert (tmp_path / SERIES.data_of(stray)).exists() != gone


def test_a_cutoff_counts_days_back_from_now() -> None:
    assert Removal(older_than_days=1.5).cutoff(10 * DAY + 0.9) == int(8.5 * DAY)
    assert Removal(before=7).cutoff(10.0) == 7 and Removal(before=0).cutoff(10.0) == 0
    assert Removal().cutoff(10.0) == -1 and Removal(older_than_days=0).cutoff(10.9) == 10
