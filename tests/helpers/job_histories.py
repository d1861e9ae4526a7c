# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Histories of jobs as they might have been: growth, noise, weekends, nights, levels, failures."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

Run = dict[str, Any]

MONDAY = 1_699_833_600.0  # 2023-11-13 00:00 UTC
HOUR, DAY = 3600.0, 86400.0
SCHEDULES = ("hourly", "six-hourly", "daily", "weekdays", "weekly")
LEVELS = ("full", "endless", "weekly full", "differential", "exec")


def slots(schedule: str, chance: random.Random) -> Iterator[float]:
    """POSIX seconds at which the runs of a job begin."""
    distance = {"hourly": HOUR, "six-hourly": 6 * HOUR, "weekly": 7 * DAY}.get(schedule, DAY)
    at = MONDAY + chance.randrange(7) * DAY + chance.uniform(0, DAY)
    while True:
        weekend = datetime.fromtimestamp(at, timezone.utc).weekday() >= 5
        if schedule != "weekdays" or not weekend:
            yield at + chance.uniform(0, 30)
        at += distance


def level_of(pattern: str, number: int, distance: float) -> int:
    week = max(2, round(7 * DAY / distance))
    if pattern == "full" or pattern == "exec":
        return 0
    if pattern == "endless":
        return number
    return number % week if pattern == "weekly full" else min(1, number % week)


class Job:
    """One job, made of the numbers that *seed* gives; ``runs`` are oldest first."""

    def __init__(self, seed: int, length: int = 200) -> None:
        chance = self.chance = random.Random(seed)
        self.schedule, self.pattern = chance.choice(SCHEDULES), chance.choice(LEVELS)
        self.bytes = 10 ** chance.uniform(6, 12)
        self.files = 10 ** chance.uniform(1.7, 6)
        self.growth = chance.uniform(-0.002, 0.02)  # a week
        self.noise = chance.uniform(0.001, 0.03)
        self.rate, self.bustle = 10 ** chance.uniform(-3, -0.7), chance.uniform(0.2, 0.8)
        self.weekend, self.night = chance.uniform(0.02, 1), chance.uniform(0.1, 1)
        self.overhead, self.speed = chance.uniform(1, 30), 10 ** chance.uniform(6.5, 8.5)
        self.jitter, self.packed = chance.uniform(0.05, 0.35), chance.uniform(0.2, 1.0)
        self.work = 10 ** chance.uniform(0, 4)  # seconds of a job without backup
        times = slots(self.schedule, chance)
        self.runs = [self.run(number, next(times)) for number in range(length)]

    def scatter(self, sigma: float) -> float:
        return self.chance.lognormvariate(0, sigma)

    def run(self, number: int, at: float) -> Run:
        weeks = (at - MONDAY) / (7 * DAY)
        moment = datetime.fromtimestamp(at, timezone.utc)
        quiet = self.weekend if moment.weekday() >= 5 else 1.0
        quiet *= self.night if not 7 <= moment.hour < 19 else 1.0
        distance = {"hourly": HOUR, "six-hourly": 6 * HOUR, "weekly": 7 * DAY}.get(
            self.schedule, DAY
        )
        level = level_of(self.pattern, number, distance)
        total = self.bytes * (1 + self.growth) ** weeks * self.scatter(self.noise)
        entries = round(self.files * (1 + self.growth) ** weeks * self.scatter(self.noise)) + 1
        share = 1.0
        if level:
            share = min(1.0, self.rate * quiet * self.scatter(self.bustle))
            if self.pattern == "differential":  # all that has changed since the full one
                since = number % max(2, round(7 * DAY / distance))
                share = 1 - (1 - share) ** since
        read = total * share
        packed = min(1.0, self.packed * self.scatter(0.02))
        took = self.overhead * self.scatter(0.2) + read / self.speed * self.scatter(self.jitter)
        entry: Run = {"action": "backup", "result": "success", "attempts": 1}
        if self.pattern == "exec":
            entry["action"] = "exec"
            took = self.work * self.scatter(self.jitter)
        else:
            entry["report"] = {
                "backup_name": "tree",
                "source": "/srv",
                "level": level,
                "entries": entries,
                "source_bytes": int(total),
                "changed": round(entries * share) if level else None,
                "bytes": int(read),
                "archive_bytes": int(read * 1.01 + 10_240),
                "size": int((read * 1.01 + 10_240) * packed),
            }
        run: Run = {
            "run_id": f"r{number}",
            "job_id": "j",
            "cause": "schedule",
            "time_started": round(at, 3),
            "time_ended": round(at + took, 3),
            "result": "success",
            "actions": [entry],
        }
        if self.chance.random() < 0.01:
            run["result"] = entry["result"] = "fail"
            entry.pop("report", None)
        elif self.chance.random() < 0.01:
            entry["attempts"] = 2
            run["time_ended"] += 60
        return run

    def backup(self) -> Run:
        """A copy of the newest run with a good backup, some time later, to be altered."""
        good = next(run for run in reversed(self.runs) if run["result"] == "success")
        run = copy.deepcopy(good)
        run["actions"][0]["attempts"] = 1
        later = self.runs[-1]["time_ended"] + DAY
        took = run["time_ended"] - run["time_started"]
        run.update(run_id="planted", time_started=later, time_ended=later + took)
        return run


CALENDARS = (
    *("full", "weekly full", "quiet weekends", "month ends", "grows by 1 %", "holidays", "off"),
    *("retries", "30 increments", "clock change", "by hand"),
)
"""What a year of a nightly job knows that an administrator takes for nothing special."""


def of_calendar(kind: str, seed: int, days: int = 300) -> list[Run]:
    """The runs of a nightly backup, oldest first."""
    chance = random.Random(seed)
    size, files = 10 ** chance.uniform(8, 11), 10 ** chance.uniform(3, 6)
    rate, speed = 10 ** chance.uniform(-3, -1.3), 10 ** chance.uniform(6.5, 8)
    growth = 1.01 if kind == "grows by 1 %" else 1.0005
    runs: list[Run] = []

    def add(at: float, level: int, share: float, cause: str) -> Run:
        grown = growth ** ((at - MONDAY) / DAY)
        total, entries = (value * grown * chance.lognormvariate(0, 0.01) for value in (size, files))
        read = total * (share if level else 1.0)
        took = 5 * chance.lognormvariate(0, 0.2) + read / speed * chance.lognormvariate(0, 0.2)
        report = {
            "backup_name": "tree",
            "source": "/srv",
            "level": level,
            "entries": int(entries),
            "source_bytes": int(total),
            "changed": round(entries * share) if level else None,
            "bytes": int(read),
            "archive_bytes": int(read * 1.01 + 10_240),
            "size": int((read * 1.01 + 10_240) / 2),
        }
        action = {"action": "backup", "result": "success", "attempts": 1, "report": report}
        run = {"run_id": f"r{len(runs)}", "job_id": "j", "cause": cause, "result": "success"}
        runs.append({**run, "time_started": at, "time_ended": at + took, "actions": [action]})
        return runs[-1]

    for day in range(days):
        at = MONDAY + day * DAY + 3 * HOUR + chance.uniform(0, 60)
        moment = datetime.fromtimestamp(at, timezone.utc)
        away, back = kind in ("holidays", "off") and 150 <= day < 171, day == 171
        if away and kind == "off":
            continue  # the host
        level = len(runs) % 31 if kind == "30 increments" else (moment.weekday() + 1) % 7
        level = 0 if kind == "full" or not runs else level
        share = rate * chance.lognormvariate(0, 0.4)
        share *= 0.05 if kind == "quiet weekends" and moment.weekday() in (6, 0) else 1.0
        share *= 8 if kind == "month ends" and moment.day == 1 else 1.0
        share *= 0.02 if away else 10 if back and kind in ("holidays", "off") else 1.0
        at -= HOUR if kind == "clock change" and 133 <= day < 280 else 0.0
        late = back and kind == "off"
        run = add(at, level, min(1.0, share), "catch-up" if late else "schedule")
        if kind == "retries" and chance.random() < 0.1:
            run["actions"][0]["attempts"] = 3
            run["time_ended"] += 120
        elif kind == "retries" and chance.random() < 0.05:
            run["result"] = run["actions"][0]["result"] = "fail"
            del run["actions"][0]["report"]
        elif kind == "by hand" and chance.random() < 0.05:
            for again in (1, 2):
                add(at + again * HOUR, level + again, share / 100, "event")
    return runs
