# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One freezer_action from its document to its report: the entrance of the agent."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone, tzinfo
from pathlib import Path
from types import MappingProxyType

from coldchain.agent import options
from coldchain.agent.engines.base import ActionContext, Engine, Query
from coldchain.agent.engines.registry import DEFAULT_ENGINE, check_engine, engine
from coldchain.agent.fields import Fields
from coldchain.agent.modes.registry import mode
from coldchain.agent.options import Common
from coldchain.agent.process.priority import raise_priority
from coldchain.agent.process.signals import Aborted, Stop
from coldchain.agent.progress import Meter, Tell, silent
from coldchain.agent.report import Report
from coldchain.core.errors import CannotWrite, ColdchainError, DataError
from coldchain.core.host_zone import host_zone
from coldchain.core.text import format_bytes, pluralize, printable
from coldchain.core.trusted_path import open_file


def perform(
    action: Mapping[str, object],
    *,
    containers_dir: Path,
    client_id: str,
    progress: Tell = silent,
    zone: tzinfo | None = None,
    state_dir: Path | None = None,
    spool_dir: Path | None = None,
    remnants: bool = False,
) -> Report:
    """Do what one canonical freezer_action but exec says; the document's rules have checked it.

    *client_id* is the default of hostname; *zone* reads dates without offset (default: the
    host's own); *state_dir*: where this host notes what it is writing to remote storages
    (default: beside the containers); *spool_dir*: where a dry run may keep what it has fetched
    (default: below that); *remnants*: only remove what the action left when it was
    killed.  Raises a ColdchainError with the action's exit code.
    """
    fields = Fields(action)
    kind = fields.text("action", "backup")
    here = zone or host_zone(os.environ).zone
    with _refusing():
        common = options.common(fields, containers_dir, client_id, here)
        engine_name = fields.text("engine_name", DEFAULT_ENGINE)
        check_engine(engine_name, common.mode)
    keeper = engine(engine_name)
    notes = state_dir or Path(containers_dir, ".coldchain")
    context = ActionContext(notes, Meter(progress), spool_dir)
    if remnants:
        target = mode(common.mode).target(fields) if kind == "restore" else None
        return keeper.clean_up(kind, common, target, context)
    warnings = raise_priority() if common.max_priority else []
    with _logged(common, kind) as note:
        report = _ACTIONS[kind](keeper, fields, common, context, here)
        warnings = list(map(printable, (*warnings, *report.warnings)))
        report = Report(report.action, printable(report.message), tuple(warnings), report.fields)
        for warning in report.warnings:
            note("WARNING", warning)
        note("INFO", report.message)
    return report


def _backup(
    keeper: Engine, fields: Fields, common: Common, context: ActionContext, zone: tzinfo
) -> Report:
    with _refusing():
        backup_options = options.backup_options(fields, common)
    return keeper.backup(backup_options, context)


def _restore(
    keeper: Engine, fields: Fields, common: Common, context: ActionContext, zone: tzinfo
) -> Report:
    with _refusing():
        restore_options = options.restore_options(fields, common, zone)
    return keeper.restore(restore_options, context)


def _admin(
    keeper: Engine, fields: Fields, common: Common, context: ActionContext, zone: tzinfo
) -> Report:
    return keeper.remove(common, context)


def _info(
    keeper: Engine, fields: Fields, common: Common, context: ActionContext, zone: tzinfo
) -> Report:
    """Everything in the container, or what is kept under the backup_name that is given."""
    from coldchain.agent.receipts import Receipts

    named = bool(fields.text("backup_name"))
    query = Query(
        common.location,
        common.hostname if named else None,
        common.backup_name if named else None,
        common.download_limit,
    )
    backups = keeper.points(query, Receipts(context.state_dir))
    names = {(backup.hostname, backup.backup_name) for backup in backups}
    stored = sum(backup.size for backup in backups)
    message = (
        f"{pluralize(len(backups), 'level')} of {pluralize(len(names), 'backup')}"
        f" in {common.location}, {format_bytes(stored)}"
    )
    listed = [backup.as_dict() for backup in backups]
    return Report(
        "info", message, (), {**common.location.as_fields(), "backups": listed, "size": stored}
    )


#: What is done with an engine.
_ACTIONS = MappingProxyType(
    {"backup": _backup, "restore": _restore, "info": _info, "admin": _admin}
)


@contextmanager
def _refusing() -> Iterator[None]:
    """What is refused here would be refused again; damaged data may be another matter."""
    try:
        yield
    except DataError as error:
        error.hopeless = True
        raise


@contextmanager
def _logged(common: Common, kind: str) -> Iterator[Callable[[str, str], None]]:
    """Append what happens to the action's log_file; a dry run writes nothing."""
    # Names are anybody's: a line end in one must not begin a line of the log.
    about = printable(f"{common.hostname}_{common.backup_name}")

    def note(level: str, text: str) -> None:
        """Append one line; CannotWrite."""
        if common.log_file is None or common.dry_run:
            return
        stamp = datetime.now(timezone.utc).isoformat(timespec="seconds")
        try:
            log = open_file(common.log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            with os.fdopen(log, "a", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(f"{stamp} {level} {kind} {about}: {printable(text)}\n")
        except OSError as error:
            raise CannotWrite(
                f"log_file {common.log_file}: {error.strerror}",
                "name a file, or one that is not there yet, in a directory that is there",
            ) from None

    note("INFO", "begins")
    try:
        yield note
    except ColdchainError as error:
        error.message = printable(error.message)
        note("ERROR", error.message)
        raise
    except Stop as stop:
        note("ERROR", Aborted(stop.number).message)
        raise
