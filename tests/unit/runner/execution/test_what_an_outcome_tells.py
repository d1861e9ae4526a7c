# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of how an attempt ended: result, exit code, message, and whether another helps."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldchain.core.errors import CannotWrite, DataError, TryAgain
from coldchain.execution.outcome import Outcome, not_started, outcome_of, read_report
from coldchain.execution.plan import (
    ABORTED,
    FAIL,
    SUCCESS,
    ActionSpec,
    Attempt,
    Begin,
    Done,
    Skip,
    next_step,
    overall,
)
from coldchain.execution.process import Ending
from coldchain.execution.supervision import Supervised


def outcome(ending: Ending | None, report: dict[str, Any] | None = None, **fields: Any) -> Outcome:
    present = SimpleNamespace(**{"reason": "", "result": "", "vanished": False, **fields})
    present.ending = ending
    return outcome_of(cast("Supervised", present), report or {})


@pytest.mark.parametrize(
    ("code", "number", "report", "result", "message"),
    [
        (0, 0, {}, SUCCESS, "ended with exit code 0"),
        (0, 0, {"message": "12 files"}, SUCCESS, "12 files"),
        (1, 0, {}, FAIL, "exit code 1"),
        (1, 0, {"message": "no space"}, FAIL, "no space"),
        (125, 0, {}, FAIL, "exit code 125"),
        (126, 0, {}, FAIL, "exit code 126: the command cannot be executed"),
        (127, 0, {}, FAIL, "exit code 127: command not found"),
        (128, 0, {}, FAIL, "exit code 128"),
        (74, 0, {}, FAIL, "exit code 74"),
        (75, 0, {}, FAIL, "exit code 75 (exit code 75: not tried again)"),
        (75, 0, {"message": "m"}, FAIL, "m (exit code 75: not tried again)"),
        (76, 0, {}, FAIL, "exit code 76"),
        (143, 15, {}, ABORTED, "killed by SIGTERM (exit code 143)"),
        (143, 15, {"message": "cleaned up"}, ABORTED, "cleaned up"),
        (143, 0, {"message": "cleaned up"}, ABORTED, "cleaned up"),
        (143, 0, {}, FAIL, "exit code 143"),
        (142, 0, {"message": "m"}, FAIL, "m"),
        (137, 9, {}, FAIL, "killed by SIGKILL (exit code 137)"),
        (130, 2, {}, FAIL, "killed by SIGINT (exit code 130)"),
        (163, 35, {}, FAIL, "killed by signal 35 (exit code 163)"),
        (None, 0, {}, FAIL, "was killed together with its wrapper"),
    ],
)
def test_the_end_of_a_command(
    code: int | None, number: int, report: dict[str, Any], result: str, message: str
) -> None:
    told = outcome(Ending(code, number), report)
    assert (told.result, told.exit_code, told.message) == (result, code, message)
    assert told.report == report and told.hopeless is False


def test_what_vanished_is_told_from_what_was_killed() -> None:
    message = "vanished without a result while the runner was down"
    assert outcome(Ending(None), vanished=True).message == message
    assert outcome(Ending(3), vanished=True).message == "exit code 3"


@given(
    code=st.none() | st.integers(0, 255),
    result=st.sampled_from([FAIL, ABORTED]),
    report=st.dictionaries(st.sampled_from(["message", "hopeless"]), st.just(True)),
)
def test_what_was_told_to_end_has_the_result_of_the_order(
    code: int | None, result: str, report: dict[str, Any]
) -> None:
    told = outcome(Ending(code), report, reason="timed out after 3 s", result=result)
    assert told == Outcome(result, code, "timed out after 3 s", report)


def test_what_was_told_to_end_before_it_was_waited_for_has_no_exit_code() -> None:
    told = outcome(None, reason="aborted by root", result=ABORTED)
    assert told == Outcome(ABORTED, None, "aborted by root", {})


@pytest.mark.parametrize("hopeless", [True, False, 1, "yes", None])
def test_only_an_agent_that_says_so_is_hopeless(hopeless: object) -> None:
    told = outcome(Ending(1), {"message": "no key", "hopeless": hopeless})
    assert told.hopeless is (hopeless is True)
    tail = " (not tried again: it would fail in the same way)" if hopeless is True else ""
    assert told.message == f"no key{tail}"
    assert not outcome(Ending(0), {"hopeless": True}).hopeless


@pytest.mark.parametrize(
    ("error", "hopeless"),
    [
        (OSError("no"), False),
        (CannotWrite("no", "make room"), False),
        (TryAgain("no", "later"), False),
        (DataError("no", "repair it"), True),
    ],
)
def test_what_cannot_be_started_is_tried_again_unless_the_document_is_bad(
    error: Exception, hopeless: bool
) -> None:
    told = not_started(error)
    assert told == Outcome(FAIL, None, "could not be started: no", {}, hopeless)


@pytest.fixture(scope="module")
def report_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In one directory: to find a name for another takes longer than an example."""
    return tmp_path_factory.mktemp("report") / "report.json"


@given(value=st.dictionaries(st.text(), st.integers()) | st.lists(st.integers()) | st.none())
def test_a_report_is_an_object_or_none_at_all(value: object, report_file: Path) -> None:
    path = report_file
    path.unlink(missing_ok=True)
    assert read_report(path) == {}
    path.write_text(json.dumps(value))
    assert read_report(path) == (value if isinstance(value, dict) else {})
    path.write_text(json.dumps(value) + "{")
    assert read_report(path) == {}


def test_every_field_of_an_entry_counts_and_each_may_be_left_out() -> None:
    action = {"action": "exec", "command": ["true"]}
    assert ActionSpec.of({"freezer_action": action}) == ActionSpec(
        action, False, 0, 60, 1.0, 0.0, None
    )
    full = {
        "freezer_action": action,
        "mandatory": True,
        "max_retries": 3,
        "max_retries_interval": 7,
        "retry_backoff": 2.5,
        "retry_jitter": "2 minutes",
        "timeout": "1 hours",
    }
    assert ActionSpec.of(full) == ActionSpec(action, True, 3, 7, 2.5, 120.0, 3600)
    assert ActionSpec.of({**full, "timeout": 0}).timeout == 0
    assert ActionSpec.of(full).name == "exec" and ActionSpec({}).name == "backup"


@given(
    interval=st.integers(0, 10**5),
    backoff=st.floats(1, 8),
    jitter=st.integers(0, 1000),
    attempts=st.integers(1, 8),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_the_pause_is_the_interval_times_the_backoff_for_each_attempt_after_the_first(
    interval: int, backoff: float, jitter: int, attempts: int, chance: float
) -> None:
    spec = ActionSpec({}, max_retries_interval=interval, retry_backoff=backoff, retry_jitter=jitter)
    wanted = float(interval)
    for _ in range(attempts - 1):
        wanted *= backoff
    assert spec.pause(attempts, chance) == pytest.approx(min(wanted, 3.2e9) + chance * jitter)


ATTEMPTS = st.builds(
    Attempt,
    st.sampled_from([SUCCESS, FAIL, FAIL, ABORTED]),
    st.sampled_from([None, 0, 1, 74, 75, 76]),
    st.integers(100, 200).map(float),
    st.sampled_from([False, False, False, True]),
)
SPECS = st.builds(
    ActionSpec,
    st.just({}),
    st.booleans(),
    st.integers(0, 2),
    st.just(10.0),
    st.sampled_from([1.0, 2.0]),
    st.sampled_from([0.0, 8.0]),
)


@given(
    st.lists(
        st.tuples(SPECS, st.lists(ATTEMPTS, max_size=3), st.sampled_from([False, False, True])),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
    st.booleans(),
)
def test_the_next_step_of_whatever_has_happened(
    chain: list[tuple[ActionSpec, list[Attempt], bool]], aborted: bool, killed: bool
) -> None:
    """Told by what may not be, instead of in the plan's own order."""
    specs, attempts, skipped = ([entry[n] for entry in chain] for n in range(3))
    step = next_step(specs, attempts, skipped, aborted=aborted, killed=killed, chance=0.5)

    def settled(index: int) -> bool:
        """It needs nothing more."""
        spec, done, passed = chain[index]
        if passed or not done:
            return passed
        last = done[-1]
        final = last.result != FAIL or last.exit_code == 75 or last.hopeless
        return final or len(done) > spec.max_retries or aborted or killed

    last_results = [entry[1][-1].result for entry in chain if entry[1] and not entry[2]]
    if isinstance(step, Done):
        assert all(settled(index) for index in range(len(chain)))
        bad = [result for result in last_results if result != SUCCESS]
        assert step.result == (ABORTED if aborted else ([SUCCESS, *bad])[-1])
        return
    assert all(settled(index) for index in range(step.action)) and not settled(step.action)
    spec, done, _ = chain[step.action]
    before = [e[1][-1].result for e in chain[: step.action] if e[1] and not e[2]]
    wanted = spec.mandatory or (not aborted and set(before) <= {SUCCESS})
    if isinstance(step, Skip):
        assert not done and (killed or not wanted)
        return
    assert isinstance(step, Begin) and not killed and step.attempt == len(done) + 1
    if done:
        assert step.at == done[-1].ended + spec.pause(len(done), 0.5) and not aborted
    else:
        assert wanted and step.at == 0.0


@given(st.lists(st.sampled_from([SUCCESS, FAIL, ABORTED])), st.booleans())
def test_the_last_trouble_names_the_result(results: list[str], aborted: bool) -> None:
    told = overall(results, aborted)
    if aborted:
        assert told == ABORTED
    else:
        bad = [result for result in reversed(results) if result != SUCCESS]
        assert told == (bad[0] if bad else SUCCESS)
