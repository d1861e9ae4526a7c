# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``apply`` says of each job: the change, the calendar before and after, and a difference."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from coldchain.cli.apply_plan import Entry
from coldchain.cli.checking import tell_warnings
from coldchain.cli.collisions import Locks, last_duration
from coldchain.cli.context import Call
from coldchain.cli.preview import Seen, coming_runs, outlook_of
from coldchain.cli.yaml_text import to_yaml
from coldchain.core.instants import from_epoch, iso
from coldchain.document import difference
from coldchain.document.json_path import shown
from coldchain.document.masking import masked
from coldchain.lifecycle import BY_DECLARATION, BY_EVENT, OVER, describe_stop
from coldchain.runner.outlook import Outlook
from coldchain.schedule.preview import Upcoming
from coldchain.store import JobRecord, Store

NEXT_RUNS = 3
CALENDAR_LINES = 5
STOPPED = "stopped: no run is scheduled"
NEVER = "no run is scheduled"
_SIGNS = {"created": "+", "updated": "~", "removed": "-", "unchanged": " "}


def report(
    call: Call,
    entries: Sequence[Entry],
    store: Store | None,
    written: Mapping[str, JobRecord],
    seen: Seen,
) -> None:
    """Say what was done, or would be.

    store: None where nothing was ever declared; written: the declarations that were written.
    """
    now = time.time()
    present = {} if store is None else store.jobs()
    after_all = _after_all(entries, present if _locked(entries) else {}, from_epoch(now))
    locks = Locks(call.settings, after_all, last_duration(store))
    outlook = partial(outlook_of, store=store, settings=call.settings, now=now, seen=seen)
    shown_entries = [
        _shown(call, entry, _record_after(entry, written, now), now, locks, outlook)
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
    if store is not None and store.runner_alive() and store.clock_doubted():
        from coldchain.cli.job_view import CLOCK_WAITS

        call.output.note(CLOCK_WAITS)


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
        return JobRecord.new(entry.declared, now)
    if entry.change == "unchanged":
        return entry.before
    return entry.before.replaced(entry.after.document, now)


def _shown(
    call: Call,
    entry: Entry,
    record: JobRecord | None,
    now: float,
    locks: Locks,
    outlook_from: Callable[[JobRecord], Outlook],
) -> dict[str, Any]:
    """The entry as JSON; record: the declaration once it is done; outlook_from: what becomes of a
    declaration from *now* on."""
    before = None if entry.before is None else entry.before.document
    after = None if entry.after is None else entry.after.document
    calendar: dict[str, list[str]] = {"before": [], "after": []}
    next_runs: list[str] = []
    stopped_by = None
    if record is not None:
        changed = entry.change != "unchanged"
        outlook = outlook_from(record)
        stops = outlook.status()[1]
        stopped_by = stops if stops is not None and stops["what"] == BY_EVENT else None
        runs = coming_runs(outlook, CALENDAR_LINES if changed else NEXT_RUNS, now)
        next_runs = [iso(run.at) for run in runs[:NEXT_RUNS]]
        if changed:
            calendar["after"] = _lines(outlook, record.document, runs, locks)
    if entry.before is not None and entry.change != "unchanged":
        outlook = outlook_from(entry.before)
        runs = coming_runs(outlook, CALENDAR_LINES, now)
        calendar["before"] = _lines(outlook, entry.before.document, runs, locks)
    old = new = masked(before)
    old_text = new_text = _text(old, calendar["before"])
    if entry.change != "unchanged":
        new = masked(after, before)
        new_text = _text(new, calendar["after"])
    shown_before, shown_after = (before, after) if call.arguments.show_secrets else (old, new)
    return {
        "job_id": entry.job_id,
        "change": entry.change,
        "before": shown_before,
        "after": shown_after,
        "next_runs": next_runs,
        "stopped_by": stopped_by,
        "calendar": calendar,
        "diff": {"before": old_text, "after": new_text},
        "warnings": [
            problem.as_dict() for problem in (entry.after.warnings if entry.after else [])
        ],
    }


def _lines(
    outlook: Outlook, document: Mapping[str, Any], runs: Sequence[Upcoming], locks: Locks
) -> list[str]:
    """The next runs for people, or why there are none."""
    if runs:
        return [run.line + locks.mark(document, run.at) for run in runs]
    why = _stop_line(outlook.status()[1], outlook.state.unusable)
    if not why and outlook.trigger is not None and outlook.trigger.kind == "boot":
        why = outlook.trigger.describe()
    return [why or NEVER]


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
