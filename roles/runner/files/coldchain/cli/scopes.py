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

from coldchain.agent.engines.registry import DEFAULT_ENGINE, engine_of
from coldchain.agent.fields import Fields
from coldchain.agent.options import DEFAULT_BACKUP_NAME
from coldchain.agent.storages.kinds import FIELDS, PATHS
from coldchain.agent.storages.location import Location, location
from coldchain.cli.context import Call
from coldchain.core.errors import Unavailable

if TYPE_CHECKING:
    from coldchain.store import JobRecord


class Scope(NamedTuple):
    """Where to look: a container, and in it all of or one host's or name's backups."""

    location: Location
    engine_name: str
    hostname: str | None = None
    backup_name: str | None = None
    pass_file: str | None = None  # that of the job
    scheme: str | None = None


def chosen(call: Call) -> list[Scope]:
    """What the command line asks for; by default all that the jobs write, and what lies beside it.

    The backups of a job that was removed, or of a host that was installed anew, are wanted most.
    """
    arguments = call.arguments
    options = storage_options(call)
    named = location(Fields(options), call.settings.containers_dir) if options else None
    if arguments.job is not None:
        scopes = _written_by(call, call.record(arguments.job).document)
        return [scope for scope in scopes if named in (None, scope.location)]
    if named is not None:
        return [Scope(named, engine_of(named) or DEFAULT_ENGINE)]
    records: Iterable[JobRecord] = ()
    with suppress(Unavailable):
        records = call.store.jobs().values()
    written = (scope for record in records for scope in _written_by(call, record.document))
    places = {(scope.location, scope.engine_name) for scope in written}
    places.update(_containers(call.settings.containers_dir))
    return [Scope(*place) for place in sorted(places, key=str)]


def _containers(folder: Path, depth: int = 2) -> Iterator[tuple[Location, str]]:
    """The directories in *folder* that hold backups, and those in its directories."""
    try:
        entries = [entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for entry in entries:
        place = Location.local(entry.path)
        engine_name = engine_of(place)
        if engine_name is not None:
            yield place, engine_name
        elif depth > 1:
            yield from _containers(Path(entry.path), depth - 1)


def _written_by(call: Call, document: Mapping[str, Any]) -> Iterable[Scope]:
    """The backups that the job's actions write or read."""
    for action in document["job_actions"]:
        options = action["freezer_action"]
        if options["action"] != "exec":
            yield scope_of(call, options)


def scope_of(call: Call, options: Mapping[str, Any]) -> Scope:
    """The backups that one canonical freezer_action writes or reads.  Raises DataError for a
    location that this host cannot use."""
    return Scope(
        location(Fields(options), call.settings.containers_dir),
        options.get("engine_name", DEFAULT_ENGINE),
        options.get("hostname", call.settings.client_id),
        options.get("backup_name", DEFAULT_BACKUP_NAME),
        options.get("encrypt_pass_file"),
        options.get("encrypt_scheme"),
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
