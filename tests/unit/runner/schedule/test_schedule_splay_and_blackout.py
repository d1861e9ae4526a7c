# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Splay and blackout against a model that lists all slots and looks at them one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from random import Random

import pytest
from examples import examples
from hypothesis import given, note, settings
from hypothesis import strategies as st
from schedule_oracles import SECOND, SEEDS, UTC, WEEKDAYS, runs, trigger, utc

from coldchain.schedule import Occurrence, ScheduleError, Trigger, session_tag
from coldchain.schedule.delay import splay_fraction
from coldchain.schedule.slot_trigger import CATCH_UP_LIMIT

MINUTE = timedelta(minutes=1)
BEGIN, END = utc(2026, 5, 1), utc(2026, 5, 12)
MARGIN = timedelta(days=9)  # what lies outside may still matter inside


def any_schedule(chance: Random) -> dict[str, object]:
    if chance.random() < 0.5:
        hours = sorted(chance.sample(range(24), chance.randint(1, 8)))
        return {
            "schedule_hour": ",".join(map(str, hours)),
            "schedule_minute": chance.randint(0, 59),
        }
    return {
        "schedule_interval": f"{int(7 * 430 ** chance.random())} minutes",
        "schedule_start_date": "2026-04-20T00:00:00",
    }


@dataclass(frozen=True)
class Window:
    start: int  # minutes since midnight
    end: int
    days: frozenset[int]

    def document(self) -> dict[str, str]:
        return {
            "start": f"{self.start // 60:02}:{self.start % 60:02}",
            "end": f"{self.end // 60:02}:{self.end % 60:02}",
            "day_of_week": ",".join(WEEKDAYS[day] for day in sorted(self.days)),
        }

    def covers(self, instant: datetime) -> bool:
        time = instant.hour * 60 + instant.minute
        if self.start < self.end:
            return self.start <= time < self.end and instant.weekday() in self.days
        if time >= self.start:
            return instant.weekday() in self.days
        return time < self.end and (instant.weekday() - 1) % 7 in self.days


def any_windows(chance: Random) -> list[Window]:
    """None to three; often one begins soon after another has ended."""
    windows: list[Window] = []
    for _ in range(chance.choice((0, 1, 1, 2, 2, 3))):
        start = chance.randrange(1440)
        if windows and chance.random() < 0.5:
            start = (windows[-1].end + chance.choice((0, 1, 5, 60))) % 1440
        end = (start + chance.choice((1, 30, 240, 600, 1300))) % 1440
        days = frozenset(chance.sample(range(7), chance.choice((1, 5, 6, 7))))
        windows.append(Window(start, end, days))
    return windows


@dataclass
class Model:
    """All slots of the plain schedule, decided upon one by one."""

    slots: list[datetime]
    splay: int
    share: float
    windows: list[Window]
    run: str
    max_age: int
    not_after: int | None
    at: dict[datetime, datetime] = field(default_factory=dict)
    cancelled: set[datetime] = field(default_factory=set)
    deferred: set[datetime] = field(default_factory=set)

    @cached_property
    def rest(self) -> list[int]:
        """For each minute of a week, how many minutes the blackout then still lasts."""
        monday = BEGIN - BEGIN.weekday() * 1440 * MINUTE
        week = [monday + number * MINUTE for number in range(7 * 1440)]
        covered = [any(window.covers(instant) for window in self.windows) for instant in week]
        rest = [0]
        for blacked_out in reversed(covered * 2):
            rest.append(rest[-1] + 1 if blacked_out else 0)
        return rest[: len(week) : -1]

    def remaining(self, instant: datetime) -> int:
        return self.rest[instant.weekday() * 1440 + instant.hour * 60 + instant.minute]

    def decide(self) -> None:
        regular = {}
        for slot, following in zip(self.slots, self.slots[1:]):
            room = int((following - slot).total_seconds())
            delay = int(self.share * min(self.splay + 1, room))
            regular[slot] = slot + timedelta(seconds=delay)
        blackouts: dict[datetime, list[datetime]] = {}
        for slot, at in regular.items():
            remaining = self.remaining(at)
            if not remaining:
                self.at[slot] = at
                continue
            end = at.replace(second=0) + remaining * MINUTE
            blackouts.setdefault(end, []).append(slot)
        for end, slots in blackouts.items():
            self.after_blackout(end, slots, regular)

    def after_blackout(
        self, end: datetime, slots: list[datetime], regular: dict[datetime, datetime]
    ) -> None:
        chosen = [slot for slot in slots if self.in_time(regular[slot], end)]
        chosen = {"skip": [], "once": chosen[-1:], "all": chosen[-CATCH_UP_LIMIT:]}[self.run]
        following = min((at for at in regular.values() if at >= end), default=None)
        room = int((following - end).total_seconds()) if following else self.splay + 1
        delay = int(self.share * min(self.splay + 1, room))
        if self.remaining(end + timedelta(seconds=delay)):
            delay = 0
        for index, slot in enumerate(chosen):
            if delay + index < room:
                self.at[slot] = end + timedelta(seconds=delay + index)
                self.deferred.add(slot)
        self.cancelled.update(slot for slot in slots if slot not in self.at)

    def in_time(self, at: datetime, end: datetime) -> bool:
        if (end - at).total_seconds() > self.max_age:
            return False
        if self.not_after is None:
            return True
        limit = at.replace(hour=0, minute=0, second=0) + timedelta(minutes=self.not_after)
        return end <= (limit if limit >= at else limit + timedelta(days=1))


@pytest.mark.long
@given(chance=SEEDS)
@settings(max_examples=examples(60, 600))
def test_runs_and_cancelled_slots(chance: Random) -> None:
    schedule, windows = any_schedule(chance), any_windows(chance)
    splay = chance.choice((0, 0, 600, chance.randint(1, 20_000)))
    key = f"client/{chance.random()}"
    run = chance.choice(("skip", "once", "all", "all"))
    max_age = chance.choice((0, 3600, 3600, chance.randint(0, 40_000)))
    not_after = chance.choice((None, None, chance.randrange(1440)))
    note(f"{schedule} {windows} {splay} {run} {max_age} {not_after}")
    if all(any(w.covers(BEGIN + n * MINUTE) for w in windows) for n in range(7 * 1440)):
        with pytest.raises(ScheduleError, match="no time"):
            trigger(blackout=[window.document() for window in windows], **schedule)
        return
    model = Model(
        slots=runs(trigger(UTC, key, **schedule), BEGIN - MARGIN, END + MARGIN),
        splay=splay,
        share=splay_fraction(key),
        windows=windows,
        run=run,
        max_age=max_age,
        not_after=not_after,
    )
    model.decide()
    missed: dict[str, object] = {"run": run, "max_age": max_age}
    if not_after is not None:
        missed["not_after"] = f"{not_after // 60:02}:{not_after % 60:02}"
    special = {
        "schedule_splay": splay,
        "blackout": [window.document() for window in windows],
        "missed": missed,
    }
    try:
        ours = trigger(UTC, key, **special, **schedule)
    except ScheduleError:
        assert not model.at
        return
    expected = sorted(
        Occurrence(at, slot, deferred=slot in model.deferred)
        for slot, at in model.at.items()
        if BEGIN < at <= END
    )
    found = occurrences(ours, BEGIN, END)
    assert found == expected
    edge = timedelta(seconds=splay) + MINUTE  # a delay may lead over it
    inside = (BEGIN + edge, END - edge)
    cancelled = [o.slot for o, _ in ours.blacked_out(BEGIN, END, 10_000)]
    assert [slot for slot in cancelled if inside[0] < slot < inside[1]] == [
        slot for slot in sorted(model.cancelled) if inside[0] < slot < inside[1]
    ]
    # The answer does not depend on from where one asks.
    for _ in range(25):
        after = BEGIN + chance.randrange(11 * 86400) * SECOND
        later = [entry for entry in expected if entry.at > after]
        occurrence = ours.next(after)
        assert not later or (occurrence == later[0])


def occurrences(found: Trigger, after: datetime, until: datetime) -> list[Occurrence]:
    listed = []
    occurrence = found.next(after)
    while occurrence is not None and occurrence.at <= until:
        listed.append(occurrence)
        occurrence = found.next(occurrence.at)
    return listed


@given(key=st.text(), splay=st.integers(1, 10**6), every=st.integers(1, 10**6))
@settings(max_examples=200)
def test_a_splay_is_stable_and_never_reaches_the_next_slot(
    key: str, splay: int, every: int
) -> None:
    schedule = {"schedule_interval": f"{every} seconds", "schedule_splay": splay}
    found = trigger(UTC, key, **schedule)
    occurrence = found.next(BEGIN)
    assert occurrence is not None
    delay = (occurrence.at - occurrence.slot).total_seconds()
    assert 0 <= delay <= min(splay, every - 1)
    again = trigger(UTC, key, **schedule).next(BEGIN)
    assert again == occurrence


@given(
    key=st.text(),
    offset=st.integers(0, 10**6),
    more=st.integers(0, 10**6),
    kind=st.sampled_from(("interval", "date", "once")),
)
def test_an_offset_is_kept_to_the_second_whatever_the_names(
    key: str, offset: int, more: int, kind: str
) -> None:
    schedule: dict[str, object] = {"schedule_splay": offset + more, "schedule_offset": offset}
    if kind == "interval":
        schedule["schedule_interval"] = max(offset + more, 1)
        schedule["schedule_interval"] = f"{max(offset + more, 1)} seconds"
        schedule["schedule_start_date"] = "2026-01-02T00:00:00Z"
    elif kind == "date":
        schedule["schedule_date"] = "2026-01-02T00:00:00Z"
    occurrence = trigger(UTC, key, **schedule).next(BEGIN)
    if occurrence is not None:  # "once", at once
        expected = min(offset, max(offset + more, 1) - 1) if kind == "interval" else offset
        assert (occurrence.at - occurrence.slot).total_seconds() == expected


def test_an_offset_keeps_runs_apart_after_a_blackout_as_well() -> None:
    window = [{"start": "01:00", "end": "04:00", "timezone": "UTC"}]
    begins = [
        trigger(
            UTC,
            blackout=window,
            schedule_hour="2",
            schedule_timezone="UTC",
            schedule_splay="2 hours",
            schedule_offset=offset,
            missed={"max_age": "4 hours"},
        ).next(BEGIN)
        for offset in (0, 600, 5400)
    ]
    assert [o.at - o.slot for o in begins if o] == [
        timedelta(hours=2, seconds=offset) for offset in (0, 600, 5400)
    ]
    told = trigger(UTC, schedule_hour="2", schedule_splay="2 hours", schedule_offset=600).describe()
    assert told == "at 02:00 every day (UTC), each run 10 minutes later, of 2 hours"


def test_a_fleet_spreads_evenly_and_shares_the_session_tag() -> None:
    found = [
        trigger(UTC, f"host{number}/backup", schedule_hour="2", schedule_splay="60 minutes").next(
            BEGIN
        )
        for number in range(1200)
    ]
    assert {session_tag(o.slot) for o in found if o} == {int(utc(2026, 5, 1, 2).timestamp())}
    tenths = [int((o.at - o.slot).total_seconds()) // 360 for o in found if o]
    assert all(80 < tenths.count(tenth) < 160 for tenth in range(10))


def test_a_single_run_waits_for_the_end_of_a_blackout() -> None:
    window = [{"start": "22:00", "end": "02:00", "day_of_week": "thu", "timezone": "UTC"}]
    once = trigger(UTC, blackout=window)  # declared at midnight of Thursday to Friday
    assert runs(once, utc(2025, 12, 1), END) == [utc(2026, 1, 1)]
    window[0]["day_of_week"] = "wed"
    once = trigger(UTC, blackout=window)
    assert runs(once, utc(2025, 12, 1), END) == [utc(2026, 1, 1, 2)]
    date = trigger(UTC, blackout=window, schedule_date="2026-01-01T01:30:00Z")
    assert runs(date, utc(2025, 12, 1), END) == [utc(2026, 1, 1, 2)]


def test_continuous_pauses_in_a_blackout() -> None:
    window = [{"start": "08:00", "end": "18:00"}]
    found = trigger(UTC, blackout=window, schedule_interval="continuous")
    for after, at in (
        (utc(2026, 5, 1, 7), utc(2026, 5, 1, 7, 0, 1)),
        (utc(2026, 5, 1, 7, 59, 59), utc(2026, 5, 1, 18)),
        (utc(2026, 5, 1, 12), utc(2026, 5, 1, 18)),
    ):
        occurrence = found.next(after)
        assert occurrence is not None
        assert occurrence.at == at


@pytest.mark.parametrize(
    ("asked", "end_of_window", "end"),
    [
        (utc(2026, 3, 28, 23), "06:00", utc(2026, 3, 29, 4)),  # seven hours
        (utc(2026, 10, 25, 0), "06:00", utc(2026, 10, 25, 5)),  # nine
        (utc(2026, 3, 28, 23), "02:30", utc(2026, 3, 29, 1)),  # in the gap: when it ends
        (utc(2026, 10, 25, 0), "02:30", utc(2026, 10, 25, 1, 30)),  # twice: the longer blackout
    ],
)
def test_a_window_follows_the_clock_of_its_zone(
    asked: datetime, end_of_window: str, end: datetime
) -> None:
    window = [{"start": "22:00", "end": end_of_window, "timezone": "Europe/Berlin"}]
    occurrence = trigger(blackout=window, schedule_interval="continuous").next(asked)
    assert occurrence is not None
    assert occurrence.at == end


@given(first=st.integers(1, 10**7), every=st.integers(1, 10**7), ahead=st.integers(0, 10**9))
def test_an_interval_never_drifts(first: int, every: int, ahead: int) -> None:
    start = BEGIN + first * SECOND
    found = trigger(
        UTC,
        schedule_interval=f"{every}   second",
        schedule_start_date=start.isoformat(),
        schedule_end_date=(start + 50 * every * SECOND).isoformat(),
    )
    occurrence = found.next(start - SECOND)
    assert occurrence is not None
    assert occurrence.at == start
    occurrence = found.next(start + ahead * SECOND)
    due = ahead // every + 1
    assert (occurrence is None) == (due > 50)
    assert occurrence is None or occurrence.at == start + due * every * SECOND
