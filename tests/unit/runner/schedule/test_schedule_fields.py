# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a schedule may say, what is refused, and how the refusal helps."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from examples import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from schedule_oracles import CREATED, MONTHS, RANGES, WEEKDAYS, runs, trigger, utc

from coldchain.schedule import ScheduleError
from coldchain.schedule.cron import FIELDS


def refusal(**job_schedule: object) -> ScheduleError:
    with pytest.raises(ScheduleError) as caught:
        trigger(**job_schedule)
    return caught.value


@pytest.mark.parametrize(
    ("field", "text", "same"),
    [
        ("day_of_week", "fri-mon", "0,4-6"),
        ("day_of_week", "Mon, WED", "0,2"),
        ("hour", "22-2", "22,23,0,1,2"),
        ("hour", "22-2/2", "22,0,2"),
        ("month", "nov-feb", "1,2,11,12"),
        ("week", "52-1", "52,53,1"),
        ("minute", "50-10/10", "50,0,10"),
        ("day", "30-2", "30,31,1,2"),
        ("day", "mon-fri", "mon,tue,wed,thu,fri"),
        ("day", "sat-mon", "sat, sun, mon"),
        ("day", "LAST  Fri", "last fri"),
        ("month", " 1-6 , 9-12 ", "1-6,9-12"),
        ("second", 30, "30"),
        ("hour", "03", "3"),
        ("minute", "10/20", "10,30,50"),
    ],
)
def test_two_ways_to_write_the_same(field: str, text: object, same: str) -> None:
    finer = {"schedule_hour": "0"} if field in ("week", "day_of_week", "day", "month") else {}
    one = trigger(**{f"schedule_{field}": text, **finer})
    other = trigger(**{f"schedule_{field}": same, **finer})
    until = CREATED + timedelta(days=800 if finer else 3)
    assert runs(one, CREATED, until) == runs(other, CREATED, until) != []


def test_the_weekdays_of_the_documented_example_are_each_of_these_days() -> None:
    seed = trigger(
        schedule_month="1-6, 9-12",
        schedule_day="mon, wed, fri",
        schedule_hour="03",
        schedule_minute="25",
    )
    found = runs(seed, utc(2026, 6, 24), utc(2026, 9, 5))
    assert found[:3] == [utc(2026, 6, day, 3, 25) for day in (24, 26, 29)]
    assert found[3:] == [utc(2026, 9, day, 3, 25) for day in (2, 4)]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"day": 1, "minute": 20}, utc(2026, 1, 1, 0, 20)),
        ({"day_of_week": "mon"}, utc(2026, 1, 5)),
        ({"week": 5}, utc(2026, 1, 26)),
        ({"month": 3}, utc(2026, 3, 1)),
        ({"year": 2027}, utc(2027, 1, 1)),
        ({"second": 30}, utc(2026, 1, 1, 0, 0, 30)),
        ({"hour": "*"}, utc(2026, 1, 1, 1)),
    ],
)
def test_fields_not_given_are_all_when_coarser_and_least_when_finer(
    fields: dict[str, object], expected: object
) -> None:
    found = trigger(**{f"schedule_{name}": value for name, value in fields.items()})
    occurrence = found.next(CREATED)
    assert occurrence is not None
    assert occurrence.at == expected


@pytest.mark.parametrize(
    ("field", "text", "part", "hint"),
    [
        ("minute", "60", "'60'", "0-59"),
        ("minute", "5,,6", "empty part", "comma"),
        ("minute", "*/0", "'*/0'", "at least 1"),
        ("minute", "*/60", "wider than its range", "at most 59"),
        ("minute", "5/", "'5/'", "0-59"),
        ("minute", "-5", "'-5'", "0-59"),
        ("minute", "1.5", "'1.5'", "0-59"),
        ("minute", 1.5, "1.5", ""),
        ("minute", True, "True", ""),
        ("minute", [1, 2], "[1, 2]", ""),
        ("minute", "\u0663", "'\u0663'", "0-59"),
        ("hour", "24", "'24'", "0-23"),
        ("hour", "mon", "'mon'", "0-23"),
        ("day", "0", "'0'", "1-31"),
        ("day", "monday", "'monday'", "1-31, last"),
        ("day", "6th mon", "'6th'", "5th"),
        ("day", "2nd monday", "'monday'", "mon"),
        ("day", "lastfoo", "'lastfoo'", "last"),
        ("day_of_week", "7", "'7'", "0 is Monday"),
        ("day_of_week", "mon fri", "'mon fri'", "commas"),
        ("day_of_week", "mon - fri", "'mon - fri'", "'mon-fri'"),
        ("day_of_week", "monday", "'monday'", "did you mean 'mon'?"),
        ("month", "0", "'0'", "January is 1"),
        ("month", "13", "'13'", "jan-dec"),
        ("year", "2030-2020", "backwards", "lower year first"),
        ("year", "26", "'26'", "1970-2199"),
        ("week", "54", "'54'", "1-53"),
    ],
)
def test_a_refusal_names_the_field_the_part_and_the_remedy(
    field: str, text: object, part: str, hint: str
) -> None:
    error = refusal(**{f"schedule_{field}": text})
    assert error.field == f"schedule_{field}"
    assert part in error.message
    assert hint in error.hint


def test_all_problems_come_in_one_answer() -> None:
    error = refusal(
        schedule_minute="60",
        schedule_hour="25",
        schedule_timezone="Mars/Olympus",
        schedule_start_date="tomorrow",
        schedule_splay="soon",
        dst={"gap": "jump", "overlaps": "both"},
        missed={"run": "twice", "max_age": -1, "not_after": "6 o'clock"},
        blackout=[{"start": "08:00"}, {"start": "25:00", "end": "18:00", "day_of_week": "7"}, 5],
    )
    assert {problem.path for problem in error.problems()} == {
        "schedule_minute",
        "schedule_hour",
        "schedule_timezone",
        "schedule_start_date",
        "schedule_splay",
        "dst.gap",
        "dst.overlaps",
        "missed.run",
        "missed.max_age",
        "missed.not_after",
        "blackout[0].end",
        "blackout[1].start",
        "blackout[1].day_of_week",
        "blackout[2]",
    }
    assert all(problem.message and problem.hint for problem in error.problems())


@pytest.mark.parametrize(
    "job_schedule",
    [
        {"schedule_month": "feb", "schedule_day": "30"},
        {"schedule_month": "2,4,6", "schedule_day": "31"},
        {"schedule_week": "53", "schedule_month": "6"},
        {"schedule_week": "53", "schedule_month": "2-5"},
        {"schedule_day": "5th mon", "schedule_day_of_week": "tue"},
        {"schedule_day": "1", "schedule_week": "53", "schedule_month": "feb-dec"},
        {"schedule_year": "2027", "schedule_month": "2", "schedule_day": "29"},
        {"schedule_year": "2020", "schedule_start_date": "2026-01-01"},
        {"schedule_year": "2030", "schedule_end_date": "2029-12-31"},
        {"schedule_interval": "1 weeks", "schedule_end_date": "2026-01-03"},
        {
            "schedule_year": 2026,
            "schedule_month": 3,
            "schedule_day": 29,
            "schedule_hour": 2,
            "schedule_minute": 30,
            "schedule_timezone": "Europe/Berlin",
            "dst": {"gap": "skip"},
        },
        {"schedule_hour": 12, "blackout": [{"start": "08:00", "end": "18:00"}]},
        {
            "schedule_hour": 12,
            "missed": {"run": "skip"},
            "blackout": [{"start": "12:00", "end": "13:00"}],
        },
        {
            "schedule_hour": 12,
            "missed": {"not_after": "12:30"},
            "blackout": [{"start": "12:00", "end": "13:00"}],
        },
        {
            "schedule_date": "2026-05-05T12:00:00",
            "blackout": [{"start": "08:00", "end": "18:00"}],
        },
        {
            "schedule_minute": "*",
            "blackout": [{"start": "08:00", "end": "20:00"}, {"start": "20:00", "end": "08:00"}],
        },
        {
            "schedule_interval": "continuous",
            "blackout": [{"start": "00:00", "end": "24:00"}],
        },
    ],
)
def test_what_can_never_fire_is_refused(job_schedule: dict[str, object]) -> None:
    error = refusal(**job_schedule)
    assert error.field.startswith(("schedule_", "blackout"))
    assert error.hint


def test_what_fired_only_in_the_past_is_no_mistake() -> None:
    for job_schedule in (
        {"schedule_date": "2015-06-02T16:20:00"},
        {"schedule_year": "2020"},
        {"schedule_interval": "1 days", "schedule_end_date": "2015-06-02T16:20:00"},
    ):
        assert trigger(**job_schedule).next(CREATED) is None


def test_an_end_before_the_start_is_refused() -> None:
    error = refusal(
        schedule_hour="1", schedule_start_date="2026-05-02", schedule_end_date="2026-05-01"
    )
    assert error.field == "schedule_end_date"


@pytest.mark.parametrize("empty", [None, False, ""])
def test_nothing_false_and_empty_mean_not_given(empty: object) -> None:
    names = [f"schedule_{name}" for name in (*FIELDS, "timezone", "date", "interval", "splay")]
    found = trigger(**dict.fromkeys([*names, "dst", "missed", "blackout"], empty))
    assert found.kind == "once"


WORDS = [*WEEKDAYS, *MONTHS, "last", "1st", "2nd", "*", "/", "-", ",", " ", "0", "7", "59", "2026"]
VALUES = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(WORDS), max_size=9).map("".join),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(
        st.sampled_from(("gap", "overlap", "run", "max_age", "not_after", "start", "end", "x")),
        st.one_of(st.text(max_size=9), st.integers(), st.sampled_from(("08:00", "all", "both"))),
        max_size=3,
    ),
)
KEYS = [f"schedule_{name}" for name in RANGES]
KEYS += [f"schedule_{name}" for name in ("date", "interval", "start_date", "end_date")]
KEYS += ["schedule_timezone", "schedule_splay", "dst", "missed", "blackout"]


@pytest.mark.long
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4))
@settings(max_examples=examples(600, 6000))
@example({"schedule_minute": "9" * 100_000})
@example({"schedule_minute": 10**5000})
@example({"schedule_minute": "," * 100_000})
@example({"schedule_interval": "9" * 100_000 + " weeks"})
@example({"schedule_interval": "999999999999 weeks"})
@example({"schedule_splay": "9" * 100_000})
@example({"schedule_splay": 10**5000, "dst": [[[[10**5000]]]], "schedule_day": [10**5000]})
@example({"schedule_date": "9999-12-31T23:59:59-23:00"})
@example({"schedule_date": "0001-01-01"})
@example({"schedule_hour": "*", "schedule_start_date": "2199-12-31"})
@example({"schedule_timezone": "../../../etc/passwd", "schedule_hour": "1"})
@example({"schedule_timezone": "\x00"})
@example({"schedule_timezone": "\ud800"})
@example({"blackout": [{"start": "00:00", "end": "00:01"}] * 51})
def test_anything_is_accepted_or_refused_and_what_is_accepted_works(
    job_schedule: dict[str, object],
) -> None:
    begun = time.process_time()
    _is_accepted_or_refused(job_schedule)
    assert time.process_time() - begun < 10, "usually a millisecond; of our own CPU time"


def _is_accepted_or_refused(job_schedule: dict[str, object]) -> None:
    try:
        found = trigger(**job_schedule)
    except ScheduleError as error:
        assert error.problems()
        return
    assert found.describe()
    after = utc(2020, 1, 1)
    for _ in range(3):
        occurrence = found.next(after)
        if occurrence is None:
            break
        assert occurrence.at > after
        assert occurrence.at >= occurrence.slot
        after = occurrence.at


@pytest.mark.parametrize("year", [1, 1969, 2199, 9999])
def test_any_instant_may_be_asked_for(year: int) -> None:
    for job_schedule in (
        {},
        {"schedule_date": "2026-05-05"},
        {"schedule_interval": "1 days"},
        {"schedule_interval": "continuous"},
        {"schedule_hour": "1", "schedule_splay": 60},
        {"schedule_hour": "1", "blackout": [{"start": "08:00", "end": "18:00"}]},
    ):
        found = trigger(**job_schedule)
        occurrence = found.next(utc(year, 12, 31, 23, 59, 59))
        assert (occurrence is None) == (year >= 2199)


def test_an_instant_without_a_zone_is_refused() -> None:
    for job_schedule in ({}, {"schedule_hour": "1"}, {"schedule_interval": "continuous"}):
        with pytest.raises(ValueError, match="no time zone"):
            trigger(**job_schedule).next(utc(2026, 1, 1).replace(tzinfo=None))
