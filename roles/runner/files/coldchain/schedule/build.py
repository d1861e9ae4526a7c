# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the job_schedule of a document to its trigger."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from functools import partial
from typing import Callable, TypeVar

from coldchain.core.errors import Problem
from coldchain.core.instants import UNITS, UnknownZone, iso, parse_duration, parse_instant
from coldchain.core.instants import zone as zone_of
from coldchain.core.text import did_you_mean
from coldchain.schedule import describe
from coldchain.schedule.blackout import Blackout, Window
from coldchain.schedule.cron import FIELDS, FIRST_YEAR, LAST_YEAR, parse_field
from coldchain.schedule.delay import Delay
from coldchain.schedule.errors import ScheduleError, quoted
from coldchain.schedule.model import CatchUpPolicy, Trigger, moment, seconds
from coldchain.schedule.readings import DAY
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
from coldchain.schedule.triggers import BootTrigger, ContinuousTrigger, PointTrigger

_LONGEST = 100 * 366 * DAY  # of an interval, a splay or an age, in seconds
_WINDOWS = 50
_LENGTH = 60  # of the text of a date or duration
_INTERVAL = re.compile(r"([0-9]{1,12})\s+([a-z]+)")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
_DST = {"gap": ("next", "skip", "shift"), "overlap": ("first", "second", "both")}
_T = TypeVar("_T")


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
    reader = _Reader(job_schedule)
    local = reader.read("schedule_timezone", _zone) or zone
    start = reader.read("schedule_start_date", lambda value: _instant(value, local))
    end = reader.read("schedule_end_date", lambda value: _instant(value, local))
    if start is not None and end is not None and end < start:
        reader.problem(
            "schedule_end_date",
            f"the end {iso(end)} lies before the start {iso(start)}",
            "write an end after schedule_start_date",
        )
    date = reader.read("schedule_date", lambda value: _instant(value, local))
    interval = reader.read("schedule_interval", _interval)
    fields = _cron_texts(reader)
    boot = reader.read("schedule_boot", _switch) or False
    if boot and (date is not None or interval is not None or fields):
        reader.problem(
            "schedule_boot",
            "is a schedule of its own",
            "declare a job after each boot and another one at these times",
        )
    splay = reader.read("schedule_splay", _duration) or 0
    offset = reader.read("schedule_offset", _duration)
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

    delay = Delay.of(key, splay, offset)
    words = describe.Conditions(local, start, end, splay, offset, blackout)
    if boot:
        return BootTrigger(
            zone=local,
            delay=delay,
            blackout=blackout,
            missed=missed,
            details=words.of_boot,
        )
    first, last = _first_second(start), None if end is None else seconds(end)
    if date is not None or (interval is None and not fields):
        point = PointTrigger(
            "once" if date is None else "date",
            created if date is None else date,
            zone=local,
            delay=delay,
            blackout=blackout,
            missed=missed,
            details=words.of_once if date is None else partial(words.of_date, date),
        )
        _require_a_run(point, "schedule_date", [moment(-1)], "the date lies in a blackout")
        return point
    if interval == 0:
        continuous = ContinuousTrigger(
            first,
            last,
            zone=local,
            blackout=blackout,
            missed=missed,
            details=words.of_continuous,
        )
        _require_a_run(
            continuous, "schedule_interval", [moment(first - 1)], "no time is left for it"
        )
        return continuous
    slots: Slots
    if interval is not None:
        begin = first if start is not None else seconds(created) + interval
        slots = IntervalSlots(begin, interval, last)
        kind, field = "interval", "schedule_interval"
        details = partial(words.of_interval, interval, moment(begin))
        # An end before the job was declared is not a mistake: the job is over.
        over = start is None and end is not None and end < created
    else:
        parsed = complete(fields)
        slots = CronSlots(parsed, local, _policy(dst, is_wildcard(parsed)), first, last)
        kind, field = "cron", f"schedule_{[*fields][-1]}"
        details = partial(words.of_cron, parsed)
        over = False
    # Mostly there is a slot ahead, in years whose clock changes are needed anyway.
    if not over and slots.slot(seconds(created)) is None and slots.slot(0) is None:
        raise ScheduleError(field, *_never(fields, start, end))
    trigger = SlotTrigger(
        kind,
        slots,
        zone=local,
        delay=delay,
        blackout=blackout,
        missed=missed,
        details=details,
    )
    if not over and blackout is not None:
        _require_a_run(
            trigger, "blackout", [created, moment(first - 1)], "every slot lies in a blackout"
        )
    return trigger


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
    """ScheduleError unless there is a run after one of the instants."""
    if all(trigger.next(instant) is None for instant in after):
        raise ScheduleError(
            field,
            f"the schedule never fires: {why} that the policy for missed slots does not outlast",
            "shorten the blackout, or raise missed.max_age so that the run starts when it ends",
        )


class _Refused(ValueError):
    """A value is not acceptable; the reader knows the name of its field."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class _Reader:
    """Reads named values and gathers the problems instead of stopping at the first."""

    def __init__(
        self, values: Mapping[str, object], prefix: str = "", problems: list[Problem] | None = None
    ) -> None:
        self._values = values
        self._prefix = prefix
        self._problems: list[Problem] = [] if problems is None else problems

    def problem(self, name: str, message: str, hint: str = "") -> None:
        """Note that the value of *name* is not acceptable."""
        self._problems.append(Problem(self._prefix + name, message, hint))

    def read(self, name: str, parse: Callable[[object], _T]) -> _T | None:
        """The parsed value of *name*; None when it is not given or not acceptable."""
        value = self._values.get(name)
        if not _is_set(value):
            return None
        try:
            return parse(value)
        except ScheduleError as error:
            self.problem(name, error.message, error.hint)
        except _Refused as error:
            self.problem(name, str(error), error.hint)
        return None

    def section(self, name: str, names: Sequence[str]) -> _Reader:
        """The reader of a mapping; an empty one when it is not given or not acceptable."""
        value = self._values.get(name)
        section = self._inside(name, value, names) if _is_set(value) else None
        return section or _Reader({}, problems=self._problems)

    def sections(self, name: str, names: Sequence[str]) -> list[_Reader]:
        """The readers of a list of mappings."""
        value = self._values.get(name)
        if not _is_set(value):
            return []
        if not isinstance(value, (list, tuple)):
            self.problem(name, f"{quoted(value)} is not a list", f"a list of {_keys(names)}")
            return []
        if len(value) > _WINDOWS:
            self.problem(name, f"{len(value)} entries are too many", f"at most {_WINDOWS}")
            return []
        sections = [self._inside(f"{name}[{i}]", item, names) for i, item in enumerate(value)]
        return [section for section in sections if section is not None]

    def _inside(self, name: str, value: object, names: Sequence[str]) -> _Reader | None:
        if not isinstance(value, Mapping):
            self.problem(name, f"{quoted(value)} is not a mapping", f"a mapping of {_keys(names)}")
            return None
        for key in value:
            if key not in names:
                near = did_you_mean(str(key)[:_LENGTH], names)
                hint = near or f"known: {', '.join(names)}"
                self.problem(f"{name}.{str(key)[:_LENGTH]}", "unknown key", hint)
        return _Reader(value, f"{self._prefix}{name}.", self._problems)

    def require(self, name: str, parse: Callable[[object], _T]) -> _T | None:
        """Like read, but it has to be there."""
        if not _is_set(self._values.get(name)):
            self.problem(name, "is missing", f"add {name}")
        return self.read(name, parse)

    def check(self) -> None:
        """ScheduleError when there was any problem."""
        if self._problems:
            raise ScheduleError.of(self._problems)


def _is_set(value: object) -> bool:
    return not (value is None or value is False or value == "")


def _keys(names: Sequence[str]) -> str:
    return ", ".join(names)


def _cron_texts(reader: _Reader) -> dict[str, str]:
    """The given cron-like fields, checked one by one."""
    texts = {name: reader.read(key, check) for name, key, check in _CRON}
    return {name: text for name, text in texts.items() if text is not None}


def _cron_text(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise _Refused(f"{quoted(value)} is neither text nor a whole number")
    text = str(value) if isinstance(value, str) or abs(value) < 10**9 else "1000000000"
    parse_field(name, text)
    return text


_CRON = [(name, f"schedule_{name}", partial(_cron_text, name)) for name in FIELDS]


def _zone(value: object) -> tzinfo:
    if not isinstance(value, str):
        raise _Refused(f"{quoted(value)} is not the name of a time zone", "like Europe/Berlin")
    try:
        return zone_of(value)
    except UnknownZone as error:
        raise _Refused(error.message, error.hint) from None


def _instant(value: object, local: tzinfo) -> datetime:
    hint = "write it like 2026-11-24T02:30:00, with Z or +01:00 where it is not the job's own zone"
    if not isinstance(value, str) or len(value) > _LENGTH:
        raise _Refused(f"{quoted(value)} is not a date", hint)
    try:
        instant = parse_instant(value, local)
    except (ValueError, OverflowError) as error:
        raise _Refused(str(error), hint) from None
    if not FIRST_YEAR < instant.year < LAST_YEAR:
        raise _Refused(
            f"{quoted(value)} is too far away",
            f"years {FIRST_YEAR + 1}-{LAST_YEAR - 1} can be used",
        )
    return instant


def _interval(value: object) -> int:
    """Seconds of "N unit"; 0 for "continuous"."""
    hint = f"'continuous' or a number and a unit, as in '5 minutes' ({', '.join(UNITS)})"
    text = value.strip().lower() if isinstance(value, str) else ""
    if text == "continuous":
        return 0
    match = _INTERVAL.fullmatch(text)
    number, unit = match.groups() if match is not None else ("", "")
    unit = unit if unit.endswith("s") else f"{unit}s"
    if unit not in UNITS:
        raise _Refused(f"{quoted(value)} is not an interval", hint)
    period = int(number) * UNITS[unit]
    if period == 0:
        raise _Refused(
            "an interval of 0 never passes", "'continuous' runs again as soon as a run has ended"
        )
    if period > _LONGEST:
        raise _Refused(f"{quoted(value)} is longer than 100 years", hint)
    return period


def _duration(value: object) -> int:
    hint = f"write it like '30 minutes' ({', '.join(UNITS)}) or as a number of seconds"
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise _Refused(f"{quoted(value)} is not a duration", hint)
    if isinstance(value, str) and len(value) > _LENGTH:
        raise _Refused(f"{quoted(value)} is not a duration", hint)
    try:
        duration = parse_duration(value)
    except ValueError:
        raise _Refused(f"{quoted(value)} is not a duration", hint) from None
    if duration > _LONGEST:
        raise _Refused(f"{quoted(value)} is longer than 100 years", hint)
    return duration


def _time_of_day(value: object) -> int:
    """Seconds since midnight of "06:00"; "24:00" is the end of the day."""
    match = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is not None:
        hour, minute, second = (int(part or 0) for part in match.groups())
        time = hour * 3600 + minute * 60 + second
        if minute < 60 and second < 60 and time <= DAY:
            return time
    raise _Refused(f"{quoted(value)} is not a time of day", "write it quoted, like '06:00'")


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Refused(f"{quoted(value)} is neither true nor false", "write true, or leave it out")
    return value


def _choice(choices: Sequence[str]) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if value not in choices:
            raise _Refused(f"{quoted(value)} is not a choice", f"one of {', '.join(choices)}")
        return str(value)

    return parse


def _dst(reader: _Reader) -> dict[str, str]:
    section = reader.section("dst", tuple(_DST))
    read = {name: section.read(name, _choice(choices)) for name, choices in _DST.items()}
    return {name: choice for name, choice in read.items() if choice is not None}


def _missed(reader: _Reader, local: tzinfo) -> CatchUpPolicy:
    section = reader.section("missed", ("run", "max_age", "not_after"))
    default = CatchUpPolicy()
    max_age = section.read("max_age", _duration)
    return CatchUpPolicy(
        section.read("run", _choice(("skip", "once", "all"))) or default.run,
        default.max_age if max_age is None else max_age,
        section.read("not_after", _time_of_day),
        local,
    )


def _blackout(reader: _Reader, local: tzinfo, instant: int) -> Blackout | None:
    windows = []
    for section in reader.sections("blackout", ("start", "end", "day_of_week", "timezone")):
        zone = section.read("timezone", _zone)
        start = section.require("start", _time_of_day)
        end = section.require("end", _time_of_day)
        weekdays = section.read("day_of_week", _weekdays)
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


def _weekdays(value: object) -> frozenset[int]:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise _Refused(f"{quoted(value)} is not a weekday", "write it like mon-fri")
    return frozenset(parse_field("day_of_week", str(value)[:1000]).values)
