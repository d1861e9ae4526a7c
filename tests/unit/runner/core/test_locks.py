# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One process holds a lock; the others wait within their limit, or ask without disturbing it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from waiting import joined

from coldchain.core.errors import CannotWrite
from coldchain.core.locks import is_locked, lock_within, open_lock


@contextmanager
def held(path: Path) -> Iterator[int]:
    """The lock of *path*, held by a process that can be killed; its pid."""
    ready, tell = os.pipe()
    child = os.fork()
    if not child:
        try:
            lock_within(open_lock(path))
            os.write(tell, b"x")
            time.sleep(60)
        finally:
            os._exit(0)
    os.close(tell)
    try:
        assert os.read(ready, 1) == b"x"
        yield child
    finally:
        os.close(ready)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_lock_is_waited_for_within_the_limit_and_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held(path):
        other = open_lock(path)
        begun = time.monotonic()
        assert not lock_within(other)
        assert not lock_within(other, 0.2)
        assert 0.2 <= time.monotonic() - begun < 2
    assert lock_within(other)
    os.close(other)


def test_the_lock_of_a_killed_process_is_free_for_who_waits(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held(path) as holder:
        killer = threading.Timer(0.2, os.kill, (holder, signal.SIGKILL))
        killer.start()
        other = open_lock(path)
        begun = time.monotonic()
        assert lock_within(other, 30)
        assert time.monotonic() - begun < 3
        joined(killer)
    os.close(other)


def test_asking_takes_nothing_away(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path)
    assert not path.exists()
    with held(path):
        assert is_locked(path)
        assert is_locked(path)
    assert not is_locked(path)
    descriptor = open_lock(path)
    assert lock_within(descriptor)
    os.close(descriptor)


def test_a_lock_file_is_private_and_no_link(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    os.close(open_lock(path))
    assert path.stat().st_mode & 0o777 == 0o600
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CannotWrite, match="link"):
        open_lock(link)
    assert not (tmp_path / "elsewhere").exists()
