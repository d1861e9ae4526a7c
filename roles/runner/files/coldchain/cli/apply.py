# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command apply: declare documents, all of them or none."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from coldchain.cli.apply_plan import Accepted, Entry, plan
from coldchain.cli.apply_report import report
from coldchain.cli.arguments import add_show_secrets
from coldchain.cli.checking import context_of, count_documents, located_problems
from coldchain.cli.collisions import last_duration
from coldchain.cli.context import Call
from coldchain.cli.inputs import Documents, documents
from coldchain.cli.output import Refused
from coldchain.cli.preview import Seen, coming_runs, outlook_of
from coldchain.core.errors import Unavailable, UsageError
from coldchain.core.instants import from_epoch
from coldchain.document import check
from coldchain.document.masking import masked
from coldchain.store import Change, JobRecord, Remembered, Store, timing

_NAMES = ("job_id", "job-id")


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
    present = {} if store is None else Remembered(store.jobs())
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
            return [entry.declared for entry in entries if entry.change != "unchanged"]

        written = store.declare(decide, call.begin_ledger)
        _put_down(call, entries)
    report(call, entries, store, written, seen)
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

    def foresee(job_id: str, schedule: Mapping[str, Any]) -> bool:
        now, before = time.time(), present.get(job_id)
        proposed = {"job_id": job_id, "job_schedule": dict(schedule)}  # the rest may be refused
        if before is None:
            record = JobRecord.new(Change(job_id, proposed), now)
        else:
            record = before.replaced(proposed, now)
        outlook = outlook_of(record, store, call.settings, now)
        if outlook.unwanted:  # then it is not its dates that keep it from running
            return outlook.following(now) is not None
        return bool(coming_runs(outlook, 1, now))

    context = context_of(call)._replace(
        declares=True,
        anchor=anchor,
        last_duration=last_duration(store),
        foresee=foresee,
    )
    if call.arguments.any_host:
        context = context._replace(client_id=None, allow_exec=True)
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
