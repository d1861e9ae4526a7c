# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a job runs: whether its schedule can be kept, and says what was meant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from coldchain.core.errors import Problem
from coldchain.core.instants import parse_duration, parse_instant
from coldchain.document import lint
from coldchain.document.canonical_form import canonical_schedule, stopped
from coldchain.document.context import Context, Findings, host_of
from coldchain.document.fields import CRON_FIELDS
from coldchain.document.json_path import Place
from coldchain.document.mistakes import hint_for_time, is_bare_number
from coldchain.document.normalized import Normalized
from coldchain.schedule import ScheduleError, Trigger, build
from coldchain.schedule.describe import duration as format_duration
from coldchain.schedule.gaps import shortest_gap

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKDAY_NUMBER = re.compile(r"(?<![0-9a-z/])[0-6](?![0-9a-z])")
KINDS = ("schedule_date", "schedule_interval", "schedule_boot")


def check_schedule(modern: Normalized, context: Context, findings: Findings) -> None:
    """Add what is wrong with the schedule of ``modern.document`` to *findings*."""
    schedule = modern.document.get("job_schedule", {})
    _check_status(schedule, findings)
    _check_emptiness(modern, schedule, findings)
    _check_times(modern.document, canonical_schedule(schedule), context, findings)


def _check_status(schedule: Mapping[str, Any], findings: Findings) -> None:
    for name, word in (("event", "remove"), ("status", "removed")):
        if schedule.get(name) == word:
            findings.error(
                ("job_schedule", name),
                f'"{word}" cannot be declared',
                "leave the job out and purge, or give it state: absent",
            )
    event = schedule.get("event")
    if event == "start" and schedule.get("status") == "stop":
        findings.warn(
            ("job_schedule", "event"),
            'is dropped, and the "stop" that it was to end with it: the job is scheduled',
            "leave out both, or the event alone to keep the job stopped",
        )
    elif event in ("start", "stop", "abort"):
        findings.warn(
            ("job_schedule", "event"),
            "is dropped: a document says how a job is, and asks for nothing",
            'declare "status": "stop", or ask for it: coldchain event JOB start|stop|abort',
        )


def _check_emptiness(modern: Normalized, schedule: Mapping[str, Any], findings: Findings) -> None:
    """Times that came out empty, of a template perhaps, and numbers that lost their unit."""
    place: Place = ("job_schedule",)
    if not any(name in schedule for name in (*KINDS, *CRON_FIELDS)):
        once = "the job runs once, at once, and never again"
        empty = [name for name in (*KINDS, *CRON_FIELDS) if name in modern.empty_times]
        if empty:
            what = "is not set" if empty[0] == "schedule_boot" else "is empty"
            findings.warn((*place, empty[0]), f"{what}: {once}", "leave it out if that is meant")
        elif "schedule_time" in schedule:
            findings.warn(
                (*place, "schedule_time"),
                f"tells when the last run was due, not when the job runs: {once}",
                hint_for_time("schedule_time", schedule["schedule_time"]),
            )
    interval = schedule.get("schedule_interval")
    if is_bare_number(interval):
        number = str(interval).strip()
        findings.warn(
            (*place, "schedule_interval"),
            "is a number of seconds",
            f'write "{number} seconds", or the unit that is meant',
        )


def _check_times(
    document: Mapping[str, Any], schedule: Mapping[str, Any], context: Context, findings: Findings
) -> None:
    kinds = [name for name in (*KINDS, *CRON_FIELDS) if name in schedule]
    several = len({name if name in KINDS else "cron" for name in kinds}) > 1
    if several and "schedule_boot" not in kinds:  # which is an error beside another kind
        findings.warn(
            ("job_schedule",),
            f"holds several kinds of schedule; only {kinds[0]} counts",
            f"leave out {', '.join(kinds[1:])}",
        )
    _check_weekdays(schedule, findings)
    before = len(findings.errors)
    trigger = _build_trigger(document, schedule, context, findings)
    if trigger is None or before != len(findings.errors) or findings.any_refused(("job_schedule",)):
        return
    for idle in lint.of_schedule(schedule, trigger.kind):
        findings.warn(*idle)
    place = ("job_schedule", *kinds[:1])
    ends = kinds and trigger.kind != "boot" and not stopped(document.get("job_schedule", {}))
    if ends and not context.will_run(str(document.get("job_id", "")), schedule, trigger):
        end = schedule.get("schedule_end_date") if trigger.kind != "date" else None
        if end is not None and parse_instant(end, context.zone) <= context.now:
            place = ("job_schedule", "schedule_end_date")
        findings.warn(place, "lies in the past; the job will not run", "write a later date")
    _check_offset(document, schedule, trigger, context, findings)
    last = context.last_duration(str(document.get("job_id")))
    if trigger.kind == "interval" and last is not None:
        period = parse_duration(str(schedule["schedule_interval"]))
        if period < last:
            findings.warn(
                place,
                f"is shorter than the last run, which took {round(last)} seconds",
                "write a longer interval; a job never overlaps itself",
            )


def _check_weekdays(schedule: Mapping[str, Any], findings: Findings) -> None:
    place: Place = ("job_schedule", "schedule_day_of_week")
    fields: list[tuple[Place, Any]] = [(place, schedule.get("schedule_day_of_week"))]
    for number, window in enumerate(schedule.get("blackout", [])):
        place = ("job_schedule", "blackout", number, "day_of_week")
        fields.append((place, window.get("day_of_week")))
    for place, text in fields:
        if isinstance(text, str) and _WEEKDAY_NUMBER.search(text):
            named = _WEEKDAY_NUMBER.sub(lambda match: _WEEKDAYS[int(match[0])], text)
            findings.warn(place, "0 is Monday here, not Sunday as in cron", f'write "{named}"')


def _build_trigger(
    document: Mapping[str, Any], schedule: Mapping[str, Any], context: Context, findings: Findings
) -> Trigger | None:
    host = context.client_id or host_of(document, context.host)
    key = f"{host}/{document.get('job_id', '')}"
    created = context.anchor(str(document.get("job_id", "")), schedule) or context.now
    try:
        return build(schedule, zone=context.zone, created=created, key=key)
    except ScheduleError as error:
        refused = {problem.path for problem in findings.errors}
        for problem in error.problems():
            path = f"$.job_schedule.{problem.path}" if problem.path else "$.job_schedule"
            if path in refused:
                continue  # the schema has refused it already
            meant = hint_for_time(problem.path, schedule.get(problem.path))
            findings.errors.append(Problem(path, problem.message, meant or problem.hint))
        return None


def _check_offset(
    document: Mapping[str, Any],
    schedule: Mapping[str, Any],
    trigger: Trigger,
    context: Context,
    findings: Findings,
) -> None:
    """What places a job among those of other hosts: the same times there, and room for it."""
    counted = trigger.kind == "interval" and "schedule_start_date" in schedule
    if "slot" in document and trigger.kind != "cron" and not counted:
        findings.error(
            ("slot",),
            "hosts share the times of a calendar, and this schedule has none that come again",
            "write cron-like fields, or schedule_interval with a schedule_start_date",
        )
    elif "slot" in document and "schedule_offset" not in schedule:
        findings.warn(
            ("slot",),
            "has no effect: nothing has given the job its place in it",
            "declare it by the role coldchain.freezer.jobs with coldchain_slots, or write"
            " schedule_splay and schedule_offset",
        )
    if "schedule_offset" in schedule and trigger.kind in ("cron", "interval"):
        gap = shortest_gap(trigger, context.now)
        splay = parse_duration(str(schedule["schedule_splay"]))
        if gap is not None and gap < splay:
            findings.error(
                ("job_schedule", "schedule_splay"),
                f"is longer than the {format_duration(gap)} between two times of the schedule, so"
                " that an offset cannot be kept",
                "write a shorter one (within, in coldchain_slots), or fewer times",
            )
