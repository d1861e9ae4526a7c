# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An abort between any two steps: what is mandatory still runs, nothing else begins."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coldchain.execution import plan
from coldchain.execution.plan import ActionSpec, Attempt, Begin, Done, Skip

CHAINS = st.lists(
    st.tuples(st.sampled_from(["s", "f", "fs", "ffs"]), st.booleans(), st.integers(0, 3)),
    min_size=1,
    max_size=5,
)
RESULTS = {"s": (plan.SUCCESS, 0), "f": (plan.FAIL, 1)}


@given(chain=CHAINS, abort_after=st.integers(0, 12), killed=st.booleans())
def test_whenever_the_abort_comes(
    chain: list[tuple[str, bool, int]], abort_after: int, killed: bool
) -> None:
    specs = [ActionSpec({}, mandatory=must, max_retries=retries) for _, must, retries in chain]
    attempts: list[list[Attempt]] = [[] for _ in chain]
    skipped, began_after = [False] * len(chain), []
    for number in range(100):
        aborted = number >= abort_after
        step = plan.next_step(specs, attempts, skipped, aborted=aborted, killed=aborted and killed)
        if isinstance(step, Done):
            assert step.result == plan.ABORTED or not aborted
            break
        if isinstance(step, Skip):
            skipped[step.action] = True
            continue
        assert isinstance(step, Begin)
        if aborted:
            began_after.append((step.action, step.attempt))
        letters = chain[step.action][0]
        result, code = RESULTS[letters[min(step.attempt, len(letters)) - 1]]
        attempts[step.action].append(Attempt(result, code, float(number)))
    else:
        raise AssertionError("the plan does not end")
    assert all(attempt == 1 and specs[index].mandatory for index, attempt in began_after)
    if killed:
        assert began_after == []
    elif abort_after <= number:
        assert all(attempts[index] for index, spec in enumerate(specs) if spec.mandatory)
