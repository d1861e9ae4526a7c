# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that take documents: validate and apply."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from coldchain.cli.call import Call
from coldchain.cli.collisions import Locks
from coldchain.cli.inputs import Documents, documents
from coldchain.cli.output import Located, Refused
from coldchain.cli.trigger import trigger_of, upcoming
from coldchain.document import Checked, Context, check, difference
from coldchain.document.masking import masked
from coldchain.document.places import shown
from coldchain.errors import DataError, Problem, Unavailable, UsageError
from coldchain.instants import from_epoch, iso
from coldchain.store import Change, JobRecord, State, Store, timing

NEXT_RUNS = 3
CALENDAR_LINES = 5
STOPPED = "stopped: no run is scheduled"
NEVER = "no run is scheduled"

_SIGNS = {"created": "+", "updated": "~", "removed": "-", "unchanged": " "}


def validate(call: Call) -> int:
    """Check documents; exit code 65 when one is invalid."""
    arguments = call.arguments
    if arguments.schema:
        from coldchain.document.schema import SCHEMA

        call.output.line(json.dumps(SCHEMA, indent=None if call.output.json else 2))
        return 0
    if arguments.file is None:
        raise UsageError("validate needs a FILE", "- stands for standard input")
    given = documents(arguments.file)
    context = _context(call, None)
    checked = [check(item, context) for item in given.items]
    located = _problems(given.items, checked)
    valid = not located
    if call.output.json:
        call.output.answer(_verdict(given, checked, located))
    else:
        call.output.problems(located, single=given.single)
        for index, one in enumerate(checked):
            _tell_warnings(call, _prefix(index, given.single), one.warnings)
        if valid:
            call.output.line(f"{given.source}: {_documents(len(checked))} valid")
    return 0 if valid else DataError.exit_code


def _verdict(
    given: Documents, checked: Sequence[Checked], located: Sequence[Located]
) -> dict[str, Any]:
    if given.single:
        one = checked[0]
        return {
            "valid": one.valid,
            "errors": [problem.as_dict() for problem in one.errors],
            "warnings": [problem.as_dict() for problem in one.warnings],
            "document": one.document,
        }
    warnings = [
        Located(index, _job_id(given.items[index], one), problem).as_dict()
        for index, one in enumerate(checked)
        for problem in one.warnings
    ]
    return {
        "valid": not located,
        "errors": [problem.as_dict() for problem in located],
        "warnings": warnings,
        "documents": [one.document for one in checked],
    }


# -- apply -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """One accepted document."""

    document: dict[str, Any]
    warnings: list[Problem] = field(default_factory=list)
    imported: dict[str, Any] = field(default_factory=dict)

    @property
    def job_id(self) -> str:
        return str(self.document["job_id"])


@dataclass(frozen=True)
class Entry:
    """What apply does to one job; before and after are None where there is no job."""

    job_id: str
    change: str
    before: JobRecord | None
    after: Wanted | None


def apply(call: Call) -> int:
    """Declare all documents or, when one is refused, none."""
    arguments = call.arguments
    given = documents(arguments.file)
    if arguments.purge and not given.items and not arguments.allow_empty:
        raise UsageError(
            "--purge without any job would remove every job of this host",
            "add --allow-empty if that is what you want",
        )
    store = _store(call)
    present = {} if store is None else store.jobs()
    wanted = _accepted(call, given, store, present)
    entries = plan(wanted, given.absent, present, purge=arguments.purge)
    if not arguments.check and any(entry.change != "unchanged" for entry in entries):
        store = call.open_store(create=True)

        def decide(present: Mapping[str, JobRecord]) -> list[Change]:
            nonlocal entries
            entries = plan(wanted, given.absent, present, purge=arguments.purge)
            return [_change(entry) for entry in entries if entry.change != "unchanged"]

        store.declare(decide)
    _report(call, entries, store)
    return 0


def _store(call: Call) -> Store | None:
    """The store to compare with; None where nothing was ever declared."""
    try:
        return call.store
    except Unavailable:
        return None


def _accepted(
    call: Call,
    given: Documents,
    store: Store | None,
    present: Mapping[str, JobRecord],
) -> list[Wanted]:
    def anchor(job_id: str, schedule: Mapping[str, Any]) -> datetime | None:
        record = present.get(job_id)
        if record is None or timing(record.schedule) != timing(schedule):
            return None
        return from_epoch(int(record.anchor))

    context = dataclasses.replace(_context(call, store), anchor=anchor)
    checked = [check(item, context) for item in given.items]
    located = _problems(given.items, checked) + _repeated(given.items, checked, given.absent)
    if located:
        located.sort(key=lambda each: each.index)
        count = len({each.index for each in located})
        message = f"{given.source}: {_documents(count)} refused, nothing was changed"
        raise Refused(message, located, single=given.single)
    return [
        Wanted(one.document, one.warnings, one.imported)
        for one in checked
        if one.document is not None
    ]


def plan(
    wanted: Sequence[Wanted],
    absent: Sequence[str],
    present: Mapping[str, JobRecord],
    *,
    purge: bool,
) -> list[Entry]:
    """What is to be done to come from *present* to what is wanted; pure."""
    entries = []
    for one in wanted:
        before = present.get(one.job_id)
        if before is None:
            change = "created"
        else:
            change = "updated" if difference(before.document, one.document) else "unchanged"
        entries.append(Entry(one.job_id, change, before, one))
    kept = {one.job_id for one in wanted}
    gone = list(dict.fromkeys(absent))
    if purge:
        gone += sorted(set(present) - kept - set(gone))
    for job_id in gone:
        before = present.get(job_id)
        entries.append(Entry(job_id, "removed" if before else "unchanged", before, None))
    return entries


def _change(entry: Entry) -> Change:
    if entry.after is None:
        return Change(entry.job_id, None)
    return Change(entry.job_id, entry.after.document, entry.after.imported)


def _report(call: Call, entries: Sequence[Entry], store: Store | None) -> None:
    now = datetime.now(timezone.utc)
    present = {} if store is None or not _locked(entries) else store.jobs()
    locks = Locks(call.settings, _after_all(entries, present, now), _last_duration(store))
    shown_entries = [_shown(call, entry, now, locks) for entry in entries]
    changed = any(entry.change != "unchanged" for entry in entries)
    if call.output.json:
        call.output.answer({"changed": changed, "jobs": shown_entries})
        return
    for entry, shown_entry in zip(entries, shown_entries):
        _tell(call, entry, shown_entry)
    counts = {word: sum(entry.change == word for entry in entries) for word in _SIGNS}
    words = [f"{number} {word}" for word, number in counts.items() if number]
    would = " (checked only)" if call.arguments.check else ""
    call.output.line((", ".join(words) or "no jobs given") + would)


def _locked(entries: Sequence[Entry]) -> bool:
    """Is there a lock in any document, so that the host's other ones matter?"""
    documents = [each.after.document for each in entries if each.after is not None]
    documents += [each.before.document for each in entries if each.before is not None]
    return any("lock" in document for document in documents)


def _after_all(
    entries: Sequence[Entry], present: Mapping[str, JobRecord], now: datetime
) -> dict[str, tuple[Mapping[str, Any], datetime]]:
    """The documents of the host once the entries are done, each with its anchor."""
    result: dict[str, tuple[Mapping[str, Any], datetime]] = {
        job_id: (record.document, from_epoch(record.anchor)) for job_id, record in present.items()
    }
    for entry in entries:
        if entry.after is None:
            result.pop(entry.job_id, None)
        elif entry.change != "unchanged":
            result[entry.job_id] = (entry.after.document, now)
    return result


def _shown(call: Call, entry: Entry, now: datetime, locks: Locks) -> dict[str, Any]:
    before = None if entry.before is None else entry.before.document
    after = None if entry.after is None else entry.after.document
    anchor = now if entry.before is None else from_epoch(entry.before.anchor)
    calendar: dict[str, list[str]] = {"before": [], "after": []}
    next_runs: list[str] = []
    if after is not None:
        fresh = before is None or timing(before["job_schedule"]) != timing(after["job_schedule"])
        changed = entry.change != "unchanged"
        number = CALENDAR_LINES if changed else NEXT_RUNS
        runs = _runs(call, after, now if fresh else anchor, now, number, fresh=fresh)
        next_runs = [iso(run.at) for run in runs[:NEXT_RUNS]]
        if changed:
            calendar["after"] = _lines(after, runs, locks)
    if before is not None and entry.change != "unchanged":
        runs = _runs(call, before, anchor, now, CALENDAR_LINES, fresh=False)
        calendar["before"] = _lines(before, runs, locks)
    return {
        "job_id": entry.job_id,
        "change": entry.change,
        "before": before,
        "after": after,
        "next_runs": next_runs,
        "calendar": calendar,
        "warnings": [
            problem.as_dict() for problem in (entry.after.warnings if entry.after else [])
        ],
    }


def _runs(
    call: Call,
    document: Mapping[str, Any],
    anchor: datetime,
    now: datetime,
    number: int,
    *,
    fresh: bool,
) -> list[Any]:
    if _stopped(document):
        return []
    try:
        trigger = trigger_of(document, anchor, call.settings)
    except ValueError:  # declared when the host still knew its zone
        return []
    return upcoming(trigger, now.replace(microsecond=0), number, fresh=fresh)


def _stopped(document: Mapping[str, Any]) -> bool:
    return bool(document.get("job_schedule", {}).get("status") == "stop")


def _lines(document: Mapping[str, Any], runs: Sequence[Any], locks: Locks) -> list[str]:
    if _stopped(document):
        return [STOPPED]
    return [run.line + locks.mark(document, run.at) for run in runs] or [NEVER]


# -- for people ------------------------------------------------------------------------------


def _tell(call: Call, entry: Entry, shown_entry: Mapping[str, Any]) -> None:
    line = call.output.line
    line(f"{_SIGNS[entry.change]} {entry.job_id}: {entry.change}")
    if entry.change == "updated":
        before, after = shown_entry["before"], shown_entry["after"]
        for path, old, new in difference(masked(before), masked(after, before)):
            line(f"    {path}: {_value(old)} -> {_value(new)}")
    calendar = shown_entry["calendar"]
    if calendar["before"] != calendar["after"]:
        for head, lines in (("next runs so far", "before"), ("next runs", "after")):
            if calendar[lines]:
                line(f"    {head}:")
                for each in calendar[lines]:
                    line(f"      {each}")
    _tell_warnings(call, f"{entry.job_id}: ", entry.after.warnings if entry.after else [])


def _value(value: object) -> str:
    if value is None:
        return "(not set)"
    return json.dumps(value) if isinstance(value, (list, dict)) else shown(value)


def _tell_warnings(call: Call, prefix: str, warnings: Sequence[Problem]) -> None:
    for problem in warnings:
        hint = f" ({problem.hint})" if problem.hint else ""
        call.output.note(f"warning: {prefix}{problem.path}: {problem.message}{hint}")


def _prefix(index: int, single: bool) -> str:
    return "" if single else f"document {index}: "


def _documents(number: int) -> str:
    return "1 document" if number == 1 else f"{number} documents"


# -- problems --------------------------------------------------------------------------------


def _context(call: Call, store: Store | None) -> Context:
    settings = call.settings
    return Context(
        client_id=settings.client_id,
        zone=settings.zone,
        now=datetime.now(timezone.utc),
        allow_exec=settings.allow_exec,
        last_duration=_last_duration(store),
    )


def _last_duration(store: Store | None) -> Callable[[str], float | None]:
    """Tells the seconds that the last run of a job took, None when there was none."""
    states: Mapping[str, State] = {} if store is None else store.states()

    def seconds(job_id: str) -> float | None:
        state = states.get(job_id)
        if state is None or not state.time_started or not state.time_ended:
            return None
        return max(0.0, state.time_ended - state.time_started)

    return seconds


def _problems(items: Sequence[Any], checked: Sequence[Checked]) -> list[Located]:
    return [
        Located(index, _job_id(items[index], one), problem)
        for index, one in enumerate(checked)
        for problem in one.errors
    ]


def _job_id(item: Any, checked: Checked) -> str:
    """The job id of a document, as far as it can be told of an invalid one."""
    if checked.document is not None:
        return str(checked.document["job_id"])
    if isinstance(item, dict) and isinstance(item.get("job"), dict):
        item = item["job"]
    job_id = item.get("job_id", item.get("job-id")) if isinstance(item, dict) else None
    return job_id if isinstance(job_id, str) else ""


def _repeated(
    items: Sequence[Any], checked: Sequence[Checked], absent: Sequence[str]
) -> list[Located]:
    """Documents with the job id of an earlier one, or of a job that is to be absent."""
    first: dict[str, int] = {}
    found = []
    for index, (item, one) in enumerate(zip(items, checked)):
        job_id = _job_id(item, one)
        if not job_id:
            continue
        earlier = first.setdefault(job_id, index)
        if earlier != index:
            message = f"document {index} has the job_id {shown(job_id)} of document {earlier}"
            hint = "give every job of a host its own job_id"
        elif job_id in absent:
            message = f"{shown(job_id)} is declared and listed as absent"
            hint = "leave out one of the two"
        else:
            continue
        found.append(Located(index, job_id, Problem("$.job_id", message, hint)))
    return found
