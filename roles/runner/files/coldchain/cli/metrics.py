# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command metrics: what Prometheus sees of this host, on standard output."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable

from coldchain.cli.context import Call
from coldchain.cli.host_status import judged
from coldchain.observe import tally as counted
from coldchain.observe.metrics import exposition
from coldchain.observe.tally import Tally
from coldchain.runner import presence
from coldchain.runner.metrics import host_facts, job_facts, receipts_in


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The command has no arguments of its own."""


def run(call: Call) -> int:
    """Print the metrics of this moment."""
    now, store = time.time(), call.store
    runner = presence.look(call.paths)
    records = dict(store.jobs().items())
    tallies = {
        job_id: tally for job_id, tally in counted.load(call.paths.lib).items() if job_id in records
    }
    for job_id in records:
        state = store.state(job_id)
        last = None if state is None else state.last_run
        before = tallies.get(job_id, Tally())
        if job_id not in tallies or (last is not None and last["time_ended"] != before.ended):
            # Not counted on the disk yet.
            runs = store.history(job_id, 2 * call.settings.history_runs)
            tallies[job_id] = before.through(runs)
    receipts = receipts_in(call.paths.lib)
    jobs = [
        job_facts(judgement.job, tallies[judgement.job.job_id], receipts)
        for judgement in judged(call, records, now)
    ]
    mark = store.clock_mark() or {}
    since = (runner.since or now) if runner.alive else None
    host = host_facts(store, now, since, tallies, trusted=not mark.get("doubt", False))
    host = host._replace(free={**host.free, **_free_now(host.free)})
    text = exposition(host, jobs).decode("utf-8")
    if call.output.json:
        call.output.answer({"metrics": text})
    else:
        sys.stdout.write(text)
    return 0


def _free_now(containers: Iterable[str]) -> dict[str, int]:
    """What is free in the local ones among *containers* now."""
    found = {}
    for container in containers:
        try:
            space = os.statvfs(container)
        except OSError:
            continue
        found[container] = space.f_bavail * space.f_frsize
    return found
