# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a dry run shows can be selected and comes back, hard links included."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from agent_bench import Bench, make_bench
from agent_trees import Change, apply, changes_among_few, state
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain.core.errors import JobFailed

CHANGES = changes_among_few(*["link"] * 6, "write", "write")
HISTORIES = st.lists(st.lists(CHANGES, min_size=4, max_size=14), min_size=1, max_size=3)


def _as_foreign(bench: Bench) -> None:
    """Take away what a level of freezer-agent's does not have."""
    for name in ("manifest.json", "entries.gz", "engine_metadata"):
        for path in bench.container.glob(f"data/tar/*/*/*/{name}"):
            path.write_bytes(b"") if name == "engine_metadata" else path.unlink()


@pytest.mark.long
@settings(max_examples=examples(25, 400))
@given(HISTORIES, st.integers(min_value=0, max_value=1 << 32), st.booleans())
def test_what_a_dry_run_shows_can_be_restored(
    histories: list[list[Change]], seed: int, foreign: bool
) -> None:
    choice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        bench = make_bench(Path(folder))
        for changes in histories:
            apply(os.fsencode(bench.source), changes)
            bench.level()
        if foreign:
            _as_foreign(bench)
        names = bench.restore(dry_run=True).fields["names"]
        assert isinstance(names, list)
        if not names:
            return
        for _ in range(3):
            chosen = choice.sample(names, min(len(names), choice.choice([1, 1, 2, 5])))
            if choice.random() < 0.3:
                chosen.append(os.path.dirname(choice.choice(names)) or choice.choice(names))
            shown = bench.restore(dry_run=True, restore_paths=chosen).fields["names"]
            bench.restore(restore_paths=chosen)
            brought = {
                os.path.relpath(os.path.join(where, name), bench.target)
                for where, folders, files in os.walk(bench.target)
                for name in [*files, *(n for n in folders if os.path.islink(f"{where}/{n}"))]
            }
            assert brought == set(shown)
            whole, part = state(os.fsencode(bench.source)), state(os.fsencode(bench.target))
            for name in map(os.fsencode, brought):
                # But for its other names, which are not all there.
                assert part[name][:6] == whole[name][:6]
            shutil.rmtree(bench.target)


def test_names_of_one_file_stay_one_file(bench: Bench) -> None:
    (bench.source / "a").write_text("x")
    for name in ("b", "c"):
        os.link(bench.source / "a", bench.source / name)
    bench.level()
    bench.restore(restore_paths=["c", "b"])
    assert sorted(os.listdir(bench.target)) == ["b", "c"]
    assert os.path.samefile(bench.target / "b", bench.target / "c")


@pytest.mark.parametrize("path", ["d", "d/a", "e/x/y"])
def test_a_directory_whose_name_was_that_of_a_hard_link(bench: Bench, path: str) -> None:
    """tar makes the link of the earlier level first, and cannot without its target."""
    (bench.source / "b").write_text("b")
    (bench.source / "c").write_text("c")
    for name in ("d", "e"):
        os.link(bench.source / "b", bench.source / name)
    bench.level()
    for name in ("d", "e"):
        (bench.source / name).unlink()
        os.link(bench.source / "c", bench.source / name)
    bench.level()
    for name in ("d/a", "e/x/y"):
        (bench.source / name[0]).unlink()
        (bench.source / name).parent.mkdir(parents=True)
        (bench.source / name).write_text(name)
    bench.level()
    bench.restore(restore_paths=[path])
    assert [one.name for one in bench.target.iterdir()] == [path[0]]
    name = "d/a" if path == "d" else path
    assert (bench.target / name).read_text() == name


def test_a_dry_run_counts_the_content_of_links_once(bench: Bench) -> None:
    (bench.source / "a").write_text("x" * 1000)
    for name in ("b", "c"):
        os.link(bench.source / "a", bench.source / name)
    bench.level()
    for paths in (["a"], ["b"], ["b", "c"], ["a", "c"], []):
        assert bench.restore(dry_run=True, restore_paths=paths).fields["bytes"] == 1000
    (bench.source / "a").unlink()
    (bench.source / "a").write_text("y")
    bench.level()
    assert bench.restore(dry_run=True, restore_paths=["b", "a"]).fields["bytes"] == 1001


def test_more_links_than_fit_on_a_command_line(bench: Bench) -> None:
    (bench.source / "first").mkdir()
    (bench.source / "second").mkdir()
    for number in range(400):
        name = f"{number}{'x' * 200}"
        (bench.source / "first" / name).write_text(str(number))
        os.link(bench.source / "first" / name, bench.source / "second" / name)
    bench.backup()
    bench.restore(restore_paths=["second"])
    assert os.listdir(bench.target) == ["second"]
    assert len(os.listdir(bench.target / "second")) == 400


@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize("path", ["nothing", "sub/nothing", "file/below", "link/inner", "link/sub"])
def test_a_path_that_is_not_there_is_an_error_in_both(
    bench: Bench, path: str, foreign: bool
) -> None:
    (bench.source / "sub" / "empty").mkdir(parents=True)
    (bench.source / "sub" / "inner").write_text("x")
    (bench.source / "file").write_text("x")
    (bench.source / "link").symlink_to("sub")
    bench.backup()
    if foreign:
        _as_foreign(bench)
    for dry_run in (True, False):
        with pytest.raises(JobFailed, match=f"restore_paths: {path} is not in the backup"):
            bench.restore(restore_paths=[path], dry_run=dry_run)
        assert not bench.target.exists()
    for there in ("sub/empty", "sub", "link"):
        bench.restore(restore_paths=[there], dry_run=True)
        bench.restore(restore_paths=[there])
        shutil.rmtree(bench.target)
