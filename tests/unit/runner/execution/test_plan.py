# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Freezer's rules for a chain of actions, as observed on the real scheduler."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldchain.execution import plan
from coldchain.execution.plan import ActionSpec, Attempt, Begin, Done, Skip

CODES = {"s": (plan.SUCCESS, 0), "f": (plan.FAIL, 1), "q": (plan.FAIL, plan.SOFT_FAILURE)}


def play(
    specs: list[ActionSpec], outcomes: list[str], *, abort_at: int = -1
) -> tuple[str, str, list[float]]:
    """Run the plan with the given outcomes an action (the last repeats); what ran, the result."""
    attempts: list[list[Attempt]] = [[] for _ in specs]
    skipped = [False] * len(specs)
    ran, aborted, now, pauses = "", False, 100.0, []
    for _ in range(200):
        step = plan.next_step(specs, attempts, skipped, aborted=aborted, killed=False)
        if isinstance(step, Done):
            return ran, step.result, pauses
        if isinstance(step, Skip):
            skipped[step.action] = True
            continue
        assert step.attempt == len(attempts[step.action]) + 1
        if step.attempt > 1:
            pauses.append(step.at - now)
        now = max(now, step.at) + 1.0
        ran += str(step.action + 1)
        letters = outcomes[step.action]
        result, code = CODES[letters[min(step.attempt, len(letters)) - 1]]
        if step.action == abort_at and not aborted:
            aborted, result, code = True, plan.ABORTED, 143
        attempts[step.action].append(Attempt(result, code, now))
    raise AssertionError("the plan does not end")


def spec(text: str) -> ActionSpec:
    """ "M" mandatory; a digit is max_retries."""
    retries = "".join(c for c in text if c.isdigit())
    return ActionSpec({"action": "exec"}, mandatory="M" in text, max_retries=int(retries or 0))


@pytest.mark.parametrize(
    ("actions", "ran", "result"),
    [
        ("f s s", "1", "fail"),
        ("f sM s", "12", "fail"),
        ("s f sM s", "123", "fail"),
        ("s s s", "123", "success"),
        ("f fM s", "12", "fail"),
        ("f2 s", "111", "fail"),
        ("ffs2 s", "1112", "success"),
        ("q2 s", "1", "fail"),
        ("fq5 sM", "112", "fail"),
    ],
)
def test_the_chain_of_actions(actions: str, ran: str, result: str) -> None:
    words = actions.split()
    outcomes = ["".join(c for c in word if c in CODES) for word in words]
    assert play([spec(word) for word in words], outcomes)[:2] == (ran, result)


@pytest.mark.parametrize(
    ("actions", "abort_at", "ran"),
    [("s sM", 0, "12"), ("s s", 0, "1"), ("f5 s", 0, "1"), ("s sM s", 1, "12")],
)
def test_an_abort_ends_the_run_but_for_mandatory_actions(
    actions: str, abort_at: int, ran: str
) -> None:
    words = actions.split()
    outcomes = [word[0] for word in words]
    assert play([spec(w) for w in words], outcomes, abort_at=abort_at)[:2] == (ran, "aborted")


def test_a_killed_run_begins_nothing_more() -> None:
    specs = [spec(""), spec("M")]
    done = [[Attempt(plan.ABORTED, None, 1.0)], []]
    step = plan.next_step(specs, done, [False, False], aborted=True, killed=True)
    assert step == Skip(1)


def test_pauses_grow_with_the_backoff() -> None:
    growing = spec("3")._replace(max_retries_interval=10.0, retry_backoff=2.0)
    assert play([growing], ["f"])[2] == [10.0, 20.0, 40.0]
    jittery = growing._replace(retry_jitter=4.0)
    assert jittery.pause(1, 0.5) == 12.0


def test_a_pause_that_no_number_can_hold_is_a_very_long_one() -> None:
    growing = spec("9")._replace(max_retries_interval=1.0, retry_backoff=1000.0)
    assert growing.pause(9000, 0.0) == growing.pause(900, 0.0) > 100 * 365 * 86400
    assert growing._replace(max_retries_interval=0.0).pause(9000, 0.0) == 0.0


SPECS = st.lists(
    st.tuples(st.sampled_from(["s", "f", "q", "fs"]), st.booleans(), st.integers(0, 3)),
    min_size=1,
    max_size=6,
)


@given(SPECS)
def test_whatever_the_chain_it_ends_and_no_success_hides_a_failure(
    chain: list[tuple[str, bool, int]],
) -> None:
    specs = [ActionSpec({}, mandatory=m, max_retries=r) for _, m, r in chain]
    ran, result, _ = play(specs, [outcome for outcome, _, _ in chain])
    final = {index: chain[index - 1][0][-1] for index in map(int, ran)}
    tried = {index: ran.count(str(index)) for index in final}
    succeeded = {
        index: letter == "s" and (chain[index - 1][0] == "s" or tried[index] > 1)
        for index, letter in final.items()
    }
    assert (result == "success") == (all(succeeded.values()) and len(final) == len(chain))
    for index in range(1, len(chain) + 1):
        earlier_failed = any(not succeeded[i] for i in succeeded if i < index)
        mandatory = chain[index - 1][1]
        assert (index in final) == (mandatory or not earlier_failed)
        if index in final:
            assert tried[index] <= chain[index - 1][2] + 1


def test_a_document_entry_becomes_a_spec() -> None:
    made = ActionSpec.of({"freezer_action": {"action": "exec"}, "timeout": "2 minutes"})
    assert (made.timeout, made.max_retries, made.max_retries_interval) == (120, 0, 60)
    assert isinstance(plan.next_step([made], [[]], [False], aborted=False, killed=False), Begin)
