# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every cell of the (status, event) table, and what ends a run."""

from __future__ import annotations

import pytest

from coldchain import lifecycle as life
from coldchain.lifecycle import Transition

TABLE = {
    ("stop", "start"): Transition("scheduled", "", life.ARM),
    ("stop", "stop"): Transition("stop"),
    ("stop", "abort"): Transition("stop"),
    ("stop", "remove"): Transition("removed"),
    ("scheduled", "start"): Transition("scheduled", "", life.RUN_NOW),
    ("scheduled", "stop"): Transition("stop", "", life.DISARM),
    # Freezer answers "stop" here and leaves the job armed; ours is what its answer says.
    ("scheduled", "abort"): Transition("stop", "", life.DISARM),
    ("scheduled", "remove"): Transition("removed", "", life.DISARM),
    ("running", "start"): Transition("running"),
    ("running", "stop"): Transition("running", "stop"),
    ("running", "abort"): Transition("aborting", "abort", life.TERMINATE),
    ("running", "remove"): Transition("running", "remove"),
    ("aborting", "start"): Transition("aborting", "start"),
    ("aborting", "stop"): Transition("aborting", "stop"),
    ("aborting", "abort"): Transition("aborting", "abort", life.KILL),
    ("aborting", "remove"): Transition("aborting", "remove"),
}


@pytest.mark.parametrize(("status", "event"), sorted(TABLE))
def test_every_event_in_every_status(status: str, event: str) -> None:
    assert life.after_event(status, event) == TABLE[status, event]


def test_the_table_is_complete_but_for_removed_jobs() -> None:
    cells = {(s, e) for s in life.STATUSES for e in life.EVENTS if s != life.REMOVED}
    assert set(TABLE) == cells


@pytest.mark.parametrize(
    ("status", "event"),
    [("removed", e) for e in life.EVENTS] + [("stop", "pause"), ("completed", "start"), ("", "")],
)
def test_unknown_combinations_are_errors(status: str, event: str) -> None:
    with pytest.raises(life.LifecycleError, match="means nothing"):
        life.after_event(status, event)


@pytest.mark.parametrize("status", ["stop", "running", "aborting", "removed"])
def test_only_a_scheduled_job_fires(status: str) -> None:
    assert life.fire("scheduled").status == "running"
    with pytest.raises(life.LifecycleError):
        life.fire(status)


@pytest.mark.parametrize("status", ["running", "aborting"])
@pytest.mark.parametrize("more", [True, False])
@pytest.mark.parametrize(
    ("pending", "expected"),
    [
        ("", None),
        ("stop", "stop"),
        ("abort", "stop"),
        ("remove", "removed"),
        ("start", "scheduled"),
    ],
)
def test_the_end_of_a_run(status: str, more: bool, pending: str, expected: str | None) -> None:
    after = life.end(status, pending, more=more)
    assert after.status == (expected or ("scheduled" if more else "stop"))


@pytest.mark.parametrize("status", ["stop", "scheduled", "removed"])
def test_no_run_can_end_that_has_not_begun(status: str) -> None:
    with pytest.raises(life.LifecycleError):
        life.end(status, "", more=True)
