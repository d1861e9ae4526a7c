# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command agent: one action from its document to its report."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from coldchain.agent.action import perform
from coldchain.agent.process.signals import abort_on_signal
from coldchain.agent.progress import Progress, into_file, into_log
from coldchain.agent.report import Report
from coldchain.cli.context import Call
from coldchain.cli.inputs import STANDARD_INPUT, load, source_name
from coldchain.cli.output import error_object
from coldchain.core.errors import ColdchainError, DataError
from coldchain.core.files import write_atomically


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument(
        "--config",
        metavar="FILE",
        required=True,
        help="a document of one action: JSON, or freezer-agent's INI",
    )
    command.add_argument("--result", metavar="FILE", help="where the outcome goes, as JSON")
    command.add_argument("--progress", metavar="FILE", help="where the progress goes, as JSON")
    command.add_argument(
        "--clean-up", action="store_true", help="only remove what the action left when killed"
    )
    # The runner hands over an action of a document that was checked when it was declared.
    command.add_argument("--canonical", action="store_true", help=argparse.SUPPRESS)


def run(call: Call) -> int:
    """Perform the action of a document that holds one."""
    arguments = call.arguments
    result = None if arguments.result in (None, "-") else Path(arguments.result)
    kind = ""
    try:
        with abort_on_signal(), _teller() as show:
            action = _canonical(arguments.config) if arguments.canonical else _checked(call)
            kind = str(action["action"])
            keep = into_file(Path(arguments.progress)) if arguments.progress else None

            def tell(progress: Progress) -> None:
                if keep is not None:
                    keep(progress)
                show(progress)

            if kind == "exec":
                report = _run_command(action, remnants=arguments.clean_up)
            else:
                report = perform(
                    action,
                    containers_dir=call.settings.containers_dir,
                    client_id=call.settings.client_id,
                    progress=tell,
                    zone=call.settings.zone,
                    state_dir=call.paths.lib,
                    spool_dir=call.settings.spool_dir,
                    remnants=arguments.clean_up,
                )
    except ColdchainError as error:
        _write(result, {"action": kind, **_failure(error)})
        if kind and not arguments.canonical:
            call.put_down("agent", {"action": kind, "result": "fail", "text": error.message})
        raise
    if not arguments.canonical and not report.fields.get("dry_run"):
        # What a run does is put down with the run.
        from coldchain.observe.ledger.format import facts

        call.put_down("agent", {**facts(report.as_dict()), "result": "success"})
    _tell(call, report)
    _write(result, report.as_dict())
    return 0


def _run_command(action: Mapping[str, object], *, remnants: bool) -> Report:
    """The action exec, which knows neither engine nor storage."""
    from coldchain.execution.command import run

    return Report("exec", "nothing to remove") if remnants else run(action)


def _canonical(name: str) -> dict[str, Any]:
    action: dict[str, Any] = load(name)["freezer_action"]
    return action


def _checked(call: Call) -> dict[str, Any]:
    """The action of the document in the file; DataError when it is refused, or not one action."""
    from coldchain.cli.checking import checked_to_run, one_document

    name = call.arguments.config
    raw = one_document(name)
    secrets = _secrets_of_an_ini(raw, name)
    document = checked_to_run(call, raw, source_name(name))
    actions = document["job_actions"]
    if len(actions) != 1:
        raise DataError(
            f"{source_name(name)}: holds {len(actions)} actions, and this command performs one",
            "coldchain run performs all of them",
        )
    return {**actions[0]["freezer_action"], **secrets}


def _secrets_of_an_ini(raw: object, name: str) -> dict[str, str]:
    """What a freezer-agent's INI that nobody else can read holds itself, taken out of *raw*."""
    from coldchain.agent.storages.kinds import SECRETS
    from coldchain.document.ini import IniDocument

    if not isinstance(raw, IniDocument):
        return {}
    options = raw["freezer_action"]
    secrets = {key: options.pop(key) for key in SECRETS & options.keys()}
    secrets = {key: str(value) for key, value in secrets.items() if value}
    if secrets and name != STANDARD_INPUT:
        from coldchain.core.credentials import check_private

        check_private(Path(name))
    return secrets


def _teller() -> Any:
    if not sys.stderr.isatty():
        return nullcontext(into_log(_to_log))
    from coldchain.cli.progress_bar import telling

    return telling()


def _to_log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _failure(error: ColdchainError) -> dict[str, Any]:
    """The failure for a result file: its message alone has to tell what is wrong."""
    failure = error_object(error)
    problems = [f"{problem['path']}: {problem['message']}" for problem in failure["errors"]]
    message = ": ".join([error.message, "; ".join(problems)] if problems else [error.message])
    content = {"message": message, "hint": error.hint, "errors": failure["errors"]}
    return {**content, "hopeless": True} if error.hopeless else content


def _tell(call: Call, report: Report) -> None:
    if call.output.json:
        call.output.answer(report.as_dict())
        return
    for warning in report.warnings:
        call.output.note(f"warning: {warning}")
    call.output.line(report.message)


def _write(path: Path | None, fields: Mapping[str, object]) -> None:
    if path is not None:
        write_atomically(path, (json.dumps(fields) + "\n").encode("ascii"))
