# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engines there are.  An engine is imported when an action or a command asks for it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from coldchain.agent.modes.base import TREE
from coldchain.agent.modes.registry import MODES
from coldchain.core.errors import DataError

if TYPE_CHECKING:
    from coldchain.agent.engines.base import Engine
    from coldchain.agent.storages.location import Location

DEFAULT_ENGINE = "tar"


class EngineKind(NamedTuple):
    """An engine.  module, name: where its class is; keeps: TREE, STREAM or both (modes/base.py)."""

    module: str
    name: str
    keeps: tuple[str, ...]


#: engine_name -> where it is.  A new engine is a file and a row.
ENGINES = {"tar": EngineKind("coldchain.agent.engines.tar.engine", "TarEngine", (TREE,))}


def engine(name: str) -> Engine:
    """The engine *name*; DataError when there is none."""
    kind = ENGINES.get(name)
    if kind is None:
        raise DataError(f"engine_name: {name!r} is not one of {', '.join(ENGINES)}")
    made: Engine = getattr(import_module(kind.module), kind.name)()
    return made


def check_engine(name: str, mode: str) -> None:
    """DataError unless the engine *name* keeps what the mode gives."""
    gives = MODES[mode].gives
    if gives not in ENGINES[name].keeps:
        fitting = [other for other, kind in ENGINES.items() if gives in kind.keeps]
        raise DataError(
            f"engine_name: {name} cannot keep the {gives} that mode {mode} gives",
            f"choose engine_name {' or '.join(fitting)}" if fitting else "choose another mode",
        )


def engine_of(location: Location) -> str | None:
    """The name of the engine whose backups lie in a container on this host's disk; None when no
    engine knows it, or it lies elsewhere."""
    if location.folder is None:
        return None
    return next((name for name in ENGINES if engine(name).holds(location.folder)), None)
