# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command next: the coming runs of a job."""

from __future__ import annotations

import argparse

from coldchain.cli.arguments import instant_text, number_up_to
from coldchain.cli.context import Call
from coldchain.cli.preview import coming_runs, instant_of, outlook_of, usable_trigger
from coldchain.core.instants import iso
from coldchain.lifecycle import STOP, describe_stop
from coldchain.schedule.preview import preview

_MOST_RUNS = 10_000


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument("job", metavar="JOB")
    command.add_argument("-n", dest="number", metavar="N", type=number_up_to(_MOST_RUNS), default=5)
    command.add_argument(
        "--after",
        metavar="INSTANT",
        type=instant_text,
        help="runs after this instant, not after now",
    )


def run(call: Call) -> int:
    """The coming runs of a job, whether or not the runner is at work."""
    arguments = call.arguments
    record = call.record(arguments.job)
    trigger = usable_trigger(call, record)
    after = instant_of(call, arguments.after)
    outlook = outlook_of(record, call.store, call.settings)
    status, stopped_by = outlook.status()
    stopped = arguments.after is None and stopped_by is not None
    if arguments.after is not None:
        runs = preview(trigger, after, arguments.number)  # as the schedule has it, stopped or not
    elif call.store.job(record.job_id) is None:
        runs = []  # removed: its last run goes on, and there will be no other
    else:
        runs = coming_runs(outlook, arguments.number)
    if call.output.json:
        call.output.answer(
            {
                "job_id": record.job_id,
                "next_runs": [iso(run.at) for run in runs],
                "runs": [run.as_dict() for run in runs],
                "schedule": trigger.describe(),
                "stopped_by": stopped_by,
            }
        )
        return 0
    for run in runs:
        call.output.line(run.line)
    if stopped and status == STOP:
        why = describe_stop(stopped_by, outlook.state.unusable)
        call.output.note(
            f"the job is stopped ({why}); coldchain next {record.job_id} --after {iso(after)}"
            " shows its calendar all the same"
        )
    elif not runs:
        call.output.note("no further run is scheduled")
    return 0
