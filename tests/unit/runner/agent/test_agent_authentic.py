# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever can write a container but has no password: what they put there is never restored."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_bench import Bench
from agent_hostile import REG, archive
from agent_points import catalogue, verify
from agent_trees import state

from coldchain.core.errors import ColdchainError, JobFailed

FORGED = archive([("./evil", REG, "x")])


def _levels(bench: Bench, tree: str = "data") -> list[Path]:
    return sorted(bench.container.glob(f"{tree}/tar/host_docs/*/*"))


def _sealed(bench: Bench, number: int = 3) -> dict[str, object]:
    secret: dict[str, object] = {"encrypt_pass_file": str(bench.pass_file)}
    for level in range(number):
        (bench.source / str(level)).write_text(f"{level}")
        bench.level(**secret)
    return secret


def _add(bench: Bench, level: str, marker: dict[str, object], data: bytes = FORGED) -> None:
    """A level by hand, without our manifest, as freezer-agent writes them."""
    zero = _levels(bench)[0].parent.name
    for tree, name, content in (
        ("data", "data", data),
        ("data", "engine_metadata", b""),
        ("metadata", "metadata", json.dumps({"engine_name": "tar", **marker}).encode()),
    ):
        folder = bench.container / tree / "tar" / "host_docs" / zero / level
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _forge_plain(bench: Bench) -> None:
    _add(bench, "3_2999999999", {"compression": "gzip", "encryption": False})


def _forge_freezer(bench: Bench) -> None:
    _add(bench, "3_2999999999", {"compression": "gzip", "encryption": True})


def _unmark(bench: Bench) -> None:
    """A sealed level said to be plain, with other data."""
    level, marker = _levels(bench)[-1], _levels(bench, "metadata")[-1]
    (level / "data").write_bytes(FORGED)
    (level / "manifest.json").unlink()
    (marker / "metadata").write_text(json.dumps({"compression": "gzip", "encryption": False}))


def _whole_chain(bench: Bench) -> None:
    """Every level replaced by a plain one."""
    for number, (level, marker) in enumerate(zip(_levels(bench), _levels(bench, "metadata"))):
        shutil.rmtree(level)
        shutil.rmtree(marker)
        name = level.name
        zero = level.parent.name
        for tree, part, content in (
            ("data", "data", FORGED),
            ("metadata", "metadata", b'{"compression": "gzip", "encryption": false}'),
        ):
            folder = bench.container / tree / "tar" / "host_docs" / zero / name
            folder.mkdir(parents=True)
            (folder / part).write_bytes(content)
        assert number == int(name[0])


def _swap(bench: Bench) -> None:
    """The parts of two sealed levels change places."""
    first, second = (level / "data" for level in _levels(bench)[1:3])
    first.rename(first.with_name("kept"))
    second.rename(first)
    first.with_name("kept").rename(second)


def _replay(bench: Bench) -> None:
    """An old sealed level once more, as a newer one."""
    for tree in ("data", "metadata"):
        old = _levels(bench, tree)[1]
        shutil.copytree(old, old.with_name("3_2999999999"))


def _replay_renamed(bench: Bench) -> None:
    """The same, with a manifest that says so."""
    _replay(bench)
    manifest = _levels(bench)[-1] / "manifest.json"
    fields = json.loads(manifest.read_text())
    fields.update(level=3, time=2999999999, parent=_levels(bench)[2].name)
    manifest.write_text(json.dumps(fields))


def _truncate(bench: Bench) -> None:
    data = _levels(bench)[-1] / "data"
    os.truncate(data, data.stat().st_size // 2)


def _other_manifest(bench: Bench) -> None:
    """A digest that fits other data."""
    import hashlib

    level = _levels(bench)[-1]
    (level / "data").write_bytes(FORGED)
    manifest = level / "manifest.json"
    text = manifest.read_text()
    fields = json.loads(text)
    fields["parts"]["data"] = {"sha256": hashlib.sha256(FORGED).hexdigest(), "size": len(FORGED)}
    manifest.write_text(json.dumps(fields))


def _redated(bench: Bench) -> None:
    """Said to be made long before, when somebody asks for the files of then."""
    manifest = _levels(bench)[-1] / "manifest.json"
    fields = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**fields, "created": 1e9}))


def _lowered(bench: Bench) -> None:
    """The seal's name without the seal."""
    marker = _levels(bench, "metadata")[-1] / "metadata"
    fields = json.loads(marker.read_text())
    for name in ("mac_salt", "mac_value", "iterations"):
        fields.pop(name)
    marker.write_text(json.dumps({**fields, "encrypt_scheme": "freezer"}))


ATTACKS = [
    _forge_plain, _forge_freezer, _unmark, _whole_chain, _swap, _replay, _replay_renamed, _truncate,
    _other_manifest, _redated, _lowered,
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_was_put_there_without_the_password_is_not_restored(
    bench: Bench, attack: Callable[[Bench], None]
) -> None:
    secret = _sealed(bench)
    attack(bench)
    for more in ({}, {"dry_run": True}, {"encrypt_scheme": "strong"}):
        if attack is _swap and "dry_run" in more:
            continue  # it reads the sealed lists, and no data
        with pytest.raises(ColdchainError):
            bench.restore(**secret, **more)
        assert not bench.target.exists()
    found = verify(bench.container, mode="full", pass_file=bench.pass_file)
    assert not found.sound
    assert found.lost
    # The next backup does not build on it, but for what only reading would show.
    report = bench.level(**secret)
    assert report.fields["level"] == 0 or attack in (_swap,)


@pytest.mark.parametrize("attack", [_forge_plain, _unmark, _lowered])
def test_a_mixed_chain_is_listed_as_altered(bench: Bench, attack: Callable[[Bench], None]) -> None:
    _sealed(bench)
    attack(bench)
    points = catalogue(bench.container)
    assert not points[-1].restorable
    assert re.search(r"altered|encrypt_scheme", points[-1].reason)


@pytest.mark.parametrize("scheme", [None, "freezer"])
def test_a_refusal_names_both_ways_out(bench: Bench, scheme: str | None) -> None:
    secret: dict[str, object] = {"encrypt_pass_file": str(bench.pass_file)}
    (bench.source / "file").write_text("x")
    bench.level(**({**secret, "encrypt_scheme": scheme} if scheme else {}))
    with pytest.raises(JobFailed, match="it has no seal") as caught:
        bench.restore(**secret)
    assert "encrypt_scheme: freezer" in caught.value.hint
    assert "accept_unsealed: true" in caught.value.hint
    assert not bench.target.exists()
    if scheme:
        assert bench.restore(**secret, encrypt_scheme=scheme).warnings == ()
        with pytest.raises(JobFailed, match="has encrypt_scheme freezer"):
            bench.restore(**secret, encrypt_scheme="strong", overwrite=True)
    report = bench.restore(**secret, accept_unsealed=True, overwrite=True)
    assert any("nobody can tell who wrote it" in line for line in report.warnings)
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))
    dry = bench.restore(**secret, accept_unsealed=True, overwrite=True, dry_run=True)
    assert any("nobody can tell who wrote it" in line for line in dry.warnings)


def test_unsealed_levels_are_accepted_in_so_many_words_only(bench: Bench) -> None:
    secret = _sealed(bench)
    _forge_plain(bench)
    report = bench.restore(**secret, accept_unsealed=True)
    assert (bench.target / "evil").exists()
    (told,) = [line for line in report.warnings if line.startswith("accept_unsealed")]
    assert "level 3 of host_docs" in told
    found = verify(bench.container, mode="full", pass_file=bench.pass_file, accept_unsealed=True)
    assert found.sound


def test_freezers_scheme_reads_no_other_level(bench: Bench) -> None:
    secret = _sealed(bench, 1)
    with pytest.raises(JobFailed, match="has encrypt_scheme strong, and encrypt_scheme freezer"):
        bench.restore(**secret, encrypt_scheme="freezer")
    bench.level(backup_name="plain")
    with pytest.raises(JobFailed, match="is not encrypted, and encrypt_scheme freezer"):
        bench.restore(**secret, encrypt_scheme="freezer", backup_name="plain")
    assert not bench.target.exists()


def test_what_is_not_as_it_was_asked_for_is_no_damage(bench: Bench) -> None:
    secret: dict[str, object] = {"encrypt_pass_file": str(bench.pass_file)}
    (bench.source / "file").write_text("x")
    bench.level(**secret, encrypt_scheme="freezer")
    bench.level(**secret)
    found = verify(bench.container, mode="full", pass_file=bench.pass_file)
    assert [(flaw.kind, flaw.level) for flaw in found.findings] == [("unsealed", 0)]
    assert "encrypt_scheme: freezer" in found.findings[0].message
    assert [point.restorable for point in catalogue(bench.container)] == [True, True]
    bench.restore(**secret)


def test_a_password_that_is_not_for_all_asks_nothing_of_plain_chains(bench: Bench) -> None:
    """A chain that has a sealed level is none of those: what is plain in it was put there."""
    secret: dict[str, object] = {"encrypt_pass_file": str(bench.pass_file)}
    (bench.source / "file").write_text("x")
    bench.level(**secret, backup_name="sealed")
    bench.level()

    def found(*, encrypted: bool) -> list[str]:
        outcome = verify(
            bench.container, mode="full", pass_file=bench.pass_file, encrypted=encrypted
        )
        assert outcome.read == outcome.checked and not outcome.notes
        return [flaw.kind for flaw in outcome.findings]

    assert found(encrypted=False) == []
    assert found(encrypted=True) == ["unsealed"]
    shutil.rmtree(bench.container)
    _sealed(bench)
    _forge_plain(bench)
    assert found(encrypted=False) == ["unsealed"]


@pytest.mark.parametrize("scheme", ["strong", "freezer"])
def test_an_action_has_one_password_although_its_file_changes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """It is changed in the middle of a long backup, and afterwards both passwords are there."""
    shim = bench.root / "bin" / "gzip"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\n{shutil.which("gzip")} "$@"\necho another > {bench.pass_file}\n')
    shim.chmod(0o755)
    first = bench.pass_file.read_bytes()
    fields: dict[str, object] = {
        "encrypt_pass_file": str(bench.pass_file),
        "encrypt_scheme": scheme,
    }
    (bench.source / "file").write_text("x")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
        bench.level(**fields)
    assert bench.pass_file.read_text() == "another\n"
    bench.pass_file.write_bytes(first)
    found = verify(bench.container, mode="full", pass_file=bench.pass_file, scheme=scheme)
    assert not found.findings
    bench.restore(**fields)
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))


def test_openssl_is_told_no_name_of_the_file_with_the_password(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = bench.root / "seen"
    shim = bench.root / "bin" / "openssl"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\necho "$@" >> {seen}\nexec {shutil.which("openssl")} "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    (bench.source / "file").write_text("x")
    gc.collect()  # what earlier tests have left open is let go of now, and not meanwhile
    held = set(os.listdir("/proc/self/fd"))
    secret = _sealed(bench, 2)
    bench.restore(**secret)
    gc.collect()
    said = seen.read_text()
    assert str(bench.pass_file) not in said
    assert bench.pass_file.read_text().strip() not in said
    assert set(os.listdir("/proc/self/fd")) == held
