# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine tar says of a container: a path, or a location."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coldchain.agent.engines.base import Backup, Query, Verification
from coldchain.agent.engines.registry import engine
from coldchain.agent.storages.location import Location


def catalogue(
    place: Path | Location, hostname: str | None = None, backup_name: str | None = None
) -> list[Backup]:
    return engine("tar").points(_query(place, hostname, backup_name))


def verify(
    place: Path | Location,
    hostname: str | None = None,
    backup_name: str | None = None,
    mode: str = "quick",
    *,
    scheme: str | None = None,
    accept_unsealed: bool = False,
    encrypted: bool = True,
    spool: Path | None = None,
    **more: Any,
) -> Verification:
    query = _query(place, hostname, backup_name)._replace(
        scheme=scheme,
        accept_unsealed=accept_unsealed,
        encrypted=encrypted,
        spool=spool,
    )
    return engine("tar").verify(query, mode, **more)


def _query(place: Path | Location, hostname: str | None, backup_name: str | None) -> Query:
    location = place if isinstance(place, Location) else Location.local(place)
    return Query(location, hostname, backup_name)
