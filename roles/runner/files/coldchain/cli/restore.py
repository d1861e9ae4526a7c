# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command restore."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from typing import Any

from coldchain.agent.action import perform
from coldchain.agent.engines.registry import DEFAULT_ENGINE, engine_of
from coldchain.agent.fields import Fields
from coldchain.agent.modes.registry import DEFAULT_MODE, MODES, mode
from coldchain.agent.options import DEFAULT_BACKUP_NAME
from coldchain.agent.process.signals import abort_on_signal
from coldchain.agent.report import Report
from coldchain.agent.storages.kinds import DEFAULT_CONTAINER, FIELDS
from coldchain.agent.storages.location import location
from coldchain.cli.arguments import add_scheme, add_session, add_storage, whole_number
from coldchain.cli.checking import action_to_run
from coldchain.cli.context import Call
from coldchain.cli.inputs import load, source_name
from coldchain.cli.job_view import NO_RUNNER
from coldchain.cli.one_off import ask, one_off_id, result_of
from coldchain.cli.progress_bar import Bar
from coldchain.cli.sessions import session_runs, written_points
from coldchain.cli.targets import storage_options
from coldchain.cli.waiting import answer_with, failure_of
from coldchain.core.errors import ColdchainError, DataError, JobFailed, Unavailable, UsageError
from coldchain.core.instants import from_epoch, iso
from coldchain.core.text import display_name
from coldchain.observe.ledger_format import facts
from coldchain.store.records import run_message

#: What a restore needs to know, from the command line or from a job; and to restore files.
_NEEDED, _TARGET = ("container", "backup_name"), "restore_abs_path"
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
_SOURCE = ("storage", "credentials_file", *FIELDS, "encrypt_pass_file", "encrypt_scheme")
# Names of one word are words of sentences as well.
_NAMES = "|".join(name for name in ("credentials_file", *FIELDS) if "_" in name)
_FIELD = re.compile(
    rf"(?<![\w./-])(backup_name|restore_abs_path|restore_from_date|encrypt_\w+|{_NAMES})\b"
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    add_session(command)
    command.add_argument("--container")
    command.add_argument("--backup-name")
    command.add_argument(
        "--job", metavar="JOB", help="what this job writes, by default to where it came from"
    )
    command.add_argument("--hostname", help="the host that wrote the backup; this one by default")
    command.add_argument("--restore-abs-path", metavar="DIR", help="the directory to restore into")
    command.add_argument(
        "--restore-from-date", metavar="INSTANT", help="as it was then; by default the newest"
    )
    command.add_argument("--encrypt-pass-file", metavar="FILE")
    add_scheme(command)
    command.add_argument("--overwrite", action="store_true", help="into a directory with files")
    command.add_argument(
        "--trust-target",
        action="store_true",
        help="as root, to a place although other users could change the way to it",
    )
    command.add_argument(
        "--numeric-owner",
        action="store_true",
        help="files belong to the numbers that they had, as a rescue system needs it",
    )
    command.add_argument("--dry-run", action="store_true", help="write nothing, list the files")
    command.add_argument(
        "--by-runner",
        action="store_true",
        help="let the runner do it: it goes on when this terminal goes away, and is on record",
    )
    command.add_argument("--no-wait", action="store_true", help="with --by-runner: only ask for it")
    command.add_argument(
        "--timeout", metavar="SECONDS", type=whole_number, default=3600, help="of the wait (3600)"
    )
    command.add_argument(
        "--options",
        metavar="FILE",
        help="JSON: fields of a freezer_action, and job_id, instead of the other options",
    )
    add_storage(command)
    command.add_argument("paths", metavar="PATH", nargs="*", help="only these paths of the backup")


def run(call: Call) -> int:
    """Restore a backup into a directory."""
    arguments = call.arguments
    if arguments.no_wait and not arguments.by_runner:
        raise UsageError("--no-wait is nothing without --by-runner", "give both, or neither")
    if arguments.options is None:
        own = {**storage_options(call), **_restore_options(call)}
        own["restore_paths"] = list(arguments.paths)
    else:
        own = _options_of_file(arguments, storage_options(call))
    action: dict[str, object] = {"action": "restore"}
    if arguments.job is not None:
        action.update(_of_job(call, own))
    if arguments.session is not None or arguments.tag is not None:
        own["restore_from_date"] = _of_session(call, {**action, **own})
    action.update(own)
    of_files = MODES[str(action.get("mode", DEFAULT_MODE))].gives == "tree"
    needed = (*_NEEDED, _TARGET) if of_files else _NEEDED
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
    try:
        action = action_to_run(call, action)
        if "engine_name" not in action:
            place = location(Fields(action), call.settings.containers_dir)
            action["engine_name"] = engine_of(place) or DEFAULT_ENGINE
        if of_files and _TARGET not in own and not os.path.isdir(str(action[_TARGET])):
            action = _beside(call, action)
        if arguments.by_runner and not action.get("dry_run"):
            return _by_runner(call, action)
        report = _perform(call, action)
        if not action.get("dry_run"):
            call.put_down("restore", {**facts(report.as_dict()), "result": "success"})
        if arguments.by_runner and not call.store.runner_alive():
            report = report._replace(warnings=(*report.warnings, NO_RUNNER))
        if action.get("dry_run"):
            report = report._replace(fields={**report.fields, "source": _source(action, report)})
    except ColdchainError as error:
        if isinstance(error, JobFailed) and _never_run(call):
            error.hint = f"job {arguments.job} has not run yet; {error.hint}"
        if not (action.get("dry_run") or arguments.by_runner):
            call.put_down("restore", {**facts(action), "result": "fail", "text": error.message})
        if arguments.options is None:
            error.message, error.hint = _in_options(error.message), _in_options(error.hint)
        raise
    if call.output.json:
        call.output.answer(report.as_dict())
        return 0
    for warning in report.warnings:
        told = _in_options(warning) if arguments.options is None else warning
        call.output.note(f"warning: {told}")
    if action.get("dry_run"):
        _list_names(call, dict(report.fields))
    call.output.line(report.message)
    return 0


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


def _by_runner(call: Call, action: Mapping[str, object]) -> int:
    """Ask the runner for the restore, and wait for its end unless that is not wanted."""
    arguments = call.arguments
    name = str(arguments.job or action.get("backup_name") or DEFAULT_BACKUP_NAME)
    job_id = one_off_id("restore", name)
    place = action.get(_TARGET)
    description = f"restore of {name}" + (f" to {place}" if place else "")
    request, joined = ask(call, job_id, action, description)
    answer: dict[str, Any] = {"job_id": job_id, "request": request, "joined": joined, "run": None}
    if joined:
        call.output.note(f"{job_id} is at it already")
    if arguments.no_wait:
        if call.output.json:
            call.output.answer(answer)
        else:
            call.output.line(f"{job_id}: asked for; coldchain list {job_id} tells how far it is")
        return 0
    run = answer["run"] = result_of(call, job_id, request, arguments.timeout)
    failure = failure_of(job_id, run)
    if failure is not None:
        failure.hint = "; ".join(filter(None, (failure.hint, _done_before(call, run, place))))
    answer_with(call, answer, failure)
    if not call.output.json and failure is None:
        for warning in run["actions"][0].get("report", {}).get("warnings", ()):
            call.output.note(f"warning: {warning}")
        call.output.line(run_message(run))
    return 0 if failure is None else failure.exit_code


def _done_before(call: Call, run: Mapping[str, Any], place: object) -> str:
    """A hint at the run before *run*, if that was the one: its play had lost the connection."""
    for earlier in call.store.history(run["job_id"], 2):
        message = run_message(earlier) or ""
        if earlier["run_id"] != run["run_id"] and f" to {place}" in message:
            return f"the run before it, {earlier['run_id']}, had success: {message}"
    return ""


def _source(action: Mapping[str, object], report: Report) -> dict[str, object]:
    """The fields of an action that lead any host to this backup; a local container has its path."""
    series = ("container", "hostname", "backup_name")
    return {
        **{name: action[name] for name in _SOURCE if name in action},
        **{name: report.fields[name] for name in series if name in report.fields},
    }


def _never_run(call: Call) -> bool:
    """Is the restore of a job that has no finished run on record?"""
    job_id = call.arguments.job
    return job_id is not None and not call.store.history(job_id, 1)


def _list_names(call: Call, fields: dict[str, Any]) -> None:
    for name in fields["names"]:
        call.output.line(name)
    left = fields["files"] - len(fields["names"])
    if left:
        call.output.line(f"... and {left} more")


def _perform(call: Call, action: Mapping[str, object]) -> Report:
    with Bar() as pbar, abort_on_signal():
        return perform(
            action,
            containers_dir=call.settings.containers_dir,
            client_id=call.settings.client_id,
            progress=pbar.tell,
            zone=call.settings.zone,
            state_dir=call.paths.lib,
            spool_dir=call.settings.spool_dir,
        )


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
    try:
        document = call.record(call.arguments.job).document
    except (DataError, Unavailable) as error:
        ways = "coldchain backups lists what --container and --backup-name can name"
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
            f"choose one with {'--container' if fitting and len(which) == 1 else '--backup-name'}",
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


def _beside(call: Call, action: dict[str, object]) -> dict[str, object]:
    """The action for the path of a job that is no directory here: one file goes where it was."""
    path = str(action["restore_abs_path"])
    looked = _perform(call, {**action, "restore_paths": [], "dry_run": True})
    inside: dict[str, Any] = dict(looked.fields)
    if inside["directory"]:
        return action
    if inside["names"] != [display_name(os.fsencode(os.path.basename(path)))]:
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
    text = (
        text.replace("overwrite: true", "--overwrite")
        .replace("trust_target: true", "--trust-target")
        .replace("accept_unsealed: true", "--accept-unsealed")
        .replace("encrypt_scheme: freezer", "--encrypt-scheme freezer")
        .replace("restore_paths: ", "")
    )
    return _FIELD.sub(lambda match: _option(match[0]), text)
