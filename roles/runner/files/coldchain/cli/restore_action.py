# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backup ``restore`` is asked for, and where it goes: options, a file, a job or a session."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from coldchain.agent.fields import Fields
from coldchain.agent.modes.registry import DEFAULT_MODE, MODES, mode
from coldchain.agent.options import DEFAULT_BACKUP_NAME
from coldchain.agent.storages.kinds import DEFAULT_CONTAINER, FIELDS
from coldchain.cli.context import Call
from coldchain.cli.inputs import load, source_name
from coldchain.cli.scopes import storage_options
from coldchain.cli.sessions import session_runs, written_points
from coldchain.core.errors import DataError, Unavailable, UsageError
from coldchain.core.instants import from_epoch, iso
from coldchain.core.text import path_text

#: What a restore needs to know, from the command line or from a job; and to restore files.
_NEEDED, TARGET = ("container", "backup_name"), "restore_abs_path"
_GIVEN = (
    "backup_name",
    "hostname",
    "restore_abs_path",
    "restore_from_date",
    "encrypt_pass_file",
    "encrypt_scheme",
    "accept_unsealed",
    "overwrite",
    "trust_target",
    "numeric_owner",
    "dry_run",
)
_FROM_BACKUP = ("engine_name", "mode", "encrypt_pass_file", "encrypt_scheme", "download_limit")
# Names of one word are words of sentences as well.
_NAMES = "|".join(name for name in ("credentials_file", *FIELDS) if "_" in name)
_FIELD = re.compile(
    rf"(?<![\w./-])(backup_name|restore_abs_path|restore_from_date|encrypt_\w+|{_NAMES})\b"
)


class Asked(NamedTuple):
    """The action that is asked for; to_its_place: files, to where the job's document has them."""

    action: dict[str, object]
    to_its_place: bool


def action_asked_for(call: Call) -> Asked:
    """The fields of a freezer_action that ``restore`` is called with, its document not yet checked.

    Raises UsageError when the call leaves open which backup is meant, or where it goes.
    """
    arguments = call.arguments
    if arguments.options is None:
        own = {**storage_options(call), **_restore_options(call)}
        # Whatever the bytes of an argument are, a document can carry it.
        own["restore_paths"] = [
            path if path.isprintable() else path_text(os.fsencode(path)) for path in arguments.paths
        ]
    else:
        own = _options_of_file(arguments, storage_options(call))
    action: dict[str, object] = {"action": "restore"}
    if arguments.job is not None:
        action.update(_of_job(call, own))
    if arguments.session is not None or arguments.tag is not None:
        own["restore_from_date"] = _of_session(call, {**action, **own})
    action.update(own)
    of_files = MODES[str(action.get("mode", DEFAULT_MODE))].gives == "tree"
    needed = (*_NEEDED, TARGET) if of_files else _NEEDED
    missing = [name for name in needed if not action.get(name)]
    if missing and arguments.options is not None:
        raise UsageError(
            f"{', '.join(missing)}: missing", "or name a job that writes the backup: job_id"
        )
    if missing:
        raise UsageError(
            f"{', '.join(map(_option, missing))}: missing",
            "or name a job that writes the backup: coldchain restore --job JOB",
        )
    return Asked(action, of_files and TARGET not in own)


def _options_of_file(
    arguments: argparse.Namespace, storage: Mapping[str, object]
) -> dict[str, object]:
    """What ``--options`` says; a job in it becomes that of the command line.

    storage: what the command line says of it.  Raises DataError when the file holds no object,
    UsageError when options stand beside it.
    """
    beside = [_option(name) for name in ("job", *_GIVEN) if getattr(arguments, name)]
    beside += map(_option, storage)
    beside += ["PATH"] * bool(arguments.paths)
    beside += ["--session"] * (arguments.session is not None or arguments.tag is not None)
    beside = [name for name in beside if name != "--dry-run"]
    if beside:
        raise UsageError(f"--options and {', '.join(beside)} exclude each other", "give one")
    value = load(arguments.options)
    if not isinstance(value, dict):
        raise DataError(
            f"{source_name(arguments.options)}: this is no JSON object",
            'write {"job_id": "...", "restore_abs_path": "..."}',
        )
    value = {name: given for name, given in value.items() if given is not None}
    job_id = value.pop("job_id", None)
    if not isinstance(job_id, (str, type(None))):
        raise DataError("job_id is no text", "name the job that writes the backup")
    if value.setdefault("action", "restore") != "restore":
        raise DataError(f"action is {value['action']!r}", "leave it out: it can only be restore")
    if arguments.dry_run:
        value["dry_run"] = True
    arguments.job = job_id
    return value


def _restore_options(call: Call) -> dict[str, object]:
    """What the command line says; on it a path is relative to where one is."""
    options: dict[str, object] = {}
    for name in _GIVEN:
        value = getattr(call.arguments, name)
        if value == "":
            # A variable of a script that is not set must not mean the newest, or another place.
            raise UsageError(f"{_option(name)} is empty", "leave it out, or give it a value")
        if value:
            options[name] = value
    for name in ("restore_abs_path", "encrypt_pass_file"):
        if name in options:
            options[name] = os.path.abspath(os.path.expanduser(str(options[name])))
    return options


def _of_job(call: Call, own: Mapping[str, object]) -> dict[str, object]:
    """Where the one backup that a job writes lies, its password file, and where it came from."""
    say = _option if call.arguments.options is None else str
    try:
        document = call.record(call.arguments.job).document
    except (DataError, Unavailable) as error:
        ways = f"coldchain backups lists what {say('container')} and {say('backup_name')} can name"
        error.hint = "; ".join(filter(None, (error.hint, ways)))
        raise
    written = [
        item["freezer_action"]
        for item in document["job_actions"]
        if item["freezer_action"]["action"] == "backup"
    ]
    if not written:
        raise DataError(
            f"job {call.arguments.job} writes no backup", "coldchain backups shows what there is"
        )
    names = ("backup_name", "hostname", "container", "storage")
    fitting = [
        options for options in written if all(own.get(n) in (None, options.get(n)) for n in names)
    ]
    which = {options.get("backup_name", DEFAULT_BACKUP_NAME) for options in fitting or written}
    if len(fitting) != 1:
        raise UsageError(
            f"job {call.arguments.job} writes {', '.join(sorted(which))}",
            f"choose one with {say('container' if fitting and len(which) == 1 else 'backup_name')}",
        )
    (options,) = fitting
    action = {
        name: options[name]
        for name in ("storage", "credentials_file", *FIELDS, *names, *_FROM_BACKUP)
        if name in options
    }
    action.setdefault("container", DEFAULT_CONTAINER)
    action.setdefault("backup_name", DEFAULT_BACKUP_NAME)
    action.update(mode(options.get("mode", DEFAULT_MODE)).source(Fields(options)).restore_to)
    return action


def _of_session(call: Call, action: Mapping[str, object]) -> str:
    """The date of the one point in time that the session's runs wrote of the backup asked for."""
    if call.arguments.restore_from_date:
        raise UsageError("--session and --restore-from-date exclude each other", "give one")
    names = [name for name in ("backup_name", "hostname") if action.get(name)]
    points = [
        point
        for point in written_points(session_runs(call))
        if all(point[name] == action[name] for name in names)
    ]
    series = sorted({f"{point['hostname']}: {point['backup_name']}" for point in points})
    if len(series) != 1:
        raise UsageError(
            f"session {call.arguments.session} has written {', '.join(series) or 'no such backup'}",
            "choose one with --job, --backup-name or --hostname",
        )
    # The runs are in order: of several points of one tag the newest counts.
    return iso(from_epoch(points[0]["time_stamp"]))


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def in_options(text: str) -> str:
    """What the agent says of a freezer_action's fields, in the words of the command line."""
    text = (
        text.replace("overwrite: true", "--overwrite")
        .replace("trust_target: true", "--trust-target")
        .replace("accept_unsealed: true", "--accept-unsealed")
        .replace("encrypt_scheme: freezer", f"{_option('encrypt_scheme')} freezer")
        .replace("restore_paths: ", "")
    )
    return _FIELD.sub(lambda match: _option(match[0]), text)
