# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new declaration keeps of the one before, and the steps from an older format."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldchain.store import Change, JobRecord, State, migrations

DAILY = {"schedule_interval": "1 days"}


def document(schedule: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"job_id": "j", "job_actions": [], "job_schedule": schedule, **fields}


@pytest.mark.parametrize(
    ("before", "after", "anchored", "enabled"),
    [
        (DAILY, DAILY, False, False),
        (DAILY, {"schedule_interval": "2 days"}, True, False),
        (DAILY, {**DAILY, "status": "stop"}, False, False),
        ({**DAILY, "status": "stop"}, DAILY, False, True),
        ({**DAILY, "status": "stop"}, {"status": "stop"}, True, False),
        ({}, DAILY, True, False),
        ({"status": "stop"}, {}, False, True),
    ],
)
def test_an_interval_keeps_its_pace_until_the_schedule_changes(
    before: dict[str, Any], after: dict[str, Any], anchored: bool, enabled: bool
) -> None:
    first = JobRecord.new(Change("j", document(before), {"result": "success"}), 100.0)
    assert (first.revision, first.created, first.changed, first.anchor) == (1, 100.0, 100.0, 100.0)
    assert first.stopped == ("status" in before)
    second = first.replaced(document(after, description="another"), 200.0)
    assert (second.revision, second.created, second.changed) == (2, 100.0, 200.0)
    assert second.anchor == (200.0 if anchored else 100.0)
    assert second.enabled == (200.0 if enabled else None)
    assert second.imported == {"result": "success"}
    assert second.document["description"] == "another"


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_only_the_steps_from_a_file_s_own_format_on(
    monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    taken: list[tuple[str, int]] = []

    def step(number: int) -> migrations.Step:
        def change(kind: str, tables: migrations.Tables) -> migrations.Tables:
            taken.append((kind, number))
            return {**tables, f"to {number + 1}": {}}

        return change

    monkeypatch.setattr(migrations, "STEPS", [step(number) for number in (1, 2, 3)])
    assert migrations.current() == 4
    tables = migrations.migrated("jobs", version, {"jobs": {}})
    assert taken == [("jobs", number) for number in range(version, 4)]
    assert set(tables) == {"jobs", *(f"to {number + 1}" for number in range(version, 4))}


INSTANTS = st.none() | st.floats(1, 4e9)
TEXTS = st.text(max_size=5)
ENTRIES = st.lists(st.dictionaries(TEXTS, st.integers(0, 2), max_size=2), max_size=2)
OBJECTS = st.none() | st.dictionaries(TEXTS, st.integers() | TEXTS, min_size=1, max_size=2)
STATES = st.builds(
    State,
    status=st.sampled_from(["scheduled", "stop", "running"]),
    event=TEXTS,
    result=TEXTS,
    time_started=INSTANTS,
    time_ended=INSTANTS,
    next_run=st.none() | st.text(min_size=1, max_size=5),
    stopped_by=OBJECTS,
    run_id=st.none() | st.text(min_size=1, max_size=5),
    cause=TEXTS,
    scheduled_for=TEXTS,
    aborting=st.booleans(),
    last_run=OBJECTS,
    reason=TEXTS,
    newest_event=OBJECTS,
    unusable=TEXTS,
    checked_until=INSTANTS,
    seen_until=INSTANTS,
    revision=st.integers(0, 3),
    created=INSTANTS | st.just(1.0),
    armed_anchor=INSTANTS,
    re_anchored=INSTANTS,
    boot=TEXTS,
    queue=ENTRIES,
    survivors=ENTRIES,
    skipped=OBJECTS,
    request=OBJECTS,
)


@given(STATES)
def test_a_state_is_read_as_it_was_written(state: State) -> None:
    row = state.as_row()
    assert State.from_row("j", row) == state
    assert not any(value in (None, "", []) for value in row.values()), "short rows"
    newer = {**row, "of_a_newer_release": 1}
    assert State.from_row("j", newer) == state


@pytest.mark.parametrize("stopped", [False, True])
def test_the_state_of_a_job_that_no_runner_has_seen(stopped: bool) -> None:
    schedule = {**DAILY, "status": "stop"} if stopped else DAILY
    facts = {"result": "fail", "time_started": 5.0, "time_ended": 6.0}
    record = JobRecord.new(Change("j", document(schedule), facts), 100.0)
    state = State.initial(record)
    assert (state.status, state.active) == ("stop" if stopped else "scheduled", False)
    assert (state.result, state.time_started, state.time_ended) == ("fail", 5.0, 6.0)
    assert (state.revision, state.created, state.armed_anchor) == (1, 100.0, 100.0)
    if stopped:
        assert state.stopped_by is not None and state.stopped_by["what"] == "declaration"
        assert state.reason
    else:
        assert state.stopped_by is None
        assert state.reason == "not yet seen by the runner"


def test_a_request_is_known_while_its_run_goes_on_or_waits() -> None:
    """By its id, as it is read from a file; not every run in the queue is one of a request."""
    first, second = {"id": "a1"}, {"id": "b2"}
    state = State(queue=[{"slot": 1.0}, {"request": first}, {"request": second}])
    going = State(request=first, queue=[{"request": second}])
    for one in (state, going):
        assert all(one.asked("".join(letters)) for letters in (["a", "1"], ["b", "2"]))
        assert not one.asked("c3") and not one.asked("")
    assert not State(queue=[{"slot": 1.0}]).asked("a1") and not State().asked("a1")
    assert State(request=first).asked("a1") and not State(request=first).asked("b2")
