# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A wall clock that is set under a real runner: no double run, no flood, and a line in the log."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from homes import Home, document

FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)

pytestmark = pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime to set a clock")

Set = Callable[[str], None]


@pytest.fixture
def set_clock(home: Home, tmp_path: Path) -> Set:
    """Starts the runner; the returned function sets its clock to an offset, such as "-1h"."""
    offset = tmp_path / "offset"

    def change(text: str) -> None:
        fresh = offset.with_suffix(".new")
        fresh.write_text(f"{text}\n")
        fresh.rename(offset)

    change("+0")
    home.start(
        "env", f"LD_PRELOAD={FAKETIME}", f"FAKETIME_TIMESTAMP_FILE={offset}", "FAKETIME_NO_CACHE=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1",
    )  # fmt: skip
    return change


def slots(home: Home, job_id: str) -> list[str]:
    return [run["scheduled_for"] for run in home.runs(job_id)]


def no_slot_twice(home: Home, job_id: str) -> bool:
    found = slots(home, job_id)
    return len(set(found)) == len(found)


def test_set_back_an_hour_and_forward_again(home: Home, set_clock: Set) -> None:
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


def test_forward_a_year(home: Home, set_clock: Set) -> None:
    home.run("apply", "-", given=document("j", schedule={"schedule_interval": "10 minutes"}))
    home.run("apply", "-", given=document("daily", schedule={"schedule_interval": "1 days"}))
    home.until(lambda: home.job("daily")["next_run"])
    set_clock("+365d")
    home.until(lambda: "the clock was set by +31536000 s" in home.log())
    (run,) = home.until(lambda: slots(home, "j") and home.runs("j"))
    assert run["cause"] in ("catch-up", "schedule")
    time.sleep(2)
    assert len(slots(home, "j")) == 1 and len(slots(home, "daily")) <= 1, "one, not 52,560"
    set_clock("+0")
    home.until(lambda: "the clock was set by -31536000 s" in home.log())
    assert home.run("event", "j", "start", "--wait", "--timeout", "300")[0] == 0


def test_what_ntp_corrects_is_not_worth_a_word(home: Home, set_clock: Set) -> None:
    home.run("apply", "-", given=document("j", schedule={"schedule_interval": "1 seconds"}))
    home.until(lambda: slots(home, "j"))
    for text in ("+0.9", "-0.9", "+0"):
        set_clock(text)
        time.sleep(1.2)
    home.until(lambda: len(slots(home, "j")) >= 4)
    assert no_slot_twice(home, "j")
    assert "the clock was set" not in home.log()
