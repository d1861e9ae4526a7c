# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which containers a command is about: the one that is named, those of a job, or all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from coldchain.agent.layout import ENGINE, METADATA
from coldchain.agent.location import Location, location
from coldchain.agent.options import DEFAULT_BACKUP_NAME, Fields
from coldchain.cli.call import Call
from coldchain.errors import Unavailable
from coldchain.storages import FIELDS, PATHS

if TYPE_CHECKING:
    from coldchain.store import JobRecord


class Series(NamedTuple):
    """Where to look: a container, and in it all of or one host's or name's backups."""

    location: Location
    hostname: str | None = None
    backup_name: str | None = None
    pass_file: str | None = None  # that of the job


def chosen(call: Call) -> list[Series]:
    """What the command line asks for; by default all that the jobs write, and what lies beside it.

    The backups of a job that was removed, or of a host that was installed anew, are wanted most.
    """
    arguments = call.arguments
    given = storage_options(call)
    named = location(Fields(given), call.settings.containers_dir) if given else None
    if arguments.job is not None:
        series = _written_by(call, call.record(arguments.job).document)
        return [each for each in series if named in (None, each.location)]
    if named is not None:
        return [Series(named)]
    records: Iterable[JobRecord] = ()
    with suppress(Unavailable):
        records = call.store.jobs().values()
    written = (each for record in records for each in _written_by(call, record.document))
    places = {each.location for each in written}
    places.update(map(Location.local, _containers(call.settings.containers_dir)))
    return [Series(one) for one in sorted(places, key=str)]


def _containers(folder: Path, depth: int = 2) -> Iterator[Path]:
    """The directories in *folder* that hold backups, and those in its directories."""
    try:
        entries = [entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for entry in entries:
        if os.path.isdir(os.path.join(entry.path, METADATA, ENGINE)):
            yield Path(entry.path)
        elif depth > 1:
            yield from _containers(Path(entry.path), depth - 1)


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
    if place.folder is None:
        return True
    try:
        return stat.S_ISDIR(place.folder.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # the storage says why
        return True


def storage_options(call: Call) -> dict[str, object]:
    """What the command line says about the storage; file names are relative to where one is."""
    options: dict[str, object] = {}
    for name in ("storage", "container", "credentials_file", *FIELDS):
        value = getattr(call.arguments, name)
        if value:
            options[name] = os.path.abspath(value) if name in PATHS else value
    return options
