# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""200 histories as they might have been: hardly a false alarm, and no anomaly without one."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest
from examples import examples
from job_histories import CALENDARS, Job, Run, of_calendar

from coldchain.observe.comparison import CHECKS
from coldchain.observe.guard import Sample, judge, replay, sample_of

#: Worst of what such a job has shown -> what nobody would take for chance.
FAR = 6


@cache
def jobs() -> list[Job]:
    return [Job(seed) for seed in range(200)]


@cache
def samples(number: int) -> list[Sample]:
    """What the guard takes of the runs of a job."""
    return [sample_of(run) for run in jobs()[number].runs]


@pytest.mark.long(10)
def test_fewer_than_one_run_of_a_thousand_is_a_false_alarm() -> None:
    total, alarms = 0, Counter[str]()
    for job in jobs():
        for _run, verdicts in replay(job.runs[::-1]):
            total += 1
            alarms.update(verdict.check for verdict in verdicts if verdict.found)
    assert total == 40_000
    assert sum(alarms.values()) < total / 1000, alarms


@pytest.mark.long(10)
def test_what_a_calendar_brings_is_no_alarm() -> None:
    """Neither a full backup after 30 increments, nor the first run after a holiday."""
    total, alarms = 0, Counter[str]()
    seeds = examples(20, 40)
    for kind in CALENDARS:
        for seed in range(seeds):
            for _run, verdicts in replay(of_calendar(kind, seed)[::-1]):
                total += 1
                alarms.update(kind for verdict in verdicts if verdict.found)
    assert total > 3250 * seeds
    assert sum(alarms.values()) < total / 2000, alarms
    assert max(alarms.values(), default=0) < 2 * total / len(CALENDARS) / 1000, alarms


def planted(number: int, check: str) -> tuple[Run, list[Sample]] | None:
    """A run that *check* must find, and those before it; None where it would be nothing special
    for that job."""
    job, before = jobs()[number], list(samples(number))
    run = job.backup()
    shape = sample_of(run).shape
    like = [sample for sample in before if sample.shape == shape]
    seconds = [sample.seconds for sample in like if sample.seconds is not None][-60:]
    report = run["actions"][0].get("report")
    if check == "short":
        if min(seconds) < 10 * FAR:
            return None
        run["time_ended"] = run["time_started"] + min(seconds) / FAR / 2
    elif check == "long":
        run["time_ended"] = run["time_started"] + max(seconds) * FAR + 60
    elif check == "often":
        for turn in range(3):
            more = job.backup()
            for key in ("time_started", "time_ended"):
                more[key] += turn * 300
            before.append(sample_of({**more, "run_id": f"more{turn}"}))
        run["time_started"] += 900
        run["time_ended"] += 900
    elif report is None:
        return None
    elif check == "shrank":
        report["source_bytes"] *= 0.3
        return None if job.bytes < 2e7 else (run, before)
    elif check == "grew":
        report["source_bytes"] *= 4
        return None if job.bytes < 2e7 else (run, before)
    elif check == "halved":
        report["entries"] = round(report["entries"] * 0.45)
        return None if job.files < 60 else (run, before)
    elif check == "changed":
        rates = [(it.changed or 0) / it.entries for old in like for it in old.backups]
        if report["level"] == 0 or max(rates) > 0.4:
            return None
        report["changed"] = round(report["entries"] * 0.92)
        report["size"] = report["archive_bytes"]
    else:
        if report["level"] or job.packed > 0.7:
            return None
        report["size"] = report["archive_bytes"] * 0.995
    return run, before


@pytest.mark.parametrize("check", CHECKS)
def test_each_planted_anomaly_is_found_in_its_own_run(check: str) -> None:
    missed, tried = [], 0
    for seed in range(len(jobs())):
        plant = planted(seed, check)
        if plant is not None:
            run, before = plant
            known = before[::-1]
            verdicts = judge(sample_of(run), known, explain=True)
            assert judge(sample_of(run), known) == [v for v in verdicts if v.found]
            found = [verdict.check for verdict in verdicts if verdict.found]
            tried += 1
            if check not in found:
                missed.append((seed, [each.text for each in verdicts if each.check == check]))
    assert tried >= 20 and missed == []
