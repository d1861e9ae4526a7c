# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody removed or damaged of our own files is made again, and told, and stops no job."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import pytest

DAMAGES = [b"", b"garbage", b"{}", b"[1, 2]", b'{"_format":{"1":{"kind":"events"}}', b"\x00" * 512]


def test_a_removed_directory_of_runs_is_made_again(host: Any) -> None:
    host.declare("j", "true")
    host.start()
    host.runs("j")
    host.until(lambda: not any(host.paths.runs.iterdir()))  # the last that becomes of a run
    shutil.rmtree(host.paths.runs)
    host.event("j", "start")
    host.runs("j", 2)
    host.settled("j")
    assert host.paths.runs.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("raw", DAMAGES)
@pytest.mark.parametrize("previous", [False, True], ids=["alone", "with the one before"])
def test_damaged_requests_are_put_aside_and_told_and_the_runner_starts(
    host: Any, caplog: pytest.LogCaptureFixture, raw: bytes, previous: bool
) -> None:
    host.declare("j", "true", schedule={"schedule_interval": "1 days"})
    host.event("j", "stop")
    before: Path = host.paths.events.with_name("events.json.previous")
    before.unlink(missing_ok=True)
    host.paths.events.write_bytes(raw)
    if previous:
        before.write_bytes(raw)
    host.start()
    host.until(lambda: host.state("j").next_run)
    (aside,) = host.paths.lib.glob("events.json.damaged-*")
    assert aside.read_bytes() == raw
    assert "the events in it are lost" in caplog.text and str(aside) in caplog.text
    host.event("j", "start")
    host.runs("j")


def test_requests_that_are_damaged_under_a_runner_stop_nothing(host: Any) -> None:
    host.declare("j", "true", schedule={"schedule_interval": "1 days"})
    host.start()
    host.until(lambda: host.state("j").next_run)
    host.paths.events.with_name("events.json.previous").unlink(missing_ok=True)
    host.paths.events.write_bytes(b"garbage")
    host.declare("k", "true")
    host.runs("k")
    host.event("j", "start")
    host.runs("j")


def test_requests_of_the_generation_before_a_damage_are_not_done_twice(host: Any) -> None:
    host.declare("j", "true", schedule={"schedule_interval": "1 days"})
    host.start()
    host.event("j", "start")
    host.runs("j")
    host.until(lambda: not host.store.pending_events() and not host.store.acted_on())
    host.paths.events.write_bytes(b"garbage")  # the one before holds the start of j
    for count in (1, 2):
        host.declare("k", "true", schedule={"schedule_interval": "1 days"})
        host.event("k", "start")
        host.runs("k", count)
        host.settled("k", "scheduled")
    assert len(host.store.history("j", 9)) == 1


@pytest.mark.parametrize("raw", [*DAMAGES, None])
@pytest.mark.parametrize("both", [False, True], ids=["alone", "with the one before"])
def test_a_state_that_is_damaged_under_an_idle_runner_is_written_again_whole(
    host: Any, raw: bytes | None, both: bool
) -> None:
    """The generation before has a job that was removed, and another one as running."""
    for job_id in ("gone", "j"):
        host.declare(job_id, "true", schedule={"schedule_interval": "1 days"})
    host.start()
    host.until(lambda: len(host.store.states()) == 2)
    host.event("j", "start")
    host.runs("j")
    host.store.remove_declaration("gone")
    host.until(lambda: list(host.store.states()) == ["j"])
    known, entries = host.settled("j", "scheduled"), host.store.ledger_entries()
    before = host.paths.state.stat().st_ino
    for path in (host.paths.state, host.paths.state.with_name("state.json.previous"))[: 1 + both]:
        if raw is None:
            path.unlink()
        else:
            path.write_bytes(raw)
    host.store.wake()

    def written() -> bool:
        with contextlib.suppress(FileNotFoundError):
            return bool(host.paths.state.stat().st_ino != before)
        return False

    host.until(written)
    assert dict(host.store.states()) == {"j": known}
    assert host.store.ledger_entries() >= entries and host.store.clock_mark()
