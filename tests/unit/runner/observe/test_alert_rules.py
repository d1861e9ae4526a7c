# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is told of what, for any sequence of results and any settings, on a clock of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain.core.instants import zone
from coldchain.observe.alert_rules import (
    LARGEST_SUMMARY,
    MOST_HELD,
    Delivery,
    Occasion,
    Policy,
    Rules,
)
from coldchain.observe.notifiers.registry import KINDS, NOTIFIERS
from coldchain.observe.notifiers.target import Target

BEGIN = 1_800_000_000.0
HOUR = 3600.0
ALARMS = ("failure", "silence", "finding")

steps = st.lists(
    st.tuples(
        st.sampled_from(["start", "success", "failure", "silence", "finding", "wait", "restart"]),
        st.sampled_from(["a", "b"]),
        st.sampled_from([0.0, 1.0, 60.0, 1800.0, HOUR, 7 * HOUR, 25 * HOUR]),
    ),
    max_size=25,
)
policies = st.builds(
    Policy,
    st.sampled_from([0, 1800, 2 * HOUR]),
    st.sampled_from([0, 900, 3 * HOUR]),
    st.sampled_from([None, (79200, 21600), (3600, 7200)]),
    st.sampled_from([0, BEGIN + 5 * HOUR]),
    st.just(timezone.utc),
)
targets = st.lists(
    st.builds(
        lambda kind, name, tell: Target.of(
            {"type": kind, "url": f"https://x/{name}", "to": "a@b", "tell": sorted(tell)}
        ),
        st.sampled_from(["ntfy", "healthchecks", "mail"]),
        st.integers(0, 1),
        st.sets(st.sampled_from(KINDS), min_size=1),
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda target: target.key,
)


class Told(NamedTuple):
    """at: when it was delivered; happened: when what it tells of happened."""

    at: float
    kind: str
    job: str
    happened: float


def one(kind: str, **fields: Any) -> Target:
    return Target.of({"type": kind, "url": "https://x/1", "to": "a@b", **fields})


class Play:
    """Rules under a clock, and all that they have delivered, by target."""

    def __init__(self, policy: Policy, targets: list[Target]) -> None:
        self.rules, self.policy, self.targets = Rules(policy), policy, targets
        self.now, self.number = BEGIN, 0
        self.told: dict[str, list[Told]] = {target.key: [] for target in targets}
        self.happened: list[tuple[float, str, str]] = []

    def step(self, kind: str, job: str, seconds: float) -> None:
        self.wait(seconds)
        if kind == "restart":
            saved = json.loads(json.dumps(self.rules.saved()))
            self.rules = Rules(self.policy, saved)
            assert self.rules.saved() == saved
        elif kind != "wait":
            self.number += 1
            self.happened.append((self.now, kind, job))
            message = {"title": kind, "text": job, "at": self.now}
            event = Occasion(kind, job, self.now, f"e{self.number}", message)
            before = json.dumps(self.rules.saved())
            concerned = self.rules.concerns(kind, job, self.targets)
            deliveries = self.rules.tell(event, self.targets)
            assert concerned or (not deliveries and json.dumps(self.rules.saved()) == before)
            self._note(deliveries)
        self._note(self.rules.due(self.now))

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 300)
            self._note(self.rules.due(self.now))

    def _note(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            told = self.told[Target.of(delivery.target).key]
            parts = delivery.message.get("messages") or [
                {"kind": delivery.kind, **delivery.message}
            ]
            told += [Told(self.now, part["kind"], part["text"], part["at"]) for part in parts]


def played(policy: Policy, aims: list[Target], plan: list[Any]) -> Play:
    play = Play(policy, aims)
    for step in plan:
        play.step(*step)
    play.wait(60 * HOUR)  # whatever is held has its time
    return play


@settings(max_examples=120)
@given(policies, targets, steps)
def test_a_target_hears_what_it_asked_for_in_its_order_and_nothing_twice(
    policy: Policy, aims: list[Target], plan: list[Any]
) -> None:
    play = played(policy, aims, plan)
    for target in aims:
        told = play.told[target.key]
        assert {row.kind for row in told} <= set(target.tell)
        assert all(row.at >= row.happened for row in told)
        assert len({(row.kind, row.job, row.happened) for row in told}) == len(told) or any(
            seconds == 0 for _kind, _job, seconds in plan
        )
        for job in "ab":
            order = [
                row.happened
                for row in told
                if row.job == job and row.kind in ("failure", "recovery")
            ]
            assert order == sorted(order)


@settings(max_examples=120)
@given(policies, targets, steps)
def test_a_recovery_follows_what_was_told_and_is_not_kept_back(
    policy: Policy, aims: list[Target], plan: list[Any]
) -> None:
    play = played(policy, aims, plan)
    for target in aims:
        if not {"failure", "silence", "recovery"} <= set(target.tell):
            continue
        for job in "ab":
            told = [row for row in play.told[target.key] if row.job == job]
            bad = 0.0  # when it was told of something that is not over
            for row in told:
                if row.kind in ("failure", "silence"):
                    bad = row.at
                elif row.kind == "recovery":
                    assert bad, "nothing was told that could be over"
                    if row.happened > bad:
                        assert row.at == row.happened, "it was kept back"
                    bad = 0.0
            last = [kind for _at, kind, about in play.happened if about == job and kind != "start"]
            results = [kind for kind in last if kind != "finding"]
            if results and results[-1] == "success":
                assert not bad, "it is over, and nobody was told"


@settings(max_examples=120)
@given(policies, targets, steps)
def test_what_a_setting_keeps_back_is_kept_back_for_people_and_for_them_alone(
    policy: Policy, aims: list[Target], plan: list[Any]
) -> None:
    play = played(policy, aims, plan)
    for target in aims:
        told = play.told[target.key]
        alarms = [row for row in told if row.kind in ALARMS]
        free = policy._replace(zone=None) == Policy()
        if free or not target.paced:
            assert all(row.at == row.happened for row in told)
        if free and "failure" in target.tell:
            failures = [row.happened for row in told if row.kind == "failure"]
            assert failures == [at for at, kind, _job in play.happened if kind == "failure"]
        if target.paced:
            assert all(row.happened >= policy.maintenance for row in alarms)
            assert all(policy.quiet_until(row.at) == row.at for row in alarms)
            for job in "ab":
                times = sorted({row.at for row in alarms if row.job == job})
                gaps = [later - earlier for earlier, later in zip(times, times[1:])]
                assert all(gap >= policy.cool_down for gap in gaps)


@settings(max_examples=60)
@given(targets, steps)
def test_a_silence_is_told_once_until_it_is_over(aims: list[Target], plan: list[Any]) -> None:
    play = played(Policy(), aims, plan)
    for target in aims:
        for job in "ab":
            silent = False
            expected = 0
            for _at, kind, about in play.happened:
                if about == job and kind == "silence" and not silent:
                    expected, silent = expected + 1, True
                elif about == job and kind == "success":
                    silent = False
            told = [row for row in play.told[target.key] if (row.kind, row.job) == ("silence", job)]
            assert len(told) == (expected if "silence" in target.tell else 0)


def test_what_is_held_comes_in_one_message_and_has_a_bound() -> None:
    mail = one("mail")
    rules = Rules(Policy(summary=600))
    for number in range(MOST_HELD + 5):
        event = Occasion(
            "failure", f"j{number}", BEGIN + 1, f"e{number}", {"title": "t", "text": "x"}
        )
        assert rules.tell(event, [mail]) == []
    assert rules.due(BEGIN + 600) == []
    [summary] = rules.due(BEGIN + 602)
    assert len(summary.message["messages"]) == MOST_HELD
    assert summary.message["text"].endswith("and 5 more")
    assert rules.due(BEGIN + 1e6) == []


@pytest.mark.parametrize("text", ["x" * 50, "x" * 700, "ü" * 3000, "\U0001f600" * 40_000])
@pytest.mark.parametrize("name", ["j", "j" * 600])
def test_what_is_held_always_has_room_in_a_message(text: str, name: str) -> None:
    rules, mail = Rules(Policy(summary=600)), one("mail")
    titles = [f"{name}{number}" for number in range(MOST_HELD)]
    for title in titles:
        event = Occasion("failure", title, BEGIN, title, {"title": title, "text": text})
        assert rules.tell(event, [mail]) == []
    [summary] = rules.due(BEGIN + 602)
    assert len(json.dumps(summary.message)) <= LARGEST_SUMMARY
    parts = summary.message["messages"]
    assert summary.message["title"].endswith(f": {MOST_HELD} messages")
    assert [part["title"] for part in parts] == titles[: len(parts)]
    assert all(title in summary.message["text"] for title in titles[: len(parts)])
    if name == "j":
        assert len(parts) == MOST_HELD
    else:
        assert summary.message["text"].endswith(f"and {MOST_HELD - len(parts)} more")


def test_a_clock_that_is_set_back_holds_nothing_longer() -> None:
    rules = Rules(Policy(quiet=(0, 86399), zone=timezone.utc))
    event = Occasion("failure", "j", BEGIN, "e", {"title": "t", "text": "x"})
    assert rules.tell(event, [one("mail")]) == []
    assert len(rules.due(BEGIN - 86400)) == 1


@pytest.mark.parametrize("night", [datetime(2026, 10, 24, 12), datetime(2027, 3, 27, 12)])
@pytest.mark.parametrize("quiet", [(79200, 21600), (0, 21600), (3600, 10800), (7200, 82800)])
@pytest.mark.parametrize("name", ["Europe/Berlin", "UTC"])
def test_quiet_hours_end_when_the_clock_on_the_wall_says_so(
    night: datetime, quiet: tuple[int, int], name: str
) -> None:
    policy = Policy(quiet=quiet, zone=zone(name))
    begin = night.replace(tzinfo=timezone.utc).timestamp()
    moments = [begin + 600 * number for number in range(200)]
    loud = [moment for moment in moments if policy.quiet_until(moment) == moment]
    for moment in filter(lambda at: at <= loud[-1], moments):
        assert policy.quiet_until(moment) == min(at for at in loud if at >= moment)


def test_a_held_failure_that_is_over_is_told_with_its_end() -> None:
    rules, mail = Rules(Policy(quiet=(0, 86399), zone=timezone.utc)), one("mail")
    for number, kind in enumerate(("failure", "success")):
        event = Occasion(kind, "j", BEGIN + number, f"e{number}", {"title": kind, "text": "x"})
        assert rules.tell(event, [mail]) == []
    [together] = rules.due(BEGIN + 86400)
    assert [part["kind"] for part in together.message["messages"]] == ["failure", "recovery"]
    # As alone: it is no mere success.
    assert [part["title"] for part in together.message["messages"]] == ["failure", "success again"]
    assert together.message["text"] == "failure\nx\n\nsuccess again\nx"


def test_what_is_held_is_held_once_when_a_crash_lets_it_be_told_again() -> None:
    rules, mail = Rules(Policy(summary=600)), one("mail")
    event = Occasion("failure", "j", BEGIN, "run-1", {"title": "failure", "text": "x"})
    assert rules.tell(event, [mail]) == []
    rules = Rules(Policy(summary=600), json.loads(json.dumps(rules.saved())))
    assert rules.tell(event._replace(time=BEGIN + 3), [mail]) == []
    [alone] = rules.due(BEGIN + 700)
    assert "messages" not in alone.message and alone.message["title"] == "failure"


def test_a_held_failure_is_told_with_its_end_by_a_runner_that_was_away() -> None:
    rules, mail = Rules(Policy(summary=600)), one("mail")
    for kind, seconds in (("failure", 0), ("success", 601)):
        event = Occasion(kind, "j", BEGIN + seconds, kind, {"title": kind, "text": "x"})
        assert rules.tell(event, [mail]) == []
    [together] = rules.due(BEGIN + 601)
    assert [part["kind"] for part in together.message["messages"]] == ["failure", "recovery"]


def test_what_a_job_was_told_of_is_forgotten_with_it() -> None:
    rules, mail = Rules(Policy()), one("mail")
    rules.tell(Occasion("failure", "j", BEGIN, "e", {}), [mail])
    assert rules.jobs() == ["j"]
    rules.forget(["j"])
    assert rules.jobs() == []
    assert rules.tell(Occasion("success", "j", BEGIN + 1, "f", {}), [mail]) == []


def entries() -> Iterator[dict[str, Any]]:
    for name in NOTIFIERS:
        yield {
            "type": name,
            "url": "https://h/secret?x=y",
            "to": ["a@b"],
            "command": ["/bin/x", "s"],
        }


def test_the_name_of_a_target_tells_no_secret() -> None:
    for entry in entries():
        label = Target.of(entry).label
        assert label.startswith(entry["type"]) and "secret" not in label and "x=y" not in label


def test_a_success_that_nobody_waits_for_concerns_nobody() -> None:
    rules, failures, all_runs = Rules(Policy()), [one("mail")], [one("healthchecks"), one("mail")]
    assert not rules.concerns("success", "a", failures)
    assert rules.concerns("success", "a", all_runs) and rules.concerns("failure", "a", failures)
    rules.tell(Occasion("failure", "a", BEGIN, "e1", {"title": "", "text": ""}), failures)
    assert rules.concerns("success", "a", failures), "it is over"
    assert not rules.concerns("success", "b", failures)
