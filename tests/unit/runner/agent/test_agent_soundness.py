# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""There is one answer to whether a point can be restored, and everybody acts on it."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from pathlib import Path
from typing import BinaryIO

import pytest
from agent_bench import Bench
from agent_points import verify
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coldchain.agent.engines.tar.stored import container
from coldchain.agent.engines.tar.stored.layout import Chain, Level, Series, chain_of
from coldchain.agent.engines.tar.stored.soundness import Soundness
from coldchain.agent.receipts import Receipt, Receipts
from coldchain.agent.storages.local import LocalStorage
from coldchain.agent.storages.location import Location
from coldchain.core.errors import JobFailed, Unavailable


def _levels(bench: Bench) -> list[Path]:
    return sorted(bench.container.glob("data/tar/host_docs/*/*"), key=lambda one: one.name[2:])


def _hurt(level: Path) -> None:
    data = bytearray((level / "data").read_bytes())
    data[len(data) // 2] ^= 255
    (level / "data").write_bytes(data)


def _verify(bench: Bench) -> None:
    verify(bench.container, mode="full", receipts=Receipts(bench.root / ".coldchain"))


def _change(bench: Bench, text: str) -> None:
    (bench.source / "file").write_text(text)


@pytest.fixture(autouse=True)
def _state(bench: Bench) -> None:
    (bench.root / ".coldchain").mkdir()


def test_retention_keeps_the_newest_chain_that_is_not_known_to_be_damaged(bench: Bench) -> None:
    for text in ("one", "two", "three"):
        _change(bench, text)
        bench.backup()
    for level in _levels(bench)[1:]:
        _hurt(level)
    _verify(bench)
    removed = bench.perform("admin", remove_before_date="2099-01-01").fields["removed"]
    # The damaged ones may go, the sound one stays.
    assert [level.exists() for level in _levels(bench)] == [True]
    assert len(removed) == 2
    bench.restore()
    assert (bench.target / "file").read_text() == "one"


def test_where_all_are_damaged_an_earlier_point_counts(bench: Bench) -> None:
    for chain in range(2):
        for text in ("a", "b"):
            _change(bench, f"{text}{chain}")
            bench.backup(incremental=text == "b")
    first, second, third, fourth = _levels(bench)
    for level in (first, fourth):
        _hurt(level)
    _verify(bench)
    bench.perform("admin", remove_before_date="2099-01-01")
    assert not first.exists() and not second.exists()
    assert third.exists()


def test_a_chain_known_to_be_damaged_is_not_continued(bench: Bench) -> None:
    _change(bench, "one")
    bench.level()
    _hurt(_levels(bench)[0])
    assert bench.level().fields["level"] == 1  # nobody knows yet
    _verify(bench)
    assert [one.restorable for one in bench.catalogue()] == [True, True]  # asked without receipts
    _change(bench, "two")
    report = bench.level()
    assert report.fields["level"] == 0
    assert any("a new chain is begun: found damaged at" in line for line in report.warnings)
    assert bench.level().fields["level"] == 1
    bench.restore()
    assert (bench.target / "file").read_text() == "two"


def test_a_level_names_its_parent_and_no_other_takes_its_place(bench: Bench) -> None:
    """0, 1a and 1b are there, 2c is made on 1b; without 1b there is no 2c."""
    _change(bench, "zero")
    bench.backup(always_level=1)
    for text in ("a", "b"):
        _change(bench, text)
        bench.backup(always_level=1)
    (bench.source / "later").write_text("c")
    bench.level()
    assert [one.level for one in bench.catalogue()] == [0, 1, 1, 2]
    lost = _levels(bench)[2]
    shutil.rmtree(lost)
    shutil.rmtree(bench.container / "metadata" / lost.relative_to(bench.container / "data"))
    assert [one.restorable for one in bench.catalogue()] == [True, True, False]
    assert lost.name in bench.catalogue()[-1].reason
    with pytest.raises(JobFailed, match=f"{lost.name}.* is missing"):
        bench.restore()
    flaws = verify(bench.container).findings
    assert [(flaw.kind, flaw.level) for flaw in flaws] == [("missing", 1)]
    assert bench.level().fields["level"] == 0


@pytest.mark.parametrize("scheme", [None, "freezer", "strong"])
def test_a_parent_that_was_replaced_is_noticed(bench: Bench, scheme: str | None) -> None:
    """The other one is as good as it, but another one."""
    secret = {"encrypt_pass_file": str(bench.pass_file), "encrypt_scheme": scheme} if scheme else {}
    _change(bench, "zero")
    bench.level(**secret)
    _change(bench, "one")
    bench.level(**secret)
    copy = bench.root / "copy"
    shutil.copytree(bench.container, copy)
    _change(bench, "two")
    bench.level(**secret)
    # The same level 1 again, by somebody with the password who has set the clock.
    level = _levels(bench)[1]
    manifest = level / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"files": 1', '"files": 2'))
    assert [one.restorable for one in bench.catalogue()] == [True, True, False]
    assert "is not the one" in bench.catalogue()[-1].reason
    with pytest.raises(JobFailed, match="is not the one"):
        bench.restore(**secret)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), min_size=1, max_size=8))
@settings(max_examples=200)
def test_a_lineage_runs_down_to_zero_or_says_why_not(steps: list[tuple[int, int]]) -> None:
    """Without manifests, over any folders: never in circles, never for long."""
    moments = itertools.accumulate(step for _, step in steps)
    levels = sorted({Level(1, number, now) for (number, _), now in zip(steps, moments)})
    chain = Chain(1, (*levels, Level(1, 999_999_999, 99)))
    soundness = Soundness(LocalStorage(Path("/nonexistent")), Series("h", "n"))
    for level in chain.levels:
        lineage = soundness.lineage(chain, level)
        assert lineage.levels[-1] == level
        numbers = [one.number for one in lineage.levels]
        assert numbers == list(range(numbers[0], level.number + 1))
        assert (numbers[0] == 0) == (lineage.problem == "")
        assert soundness.problem(chain, level)


class _Counted(Receipts):
    """No receipts, and how often each level was asked about."""

    def __init__(self) -> None:
        super().__init__(Path("/nonexistent"))
        self.asked: Counter[str] = Counter()

    def of(self, place: str, host_name: str, level: str) -> Receipt | None:
        self.asked[level] += 1
        return None


def test_a_long_chain_is_looked_at_level_by_level() -> None:
    receipts = _Counted()
    storage, series = LocalStorage(Path("/nonexistent")), Series("h", "n")
    soundness = Soundness(storage, series, receipts=receipts)
    chain = chain_of(1000, [f"{number}_{1000 + number}" for number in range(2000)])
    assert chain is not None
    for level in chain.levels:
        assert "metadata" in soundness.problem(chain, level)
        assert soundness.verified(chain, level) is None
    assert set(receipts.asked.values()) == {1} and len(receipts.asked) == 2000


#: Which of five levels are found damaged, and of which the data is missing.
STATES = st.fixed_dictionaries(
    {
        "damaged": st.sets(st.integers(0, 4), max_size=2),
        "missing": st.sets(st.integers(0, 4), max_size=2),
    }
)


@given(STATES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_point_has_the_first_trouble_of_those_that_it_was_made_on(
    bench: Bench, state: dict[str, set[int]]
) -> None:
    if not bench.container.exists():
        for number in range(5):
            _change(bench, str(number))
            bench.level()
    levels = _levels(bench)
    location = Location("local", str(bench.container))
    receipts = Receipts(bench.root)
    found = {
        str(Path(*level.parts[-2:])): Receipt(
            1, "full", "damaged" if n in state["damaged"] else "sound"
        )
        for n, level in enumerate(levels)
    }
    receipts.keep(location.key, {"host_docs": found})
    series = Series("host", "docs")
    storage = LocalStorage(bench.container)
    aside = {level / "data" for n, level in enumerate(levels) if n in state["missing"]}
    for data in aside:
        data.rename(data.with_name("aside"))
    try:
        soundness = Soundness(storage, series, location.key, receipts)
        (chain,) = container.chains(storage, series)
        for n in (4, 0, 2, 1, 3):
            missing = {m for m in state["missing"] if m <= n}
            damaged = {m for m in state["damaged"] if m <= n}
            problem = soundness.problem(chain, chain.levels[n])
            if missing:
                assert problem.startswith(f"data of level {min(missing)}")
            else:
                assert ("found damaged" in problem) == bool(damaged)
            receipt = soundness.verified(chain, chain.levels[n])
            assert receipt is not None and receipt.result == ("damaged" if damaged else "sound")
    finally:
        for data in aside:
            data.with_name("aside").rename(data)


def test_what_a_storage_does_not_give_is_a_finding_and_not_for_good(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one object of a remote that cannot be read just now."""
    for text in "abc":
        _change(bench, text)
        bench.level()
    genuine = LocalStorage.open
    bad = _levels(bench)[1].name

    def refusing(self: LocalStorage, path: str) -> BinaryIO:
        if bad in path and path.endswith(("/data", "/metadata")):
            raise Unavailable(f"{path}: timeout")
        return genuine(self, path)

    receipts = Receipts(bench.root / ".coldchain")
    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "open", refusing)
        outcome = verify(bench.container, mode="full", receipts=receipts)
    assert [(flaw.kind, flaw.level) for flaw in outcome.findings] == [("unreadable", 1)]
    (note,) = outcome.notes
    assert note.startswith("level 1 (") and note.endswith("could not be read, and was not checked")
    assert outcome.checked == 3
    assert bench.level().fields["level"] == 3
