# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command verify: are backups whole?"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from coldchain.agent.engines.base import NothingThere, Verification
from coldchain.agent.engines.registry import engine
from coldchain.agent.process.signals import abort_on_signal
from coldchain.agent.progress import Meter
from coldchain.cli import restore_points
from coldchain.cli.arguments import add_scheme, add_scope, add_storage, positive_number
from coldchain.cli.backups import failed_part, nothing_found, query_of, tell_failures
from coldchain.cli.context import Call
from coldchain.cli.progress_bar import Bar
from coldchain.cli.scopes import Scope, chosen, exists
from coldchain.core.errors import ColdchainError, JobFailed
from coldchain.core.text import pluralize, printable


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    add_scope(command)
    depth = command.add_mutually_exclusive_group()
    depth.add_argument("--full", action="store_true", help="read every byte, not only sizes")
    depth.add_argument(
        "--sample", metavar="N", type=positive_number, help="that of N levels of each container"
    )
    command.add_argument("--encrypt-pass-file", metavar="FILE", help="to read encrypted ones")
    add_scheme(command)
    add_storage(command)


def run(call: Call) -> int:
    """Check backups; exit code 1 when something is wrong with one."""
    arguments = call.arguments
    mode = "full" if arguments.full else "quick" if arguments.sample is None else "sample"
    asked = list(dict.fromkeys(chosen(call)))
    results, failures = _checked(call, asked, mode)
    if failures and not results:
        raise failures[0]
    if not results:
        raise NothingThere(nothing_found(call, asked), "coldchain backups lists what there is")
    sound = all(result.sound for result in results)
    call.put_down(
        "verify",
        {
            "mode": mode,
            "containers": [str(scope.location) for scope in asked],
            "checked": sum(result.checked for result in results),
            "result": "sound" if sound and not failures else "damaged",
        },
    )
    code = 0 if sound else JobFailed.exit_code
    if call.output.json:
        containers = [result.as_dict() for result in results]
        answer = {"sound": sound, "mode": mode, "containers": containers, **failed_part(failures)}
        call.output.answer(answer)
        return code or (failures[0].exit_code if failures else 0)
    _report(call, results)
    return tell_failures(call, failures, code)


def _checked(
    call: Call, asked: Iterable[Scope], mode: str
) -> tuple[list[Verification], list[ColdchainError]]:
    """What was found in each of the containers that are there, and why others gave no answer."""
    from coldchain.agent.receipts import Receipts

    arguments, receipts = call.arguments, Receipts(call.paths.lib)
    results: list[Verification] = []
    failures: list[ColdchainError] = []
    with Bar() as pbar, abort_on_signal():
        for scope in asked:
            if not exists(scope.location):
                continue
            pass_file = arguments.encrypt_pass_file or scope.pass_file
            try:
                query = query_of(call, scope)._replace(
                    scheme=arguments.encrypt_scheme or scope.scheme,
                    accept_unsealed=arguments.accept_unsealed,
                    encrypted=bool(scope.pass_file or arguments.container),
                )
                found = engine(scope.engine_name).verify(
                    query,
                    mode,
                    sample=arguments.sample or 0,
                    pass_file=None if pass_file is None else _absolute(pass_file),
                    meter=Meter(pbar.tell),
                    receipts=receipts,
                )
            except NothingThere:
                continue
            except ColdchainError as error:
                failures.append(error)
            else:
                results.append(found)
    return results, failures


def _report(call: Call, results: Sequence[Verification]) -> None:
    """What is wrong, and when there is something, which points are lost and which are left."""
    for result in results:
        for finding in result.findings:
            call.output.line(printable(f"{finding.kind}: {finding.message}"))
        for note in result.notes:
            call.output.note(printable(note))
    usable = [point for result in results for point in result.restorable]
    lost = [point for result in results for point in result.lost]
    for title, group in (("lost:", lost), ("can still be restored:", usable if lost else [])):
        if group:
            call.output.line(title)
            restore_points.show(call, group)
            call.output.line()
    call.output.line(
        f"{pluralize(sum(result.checked for result in results), 'level')} checked,"
        f" {sum(result.read for result in results)} of them read to their last byte:"
        f" {pluralize(len(usable), 'point')} in time can be restored, {len(lost)} lost"
    )


def _absolute(path: str) -> Path:
    return Path(path).expanduser().absolute()
