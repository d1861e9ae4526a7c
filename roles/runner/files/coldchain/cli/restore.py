# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command restore."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import Any

from coldchain.agent.action import perform
from coldchain.agent.engines.registry import DEFAULT_ENGINE, engine_of
from coldchain.agent.fields import Fields
from coldchain.agent.options import DEFAULT_BACKUP_NAME
from coldchain.agent.process.signals import abort_on_signal
from coldchain.agent.report import Report
from coldchain.agent.storages.kinds import FIELDS
from coldchain.agent.storages.location import location
from coldchain.cli.arguments import add_scheme, add_session, add_storage, whole_number
from coldchain.cli.checking import action_to_run
from coldchain.cli.context import Call
from coldchain.cli.job_view import NO_RUNNER
from coldchain.cli.one_off import ask, one_off_id, result_of
from coldchain.cli.progress_bar import Bar
from coldchain.cli.restore_action import TARGET, action_asked_for, in_options
from coldchain.cli.waiting import answer_with, failure_of
from coldchain.core.errors import ColdchainError, DataError, JobFailed, UsageError
from coldchain.core.text import path_text
from coldchain.observe.ledger.format import facts
from coldchain.store.records import run_message

_SOURCE = ("storage", "credentials_file", *FIELDS, "encrypt_pass_file", "encrypt_scheme")


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
    try:
        asked = action_asked_for(call)
    except ColdchainError as error:
        raise _as_called(call, error) from None
    action = asked.action
    try:
        action = action_to_run(call, action)
        if "engine_name" not in action:
            place = location(Fields(action), call.settings.containers_dir)
            action["engine_name"] = engine_of(place) or DEFAULT_ENGINE
        if asked.to_its_place and not os.path.isdir(str(action[TARGET])):
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
        raise _as_called(call, error) from None
    if call.output.json:
        call.output.answer(report.as_dict())
        return 0
    for warning in report.warnings:
        told = in_options(warning) if arguments.options is None else warning
        call.output.note(f"warning: {told}")
    if action.get("dry_run"):
        _list_names(call, dict(report.fields))
    call.output.line(report.message)
    return 0


def _as_called(call: Call, error: ColdchainError) -> ColdchainError:
    """*error* in the words of the call: fields for who gave fields, else options."""
    if call.arguments.options is None:
        error.message, error.hint = in_options(error.message), in_options(error.hint)
    return error


def _by_runner(call: Call, action: Mapping[str, object]) -> int:
    """Ask the runner for the restore, and wait for its end unless that is not wanted."""
    arguments = call.arguments
    name = str(arguments.job or action.get("backup_name") or DEFAULT_BACKUP_NAME)
    job_id = one_off_id("restore", name)
    place = action.get(TARGET)
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


def _beside(call: Call, action: dict[str, object]) -> dict[str, object]:
    """The action for the path of a job that is no directory here: one file goes where it was."""
    path = str(action["restore_abs_path"])
    looked = _perform(call, {**action, "restore_paths": [], "dry_run": True})
    inside: dict[str, Any] = dict(looked.fields)
    if inside["directory"]:
        return action
    if inside["names"] != [path_text(os.fsencode(os.path.basename(path)))]:
        raise UsageError(
            f"the backup holds the single file {', '.join(inside['names'])}, the job names {path}",
            "say where to restore it: restore_abs_path",
        )
    if os.path.lexists(path) and not (action.get("overwrite") or action.get("dry_run")):
        raise DataError(
            f"{path} is there already",
            "overwrite: true replaces it; restore_abs_path names another place",
        )
    # Its directory may hold other files: only this one is touched.
    return {**action, "restore_abs_path": os.path.dirname(path), "overwrite": True}
