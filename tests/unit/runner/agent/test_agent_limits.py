# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""upload_limit and download_limit, and what a restore removes."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import pytest
from agent_bench import Bench
from agent_chains import age
from hypothesis import given
from hypothesis import strategies as st

from coldchain.agent.storages.local import LocalStorage
from coldchain.agent.storages.throttle import SMALLEST, Bucket, Limited
from coldchain.core.errors import DataError
from coldchain.core.instants import from_epoch, iso
from coldchain.core.rates import parse_rate, rate_text

FOLDER, MARKER = "data/copies/1", "metadata/copies/docs/1/metadata"


class Clock:
    """A clock that only sleep and the test move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@given(
    rate=st.integers(1, 10**9),
    steps=st.lists(st.tuples(st.floats(0, 100), st.integers(1, 10**6)), min_size=1, max_size=20),
)
def test_no_stretch_of_time_sees_more_than_the_rate(
    rate: int, steps: list[tuple[float, int]]
) -> None:
    clock = Clock()
    bucket = Bucket(rate, clock, clock.sleep)
    passed = []  # (when asked, when let through, bytes)
    for idle, number in steps:
        clock.now += idle
        asked = clock.now
        bucket.take(number)
        passed.append((asked, clock.now, number))
    for first, last in itertools.combinations_with_replacement(range(len(passed)), 2):
        took = passed[last][1] - passed[first][0]
        assert sum(each[2] for each in passed[first : last + 1]) <= rate * took * 1.000001 + 1


def test_a_limited_storage_passes_every_byte_at_its_pace(tmp_path: Path) -> None:
    data = os.urandom(1_000_000)
    storage = Limited(LocalStorage(tmp_path), None, None)
    up, down = Clock(), Clock()
    storage._upload = Bucket(100_000, up, up.sleep)
    storage._download = Bucket(50_000, down, down.sleep)
    with storage.lock("docs"), storage.draft("docs", FOLDER, MARKER) as draft:
        with draft.write("data") as sink:
            sink(data)
        draft.commit(b"{}")
    assert up.now - 1000 == pytest.approx(10)
    with storage.open(f"{FOLDER}/data") as stream:
        chunks = list(iter(lambda: stream.read(1 << 20), b""))
    assert b"".join(chunks) == data
    assert max(map(len, chunks)) <= max(SMALLEST, 50_000 / 4)
    assert down.now - 1000 == pytest.approx(20)
    with storage.open(f"{FOLDER}/data") as stream:
        assert stream.read() == data
    assert storage.names("metadata/copies/docs") == ["1"]
    assert storage.size(f"{FOLDER}/data") == len(data)


def test_backup_and_restore_keep_to_their_limits(bench: Bench) -> None:
    (bench.source / "noise").write_bytes(os.urandom(120_000))
    begun = time.monotonic()
    bench.backup(compression="gzip", upload_limit="100K")
    written = time.monotonic()
    assert written - begun >= 120_000 / (100 * 1024)
    bench.restore(download_limit=200_000, upload_limit=-1)
    assert time.monotonic() - written >= 120_000 / 200_000
    assert (bench.target / "noise").read_bytes() == (bench.source / "noise").read_bytes()


@pytest.mark.parametrize("limit", ["fast", "-5", "10 KB", "0.5", "K", "1e6", True])
def test_what_is_no_rate_is_named(bench: Bench, limit: object) -> None:
    with pytest.raises(DataError, match="upload_limit"):
        bench.backup(upload_limit=limit)


@given(st.integers(1, 1 << 60))
def test_a_rate_is_written_as_it_is_read(rate: int) -> None:
    if len(str(rate)) <= 15:
        assert parse_rate(rate_text(rate)) == rate


def test_rates_are_freezer_s() -> None:
    # human2bytes of freezer 19.0.0 gives the same for these.
    assert [parse_rate(text) for text in ("10K", "120M", "10G", "1.5M", "7", "2k")] == [
        10240,
        125829120,
        10737418240,
        1572864,
        7,
        2048,
    ]


CHAINS = {0: [20.0], 1: [12.0], 2: [3.0]}


@pytest.mark.parametrize("force", [False, True])
def test_removal_after_a_restore_spares_the_chain_it_came_from(bench: Bench, force: bool) -> None:
    age(bench, CHAINS)
    when = iso(from_epoch(time.time() - 11 * 86400))
    options = {"restore_from_date": when, "remove_older_than": 2, "force": force}
    preview = bench.restore(dry_run=True, **options)
    assert len({one.chain for one in bench.catalogue()}) == 3
    report = bench.restore(**options)
    assert (bench.target / "f").read_text() == "[12.0]"
    assert report.fields["removed"] == preview.fields["removed"] != []
    assert [one.chain for one in bench.catalogue()] == [report.fields["chain"]]
    assert "removed 2 chains" in report.message


def test_a_failed_restore_removes_nothing(bench: Bench) -> None:
    age(bench, CHAINS)
    bench.target.mkdir()
    (bench.target / "mine").write_text("x")
    with pytest.raises(DataError, match=r"target|empty"):
        bench.restore(remove_older_than=2)
    assert len(bench.catalogue()) == 3


def test_a_removal_that_cannot_be_is_a_warning_beside_the_restored_files(bench: Bench) -> None:
    age(bench, CHAINS)
    with LocalStorage(bench.container).lock("host_docs"):
        report = bench.restore(remove_older_than=2)
    assert (bench.target / "f").read_text() == "[3.0]"
    assert report.fields["removed"] == []
    assert any("not removed" in warning for warning in report.warnings)
    assert len(bench.catalogue()) == 3
