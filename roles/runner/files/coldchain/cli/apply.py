# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command apply: declare documents, all of them or none."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from coldchain.cli.arguments import add_show_secrets
from coldchain.cli.checking import (
    context_of,
    count_documents,
    located_problems,
    tell_warnings,
)
from coldchain.cli.collisions import Locks
from coldchain.cli.context import Call
from coldchain.cli.inputs import Documents, documents
from coldchain.cli.output import Refused
from coldchain.cli.preview import Seen, coming_runs, outlook_of
from coldchain.cli.yaml_text import to_yaml
from coldchain.core.errors import Problem, Unavailable, UsageError
from coldchain.core.instants import from_epoch, iso
from coldchain.document import canonical, check, difference
from coldchain.document.json_path import shown
from coldchain.document.masking import masked
from coldchain.lifecycle import BY_DECLARATION, BY_EVENT, OVER, describe_stop
from coldchain.runner.outlook import Outlook
from coldchain.schedule.preview import Upcoming
from coldchain.store import Change, JobRecord, State, Store, timing

NEXT_RUNS = 3


CALENDAR_LINES = 5


STOPPED = "stopped: no run is scheduled"


NEVER = "no run is scheduled"


_SIGNS = {"created": "+", "updated": "~", "removed": "-", "unchanged": " "}


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument(
        "file",
        metavar="FILE",
        help='JSON: a document, a list, or {"jobs": [...], "absent": ["JOB", ...]}; - for standard'
        " input",
    )
    command.add_argument("--check", action="store_true", help="only tell what would change")
    command.add_argument(
        "--any-host",
        action="store_true",
        help="with --check: whatever host the documents are for, and whether or not it allows exec",
    )
    command.add_argument(
        "--job-id", metavar="ID", help="the name of the one document in FILE, which has none"
    )
    add_show_secrets(command)
    command.add_argument("--purge", action="store_true", help="remove the jobs not in FILE")
    command.add_argument(
        "--allow-empty", action="store_true", help="let --purge remove every job of the host"
    )


_NAMES = ("job_id", "job-id")


class Accepted(NamedTuple):
    """One accepted document."""

    document: dict[str, Any]
    warnings: Sequence[Problem] = ()
    imported: Mapping[str, Any] = MappingProxyType({})

    @property
    def job_id(self) -> str:
        """The name of the job."""
        return str(self.document["job_id"])


class Entry(NamedTuple):
    """What apply does to one job; before and after are None where there is no job."""

    job_id: str
    change: str
    before: JobRecord | None
    after: Accepted | None


def run(call: Call) -> int:
    """Declare all documents or, when one is refused, none."""
    arguments = call.arguments
    if arguments.any_host and not arguments.check:
        raise UsageError("--any-host is for --check", "documents are declared on their own host")
    batch = documents(arguments.file)
    if arguments.job_id is not None:
        batch = _named(batch, arguments.job_id)
    if arguments.purge and not batch.items and not arguments.allow_empty:
        raise UsageError(
            "--purge without any job would remove every job of this host",
            "add --allow-empty if that is what you want",
        )
    store = _store(call)
    present = {} if store is None else store.jobs()
    accepted = _accepted(call, batch, store, present)
    entries = plan(accepted, batch.absent, present, purge=arguments.purge)
    written: Mapping[str, JobRecord] = {}
    # A runner that is woken may have run a job before its report is written.
    seen = Seen.of(store)
    if not arguments.check and any(entry.change != "unchanged" for entry in entries):
        store = call.open_store(create=True)

        def decide(present: Mapping[str, JobRecord]) -> list[Change]:
            nonlocal entries
            entries = plan(accepted, batch.absent, present, purge=arguments.purge)
            return [_change(entry) for entry in entries if entry.change != "unchanged"]

        written = store.declare(decide)
        _put_down(call, entries)
    _report(call, entries, store, written, seen)
    return 0


def _put_down(call: Call, entries: Sequence[Entry]) -> None:
    """Into the ledger: each change, with the digests of both documents as ``show`` shows them."""
    from coldchain.core.digest import digest_of

    def digest(document: Mapping[str, Any] | None) -> str | None:
        return None if document is None else digest_of(masked(document))

    jobs = [
        {
            "job_id": entry.job_id,
            "change": entry.change,
            "before": digest(entry.before and entry.before.document),
            "after": digest(entry.after and entry.after.document),
        }
        for entry in entries
        if entry.change != "unchanged"
    ]
    if jobs:
        call.put_down("apply", {"jobs": jobs})


def _named(batch: Documents, job_id: str) -> Documents:
    """The batch with that name for its one document.

    Raises UsageError when there is not one, or it has another name.
    """
    if not batch.single or len(batch.items) != 1:
        raise UsageError("--job-id is for one document", "write job_id into each")
    (item,) = batch.items
    inner = item.get("job") if isinstance(item, dict) else None
    document = inner if isinstance(inner, dict) else item
    if not isinstance(document, dict):
        return batch  # which is refused for that
    own = document.get("job_id", document.get("job-id"))
    if own not in (None, job_id):
        raise UsageError(f"--job-id {job_id}: the document is called {own}", "leave out one name")
    named = {"job_id": job_id, **{k: v for k, v in document.items() if k not in _NAMES}}
    return batch._replace(items=[named if document is item else {**item, "job": named}])


def _store(call: Call) -> Store | None:
    """The store to compare with; None where nothing was ever declared."""
    try:
        return call.store
    except Unavailable:
        return None


def _accepted(
    call: Call,
    batch: Documents,
    store: Store | None,
    present: Mapping[str, JobRecord],
) -> list[Accepted]:
    def anchor(job_id: str, schedule: Mapping[str, Any]) -> datetime | None:
        record = present.get(job_id)
        if record is None or timing(record.schedule) != timing(schedule):
            return None
        return from_epoch(int(record.anchor))

    def foresee(job_id: str, document: Mapping[str, Any]) -> bool:
        now, before = time.time(), present.get(job_id)
        proposed = canonical(document)
        if before is None:
            record = JobRecord.new(Change(job_id, proposed), now)
        else:
            record = before.replaced(proposed, now)
        outlook = outlook_of(record, store, call.settings, now)
        if outlook.unwanted:  # then it is not its dates that keep it from running
            return outlook.following(now) is not None
        return bool(coming_runs(outlook, 1, now))

    context = replace(
        context_of(call),
        declares=True,
        anchor=anchor,
        last_duration=_last_duration(store),
        foresee=foresee,
    )
    if call.arguments.any_host:
        context = replace(context, client_id=None, allow_exec=True)
    checked = [check(item, context) for item in batch.items]
    located = located_problems(batch, checked)
    if located:
        count = len({problem.position for problem in located})
        message = f"{batch.source}: {count_documents(count)} refused, nothing was changed"
        raise Refused(message, located, single=batch.single)
    return [
        Accepted(verdict.document, verdict.warnings, verdict.imported)
        for verdict in checked
        if verdict.document is not None
    ]


def plan(
    accepted: Sequence[Accepted],
    absent: Sequence[str],
    present: Mapping[str, JobRecord],
    *,
    purge: bool,
) -> list[Entry]:
    """What is to be done to come from *present* to what is wanted; pure."""
    entries = []
    for proposal in accepted:
        before = present.get(proposal.job_id)
        if before is None:
            change = "created"
        else:
            change = "updated" if difference(before.document, proposal.document) else "unchanged"
        entries.append(Entry(proposal.job_id, change, before, proposal))
    kept = {proposal.job_id for proposal in accepted}
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


def _report(
    call: Call,
    entries: Sequence[Entry],
    store: Store | None,
    written: Mapping[str, JobRecord],
    seen: Seen,
) -> None:
    now = time.time()
    present = {} if store is None else store.jobs()
    after_all = _after_all(entries, present if _locked(entries) else {}, from_epoch(now))
    locks = Locks(call.settings, after_all, _last_duration(store))
    shown_entries = [
        _shown(call, entry, _record_after(entry, written, now), now, locks, seen)
        for entry in entries
    ]
    changed = any(entry.change != "unchanged" for entry in entries)
    if call.output.json:
        named = {entry.job_id for entry in entries}
        answer = {"changed": changed, "jobs": shown_entries}
        call.output.answer({**answer, "undeclared": sorted(set(present) - named)})
        return
    for entry, shown_entry in zip(entries, shown_entries):
        _tell(call, entry, shown_entry)
    counts = {word: sum(entry.change == word for entry in entries) for word in _SIGNS}
    words = [f"{number} {word}" for word, number in counts.items() if number]
    would = " (checked only)" if call.arguments.check else ""
    call.output.line((", ".join(words) or "no jobs given") + would)


def _locked(entries: Sequence[Entry]) -> bool:
    """Is there a lock in any document, so that the host's other ones matter?"""
    documents = [entry.after.document for entry in entries if entry.after is not None]
    documents += [entry.before.document for entry in entries if entry.before is not None]
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


def _record_after(entry: Entry, written: Mapping[str, JobRecord], now: float) -> JobRecord | None:
    """The declaration once the entry is done: what was written, or would be at *now*."""
    if entry.after is None:
        return None
    if entry.job_id in written:
        return written[entry.job_id]
    if entry.before is None:
        return JobRecord.new(_change(entry), now)
    if entry.change == "unchanged":
        return entry.before
    return entry.before.replaced(entry.after.document, now)


def _shown(
    call: Call, entry: Entry, record: JobRecord | None, now: float, locks: Locks, seen: Seen
) -> dict[str, Any]:
    before = None if entry.before is None else entry.before.document
    after = None if entry.after is None else entry.after.document
    calendar: dict[str, list[str]] = {"before": [], "after": []}
    next_runs: list[str] = []
    stopped_by = None
    if record is not None:
        changed = entry.change != "unchanged"
        outlook = outlook_of(record, _store(call), call.settings, now, seen=seen)
        stops = outlook.status()[1]
        stopped_by = stops if stops is not None and stops["what"] == BY_EVENT else None
        runs = coming_runs(outlook, CALENDAR_LINES if changed else NEXT_RUNS, now)
        next_runs = [iso(run.at) for run in runs[:NEXT_RUNS]]
        if changed:
            calendar["after"] = _lines(outlook, record.document, runs, locks)
    if entry.before is not None and entry.change != "unchanged":
        outlook = outlook_of(entry.before, _store(call), call.settings, now, seen=seen)
        runs = coming_runs(outlook, CALENDAR_LINES, now)
        calendar["before"] = _lines(outlook, entry.before.document, runs, locks)
    public = masked(before), masked(after, before)
    shown_before, shown_after = (before, after) if call.arguments.show_secrets else public
    return {
        "job_id": entry.job_id,
        "change": entry.change,
        "before": shown_before,
        "after": shown_after,
        "next_runs": next_runs,
        "stopped_by": stopped_by,
        "calendar": calendar,
        "diff": {
            "before": _text(public[0], calendar["before"]),
            "after": _text(public[1], calendar["after"]),
        },
        "warnings": [
            problem.as_dict() for problem in (entry.after.warnings if entry.after else [])
        ],
    }


def _lines(
    outlook: Outlook, document: Mapping[str, Any], runs: Sequence[Upcoming], locks: Locks
) -> list[str]:
    """The next runs for people, or why there are none."""
    why = _stop_line(outlook.status()[1], outlook.state.unusable)
    if not why and outlook.trigger is not None and outlook.trigger.kind == "boot":
        why = outlook.trigger.describe()
    return [run.line + locks.mark(document, run.at) for run in runs] or [why or NEVER]


def _stop_line(stopped_by: Mapping[str, Any] | None, problem: str = "") -> str:
    """Why a declared job will not run; "" when it will, or when its schedule is over."""
    if stopped_by is None or stopped_by["what"] == OVER:
        return ""
    if stopped_by["what"] == BY_DECLARATION:
        return STOPPED
    return f"declared, but {describe_stop(dict(stopped_by), problem)}"


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
                for text in calendar[lines]:
                    line(f"      {text}")
    if shown_entry["stopped_by"] is not None:
        hint = f"coldchain event {entry.job_id} start lets it run"
        call.output.note(f"{entry.job_id}: {_stop_line(shown_entry['stopped_by'])} ({hint})")
    tell_warnings(call, f"{entry.job_id}: ", entry.after.warnings if entry.after else [])


def _text(document: Mapping[str, Any] | None, calendar: Sequence[str]) -> str:
    """A document and its next runs as YAML, for a diff; "" for none."""
    if document is None:
        return ""
    lines = [f"#   {line}\n" for line in calendar]
    return "".join([to_yaml(document), *(["# next runs:\n"] if lines else []), *lines])


def _value(value: object) -> str:
    if value is None:
        return "(not set)"
    return json.dumps(value) if isinstance(value, (list, dict)) else shown(value)


def _last_duration(store: Store | None) -> Callable[[str], float | None]:
    """Tells the seconds that the last run of a job took, None when there was none."""
    states: Mapping[str, State] = {} if store is None else store.states()

    def seconds(job_id: str) -> float | None:
        state = states.get(job_id)
        if state is None or not state.time_started or not state.time_ended:
            return None
        return max(0.0, state.time_ended - state.time_started)

    return seconds
