# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command backups: what can be restored."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from coldchain.agent.engines.base import Backup, Query
from coldchain.agent.engines.registry import engine
from coldchain.agent.process.signals import abort_on_signal
from coldchain.cli import restore_points
from coldchain.cli.arguments import add_scope, add_session, add_storage
from coldchain.cli.context import Call
from coldchain.cli.output import error_object
from coldchain.cli.scopes import Scope, chosen, exists
from coldchain.cli.sessions import point_key, session_runs, written_points
from coldchain.core.errors import ColdchainError


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    add_scope(command)
    command.add_argument(
        "--encrypt-scheme", choices=("freezer", "strong"), help="what the points must have"
    )
    add_storage(command)
    add_session(command)


def run(call: Call) -> int:
    """What can be restored from the containers of the jobs, or from the one that is named."""
    from coldchain.agent.receipts import Receipts

    points: dict[tuple[object, ...], Backup] = {}
    receipts = Receipts(call.paths.lib)
    asked = chosen(call)
    failures: list[ColdchainError] = []
    for scope in asked:
        if not exists(scope.location):
            continue
        try:
            with abort_on_signal():
                listed = engine(scope.engine_name).points(query_of(call, scope), receipts)
        except ColdchainError as error:
            failures.append(error)
            continue
        for backup in listed:
            name = (scope.location, backup.hostname, backup.backup_name)
            key = (*name, backup.chain, backup.level, backup.time_stamp)
            points[key] = backup
    rows = [_wanted(backup, call.arguments.encrypt_scheme) for backup in points.values()]
    if call.arguments.session is not None or call.arguments.tag is not None:
        wanted = {point_key(point) for point in written_points(session_runs(call))}
        rows = [backup for backup in rows if point_key(backup.as_dict()) in wanted]
    if failures and not rows:
        raise failures[0]
    if receipts.problem:
        call.output.note(f"not known when the backups were verified: {receipts.problem}")
    if call.output.json:
        call.output.answer(
            {"backups": [backup.as_dict() for backup in rows], **failed_part(failures)}
        )
        return failures[0].exit_code if failures else 0
    restore_points.show(call, rows)
    if not rows:
        call.output.note(nothing_found(call, asked))
    return tell_failures(call, failures, 0)


def query_of(call: Call, scope: Scope) -> Query:
    """What the command line says wins over what the job says."""
    return Query(
        scope.location,
        call.arguments.hostname or scope.hostname,
        call.arguments.backup_name or scope.backup_name,
        spool=call.settings.spool_dir,
    )


def _wanted(backup: Backup, scheme: str | None) -> Backup:
    """A point of another encryption than *scheme*, which is asked for, is none to restore."""
    if scheme is None or backup.encrypt_scheme == scheme or not backup.restorable:
        return backup
    packing = f"encrypt_scheme {backup.encrypt_scheme}" if backup.encrypted else "not encrypted"
    return backup._replace(restorable=False, reason=f"{packing}, {scheme} was asked for")


def failed_part(failures: Sequence[ColdchainError]) -> dict[str, object]:
    """What the answer says of storages that did not: they hide nothing of the others."""
    return {"error": error_object(failures[0])} if failures else {}


def tell_failures(call: Call, failures: Sequence[ColdchainError], code: int) -> int:
    """Each of *failures*; the exit code, *code* when it says something already."""
    for failure in failures:
        call.output.error(failure)
    return code or (failures[0].exit_code if failures else 0)


def nothing_found(call: Call, asked: Iterable[Scope]) -> str:
    """Why there is nothing to show."""
    places = list(dict.fromkeys(scope.location for scope in asked))
    absent = [str(place) for place in places if not exists(place)]
    looked = [str(place) for place in places if exists(place)]
    if absent and not looked:
        return f"no backup: there is no {' and no '.join(absent)} yet"
    if looked:
        return f"no such backup in {', '.join(looked)}"
    own = call.settings.containers_dir
    elsewhere = "coldchain backups --container C looks in another place"
    return f"no job writes a backup and none lies in {own}; {elsewhere}"
