# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command simulate: the calendar of documents on a virtual clock."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from coldchain.cli.arguments import duration_seconds, instant_text, number_up_to, positive_number
from coldchain.cli.context import Call
from coldchain.cli.inputs import documents, load
from coldchain.cli.job_view import length
from coldchain.cli.measures import WAY_OUT, measured
from coldchain.cli.output import Located, Refused, duration, instant
from coldchain.cli.preview import instant_of, trigger_of
from coldchain.core.errors import DataError, Unavailable
from coldchain.core.text import pluralize
from coldchain.runner.outlook import Declared, Outlook, taken_in
from coldchain.store import Change, JobRecord

if TYPE_CHECKING:
    from coldchain.schedule import Occurrence, Trigger
    from coldchain.schedule.simulation import SimulatedJob, Simulation

_MOST_DAYS = 3660  # ten years of a daily job take a second


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument("files", metavar="FILE", nargs="+")
    command.add_argument("--days", metavar="N", type=number_up_to(_MOST_DAYS), required=True)
    command.add_argument(
        "--start", metavar="INSTANT", type=instant_text, help="begin here instead of now"
    )
    command.add_argument(
        "--duration",
        type=duration_seconds,
        default="10 minutes",
        help="of runs that this host has no record of (10 minutes)",
    )
    command.add_argument(
        "--status",
        metavar="FILE",
        action="append",
        default=[],
        help="JSON of the playbook status or report: how long the runs of other hosts take",
    )
    command.add_argument(
        "--slot",
        metavar="NAME=N",
        type=_bound,
        action="append",
        default=[],
        help="at most N runs at once of the jobs with this slot",
    )


def run(call: Call) -> int:
    """The calendar of any set of documents on a virtual clock; exit code 1 when it has troubles."""
    from coldchain.schedule.simulate import simulate as on_virtual_clock

    arguments, settings = call.arguments, call.settings
    start = instant_of(call, arguments.start)
    try:
        elsewhere = measured((name, load(name)) for name in arguments.status)
    except ValueError as error:
        raise DataError(str(error), WAY_OUT) from None
    simulated = list(_simulated(call, _accepted(call, start), start, elsewhere))
    try:
        result = on_virtual_clock(
            simulated, start, arguments.days, settings.concurrent_jobs, dict(arguments.slot)
        )
    except ValueError as error:
        raise DataError(str(error)) from None
    if call.output.json:
        call.output.answer(result.as_dict())
    else:
        _tell_simulation(call, result)
    return 0 if result.clean else 1


def _accepted(call: Call, start: datetime) -> list[dict[str, Any]]:
    """The documents of all files; Refused with what is wrong in any of them."""
    from coldchain.cli.vocabulary import vocabulary
    from coldchain.document import Context, check

    host = call.settings.client_id
    context = Context(None, call.settings.zone, start, vocabulary(), host=host)
    accepted, located, index = [], [], 0
    for name in call.arguments.files:
        for item in documents(name).items:
            checked = check(item, context)
            located += [Located(index, "", problem) for problem in checked.errors]
            index += 1
            if checked.document is not None:
                accepted.append(checked.document)
    if located:
        raise Refused("a document is refused", located, single=index == 1)
    return accepted


def _simulated(
    call: Call,
    accepted: Iterable[dict[str, Any]],
    start: datetime,
    elsewhere: Mapping[tuple[str, str], int],
) -> Iterator[SimulatedJob]:
    """The jobs that have runs; elsewhere: what runs of other hosts' jobs took, in seconds."""
    from coldchain.document.context import host_of
    from coldchain.schedule.simulation import SimulatedJob

    settings, default = call.settings, call.arguments.duration
    recorded = _recorded(call)
    for document in accepted:
        host = host_of(document, settings.client_id)
        job_id = document["job_id"]
        trigger = trigger_of(document, start, settings, client_id=host)
        outlook = _declared(document, start, trigger)
        if outlook.unwanted:
            continue
        here = recorded.get(job_id, default) if host == settings.client_id else default
        yield SimulatedJob(
            host=host,
            job_id=job_id,
            trigger=trigger,
            duration=elsewhere.get((host, job_id)) or here,
            lock=document.get("lock", ""),
            container=_container(document),
            priority=document.get("priority", 0),
            following=partial(_following, outlook),
            slot=document.get("slot", ""),
            placed="schedule_offset" in document.get("job_schedule", {}),
        )


def _bound(text: str) -> tuple[str, int]:
    name, _equals, number = text.rpartition("=")
    if not name or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"{text[:100]!r} is not NAME=N: write as --slot nightly=2")
    return name, positive_number(number)


def _declared(document: dict[str, Any], start: datetime, trigger: Trigger) -> Outlook:
    """What the runner would make of the document, were it declared just before *start*."""
    declared = JobRecord.new(Change(document["job_id"], document), start.timestamp() - 1)
    return Outlook(Declared.of(declared), taken_in(None, declared), trigger)


def _following(outlook: Outlook, after: datetime) -> Occurrence | None:
    return outlook.following(max(after.timestamp(), outlook.origin))


def _recorded(call: Call) -> dict[str, int]:
    """Seconds that the last run of each job of this host took; {} where there is no record."""
    try:
        states = call.store.states()
    except Unavailable:
        return {}
    runs = {job_id: state.last_run for job_id, state in states.items()}
    took = {job_id: length(run) for job_id, run in runs.items() if run is not None}
    return {job_id: round(seconds) for job_id, seconds in took.items() if seconds is not None}


def _container(document: dict[str, Any]) -> str:
    """Where the job's first backup goes."""
    for action in document["job_actions"]:
        options = action["freezer_action"]
        if options["action"] == "backup":
            return str(options.get("container", ""))
    return ""


def _tell_simulation(call: Call, result: Simulation) -> None:
    line, zone = call.output.line, call.settings.zone
    counts = [job for job in result.jobs if job.runs or job.blacked_out]
    call.output.table(
        ("HOST", "JOB", "RUNS", "OVERLAPS", "LATE", "BLACKED OUT", "WAITS", "LONGEST WAIT"),
        [
            (
                job.host,
                job.job_id,
                job.runs,
                job.overlaps,
                job.late,
                job.blacked_out,
                job.lock_waits + job.limit_waits,
                duration(job.longest_wait) if job.longest_wait else "",
            )
            for job in counts
        ],
    )
    line()
    runs, jobs = pluralize(result.total("runs"), "run"), pluralize(len(result.jobs), "job")
    line(f"{runs} of {jobs} in {pluralize(result.days, 'day')}")
    for name, peak in result.containers.items():
        if peak.runs > 1:
            at = instant(peak.at, zone)
            line(f"container {name or '(none)'}: at most {peak.runs} runs at once, first {at}")
    for name, use in result.slots.items():
        if use.at is None:
            continue
        bound = "" if use.at_once is None else f" of {use.at_once}"
        first = instant(use.at, zone)
        line(f"slot {name}: at most {pluralize(use.runs, 'run')}{bound} at once, first {first}")
        for text in use.crowded:
            line(f"  {text}")
        if use.why:
            line(f"  too many: {use.why}")
    for change in result.clock_changes:
        at = instant(change.at, zone)
        line(f"clock change in {change.zone}, {at}: {pluralize(change.runs, 'run')} on that day")
    for finding in result.findings:
        at = instant(finding.at, zone)
        line(f"{finding.kind.replace('_', ' ')}: {finding.job_id} on {finding.host}, first {at}")
    if result.clean:
        line("every slot gets its run in time")
