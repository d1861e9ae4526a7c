# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the job_schedule of a document to its trigger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from functools import partial
from typing import NamedTuple

from coldchain.core.instants import DAY, iso
from coldchain.schedule import describe, values
from coldchain.schedule.blackout import Blackout, Window
from coldchain.schedule.cron import FIELDS
from coldchain.schedule.delay import Delay
from coldchain.schedule.errors import ScheduleError
from coldchain.schedule.field_reader import Reader
from coldchain.schedule.model import CatchUpPolicy, Trigger, moment, seconds
from coldchain.schedule.slot_trigger import SlotTrigger
from coldchain.schedule.slots import (
    FIXED,
    PACE,
    CronSlots,
    Dst,
    IntervalSlots,
    Slots,
    complete,
    is_wildcard,
)
from coldchain.schedule.triggers import BootTrigger, Common, ContinuousTrigger, PointTrigger

_CRON = [(name, f"schedule_{name}", partial(values.cron_field, name)) for name in FIELDS]
_DST = {
    "gap": values.choice(("next", "skip", "shift")),
    "overlap": values.choice(("first", "second", "both")),
}
_RUN = values.choice(("skip", "once", "all"))


class _Given(NamedTuple):
    """What a job_schedule says; None, 0 or nothing for what it does not say.

    interval, splay, offset: seconds; fields, dst: by their names.
    """

    zone: tzinfo
    start: datetime | None
    end: datetime | None
    date: datetime | None
    interval: int | None
    fields: dict[str, str]
    boot: bool
    splay: int
    offset: int | None
    dst: dict[str, str]
    missed: CatchUpPolicy
    blackout: Blackout | None


def build(
    job_schedule: Mapping[str, object], *, zone: tzinfo, created: datetime, key: str
) -> Trigger:
    """The trigger of a document's ``job_schedule``.

    zone: where local times are read unless schedule_timezone says otherwise; created: the instant
    (aware) from which an interval without a start date counts, and at which a job without schedule
    runs; key: "client_id/job_id", from which the splay is derived.  Null, false and "" mean "not
    given"; keys of other concern (status, event, ...) are left alone.  schedule_date wins over
    schedule_interval, and that over the cron-like fields.

    ScheduleError carries every problem found, also that the schedule can never fire.
    """
    given = _read(job_schedule, zone, created)
    delay = Delay.of(key, given.splay, given.offset)
    common = Common(given.zone, delay, given.blackout, given.missed)
    words = describe.Conditions(
        given.zone, given.start, given.end, given.splay, given.offset, given.blackout
    )
    if given.boot:
        return BootTrigger(common, words.of_boot)
    if given.date is not None or (given.interval is None and not given.fields):
        return _point(given, common, words, created)
    if given.interval == 0:
        return _continuous(given, common, words)
    return _series(given, common, words, created)


def _read(job_schedule: Mapping[str, object], zone: tzinfo, created: datetime) -> _Given:
    """Raises ScheduleError with all that is wrong with single fields, and between two of them."""
    reader = Reader(job_schedule)
    local = reader.read("schedule_timezone", values.zone) or zone
    instant = partial(values.instant, local=local)
    start = reader.read("schedule_start_date", instant)
    end = reader.read("schedule_end_date", instant)
    if start is not None and end is not None and end < start:
        reader.problem(
            "schedule_end_date",
            f"the end {iso(end)} lies before the start {iso(start)}",
            "write an end after schedule_start_date",
        )
    date = reader.read("schedule_date", instant)
    interval = reader.read("schedule_interval", values.interval)
    fields = _cron_texts(reader)
    boot = reader.read("schedule_boot", values.switch) or False
    if boot and (date is not None or interval is not None or fields):
        reader.problem(
            "schedule_boot",
            "is a schedule of its own",
            "declare a job after each boot and another one at these times",
        )
    splay = reader.read("schedule_splay", values.duration) or 0
    offset = reader.read("schedule_offset", values.duration)
    dst = _dst(reader)
    missed = _missed(reader, local)
    blackout = _blackout(reader, local, seconds(created))
    if interval == 0 and date is None and splay:
        reader.problem(
            "schedule_splay",
            "a continuous job has no slots to spread",
            "leave schedule_splay out",
        )
    if offset is not None and offset > splay:
        reader.problem(
            "schedule_offset",
            "is more than schedule_splay, of which it is the part"
            if splay
            else "is a part of schedule_splay, which is missing",
            "write a schedule_splay that is at least as long",
        )
    reader.check()
    return _Given(
        local, start, end, date, interval, fields, boot, splay, offset, dst, missed, blackout
    )


def _point(
    given: _Given, common: Common, words: describe.Conditions, created: datetime
) -> PointTrigger:
    if given.date is None:
        point = PointTrigger("once", created, common, words.of_once)
    else:
        point = PointTrigger("date", given.date, common, partial(words.of_date, given.date))
    _require_a_run(point, "schedule_date", [moment(-1)], "the date lies in a blackout")
    return point


def _continuous(given: _Given, common: Common, words: describe.Conditions) -> ContinuousTrigger:
    first, last = _bounds(given)
    trigger = ContinuousTrigger(first, last, common, words.of_continuous)
    _require_a_run(trigger, "schedule_interval", [moment(first - 1)], "no time is left for it")
    return trigger


def _series(
    given: _Given, common: Common, words: describe.Conditions, created: datetime
) -> SlotTrigger:
    first, last = _bounds(given)
    slots: Slots
    if given.interval is not None:
        begin = first if given.start is not None else seconds(created) + given.interval
        slots = IntervalSlots(begin, given.interval, last)
        kind, field = "interval", "schedule_interval"
        details = partial(words.of_interval, given.interval, moment(begin))
        # An end before the job was declared is not a mistake: the job is over.
        over = given.start is None and given.end is not None and given.end < created
    else:
        parsed = complete(given.fields)
        policy = _policy(given.dst, is_wildcard(parsed))
        slots = CronSlots(parsed, given.zone, policy, first, last)
        kind, field = "cron", f"schedule_{[*given.fields][-1]}"
        details = partial(words.of_cron, parsed)
        over = False
    # Mostly there is a slot ahead, in years whose clock changes are needed anyway.
    if not over and slots.slot(seconds(created)) is None and slots.slot(0) is None:
        raise ScheduleError(field, *_never(given.fields, given.start, given.end))
    trigger = SlotTrigger(kind, slots, common, details)
    if not over and given.blackout is not None:
        instants = [created, moment(first - 1)]
        _require_a_run(trigger, "blackout", instants, "every slot lies in a blackout")
    return trigger


def _bounds(given: _Given) -> tuple[int, int | None]:
    """The first and the last second that counts; None for no last one."""
    return _first_second(given.start), None if given.end is None else seconds(given.end)


def _policy(choices: Mapping[str, str], wildcard: bool) -> Dst:
    default = PACE if wildcard else FIXED
    return Dst(choices.get("gap", default.gap), choices.get("overlap", default.overlap))


def _first_second(start: datetime | None) -> int:
    """The first whole second at or after *start*."""
    return 0 if start is None else seconds(start + timedelta(microseconds=999_999))


def _never(
    fields: Mapping[str, str], start: datetime | None, end: datetime | None
) -> tuple[str, str]:
    """Message and hint of a schedule without slots."""
    between = " and ".join(
        part
        for part in (
            "" if start is None else f"after the start {iso(start)}",
            "" if end is None else f"before the end {iso(end)}",
        )
        if part
    )
    if not fields:
        return f"the schedule never fires {between}", "write a shorter interval or a later end"
    spec = ", ".join(f"{name} {text}" for name, text in fields.items())
    hint = "all fields have to match at once: check day against month and week"
    if between:
        hint += ", and all against the start and end date"
        between = f" {between}"
    return f"the schedule never fires{between}: no instant has {spec}", hint


def _require_a_run(trigger: Trigger, field: str, after: Sequence[datetime], why: str) -> None:
    """Raises ScheduleError unless there is a run after one of the instants."""
    if all(trigger.next(instant) is None for instant in after):
        raise ScheduleError(
            field,
            f"the schedule never fires: {why} that the policy for missed slots does not outlast",
            "shorten the blackout, or raise missed.max_age so that the run starts when it ends",
        )


def _cron_texts(reader: Reader) -> dict[str, str]:
    """The given cron-like fields, checked one by one."""
    given = reader.given
    texts = {name: reader.read(key, check) for name, key, check in _CRON if key in given}
    return {name: text for name, text in texts.items() if text is not None}


def _dst(reader: Reader) -> dict[str, str]:
    section = reader.section("dst", tuple(_DST))
    if section is None:
        return {}
    read = {name: section.read(name, check) for name, check in _DST.items()}
    return {name: choice for name, choice in read.items() if choice is not None}


def _missed(reader: Reader, local: tzinfo) -> CatchUpPolicy:
    section = reader.section("missed", ("run", "max_age", "not_after"))
    if section is None:
        return CatchUpPolicy(zone=local)
    default = CatchUpPolicy()
    max_age = section.read("max_age", values.duration)
    return CatchUpPolicy(
        section.read("run", _RUN) or default.run,
        default.max_age if max_age is None else max_age,
        section.read("not_after", values.time_of_day),
        local,
    )


def _blackout(reader: Reader, local: tzinfo, instant: int) -> Blackout | None:
    windows = []
    for section in reader.sections("blackout", ("start", "end", "day_of_week", "timezone")):
        zone = section.read("timezone", values.zone)
        start = section.require("start", values.time_of_day)
        end = section.require("end", values.time_of_day)
        weekdays = section.read("day_of_week", values.weekdays)
        if start is None or end is None:
            continue
        if start in (end, DAY):
            section.problem("end", "the window is empty", "a whole day is '00:00' to '24:00'")
            continue
        windows.append(
            Window(
                start,
                end if end > start else end + DAY,
                frozenset(range(7)) if weekdays is None else weekdays,
                zone or local,
                describe.window(start, end, weekdays, zone),
            )
        )
    if not windows:
        return None
    blackout = Blackout(windows)
    if blackout.endless(instant):
        reader.problem("blackout", "the windows leave no time for a run", "shorten one of them")
    return blackout
