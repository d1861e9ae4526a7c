# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions of a job say: which option needs which, and which exclude each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from coldchain.core.command_text import CommandTextError, split_pipeline
from coldchain.document import lint
from coldchain.document.canonical_form import LEVEL_OPTIONS, expanded
from coldchain.document.context import Context, Findings
from coldchain.document.json_path import Place, shown
from coldchain.document.normalized import Normalized

LONGEST_WAIT = 31_536_000  # seconds

_SERIES = ("storage", "container", "hostname", "backup_name")


def check_actions(modern: Normalized, context: Context, findings: Findings) -> None:
    """Add what is wrong with the actions of ``modern.document``, a list, to *findings*."""
    actions = modern.document["job_actions"]
    if not actions:
        findings.error(("job_actions",), "a job needs at least one action")
    writers: dict[tuple[Any, ...], int] = {}
    for number, options in enumerate(expanded(modern)):
        action, place = actions[number], ("job_actions", number, "freezer_action")
        if not isinstance(action, dict) or "freezer_action" not in action:
            continue
        if "action" not in action["freezer_action"] and "action" not in modern.document.get(
            "action_defaults", {}
        ):
            if findings.refused((*place, "action")):
                continue
            findings.warn((*place, "action"), "is missing; a backup is meant", 'write "backup"')
        _check_options(options, place, context, findings)
        _check_backoff(action, ("job_actions", number), findings)
        if not findings.any_refused(place[:2]) and not findings.any_refused(("action_defaults",)):
            for idle in lint.of_retries(action, place[:2]):
                findings.warn(*idle)
            for idle in lint.of_options(
                action["freezer_action"], options, place, context.vocabulary
            ):
                findings.warn(*idle)
        if options["action"] == "backup" and "path_to_backup" in options:
            series = tuple(
                options.get(key) for key in (*_SERIES, *context.vocabulary.storage_fields)
            )
            first = writers.setdefault(series, number)
            if first != number:
                findings.warn(
                    place,
                    f"writes the same backup as action {first}",
                    "give each its own backup_name",
                )


def _check_backoff(action: Mapping[str, Any], place: Place, findings: Findings) -> None:
    """The waits between attempts grow by a factor: none may come to more than a year."""
    backoff, retries = action.get("retry_backoff", 1), action.get("max_retries", 0)
    interval = action.get("max_retries_interval", 60)
    if retries > 1 and interval and backoff > 1:
        longest = math.log(interval) + (retries - 1) * math.log(backoff)
        if longest > math.log(LONGEST_WAIT):
            findings.error(
                (*place, "retry_backoff"),
                f"{shown(backoff)} makes the last of {retries} waits longer than a year",
                "write a smaller retry_backoff or max_retries",
            )


def _check_options(
    options: Mapping[str, Any], place: Place, context: Context, findings: Findings
) -> None:
    kind = options["action"]

    def need(name: str, what: str, hint: str) -> None:
        if name not in options and not findings.refused((*place, name)):
            findings.error((*place, name), f"is missing; {what}", hint)

    if kind == "backup":
        need("path_to_backup", "a backup needs to know of what", "name a file or a directory")
    elif kind == "restore":
        need("restore_abs_path", "a restore needs a target", "name the directory to restore into")
        if options.get("consistency_check") is True:
            need("consistency_checksum", "a check needs it", "give the one of the backup")
        if "consistency_checksum" in options and "restore_paths" in options:
            findings.error(
                (*place, "restore_paths"),
                "and consistency_checksum exclude each other; the checksum covers the whole backup",
                "leave one out",
            )
    elif kind == "exec":
        _check_exec(options, place, context, findings)
        need("command", "exec needs to know what to run", "write a list of arguments")
    removal = [name for name in ("remove_older_than", "remove_before_date") if name in options]
    if len(removal) == 2:
        findings.error(
            (*place, removal[1]), f"and {removal[0]} exclude each other", "leave one out"
        )
    elif kind == "admin" and not removal and options.get("remove_ahead") is not True:
        need(
            "remove_older_than",
            "nothing says what is to be removed",
            "write remove_older_than (days), remove_before_date or remove_ahead",
        )
    level = next((name for name in LEVEL_OPTIONS if name in options), None)
    if level is not None and options.get("incremental") is False:
        findings.error(
            (*place, "incremental"),
            f"is false, but {level} is for incremental backups",
            f"leave out incremental or {level}",
        )
    if kind != "exec":
        _check_engine(options, place, context, findings)
        _check_storage(options, place, context, findings)
    for name in ("encrypt_scheme", "accept_unsealed"):
        if options.get(name):
            need("encrypt_pass_file", f"{name} needs it", "name the file with the password")


def _check_engine(
    options: Mapping[str, Any], place: Place, context: Context, findings: Findings
) -> None:
    words = context.vocabulary
    if not any(findings.refused((*place, name)) for name in ("engine_name", "mode")):
        with findings.reported((*place, "engine_name")):
            words.check_engine(
                options.get("engine_name", words.engines[0]), options.get("mode", words.modes[0])
            )


def _check_storage(
    options: Mapping[str, Any], place: Place, context: Context, findings: Findings
) -> None:
    words = context.vocabulary
    storage = options.get("storage", words.default_storage)
    if findings.refused((*place, "storage")):
        return
    for name in words.storages[storage].required:
        provided = name in options or "credentials_file" in options
        provided = provided or name.upper() in context.variables
        if not provided and not findings.refused((*place, name)):
            findings.error((*place, name), f"is missing; storage {storage} needs it", f"add {name}")
    container = options.get("container", words.default_container)
    if ".." not in container.split("/"):
        with findings.reported((*place, "container")):
            words.check_container(storage, container)
    if "credentials_file" in options:
        with findings.reported((*place, "credentials_file")):
            words.check_credentials_file(options["credentials_file"])


def _check_exec(
    options: Mapping[str, Any], place: Place, context: Context, findings: Findings
) -> None:
    command = options.get("command")
    if not context.allow_exec:
        findings.error(
            (*place, "action"),
            "exec is switched off on this host",
            "set allow_exec = yes in the host's settings",
        )
    if isinstance(command, list):
        if options.get("shell") is True:
            findings.error((*place, "command"), "is a list; a shell takes one text", "write a text")
        elif command and isinstance(command[0], str) and not command[0].strip():
            findings.error((*place, "command"), "has a blank name", "name the program to run")
    elif isinstance(command, str):
        if options.get("shell") is True:
            if not command.strip():
                findings.error((*place, "command"), "is blank", "name the program to run")
            return
        try:
            stages = split_pipeline(command)
        except CommandTextError as error:
            findings.error((*place, "command"), error.message, error.hint)
            return
        if not all(stage[0].strip() for stage in stages):
            findings.error((*place, "command"), "has a blank name", "name the program to run")
