# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A wall clock that is set under a real runner: no double run, no flood, and a line in the log."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from homes import Home, document

from coldchain.core.paths import Paths
from coldchain.store import Store

FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)

pytestmark = pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime to set a clock")


class Clock:
    """The wall clock of a runner, as an offset such as "-1h" to the real one."""

    def __init__(self, home: Home, offset: Path, text: str = "+0") -> None:
        self._home, self._offset = home, offset
        self.prefix = (
            "env", f"LD_PRELOAD={FAKETIME}", f"FAKETIME_TIMESTAMP_FILE={offset}",
            "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1",
        )  # fmt: skip
        self(text)
        self.start()

    def __call__(self, text: str) -> None:
        new = self._offset.with_suffix(".new")
        new.write_text(f"{text}\n")
        new.rename(self._offset)

    def start(self) -> None:
        """Start the runner."""
        self._home.start(*self.prefix)

    def boot(self, text: str) -> None:
        """As if the host had been off, and had come up with its clock at that offset."""
        self._home.stop()
        store = Store.open(Paths.under(self._home.path), create=False)
        mark = store.clock_mark()
        assert mark is not None
        store.commit_states({}, None, {**mark, "boot": "another"})
        store.close()
        self.__call__(text)
        self.start()


@pytest.fixture
def set_clock(home: Home, tmp_path: Path) -> Clock:
    """Starts the runner; called with an offset, it sets that runner's clock."""
    return Clock(home, tmp_path / "offset")


def slots(home: Home, job_id: str) -> list[str]:
    return [run["scheduled_for"] for run in home.runs(job_id)]


def no_slot_twice(home: Home, job_id: str) -> bool:
    found = slots(home, job_id)
    return len(set(found)) == len(found)


def test_set_back_an_hour_and_forward_again(home: Home, set_clock: Clock) -> None:
    home.run("apply", "-", given=document("j", schedule={"schedule_interval": "1 seconds"}))
    home.until(lambda: slots(home, "j"))
    set_clock("-1h")
    home.until(lambda: "the clock was set by -3600 s" in home.log())
    home.until(lambda: home.job("j")["status"] == "scheduled")  # the last run is on record
    before = slots(home, "j")
    time.sleep(2.5)
    assert slots(home, "j") == before, "these slots have had their runs"
    set_clock("+0")
    home.until(lambda: "the clock was set by +3600 s" in home.log())
    home.until(lambda: len(slots(home, "j")) > len(before))
    assert no_slot_twice(home, "j")


def test_forward_a_year(home: Home, set_clock: Clock) -> None:
    schedules = {"j": "10 minutes", "daily": "1 days"}
    many = [document(name, schedule={"schedule_interval": x}) for name, x in schedules.items()]
    home.run("apply", "-", given=many)
    # One that has never run would count from the new time.
    assert home.run("event", "j", "start", "--wait", "--timeout", "300")[0] == 0
    set_clock("+365d")
    home.until(lambda: "the clock was set by +31536000 s" in home.log())
    home.until(lambda: len(slots(home, "j")) > 1)
    time.sleep(2)
    runs = home.runs("j")
    assert sorted(run["cause"] == "event" for run in runs) == [False, True], "one, not 52,560"
    assert {run["cause"] for run in runs} & {"catch-up", "schedule"}
    assert len(slots(home, "daily")) <= 1
    set_clock("+0")
    home.until(lambda: "the clock was set by -31536000 s" in home.log())
    assert home.run("event", "j", "start", "--wait", "--timeout", "300")[0] == 0


def test_what_ntp_corrects_is_not_worth_a_word(home: Home, set_clock: Clock) -> None:
    home.run("apply", "-", given=document("j", schedule={"schedule_interval": "1 seconds"}))
    home.until(lambda: slots(home, "j"))
    for text in ("+0.9", "-0.9", "+0"):
        set_clock(text)
        time.sleep(1.2)
    home.until(lambda: len(slots(home, "j")) >= 4)
    assert no_slot_twice(home, "j")
    assert "the clock was set" not in home.log()


@pytest.mark.parametrize("boot", [False, True], ids=["set", "after a boot"])
@pytest.mark.parametrize("step", ["-1h", "+1h", "-1d", "+1d", "-700d", "+700d"])
def test_a_wrong_clock_and_its_correction_cost_no_slot_and_no_date(
    home: Home, set_clock: Clock, step: str, boot: bool
) -> None:
    date = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=9)
    once = {"schedule_date": date.isoformat()}
    often, daily = {"schedule_second": "*/2"}, {"schedule_interval": "1 days"}
    schedules = {"date": once, "j": often, "daily": daily}
    many = [document(name, schedule=schedule) for name, schedule in schedules.items()]
    home.run("apply", "-", given=many)
    home.until(lambda: slots(home, "j"))
    grid = home.job("daily")["next_run"]
    if boot:
        set_clock.boot(step)
    else:
        set_clock(step)
        home.until(lambda: "the clock was set by" in home.log())
    time.sleep(1.5)
    set_clock("+0")
    home.until(lambda: "looking at every job again" in home.log().rpartition("runner ready")[2])
    known = len(slots(home, "j"))
    home.until(lambda: len(slots(home, "j")) > known)
    assert no_slot_twice(home, "j")
    assert home.job("date")["next_run"] == date.isoformat(), "it is not given up"
    if slots(home, "daily") != [grid]:  # by a clock that is a day ahead it was due, and has run
        assert home.job("daily")["next_run"] == grid, "its grid has not moved"
    assert slots(home, "date") == []
    skipped = home.run("history", "date")[1]["skipped"]
    assert all("the clock was set by" in group["reason"] for group in skipped), skipped
    if boot:
        assert slots(home, "daily") == skipped == [], "nothing was decided by that clock"


def test_jobs_that_come_before_the_time_count_from_it(home: Home, tmp_path: Path) -> None:
    clock = Clock(home, tmp_path / "offset", "-20500d")
    schedules = {"interval": {"schedule_interval": "1 hours"}, "cron": {"schedule_hour": "*/2"}}
    many = [document(name, schedule=schedule) for name, schedule in schedules.items()]
    assert home.run("apply", "-", given=many, prefix=clock.prefix)[0] == 0
    home.until(lambda: all(job["next_run"] for job in home.run("list")[1]["jobs"]))
    clock("+0")
    home.until(lambda: "the clock was set by" in home.log())
    home.until(lambda: all(job["next_run"] > "2026" for job in home.run("list")[1]["jobs"]))
    assert "skipped" not in home.log()
    assert home.log().count("counts from now, as it was declared by a wrong clock") == 2
    assert [job["state"] for job in home.run("status")[1]["jobs"]] == ["ok", "ok"]
