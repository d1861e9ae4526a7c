# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that let the agent work: restore and agent."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from coldchain.agent.abort import stoppable
from coldchain.agent.action import main as agent_main
from coldchain.agent.action import perform
from coldchain.agent.options import DEFAULT_BACKUP_NAME
from coldchain.agent.progress import into_log
from coldchain.agent.report import Report, shown
from coldchain.cli.call import Call
from coldchain.cli.progress_bar import Bar, telling
from coldchain.cli.where import storage_options
from coldchain.errors import ColdchainError, DataError, Unavailable, UsageError
from coldchain.storages import DEFAULT_CONTAINER, FIELDS

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


def restore(call: Call) -> int:
    """Restore a backup into a directory."""
    arguments = call.arguments
    own = {**storage_options(call), **_restore_options(call)}
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
            action = _beside(call, action)
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
    with Bar() as pbar, stoppable():
        return perform(
            action,
            containers_dir=call.settings.containers_dir,
            client_id=call.settings.client_id,
            progress=pbar.tell,
            zone=call.settings.zone,
            state_dir=call.paths.lib,
        )


def _restore_options(call: Call) -> dict[str, object]:
    """What the command line says; on it a path is relative to where one is."""
    found: dict[str, object] = {}
    for name in _GIVEN:
        value = getattr(call.arguments, name)
        if value == "":
            # A variable of a script that is not set must not mean the newest, or another place.
            raise UsageError(f"{_option(name)} is empty", "leave it out, or give it a value")
        if value:
            found[name] = value
    for name in ("restore_abs_path", "encrypt_pass_file"):
        if name in found:
            found[name] = os.path.abspath(os.path.expanduser(str(found[name])))
    return found


def _of_job(call: Call, own: Mapping[str, object]) -> dict[str, object]:
    """Where the one backup that a job writes lies, its password file, and where it came from."""
    try:
        document = call.record(call.arguments.job).document
    except (DataError, Unavailable) as error:
        ways = "coldchain backups lists what --container and --backup-name can name"
        error.hint = "; ".join(each for each in (error.hint, ways) if each)
        raise
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
            f"choose one with {'--container' if fitting and len(which) == 1 else '--backup-name'}",
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


def _beside(call: Call, action: dict[str, object]) -> dict[str, object]:
    """The action for the path of a job that is no directory here: one file goes where it was."""
    path = str(action["restore_abs_path"])
    looked = _perform(call, {**action, "restore_paths": [], "dry_run": True})
    inside: dict[str, Any] = dict(looked.fields)
    if inside["directory"]:
        return action
    if inside["names"] != [shown(os.fsencode(os.path.basename(path)))]:
        raise UsageError(
            f"the backup holds the single file {', '.join(inside['names'])}, the job names {path}",
            "say where to restore it: --restore-abs-path DIR",
        )
    if os.path.lexists(path) and not (action.get("overwrite") or action.get("dry_run")):
        raise DataError(
            f"{path} is there already",
            "--overwrite replaces it; --restore-abs-path DIR restores it to another place",
        )
    # Its directory may hold other files: only this one is touched.
    return {**action, "restore_abs_path": os.path.dirname(path), "overwrite": True}


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _in_options(text: str) -> str:
    """What the agent says of a freezer_action's fields, in the words of the command line."""
    text = text.replace("overwrite: true", "--overwrite").replace("restore_paths: ", "")
    return _FIELD.sub(lambda match: _option(match[0]), text)


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
