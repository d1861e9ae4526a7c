# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands about time: next, explain, simulate."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from coldchain.agent.report import count
from coldchain.cli.call import Call
from coldchain.cli.inputs import documents
from coldchain.cli.look import NO_RUNNER, length, listed, progress_line, run_message
from coldchain.cli.output import Located, Refused, duration, instant
from coldchain.cli.trigger import trigger_of, upcoming
from coldchain.errors import DataError, Unavailable, UsageError
from coldchain.instants import from_epoch, iso, parse_duration, parse_instant
from coldchain.schedule import Trigger
from coldchain.store import JobRecord, State

if TYPE_CHECKING:
    from coldchain.schedule.simulate import Simulation

_MOST_RUNS = 10_000


def next_runs(call: Call) -> int:
    """The coming runs of a job, whether or not the runner is at work."""
    arguments = call.arguments
    record = call.record(arguments.job)
    trigger = _trigger(call, record)
    stopped = arguments.after is None and call.state(record).status == "stop"
    after = _instant(call, arguments.after)
    fresh = arguments.after is None and call.store.state(record.job_id) is None
    number = min(arguments.number, _MOST_RUNS)
    runs = [] if stopped else upcoming(trigger, after, number, fresh=fresh)
    if call.output.json:
        call.output.answer(
            {
                "job_id": record.job_id,
                "next_runs": [iso(run.at) for run in runs],
                "runs": [run.as_dict() for run in runs],
                "schedule": trigger.describe(),
            }
        )
        return 0
    for run in runs:
        call.output.line(run.line)
    if stopped:
        call.output.note(
            f"the job is stopped; --after {iso(after)} shows its calendar all the same"
        )
    elif not runs:
        call.output.note("no further run is scheduled")
    return 0


def _trigger(call: Call, record: JobRecord) -> Trigger:
    try:
        return trigger_of(record.document, from_epoch(record.anchor), call.settings)
    except ValueError as error:
        raise DataError(
            f"the schedule of job {record.job_id} cannot be used on this host: {error}",
            "correct it and apply the document again",
        ) from None


def _instant(call: Call, text: str | None) -> datetime:
    """The instant in *text*, or now; whole seconds."""
    if text is None:
        return datetime.now(timezone.utc).replace(microsecond=0)
    try:
        return parse_instant(text, call.settings.zone)
    except ValueError as error:
        raise UsageError(str(error), "an offset may follow, as in 2026-11-24T02:30:00Z") from None


def explain(call: Call) -> int:
    """Why a job did or did not run, and when it will: from the record, in sentences."""
    record = call.record(call.arguments.job)
    state = call.state(record)
    facts = _facts(call, record, state)
    if call.output.json:
        call.output.answer({"job_id": record.job_id, "status": state.status, "facts": facts})
        return 0
    width = max(len(fact["about"]) for fact in facts)
    for fact in facts:
        call.output.line(f"{fact['about'].ljust(width)}  {fact['text']}")
    return 0


def _facts(call: Call, record: JobRecord, state: State) -> list[dict[str, str]]:
    zone, facts = call.settings.zone, []

    def fact(about: str, text: str) -> None:
        facts.append({"about": about, "text": text})

    fact("job", f"{record.job_id}: {record.document.get('description') or 'no description'}")
    try:
        fact("schedule", _trigger(call, record).describe())
    except DataError as error:
        fact("schedule", error.message)
    fact("status", state.status + (f": {state.reason}" if state.reason else ""))
    if state.status in ("running", "aborting") and state.time_started:
        fact("running", f"since {instant(from_epoch(state.time_started), zone)} ({state.run_id})")
        job = listed(call, record.job_id)
        if job is not None and job["progress"]:
            fact("progress", progress_line(job["progress"]))
    for entry in state.queue:
        slot = instant(from_epoch(entry["slot"]), zone)
        fact("waiting", f"the run for {slot} is due and waits ({entry['cause']})")
    if state.next_run is not None:
        fact("next run", instant(datetime.fromisoformat(state.next_run), zone))
    elif state.status == "stop":
        fact("next run", f"none: stopped; coldchain event {record.job_id} start lets it run again")
    else:
        fact("next run", "none is planned yet")
    _add_lock(call, record, fact)
    _add_record(call, record, state, fact)
    for event in call.store.pending_events():
        if event.job_id == record.job_id:
            when = instant(from_epoch(event.time), zone)
            fact("request", f"{event.event}, by {event.by} at {when}: not acted on yet")
    if not call.store.runner_alive():
        fact("runner", NO_RUNNER)
    return facts


def _add_lock(call: Call, record: JobRecord, fact: Any) -> None:
    lock = record.document.get("lock")
    if lock is None:
        return
    records, states = call.store.jobs(), call.store.states()
    holders = [
        job_id
        for job_id, other in records.items()
        if other.document.get("lock") == lock
        and job_id in states
        and states[job_id].status in ("running", "aborting")
    ]
    fact("lock", f"{lock}: " + (f"held by {', '.join(holders)}" if holders else "free"))


def _add_record(call: Call, record: JobRecord, state: State, fact: Any) -> None:
    zone = call.settings.zone
    run = state.last_run
    if run is not None:
        started = instant(from_epoch(run["time_started"]), zone)
        message = run_message(run)
        text = f"{run['result']}, started {started}, took {duration(length(run))}"
        fact("last run", f"{text}: {message}" if message else text)
        fact("", f"coldchain log {record.job_id} {run['run_id']} shows its log")
    elif state.result:
        fact("last run", f"{state.result} (elsewhere, as the imported document says)")
    else:
        fact("last run", "none")
    groups = call.store.skipped(record.job_id, 3)
    if state.skipped is not None:
        groups = [state.skipped, *groups]
    for group in groups[:3]:
        first = instant(datetime.fromisoformat(group["scheduled_for"]), zone)
        number = group["skipped"]
        more = "" if number == 1 else f" and {number - 1} more"
        fact("skipped", f"{first}{more}: {group['reason']}")


def simulate(call: Call) -> int:
    """The calendar of any set of documents on a virtual clock; exit code 1 when it has troubles."""
    from coldchain.document import Context, check
    from coldchain.schedule.simulate import SimulatedJob
    from coldchain.schedule.simulate import simulate as on_virtual_clock

    arguments, settings = call.arguments, call.settings
    start = _instant(call, arguments.start)
    try:
        default = parse_duration(arguments.duration)
    except ValueError as error:
        raise UsageError(str(error)) from None
    context = Context(None, settings.zone, start, allow_exec=True)
    accepted, located, index = [], [], 0
    recorded = _recorded(call)
    for name in arguments.files:
        given = documents(name)
        for item in given.items:
            checked = check(item, context)
            located += [Located(index, "", problem) for problem in checked.errors]
            index += 1
            if checked.document is not None:
                accepted.append(checked.document)
    if located:
        raise Refused("a document is refused", located, single=index == 1)
    simulated = []
    for document in accepted:
        host = document.get("client_id", settings.client_id)
        job_id = document["job_id"]
        simulated.append(
            SimulatedJob(
                host=host,
                job_id=job_id,
                trigger=trigger_of(document, start, settings, client_id=host),
                duration=recorded.get(job_id, default) if host == settings.client_id else default,
                lock=document.get("lock", ""),
                container=_container(document),
                priority=document.get("priority", 0),
            )
        )
    try:
        result = on_virtual_clock(simulated, start, arguments.days, settings.concurrent_jobs)
    except ValueError as error:
        raise DataError(str(error)) from None
    if call.output.json:
        call.output.answer(result.as_dict())
    else:
        _tell_simulation(call, result)
    return 0 if result.clean else 1


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
    runs, jobs = count(result.total("runs"), "run"), count(len(result.jobs), "job")
    line(f"{runs} of {jobs} in {count(result.days, 'day')}")
    for name, peak in result.containers.items():
        if peak.runs > 1:
            at = instant(peak.at, zone)
            line(f"container {name or '(none)'}: at most {peak.runs} runs at once, first {at}")
    for change in result.clock_changes:
        at = instant(change.at, zone)
        line(f"clock change in {change.zone}, {at}: {count(change.runs, 'run')} on that day")
    for finding in result.findings:
        at = instant(finding.at, zone)
        line(f"{finding.kind.replace('_', ' ')}: {finding.job_id} on {finding.host}, first {at}")
    if result.clean:
        line("every slot gets its run in time")
