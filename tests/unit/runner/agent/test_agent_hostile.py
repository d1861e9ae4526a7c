# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that nobody's backup made: nothing outside of the target may change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from agent_bench import Bench
from agent_containment import available
from agent_hostile import CHR, REG, attacks, plant
from agent_trees import state

from coldchain.agent.process.contain import NAMESPACE
from coldchain.core.errors import ColdchainError, JobFailed


@pytest.mark.parametrize("attack", sorted(attacks("/x")))
@pytest.mark.parametrize("paths", [[], ["link", "h", "stolen"]])
def test_nothing_outside_changes(bench: Bench, attack: str, paths: list[str]) -> None:
    victim = bench.root / "victim"
    victim.mkdir()
    (victim / "file").write_text("precious")
    plant(bench.container, *attacks(str(victim))[attack])
    before = state(os.fsencode(victim))
    try:
        bench.restore(restore_paths=paths)
    except ColdchainError:
        assert not bench.target.exists()
    assert state(os.fsencode(victim)) == before
    assert not [name for name in os.listdir(bench.root) if name.startswith(".coldchain")]


@pytest.mark.parametrize(
    "attack",
    ["rename by dots", "temporary folder in a link", "renamed to a name that hides a part"],
)
def test_renames_that_lead_outside_are_refused_also_where_the_kernel_holds(
    bench: Bench, attack: str
) -> None:
    """Names of files can look like renames and are let through there; renames are not."""
    plant(bench.container, *attacks(str(bench.root / "victim"))[attack])
    with pytest.raises(JobFailed, match=r"outside of the restored|cannot be told"):
        bench.restore()
    assert not bench.target.exists()


@pytest.mark.parametrize("attack", sorted(attacks("/x")))
def test_a_dry_run_foresees_the_refusal(bench: Bench, attack: str) -> None:
    plant(bench.container, *attacks(str(bench.root / "victim"))[attack])
    outcomes = []
    for dry in (True, False):
        try:
            bench.restore(dry_run=dry)
            outcomes.append("")
        except ColdchainError as error:
            outcomes.append(error.message)
    assert outcomes[0] == outcomes[1] or "refused" not in outcomes[1]


def test_a_folder_that_replaces_a_link_is_no_attack(bench: Bench) -> None:
    outside = bench.root / "outside"
    outside.mkdir()
    (outside / "file").write_text("precious")
    (bench.source / "place").symlink_to(outside)
    bench.level()
    (bench.source / "place").unlink()
    (bench.source / "place").mkdir()
    (bench.source / "place" / "new").write_text("x")
    bench.level()
    bench.restore()
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))
    assert os.listdir(outside) == ["file"]


def test_names_that_look_like_tar_output_do_not_stop_a_restore(bench: Bench) -> None:
    for name in ("x\nR ..", "y\nT abc", 'z" -> "w', "d\n-rw-r--r-- a 1 2026-01-01 00:00 "):
        (bench.source / name).write_text("x")
    bench.level()
    (bench.source / "more").write_text("x")
    bench.level()
    bench.restore()
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))


@pytest.mark.parametrize(
    "name",
    [
        "a\nR b",
        "a\nX link",
        "a\nR link\nT b",
        'a\n-rwxrwxrwx x 1 y "..\\057etc"',
        'a\nlrwxrwxrwx x 0 y "more"',
        'a\ndrwxrwxrwx x 0 y "link"',
        'a\n-rwxrwxrwx x 1 y "link\\057x"',
    ],
)
def test_a_name_that_looks_like_tar_output_beside_links_stops_no_restore(
    bench: Bench, name: str
) -> None:
    if name[2] in "RX" and NAMESPACE not in available():
        pytest.skip("a rename is only taken for a name where a namespace holds tar")
    # Whoever may write into the source could otherwise keep all of it from coming back.
    (bench.source / name).write_text("x")
    (bench.source / "link").symlink_to("nowhere")
    (bench.source / "new\nline").symlink_to("nowhere")
    (bench.source / "more").mkdir()
    bench.level()
    (bench.source / "more" / "file").write_text("x")
    bench.level()
    report = bench.restore()
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))
    assert report.warnings == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make device nodes")
@pytest.mark.parametrize(("name", "word"), [("null", "null"), ("a $(id)", "'a $(id)'")])
def test_device_nodes_are_described_and_not_made(bench: Bench, name: str, word: str) -> None:
    """By a command that root may copy: the name is whoever's the archive is."""
    plant(bench.container, [(f"./{name}", CHR, ""), ("./file", REG, "x")])
    report = bench.restore()
    assert os.listdir(bench.target) == ["file"]
    assert f"device node not restored: mknod {word} c 1 3" in report.warnings


@pytest.mark.parametrize("name", ["x/..", "a/../b", "/x/", "a//b", "a/123", "a/."])
def test_backup_names_cannot_leave_the_container(bench: Bench, name: str) -> None:
    with pytest.raises(ColdchainError, match="cannot name a directory"):
        bench.backup(backup_name=name)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"compression": "rot13"}', '{"encryption": true, "encrypt_scheme": 1}']
)
def test_damaged_markers_are_named(bench: Bench, text: str) -> None:
    plant(bench.container, [("./file", REG, "x")])
    marker: Path = next(bench.container.glob("metadata/tar/host_docs/*/*/metadata"))
    marker.write_text(text)
    with pytest.raises(ColdchainError, match="metadata/tar/host_docs"):
        bench.restore()
    assert not bench.catalogue()[0].restorable
