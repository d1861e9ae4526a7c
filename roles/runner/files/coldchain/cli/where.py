# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which containers a command is about: of the one that is named, of a job, or of all jobs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from coldchain.agent.location import Location, location
from coldchain.agent.options import DEFAULT_BACKUP_NAME, Fields
from coldchain.cli.call import Call
from coldchain.errors import Unavailable
from coldchain.storages import FIELDS, PATHS


class Series(NamedTuple):
    """Where to look: a container, and in it all of or one host's or name's backups."""

    location: Location
    hostname: str | None = None
    backup_name: str | None = None
    pass_file: str | None = None  # that of the job


def chosen(call: Call) -> list[Series]:
    arguments = call.arguments
    given = storage_options(call)
    named = location(Fields(given), call.settings.containers_dir) if given else None
    if arguments.job is not None:
        series = _written_by(call, call.record(arguments.job).document)
        return [each for each in series if named in (None, each.location)]
    if named is not None:
        return [Series(named)]
    try:
        records = call.store.jobs().values()
    except Unavailable:
        return [Series(location(Fields({}), call.settings.containers_dir))]
    written = (each for record in records for each in _written_by(call, record.document))
    return [Series(one) for one in sorted({each.location for each in written}, key=str)]


def _written_by(call: Call, document: Mapping[str, Any]) -> Iterable[Series]:
    """The series that the job's actions write or read."""
    for action in document["job_actions"]:
        options = action["freezer_action"]
        if options["action"] != "exec":
            yield Series(
                location(Fields(options), call.settings.containers_dir),
                options.get("hostname", call.settings.client_id),
                options.get("backup_name", DEFAULT_BACKUP_NAME),
                options.get("encrypt_pass_file"),
            )


def exists(place: Location) -> bool:
    """False for a directory on this host that is not there (yet); elsewhere the storage knows."""
    return place.folder is None or place.folder.is_dir()


def storage_options(call: Call) -> dict[str, object]:
    """What the command line says about the storage; file names are relative to where one is."""
    options: dict[str, object] = {}
    for name in ("storage", "container", "credentials_file", *FIELDS):
        value = getattr(call.arguments, name)
        if value:
            options[name] = os.path.abspath(value) if name in PATHS else value
    return options
