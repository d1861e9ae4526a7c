# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a schedule against what one counts by hand, second by second and day by day."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_oracles import trigger, utc

from coldchain.core.instants import DAY, UTC, parse_duration
from coldchain.schedule import describe
from coldchain.schedule.blackout import Blackout, Span, Window
from coldchain.schedule.build import build
from coldchain.schedule.catchup import catch_up
from coldchain.schedule.cron import LIMITS, MONTHS, WEEKDAYS, parse_field
from coldchain.schedule.delay import splay_fraction
from coldchain.schedule.errors import ScheduleError
from coldchain.schedule.model import CatchUpPolicy
from coldchain.schedule.readings import END_DAY, Readings, Times
from coldchain.schedule.slot_trigger import bisect_first
from coldchain.schedule.slots import HORIZON, CronSlots, Dst, IntervalSlots, complete, is_wildcard
from coldchain.schedule.triggers import BootTrigger
from coldchain.schedule.zones import zone_table

BERLIN = ZoneInfo("Europe/Berlin")
EPOCH = date(1970, 1, 1)


def refusal(**job_schedule: Any) -> ScheduleError:
    with pytest.raises(ScheduleError) as caught:
        trigger(**job_schedule)
    return caught.value


# -- fields -----------------------------------------------------------------------------------

TERMS = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 9), st.integers(0, 3))


@given(name=st.sampled_from([*LIMITS]), terms=st.lists(TERMS, min_size=1, max_size=3))
def test_a_field_is_the_numbers_that_one_counts(
    name: str, terms: list[tuple[int, int, int, int]]
) -> None:
    low, high = LIMITS[name]
    every = list(range(low, high + 1))
    names: dict[str, Any] = {"month": MONTHS, "day_of_week": WEEKDAYS}
    wanted: set[int] = set()
    texts = []
    for first, last, stride, form in terms:
        start, end = every[first % len(every)], every[last % len(every)]
        if name == "year":
            start, end = min(start, end), max(start, end)
        begin = names[name][start - low] if name in names and form == 1 else str(start)
        circle = every[start - low :] + (every[: start - low] if end < start else [])
        reach = circle[: circle.index(end) + 1]
        if form == 0:
            texts.append("*")
            wanted.update(every)
        elif form == 1:
            texts.append(begin)
            wanted.add(start)
        elif form == 2 or not 1 <= stride <= len(reach) - 1:
            texts.append(f"{begin}-{end}")
            wanted.update(reach)
        else:
            texts.append(f"{begin}-{end}/{stride}")
            wanted.update(reach[::stride])
    parsed = parse_field(name, " , ".join(texts))
    assert parsed.values == tuple(sorted(wanted))
    assert parsed.star == ("*" in texts or wanted == set(every))
    assert not parsed.last and parsed.weekdays == ()


@pytest.mark.parametrize("name", [*LIMITS])
def test_a_step_counts_to_the_end_of_the_field(name: str) -> None:
    low, high = LIMITS[name]
    assert parse_field(name, "*/2").values == tuple(range(low, high + 1, 2))
    assert parse_field(name, f"{low + 1}/2").values == tuple(range(low + 1, high + 1, 2))
    assert parse_field(name, f"*/{high - low}").values == (low, high)
    for text in (f"*/{high - low + 1}", f"{low}/0", f"{high + 1}", "99999999", "*/99999"):
        with pytest.raises(ScheduleError):
            parse_field(name, text)
    if low:
        with pytest.raises(ScheduleError):
            parse_field(name, str(low - 1))


@pytest.mark.parametrize("ordinal", ["1st", "2nd", "3rd", "4th", "5th", "last"])
@pytest.mark.parametrize("weekday", range(7))
def test_the_weekdays_of_a_month(ordinal: str, weekday: int) -> None:
    found = trigger(schedule_day=f"{ordinal} {WEEKDAYS[weekday]}", schedule_year="2026-2028")
    wanted = []
    day = date(2026, 1, 1)
    for number in range(3 * 365 + 1):
        day = date(2026, 1, 1) + timedelta(days=number)
        later = (day + timedelta(days=7)).month != day.month
        place = (day.day - 1) // 7
        if day.weekday() == weekday and (
            later if ordinal == "last" else place == int(ordinal[0]) - 1
        ):
            wanted.append(day)
    days, after = [], utc(2025, 12, 31)
    while (occurrence := found.next(after)) is not None:
        days.append(occurrence.at.date())
        after = occurrence.at
    assert days == wanted


SOME = st.integers(0, 10**9)


@settings(max_examples=60)
@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            "month": st.sampled_from(["2", "*/3", "11-2", "*"]),
            "day": st.sampled_from(["29-31", "last", "mon", "1,15", "5th fri,last", "30"]),
            "week": st.sampled_from(["1", "53", "10-20"]),
            "day_of_week": st.sampled_from(["sat,sun", "0", "tue-thu"]),
            "hour": st.sampled_from(["3", "22-1"]),
        },
    ),
    year=st.integers(1999, 2035),
    ahead=st.integers(0, 366 * DAY),
)
def test_the_next_reading_is_the_first_that_matches(
    fields: dict[str, str], year: int, ahead: int
) -> None:
    begin = (date(year, 1, 1) - EPOCH).days * DAY + ahead
    parsed = complete(fields or {"hour": "3"})

    def matches(day: date) -> bool:
        month = parsed["day"]
        in_month = day.day in month.values
        in_month |= month.last and (day + timedelta(days=1)).day == 1
        in_month |= any(
            weekday == day.weekday()
            and (ordinal == -1 or ((day.day - 1) // 7 == ordinal if ordinal < 5 else False))
            for ordinal, weekday in month.weekdays
        )
        return (
            in_month
            and day.month in parsed["month"].values
            and day.isocalendar()[1] in parsed["week"].values
            and day.weekday() in parsed["day_of_week"].values
        )

    times = [
        hour * 3600 + minute * 60 + second
        for hour in parsed["hour"].values
        for minute in parsed["minute"].values
        for second in parsed["second"].values
    ]
    wanted = None
    for number in range(begin // DAY, begin // DAY + 11 * 366):
        if matches(EPOCH + timedelta(days=number)):
            fitting = [t for t in times if number * DAY + t >= begin]
            if fitting:
                wanted = number * DAY + fitting[0]
                break
    told = Readings(parsed).next(begin)
    assert told == wanted or (wanted is None and (told is None or told > begin + 10 * 365 * DAY))


NUMBERS = st.sets(st.integers(0, 59), min_size=1, max_size=4)


@given(st.sets(st.integers(0, 23), min_size=1, max_size=3), NUMBERS, NUMBERS, st.integers(0, 86399))
def test_the_next_time_of_day_is_the_first_that_matches(
    hours: set[int], minutes: set[int], seconds: set[int], time: int
) -> None:
    fields = [
        parse_field(name, ",".join(map(str, numbers)))
        for name, numbers in (("hour", hours), ("minute", minutes), ("second", seconds))
    ]
    every = sorted(h * 3600 + m * 60 + s for h in hours for m in minutes for s in seconds)
    times = Times(*fields)
    assert times.first == every[0]
    for asked in {time, every[-1], every[-1] + 1, every[0], every[0] + 1}:
        wanted = [t for t in every if t >= asked]
        assert times.next(asked) == (wanted[0] if wanted else None)


def test_the_calendar_has_a_last_day() -> None:
    daily = Readings(complete({"hour": "3"}))
    last = (END_DAY - 1) * DAY + 3 * 3600
    assert daily.next(last) == last and daily.next(last + 1) is None
    assert daily.next(END_DAY * DAY) is None and daily.next(-5) == 3 * 3600
    assert (EPOCH + timedelta(days=END_DAY)) == date(2200, 1, 1) and HORIZON < END_DAY * DAY
    seconds = Readings(complete({"second": "*"}))
    assert seconds.next(END_DAY * DAY - 1) == END_DAY * DAY - 1
    weekly = Readings(complete({"day_of_week": "tue", "hour": "3"}))  # as 2199 ends
    assert weekly.next(last) == last and weekly.next(last + 1) is None
    assert weekly.next(END_DAY * DAY) is None and weekly.next((END_DAY + 9) * DAY) is None


@pytest.mark.parametrize(
    ("texts", "wildcard"),
    [({"hour": "3"}, False), ({"minute": "*"}, True), ({"hour": "*"}, True), ({"day": "1"}, False)],
)
def test_what_runs_every_hour_or_minute_keeps_its_pace(
    texts: dict[str, str], wildcard: bool
) -> None:
    assert is_wildcard(complete(texts)) == wildcard


# -- slots ------------------------------------------------------------------------------------


@given(
    st.integers(-100, 100), st.integers(1, 30), st.none() | st.integers(-50, 200),
    st.integers(-150, 250),
)  # fmt: skip
def test_an_interval_is_a_row_of_slots(first: int, period: int, end: int | None, t: int) -> None:
    row = [slot for slot in range(first, first + 500, period) if slot >= t]
    wanted = row[0] if end is None or row[0] <= end else None
    assert IntervalSlots(first, period, end).slot(t) == wanted


def test_the_horizon_ends_every_row() -> None:
    assert IntervalSlots(HORIZON - 5, 10).slot(HORIZON - 5) == HORIZON - 5
    assert IntervalSlots(HORIZON - 5, 10).slot(HORIZON - 4) is None
    assert IntervalSlots(HORIZON - 5, 10, 2 * HORIZON).slot(HORIZON + 1) is None


@settings(max_examples=40)
@given(
    gap=st.sampled_from(["next", "skip", "shift"]),
    overlap=st.sampled_from(["first", "second", "both"]),
    minutes=st.sampled_from(["0", "30", "*/15"]),
    spring=st.booleans(),
    start=st.integers(-5, 5),
    end=st.none() | st.integers(0, 5),
    ahead=st.integers(-4 * 3600, 4 * 3600),
)
def test_local_times_around_a_clock_change(
    gap: str, overlap: str, minutes: str, spring: bool, start: int, end: int | None, ahead: int
) -> None:
    change = int((utc(2026, 3, 29, 1) if spring else utc(2026, 10, 25, 1)).timestamp())
    first, last = change + start * 1800, None if end is None else change + end * 1800
    fields = complete({"hour": "*", "minute": minutes})
    slots = CronSlots(fields, BERLIN, Dst(gap, overlap), first, last)
    wanted = set()
    span = range(change - 5 * 3600, change + 8 * 3600, 60)
    for t in span:
        wall = datetime.fromtimestamp(t, BERLIN)
        if wall.minute not in fields["minute"].values:
            continue
        twice = not spring and change - 3600 <= t < change + 3600
        if not twice or overlap == "both" or (overlap == "first") == (t < change):
            wanted.add(t)
    if spring and gap == "next":
        wanted.add(change)
    # "shift": what lies in the gap runs as much later as the gap is long, where slots are anyway.
    fitting = sorted(t for t in wanted if t >= max(first, change + ahead))
    told = slots.slot(change + ahead)
    if last is not None and fitting and fitting[0] > last:
        assert told is None
    elif fitting:
        assert told == fitting[0]


@given(st.integers(-20, 20), st.integers(0, 30), st.integers(-25, 60))
def test_the_first_number_from_which_it_holds(low: int, size: int, threshold: int) -> None:
    wanted = [n for n in range(low, low + size) if n >= threshold]
    assert bisect_first(lambda n: n >= threshold, low, low + size) == (
        wanted[0] if wanted else low + size
    )


def test_a_splay_is_a_fraction_that_no_release_changes() -> None:
    fractions = [splay_fraction(f"host{n}/j") for n in range(400)]
    assert all(0 <= fraction < 1 for fraction in fractions)
    assert sum(fractions) / 400 == pytest.approx(0.5, abs=0.05)
    assert splay_fraction("host/job") == pytest.approx(0.4431302727150346, abs=1e-12)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Recife", "Asia/Kolkata", "UTC"])
def test_the_stretches_of_a_zone_join(zone: str) -> None:
    clock = zone_table(ZoneInfo(zone))
    begin, end = int(utc(1998, 6, 1).timestamp()), int(utc(2002, 6, 1).timestamp())
    t, changes = begin, []
    while t < end:
        segment = clock.segment(t)
        assert segment.begin <= t < segment.end
        wall = datetime.fromtimestamp(t, ZoneInfo(zone)).utcoffset()
        assert wall == timedelta(seconds=segment.offset)
        if segment.after != segment.offset:
            changes.append(segment.end)
            assert clock.segment(segment.end).before == segment.offset
        t = segment.end
    told = [change.begin for change in clock.changes(begin, end)]
    assert told == [change for change in changes if change < end]
    assert len(told) == {"Europe/Berlin": 8, "America/Recife": 6}.get(zone, 0)


# -- blackouts --------------------------------------------------------------------------------

CLOCKS = st.integers(0, 24)


@given(
    windows=st.lists(
        st.tuples(CLOCKS, st.integers(1, 23), st.sets(st.integers(0, 6), min_size=1)),
        min_size=1,
        max_size=3,
    ),
    hour=st.integers(0, 24 * 7 - 1),
    reach=st.integers(1, 48),
)
def test_a_blackout_is_every_second_that_a_window_covers(
    windows: list[tuple[int, int, set[int]]], hour: int, reach: int
) -> None:
    made = [
        Window(start * 3600, (start + length) * 3600, frozenset(days), UTC, f"w{number}")
        for number, (start, length, days) in enumerate(windows)
    ]
    blackout = Blackout(made)
    monday = (date(2026, 5, 4) - EPOCH).days

    def dark(at: int) -> list[str]:
        """Windows that cover the hour *at*, counted from Monday."""
        return [
            window.text
            for window, (start, length, days) in zip(made, windows)
            if any(
                day % 7 in days and day * 24 + start <= at < day * 24 + start + length
                for day in range(at // 24 - 2, at // 24 + 1)
            )
        ]

    instant = monday * DAY + hour * 3600
    begin, end = hour, hour
    while dark(begin - 1) and begin > hour - 24 * 9:
        begin -= 1
    while dark(end) and end < hour + 24 * 9:
        end += 1
    span = blackout.at(instant)
    if begin <= hour - 24 * 9 or end >= hour + 24 * 9:
        assert span is not None
        return
    wanted = Span(monday * DAY + begin * 3600, monday * DAY + end * 3600)
    assert span == (wanted if dark(hour) else None)
    if dark(hour):
        assert blackout.reason(instant) == f"in the blackout {' and '.join(dark(hour))}"
    first = blackout.first(instant, instant + reach * 3600)
    later = [at for at in range(hour, hour + reach) if dark(at)]
    assert (first is None) == (not later)
    if first is not None and not dark(hour):
        assert first.begin == monday * DAY + later[0] * 3600
    assert blackout.endless(instant) == (dark(hour) != [] and end - begin > 8 * 24)


@settings(max_examples=60)
@given(
    window=st.tuples(st.integers(0, 23), st.integers(1, 22)),
    minute=st.sampled_from(["00", "30"]),
    after=st.integers(0, 96),
    length=st.integers(0, 96),
    limit=st.integers(1, 8),
    run=st.sampled_from(["skip", "once", "all"]),
)
def test_the_slots_that_a_blackout_cancels(
    window: tuple[int, int], minute: str, after: int, length: int, limit: int, run: str
) -> None:
    """In half hours from a midnight; slots are whole hours.

    A window that ends with a slot puts none off: that is the run that covers the others.
    """
    start, end = window[0], f"{sum(window) % 24:02}:{minute}"
    found = trigger(
        schedule_hour="*",
        blackout=[{"start": f"{start:02}:00", "end": end}],
        missed={"run": run, "max_age": "1 days"},
    )
    midnight = utc(2026, 5, 4)
    half = timedelta(minutes=30)
    told = found.blacked_out(midnight + after * half, midnight + (after + length) * half, limit)
    hours = [hour for hour in range(100) if after < 2 * hour <= after + length]
    last = window[1] if minute == "30" else window[1] - 1
    dark = [hour for hour in hours if (hour - start) % 24 <= last]
    if minute == "30" and run == "once":
        dark = [hour for hour in dark if (hour - start) % 24 != last]
    elif minute == "30" and run == "all":
        dark = []
    assert [occurrence.at for occurrence, _ in told] == [
        midnight + hour * 2 * half for hour in dark[:limit]
    ]
    words = f"in the blackout {start:02}:00-{end}"
    tail = "" if run == "skip" else "; a later run covers it"
    assert {reason for _, reason in told} <= {f"{words}{tail}"}


@given(
    at=st.integers(0, DAY - 1),
    max_age=st.integers(0, 2 * DAY),
    not_after=st.none() | st.integers(0, DAY),
)
def test_the_deadline_is_the_age_or_the_next_such_time(
    at: int, max_age: int, not_after: int | None
) -> None:
    day = int(utc(2026, 5, 4).timestamp())
    policy = CatchUpPolicy("once", max_age, not_after)
    clocks = [] if not_after is None else [not_after, not_after + DAY]
    wanted = min([at + max_age, *[clock for clock in clocks if clock >= at][:1]])
    assert policy.deadline(day + at) == day + wanted


# -- words ------------------------------------------------------------------------------------


@given(st.integers(0, 10**8))
def test_a_duration_in_words_is_read_as_the_same(seconds: int) -> None:
    words = describe.duration(seconds)
    assert parse_duration(words) == seconds
    assert not words.startswith("1 ") or not words.endswith("s")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"second": "*"}, "every second"),
        ({"second": "5,10"}, "seconds 5 and 10 of every minute"),
        ({"minute": "5-7"}, "minutes 5-7 of every hour"),
        ({"minute": "5/15"}, "every 15 minutes from minute 5 on"),
        ({"hour": "9-17"}, "hours 9-17 every day"),
        ({"hour": "1/2"}, "every 2 hours from hour 1 on every day"),
        ({"hour": "1,2,3", "minute": "1,2"}, None),
        ({"hour": "0-5", "minute": "0,30", "second": "1"}, None),
        ({"hour": "3", "minute": "0", "second": "30"}, "at 03:00:30 every day"),
        ({"hour": "3", "minute": "0,30"}, "at 03:00 and 03:30 every day"),
        ({"day": "1,2"}, "at 00:00 on day 1 and 2 of the month"),
        ({"day": "1-3"}, "at 00:00 on day 1-3 of the month"),
        ({"month": "1,2"}, "at 00:00 on day 1 of the month in January and February"),
        ({"day_of_week": "mon,tue"}, "at 00:00 on Monday and Tuesday"),
        ({"day_of_week": "mon-wed"}, "at 00:00 on Monday to Wednesday"),
        ({"week": "1-3"}, "at 00:00 every day in ISO week 1-3"),
        ({"year": "2027-2029"}, "at 00:00 on day 1 of the month in January in 2027-2029"),
    ],
)
def test_more_fields_in_words(fields: dict[str, object], words: str | None) -> None:
    found = trigger(**{f"schedule_{name}": value for name, value in fields.items()})
    told = found.describe()
    if words is None:
        assert told.startswith(("at 01:01, 01:02, 02:01, 02:02, 03:01 and 03:02", "second 1 of "))
    else:
        assert told == f"{words} (UTC)"


@pytest.mark.parametrize(
    ("start", "end", "weekdays", "zone", "words"),
    [
        (0, DAY, None, None, "00:00-24:00"),
        (8 * 3600 + 5, 18 * 3600, frozenset([0, 1, 2, 5]), None, "08:00:05-18:00 mon-wed,sat"),
        (8 * 3600, 18 * 3600, frozenset(range(6)), None, "08:00-18:00 mon-sat"),
        (8 * 3600, 18 * 3600, frozenset([0, 1]), UTC, "08:00-18:00 mon,tue (UTC)"),
        (8 * 3600, 18 * 3600, frozenset(range(7)), BERLIN, "08:00-18:00 (Europe/Berlin)"),
    ],
)
def test_a_window_in_words(start: int, end: int, weekdays: Any, zone: Any, words: str) -> None:
    assert describe.window(start, end, weekdays, zone) == words


# -- refusals and bounds ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("schedule_interval", "36600 days", "36601 days"),
        ("schedule_interval", "1 second", "0 seconds"),
        ("schedule_interval", " 5 MINUTES ", "5 fortnights"),
        ("schedule_interval", "5 minute", "5minutes"),
        ("schedule_splay", "36600 days", "36601 days"),
        ("schedule_splay", 90, True),
        ("schedule_splay", "90", "90 s"),
        ("schedule_date", "2026-07-01T03:00:00", "2026-07-32T03:00:00"),
        ("schedule_date", "2026-07-01", 20260701),
        ("schedule_timezone", "Asia/Tokyo", 9),
        ("schedule_boot", True, "yes"),
        ("schedule_hour", 23, 24),
        ("schedule_year", 2199, 10**12),
        pytest.param("schedule_minute", 59, 10**5000, id="more digits than Python writes"),
    ],
)
def test_what_is_just_good_and_what_is_not(field: str, good: Any, bad: Any) -> None:
    more = {"schedule_hour": "*"} if field in ("schedule_splay", "schedule_timezone") else {}
    trigger(**{field: good, **more})
    error = refusal(**{field: bad, **more})
    assert error.field == field and error.hint
    assert "(" not in error.message, "a sentence"


@pytest.mark.parametrize(
    ("clock", "good"),
    [
        ("00:00", True), ("23:59:59", True), ("24:00", True), ("24:00:01", False), ("12:60", False),
        ("12:00:60", False), ("6:30", True), (630, False), ("", False),
    ],
)  # fmt: skip
def test_times_of_day(clock: Any, good: bool) -> None:
    end = "01:00" if clock != "01:00" else "02:00"
    schedule = {"schedule_hour": "*", "missed": {"not_after": clock}}
    if good or clock == "":
        trigger(**schedule)
    else:
        assert "is not a time of day" in refusal(**schedule).message
    if good and clock != "24:00":
        trigger(schedule_hour="*", blackout=[{"start": clock, "end": end}])


@pytest.mark.parametrize(
    ("window", "problem"),
    [
        ({"start": "08:00", "end": "08:00"}, "the window is empty"),
        ({"start": "24:00", "end": "08:00"}, "the window is empty"),
        ({"start": "00:00", "end": "24:00"}, "the windows leave no time for a run"),
        ({"end": "08:00"}, "is missing"),
        ({"start": "08:00", "end": "09:00", "ends": 1}, "unknown key"),
        ({"start": "08:00", "end": "09:00", "day_of_week": 1.5}, "is not a weekday"),
    ],
)
def test_windows_that_cannot_be(window: dict[str, Any], problem: str) -> None:
    error = refusal(schedule_minute="0", blackout=[window])
    assert problem in str([(entry.path, entry.message) for entry in error.problems()])


def test_reasons_of_missed_slots() -> None:
    hourly = trigger(schedule_minute="0")
    after, now = utc(2026, 5, 4, 0, 30), utc(2026, 5, 4, 5, 30)

    def reasons(**policy: Any) -> list[str]:
        caught = catch_up(hourly, after=after, now=now, policy=CatchUpPolicy(**policy))
        return [reason for _, reason in caught.skipped]

    assert reasons(run="skip") == ["missed, and missed slots are not made up for"] * 5
    assert reasons(run="once", max_age=9 * 3600) == ["missed; one later run covers it"] * 4
    assert reasons(run="all", max_age=9 * 3600) == []
    late = "missed by more than max_age (5400 seconds)"
    assert reasons(run="all", max_age=5400) == [late] * 3
    assert (
        reasons(run="all", max_age=9 * 3600, not_after=4 * 3600)
        == ["missed, and it is later than not_after"] * 4
    )


@pytest.mark.parametrize("splay", [1, 600])
@pytest.mark.parametrize("slots", [1, 2])
def test_a_delay_is_the_key_s_fraction_of_the_splay_and_its_last_second_counts(
    splay: int, slots: int
) -> None:
    """Of a last slot as of any other, of a date, and after a boot."""
    delays = set()
    for number in range(60):
        key = f"host/{number}"
        end = utc(2026, 5, 4, slots) - timedelta(seconds=1)
        schedules: list[dict[str, object]] = [
            {"schedule_hour": "*", "schedule_end_date": end.isoformat()},
            {"schedule_date": "2026-05-04T00:00Z"},
            {"schedule_boot": True},
        ]
        wanted = int(splay_fraction(key) * (splay + 1))
        for schedule in schedules:
            found = build(
                {**schedule, "schedule_splay": splay}, zone=UTC, created=utc(2026, 5, 3, 23, 30),
                key=key,
            )  # fmt: skip
            if isinstance(found, BootTrigger):
                at: datetime | None = found.after_boot(utc(2026, 5, 4))
            else:
                occurrence = found.next(utc(2026, 5, 3, 23, 59, 59))
                at = occurrence and occurrence.at
            assert at == utc(2026, 5, 4) + timedelta(seconds=wanted)
        delays.add(wanted)
    assert min(delays) < splay * 0.1 and max(delays) > splay * 0.9
