# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An action that the runner performs once: it goes on when whoever asked for it goes away."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from coldchain import lifecycle
from coldchain.cli.context import Call
from coldchain.cli.progress_bar import Bar
from coldchain.cli.waiting import Wait, draw_progress, how_far, wait_for, who_asks
from coldchain.core.errors import TryAgain, Unavailable
from coldchain.execution import runfile
from coldchain.store import Document

FIRST = 1000
"""The priority: of what waits for a free place, what a person has asked for begins first."""


class OneOffWait(Wait):
    """Waits for the end of the run that the request is for."""

    def over(self) -> bool:
        """Whether the run has ended, or will not be."""
        if not self.store.event_done(self.request):
            return False
        state = self.store.state(self.job_id)
        return state is None or not state.asked(self.request)

    def run(self) -> dict[str, Any] | None:
        """The run, when it is on record."""
        return self.store.run_of_request(self.job_id, self.request)


def one_off_id(kind: str, name: str) -> str:
    """What the run of an action on *name* is called: no job can have such an id."""
    return f"{kind}:{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)[:100]}"


def ask(call: Call, job_id: str, action: Mapping[str, Any], description: str) -> tuple[str, bool]:
    """Ask the runner to perform the canonical *action* once.

    Returns the id of the request, and whether an equal one was going on or waiting already, which
    is not asked for again: a playbook that lost its connection is simply run once more.
    Raises Unavailable when no runner is at work: what begins when nobody expects it any more is
    worse than what does not begin.
    """
    if not call.store.runner_alive():
        raise Unavailable(
            f"the runner is not running, so it cannot {action['action']} anything: nothing was"
            " asked for",
            "start it (systemctl start coldchain-runner, or coldchain serve); coldchain restore"
            " without --by-runner does it at once, in the foreground",
        )
    document: Document = {
        "job_id": job_id,
        "description": description,
        "job_actions": [{"freezer_action": dict(action)}],
        "job_schedule": {},
        "priority": FIRST,
    }
    for request, present in _going_on(call, job_id):
        if present.get("job_actions") == document["job_actions"]:
            return request, True
    request = call.store.add_event(job_id, lifecycle.RUN, who_asks(), document).id
    call.put_down("event", {"job_id": job_id, "event": "run", "request": request})
    return request, False


def _going_on(call: Call, job_id: str) -> Iterator[tuple[str, Document]]:
    """The requests whose run has not ended, with their documents."""
    for event in call.store.pending_events():  # these first: they become the others
        if event.job_id == job_id and event.document is not None:
            yield event.id, event.document
    state = call.store.state(job_id)
    if state is None:
        return
    for entry in state.queue:
        if "document" in entry:
            yield entry["request"]["id"], entry["document"]
    if state.request is not None:
        with suppress(ValueError, Unavailable):
            yield state.request["id"], runfile.read(call.paths.runs / str(state.run_id))[0]


def result_of(call: Call, job_id: str, request: str, timeout: float) -> dict[str, Any]:
    """The record of the run that was asked for, as soon as it has ended.

    timeout: seconds.  Raises TryAgain when they have passed: the run goes on.
    """
    with Bar() as pbar:
        try:
            run = wait_for(
                OneOffWait(call.store, job_id, "run", request, None),
                timeout,
                lambda: draw_progress(call, job_id, pbar),
            )
        except KeyboardInterrupt:
            call.output.note(f"it goes on; coldchain event {job_id} abort ends it")
            raise
        except TryAgain as error:
            text = how_far(call, job_id)
            raise TryAgain(
                f"not done after {timeout:g} seconds" + (f": {text}" if text else ""),
                f"it goes on; coldchain list {job_id} tells how far it is, coldchain event"
                f" {job_id} abort ends it; asking for the same again waits for it again",
            ) from error
    if run is None:
        raise Unavailable(
            f"what became of {job_id} is not on record", "the system log has what the runner did"
        )
    return run
