# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits and pauses of a run that another runner goes on with: after a reboot, under a set clock.

A run is loaded as a restarted runner does it; which of its limits is due tells wake_at.
"""

from __future__ import annotations

import json
import os
import select
import time
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from coldchain.core.errors import Unavailable
from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.execution import launch
from coldchain.execution.command import Command
from coldchain.execution.run import Cause, JobRun

HOUR = 3600.0


class Place:
    """A home with one run of one job in it."""

    def __init__(self, home: Path) -> None:
        self.paths = Paths.under(home)
        self.paths.create()
        self.settings = Settings.load(self.paths)

    def begin(self, *actions: dict[str, Any], **fields: Any) -> JobRun:
        entries = [
            {"freezer_action": {"action": "exec", "command": ["false"]}, **action}
            for action in actions or ({},)
        ]
        document = {"job_id": "j", "job_actions": entries, **fields}
        cause = Cause("schedule", "2026-05-01T00:00:00+00:00")
        return JobRun.create(self.paths, self.settings, "j", document, cause)

    def kept(self, run: JobRun) -> dict[str, Any]:
        kept: dict[str, Any] = json.loads((run.directory / "run.json").read_text())
        return kept

    def load(self, run: JobRun, kept: dict[str, Any]) -> JobRun:
        (run.directory / "run.json").write_text(json.dumps(kept))
        return JobRun.load(self.paths, self.settings, run.directory)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    tmp_path.chmod(0o700)
    return Place(tmp_path)


PAUSING = {"max_retries": 3, "max_retries_interval": 100 * int(HOUR)}


def failed_once(kept: dict[str, Any], ended: float) -> None:
    """As if the first attempt of the only action had failed at *ended*."""
    kept["progress"]["attempts"] = [[["fail", 1, ended]]]


def left(run: JobRun) -> float:
    """Hours until the run wants to be looked at; 0 when its limit has ended it."""
    run.advance()
    if run.result is not None:
        assert run.result == "fail" and "max_duration" in run.record["reason"]
        return 0.0
    assert run.wake_at is not None
    return round((run.wake_at - time.monotonic()) / HOUR, 2)


@pytest.mark.parametrize(
    ("ago", "hours"),
    [(0.0, 3.0), (1.0, 2.0), (2.5, 0.5), (3.5, 0.0), (-5.0, 3.0)],
)
def test_after_a_reboot_the_limit_counts_by_the_clock(
    place: Place, ago: float, hours: float
) -> None:
    run = place.begin(PAUSING, max_duration="3 hours")
    kept = place.kept(run)
    failed_once(kept, time.time())
    kept["record"]["time_started"] = time.time() - ago * HOUR
    kept["progress"].update(boot="another", began=time.monotonic() - 50 * HOUR)
    assert left(place.load(run, kept)) == hours


@pytest.mark.parametrize(("ago", "hours"), [(0.0, 3.0), (1.0, 2.0), (3.5, 0.0)])
@pytest.mark.parametrize("clock", [-50.0, 50.0])
def test_in_the_same_boot_no_set_clock_moves_the_limit(
    place: Place, ago: float, hours: float, clock: float
) -> None:
    run = place.begin(PAUSING, max_duration="3 hours")
    kept = place.kept(run)
    failed_once(kept, time.time())
    kept["record"]["time_started"] = time.time() + clock * HOUR
    kept["progress"]["began"] -= ago * HOUR
    assert left(place.load(run, kept)) == hours


@pytest.mark.parametrize(
    ("ended", "hours"),
    [
        (0.0, 100.0),
        (-40.0, 60.0),
        (40.0, 100.0),  # the clock was set back meanwhile: not a minute more than a whole pause
        (1e6, 100.0),
    ],
)
def test_a_pause_goes_on_where_it_was_and_is_never_longer(
    place: Place, ended: float, hours: float
) -> None:
    run = place.begin(PAUSING)
    kept = place.kept(run)
    failed_once(kept, time.time() + ended * HOUR)
    assert left(place.load(run, kept)) == hours


def test_a_pause_that_grows_is_never_longer_than_its_own_length(place: Place) -> None:
    run = place.begin({**PAUSING, "retry_backoff": 3.0})
    kept = place.kept(run)
    ended = time.time() + 1e6  # the clock was set back
    kept["progress"]["attempts"] = [[["fail", 1, ended], ["fail", 1, ended]]]
    assert left(place.load(run, kept)) == 300.0


def test_a_pause_that_is_over_lets_the_next_attempt_begin(place: Place) -> None:
    run = place.begin(PAUSING)
    kept = place.kept(run)
    failed_once(kept, time.time() - 101 * HOUR)
    loaded = place.load(run, kept)
    loaded.advance()
    assert loaded.process is not None and loaded.wake_at is None
    os.waitid(os.P_PIDFD, loaded.process.pidfd, os.WEXITED | os.WNOWAIT)
    loaded.finished()
    assert len(loaded.progress.attempts[0]) == 2


def test_a_clean_up_that_cannot_be_started_holds_no_run_up(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*dummy: Any) -> Any:
        raise Unavailable("no program for it", "install it")

    monkeypatch.setattr(launch, "clean_up_of", refuse)
    run = place.begin()
    kept = place.kept(run)
    failed_once(kept, time.time())
    kept["progress"]["uncleaned"] = [0, 1]
    loaded = place.load(run, kept)
    loaded.advance()
    assert loaded.result == "fail"
    told = loaded.progress.actions[0]["clean_up"]
    assert told == {"result": "fail", "message": "could not be started: no program for it"}


def test_a_clean_up_whose_wrapper_is_killed_is_not_begun_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = place.paths.home / "begun"
    line = f"echo once >>{begun}; kill -9 $PPID"
    made = Command(("/bin/sh", "-c", line), {}, None)
    monkeypatch.setattr(launch, "clean_up_of", lambda *dummy: made)
    run = place.begin()
    kept = place.kept(run)
    failed_once(kept, time.time())
    kept["progress"]["uncleaned"] = [0, 1]
    loaded = place.load(run, kept)
    loaded.advance()

    def over() -> bool:
        if loaded.pidfd is not None and select.select([loaded.pidfd], [], [], 0.02)[0]:
            loaded.finished()
        loaded.advance()
        return loaded.result is not None

    until(over)
    assert begun.read_text() == "once\n"
    told = loaded.progress.actions[0]["clean_up"]
    assert told == {"result": "fail", "message": "was killed together with its wrapper"}


def test_while_it_waits_no_set_clock_makes_the_pause_shorter_or_longer(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = place.begin(PAUSING)
    kept = place.kept(run)
    failed_once(kept, time.time())
    loaded = place.load(run, kept)
    assert left(loaded) == 100.0
    real = time.time
    for hours in (-1000.0, 1000.0):
        monkeypatch.setattr(time, "time", lambda hours=hours: real() + hours * HOUR)
        assert left(loaded) == 100.0


def test_a_jitter_is_kept_whole_and_drawn_once(place: Place) -> None:
    jittery = {"max_retries": 1, "max_retries_interval": int(HOUR), "retry_jitter": "100 hours"}
    pauses = []
    for dummy in range(40):
        run = place.begin(jittery)
        kept = place.kept(run)
        failed_once(kept, time.time() + 5.0)  # set back a little, as time servers do
        pauses.append(left(place.load(run, kept)))
        assert left(place.load(run, kept)) == pytest.approx(pauses[-1], abs=0.02)
    assert min(pauses) >= 1.0 and max(pauses) <= 101.0
    assert max(pauses) - min(pauses) > 50.0


def test_a_limit_is_not_forgotten_while_an_action_runs(place: Place) -> None:
    action = {"freezer_action": {"action": "exec", "command": ["sleep", "3600"]}}
    run = place.begin(action, max_duration="3 hours")
    for dummy in range(3):  # whatever else it is looked at for
        assert left(run) == 3.0
    run.end("a test")
    assert run.wake_at is not None
    for dummy in range(3):
        assert left(run) < 0.1, "the grace"
        assert run.wake_at is not None and run.wake_at > time.monotonic() - 1
    run.end("a test", kill=True)
    assert run.process is not None

    def over() -> bool:
        ended = bool(select.select([run.pidfd], [], [], 0.05)[0])
        # As the runner does: what began meanwhile is killed in the next round.
        if not ended and run.wake_at is not None and run.wake_at <= time.monotonic():
            run.advance()
        return ended

    until(over)
    run.finished()
    run.advance()
    assert run.result == "aborted" and run.wake_at is None


@pytest.mark.parametrize(
    ("mandatory", "killed", "told"),
    [(False, False, True), (True, False, False), (True, True, True)],
)
def test_an_abort_that_is_on_record_and_was_not_told_is_told_by_the_next_runner(
    place: Place, mandatory: bool, killed: bool, told: bool
) -> None:
    action = {"freezer_action": {"action": "exec", "command": ["sleep", "3600"]}}
    run = place.begin({**action, "mandatory": mandatory})
    run.advance()
    assert run.process is not None
    until(run.process.begun)
    kept = place.kept(run)
    kept["progress"].update(aborted="because", abort_result="aborted", killed=killed)
    loaded = place.load(run, kept)
    assert (loaded.wake_at is not None) is told, "the grace"
    if not told:
        run.process.kill()
    until(lambda: select.select([loaded.pidfd], [], [], 0.02)[0])
    loaded.finished()
    loaded.advance()
    assert (loaded.result, loaded.record["reason"]) == ("aborted", "because")
    message = loaded.progress.actions[0]["message"]
    assert message == ("because" if told else "killed by SIGKILL (exit code 137)")
