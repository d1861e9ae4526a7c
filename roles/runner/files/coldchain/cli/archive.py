# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands about backups: backups, restore, verify, agent."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from coldchain.agent.action import main as agent_main
from coldchain.agent.action import perform
from coldchain.agent.info import Backup, catalogue
from coldchain.agent.location import Location, location
from coldchain.agent.options import DEFAULT_BACKUP_NAME, Fields
from coldchain.agent.progress import Meter, into_log
from coldchain.agent.report import size
from coldchain.cli.bar import Bar, telling
from coldchain.cli.call import Call
from coldchain.cli.output import instant
from coldchain.errors import JobFailed, Unavailable
from coldchain.storages import FIELDS, LOCAL, PATHS


class _Series(NamedTuple):
    """Where to look: a container, and in it all of or one host's or name's backups."""

    location: Location
    hostname: str | None = None
    backup_name: str | None = None


def backups(call: Call) -> int:
    """What can be restored from the containers of the jobs, or from the one that is named."""
    arguments = call.arguments
    found: dict[tuple[object, ...], Backup] = {}
    for series in _chosen(call):
        host = arguments.hostname or series.hostname
        name = arguments.backup_name or series.backup_name
        if _exists(series.location):
            for backup in catalogue(series.location, host, name):
                series_key = (series.location, backup.hostname, backup.backup_name)
                key = (*series_key, backup.chain, backup.level, backup.time_stamp)
                found[key] = backup
    rows = list(found.values())
    if call.output.json:
        call.output.answer({"backups": [backup.as_dict() for backup in rows]})
        return 0
    call.output.table(
        ("TIME", "HOST", "NAME", "LEVEL", "SIZE", "FILES", "CONTAINER", "STATE"),
        [_row(call, backup) for backup in rows],
    )
    return 0


def _row(call: Call, backup: Backup) -> tuple[object, ...]:
    state = "restorable" if backup.restorable else backup.reason
    return (
        instant(datetime.fromisoformat(backup.time), call.settings.zone),
        backup.hostname,
        backup.backup_name,
        backup.level,
        size(backup.size),
        backup.files,
        backup.container if backup.storage == LOCAL else f"{backup.storage} {backup.container}",
        f"{state}, encrypted" if backup.encrypted else state,
    )


def _chosen(call: Call) -> list[_Series]:
    arguments = call.arguments
    given = _storage_options(call)
    named = location(Fields(given), call.settings.containers_dir) if given else None
    if arguments.job is not None:
        series = _written_by(call, call.record(arguments.job).document)
        return [each for each in series if named in (None, each.location)]
    if named is not None:
        return [_Series(named)]
    try:
        records = call.store.jobs().values()
    except Unavailable:
        return [_Series(location(Fields({}), call.settings.containers_dir))]
    written = (each for record in records for each in _written_by(call, record.document))
    return [_Series(one) for one in sorted({each.location for each in written}, key=str)]


def _written_by(call: Call, document: Mapping[str, Any]) -> Iterable[_Series]:
    """The series that the job's actions write or read."""
    for action in document["job_actions"]:
        options = action["freezer_action"]
        if options["action"] != "exec":
            yield _Series(
                location(Fields(options), call.settings.containers_dir),
                options.get("hostname", call.settings.client_id),
                options.get("backup_name", DEFAULT_BACKUP_NAME),
            )


def _exists(place: Location) -> bool:
    """False for a directory on this host that is not there (yet); elsewhere the storage knows."""
    return place.folder is None or place.folder.is_dir()


def _storage_options(call: Call) -> dict[str, object]:
    """What the command line says about the storage; file names are relative to where one is."""
    options: dict[str, object] = {}
    for name in ("storage", "container", "credentials_file", *FIELDS):
        value = getattr(call.arguments, name)
        if value:
            options[name] = os.path.abspath(value) if name in PATHS else value
    return options


def restore(call: Call) -> int:
    """Restore a backup into a directory."""
    arguments = call.arguments
    action: dict[str, object] = {
        "action": "restore",
        "restore_paths": list(arguments.paths),
        **_storage_options(call),
    }
    for name in (
        "backup_name",
        "hostname",
        "restore_abs_path",
        "restore_from_date",
        "encrypt_pass_file",
        "overwrite",
        "dry_run",
    ):
        value = getattr(arguments, name)
        if value:
            action[name] = value
    for name in ("restore_abs_path", "encrypt_pass_file"):
        if name in action:  # on a command line a path is relative to where one is
            action[name] = os.path.abspath(os.path.expanduser(str(action[name])))
    with Bar() as bar:
        report = perform(
            action,
            containers_dir=call.settings.containers_dir,
            client_id=call.settings.client_id,
            progress=bar.tell,
            zone=call.settings.zone,
            state_dir=call.paths.lib,
        )
    if call.output.json:
        call.output.answer(report.as_dict())
    else:
        for warning in report.warnings:
            call.output.note(f"warning: {warning}")
        call.output.line(report.message)
    return 0


def verify(call: Call) -> int:
    """Check backups; exit code 1 when something is wrong with one."""
    from coldchain.agent.verify import verify as check

    arguments = call.arguments
    mode = "full" if arguments.full else "sample" if arguments.sample else "quick"
    pass_file = arguments.encrypt_pass_file
    with Bar() as bar:
        results = [
            check(
                series.location,
                arguments.hostname or series.hostname,
                arguments.backup_name or series.backup_name,
                mode,
                sample=arguments.sample,
                pass_file=None if pass_file is None else Path(pass_file).expanduser().absolute(),
                meter=Meter(bar.tell),
            )
            for series in dict.fromkeys(_chosen(call))
            if _exists(series.location)
        ]
    sound = all(result.sound for result in results)
    if call.output.json:
        call.output.answer(
            {"sound": sound, "mode": mode, "containers": [result.as_dict() for result in results]}
        )
        return 0 if sound else JobFailed.exit_code
    for result in results:
        for finding in result.findings:
            series = f"{finding.hostname}_{finding.backup_name}"
            call.output.line(f"{finding.kind}: {series} level {finding.level}: {finding.message}")
        for note in result.notes:
            call.output.note(note)
    call.output.line(
        f"{sum(result.checked for result in results)} levels checked,"
        f" {sum(result.read for result in results)} of them read to their last byte,"
        f" {sum(len(result.restorable) for result in results)} restorable,"
        f" {sum(len(result.lost) for result in results)} lost"
    )
    return 0 if sound else JobFailed.exit_code


def agent(call: Call) -> int:
    """Perform one freezer_action."""
    arguments = call.arguments
    return agent_main(
        arguments.config,
        arguments.result,
        None if arguments.progress is None else Path(arguments.progress),
        call.settings.containers_dir,
        call.settings.client_id,
        call.settings.zone,
        telling() if sys.stderr.isatty() else nullcontext(into_log(_to_log)),
        call.paths.lib,
        arguments.clean_up,
    )


def _to_log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
