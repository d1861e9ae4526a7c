# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private files: as a whole or not at all, never through a link, and never another's."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from coldchain.core import errors
from coldchain.core.errors import CannotWrite, ColdchainError, Unavailable, from_os_error
from coldchain.core.files import (
    open_ours,
    private_directory,
    private_directory_often,
    sync_directory,
    write_all,
    write_atomically,
    write_pieces,
)
from coldchain.core.trusted_path import TrustedFolder


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o7777


def test_a_file_is_private_and_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"one")
    before = path.stat().st_ino
    path.chmod(0o644)
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two" and path.stat().st_ino != before
    assert mode(path) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("call", ["write", "rename", "fsync"])
def test_a_failure_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, durable: bool
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"one")

    def full(*dummy: object, **unused: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    if call == "fsync" and not durable:
        write_atomically(path, b"two", durable=False)
        assert path.read_bytes() == b"two"
        return
    with pytest.raises(CannotWrite, match=r"file: cannot be written: No space left") as caught:
        write_atomically(path, b"two", durable=durable)
    assert caught.value.hint.startswith("make room on that file system")
    assert path.read_bytes() == b"one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(("number", "passes"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_directory_that_cannot_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, passes: bool
) -> None:
    """Some file systems cannot; a disk that fails is another thing."""

    def fsync(dummy: int) -> None:
        raise OSError(number, os.strerror(number))

    held = set(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        if passes:
            sync_directory(tmp_path)
        else:
            with pytest.raises(OSError, match="Input/output error"):
                sync_directory(tmp_path)
    assert set(os.listdir("/proc/self/fd")) == held


def test_what_is_taken_at_a_time_may_be_less(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bytes] = []

    def write(dummy: int, view: memoryview) -> int:
        taken.append(bytes(view[:3]))
        return min(3, len(view))

    monkeypatch.setattr(os, "write", write)
    write_all(1, b"0123456789")
    assert taken == [b"012", b"345", b"678", b"9"]


@pytest.mark.parametrize("takes", [1, 5, 6, 4000, 10**6])
def test_of_pieces_less_may_be_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, takes: int
) -> None:
    real, limit = os.writev, os.sysconf("SC_IOV_MAX")

    def writev(descriptor: int, pieces: Sequence[bytes]) -> int:
        assert len(pieces) <= limit
        return os.write(descriptor, b"".join(pieces)[:takes])

    pieces = [b"", b"begin", *(b"%d\n" % number for number in range(2500)), b"end"]
    for replaced in (real, writev):
        monkeypatch.setattr(os, "writev", replaced)
        with open(tmp_path / "pieces", "wb") as file:
            write_pieces(file.fileno(), pieces)
        assert (tmp_path / "pieces").read_bytes() == b"".join(pieces)


def test_directories_are_private(tmp_path: Path) -> None:
    for dummy in range(2):
        private_directory(tmp_path / "a" / "b")
        assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o700
    with pytest.raises(FileNotFoundError):
        private_directory(tmp_path / "c" / "d" / "e")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        private_directory(tmp_path / "file")


def test_many_private_directories_are_made_along_a_way_that_is_gone_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    real = os.open

    def note(path: object, *words: Any, **named: Any) -> int:
        opened.append(path)
        return real(path, *words, **named)

    monkeypatch.setattr(os, "open", note)
    logs = tmp_path / "logs"
    logs.mkdir()
    private_directory_often(f"{logs}/first")
    opened.clear()
    for number in range(3):
        private_directory_often(f"{logs}/{number}")
        assert mode(logs / str(number)) == 0o700
    private_directory_often(f"{logs}/first")
    assert opened == []
    logs.rename(tmp_path / "moved")  # what has come in its place is another one, or not there
    private_directory_often(f"{logs}/again")
    assert mode(logs) == mode(logs / "again") == 0o700
    (logs / "file").touch()
    with pytest.raises(NotADirectoryError):
        private_directory_often(f"{logs}/file")
    (logs / "link").symlink_to(tmp_path / "elsewhere")
    private_directory_often(f"{logs}/link")
    assert (tmp_path / "elsewhere").is_dir(), "a link of ours is one of ours"


def test_only_a_private_file_of_ours_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(FileNotFoundError):
        open_ours(path)
    path.write_bytes(b"ours")
    for good in (0o600, 0o644, 0o400):
        path.chmod(good)
        descriptor = open_ours(path)
        assert os.read(descriptor, 9) == b"ours" and not os.get_inheritable(descriptor)
        os.close(descriptor)
    held = set(os.listdir("/proc/self/fd"))
    for bad in (0o620, 0o602):
        path.chmod(bad)
        with pytest.raises(Unavailable, match=f"mode {bad:04o}; somebody else could") as caught:
            open_ours(path)
        assert f"chmod 600 {path}" in caught.value.hint
    link, pipe, folder = tmp_path / "link", tmp_path / "pipe", tmp_path / "folder"
    link.symlink_to(path)
    os.mkfifo(pipe)
    folder.mkdir()
    for place, message in ((link, "symbolic link"), (pipe, "not a file"), (folder, "not a file")):
        with pytest.raises(Unavailable, match=message):
            open_ours(place)
    assert set(os.listdir("/proc/self/fd")) == held


def test_what_a_machine_answers_becomes_an_error_with_a_remedy() -> None:
    full = from_os_error(OSError(errno.ENOSPC, "No space left on device", "/x"))
    assert isinstance(full, ColdchainError)
    assert (full.exit_code, full.message) == (73, "/x: No space left on device")
    assert full.hint.startswith("make room on that file system")
    output = from_os_error(OSError(errno.EIO, "Input/output error"))
    assert output is not None and output.message.startswith("standard output or a file: ")
    for number in (errno.EEXIST, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENOENT, 9999):
        assert from_os_error(OSError(number, "x", "/x")) is None


def test_exit_codes_are_those_of_sysexits() -> None:
    told = {
        errors.JobFailed: 1,
        errors.UsageError: os.EX_USAGE,
        errors.DataError: os.EX_DATAERR,
        errors.UnknownJob: os.EX_DATAERR,
        errors.Unavailable: os.EX_UNAVAILABLE,
        errors.NoProgram: os.EX_UNAVAILABLE,
        errors.InternalError: os.EX_SOFTWARE,
        errors.CannotWrite: os.EX_CANTCREAT,
        errors.TryAgain: os.EX_TEMPFAIL,
    }
    for kind, code in told.items():
        error = kind("message", "hint")
        assert (error.exit_code, error.message, error.hint) == (code, "message", "hint")
        assert str(error) == "message"
    assert ColdchainError("our bug").exit_code == os.EX_SOFTWARE
    hopeless = {kind for kind in told if kind.hopeless}
    assert hopeless == {errors.UsageError, errors.NoProgram}


@pytest.mark.parametrize("durable", [True, False])
def test_a_directory_that_is_kept_is_left_when_its_path_leads_elsewhere(
    tmp_path: Path, durable: bool
) -> None:
    folder, old = tmp_path / "folder", tmp_path / "old"
    kept = TrustedFolder(folder)
    for number, moved in enumerate([old, None]):
        with pytest.raises(CannotWrite):
            write_atomically(folder / "file", b"lost", durable=durable, kept=kept)
        folder.mkdir()
        write_atomically(folder / "file", b"%d" % number, durable=durable, kept=kept)
        if moved is not None:
            folder.rename(moved)
    assert ((old / "file").read_bytes(), (folder / "file").read_bytes()) == (b"0", b"1")
