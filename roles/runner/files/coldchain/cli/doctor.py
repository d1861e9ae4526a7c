# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command doctor: what on this host will keep jobs from doing their work, and the way out."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

from coldchain.cli.context import Call
from coldchain.cli.findings import show_findings
from coldchain.core.errors import DataError, Unavailable
from coldchain.observe.findings import CRITICAL, INFO, SEVERITIES, Finding

CHECKS_PATHS = True
"""The entrance leaves it to this command whether what is ours is safe from others."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument(
        "--storages",
        action="store_true",
        help="ask every storage of the jobs, too, and write a few bytes there",
    )


def run(call: Call) -> int:
    """What is to be said: 0, or 1 when there is a warning or worse."""
    findings = sorted(_findings(call), key=lambda it: -SEVERITIES.index(it.severity))
    if call.output.json:
        call.output.answer({"findings": [finding.as_dict() for finding in findings]})
    else:
        show_findings(call.output, findings)
        if not findings:
            call.output.line("nothing was found", "good")
    return int(any(finding.severity != INFO for finding in findings))


def _findings(call: Call) -> Iterator[Finding]:
    try:
        call.paths.check()
    except Unavailable as error:
        if not _ours(call):
            raise
        yield Finding(CRITICAL, "permissions", error.message, error.hint)
        return  # what others could have written is not read
    from coldchain.cli.health import examine
    from coldchain.cli.health_patient import Patient

    try:
        patient = Patient(call)
    except DataError as error:
        remedy = error.hint or f"edit it; coldchain serve --check {call.paths.settings} judges it"
        yield Finding(CRITICAL, "settings", error.message, remedy)
        return
    yield from examine(patient, storages=call.arguments.storages)


def _ours(call: Call) -> bool:
    """Is the installation this user's, or root's and this is root?"""
    try:
        return os.stat(call.paths.home or call.paths.lib).st_uid == os.geteuid()
    except OSError:
        return False
