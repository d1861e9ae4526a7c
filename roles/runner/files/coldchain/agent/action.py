# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One freezer_action from its document to its report: the entrance of the agent."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timezone, tzinfo
from pathlib import Path

from coldchain.agent import options
from coldchain.agent.abort import Aborted, Stop, stoppable
from coldchain.agent.layout import Series
from coldchain.agent.opening import open_storage
from coldchain.agent.options import Common, Fields, HostZone
from coldchain.agent.priority import raise_priority
from coldchain.agent.progress import Meter, Progress, Tell, into_file, silent
from coldchain.agent.report import Report
from coldchain.agent.storage import Storage
from coldchain.agent.throttle import Limited
from coldchain.errors import CannotWrite, ColdchainError, DataError
from coldchain.storages import SECRETS

_WORDS = {"True": True, "true": True, "False": False, "false": False, "None": None}
ACTIONS = ("backup", "restore", "info", "admin", "exec")


def perform(
    action: Mapping[str, object],
    *,
    containers_dir: Path,
    client_id: str,
    progress: Tell = silent,
    zone: tzinfo | None = None,
    state_dir: Path | None = None,
    remnants: bool = False,
) -> Report:
    """Do what one freezer_action says.  Raises a ColdchainError with the action's exit code.

    *client_id* is the default of hostname; *zone* reads dates without offset (default: the
    host's own); *state_dir*: where this host notes what it is writing to remote storages
    (default: beside the containers); *remnants*: only remove what the action left when it was
    killed.
    """
    fields = Fields(action)
    kind = fields.choice("action", ACTIONS, "backup")
    if kind == "exec":
        from coldchain.agent import command

        return Report(kind, "nothing to remove") if remnants else command.run(action)
    here = zone or HostZone()
    shared = options.common(fields, containers_dir, client_id, here, removes=kind == "admin")
    locks = Path(state_dir or Path(containers_dir, ".coldchain"), "locks")
    if remnants:
        from coldchain.agent.cleanup import clean_up

        target = fields.required_path("restore_abs_path", kind) if kind == "restore" else None
        return clean_up(kind, shared, open_storage(shared.location, locks, shared.series), target)
    warnings = raise_priority() if shared.max_priority else []
    with _logged(shared, kind) as note:
        report = _do(kind, fields, shared, here, Meter(progress), locks)
        report = Report(report.action, report.message, (*warnings, *report.warnings), report.fields)
        for warning in report.warnings:
            note("WARNING", warning)
        note("INFO", report.message)
    return report


def main(
    config: Path | str,
    result: Path | str | None,
    progress: Path | None,
    containers_dir: Path,
    client_id: str | None = None,
    zone: tzinfo | None = None,
    shown: AbstractContextManager[Tell] | None = None,
    state_dir: Path | None = None,
    remnants: bool = False,
) -> int:
    """The command ``coldchain agent``: the exit code of the action in *config*.

    config: a file with a freezer_action as JSON or freezer-agent's INI, "-" for stdin; result: a
    file for the report as JSON, also after a failure ("-" or None: only a line for people);
    progress: a file that is replaced at most once a second; shown: is told as often.
    """
    kind = ""
    try:
        with stoppable(), shown or nullcontext(silent) as show:
            action = read_action(config)
            _check_secrets(action, config)
            kind = str(action.get("action") or "backup")
            keep = into_file(progress) if progress else silent

            def tell(moment: Progress) -> None:
                keep(moment)
                show(moment)

            report = perform(
                action,
                containers_dir=containers_dir,
                client_id=client_id or os.uname().nodename,
                progress=tell,
                zone=zone,
                state_dir=state_dir,
                remnants=remnants,
            )
    except ColdchainError as error:
        print(f"coldchain agent: {error.message}", file=sys.stderr)
        for line in error.hint.splitlines():
            print(f"  {line}", file=sys.stderr)
        _write(result, {"action": kind, "message": error.message, "hint": error.hint})
        return error.exit_code
    for warning in report.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    # Names can hold what stdout has no letters for; stderr escapes by itself.
    known = sys.stdout.encoding or "ascii"
    print(report.message.encode(known, "backslashreplace").decode(known))
    _write(result, report.as_dict())
    return 0


def read_action(config: Path | str) -> dict[str, object]:
    """The freezer_action in *config*: JSON, {"freezer_action": JSON}, or INI with [action]."""
    try:
        text = sys.stdin.read() if str(config) == "-" else Path(config).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{config}: cannot be read: {error}") from None
    if text.lstrip().startswith("{"):
        try:
            value = json.loads(text)
        except ValueError as error:
            raise DataError(f"{config}: not JSON: {error}") from None
        action = value.get("freezer_action", value)
        if not isinstance(action, dict):
            raise DataError(f"{config}: freezer_action is not an object")
        return action
    import configparser

    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text, str(config))
        # freezer-agent takes these words so for any option, and its scheduler writes them.
        return {name: _WORDS.get(text, text) for name, text in parser.items("action")}
    except configparser.Error as error:
        raise DataError(
            f"{config}: {error.message}", "a freezer_action as JSON, or INI with a section [action]"
        ) from None


def _check_secrets(action: Mapping[str, object], config: Path | str) -> None:
    """Only a file that nobody else can read may hold the secrets of a storage itself."""
    held = any(value and name.replace("-", "_") in SECRETS for name, value in action.items())
    if held and str(config) != "-":
        from coldchain.agent.credentials import check_private

        check_private(Path(config))


def _do(
    kind: str, fields: Fields, shared: Common, zone: tzinfo, meter: Meter, locks: Path
) -> Report:
    """One action imports what it needs, and all of it before its long part: an upgrade may remove
    the release that a process runs from."""
    named = None if kind == "info" and not fields.text("backup_name") else shared.series
    if kind == "backup":
        from coldchain.agent import archive, backup

        source = fields.path("path_to_backup")
        expected = archive.most_bytes(source) if source is not None else 0
        storage = _storage(shared, locks, named, expected)
        return backup.backup(options.backup_options(fields, shared), storage, meter)
    storage = _storage(shared, locks, named)
    if kind == "info":
        from coldchain.agent import info
        from coldchain.store.receipts import Receipts

        return info.info(shared, storage, named, Receipts(locks.parent))
    if kind == "admin":
        from coldchain.agent import admin

        return admin.admin(shared, storage)
    from coldchain.agent import restore

    return restore.restore(options.restore_options(fields, shared, zone), storage, meter)


def _storage(shared: Common, locks: Path, named: Series | None, expected: int = 0) -> Storage:
    storage: Storage = open_storage(shared.location, locks, named, expected)
    if shared.upload_limit or shared.download_limit:
        return Limited(storage, shared.upload_limit, shared.download_limit)
    return storage


@contextmanager
def _logged(shared: Common, kind: str) -> Iterator[Callable[[str, str], None]]:
    """Append what happens to the action's log_file; a dry run writes nothing."""

    def note(level: str, text: str) -> None:
        if shared.log_file is None or shared.dry_run:
            return
        stamp = datetime.now(timezone.utc).isoformat(timespec="seconds")
        try:
            with shared.log_file.open("a", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(f"{stamp} {level} {kind} {shared.series.host_name}: {text}\n")
        except OSError as error:
            raise CannotWrite(f"log_file {shared.log_file}: {error.strerror}") from None

    note("INFO", "begins")
    try:
        yield note
    except ColdchainError as error:
        note("ERROR", error.message)
        raise
    except Stop as stop:
        note("ERROR", Aborted(stop.number).message)
        raise


def _write(result: Path | str | None, fields: Mapping[str, object]) -> None:
    if result is None or str(result) == "-":
        return
    path = Path(result)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="ascii") as stream:
        json.dump(fields, stream)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
