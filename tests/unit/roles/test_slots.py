# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places in the slots that hosts share: never more at once than promised, and few move."""

from __future__ import annotations

import random
import re
from datetime import datetime, timezone

import collection_tree
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain.schedule import build
from coldchain.schedule.simulate import simulate
from coldchain.schedule.simulation import SimulatedJob

collection_tree.make_importable()

from ansible_collections.coldchain.freezer.plugins.plugin_utils import _slots as slots

UTC = timezone.utc
START = datetime(2026, 3, 27, tzinfo=UTC)  # the clocks of Berlin change two days later
EXAMPLES = settings(deadline=None, max_examples=50, derandomize=True)
KNOWN = st.sampled_from((0, 0, 30, 599, 600, 601, 1800, 4000))


@st.composite
def fleets(draw: st.DrawFn) -> tuple[slots.Slot, list[slots.Unit]]:
    slot = slots.Slot(
        draw(st.sampled_from(("nightly", "n"))),
        draw(st.integers(1, 4)),
        draw(st.integers(600, 30_000)),
        draw(st.sampled_from((60, 600, 900))),
    )
    names = st.tuples(st.text("ab-.é/ ", min_size=1, max_size=4), st.sampled_from(("www", "db")))
    found = draw(st.dictionaries(names, KNOWN, min_size=1, max_size=30))
    return slot, [slots.Unit(host, job_id, seconds) for (host, job_id), seconds in found.items()]


def simulated(slot: slots.Slot, places: dict[slots.Unit, int], zone: str) -> dict[str, object]:
    """What the calendar of the runner makes of the places."""
    jobs = [
        SimulatedJob(
            unit.host,
            unit.job_id,
            build(
                {
                    "schedule_hour": "1",
                    "schedule_timezone": zone,
                    "schedule_splay": f"{slot.within} seconds",
                    "schedule_offset": f"{offset} seconds",
                },
                zone=UTC,
                created=START,
                key=f"{unit.host}/{unit.job_id}",
            ),
            int(unit.seconds) or slot.lasts,
            slot=slot.name,
        )
        for unit, offset in places.items()
    ]
    result = simulate(jobs, START, 4, 10, {slot.name: slot.at_once})
    assert result.total("runs") >= 4 * len(jobs)
    return result.as_dict()["slots"][slot.name]


@EXAMPLES
@given(fleets(), st.sampled_from(("UTC", "Europe/Berlin")))
def test_the_calendar_has_no_more_at_once_than_promised(
    fleet: tuple[slots.Slot, list[slots.Unit]], zone: str
) -> None:
    slot, units = fleet
    try:
        places = slots.offsets(slot, units)
    except slots.DoesNotFit:
        return
    assert places.keys() == set(units)
    for unit, offset in places.items():
        assert 0 <= offset <= slot.within - max(unit.seconds, slot.lasts)
    use = simulated(slot, places, zone)
    assert use["runs"] <= slot.at_once, use
    assert use["crowded"] == []


@EXAMPLES
@given(fleets(), st.randoms(use_true_random=False))
def test_the_order_of_the_inventory_is_nothing(
    fleet: tuple[slots.Slot, list[slots.Unit]], shuffled: random.Random
) -> None:
    slot, units = fleet
    others = [*units, units[0]]
    shuffled.shuffle(others)
    try:
        expected: object = slots.offsets(slot, units)
    except slots.DoesNotFit as error:
        with pytest.raises(slots.DoesNotFit, match=re.escape(str(error)[:40])):
            slots.offsets(slot, others)
    else:
        assert slots.offsets(slot, others) == expected


@EXAMPLES
@given(fleets())
def test_a_refusal_names_what_would_do(fleet: tuple[slots.Slot, list[slots.Unit]]) -> None:
    slot, units = fleet
    try:
        slots.offsets(slot, units)
    except slots.DoesNotFit as error:
        within = re.search(r"within of (\d+ [a-z]+)", str(error))
        at_once = re.search(r"at_once of (\d+)", str(error))
        assert within is not None
        slots.offsets(slot._replace(within=slots.duration(within[1])), units)
        if at_once is not None:
            slots.offsets(slot._replace(at_once=int(at_once[1])), units)
    else:
        assert sum(max(1, -int(-u.seconds // slot.lasts)) for u in units) <= (
            slot.steps * slot.at_once
        )


@pytest.mark.parametrize(("at_once", "steps"), [(1, 48), (2, 24), (4, 12)])
def test_a_host_that_comes_or_goes_moves_one_other_or_fewer_on_average(
    at_once: int, steps: int
) -> None:
    """Of n others that is 1/n, where half of the room is free.  No rule could promise it of every
    single one: decision 082."""
    slot = slots.Slot("nightly", at_once, steps * 600, 600)
    moved = went = 0
    for fleet in range(40):
        units = [slots.Unit(f"{fleet}-{number}", "www") for number in range(fleet % 24 + 1)]
        places = slots.offsets(slot, units)
        for gone in units:
            left = slots.offsets(slot, [unit for unit in units if unit != gone])
            moved += sum(places[unit] != offset for unit, offset in left.items())
            went += 1
    assert moved <= went


def test_more_time_or_more_at_once_moves_few() -> None:
    slot = slots.Slot("nightly", 2, 14_400, 600)
    units = [slots.Unit(f"web{number}", "www") for number in range(24)]
    places = slots.offsets(slot, units)
    for wider in (slot._replace(within=16_200), slot._replace(at_once=3)):
        found = slots.offsets(wider, units)
        assert sum(places[unit] != found[unit] for unit in units) <= 6


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("a b", {"at_once": 1, "within": 60}, "'a b' cannot be the name of a slot"),
        ("-x", {"at_once": 1, "within": 60}, "the first one no dot or dash"),
        ("n", None, "must have at_once"),
        ("n", {"at_once": 0, "within": "4 hours"}, "at_once must be a whole number of runs from 1"),
        ("n", {"at_once": True, "within": "4 hours"}, "not True"),
        ("n", {"within": "4 hours"}, "n.at_once must be"),
        ("n", {"at_once": "2x", "within": "4 hours"}, "not '2x'"),
        ("n", {"at_once": 1}, "n.within must be a duration, such as"),
        ("n", {"at_once": 1, "within": "4 moons"}, "not '4 moons'"),
        ("n", {"at_once": 1, "within": 0}, "not 0"),
        ("n", {"at_once": 1, "within": "5 minutes"}, "shorter than one run of 10 minutes"),
        ("n", {"at_once": 1, "within": "1 hours", "lasts": None}, "lasts must be a duration"),
        ("n", {"at_once": 1, "within": "1 hours", "witdh": 1}, "there is no 'witdh' in a slot"),
        ("n", {"at_once": 1, "within": "1 weeks", "lasts": 1}, "Write 61 seconds or more"),
    ],
)
def test_a_slot_that_is_none_is_told_with_the_way_out(name: str, value: object, told: str) -> None:
    slot, problems = slots.read_slot(name, value)
    assert slot is None
    assert told in " ".join(problems)


def test_what_came_by_the_command_line_is_understood() -> None:
    slot, problems = slots.read_slot("n", {"at_once": "2", "within": "90 Minutes", "lasts": "300"})
    assert (problems, slot) == ([], slots.Slot("n", 2, 5400, 300))
