# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people read: the schedule in words and the next runs with their marks."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from schedule_oracles import trigger, utc

from coldchain.schedule.preview import preview

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"hour": 3, "minute": 25}, "at 03:25 every day"),
        ({"minute": "*"}, "every minute"),
        ({"minute": "*/15"}, "every 15 minutes"),
        ({"minute": 20}, "minute 20 of every hour"),
        ({"hour": "*/2"}, "every 2 hours"),
        ({"second": "*/10"}, "every 10 seconds"),
        ({"hour": "2,14"}, "at 02:00 and 14:00 every day"),
        ({"hour": "1-10", "minute": "*/20"}, "every 20 minutes of hours 1-10 every day"),
        (
            {"month": "1-6, 9", "day": "mon, wed, fri", "hour": "03", "minute": "25"},
            "at 03:25 on Monday, Wednesday and Friday in January to June and September",
        ),
        (
            {"day": "2nd mon, last", "year": "2027"},
            "at 00:00 on the last day of the month and the 2nd Monday of the month in 2027",
        ),
        ({"day": "13", "day_of_week": "fri"}, "at 00:00 on day 13 of the month if that is Friday"),
        ({"week": "1,5"}, "at 00:00 every day in ISO week 1 and 5"),
        ({"day_of_week": "fri-mon", "hour": 22}, "at 22:00 on Monday and Friday to Sunday"),
        ({"minute": "5,10,20-25"}, "minutes 5, 10 and 20-25 of every hour"),
        ({"minute": "1-59/2"}, "every 2 minutes from minute 1 on"),
        ({"hour": 0, "minute": "0-40/10"}, "at 00:00, 00:10, 00:20, 00:30 and 00:40 every day"),
        ({"minute": "0,30"}, "every 30 minutes"),
        ({"minute": "*/2", "day_of_week": "mon"}, "every 2 minutes on Monday"),
        ({"second": "5", "minute": "1-10", "hour": "*"}, "second 5 of minutes 1-10 of every hour"),
        ({"second": "*", "minute": "5"}, "every second of minute 5 of every hour"),
        (
            {"second": "*/20", "minute": "*/2", "hour": "1-4"},
            "every 20 seconds of every 2 minutes of hours 1-4 every day",
        ),
        ({"hour": "23", "minute": "59", "second": "59"}, "at 23:59:59 every day"),
        ({"hour": "1-3,5,7,9"}, "at 01:00, 02:00, 03:00, 05:00, 07:00 and 09:00 every day"),
        ({"hour": "0-23/3", "minute": 30}, "minute 30 of every 3 hours every day"),
        ({"hour": "*/2", "day_of_week": "mon"}, "every 2 hours on Monday"),
        ({"day": "1,2,3,7"}, "at 00:00 on day 1-3 and 7 of the month"),
        ({"day": "mon,15"}, "at 00:00 on Monday and day 15 of the month"),
        ({"day": "1", "month": "1,2,3"}, "at 00:00 on day 1 of the month in January to March"),
        (
            {"day": "1-5", "day_of_week": "mon,tue,sun"},
            "at 00:00 on day 1-5 of the month if that is Monday, Tuesday or Sunday",
        ),
        ({"week": "1-3", "year": "2027-2029"}, "at 00:00 every day in ISO week 1-3 in 2027-2029"),
    ],
)
def test_cron_fields_in_words(fields: dict[str, object], words: str) -> None:
    found = trigger(BERLIN, **{f"schedule_{name}": value for name, value in fields.items()})
    assert found.describe() == f"{words} (Europe/Berlin)"


def test_everything_else_in_words() -> None:
    assert trigger().describe() == "once, when it is declared"
    date = trigger(BERLIN, schedule_date="2026-07-01T03:00:00")
    assert date.describe() == "once, on 2026-07-01 03:00:00 CEST"
    assert trigger(schedule_interval="continuous").describe() == (
        "continuously: again as soon as a run has ended"
    )
    interval = trigger(
        schedule_interval="90 minutes", schedule_splay=600, schedule_end_date="2026-12-31"
    )
    assert interval.describe() == (
        "every 90 minutes, counted from 2026-01-01 01:30:00 UTC,"
        " until 2026-12-31 00:00:00 UTC, spread over 10 minutes"
    )
    window = {"start": "8:00", "end": "18:00", "day_of_week": "mon-fri", "timezone": "UTC"}
    cron = trigger(schedule_hour=2, schedule_start_date="2026-02-01", blackout=[window])
    assert cron.describe() == (
        "at 02:00 every day (UTC), from 2026-02-01 00:00:00 UTC, not 08:00-18:00 mon-fri (UTC)"
    )


def test_coming_runs_show_both_clocks_and_mark_the_change() -> None:
    nightly = trigger(BERLIN, schedule_hour=2, schedule_minute=30)
    assert [upcoming.line for upcoming in preview(nightly, utc(2026, 3, 28), 3)] == [
        "Sat 2026-03-28 02:30:00 CET = 01:30:00 UTC",
        "Sun 2026-03-29 03:00:00 CEST = 01:00:00 UTC  (clock change: 02:00:00 -> 03:00:00)",
        "Mon 2026-03-30 02:30:00 CEST = 00:30:00 UTC",
    ]
    evening = trigger(ZoneInfo("America/New_York"), schedule_hour=22)
    (line,) = (upcoming.line for upcoming in preview(evening, utc(2026, 11, 1, 12), 1))
    assert line == (
        "Sun 2026-11-01 22:00:00 EST = 2026-11-02 03:00:00 UTC"
        "  (clock change: 02:00:00 -> 01:00:00)"
    )


def test_coming_runs_name_the_slot_that_was_moved() -> None:
    window = [{"start": "23:00", "end": "00:30"}]
    moved = trigger(schedule_hour=23, schedule_minute=45, blackout=window)
    found = preview(moved, utc(2026, 5, 1, 12), 1)
    assert found[0].as_dict() == {
        "at": "2026-05-02T00:30:00+00:00",
        "slot": "2026-05-01T23:45:00+00:00",
        "local": "Sat 2026-05-02 00:30:00 UTC",
        "marks": ["slot 2026-05-01 23:45:00"],
    }


def test_a_schedule_that_ends_has_fewer_and_a_continuous_one_only_the_first() -> None:
    assert len(preview(trigger(schedule_year="2026,2028"), utc(2025, 1, 1), 9)) == 2
    assert preview(trigger(), utc(2026, 5, 1), 9) == []
    assert len(preview(trigger(schedule_interval="continuous"), utc(2026, 5, 1), 9)) == 1
