# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which slots a job has: none before its declaration, none while it was stopped, each one once.

Also when the clock is wrong: behind or ahead after a boot, or set under a runner.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from virtual_host import MONDAY, ImitatedRun, VirtualHost, virtual_host

from coldchain.core.instants import from_epoch, iso
from coldchain.runner.active import STOPPED
from coldchain.runner.outlook import NO_RUNNER_YET
from coldchain.runner.protection import OK, judge
from coldchain.runner.runs_to_come import runs_to_come

HOUR, DAY = 3600.0, 86400.0


@pytest.fixture
def host(tmp_path: Path) -> Iterator[VirtualHost]:
    with virtual_host(tmp_path) as made:
        yield made


def at(seconds: float) -> str:
    """So many seconds after Monday's midnight, as a document has it."""
    return iso(from_epoch(int(MONDAY + seconds)))


def slots(host: VirtualHost, job_id: str = "j") -> list[str]:
    """Of the finished runs, as day of the week and time."""
    return [f"{_instant(run):%a %H:%M}" for run in host.runs(job_id)]


def _instant(run: dict[str, Any]) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(run["scheduled_for"])


def once_each(host: VirtualHost, job_id: str = "j") -> bool:
    return max(Counter(run["scheduled_for"] for run in host.runs(job_id)).values(), default=1) == 1


# -- declarations --------------------------------------------------------------------------------


def test_a_date_that_was_over_when_it_was_declared_is_not_missed(host: VirtualHost) -> None:
    host.start()
    host.declare("j", schedule_date=at(-600.0))
    assert host.foreseen("j", host.now + 7 * DAY) == []
    host.pass_time(DAY)
    assert slots(host) == [] and host.skipped("j") == []
    assert host.state("j").stopped_by["what"] == "over"


def test_a_date_that_passed_while_the_runner_was_down_is_made_up_for(host: VirtualHost) -> None:
    host.declare("j", schedule_date=at(600.0))
    host.pass_time(1200.0)
    assert [coming.cause for coming in host.foreseen("j", host.now)] == ["catch-up"]
    host.start()
    host.pass_time(1.0)
    assert slots(host) == ["Mon 00:10"]


@pytest.mark.parametrize("how", ["declaration", "event", "start, then declaration"])
@pytest.mark.parametrize("schedule", [{"schedule_date": at(600.0)}, {"schedule_minute": "10"}])
def test_a_stop_that_is_over_before_the_splay_costs_no_run(
    host: VirtualHost, schedule: dict[str, Any], how: str
) -> None:
    schedule = {**schedule, "schedule_splay": "40 minutes"}
    host.start()
    host.declare("j", **schedule)
    begin = next(runs_to_come(host.outlook("j"), host.now)).at.timestamp()
    assert begin > MONDAY + 620.0, "the slot is over before its run begins"
    host.pass_time(MONDAY + 605.0 - host.now)
    if how == "event":
        host.event("j", "stop")
        host.event("j", "start")
    else:
        host.declare("j", **schedule, status="stop")
        if how != "declaration":
            host.event("j", "start")
        host.declare("j", **schedule)
    (coming,) = host.foreseen("j", begin)
    assert coming.at.timestamp() == begin
    host.pass_time(begin + 1.0 - host.now)
    assert slots(host) == ["Mon 00:10"]


@pytest.mark.parametrize("schedule", [{}, {"schedule_date": at(600.0)}])
def test_a_finished_one_shot_that_is_declared_again_does_not_run_again(
    host: VirtualHost, schedule: dict[str, Any]
) -> None:
    host.start()
    host.declare("j", **schedule)
    host.pass_time(HOUR)
    assert len(slots(host)) == 1
    for status in ({"status": "stop"}, {}, {"status": "stop"}, {}):
        host.declare("j", **schedule, **status)
        host.pass_time(60.0)
    assert len(slots(host)) == 1


def test_after_a_removal_a_job_is_new(host: VirtualHost) -> None:
    host.start()
    for expected in (1, 2):
        host.declare("j")
        host.pass_time(60.0)
        assert len(slots(host)) == expected, "without a schedule it runs once"
        host.event("j", "stop")
        host.remove("j")
        host.pass_time(60.0)
    host.declare("k", schedule_date=at(300.0))
    host.pass_time(HOUR)
    host.remove("k")
    host.pass_time(60.0)
    host.declare("k", schedule_date=at(300.0))
    host.pass_time(HOUR)
    assert len(slots(host, "k")) == 1, "its date was over when it was declared again"


def test_a_changed_schedule_counts_from_its_declaration(host: VirtualHost) -> None:
    host.declare("j", schedule_hour="*", missed={"run": "all", "max_age": "100 days"})
    host.start()
    host.pass_time(30 * 60.0)
    ImitatedRun.seconds = 600.0
    host.event("j", "start")
    host.event("j", "stop")
    host.declare("j", schedule_minute="*/10", missed={"run": "all", "max_age": "100 days"})
    host.tick()
    host.event("j", "start")
    host.pass_time(HOUR)
    before = [run for run in host.runs("j") if run["scheduled_for"] < at(30 * 60.0)]
    assert before == [] and host.skipped("j")[:1] != [{}]
    assert slots(host)[0] == "Mon 00:30" and once_each(host)


def test_what_passed_while_the_job_was_stopped_is_not_missed(host: VirtualHost) -> None:
    host.declare("j", schedule_hour="*", missed={"run": "all"})
    host.declare("k", schedule_hour="*", missed={"run": "all"})
    host.start()
    host.pass_time(1800.0)
    host.event("j", "stop")
    host.declare("k", schedule_hour="*", missed={"run": "all"}, status="stop")
    host.pass_time(4 * HOUR + 60.0)
    host.event("j", "start")
    host.stop()
    host.declare("k", schedule_hour="*", missed={"run": "all"})
    host.pass_time(60.0)
    host.start()
    host.pass_time(HOUR)
    for job_id in ("j", "k"):
        assert slots(host, job_id) == ["Mon 05:00"], "at half past four it was started again"
        assert host.skipped(job_id) == []


def test_a_job_without_schedule_that_was_born_stopped_runs_once_enabled(host: VirtualHost) -> None:
    host.declare("j", status="stop")
    host.start()
    host.pass_time(DAY)
    assert slots(host) == []
    host.declare("j")
    host.pass_time(60.0)
    assert len(slots(host)) == 1


def test_all_missed_slots_are_made_up_for_with_the_youngest(host: VirtualHost) -> None:
    host.declare("j", schedule_minute="*/10", missed={"run": "all", "max_age": "1 days"})
    host.pass_time(30 * 60.0 + 5.0)
    ImitatedRun.seconds = 100.0
    host.start()
    host.pass_time(2 * HOUR)
    assert slots(host)[:3] == ["Mon 00:10", "Mon 00:20", "Mon 00:30"]
    assert host.skipped("j") == [] and once_each(host)


def test_what_an_older_state_does_not_know_of_is_in_the_record(host: VirtualHost) -> None:
    host.declare("j", schedule_hour="*", missed={"run": "all", "max_age": "1 days"})
    host.start()
    host.pass_time(HOUR + 60.0)
    older = host.state("j")
    host.pass_time(2 * HOUR)
    host.stop()
    host.store.commit_states({"j": older})  # as after a damaged file
    host.pass_time(HOUR)
    host.start()
    host.pass_time(60.0)
    assert slots(host) == ["Mon 01:00", "Mon 02:00", "Mon 03:00", "Mon 04:00"]
    assert once_each(host)


# -- clocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("behind", [HOUR, DAY, 700 * DAY, 20_000 * DAY])
def test_a_clock_that_is_behind_after_a_boot_is_waited_for(
    host: VirtualHost, behind: float
) -> None:
    host.declare("j", schedule_hour="3")
    host.declare("interval", schedule_interval="7 hours")
    host.start()
    host.pass_time(10 * HOUR)
    host.reboot(off=60.0, clock=-behind)
    host.start()
    host.pass_time(50.0)
    assert host.runner is not None and host.runner._trust.doubted and host.store.clock_doubted()
    assert slots(host) == ["Mon 03:00"] and slots(host, "interval") == ["Mon 07:00"]
    host.set_clock(behind)
    host.pass_time(1.0)
    assert not host.store.clock_doubted()
    host.pass_time(12 * HOUR)
    assert slots(host) == ["Mon 03:00"] and host.skipped("j") == []
    assert slots(host, "interval") == ["Mon 07:00", "Mon 14:00", "Mon 21:00"], "its grid stays"
    assert host.skipped("interval") == []


def test_what_was_missed_while_the_clock_was_waited_for_is_made_up_for(host: VirtualHost) -> None:
    host.declare("j", schedule_hour="3", missed={"run": "skip"})
    host.start()
    host.pass_time(3 * HOUR - 100.0)
    host.reboot(off=70.0, clock=-700 * DAY)
    host.start()
    host.pass_time(60.0)
    host.set_clock(700 * DAY)
    host.pass_time(60.0)
    assert slots(host) == ["Mon 03:00"], "it came while the runner was there, and waited"


def test_a_clock_that_nobody_sets_is_believed_in_the_end(host: VirtualHost) -> None:
    host.set_clock(365 * DAY)
    host.declare("j", schedule_interval="1 hours")
    host.declare("date", schedule_date=at(DAY))
    host.start()
    host.pass_time(2 * HOUR)
    assert host.state("date").stopped_by["what"] == "over", "a year ago, as it seems"
    before = len(slots(host))
    host.reboot(off=60.0, clock=-365 * DAY)  # it was ahead, and is set right while the host is off
    host.start()
    host.pass_time(2 * DAY)
    assert len(slots(host)) - before >= 40, "it does not wait for next year"
    assert slots(host, "date") == ["Tue 00:00"], "no date is given up"
    host.reboot(off=60.0)
    host.start()
    assert host.runner is not None and not host.runner._trust.doubted, "once is enough"


def test_a_clock_that_is_ahead_after_a_boot_and_set_right_soon_does_no_harm(
    host: VirtualHost,
) -> None:
    host.declare("j", schedule_hour="3", missed={"run": "all"})
    host.declare("date", schedule_date=at(DAY))
    host.start()
    host.pass_time(4 * HOUR)
    host.reboot(off=60.0, clock=365 * DAY)
    host.start()
    host.pass_time(30.0)
    host.set_clock(-365 * DAY)
    host.pass_time(2 * DAY)
    assert slots(host) == ["Mon 03:00", "Tue 03:00", "Wed 03:00"]
    assert host.skipped("j") == [] and slots(host, "date") == ["Tue 00:00"]


def test_what_was_declared_by_a_clock_that_was_behind_counts_from_its_correction(
    host: VirtualHost,
) -> None:
    host.declare("other", schedule_hour="5")
    host.start()
    host.pass_time(HOUR)
    host.reboot(off=60.0, clock=-700 * DAY)
    host.start()
    host.declare("j", schedule_hour="*/6", missed={"run": "all"})
    host.declare("once")
    host.pass_time(30.0)
    assert slots(host, "once") == [], "decisions wait"
    host.set_clock(700 * DAY)
    host.pass_time(12 * HOUR)
    assert slots(host) == ["Mon 06:00", "Mon 12:00"] and host.skipped("j") == []
    assert len(slots(host, "once")) == 1


def test_a_host_that_was_off_for_long_makes_up_for_what_it_missed(host: VirtualHost) -> None:
    host.declare("j", schedule_hour="3", missed={"max_age": "1 days"})
    host.start()
    host.pass_time(4 * HOUR)
    host.reboot(off=4 * DAY)
    host.start()
    host.pass_time(90.0)
    assert slots(host) == ["Mon 03:00", "Fri 03:00"]
    assert [group["skipped"] for group in host.skipped("j")] == [3]


@pytest.mark.parametrize("boot", [False, True], ids=["set", "after a boot"])
@pytest.mark.parametrize("back", [20_500 * DAY, 700 * DAY, 90 * DAY, 2 * DAY])
def test_a_first_declaration_by_a_clock_that_was_far_behind_counts_from_the_right_time(
    host: VirtualHost, back: float, boot: bool
) -> None:
    """A host without a battery gets its jobs before it gets the time."""
    if boot and host.now - back > NO_RUNNER_YET:
        return  # nothing tells such a host from one that was off
    host.set_clock(-back)
    host.declare("j", schedule_hour="3")
    host.declare("interval", schedule_interval="7 hours")
    host.declare("date", schedule_date=at(30 * HOUR))
    host.start()
    host.pass_time(60.0)
    assert not host.runs("j") and not host.runs("interval")
    if boot:
        host.reboot(off=60.0, clock=back)
        host.start()
    else:
        host.set_clock(back)
    host.pass_time(90.0)
    for job_id in ("j", "interval", "date"):
        assert host.skipped(job_id) == [] and host.runs(job_id) == []
        record = host.store.job(job_id)
        assert record is not None
        assert judge(record, host.outlook(job_id), [], host.now).state == OK
    host.pass_time(2 * DAY)
    assert slots(host) == ["Mon 03:00", "Tue 03:00"]
    assert len(host.runs("interval")) in (6, 7) and len(host.runs("date")) == 1


def test_what_passes_while_a_machine_stands_still_is_told_and_a_date_is_kept(
    host: VirtualHost,
) -> None:
    host.declare("j", schedule_hour="3", missed={"max_age": "5 days"})
    host.declare("date", schedule_date=at(30 * HOUR), missed={"max_age": "5 days"})
    host.start()
    host.pass_time(4 * HOUR)
    host.set_clock(3 * DAY)
    host.pass_time(60.0)
    assert slots(host) == ["Mon 03:00", "Thu 03:00"] and len(host.runs("date")) == 1
    assert [group["skipped"] for group in host.skipped("j")] == [2]


@pytest.mark.parametrize("back", [2000 * DAY, 1990 * DAY, 2000 * DAY - 2 * HOUR])
def test_what_a_clock_that_was_believed_behind_has_passed_over_is_no_record(
    host: VirtualHost, back: float
) -> None:
    """*back*: what the next boot finds the clock set by: to what is right, or nearer to it."""
    host.declare("j", schedule_hour="3")
    host.declare("interval", schedule_interval="7 hours")
    host.start()
    host.pass_time(4 * HOUR)
    host.reboot(off=60.0, clock=-2000 * DAY)
    host.start()
    host.pass_time(HOUR)
    assert host.runner is not None and not host.runner._trust.doubted
    host.reboot(off=60.0, clock=back)
    host.start()
    host.pass_time(1.0)
    host.pass_time(2 * DAY)
    earliest = min(MONDAY, host.now - 2 * DAY - HOUR)
    for job_id in ("j", "interval"):
        told = [group["scheduled_for"] for group in host.skipped(job_id)]
        assert [slot for slot in told if slot < at(earliest - MONDAY)] == [], told
        assert once_each(host, job_id)
        runs = [slot for slot in map(_instant, host.runs(job_id)) if slot.timestamp() > earliest]
        assert len(runs) >= 2, "its schedule goes on"


@pytest.mark.parametrize("length", [60.0, HOUR, 5 * HOUR])
def test_an_interval_that_was_declared_ahead_begins_within_its_own_length(
    host: VirtualHost, length: float
) -> None:
    host.set_clock(6 * HOUR)
    host.declare("j", schedule_interval=f"{length:.0f} seconds")
    host.start()
    host.set_clock(-6 * HOUR)
    host.pass_time(length + 60.0)
    assert host.runs("j"), host.state("j").next_run


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("step", [HOUR, DAY, 700 * DAY, -HOUR, -DAY, -700 * DAY])
def test_a_clock_that_is_set_and_set_back_runs_no_slot_twice_and_gives_no_date_up(
    host: VirtualHost, step: float, restart: bool
) -> None:
    host.declare("j", schedule_hour="*/6")
    host.declare("date", schedule_date=at(4 * DAY))
    host.declare("interval", schedule_interval="5 hours")
    host.start()
    host.pass_time(31 * HOUR)
    for change in (step, -step):
        if restart:
            host.stop()
        host.set_clock(change)
        if restart:
            host.start()
        host.pass_time(90.0)
    host.pass_time(8 * DAY)
    for job_id in ("j", "date", "interval"):
        assert once_each(host, job_id), slots(host, job_id)
    assert slots(host, "date") == ["Fri 00:00"]
    told = {f"{day} {hour:02}:00" for day in ("Wed", "Thu", "Sun") for hour in (0, 6, 12, 18)}
    assert told <= set(slots(host)), "nothing is lost after it"
    grid = [run["scheduled_for"] for run in host.runs("interval")]
    assert at(120 * HOUR) in [slot[:17] + "00" + slot[19:] for slot in grid], "the grid is there"
    for group in host.skipped("j") + host.skipped("interval"):
        assert "the clock was set by" in group["reason"], group


def test_a_clock_that_is_set_back_a_little_brings_no_run_into_a_blackout(host: VirtualHost) -> None:
    """What was missed waits for the end of the blackout; it began as soon as NTP took 3 s back."""
    nightly = {"schedule_minute": "15", "blackout": [{"start": "00:30", "end": "05:00"}]}
    host.declare("j", schedule_hour="0", missed={"run": "once", "max_age": "1 days"}, **nightly)
    host.start()
    host.pass_time(60.0)
    host.stop()
    host.pass_time(HOUR)
    host.start()
    host.set_clock(-3.0)
    host.pass_time(3 * HOUR)
    assert slots(host) == [] and host.state("j").next_run == at(5 * HOUR)
    host.pass_time(2 * HOUR)
    assert slots(host) == ["Mon 00:15"]


def test_what_waits_from_a_clock_that_was_ahead_runs_in_its_own_time(
    host: VirtualHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImitatedRun, "seconds", 300.0)
    host.declare("j", schedule_minute="*/10", missed={"run": "all"})
    host.start()
    host.pass_time(1200.0)
    host.set_clock(HOUR)
    host.pass_time(20.0)
    assert len(host.state("j").queue) >= 4, "what the step has passed over"
    host.set_clock(-HOUR)
    host.pass_time(20.0)
    corrected = host.now
    host.pass_time(2 * HOUR)
    begun = [run for run in host.runs("j") if run["time_started"] > corrected]
    assert len(begun) >= 9 and once_each(host)
    assert [run for run in begun if _instant(run).timestamp() > run["time_started"]] == []


@pytest.mark.parametrize("schedule", [{}, {"schedule_hour": "*"}])
def test_a_run_that_a_blackout_puts_off_has_the_cause_that_was_foreseen(
    host: VirtualHost, schedule: dict[str, Any]
) -> None:
    blackout = [{"start": "00:00", "end": "02:30"}]
    host.start()
    host.declare("j", **schedule, blackout=blackout, missed={"max_age": "1 days"})
    foreseen = host.foreseen("j", host.now + 4 * HOUR)
    host.pass_time(4 * HOUR)
    ran = [(run["scheduled_for"], run["cause"]) for run in host.runs("j")]
    assert ran == [(iso(coming.slot), coming.cause) for coming in foreseen] != []
    assert ran[0][1] == ("catch-up" if schedule else "schedule")


# -- a stop that cuts a backup off ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "missed", "again"),
    [
        ("backup", None, ["Mon 03:00"]),
        ("backup", {"run": "skip"}, []),
        ("exec", None, []),
    ],
)
def test_a_backup_that_a_stop_cuts_off_is_due_again(
    host: VirtualHost, action: str, missed: Any, again: list[str]
) -> None:
    ImitatedRun.seconds = 6 * HOUR
    host.start()
    host.declare("j", schedule_hour="3", **({"missed": missed} if missed else {}))
    host.pass_time(5 * HOUR)
    assert host.runner is not None
    run: Any = host.runner.runs["j"]
    run.result = "aborted"
    run.record["actions"] = [{"action": action, "result": "aborted"}]
    run.record.update(result="aborted", reason=STOPPED, time_ended=host.now)
    host.runner.active._close(run)
    host.stop()
    assert slots(host) == ["Mon 03:00"]
    host.awake += 60
    ImitatedRun.seconds = 1.0
    host.start()
    host.pass_time(HOUR)
    assert slots(host)[1:] == again
    assert [entry["cause"] for entry in host.runs("j")[1:]] == ["catch-up"] * len(again)
