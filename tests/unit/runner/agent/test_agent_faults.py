# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damage, interruption and refusal: the target is untouched, half a backup never appears."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from agent_bench import Bench, make_bench
from agent_command import ENVIRONMENT, agent_argv
from agent_points import verify
from agent_trees import state
from agent_users import as_nobody, give_away
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from waiting import ended, until

from coldchain.agent.engines.tar.stored.cipher import WrongPassword
from coldchain.agent.storages.local import LocalStorage
from coldchain.core.errors import CannotWrite, ColdchainError, DataError, JobFailed, TryAgain

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


@pytest.fixture(scope="module")
def filled() -> Iterator[Callable[[Bench, str | None], Bench]]:
    """Gives a bench the container and the password of one that was filled with the scheme; returns
    that one, for its source."""
    with tempfile.TemporaryDirectory() as root:
        benches: dict[str | None, Bench] = {}

        def give(bench: Bench, scheme: str | None) -> Bench:
            one = benches.get(scheme)
            if one is None:
                place = Path(root) / str(scheme)
                place.mkdir()
                one = benches[scheme] = make_bench(place)
                _fill(one, **_secret(one, scheme))
            shutil.copytree(one.container, bench.container, symlinks=True, dirs_exist_ok=True)
            shutil.copy2(one.pass_file, bench.pass_file)
            return one

        yield give


def _secret(bench: Bench, scheme: str | None) -> dict[str, str]:
    if scheme is None:
        return {}
    return {"encrypt_pass_file": str(bench.pass_file), "encrypt_scheme": scheme}


DAMAGES = [_truncate, _flip, _empty, os.unlink]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("scheme", [None, "freezer", "strong"])
def test_damaged_data_is_found_and_restores_nothing(
    bench: Bench,
    filled: Callable[[Bench, str | None], Bench],
    damage: Callable[[Path], None],
    level: int,
    scheme: str | None,
) -> None:
    secret = _secret(bench, scheme)
    filled(bench, scheme)
    damage(_parts(bench)[level])
    bench.target.mkdir()
    (bench.target / "mine").write_text("x")
    with pytest.raises(ColdchainError):
        bench.restore(overwrite=True, **secret)
    assert [path.name for path in bench.target.iterdir()] == ["mine"]
    assert not [name for name in os.listdir(bench.root) if name.startswith(".coldchain")]
    pass_file = bench.pass_file if scheme else None
    outcome = verify(bench.container, "host", "docs", "full", pass_file=pass_file, scheme=scheme)
    assert not outcome.sound
    assert [finding.level for finding in outcome.findings] == [level]
    assert [one.level for one in outcome.restorable] == list(range(level))


@pytest.mark.parametrize("damage", DAMAGES)
def test_without_a_manifest_damage_is_found_by_reading(
    bench: Bench, damage: Callable[[Path], None]
) -> None:
    # As if freezer-agent had written the chain.
    _fill(bench)
    for path in (*_parts(bench, "manifest.json"), *_parts(bench, "entries.gz")):
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
    with pytest.raises(JobFailed, match=r"level 1 \(1_\d+\), which 2_\d+ was made on, is missing"):
        bench.restore()
    first = bench.catalogue()[0]
    assert [(one.level, one.restorable) for one in bench.catalogue()] == [(0, True), (2, False)]
    bench.restore(restore_from_date=first.time)
    assert os.listdir(bench.target) == ["file0"]
    # The next backup does not build on a broken chain.
    report = bench.level()
    assert report.fields["level"] == 0
    assert "which 2_" in report.warnings[0]


@pytest.mark.parametrize("scheme", ["freezer", "strong"])
def test_wrong_or_missing_password_leaves_the_target_alone(bench: Bench, scheme: str) -> None:
    _fill(bench, encrypt_pass_file=str(bench.pass_file), encrypt_scheme=scheme)
    with pytest.raises(JobFailed, match="no encrypt_pass_file"):
        bench.restore()
    bench.pass_file.write_text("wrong\n")
    with pytest.raises(WrongPassword):
        bench.restore(encrypt_pass_file=str(bench.pass_file), encrypt_scheme=scheme)
    assert not bench.target.exists()


def test_doubtful_password_files_are_told(bench: Bench) -> None:
    (bench.source / "a").write_text("a")
    options = {"encrypt_pass_file": str(bench.pass_file)}
    bench.pass_file.write_bytes(b"correct horse\r\n")
    bench.pass_file.chmod(0o640)
    exposed, windows = bench.backup(**options).warnings
    assert f"chmod 600 {bench.pass_file}" in exposed
    assert "carriage return" in windows
    bench.restore(**options)
    bench.pass_file.write_bytes(b"\xef\xbb\xbfcorrect horse\n")
    bench.pass_file.chmod(0o600)
    (marked,) = bench.backup(**options, backup_name="marked").warnings
    assert "byte order mark" in marked
    empty = (b"", b"\n", b"\nsecond", b"\r\n", b" \t\n", b"\xef\xbb\xbf\n", b"\xef\xbb\xbf\r\n")
    for bad in (*empty, b"a\0b\n", b"x" * 1001):
        bench.pass_file.write_bytes(bad)
        with pytest.raises(DataError, match="first line cannot be a password"):
            bench.backup(**options)
    bench.pass_file.unlink()
    os.mkfifo(bench.pass_file)
    with pytest.raises(DataError, match="is not a regular file") as caught:
        bench.restore(**options, overwrite=True)
    assert "/dev/shm" in caught.value.hint
    assert len(bench.catalogue()) == 2


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
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


@pytest.mark.parametrize("bad", [0, 1, 2])
@pytest.mark.parametrize("settled", [True, False])
def test_an_altered_level_names_the_point_to_restore_instead(
    bench: Bench, bad: int, settled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalStorage, "is_settled", lambda storage, path: settled)
    bench.backup()
    until(lambda: time.time() >= bench.catalogue()[0].time_stamp + 1, within=3)
    _fill(bench)
    points = bench.catalogue()
    _flip(_parts(bench)[-3 + bad])
    with pytest.raises(JobFailed, match="was altered") as caught:
        bench.restore()
    good = points[len(points) - 4 + bad]
    assert caught.value.hint.endswith(f"restore_from_date {good.time}")
    assert not bench.target.exists()


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
    with pytest.raises(JobFailed, match=r"seal does not fit|is not the one"):
        bench.restore(**secret)


def _start(bench: Bench, action: dict[str, object]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        agent_argv(bench.root, action),
        env=ENVIRONMENT,
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
        "compression": "gzip",  # xz 5.8 writes nothing before it has read it all
        "upload_limit": "500K",  # two minutes
        "sync": False,
    }
    process = _start(bench, action)

    def writing() -> bool:
        parts = bench.container.glob("data/.coldchain/*/*/data")
        return any(path.stat().st_size for path in parts)

    until(writing, told=process.poll)
    process.send_signal(number)
    ended(process)
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


@pytest.mark.parametrize("scheme", [None, "strong"])
@pytest.mark.parametrize("damage", ["remove", "cut", "alter"])
@pytest.mark.parametrize("part", ["engine_metadata", "entries.gz"])
def test_a_part_that_no_restore_needs_loses_no_point(
    bench: Bench,
    filled: Callable[[Bench, str | None], Bench],
    part: str,
    damage: str,
    scheme: str | None,
) -> None:
    options = {} if scheme is None else {"encrypt_pass_file": str(bench.pass_file)}
    source = filled(bench, scheme).source
    for path in bench.container.glob(f"data/tar/*/*/1_*/{part}"):
        content = path.read_bytes()
        path.unlink()
        if damage != "remove":
            changed = bytes([content[30] ^ 1])
            rest = content[31:] if damage == "alter" else b""
            path.write_bytes(content[:30] + changed + rest)
    found = verify(bench.container, mode="full", pass_file=bench.pass_file if scheme else None)
    assert not found.sound and found.lost == ()
    (finding,) = found.findings
    assert part in finding.message and finding.message.endswith("(no restore needs it)")
    if damage == "remove":
        assert bench.restore(**options, dry_run=True).fields["files"]
    bench.restore(**options)
    assert state(os.fsencode(bench.target)) == state(os.fsencode(source))


@pytest.mark.parametrize("scheme", ["freezer", "strong"])
def test_a_lost_manifest_is_found(
    bench: Bench, filled: Callable[[Bench, str | None], Bench], scheme: str
) -> None:
    options = {"encrypt_pass_file": str(bench.pass_file), "encrypt_scheme": scheme}
    filled(bench, scheme)
    newest = bench.catalogue()[-1].level
    for path in bench.container.glob(f"data/tar/*/*/{newest}_*/manifest.json"):
        path.unlink()
    found = verify(bench.container)
    assert [finding.kind for finding in found.findings] == ["missing"]
    assert "manifest.json is missing" in found.findings[0].message
    # Its seal is over the manifest's sums.
    assert len(found.lost) == (scheme == "strong")
    if scheme == "strong":
        with pytest.raises(JobFailed, match="the manifest is missing"):
            bench.restore(**options)
    else:
        bench.restore(**options)


def test_data_whose_metadata_was_lost_is_never_swept(bench: Bench) -> None:
    for text in "ab":
        (bench.source / "a").write_text(text)
        bench.level()
    metadata = bench.container / "metadata"
    metadata.rename(bench.root / "lost")
    before = bench.files()
    with pytest.raises(DataError, match="2 complete levels, but there is no metadata") as told:
        bench.level()
    assert "bring" in told.value.hint and "data/tar/host_docs" in told.value.hint
    assert {name for name in before if "/data/" in name} <= bench.files()
    (bench.root / "lost").rename(metadata)
    assert bench.level().fields["level"] == 2
    assert all(one.restorable for one in bench.catalogue())


def test_a_second_writer_is_told_to_try_again(bench: Bench) -> None:
    with LocalStorage(bench.container).lock("host_docs"):
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


@pytest.mark.skipif(not MOUNTS, reason="needs root that may mount")
def test_a_target_without_room_is_no_damage(bench: Bench) -> None:
    (bench.source / "large").write_bytes(os.urandom(3 << 20))
    bench.backup()
    bench.target.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(bench.target)]
    subprocess.run(mount, check=True)
    try:
        with pytest.raises(CannotWrite, match=r"restored there: .*\./large.*: \w+"):
            bench.restore()
        assert list(bench.target.iterdir()) == []
    finally:
        subprocess.run(["umount", str(bench.target)], check=True)


@pytest.mark.skipif(not MOUNTS, reason="needs root that may mount")
@pytest.mark.parametrize("files", [2, 3, 4, 6])
def test_a_disk_without_room_for_more_files_is_told_from_one_without_space(
    bench: Bench, files: int
) -> None:
    """The kernel has the same words for both, and df shows space."""
    for name in "abcdef":
        (bench.source / name).write_text(name)
    bench.backup()
    place = bench.root / "mounted"
    place.mkdir()
    options = f"size=10m,nr_inodes={files}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    try:
        for work in (
            lambda: bench.restore(restore_abs_path=str(place / "target")),
            lambda: bench.backup(container=str(place / "container")),
        ):
            with pytest.raises(CannotWrite, match="No space left on device") as caught:
                work()
            assert "df -i" in caught.value.hint
            assert str(place) in caught.value.message or "restored there" in caught.value.message
    finally:
        subprocess.run(["umount", str(place)], check=True)


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


def _at_a_halt(bench: Bench, monkeypatch: pytest.MonkeyPatch, meanwhile: str) -> None:
    """Let the shell commands *meanwhile* run in the source while tar waits within the first file.

    A gzip that waits for tar to begin stands in for a slow one: tar's pipe is full long before
    the end of the file.
    """
    (bench.source / "a large").write_bytes(b"large " * (1 << 19))
    wrapper = bench.root / "bin" / "gzip"
    wrapper.parent.mkdir()
    wrapper.write_text(
        "#!/bin/bash\n"
        f"until find /proc/[0-9]*/fd -lname '{bench.source}/a large' 2> /dev/null | grep -q .\n"
        "do sleep 0.02; done\n"
        f"(cd '{bench.source}' && {meanwhile})\n"
        f'exec {shutil.which("gzip")} "$@"\n'
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")


CHANGES = {
    "truncate -s 2000000 'a large'": {"changed while being read": ["./a large"]},
    "echo more >> 'a large'": {"changed while being read": ["./a large"]},
    "rm 'b 100%' $'c\\n'": {"vanished while being read": ["./b 100%", "./c\\n"]},
    "rm -r d": {"vanished while being read": ["./d"]},
    "rm -r d; date > 'a large'": {
        "changed while being read": ["./a large"],
        "vanished while being read": ["./d"],
    },
}


@pytest.mark.parametrize("meanwhile", sorted(CHANGES))
def test_what_changes_or_vanishes_is_named_and_fails_only_by_policy(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    for name in ("b 100%", "c\n", "e"):
        (bench.source / name).write_text("x")
    (bench.source / "d").mkdir()
    (bench.source / "d" / "inside").write_text("x")
    with monkeypatch.context() as patch:
        _at_a_halt(bench, patch, meanwhile)
        report = bench.level()
    errors = report.fields["read_errors"]
    assert {kind: one["names"] for kind, one in errors.items()} == CHANGES[meanwhile]
    assert all(one["count"] == len(one["names"]) for one in errors.values())
    assert len(report.warnings) == len(errors)
    bench.level()
    bench.restore()
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))


#: What happens to a directory between the moment in which tar notes what it holds and the one in
#: which it is saved, and how it comes back before the next level.
COME_AND_GO = {
    "mv d ../away": "mv ../away d",
    "mv d/in ../away": "mv ../away d/in",
    "mv d/in/deep ../away": "mv ../away d/in/deep",
    "mv d ../away; date > d": "rm d; mv ../away d",
    "mv d ../away; ln -s e d": "rm d; mv ../away d",
    "mv d ../away; mkfifo d": "rm d; mv ../away d",
    "mv d ../away; mkdir d": "rmdir d; mv ../away d",
    "mv d ../away; mkdir -p d/in; date > d/one; date > d/in/deep": "rm -r d; mv ../away d",
    "mv d ../away; cp -rp twin d": "rm -r d; mv ../away d",
    "mv d old; mv twin d": "mv d twin; mv old d",
    "mv d old; mv twin d; mv d twin; mv old d": ":",
    "mv d twin/d": "mv twin/d d",
    "mv d d2": "mv d2 d",
    "mv twin d/twin": ":",
    "rm d/one; mkdir d/one; date > d/one/x": ":",
    "rm d/one; mkdir d/one; mkdir d/one/x": "rm -r d/one; date > d/one",
    "rm -r d/in; date > d/in": ":",
    "rm -r d/in; ln -s . d/in": ":",
    "rm -r d; date > d": ":",
    "rm d/one; ln -s in d/one": "rm d/one; date > d/one",
    "chmod 700 d": "chmod 755 d",
    "rm -r d": ":",
}


def _stands(bench: Bench) -> None:
    """What was restored is the source, with all its content."""
    shutil.rmtree(bench.target, ignore_errors=True)
    bench.restore()
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("renamed", [True, False])
def test_no_directory_counts_as_stored_that_was_replaced_meanwhile(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, renamed: bool, first: bool
) -> None:
    """Each of the changes in a tree of its own.  The renames apart from the others, as a level in
    which tar tells of one is unpacked in another way."""
    changes = [one for one in sorted(COME_AND_GO) if one.startswith("mv ") == renamed]
    assert len(changes) >= 8
    trees = [bench.source / f"{number:02d}" for number in range(len(changes))]
    for folder in (tree / name for tree in trees for name in ("d", "twin")):
        (folder / "in").mkdir(parents=True)
        for name in ("one", "in/deep"):
            (folder / name).write_text(f"{folder} at first")
    for tree in trees:
        (tree / "e").write_text("e")
    if not first:
        bench.level()
        for folder in (tree / name for tree in trees for name in ("d", "twin")):
            (folder / "one").write_text(f"{folder} then")
    for path in bench.source.rglob("*"):
        os.utime(path, (10**9, 10**9))
    with monkeypatch.context() as patch:
        # In tar's order, the file that it waits in comes before all of them.
        _at_a_halt(bench, patch, _in_each(trees, changes))
        bench.level()
    bench.restore()  # whatever is in it
    back = _in_each(trees, [COME_AND_GO[one] for one in changes])
    subprocess.run(["bash", "-ec", back], cwd=bench.source, check=True)
    bench.level()
    _stands(bench)
    for tree in trees:
        (tree / "e").write_text("later")
    bench.level()
    _stands(bench)


def _in_each(trees: Sequence[Path], commands: Sequence[str]) -> str:
    """Each command in its tree, with a place of its own outside of the source."""
    return " && ".join(
        f"(cd {tree.name} && {command.replace('../away', f'../../away{tree.name}')})"
        for tree, command in zip(trees, commands)
    )


def test_a_directory_that_is_replaced_meanwhile_fails_the_backup_by_policy(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("d", "twin"):
        (bench.source / folder).mkdir()
        (bench.source / folder / "one").write_text(folder)
    _at_a_halt(bench, monkeypatch, "mv d old; mv twin d; mv old twin")
    with pytest.raises(JobFailed, match=r"changed while being read, the first: \./d"):
        bench.backup(on_read_error="fail")
    assert bench.catalogue() == []


def test_a_change_fails_the_backup_by_policy(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    _at_a_halt(bench, monkeypatch, "echo more >> 'a large'")
    with pytest.raises(JobFailed, match=r"1 entry changed while being read, the first: \./a large"):
        bench.backup(on_read_error="fail")
    assert bench.catalogue() == []


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
    # Nor is it said to be saved again when it is not.
    assert bench.level().warnings == ("not readable: ./d/secret",)
    monkeypatch.setenv("PATH", path)
    # That file alone, not those beside it.
    assert bench.level().fields["files"] == 1
    bench.restore()
    assert (bench.target / "d" / "secret").read_text() == "s"


@pytest.mark.skipif(os.geteuid() != 0, reason="root becomes an ordinary user here")
def test_an_unreadable_folder_keeps_what_earlier_levels_have(bench: Bench) -> None:
    (bench.source / "d" / "e").mkdir(parents=True)
    (bench.source / "d" / "x").write_text("x")
    (bench.source / "d" / "e" / "y").write_text("y")
    give_away(bench.root)

    def levels() -> str:
        bench.level()
        told = []
        for locked in ("d", "d/e", "d/x"):
            path = bench.source / locked
            mode = path.stat().st_mode
            path.chmod(0)
            told.append(bench.level().warnings[0])
            path.chmod(mode)
            shutil.rmtree(bench.target, ignore_errors=True)
            bench.restore()
            told.append(" ".join(sorted(path.name for path in bench.target.rglob("*"))))
            told.append(f"{bench.level().fields['files']} files")
        return "\n".join(told)

    assert as_nobody(levels).splitlines() == [
        "not readable: ./d",
        "d e x y",
        "2 files",
        "not readable: ./d/e",
        "d e x y",
        "1 files",
        "not readable: ./d/x",
        "d e x y",
        "1 files",
    ]


def test_a_single_file_that_cannot_be_stored_is_no_backup(bench: Bench) -> None:
    alone = bench.source / "alone"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(alone))
        with pytest.raises(JobFailed, match=r"path_to_backup .*/alone: ignored: a socket"):
            bench.level(path_to_backup=str(alone))
    alone.unlink()
    alone.symlink_to("nowhere")
    for path, why in ((str(alone), "a link that leads nowhere"), ("/dev/null", "a device")):
        with pytest.raises(JobFailed, match=f"path_to_backup {path} is {why}"):
            bench.level(path_to_backup=path)
    assert bench.catalogue() == []
    (bench.source / "nowhere").write_text("x")
    assert "only the link is stored" in bench.level(path_to_backup=str(alone)).warnings[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="root becomes an ordinary user here")
def test_a_single_file_that_cannot_be_read_is_no_backup(bench: Bench) -> None:
    alone = bench.source / "alone"
    alone.write_text("x")
    alone.chmod(0)
    give_away(bench.root)

    def told() -> str:
        with pytest.raises(JobFailed) as caught:
            bench.level(path_to_backup=str(alone))
        bench.source.chmod(0o300)
        with pytest.raises(JobFailed) as unlisted:
            bench.level(path_to_backup=str(alone))
        return f"{caught.value.message}\n{unlisted.value.message}"

    message = as_nobody(told).splitlines()
    assert message[0] == f"path_to_backup {alone}: not readable"
    # The reason, and not tar's last words.
    assert message[1].endswith(f'"{bench.source}": Cannot open: Permission denied')
    assert bench.catalogue() == []


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


def test_levels_that_lost_their_metadata_stay_until_a_removal(bench: Bench) -> None:
    _fill(bench)
    lost = bench.container / "metadata/tar/host_docs"
    kept = lost.rename(bench.root / "kept")
    bench.level()
    findings = verify(bench.container).findings
    assert {finding.kind for finding in findings} == {"orphaned"}
    assert all("with its metadata it could be restored" in each.message for each in findings)
    bench.level()
    for chain in kept.iterdir():
        chain.rename(lost / chain.name)
    assert verify(bench.container, mode="full").findings == ()
    bench.restore()
    for chain in sorted(lost.iterdir())[:-1]:
        shutil.rmtree(chain)
    bench.perform("admin", remove_older_than=1000)
    assert verify(bench.container).findings
    bench.perform("admin", remove_before_date="2100-01-01")
    assert verify(bench.container).findings == ()
    assert len(bench.catalogue()) == 2
