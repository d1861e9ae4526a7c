# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd and the command hear of a runner, and what a runner hears of its host."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from coldchain import __version__
from coldchain.core.errors import CannotWrite
from coldchain.core.paths import Paths
from coldchain.runner import daemon, lock, presence, serving, trigger_cache
from coldchain.runner.systemd import notify, watchdog_period
from coldchain.runner.wake import Wake
from coldchain.schedule import Trigger


@pytest.mark.parametrize("abstract", [True, False])
def test_systemd_hears_at_its_socket_whatever_kind_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    name = f"coldchain-test-{os.getpid()}"
    address = f"@{name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}" if abstract else address)
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", "")
        notify("READY=1")
        with pytest.raises(BlockingIOError):
            manager.recv(64)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notify("READY=1")
        assert manager.recv(64) == b"READY=1"
    notify("nobody hears it any more")


@pytest.mark.parametrize(
    ("text", "period"),
    [("30000000", 15.0), ("1", 5e-07), ("0", None), ("", None), ("-5", None), ("soon", None)],
)
def test_a_watchdog_is_fed_twice_in_its_time(
    monkeypatch: pytest.MonkeyPatch, text: str, period: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", text)
    assert watchdog_period() == period
    monkeypatch.delenv("WATCHDOG_USEC")
    assert watchdog_period() is None


def test_who_calls_is_heard_once_however_long_the_path(tmp_path: Path) -> None:
    path = tmp_path / ("d" * 100) / ("e" * 100) / "wake"
    path.parent.mkdir(parents=True)
    path.write_text("left by a runner that was killed")
    wake = Wake(path)
    assert path.stat().st_mode & 0o777 == 0o600
    wake.drain()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as caller:
        folder = os.open(path.parent, os.O_RDONLY)
        caller.connect(f"/proc/self/fd/{folder}/wake")
        for _call in range(3):
            caller.send(b"w" * 64)
        wake.drain()
        with pytest.raises(BlockingIOError):
            wake.socket.recv(1)
        os.close(folder)
    wake.close(keep=True)
    assert path.exists()
    Wake(path).close(keep=False)
    assert not path.exists()
    with pytest.raises(CannotWrite, match="wake"):
        Wake(tmp_path / "none" / "wake")


def test_a_runner_that_cannot_tell_that_it_is_there_works_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.chmod(0o700)
    paths = Paths.under(tmp_path)
    paths.create()
    paths.runner.mkdir()  # in the way
    serving._tell_presence(paths)
    assert f"{paths.runner}: cannot be written" in caplog.text


def test_a_runner_is_present_as_long_as_it_holds_its_lock(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    paths = Paths.under(tmp_path)
    paths.create()
    assert presence.look(paths) == presence.Presence(False)
    held = lock.acquire(paths)
    try:
        assert presence.look(paths) == presence.Presence(True), "it has not told yet"
        begun = time.time()
        presence.tell(paths)
        found = presence.look(paths)
        assert (found.alive, found.version) == (True, __version__)
        assert found.since is not None and begun - 1 < found.since <= time.time() + 0.001
        for text in ("{", "[]", '{"version": "1"}', '{"version": "1", "since": "x"}'):
            paths.runner.write_text(text)
            assert presence.look(paths) == presence.Presence(True)
        paths.runner.write_text(json.dumps({"version": "9", "since": 1795000000.75}))
        told = {"alive": True, "version": "9", "since": "2026-11-18T11:06:40+00:00"}
        assert presence.look(paths).as_dict() == told
    finally:
        os.close(held)
    assert presence.look(paths).as_dict() == {"alive": False, "version": None, "since": None}


def test_a_zone_that_a_package_brings_is_used_without_a_restart(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought, build = threading.Event(), trigger_cache.build

    def as_far_as_known(*words: Any) -> Trigger:
        if not brought.is_set():
            raise ValueError("there is no time zone Mars/Base")
        return build(*words)

    monkeypatch.setattr(trigger_cache, "build", as_far_as_known)
    monkeypatch.setattr(daemon, "UNUSABLE_AGAIN", 0.05)
    host.declare("j", "true")
    host.start()
    host.until(lambda: host.state("j").unusable)
    state = host.state("j")
    assert state.unusable == "there is no time zone Mars/Base" and state.status == "stop"
    assert host.store.history("j", 9) == []
    brought.set()
    host.store.wake()
    assert host.runs("j")[0]["result"] == "success"
    assert host.settled("j").unusable == ""
