# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command validate: is this a job document?"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from coldchain.cli.checking import (
    context_of,
    count_documents,
    document_prefix,
    job_id_of,
    located_problems,
    tell_warnings,
)
from coldchain.cli.context import Call
from coldchain.cli.inputs import Documents, documents
from coldchain.cli.output import Located
from coldchain.cli.vocabulary import vocabulary
from coldchain.core.errors import DataError, UsageError
from coldchain.document import Checked, check


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument("file", metavar="FILE", nargs="?", help="JSON; - for standard input")
    command.add_argument("--schema", action="store_true", help="print the JSON Schema instead")


def run(call: Call) -> int:
    """Check documents; exit code 65 when one is invalid."""
    arguments = call.arguments
    if arguments.schema:
        from coldchain.document.schema import schema

        text = json.dumps(schema(vocabulary()), indent=None if call.output.json else 2)
        call.output.line(text)
        return 0
    if arguments.file is None:
        raise UsageError("validate needs a FILE", "- stands for standard input")
    batch = documents(arguments.file)
    context = context_of(call)
    checked = [check(item, context) for item in batch.items]
    located = located_problems(batch, checked)
    valid = not located
    if call.output.json:
        call.output.answer(_verdict(batch, checked, located))
    else:
        call.output.problems(located, single=batch.single)
        for position, verdict in zip(batch.positions, checked):
            tell_warnings(call, document_prefix(position, batch.single), verdict.warnings)
        if valid:
            call.output.line(f"{batch.source}: {count_documents(len(checked))} valid")
    return 0 if valid else DataError.exit_code


def _verdict(
    batch: Documents, checked: Sequence[Checked], located: Sequence[Located]
) -> dict[str, Any]:
    if batch.single:
        # One that only says that a job is to be absent holds no document.
        verdict = checked[0] if checked else Checked(None, [], [])
        return {
            "valid": verdict.valid,
            "errors": [problem.as_dict() for problem in verdict.errors],
            "warnings": [problem.as_dict() for problem in verdict.warnings],
            "document": verdict.document,
        }
    warnings = [
        Located(position, job_id_of(item, verdict), problem).as_dict()
        for position, item, verdict in zip(batch.positions, batch.items, checked)
        for problem in verdict.warnings
    ]
    return {
        "valid": not located,
        "errors": [problem.as_dict() for problem in located],
        "warnings": warnings,
        "documents": [verdict.document for verdict in checked],
    }
