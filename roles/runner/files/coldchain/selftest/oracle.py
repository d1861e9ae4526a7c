# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold after any crash; each violation is a sentence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from coldchain.core.instants import from_epoch
from coldchain.core.settings import Settings
from coldchain.runner.outlook import build
from coldchain.store import Store

SLOT = 1.0
"""Seconds between the slots of a ticking job."""
_ACTS = re.compile(r": event \w+ by (\S+)$", re.MULTILINE)
"""What the runner's log says of an event (runner/jobs.py)."""


def declarations(store: Store, promised: Mapping[str, set[int]]) -> list[str]:
    """Every job holds its last acknowledged declaration or one that was asked for after it."""
    texts = {job_id: record.document["description"] for job_id, record in store.jobs().items()}
    return [
        f"job {job_id}: {texts.get(job_id, 'is gone')}, acknowledged was one of {sorted(serials)}"
        for job_id, serials in promised.items()
        if texts.get(job_id) not in {f"serial {serial}" for serial in serials}
    ]


def events(store: Store, promised: Iterable[str], log: Path) -> list[str]:
    """Every acknowledged event waits, or the runner has said in its *log* that it acts on it.

    promised: who each of them is by, a name that no other one has.  What is not in the store any
    more was acted on or lost: only the log can tell.  The store is read before it.
    """
    waiting = {event.by for event in store.pending_events()}
    acted_on = set(_ACTS.findall(log.read_text()))
    return [
        f"event by {by}: neither pending nor acted on"
        for by in promised
        if by not in waiting and by not in acted_on
    ]


def one_result(store: Store, job_ids: Iterable[str]) -> list[str]:
    """No run has two results, and no slot two runs."""
    faults = []
    for job_id in job_ids:
        runs = store.history(job_id, 1_000_000)
        twice = [key for key, n in Counter(run["run_id"] for run in runs).items() if n > 1]
        slots = Counter(
            run["scheduled_for"] for run in runs if run["cause"] in ("schedule", "catch-up")
        )
        faults += [f"job {job_id}: run {key} has two results" for key in twice]
        faults += [f"job {job_id}: slot {key} ran twice" for key, n in slots.items() if n > 1]
    return faults


def slots(store: Store, job_ids: Iterable[str]) -> list[str]:
    """Every slot of a ticking job up to the last look ended in a run or in a skip on record, or
    it waits, or its run goes on.

    The state is read before the history: what moves from one to the other meanwhile is seen twice.
    """
    faults = []
    for job_id in job_ids:
        state, record = store.state(job_id), store.job(job_id)
        if state is None or record is None or state.checked_until is None:
            continue  # the runner has not looked at it yet
        covered: list[tuple[float, float]] = []
        if state.scheduled_for:
            covered.append((_posix(state.scheduled_for),) * 2)
        for run in store.history(job_id, 1_000_000):
            covered.append((_posix(run["scheduled_for"]),) * 2)
        for group in store.skipped(job_id, 1_000_000):
            covered.append((_posix(group["scheduled_for"]), _posix(group["last"])))
        if state.skipped is not None:
            covered.append((_posix(state.skipped["scheduled_for"]), _posix(state.skipped["last"])))
        covered += [(entry["slot"], entry["slot"]) for entry in state.queue]
        open_since = int(record.anchor) + SLOT
        for first, last in sorted(covered):
            if first > open_since + SLOT / 2:
                break
            open_since = max(open_since, last + SLOT)
        if open_since <= state.checked_until - 2 * SLOT:
            faults.append(f"job {job_id}: the slot at {open_since:.0f} has no record")
    return faults


def armed(store: Store, settings: Settings, now: float) -> list[str]:
    """Every job whose document lets it run, and whose schedule has a slot after *now* (POSIX
    seconds), waits for it, unless an event stopped it, which the state names."""
    faults = []
    states = store.states()
    for job_id, record in store.jobs().items():
        state, trigger = states.get(job_id), build(record, settings, record.anchor)
        if record.stopped or trigger.next(from_epoch(now)) is None:
            continue
        stopped_by = None if state is None else state.stopped_by
        if stopped_by is not None and stopped_by["what"] == "event" and stopped_by["who"]:
            continue
        if state is None or not (state.active or state.queue or state.next_run):
            faults.append(f"job {job_id}: is declared, has a later slot, and is not armed")
    return faults


def records_readable(store: Store, job_ids: Iterable[str]) -> list[str]:
    """Every recorded run is whole."""
    required: set[Any] = {"run_id", "job_id", "result", "time_started", "time_ended", "actions"}
    return [
        f"job {job_id}: run {run.get('run_id')} lacks {sorted(required - run.keys())}"
        for job_id in job_ids
        for run in store.history(job_id, 1_000_000)
        if not required <= run.keys() or run["result"] not in ("success", "fail", "aborted")
    ]


def _posix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
