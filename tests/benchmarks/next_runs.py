# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many next runs a second the calendar computes, beside APScheduler in the same process.

    PYTHONPATH=roles/runner/files python tests/benchmarks/next_runs.py

Microseconds of processor time, which a busy machine changes less: "build" is the construction of a
trigger, "next" one next run after another.  "ratio" is APScheduler's time for a next run divided by
ours.  Then come rare schedules in a zone that nobody asked about yet, and a simulation of a fleet.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from coldchain.schedule import ScheduleError, build
from coldchain.schedule.simulate import simulate
from coldchain.schedule.simulation import SimulatedJob
from coldchain.schedule.zones import zone_table

UTC = timezone.utc
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
FIRES = 2000
ORDINARY: dict[str, dict[str, str]] = {
    "every minute": {"minute": "*"},
    "every 15 minutes": {"minute": "*/15"},
    "03:25 daily": {"hour": "3", "minute": "25"},
    "22:00 mon-fri": {"day_of_week": "mon-fri", "hour": "22"},
    "last day of the month": {"day": "last"},
    "every other week, mon": {"week": "1-53/2", "day_of_week": "mon"},
    "every 10 seconds": {"second": "*/10"},
}
RARE: dict[str, dict[str, str]] = {
    "29 Feb and Monday": {"month": "2", "day": "29", "day_of_week": "mon"},
    "week 53 and 1 January": {"week": "53", "month": "1", "day": "1"},
    "5th Friday of February": {"month": "2", "day": "5th fri"},
}
OURS: dict[str, dict[str, object]] = {
    "interval of 5 minutes": {"schedule_interval": "5 minutes"},
    "03:00 with splay": {"schedule_hour": "3", "schedule_splay": "30 minutes"},
    "03:00 with blackout": {
        "schedule_hour": "3",
        "blackout": [{"start": "08:00", "end": "18:00", "day_of_week": "mon-fri"}],
    },
}
NEVER: dict[str, dict[str, str]] = {
    "30 February": {"month": "2", "day": "30"},
    "week 53 in June": {"week": "53", "month": "6"},
}


def timed(work: Callable[[], object], repeat: int = 1) -> float:
    """Microseconds of one call of *work*, the best of three rounds."""
    best = float("inf")
    for _ in range(3):
        begin = time.process_time()
        for _ in range(repeat):
            work()
        best = min(best, (time.process_time() - begin) / repeat)
    return best * 1e6


def trigger(zone: tzinfo, **schedule: object):
    return build(schedule, zone=zone, created=BEGIN, key="client/job")


def ours(zone: tzinfo, schedule: dict[str, object]) -> tuple[float, float]:
    """Microseconds of build and next."""
    found = trigger(zone, **schedule)

    def walk() -> None:
        after = BEGIN
        for _ in range(FIRES):
            occurrence = found.next(after)
            after = BEGIN if occurrence is None else occurrence.at

    walk()
    return timed(lambda: trigger(zone, **schedule), 20), timed(walk) / FIRES


def theirs(found: CronTrigger | IntervalTrigger, fires: int) -> float:
    """Microseconds of a next run of APScheduler."""

    def walk() -> None:
        after = BEGIN
        for _ in range(fires):
            after = found.get_next_fire_time(after, after + SECOND) or BEGIN

    return timed(walk) / fires


def prefixed(spec: dict[str, str]) -> dict[str, object]:
    return {f"schedule_{name}": text for name, text in spec.items()}


def row(
    name: str, zone: str, build_time: float, next_time: float, apscheduler: float | None
) -> None:
    other = "" if apscheduler is None else f"{apscheduler:10.1f} {apscheduler / next_time:7.1f}"
    print(f"{name:28} {zone:17} {build_time:7.0f} {next_time:7.2f} {1e6 / next_time:9.0f} {other}")


def main() -> None:
    heads = f"{'build':>7} {'next':>7} {'per sec':>9} {'APS next':>10} {'ratio':>7}"
    print(f"{'schedule':28} {'zone':17} {heads}")
    zones = {"UTC": UTC, "America/New_York": ZoneInfo("America/New_York")}
    slowest = 0.0
    for zone_name, zone in zones.items():
        for name, spec in {**ORDINARY, **RARE}.items():
            build_time, next_time = ours(zone, prefixed(spec))
            fires = 3 if name in RARE else 300
            other = theirs(CronTrigger(timezone=zone, **spec), fires)
            row(name, zone_name, build_time, next_time, other)
            if name in ORDINARY:
                slowest = max(slowest, next_time)
        for name, schedule in OURS.items():
            build_time, next_time = ours(zone, schedule)
            plain = theirs(IntervalTrigger(minutes=5, timezone=zone), 300)
            row(name, zone_name, build_time, next_time, plain if "interval" in name else None)
    print(f"\nslowest ordinary schedule: {1e6 / slowest:,.0f} next runs a second")

    for name, spec in {**RARE, **NEVER}.items():
        verb = "refused" if name in NEVER else "built and answered"
        print(f"{name:28} {verb} in a zone not yet known: {cold(spec):6.0f} us")
    fleet()


def cold(spec: dict[str, str]) -> float:
    """Microseconds from nothing to the first answer (or the refusal)."""

    def work() -> None:
        zone_table.cache_clear()
        with suppress(ScheduleError):
            trigger(zone, **prefixed(spec)).next(BEGIN)

    zone = ZoneInfo("America/New_York")
    return timed(work)


def fleet() -> None:
    specs: list[dict[str, object]] = [
        {"schedule_hour": "1", "schedule_minute": "30"},
        {"schedule_hour": "2", "schedule_splay": "30 minutes"},
        {"schedule_interval": "1 days"},
        {"schedule_hour": "22", "schedule_day_of_week": "mon-fri"},
        {"schedule_hour": "*/12"},
    ]
    zone = ZoneInfo("America/New_York")
    jobs = [
        SimulatedJob(f"host{host}", f"job{i}", trigger(zone, **spec), 1800, container="c")
        for host in range(1000)
        for i, spec in enumerate(specs)
    ]
    begin = time.process_time()
    result = simulate(jobs, BEGIN, 90, 4)
    took = time.process_time() - begin
    runs = result.total("runs")
    print(f"\nsimulation, 1,000 hosts, 90 days: {runs:,} runs in {took:.1f} s of processor time")


if __name__ == "__main__":
    main()
