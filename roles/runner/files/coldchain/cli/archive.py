# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands about backups: backups, restore, verify, agent."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

from coldchain.agent.action import main as agent_main
from coldchain.agent.action import perform, stoppable
from coldchain.agent.info import Backup, catalogue
from coldchain.agent.location import Location, location
from coldchain.agent.options import DEFAULT_BACKUP_NAME, Fields
from coldchain.agent.progress import Meter, into_log
from coldchain.agent.report import Report, count
from coldchain.cli import points
from coldchain.cli.bar import Bar, telling
from coldchain.cli.call import Call
from coldchain.errors import ColdchainError, DataError, JobFailed, Unavailable, UsageError
from coldchain.storages import DEFAULT_CONTAINER, FIELDS, PATHS

#: What a restore needs to know, from the command line or from a job.
_NEEDED = ("container", "backup_name", "restore_abs_path")
_GIVEN = (
    "backup_name",
    "hostname",
    "restore_abs_path",
    "restore_from_date",
    "encrypt_pass_file",
    "overwrite",
    "dry_run",
)
_FROM_BACKUP = ("encrypt_pass_file", "download_limit")
_FIELD = re.compile(r"(?<![\w./-])(backup_name|restore_abs_path|restore_from_date|encrypt_\w+)\b")


class _Series(NamedTuple):
    """Where to look: a container, and in it all of or one host's or name's backups."""

    location: Location
    hostname: str | None = None
    backup_name: str | None = None
    pass_file: str | None = None  # that of the job


def backups(call: Call) -> int:
    """What can be restored from the containers of the jobs, or from the one that is named."""
    from coldchain.store.receipts import Receipts

    arguments = call.arguments
    found: dict[tuple[object, ...], Backup] = {}
    receipts = Receipts(call.paths.lib)
    chosen = _chosen(call)
    for series in chosen:
        host = arguments.hostname or series.hostname
        name = arguments.backup_name or series.backup_name
        if _exists(series.location):
            for backup in catalogue(series.location, host, name, receipts):
                series_key = (series.location, backup.hostname, backup.backup_name)
                key = (*series_key, backup.chain, backup.level, backup.time_stamp)
                found[key] = backup
    rows = list(found.values())
    if receipts.problem:
        call.output.note(f"not known when the backups were verified: {receipts.problem}")
    if call.output.json:
        call.output.answer({"backups": [backup.as_dict() for backup in rows]})
        return 0
    points.show(call, rows)
    if not rows:
        call.output.note(_nothing(chosen))
    return 0


def _nothing(chosen: Iterable[_Series]) -> str:
    """Why there is nothing to show."""
    places = list(dict.fromkeys(each.location for each in chosen))
    absent = [str(place) for place in places if not _exists(place)]
    looked = [str(place) for place in places if _exists(place)]
    if absent and not looked:
        return f"no backup: there is no {' and no '.join(absent)} yet"
    if looked:
        return f"no such backup in {', '.join(looked)}"
    return "no job writes a backup; --container names another place to look"


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
                options.get("encrypt_pass_file"),
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
    own = {**_storage_options(call), **_restore_options(call)}
    action: dict[str, object] = {"action": "restore", "restore_paths": list(arguments.paths)}
    if arguments.job is not None:
        action.update(_of_job(call, own))
    action.update(own)
    missing = [_option(name) for name in _NEEDED if not action.get(name)]
    if missing:
        raise UsageError(
            f"{', '.join(missing)}: missing",
            "or name a job that writes the backup: coldchain restore --job JOB",
        )
    try:
        if "restore_abs_path" not in own and not os.path.isdir(str(action["restore_abs_path"])):
            _expect_directory(call, action)
        report = _perform(call, action)
    except ColdchainError as error:
        error.message, error.hint = _in_options(error.message), _in_options(error.hint)
        raise
    if call.output.json:
        call.output.answer(report.as_dict())
        return 0
    for warning in report.warnings:
        call.output.note(f"warning: {warning}")
    if arguments.dry_run:
        _list_names(call, dict(report.fields))
    call.output.line(report.message)
    return 0


def _list_names(call: Call, fields: dict[str, Any]) -> None:
    for name in fields["names"]:
        call.output.line(name)
    left = fields["files"] - len(fields["names"])
    if left:
        call.output.line(f"... and {left} more")


def _perform(call: Call, action: Mapping[str, object]) -> Report:
    # HUP: the connection to the terminal is gone.  An interrupt cleans up as any exception does.
    with Bar() as bar, stoppable((signal.SIGTERM, signal.SIGHUP)):
        return perform(
            action,
            containers_dir=call.settings.containers_dir,
            client_id=call.settings.client_id,
            progress=bar.tell,
            zone=call.settings.zone,
            state_dir=call.paths.lib,
        )


def _restore_options(call: Call) -> dict[str, object]:
    """What the command line says; on it a path is relative to where one is."""
    found: dict[str, object] = {}
    for name in _GIVEN:
        value = getattr(call.arguments, name)
        if value:
            found[name] = value
    for name in ("restore_abs_path", "encrypt_pass_file"):
        if name in found:
            found[name] = os.path.abspath(os.path.expanduser(str(found[name])))
    return found


def _of_job(call: Call, own: Mapping[str, object]) -> dict[str, object]:
    """Where the one backup that a job writes lies, its password file, and where it came from."""
    document = call.record(call.arguments.job).document
    written = [
        action["freezer_action"]
        for action in document["job_actions"]
        if action["freezer_action"]["action"] == "backup"
    ]
    if not written:
        raise DataError(
            f"job {call.arguments.job} writes no backup", "coldchain backups shows what there is"
        )
    names = ("backup_name", "hostname", "container", "storage")
    fitting = [each for each in written if all(own.get(n) in (None, each.get(n)) for n in names)]
    which = {each.get("backup_name", DEFAULT_BACKUP_NAME) for each in fitting or written}
    if len(fitting) != 1:
        raise UsageError(
            f"job {call.arguments.job} writes {', '.join(sorted(which))}",
            "choose one with --backup-name" if len(which) > 1 else "choose one with --container",
        )
    (options,) = fitting
    found = {
        name: options[name]
        for name in ("storage", "credentials_file", *FIELDS, *names, *_FROM_BACKUP)
        if name in options
    }
    found.setdefault("container", DEFAULT_CONTAINER)
    found.setdefault("backup_name", DEFAULT_BACKUP_NAME)
    found["restore_abs_path"] = os.path.expanduser(options["path_to_backup"])
    return found


def _expect_directory(call: Call, action: Mapping[str, object]) -> None:
    """A file that was backed up alone does not belong into a directory of its own name."""
    inside = _perform(call, {**action, "restore_paths": [], "dry_run": True}).fields
    if not inside["directory"]:
        raise UsageError(
            f"{action['restore_abs_path']} was backed up as a single file",
            "say where to restore it: --restore-abs-path DIR",
        )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _in_options(text: str) -> str:
    """What the agent says of a freezer_action's fields, in the words of the command line."""
    text = text.replace("overwrite: true", "--overwrite").replace("restore_paths: ", "")
    return _FIELD.sub(lambda match: _option(match[0]), text)


def verify(call: Call) -> int:
    """Check backups; exit code 1 when something is wrong with one."""
    from coldchain.agent.verify import NothingThere
    from coldchain.agent.verify import verify as check
    from coldchain.store.receipts import Receipts

    arguments = call.arguments
    mode = "full" if arguments.full else "quick" if arguments.sample is None else "sample"
    receipts = Receipts(call.paths.lib)
    results = []
    chosen = list(dict.fromkeys(_chosen(call)))
    with Bar() as bar:
        for series in chosen:
            if not _exists(series.location):
                continue
            pass_file = arguments.encrypt_pass_file or series.pass_file
            with suppress(NothingThere):
                results.append(
                    check(
                        series.location,
                        arguments.hostname or series.hostname,
                        arguments.backup_name or series.backup_name,
                        mode,
                        sample=arguments.sample or 0,
                        pass_file=None if pass_file is None else _absolute(pass_file),
                        meter=Meter(bar.tell),
                        receipts=receipts,
                    )
                )
    if not results:
        raise NothingThere(_nothing(chosen), "coldchain backups lists what there is")
    sound = all(result.sound for result in results)
    if call.output.json:
        call.output.answer(
            {"sound": sound, "mode": mode, "containers": [result.as_dict() for result in results]}
        )
        return 0 if sound else JobFailed.exit_code
    for result in results:
        for finding in result.findings:
            call.output.line(f"{finding.kind}: {finding.message}")
        for note in result.notes:
            call.output.note(note)
    usable = [point for result in results for point in result.restorable]
    lost = [point for result in results for point in result.lost]
    for title, group in (("lost:", lost), ("can still be restored:", usable if lost else [])):
        if group:
            call.output.line(title)
            points.show(call, group)
            call.output.line()
    call.output.line(
        f"{count(sum(result.checked for result in results), 'level')} checked,"
        f" {sum(result.read for result in results)} of them read to their last byte:"
        f" {count(len(usable), 'point')} in time can be restored, {len(lost)} lost"
    )
    return 0 if sound else JobFailed.exit_code


def _absolute(path: str) -> Path:
    return Path(path).expanduser().absolute()


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
