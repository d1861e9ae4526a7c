# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a schema cannot say: which option needs which, what a text has to be, when a job runs.

The rules work on a document in today's spelling from which every place that the schema refused
has been taken out, so that one mistake is reported once and hides no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coldchain.document.action_rules import check_actions
from coldchain.document.context import Context, Findings, host_of
from coldchain.document.json_path import Place, shown
from coldchain.document.normalized import Normalized
from coldchain.document.notify_rules import faults
from coldchain.document.schedule_rules import check_schedule
from coldchain.document.value_rules import check_values


def apply_rules(modern: Normalized, context: Context, findings: Findings) -> None:
    """Add what is wrong with ``modern.document`` (an object) to *findings*."""
    document = modern.document
    check_values(document, context, findings)
    _check_notify(document, context, findings)
    if document.get("session_tag"):  # 0 is what Freezer's API has of a job without session
        findings.warn(
            ("session_tag",),
            "is left out: it is a run's, and each run here gets its slot in seconds since 1970",
            "coldchain history --session ID shows the tags",
        )
    _check_client(document, context, findings)
    if isinstance(document.get("job_actions"), list):
        check_actions(modern, context, findings)
    check_schedule(modern, context, findings)


def _check_notify(document: Mapping[str, Any], context: Context, findings: Findings) -> None:
    for number, entry in enumerate(document.get("notify", [])):
        if entry is None:  # the schema has refused it
            continue
        for fault in faults(entry, context.vocabulary, allow_exec=context.allow_exec):
            place: Place = ("notify", number, fault.field)
            if place not in findings.bad:
                report = findings.error if fault.refused else findings.warn
                report(place, fault.message, fault.hint)


def _check_client(document: Mapping[str, Any], context: Context, findings: Findings) -> None:
    client, here = document.get("client_id"), context.client_id
    if here is not None and host_of(document, here) != here:
        findings.error(
            ("client_id",),
            f"the document is for {shown(client)}, this host is {shown(here)}",
            "leave client_id out, or set client_id in the host's settings",
        )
