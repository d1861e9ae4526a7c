# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way of a document into this command: read, checked, canonical, or refused."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from coldchain.cli.context import Call
from coldchain.cli.inputs import Documents, documents, source_name
from coldchain.cli.output import Located, Refused
from coldchain.cli.vocabulary import vocabulary
from coldchain.core.errors import DataError, Problem
from coldchain.document import Checked, Context, check
from coldchain.document.checking import NAMELESS
from coldchain.document.json_path import shown

_OPTIONS = "$.job_actions[0].freezer_action."


def context_of(call: Call) -> Context:
    """What this host checks documents against, now."""
    settings = call.settings
    return Context(
        client_id=settings.client_id,
        zone=settings.zone,
        now=datetime.now(timezone.utc),
        vocabulary=vocabulary(),
        allow_exec=settings.allow_exec,
    )


def document_to_run(call: Call, name: str) -> dict[str, Any]:
    """The canonical form of the one document in file *name*, to be run here and now.

    Raises Refused with every problem of the document, DataError when there is not one.
    """
    return checked_to_run(call, one_document(name), source_name(name))


def one_document(name: str) -> Any:
    """The one raw document in file *name*, by itself or in a list.

    Raises DataError when there is not one.
    """
    batch = documents(name)
    if len(batch.items) != 1:
        raise DataError(f"{batch.source}: holds {len(batch.items)} documents", "give one")
    return batch.items[0]


def action_to_run(call: Call, options: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical form of the freezer_action *options* that a command line has made.

    Raises DataError whose message names every wrong option as it stands in a freezer_action.
    """
    try:
        document = checked_to_run(call, {"freezer_action": dict(options)}, "")
    except Refused as error:
        lines = [
            f"{problem.path.replace(_OPTIONS, '')}: {problem.message}" for problem in error.problems
        ]
        hints = dict.fromkeys(problem.hint for problem in error.problems if problem.hint)
        raise DataError("; ".join(lines), "; ".join(hints)) from None
    action: dict[str, Any] = document["job_actions"][0]["freezer_action"]
    return action


def checked_to_run(call: Call, raw: object, source: str) -> dict[str, Any]:
    """The canonical form of *raw*, to be run here and now; source: what messages call it.

    Raises Refused with every problem of the document.
    """
    context = context_of(call).for_a_run(NAMELESS, os.environ)
    checked = check(raw, context)
    if checked.document is None:
        located = [Located(0, "", problem) for problem in checked.errors]
        raise Refused(f"{source}: the document is refused", located, single=True)
    return checked.document


def tell_warnings(call: Call, prefix: str, warnings: Sequence[Problem]) -> None:
    """Warnings on standard error, a line each; prefix: whose they are."""
    for problem in warnings:
        hint = f" ({problem.hint})" if problem.hint else ""
        call.output.note(f"warning: {prefix}{problem.path}: {problem.message}{hint}")


def document_prefix(index: int, single: bool) -> str:
    """What stands before a problem of the document at *index*; "" when there is only one."""
    return "" if single else f"document {index}: "


def count_documents(number: int) -> str:
    """1 document, 2 documents."""
    return "1 document" if number == 1 else f"{number} documents"


def located_problems(batch: Documents, checked: Sequence[Checked]) -> list[Located]:
    """Every error of the documents and of their company, with the position and the job id of its
    document, in their order."""
    located = [
        Located(position, job_id_of(item, verdict), problem)
        for position, item, verdict in zip(batch.positions, batch.items, checked)
        for problem in verdict.errors
    ]
    return sorted(located + _repeated(batch, checked), key=lambda problem: problem.position)


def job_id_of(item: Any, checked: Checked) -> str:
    """The job id of a document, as far as it can be told of an invalid one."""
    if checked.document is not None:
        return str(checked.document["job_id"])
    if isinstance(item, dict) and isinstance(item.get("job"), dict):
        item = item["job"]
    job_id = item.get("job_id", item.get("job-id")) if isinstance(item, dict) else None
    return job_id if isinstance(job_id, str) else ""


def _repeated(batch: Documents, checked: Sequence[Checked]) -> list[Located]:
    """Documents with the job id of an earlier one, or of a job that is to be absent."""
    first: dict[str, int] = {}
    repeated = []
    for index, item, verdict in zip(batch.positions, batch.items, checked):
        job_id = job_id_of(item, verdict)
        if not job_id:
            continue
        earlier = first.setdefault(job_id, index)
        if earlier != index:
            message = f"{shown(job_id)} is already used by document {earlier}"
            hint = "give every job of a host its own job_id"
        elif job_id in batch.absent:
            message = f"{shown(job_id)} is declared and listed as absent"
            hint = "leave out one of the two"
        else:
            continue
        repeated.append(Located(index, job_id, Problem("$.job_id", message, hint)))
    return repeated
