# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for once runs once, is on record, and is gone: whenever a runner is killed."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_host import ImitatedRun, VirtualHost, virtual_host

from coldchain.core.errors import CannotWrite
from coldchain.runner import one_off
from coldchain.store import Store

NAME = "restore:www"


def document(priority: int = 0, **more: Any) -> dict[str, Any]:
    action = {"freezer_action": {"action": "exec", "command": ["true"]}}
    return {
        "job_id": NAME,
        "job_actions": [action],
        "job_schedule": {},
        "priority": priority,
        **more,
    }


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with virtual_host(tmp_path_factory.mktemp("virtual")) as made:
        yield made


def ask(host: VirtualHost, **more: Any) -> str:
    host.awake += 0.25
    return host.store.add_event(NAME, "run", "somebody", document(**more)).id


def asked(host: VirtualHost) -> list[tuple[str, str]]:
    """(request, result) of what is on record, oldest first."""
    return [(run["request"]["id"], run["result"]) for run in host.runs(NAME)]


def test_each_request_has_its_run_one_after_the_other_and_nothing_stays(host: VirtualHost) -> None:
    host.reset()
    ImitatedRun.seconds = 60.0
    first, second = ask(host), ask(host)
    host.start()
    state = host.state(NAME)
    assert (state.status, state.request, len(state.queue)) == (
        "running",
        {"id": first, "by": "somebody"},
        1,
    )
    host.declare("other", schedule_interval="1 days")  # the declarations are taken in meanwhile
    host.pass_time(200.0)
    assert asked(host) == [(first, "success"), (second, "success")]
    assert NAME not in host.store.states() and not host.store.pending_events()


def test_an_abort_ends_what_runs_and_what_waits_and_the_other_events_nothing(
    host: VirtualHost,
) -> None:
    host.reset()
    ImitatedRun.seconds = 60.0
    first, second = ask(host), ask(host)
    host.start()
    for event in ("start", "stop", "remove", "run"):
        host.event(NAME, event)
        assert (host.state(NAME).status, len(host.state(NAME).queue)) == ("running", 1), event
    host.event(NAME, "abort")
    assert sorted(asked(host)) == sorted([(first, "aborted"), (second, "aborted")])
    assert NAME not in host.store.states()
    third = ask(host)
    host.pass_time(61.0)
    assert asked(host)[-1] == (third, "success")


def test_it_waits_for_a_place_and_for_its_lock_across_runners(host: VirtualHost) -> None:
    host.reset()
    ImitatedRun.seconds = 60.0
    request = ask(host, lock="the tape")
    host.start(concurrent_jobs=0)
    assert "waiting for a free place" in host.state(NAME).reason
    host.stop()
    held = {"lock": "the tape", "job_id": "restore:other", "priority": 1}
    document_of_other = {**document(), **held}
    host.store.add_event("restore:other", "run", "somebody", document_of_other)
    host.start()
    assert "held by job restore:other" in host.state(NAME).reason
    host.pass_time(121.0)
    assert asked(host) == [(request, "success")]


@pytest.mark.parametrize("taken_in", [False, True])
def test_what_could_not_begin_for_an_hour_is_not_begun(host: VirtualHost, taken_in: bool) -> None:
    host.reset()
    ImitatedRun.seconds = 0.0
    request = ask(host)
    if taken_in:
        host.start(concurrent_jobs=0)
        host.crash()
        assert host.state(NAME).queue and not host.store.pending_events()
    host.pass_time(one_off.LATE + 1)
    host.start()
    assert asked(host) == [(request, "fail")]
    assert "ask again" in host.runs(NAME)[0]["reason"]
    assert NAME not in host.store.states()


class Killed(Exception):
    """The runner is no more."""


@settings(max_examples=60)
@given(seed=st.integers(0, 10**9))
def test_a_kill_between_any_two_writes_loses_nothing_and_repeats_nothing(
    host: VirtualHost, seed: int
) -> None:
    """Each write of the runner may be its last: of the state, of the history, of a run."""
    host.reset()
    chance = random.Random(seed)
    ImitatedRun.seconds = chance.choice((0.0, 5.0))
    with pytest.MonkeyPatch.context() as patch:

        def deadly(owner: Any, name: str) -> None:
            real = getattr(owner, name)

            def once(*arguments: Any, **named: Any) -> Any:
                before = chance.random()
                if before < 0.1:
                    raise Killed
                if before < 0.2:
                    raise CannotWrite("the disk is full")
                done = real(*arguments, **named)
                if before > 0.9:
                    raise Killed
                return done

            patch.setattr(owner, name, staticmethod(once) if owner is ImitatedRun else once)

        for owner, name in ((Store, "commit_states"), (Store, "add_history"),
                            (Store, "forget_events"), (ImitatedRun, "create")):  # fmt: skip
            deadly(owner, name)
        requests = []
        for step in range(chance.randrange(3, 12)):
            if step < 2 or chance.random() < 0.3:
                requests.append(ask(host))
            try:
                if host.runner is None:
                    host.start()
                host.pass_time(chance.choice((0.0, 3.0, 10.0)))
            except (Killed, CannotWrite):
                host.crash()
    if host.runner is not None and chance.random() < 0.5:
        host.crash()
    if host.runner is None:
        host.start()
    # The last run may begin at the end of that, after a disk that was full, and be over then.
    host.pass_time(200.0)
    host.pass_time(10.0)
    assert Counter(asked(host)) == Counter((request, "success") for request in requests)
    assert NAME not in host.store.states() and not host.store.pending_events()
    assert not list(host.paths.runs.iterdir())
