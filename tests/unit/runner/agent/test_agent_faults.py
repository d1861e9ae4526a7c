# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damage, interruption and refusal: the target is untouched, half a backup never appears."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_trees import state
from conftest import INSTALLED, Bench
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coldchain.agent.layout import Series
from coldchain.agent.local import LocalStorage
from coldchain.agent.verify import verify
from coldchain.errors import CannotWrite, ColdchainError, DataError, JobFailed, TryAgain

RUNNER = Path(__file__).parents[4] / "roles" / "runner" / "files"
# Root in a container may lack the right to mount.
MOUNTS = os.geteuid() == 0 and not subprocess.call(["unshare", "--mount", "true"])


def _fill(bench: Bench, **fields: object) -> None:
    for number in range(3):
        (bench.source / f"file{number}").write_bytes(os.urandom(5000))
        bench.level(**fields)


def _parts(bench: Bench, name: str = "data") -> list[Path]:
    return sorted(bench.container.glob(f"data/tar/host_docs/*/*/{name}"))


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


DAMAGES = [_truncate, _flip, _empty, os.unlink]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("scheme", [None, "freezer", "strong"])
def test_damaged_data_is_found_and_restores_nothing(
    bench: Bench, damage: Callable[[Path], None], level: int, scheme: str | None
) -> None:
    secret = {"encrypt_pass_file": str(bench.pass_file)} if scheme else {}
    _fill(bench, **secret, **({"encrypt_scheme": scheme} if scheme else {}))
    damage(_parts(bench)[level])
    bench.target.mkdir()
    (bench.target / "mine").write_text("x")
    with pytest.raises(ColdchainError):
        bench.restore(overwrite=True, **secret)
    assert [path.name for path in bench.target.iterdir()] == ["mine"]
    assert not [name for name in os.listdir(bench.root) if name.startswith(".coldchain")]
    pass_file = bench.pass_file if scheme else None
    outcome = verify(bench.container, "host", "docs", "full", pass_file=pass_file)
    assert not outcome.sound
    assert [finding.level for finding in outcome.findings] == [level]
    assert [one.level for one in outcome.restorable] == list(range(level))


@pytest.mark.parametrize("damage", DAMAGES)
def test_without_a_manifest_damage_is_found_by_reading(
    bench: Bench, damage: Callable[[Path], None]
) -> None:
    # As if freezer-agent had written the chain.
    _fill(bench)
    for path in _parts(bench, "manifest.json"):
        path.unlink()
    assert verify(bench.container, mode="full").sound
    damage(_parts(bench)[1])
    with pytest.raises(ColdchainError):
        bench.restore()
    assert not bench.target.exists()
    assert [finding.level for finding in verify(bench.container, mode="full").findings] == [1]


def test_swapped_levels_are_found(bench: Bench) -> None:
    _fill(bench)
    first, second = (path.parent for path in _parts(bench)[1:])
    for one, two in ((first, Path(f"{first}.x")), (second, first), (Path(f"{first}.x"), second)):
        one.rename(two)
    with pytest.raises(DataError, match="holds the parts of level"):
        bench.restore()
    assert {finding.level for finding in verify(bench.container).findings} == {1, 2}


def test_a_missing_level_is_named_and_earlier_points_still_restore(bench: Bench) -> None:
    _fill(bench)
    shutil.rmtree(next(bench.container.glob("metadata/tar/host_docs/*/1_*")))
    with pytest.raises(JobFailed, match="level 1 of chain"):
        bench.restore()
    first = bench.catalogue()[0]
    assert [(one.level, one.restorable) for one in bench.catalogue()] == [(0, True), (2, False)]
    bench.restore(restore_from_date=first.time)
    assert os.listdir(bench.target) == ["file0"]
    # The next backup does not build on a broken chain.
    report = bench.level()
    assert report.fields["level"] == 0
    assert "level 1 of the chain is missing" in report.warnings[0]


@pytest.mark.parametrize("scheme", ["freezer", "strong"])
def test_wrong_or_missing_password_leaves_the_target_alone(bench: Bench, scheme: str) -> None:
    _fill(bench, encrypt_pass_file=str(bench.pass_file), encrypt_scheme=scheme)
    with pytest.raises(JobFailed, match="no encrypt_pass_file"):
        bench.restore()
    bench.pass_file.write_text("wrong\n")
    with pytest.raises(JobFailed):
        bench.restore(encrypt_pass_file=str(bench.pass_file))
    assert not bench.target.exists()


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), data=st.data())
def test_no_bit_of_a_strong_level_can_change_unnoticed(bench: Bench, where, bit, data):
    if not bench.container.exists():
        _fill(bench, encrypt_pass_file=str(bench.pass_file), encrypt_scheme="strong")
    names = ["data", "engine_metadata"]
    path = data.draw(st.sampled_from([p for name in names for p in _parts(bench, name)]))
    before = path.read_bytes()
    changed = bytearray(before)
    changed[int(where * len(changed))] ^= 1 << bit
    path.write_bytes(changed)
    outcome = verify(bench.container, mode="full", pass_file=bench.pass_file)
    path.write_bytes(before)
    assert not outcome.sound


def test_a_forged_manifest_does_not_fit_the_seal(bench: Bench) -> None:
    import hashlib

    secret = {"encrypt_pass_file": str(bench.pass_file), "encrypt_scheme": "strong"}
    _fill(bench, **secret)
    path = _parts(bench)[0]
    _flip(path)
    manifest = path.with_name("manifest.json")
    fields = json.loads(manifest.read_text())
    fields["parts"]["data"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(fields))
    with pytest.raises(JobFailed, match="seal does not fit"):
        bench.restore(**secret)


@pytest.mark.parametrize("scheme", [None, "freezer"])
def test_a_level_without_a_seal_is_refused_where_strong_is_asked_for(bench, scheme) -> None:
    secret = {"encrypt_pass_file": str(bench.pass_file)}
    bench.backup(**({**secret, "encrypt_scheme": scheme} if scheme else {}))
    with pytest.raises(JobFailed, match="strong was asked for"):
        bench.restore(**secret, encrypt_scheme="strong")
    bench.restore(**secret)


AGENT = (
    "import sys; from coldchain.agent.action import main; sys.exit(main(*sys.argv[1:3], None, '/'))"
)


def _start(bench: Bench, action: dict[str, object]) -> subprocess.Popen[bytes]:
    config = bench.root / "action.json"
    config.write_text(json.dumps({"freezer_action": action}))
    return subprocess.Popen(
        [sys.executable, "-c", AGENT, config, bench.root / "result.json"],
        env={**os.environ, "PYTHONPATH": os.fspath(RUNNER)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _interrupted(bench: Bench, number: int) -> subprocess.Popen[bytes]:
    """A backup of something endless enough, hit by the signal while it writes."""
    os.truncate(os.open(bench.source / "large", os.O_CREAT | os.O_WRONLY), 0)
    with (bench.source / "large").open("wb") as stream:
        for _ in range(60):
            stream.write(os.urandom(1 << 20))
    action = {
        "action": "backup",
        "path_to_backup": str(bench.source),
        "container": str(bench.container),
        "backup_name": "docs",
        "hostname": "host",
        "compression": "xz" if "xz" in INSTALLED else "gzip",  # xz takes its time
        "sync": False,
    }
    process = _start(bench, action)
    deadline = time.monotonic() + 60
    while not any(p.stat().st_size for p in bench.container.glob("data/.coldchain/*/*/data")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    process.wait(60)
    return process


def test_a_terminated_backup_cleans_up(bench: Bench) -> None:
    process = _interrupted(bench, signal.SIGTERM)
    assert process.returncode == 128 + signal.SIGTERM
    assert not list(bench.container.glob("data/.coldchain/*"))
    assert bench.catalogue() == []
    assert json.loads((bench.root / "result.json").read_text())["message"].startswith("aborted")


def test_a_killed_backup_is_never_listed_and_swept_by_the_next(bench: Bench) -> None:
    _interrupted(bench, signal.SIGKILL)
    assert list(bench.container.glob("data/.coldchain/*/*/data"))
    assert bench.catalogue() == []
    (bench.source / "large").unlink()
    bench.level()
    assert not list(bench.container.glob("data/.coldchain/*"))
    assert len(bench.catalogue()) == 1


def test_data_that_was_never_committed_is_removed_but_a_running_freezer_is_left_alone(
    bench: Bench,
) -> None:
    _fill(bench)
    ours = next(bench.container.glob("metadata/tar/host_docs/*/2_*"))
    shutil.rmtree(ours)
    zero = ours.parent.name
    theirs = bench.container / "data" / "tar" / "host_docs" / zero / "3_1999999999"
    theirs.mkdir()
    (theirs / "data").write_bytes(b"half")
    mark = bench.container / "data" / "tar" / "host_docs" / zero / ours.name / "mark"
    mark.write_text("")
    kinds = [finding.kind for finding in verify(bench.container).findings]
    assert kinds == ["orphaned", "orphaned"]
    assert verify(bench.container).sound
    bench.level()
    assert theirs.exists()
    assert not mark.exists()
    os.utime(theirs / "data", (1, 1))
    bench.level()
    assert not theirs.exists()


def test_a_second_writer_is_told_to_try_again(bench: Bench) -> None:
    with LocalStorage(bench.container).lock(Series("host", "docs")):
        with pytest.raises(TryAgain):
            bench.backup()
        bench.backup(backup_name="other")


@pytest.mark.skipif(not MOUNTS, reason="needs root that may mount")
def test_a_full_disk_fails_cleanly(bench: Bench) -> None:
    bench.container.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(bench.container)]
    subprocess.run(mount, check=True)
    try:
        (bench.source / "large").write_bytes(os.urandom(3 << 20))
        with pytest.raises(CannotWrite, match="No space left"):
            bench.backup()
        assert bench.catalogue() == []
        assert not list(bench.container.glob("data/.coldchain/*"))
        (bench.source / "large").unlink()
        bench.backup()
    finally:
        subprocess.run(["umount", str(bench.container)], check=True)


def test_a_container_that_is_a_file_is_named(bench: Bench) -> None:
    bench.container.write_text("")
    with pytest.raises(CannotWrite, match="container"):
        bench.backup()


def test_restore_needs_no_right_to_write_the_container(bench: Bench) -> None:
    _fill(bench)
    before = bench.files()
    for folder, _, _ in os.walk(bench.container):
        os.chmod(folder, 0o500)
    try:
        bench.restore()
    finally:
        for folder, _, _ in os.walk(bench.container):
            os.chmod(folder, 0o700)
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))
    assert bench.files() == before


def test_vanished_and_changed_files_are_warnings_and_policy_makes_them_fail(bench: Bench) -> None:
    for number in range(200):
        (bench.source / f"f{number}").write_bytes(os.urandom(20000))
    stop = bench.root / "stop"
    churn = (
        "import os,sys\n"
        "n = 0\n"
        f"while not os.path.exists({str(stop)!r}):\n"
        "    n += 1\n"
        f"    open({str(bench.source / 'f199')!r}, 'ab').write(b'x' * 4096)\n"
        "    if n > 4000: break\n"
    )
    process = subprocess.Popen([sys.executable, "-c", churn])
    try:
        (bench.source / "big").write_bytes(b"")
        report = bench.backup()
    finally:
        stop.write_text("")
        process.wait()
    for kind, found in report.fields["read_errors"].items():
        assert kind in ("changed while being read", "vanished while being read")
        assert found["count"] == len(found["names"]) == 1
    assert bench.catalogue()[0].restorable


def test_unreadable_files_are_named_and_tried_again_at_the_next_level(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # tar notes an unreadable file as saved: without care the whole chain would lack it.  A tar
    # that is told not to follow one file stands in for a disk error that goes away.
    real = shutil.which("tar")
    secret = bench.source / "d" / "secret"
    secret.parent.mkdir()
    secret.write_text("s")
    (bench.source / "d" / "plain").write_text("p")
    wrapper = tmp_path / "bin" / "tar"
    wrapper.parent.mkdir()
    wrapper.write_text(
        "#!/bin/sh\n"
        "echo 'tar: \"./d/secret\": Warning: Cannot open: Input/output error' >&2\n"
        f'exec {real} --exclude=secret "$@"\n'
    )
    wrapper.chmod(0o755)
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{path}")
    with pytest.raises(JobFailed, match=r"\./d/secret"):
        bench.level(on_read_error="fail")
    assert bench.catalogue() == []
    report = bench.level()
    assert report.fields["read_errors"] == {"not readable": {"count": 1, "names": ["./d/secret"]}}
    assert report.warnings == ("not readable: ./d/secret",)
    monkeypatch.setenv("PATH", path)
    assert bench.level().fields["files"] == 2
    bench.restore()
    assert (bench.target / "d" / "secret").read_text() == "s"


def test_a_missing_compressor_names_the_package(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("tar", "gzip"):
        (tmp_path / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ColdchainError, match="zstd") as caught:
        bench.backup(compression="zstd")
    assert caught.value.exit_code == 69
    assert "apt-get install zstd" in caught.value.hint
    assert bench.catalogue() == []
