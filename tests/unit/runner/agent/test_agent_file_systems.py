# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems as they are: without locks, without fsync of a directory, under any umask."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_bench import Bench

from coldchain.agent.storages.local import LocalStorage
from coldchain.core.errors import REMEDIES, CannotWrite, TryAgain, from_os_error
from coldchain.core.locks import NoLocks

LOCK = "host_docs"


@pytest.fixture
def no_locks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets flock fail for all that lies in the container, and for it alone."""
    flock = fcntl.flock

    def begin(number: int) -> None:
        def fail(descriptor: int, operation: int) -> None:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
            if path.startswith((f"{bench.container}/", f"{bench.root}/.coldchain-restore-")):
                raise OSError(number, os.strerror(number))
            flock(descriptor, operation)

        monkeypatch.setattr(fcntl, "flock", fail)

    return begin


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_container_without_locks_is_used_under_one_of_the_host(
    bench: Bench, no_locks: Callable[[int], None], number: int
) -> None:
    (bench.source / "f").write_text("content")
    no_locks(number)
    bench.backup()
    bench.restore()
    assert (bench.target / "f").read_text() == "content"
    locks = bench.root / ".coldchain" / "locks"
    with (
        LocalStorage(bench.container, locks).lock(LOCK),
        pytest.raises(TryAgain, match="another process is writing host_docs"),
    ):
        bench.backup()


def test_where_there_is_no_lock_at_all_the_way_out_is_told(
    bench: Bench, no_locks: Callable[[int], None]
) -> None:
    no_locks(errno.ENOLCK)
    with pytest.raises(NoLocks) as caught, LocalStorage(bench.container).lock(LOCK):
        pass
    assert str(bench.container) in caught.value.message
    assert "nolock" in caught.value.hint


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_sync_a_directory_is_good_enough(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    fsync = os.fsync

    def fail(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    (bench.source / "f").write_text("content")
    bench.backup()
    bench.restore()
    assert (bench.target / "f").read_text() == "content"


def test_a_directory_that_the_disk_cannot_sync_is_an_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def fail(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    (bench.source / "f").write_text("content")
    with pytest.raises(CannotWrite) as caught:
        bench.backup()
    assert caught.value.hint == REMEDIES[errno.EIO]


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_a_container_is_private_whatever_the_umask_is(bench: Bench, umask: int) -> None:
    (bench.source / "f").write_text("content")
    before = os.umask(umask)
    try:
        bench.level()
        bench.level()
    finally:
        os.umask(before)
    open_to_others = [
        str(path)
        for path in [bench.container, *bench.container.rglob("*")]
        if path.lstat().st_mode & 0o077
    ]
    assert open_to_others == []


@pytest.mark.parametrize("number", sorted(filter(None, REMEDIES)))
def test_an_error_of_the_machine_is_told_with_its_own_way_out(number: int) -> None:
    error = OSError(number, os.strerror(number), "/srv/x")
    told = from_os_error(error)
    if told is not None:
        assert told.message == f"/srv/x: {os.strerror(number)}"
        assert told.hint == REMEDIES[number]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOENT, errno.EEXIST, errno.ESRCH])
def test_an_error_that_may_be_ours_is_not_the_machines(number: int) -> None:
    assert from_os_error(OSError(number, os.strerror(number), str(Path("/x")))) is None
