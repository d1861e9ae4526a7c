# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every cell of the (status, event) table, and every combination of facts."""

from __future__ import annotations

import itertools

import pytest

from coldchain import lifecycle as life
from coldchain.lifecycle import Facts, Transition

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
    ("running", "remove"): Transition("removing", "remove"),
    ("aborting", "start"): Transition("aborting", "start"),
    ("aborting", "stop"): Transition("aborting", "stop"),
    ("aborting", "abort"): Transition("aborting", "abort", life.KILL),
    ("aborting", "remove"): Transition("removing", "remove"),
    ("removing", "abort"): Transition("removing", "remove", life.TERMINATE),
    ("removing", "remove"): Transition("removing", "remove"),
}


@pytest.mark.parametrize(("status", "event"), sorted(TABLE))
def test_every_event_in_every_status(status: str, event: str) -> None:
    assert life.after_event(status, event) == TABLE[status, event]


def test_the_table_is_complete_but_for_removed_jobs() -> None:
    cells = {(s, e) for s in life.STATUSES for e in life.EVENTS if s != life.REMOVED}
    cells -= {("removing", "start"), ("removing", "stop")}  # it has no document any more
    assert set(TABLE) == cells


@pytest.mark.parametrize(
    ("status", "event"),
    [("removed", e) for e in life.EVENTS] + [("stop", "pause"), ("completed", "start"), ("", "")],
)
def test_unknown_combinations_are_errors(status: str, event: str) -> None:
    with pytest.raises(life.LifecycleError, match="means nothing"):
        life.after_event(status, event)


RUNS = ("", life.RUNNING, life.ABORTING)
ALL_FACTS = [
    Facts(declared, declared_stop, event, usable, run, asked, more)
    for declared, declared_stop, usable, asked, more in itertools.product((True, False), repeat=5)
    for event, run in itertools.product(("", "start", "stop", "abort"), RUNS)
]


@pytest.mark.parametrize("facts", ALL_FACTS, ids=str)
def test_a_status_follows_from_the_facts(facts: Facts) -> None:
    status, what = life.status_of(facts)
    if not facts.declared:
        assert (status, what) == ("removing" if facts.run else "removed", "")
        return
    assert what in ("", *life.CAUSES)
    assert (what == "event") == (facts.event in ("stop", "abort")), "whatever the document says"
    if what != "event":
        assert (what == "declaration") == facts.declared_stop
    if what not in ("event", "declaration"):
        assert (what == "unusable") == (not facts.usable)
        assert (what == "over") == (facts.usable and not facts.has_more and not facts.run)
    if facts.run:
        assert status == facts.run
    else:
        assert status == ("stop" if what and not facts.asked else "scheduled")


@pytest.mark.parametrize(
    ("status", "pending", "what", "earlier", "event", "expected"),
    [
        ("scheduled", "", "", [], "stop", True),
        ("scheduled", "", "", ["stop"], "stop", False),
        ("scheduled", "", "", ["stop", "start"], "start", False),
        ("stop", "", "event", [], "stop", False),
        ("stop", "", "event", [], "abort", False),
        ("stop", "", "declaration", [], "stop", False),
        ("stop", "", "over", [], "stop", False),
        ("stop", "", "declaration", ["start"], "stop", True),
        ("running", "", "", [], "start", False),
        ("running", "", "declaration", [], "start", True),
        ("running", "stop", "event", [], "start", True),
        ("running", "stop", "event", [], "stop", False),
        ("removing", "remove", "", [], "abort", True),
        ("removing", "remove", "", [], "remove", False),
    ],
)
def test_whether_an_event_does_anything(
    status: str, pending: str, what: str, earlier: list[str], event: str, expected: bool
) -> None:
    assert life.foresee(status, pending, what, earlier, event)[0] is expected


def test_what_stops_a_job_is_told_in_words() -> None:
    def said(what: str, problem: str = "") -> str:
        stopped_by = {"what": what, "who": "root", "when": "2026-11-24T02:00:00+00:00"}
        return life.describe_stop(stopped_by, problem)

    assert life.describe_stop(None) == ""
    assert said("event") == "stopped by root at 2026-11-24T02:00:00+00:00"
    assert said("unusable", "no such zone") == "its schedule cannot be used: no such zone"
    assert len({said(what) for what in life.CAUSES}) == len(life.CAUSES)


def test_requests_are_told_apart_by_what_they_say() -> None:
    """They come from a file, and no two texts of it are one object."""
    waiting = ["".join(["st", "op"])]
    assert life.foresee("scheduled", "", "", waiting, "".join(["s", "top"]))[0] is False
