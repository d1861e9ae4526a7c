# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each program in turn is a bad one: what it made is never a backup, and costs no older one."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_bench import INSTALLED, Bench, make_bench
from agent_trees import state

from coldchain.core.errors import ColdchainError, JobFailed, Unavailable

#: One that answers like the real one when it is asked what it is, and then does no work.
_VERSIONS = {"tar": "tar (GNU tar) 1.34", "rclone": "rclone v1.60.1"}
_BAD = {
    "does nothing": "cat > /dev/null; exit 0",
    "does nothing at once": "exit 0",
    "fails": "cat > /dev/null; echo 'no such option' >&2; exit 1",
    "fails at once": "exit 1",
    "fails after its work": 'REAL "$@"; exit 1',
    "is killed": 'REAL "$@"; kill -9 $$',
    "writes garbage": "cat > /dev/null; echo this is garbage, whoever reads it",
    "writes garbage before": 'echo garbage; exec REAL "$@"',
    "works on nothing": 'exec REAL "$@" < /dev/null',
    "loses half": 'REAL "$@" > MADE; head -c $(($(stat -c %s MADE) / 2)) MADE',
    "loses ten bytes": 'REAL "$@" > MADE; head -c -10 MADE',
    "loses a byte": 'REAL "$@" > MADE; head -c -1 MADE',
    "adds a byte": 'REAL "$@" > MADE; cat MADE; printf x',
}
_OTHER_TARS = {
    "busybox": "tar (busybox) 1.35.0",
    "bsdtar": "bsdtar 3.6.2 - libarchive 3.6.2 zlib/1.2.13",
    "toybox": "toybox 0.8.9",
    "silent": "",
}


def _replace(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tool: str, script: str, real: str | None = None
) -> None:
    path = bench.root / "bin" / tool
    path.parent.mkdir(exist_ok=True)
    genuine = real or shutil.which(tool) or "/bin/false"
    version = _VERSIONS.get(tool, tool)
    path.write_text(
        "#!/bin/sh\n"
        f'case "$1" in --version|version) echo "{version}"; exit 0;; esac\n'
        f"{script.replace('REAL', genuine).replace('MADE', f'{path.parent}/made')}\n"
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")


def _fill(bench: Bench) -> None:
    (bench.source / "d").mkdir()
    (bench.source / "d" / "file").write_text("precious\n" * 2000)
    (bench.source / "other").write_bytes(os.urandom(3000))


def _fields_of(bench: Bench, tool: str) -> dict[str, object]:
    """What a backup of the *bench* needs to say for *tool* to be started."""
    fields: dict[str, object] = {"path_to_backup": str(bench.source)}
    if tool in INSTALLED:
        fields["compression"] = tool
    if tool == "openssl":
        fields |= {"encrypt_pass_file": str(bench.pass_file), "encrypt_scheme": "freezer"}
    return fields


@pytest.fixture(scope="module")
def one_backup() -> Iterator[Callable[[str], Bench]]:
    """A bench with a backup that a tool had its part in, and a new file in the source since; made
    for the first test that asks.  None changes it."""
    with tempfile.TemporaryDirectory() as root:

        @functools.cache
        def made(tool: str) -> Bench:
            place = Path(root) / tool
            place.mkdir()
            bench = make_bench(place)
            _fill(bench)
            bench.backup(**_fields_of(bench, tool))
            (bench.source / "new").write_text("new")
            return bench

        yield made


def _kept(folder: Path) -> dict[str, bytes]:
    """Each file of a tree with its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("bad", _BAD)
@pytest.mark.parametrize("tool", ["tar", "openssl", *INSTALLED])
def test_what_a_bad_tool_made_is_no_backup(
    bench: Bench,
    one_backup: Callable[[str], Bench],
    monkeypatch: pytest.MonkeyPatch,
    tool: str,
    bad: str,
    level: int,
) -> None:
    """The container has what it had, byte by byte."""
    made = one_backup(tool)
    shutil.copytree(made.container, bench.container)
    fields = {**_fields_of(made, tool), "incremental": level == 1}
    before, had = bench.catalogue(), _kept(bench.container)
    path = os.environ["PATH"]
    _replace(bench, monkeypatch, tool, _BAD[bad])
    if tool == "tar" and bad == "works on nothing":  # it has no input of its own: a good one
        bench.backup(**fields)
        monkeypatch.setenv("PATH", path)
        bench.restore()
        assert state(os.fsencode(bench.target)) == state(os.fsencode(made.source))
        return
    with pytest.raises(ColdchainError):
        bench.backup(**fields, remove_older_than=0)
    assert bench.catalogue() == before
    assert _kept(bench.container) == had


@pytest.mark.parametrize("tool", ["tar", "openssl", *INSTALLED])
def test_what_was_there_before_a_bad_tool_came_can_be_restored(
    bench: Bench, one_backup: Callable[[str], Bench], tool: str
) -> None:
    made = one_backup(tool)
    password = {key: it for key, it in _fields_of(made, tool).items() if key.startswith("encrypt")}
    bench.restore(container=str(made.container), **password)
    assert {**_kept(bench.target), "new": b"new"} == _kept(made.source)


def _secret(bench: Bench, scheme: str | None) -> dict[str, object]:
    if scheme is None:
        return {}
    return {"encrypt_pass_file": str(bench.pass_file), "encrypt_scheme": scheme}


@pytest.fixture(scope="module")
def two_levels() -> Iterator[Callable[[str | None], Bench]]:
    """A bench with two levels of a scheme, made for the first test that asks; none changes it."""
    with tempfile.TemporaryDirectory() as root:

        @functools.cache
        def made(scheme: str | None) -> Bench:
            place = Path(root) / str(scheme)
            place.mkdir()
            bench = make_bench(place)
            _fill(bench)
            for text in ("0", "1"):
                (bench.source / "new").write_text(text)
                bench.level(**_secret(bench, scheme))
            return bench

        yield made


@pytest.mark.parametrize("bad", _BAD)
@pytest.mark.parametrize(
    ("tool", "scheme"),
    [
        *((tool, scheme) for tool in ("tar", "gzip") for scheme in (None, "freezer", "strong")),
        *(("openssl", scheme) for scheme in ("freezer", "strong")),
    ],
)
def test_what_a_bad_tool_brought_is_no_restore(
    bench: Bench,
    two_levels: Callable[[str | None], Bench],
    monkeypatch: pytest.MonkeyPatch,
    tool: str,
    bad: str,
    scheme: str | None,
) -> None:
    levels = two_levels(scheme)
    _replace(bench, monkeypatch, tool, _BAD[bad])
    try:
        bench.restore(container=str(levels.container), **_secret(levels, scheme))
    except ColdchainError:
        assert not bench.target.exists()
    else:
        assert state(os.fsencode(bench.target)) == state(os.fsencode(levels.source))


@pytest.mark.parametrize("other", _OTHER_TARS)
def test_another_tar_is_refused_with_the_package(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    _fill(bench)
    monkeypatch.setitem(_VERSIONS, "tar", _OTHER_TARS[other])
    _replace(bench, monkeypatch, "tar", 'exec REAL "$@"')
    with pytest.raises(Unavailable, match="is not GNU tar") as refusal:
        bench.backup()
    assert "apt-get install tar" in refusal.value.hint
    assert bench.catalogue() == []


def test_a_complaint_of_an_unknown_kind_is_a_failure(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(bench)
    _replace(bench, monkeypatch, "tar", 'REAL "$@"; echo "tar: unrecognized option" >&2; exit 1')
    with pytest.raises(JobFailed, match="unrecognized option"):
        bench.backup()
    assert bench.catalogue() == []


@pytest.mark.parametrize("tool", ["gzip", "bzip2", "xz"])
def test_busybox_compresses_or_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    """A stand-in, where busybox is not installed, that knows no option."""
    _fill(bench)
    path = os.environ["PATH"]
    busybox = shutil.which("busybox")
    script = f'exec {busybox} {tool} "$@"' if busybox else f'echo "{tool}: what?" >&2; exit 1'
    _replace(bench, monkeypatch, tool, script)
    try:
        bench.backup(compression=tool)
    except ColdchainError:
        assert bench.catalogue() == []
        return
    monkeypatch.setenv("PATH", path)
    bench.restore()
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))


_RCLONE = {
    **{name: script for name, script in _BAD.items() if "REAL" not in script},
    "lists nothing": "cat > /dev/null; case $1 in lsjson) echo '[';  echo ']';; esac",
    "lists half": "cat > /dev/null; case $1 in lsjson) echo '[';; esac",
    "hears nothing": "exit 3",
}


@pytest.mark.parametrize("bad", _RCLONE)
def test_what_a_bad_rclone_took_is_no_backup(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    _fill(bench)
    config = bench.root / "rclone.conf"
    config.write_text("[site]\ntype = local\n")
    config.chmod(0o600)
    _replace(bench, monkeypatch, "rclone", _RCLONE[bad])
    with pytest.raises(ColdchainError):
        bench.backup(
            storage="rclone",
            container=f"site:{bench.container}",
            rclone_config=str(config),
            remove_older_than=0,
        )
    assert not Path(bench.container).exists()


_NOISE = 'head -c 3000000 /dev/zero | tr "\\0" x >&2'


@pytest.mark.parametrize("tool", ["tar", "gzip", "openssl", "rclone"])
def test_however_much_a_tool_says_a_message_is_one_to_be_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    """It goes into records, mails and the answers of modules."""
    _fill(bench)
    fields: dict[str, object] = {}
    if tool == "openssl":
        fields = {"encrypt_pass_file": str(bench.pass_file), "encrypt_scheme": "strong"}
    if tool == "rclone":
        (bench.root / "rclone.conf").write_text("[x]\ntype = local\n")
        fields = {"storage": "rclone", "rclone_config": str(bench.root / "rclone.conf")}
        fields["container"] = f"x:{bench.root}/remote"
    else:
        bench.backup(**fields)
    _replace(bench, monkeypatch, tool, f"{_NOISE}; echo; cat > /dev/null; exit 9")
    for work in (bench.backup, bench.restore):
        with pytest.raises(ColdchainError, match="xxx") as caught:
            work(**fields)
        assert len(str(caught.value)) + len(caught.value.hint) < 5000


def test_what_tar_says_beside_its_work_is_bounded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(bench)
    bench.backup()
    _replace(bench, monkeypatch, "tar", f'{_NOISE}; exec REAL "$@"')
    warnings = bench.restore().warnings
    assert warnings and sum(map(len, warnings)) < 50_000
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))
